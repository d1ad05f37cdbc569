"""The retriever as a tool that an agent calls."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import Callbacks  # noqa: TC002  # read by LangChain
from langchain_core.documents import Document
from langchain_core.tools import StructuredTool, ToolException
from pydantic import BaseModel, Field, create_model

from s3_retriever.adapters.places import latest
from s3_retriever.adapters.settings import SETTINGS
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.retrievers import BaseRetriever

NAME = "search_documents"
DESCRIPTION = "Finds the passages of the documents that answer a question, word for word."
_OF_A_CALL = ("filter", *SETTINGS)
_Found = tuple[str, list[Document]]


class Question(BaseModel):
    """What a model fills in where no other schema is given."""

    query: str = Field(description="A question, or words to look for")


def search_tool(
    retriever: BaseRetriever,
    name: str,
    description: str,
    schema: type[BaseModel] | None,
    types: Mapping[str, Any] | None,
) -> StructuredTool:
    """Make a tool of a retriever; see `EndogenousRetriever.as_tool`.

    Raises:
        InputError: arguments other than one question and settings of a search.
    """
    if schema is None:
        fields: dict[str, Any] = {name: (kind, ...) for name, kind in (types or {}).items()}
        schema = create_model(name, **fields) if fields else Question
    question = _question_of(schema)

    def split(texts: tuple[str, ...], arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The question, which may have come as a text alone, and the settings that are given."""
        given = {name: value for name, value in arguments.items() if value is not None}
        asked = given.pop(question, "")
        return (texts[0] if texts else asked), given

    def search(*texts: str, callbacks: Callbacks = None, **arguments: Any) -> _Found:
        asked, settings = split(texts, arguments)
        with _told():
            return _found(retriever.invoke(asked, {"callbacks": callbacks}, **settings))

    async def asearch(*texts: str, callbacks: Callbacks = None, **arguments: Any) -> _Found:
        asked, settings = split(texts, arguments)
        with _told():
            return _found(await retriever.ainvoke(asked, {"callbacks": callbacks}, **settings))

    return StructuredTool(
        name=name,
        description=description,
        func=search,
        coroutine=asearch,
        args_schema=schema,
        response_format="content_and_artifact",
        handle_tool_error=True,
    )


def _question_of(schema: type[BaseModel]) -> str:
    others = [name for name in schema.model_fields if name not in _OF_A_CALL]
    if len(others) != 1:
        raise InputError(
            f"a tool needs one argument for the question, and settings of a search "
            f"({', '.join(_OF_A_CALL)}) beside it; given: {', '.join(others) or 'none'}"
        )
    return others[0]


def _found(documents: list[Document]) -> _Found:
    return "\n\n".join(map(_shown, documents)), documents


def _shown(document: Document) -> str:
    """What a model reads of a span: a row of a table stands below the names of its columns."""
    header = latest(document.metadata, "header")
    return f"{header}\n{document.page_content}" if header else document.page_content


@contextmanager
def _told() -> Iterator[None]:
    """Let a model read what is wrong with its call, in place of an end of the agent."""
    try:
        yield
    except InputError as error:
        raise ToolException(str(error)) from error
