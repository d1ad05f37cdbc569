"""``GET /about`` and ``GET /queue``."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from fastapi import APIRouter, Response

from s3_retriever import __version__
from s3_retriever.adapters import background
from s3_retriever.documents import PLACES, Document
from s3_retriever.serve.held import Held
from s3_retriever.serve.refusals import Json
from s3_retriever.serve.replies import AboutReply, QueueReply

KEYS, VALUES = 40, 30
"""Most keys of the metadata that are told, and values of each."""


def about_paths(held: Held) -> APIRouter:
    """The paths that say what is here.

    Args:
        held: What is told of.
    """
    router = APIRouter(tags=["about"])

    @cache
    def told() -> dict[str, Any]:
        return _about(held)

    @router.get("/about", response_model=AboutReply)
    async def about() -> Response:
        """Tell of the index, and of what may be asked."""
        return Json(await background.run(told))

    @router.get("/queue", response_model=QueueReply)
    async def queue() -> Response:
        """Tell how many requests wait for the model."""
        waiting, at_work = held.turns.counts()
        return Json({"waiting": waiting, "at_work": at_work})

    return router


def _about(held: Held) -> dict[str, Any]:
    index, stats = held.index, held.index.stats
    return {
        "model": index.backbone.name,
        "version": __version__,
        "documents": stats.documents,
        "characters": stats.characters,
        "tokens": stats.tokens,
        "settings": {
            "search": index.config.model_dump(mode="json"),
            "answer": index.answer_config.model_dump(mode="json"),
        },
        "metadata": metadata_of(index.documents.values()),
        "rankers": [{"name": name, "title": it.title} for name, it in held.others.items()],
        "limits": held.limits.model_dump(),
    }


def metadata_of(documents: Iterable[Document]) -> dict[str, list[Any]]:
    """Keys of the documents' metadata, each with some of its plain values, in order of first use.

    Args:
        documents: Any.
    """
    found: dict[str, dict[Any, None]] = {}
    for document in documents:
        for key, value in document.metadata.items():
            if key == PLACES or (key not in found and len(found) >= KEYS):
                continue
            values = found.setdefault(key, {})
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str | int | float | bool) and len(values) < VALUES:
                    values.setdefault(item)
    return {key: [*values] for key, values in found.items() if values}
