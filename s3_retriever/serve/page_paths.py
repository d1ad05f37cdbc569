"""The page: ``GET /`` and ``GET /assets/{name}``."""

from mimetypes import guess_type

from fastapi import APIRouter, Response

from s3_retriever.pages.bundle import asset
from s3_retriever.serve.refusals import RefusedError

PACKAGE = "s3_retriever.serve"

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Nothing but this server is asked for anything, and no other page shows this one in itself."""


def page_paths() -> APIRouter:
    """The paths of the page, which hold nothing of the index."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        return _file("index.html")

    @router.get("/assets/{name}")
    async def file(name: str) -> Response:
        return _file(name)

    return router


def _file(name: str) -> Response:
    text = asset(name, PACKAGE)
    if text is None:
        raise RefusedError(404, f"the page has no asset {name!r}")
    kind = "text/javascript" if name.endswith(".js") else guess_type(name)[0]
    return Response(text, media_type=kind, headers=HEADERS)
