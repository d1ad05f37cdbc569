"""The server of one index, as an ASGI application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from s3_retriever import __version__
from s3_retriever.serve.about_paths import about_paths
from s3_retriever.serve.answer_paths import answer_paths
from s3_retriever.serve.chat_paths import chat_paths
from s3_retriever.serve.document_paths import document_paths
from s3_retriever.serve.gate import LOCAL, Gate
from s3_retriever.serve.held import Held
from s3_retriever.serve.limits import Limits
from s3_retriever.serve.others import others_of
from s3_retriever.serve.page_paths import page_paths
from s3_retriever.serve.refusals import add_refusals
from s3_retriever.serve.replies import Refusal
from s3_retriever.serve.search_paths import search_paths
from s3_retriever.serve.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from s3_retriever.engine import EndogenousIndex
    from s3_retriever.serve.others import Other

_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": why}
    for status, why in {
        400: "a body that is not JSON, or a question or setting that cannot be",
        401: "no token, or a wrong one",
        403: "a host that this server does not answer to",
        404: "nothing of that name",
        413: "a body or a question that is too large",
        415: "a body that is not called JSON",
        422: "a field that is missing, unknown or impossible",
        503: "too many requests wait for the model",
    }.items()
}


def create_app(
    index: EndogenousIndex,
    *,
    limits: Limits | Mapping[str, Any] | None = None,
    token: str | None = None,
    hosts: Collection[str] | None = LOCAL,
    others: Mapping[str, Other] | None = None,
) -> FastAPI:
    """Make the application that serves an index.

    One thread runs the model, and requests queue for it; the event loop does nothing that takes
    long. The index is only read.

    Args:
        index: What is served.
        limits: What is refused.
        token: What requests must carry, ``Authorization: Bearer …``; None for nothing.
        hosts: Names by which the server may be called; None for any, as behind a token.
        others: Rankers to compare with; by default BM25.

    Raises:
        InputError: an impossible limit.
    """
    limits = Limits.of(limits)
    turns = Turns(limits)
    others = others_of(index) if others is None else others
    held = Held(index=index, limits=limits, turns=turns, others=others)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        turns.close()

    app = FastAPI(
        title="s3-retriever",
        version=__version__,
        description="One index: spans, answers and documents.",
        docs_url=None,  # that page would ask another host for its scripts
        redoc_url=None,
        lifespan=lifespan,
        responses=_REFUSED,
    )
    app.state.held = held
    for paths in (search_paths, answer_paths, document_paths, about_paths, chat_paths):
        app.include_router(paths(held))
    app.include_router(page_paths())
    app.add_middleware(Gate, token=token, hosts=hosts, most=limits.body_bytes)
    add_refusals(app)
    return app
