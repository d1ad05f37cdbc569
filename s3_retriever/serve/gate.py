"""Who may come in: the right host, the token, and JSON of a size that can be read."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from s3_retriever.serve.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = ("/", "/assets/")
"""The page and what it is made of, which hold nothing of the index."""

LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine for itself."""


class Gate:
    """Refuses requests before anything is read of them.

    Without a token only requests to `hosts` come in, so that no page of another site reaches the
    index under a name of its own; and a body must be called JSON, which such a page may not send.

    Args:
        app: What lies behind.
        token: What a request must carry, ``Authorization: Bearer …``; None for nothing.
        hosts: Names by which the server may be called; None for any.
        most: Bytes of the largest body.
    """

    def __init__(
        self, app: ASGIApp, token: str | None, hosts: Collection[str] | None, most: int
    ) -> None:
        self._app, self._token, self._hosts, self._most = app, token, hosts, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem, body = self._problem(scope), b""
        if problem is None and scope["method"] == "POST":
            problem, body = await self._read(receive)
            receive = _again(body, receive)
        if problem is None:
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"} if problem[0] == 401 else {}
        await refusal(scope["path"], *problem, headers)(scope, receive, send)

    async def _read(self, receive: Receive) -> tuple[tuple[int, str] | None, bytes]:
        """Read a body, as far as it is not too large."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._most:
                why = f"the body is larger than {self._most:,} bytes; ask a shorter question"
                return (413, why), b""
        return None, body

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        bare = headers.get("host", "")
        if self._hosts is not None and not {host, bare} & {*self._hosts}:
            return 403, "this server answers only to the names of the machine it runs on"
        is_open = scope["method"] in ("GET", "HEAD") and (path == "/" or path.startswith(OPEN[1]))
        if self._token is not None and not is_open and not self._known(headers):
            return 401, "a token is needed: send the header Authorization: Bearer TOKEN"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            return 415, "send JSON: Content-Type: application/json"
        return None

    def _known(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        wanted = (self._token or "").encode()
        said = given.strip().encode("latin-1")  # as headers are decoded
        return kind.lower() == "bearer" and secrets.compare_digest(said, wanted)


def _again(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read, and then what else comes."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
