"""``GET /documents`` and ``GET /documents/{id}``."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from s3_retriever.documents import PLACES, Document
from s3_retriever.serve.held import Held
from s3_retriever.serve.refusals import Json, RefusedError
from s3_retriever.serve.replies import DocumentReply, DocumentsReply

RANGE = 100_000
"""Most characters of a document in one reply."""

BLOCK = 3_000
"""Characters of a block, about a screen; it ends with a line where one ends near."""

Character = Annotated[int, Query(ge=0, le=2**53)]


def document_paths(held: Held) -> APIRouter:
    """The paths that show documents.

    Args:
        held: Whose documents.
    """
    router = APIRouter(tags=["documents"])

    @router.get("/documents", response_model=DocumentsReply)
    async def documents(
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        contains: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        """List documents, those whose ids contain a text, in any case."""
        every, wanted = held.index.documents, contains.casefold()
        ids = [id for id in every if wanted in id.casefold()] if wanted else [*every]
        kept = [_entry(every[id]) for id in ids[offset : offset + limit]]
        return Json({"total": len(ids), "documents": kept})

    @router.get("/documents/{id:path}", response_model=DocumentReply)
    async def document(
        id: str, start: Character = 0, end: Character | None = None, blocks: bool = False
    ) -> Response:
        """Show a range of a document's text, 100,000 characters at most."""
        found = held.index.documents.get(id)
        if found is None:
            raise RefusedError(404, f"no document has the id {id!r}; GET /documents lists all")
        stop = min(start + RANGE if end is None else end, start + RANGE, len(found.text))
        first = min(start, len(found.text))
        own = {"start": first, "end": max(stop, first), "text": found.text[first:stop]}
        cuts = {"blocks": blocks_of(found.text)} if blocks else {}
        return Json({**_entry(found), **own, **cuts})

    return router


def _entry(document: Document) -> dict[str, Any]:
    own = {name: value for name, value in document.metadata.items() if name != PLACES}
    return {"id": document.id, "characters": len(document.text), "metadata": own}


def blocks_of(text: str) -> list[int]:
    """Where to cut a text into blocks: the first character of each.

    A block ends behind a line where one ends in its second half, else behind a blank, else in the
    middle of what has neither.
    """
    starts = [0]
    while starts[-1] + BLOCK < len(text):
        first, last = starts[-1] + BLOCK // 2, starts[-1] + BLOCK
        cut = text.rfind("\n", first, last)
        cut = text.rfind(" ", first, last) if cut < 0 else cut
        starts.append(last if cut < 0 else cut + 1)
    return starts
