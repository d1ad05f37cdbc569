"""Who may come in: the right host, the token, and JSON where there is a body."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from s3_retriever.serve.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

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
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Collection[str] | None) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"} if problem[0] == 401 else {}
        await refusal(scope["path"], *problem, headers)(scope, receive, send)

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
        return kind.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), wanted)
