"""Waiting for a turn on behalf of a client, who may hang up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from s3_retriever.serve.refusals import Json, RefusedError, sentence_of, status_of
from s3_retriever.serve.turns import Done, Failed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from s3_retriever.serve.turns import Event, Turn

PAUSE = 10.0
"""Seconds after which a silent stream says that it is still there."""

STILL_HERE = format_sse_event(comment="still here")


async def outcome(turn: Turn, request: Request) -> Any:
    """Wait for a turn's result; where the client hangs up, give the turn up.

    Raises:
        Exception: what its work raised.
    """
    waiting = asyncio.ensure_future(turn.outcome())
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise RefusedError(499, "the client has hung up")
    finally:
        waiting.cancel()
        gone.cancel()
        turn.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """A turn as server-sent events; where the client hangs up, the turn is given up.

    Args:
        turn: Whose events these are.
        write: Turns an event into what is sent.
    """

    media_type = "text/event-stream"

    def __init__(self, turn: Turn, write: Callable[[Event], bytes]) -> None:
        super().__init__(_pieces(turn, write), headers={"Cache-Control": "no-store"})
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._turn.cancel()


async def _pieces(turn: Turn, write: Callable[[Event], bytes]) -> AsyncIterator[bytes]:
    async for event in turn.events(PAUSE):
        yield STILL_HERE if event is None else write(event)


def named(event: Event) -> bytes:
    """An event under its name: ``place``, ``done``, ``error``, or whatever the work told."""
    if isinstance(event, Done):
        return sse(event.result, "done")
    if isinstance(event, Failed):
        problem = {"error": sentence_of(event.error), "status": status_of(event.error)}
        return sse(problem, "error")
    return sse({"place": event.data} if event.name == "place" else event.data, event.name)


def sse(data: Any, name: str | None = None) -> bytes:
    """One server-sent event with a value as JSON."""
    return format_sse_event(data_str=bytes(Json(data).body).decode(), event=name)
