"""Files for the retrievers of both frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.files import read_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from s3_retriever.documents import Document

ARGUMENTS = ("include", "exclude", "ignore_files", "encoding")
"""Names of the arguments of `s3_retriever.read_files` that a retriever hands on."""


def read(paths: Iterable[str | PathLike[str]], arguments: dict[str, Any]) -> list[Document]:
    """Read files by those arguments that are for that, which are taken out.

    Raises:
        InputError: as `s3_retriever.read_files`.
    """
    own = {name: arguments.pop(name) for name in ARGUMENTS if name in arguments}
    return read_files(*paths, on_error=arguments.get("on_error", "raise"), **own)
