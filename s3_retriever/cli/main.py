"""Parses the command line, runs a command, and turns errors into one line on standard error."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from s3_retriever import __version__
from s3_retriever.errors import InputError, S3Error, SkippedWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS = {
    "demo": ("s3_retriever.cli.demo", "read the Python language reference and ask it questions"),
    "index": ("s3_retriever.cli.indexing", "read files through the model into an index"),
    "search": ("s3_retriever.cli.searching", "find the spans that a question attends to"),
    "ask": ("s3_retriever.cli.asking", "let the same model answer from those spans"),
    "serve": ("s3_retriever.cli.serving", "open a page over an index, and an API"),
    "show": ("s3_retriever.cli.show", "print a document of an index as it was indexed"),
    "info": ("s3_retriever.cli.info", "show the sizes of an index"),
    "verify": ("s3_retriever.cli.verify", "check every byte of an index"),
    "compact": ("s3_retriever.cli.compact", "merge the small files of an index into few"),
    "merge": ("s3_retriever.cli.merge", "make one index of several by the same model"),
    "check": ("s3_retriever.cli.check", "tell whether a model can serve, and what it costs"),
    "calibrate": ("s3_retriever.cli.calibrate", "choose heads and whitening for a model"),
    "train": ("s3_retriever.cli.train", "train sparse autoencoders on text"),
    "bench": ("s3_retriever.cli.bench", "show where the time of a scan goes"),
    "eval": ("s3_retriever.cli.evaluating", "compare retrievers on labelled questions"),
}
"""Name of each command, the module with its `add_arguments` and `run`, and what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; None for those of the process.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character it lacks comes out as "?"
        sys.stdout.reconfigure(errors="replace")
    try:
        args = _parse(words)
        _check_words(args)
        with warnings.catch_warnings():
            warnings.showwarning = partial(_warn, warnings.showwarning)
            code: int = args.run(args)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse has printed help, or what is wrong
        return int(stop.code or 0)
    except S3Error as error:
        return _fail(_with_advice(str(error), words[0]), 1)
    except KeyboardInterrupt:
        rest = "; the same command reads the rest" if words[0] == "index" else ""
        return _fail(f"interrupted; what was saved before is whole{rest}", 130)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and what to type."""

    def error(self, message: str) -> NoReturn:
        self.exit(_fail(f"{message}; type: {self.prog} --help", 2))


def _warn(
    show: Callable[..., None], message: Warning | str, category: type[Warning], *rest: Any
) -> None:
    """Show what was left out as this program says things; other warnings as Python does."""
    if issubclass(category, SkippedWarning):
        print(f"s3-retriever: {message}", file=sys.stderr)
    else:
        show(message, category, *rest)


def _check_words(args: argparse.Namespace) -> None:
    """Refuse a question that came in as bytes that are no UTF-8, as Python marks them."""
    question = getattr(args, "question", "")
    wrong = [ord(sign) - 0xDC00 for sign in question if 0xDC80 <= ord(sign) <= 0xDCFF]
    if wrong:
        raise InputError(
            f"the question holds bytes that are not UTF-8 (0x{wrong[0]:02X}): this terminal sends "
            "another encoding; set it to UTF-8, or type the question as "
            "\"$(printf %s 'the question' | iconv -f CP1252 -t UTF-8)\""
        )


def _fail(message: str, code: int) -> int:
    print(f"s3-retriever: {' '.join(message.split())}", file=sys.stderr)
    return code


def _with_advice(message: str, command: str) -> str:
    """Add what to type, where the message does not say so."""
    if any(words in message for words in ("pip install", "s3-retriever ", "; type: ")):
        return message
    return f"{message}; see: s3-retriever {command} --help"


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="s3-retriever",
        description="The language model you already run, as its own retriever.",
        epilog="First time: s3-retriever demo. Help on a command: s3-retriever COMMAND --help.",
    )
    parser.add_argument("--version", action="version", version=f"s3-retriever {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    asked = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == asked:  # the others' modules need not be imported
            code = import_module(module)
            command.epilog = f"examples:\n{code.EXAMPLES}"
            code.add_arguments(command)
            command.set_defaults(run=code.run)
    return parser.parse_args(argv)
