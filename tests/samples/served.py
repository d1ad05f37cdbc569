"""A server of the small corpus, with or without a socket."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi.testclient import TestClient

from s3_retriever.serve.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from s3_retriever.engine import EndogenousIndex

HERE = "http://127.0.0.1"


@contextmanager
def client(index: EndogenousIndex, **settings: Any) -> Iterator[TestClient]:
    """Talks to an application without a network; what would be a 500 is raised."""
    with TestClient(create_app(index, **settings), base_url=HERE) as made:
        yield made


@contextmanager
def listening(index: EndogenousIndex, **settings: Any) -> Iterator[str]:
    """The address of a real server on a free port of this machine."""
    app = create_app(index, **settings)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, lifespan="on")
    )
    with socket.socket(proto=socket.IPPROTO_TCP) as own:
        own.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.01)
            yield f"{HERE}:{own.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events, each its name and its data."""
    name = "message"
    for line in lines:
        kind, _, value = line.partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            yield name, value if value == "[DONE]" else json.loads(value)
            name = "message"


def told(reply: httpx.Response) -> list[tuple[str, Any]]:
    """All events of a reply that has been read."""
    assert reply.headers["content-type"].startswith("text/event-stream")
    return list(events(iter(reply.text.splitlines())))
