"""``s3-retriever serve``."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import argparse

    from s3_retriever.engine import EndogenousIndex

EXAMPLES = """\
  s3-retriever serve notes.s3                      a page at http://127.0.0.1:8000, for this machine
  s3-retriever serve notes.s3 --embedding models/embeddinggemma-300m      to compare with
  s3-retriever serve notes.s3 --host 0.0.0.0       for others, who need the token that it prints"""

TOKEN = "S3_RETRIEVER_TOKEN"
"""Environment variable with the token."""

_GRACE = 2  # seconds that open streams get when the server is stopped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("index", metavar="INDEX", help="folder made by s3-retriever index")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; default: %(default)s"
    )
    parser.add_argument("--port", type=int, default=8000, help="0 for any; default: %(default)s")
    parser.add_argument(
        "--token",
        help=f"what requests must carry; default: that of {TOKEN}, or, where others can reach the "
        "server, a new one that is printed",
    )
    parser.add_argument(
        "--embedding",
        action="append",
        default=[],
        metavar="FOLDER",
        help="an embedding model of sentence-transformers to compare with; may come again",
    )
    parser.add_argument(
        "--answers", type=int, metavar="N", help="most answers at once, waiting ones included"
    )
    parser.add_argument(
        "--max-question", type=int, metavar="N", help="most characters of a question"
    )
    parser.add_argument("--max-body", type=int, metavar="BYTES", help="largest body of a request")
    common.add_model(parser)
    common.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        import uvicorn

        from s3_retriever.serve.app import create_app
        from s3_retriever.serve.limits import Limits
        from s3_retriever.serve.others import others_of
    except ImportError as error:
        raise MissingExtraError(
            f"serving needs {error.name}: pip install 's3-retriever[serve]'"
        ) from error

    given = {
        "answers": args.answers,
        "question_characters": args.max_question,
        "body_bytes": args.max_body,
    }
    limits, local = Limits().replace(**given), is_local(args.host)
    token = args.token or os.environ.get(TOKEN) or (None if local else secrets.token_urlsafe(24))
    with _listening(args.host, args.port) as listening:
        index = _ready(args.index, args.model)
        others = others_of(index, args.embedding, common.shows_progress(args))
        app = create_app(
            index,
            limits=limits,
            token=token,
            others=others,
            hosts=None if token else names_of(args.host),
        )
        print(f"serving {args.index} at {address(args.host, listening, token)}", flush=True)
        print("stop it with Ctrl+C", file=sys.stderr)
        settings = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=_GRACE
        )
        uvicorn.Server(settings).run(sockets=[listening])
    return 0


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_of(host: str) -> tuple[str, ...]:
    """The names by which a server at a local address may be called."""
    from s3_retriever.serve.gate import LOCAL

    return (*LOCAL, host, f"[{host}]")


def address(host: str, listening: socket.socket, token: str | None) -> str:
    """What to type into a browser; the token stands where no server is told it."""
    port = listening.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    name = {"0.0.0.0": socket.gethostname(), "[::]": socket.gethostname()}.get(name, name)
    return f"http://{name}:{port}/{f'#token={token}' if token else ''}"


def _listening(host: str, port: int) -> socket.socket:
    """Take the address before the long work, not after it.

    Raises:
        InputError: it cannot be had.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"there is no port {port}; choose one below 65536 with --port")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[
            0
        ]
        # by its protocol asyncio knows that small pieces must not wait for one another
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(place)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise InputError(
            f"cannot listen at {host} port {port}: {error.strerror or error}; "
            "choose others with --host and --port, or --port 0 for any that is free"
        ) from error
    return listening


def _ready(path: str, model: str | None) -> EndogenousIndex:
    """Load an index, and make what the first search makes."""
    from s3_retriever.engine import EndogenousIndex

    index = EndogenousIndex.load(path, model=model)
    if len(index):
        index.search("Is everything ready?")
    return index
