"""Jupyter notebooks, read by nbformat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.files.extract import Builder, Extract, RawFile, needed
from s3_retriever.files.headings import sections

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(file: RawFile) -> Extract:
    """Cells as Markdown, code in fences with what it printed, without images; each a place."""
    nbformat = needed("nbformat", "a notebook")
    text, assumed = file.decoded()
    notebook = nbformat.reads(text, as_version=4)
    language = str(notebook.metadata.get("kernelspec", {}).get("language", "python"))
    built = Builder()
    for number, cell in enumerate(notebook.cells, start=1):
        built.add("\n\n".join(_shown(cell, language)), cell=number)
    found = sections(built.text)
    places = {**built.places, **({"section": found} if found else {})}
    return Extract(built.text, places, assumed=assumed)


def _shown(cell: Any, language: str) -> Iterator[str]:
    source = cell.source.strip("\n")
    if cell.cell_type == "code" and source:
        yield f"```{language}\n{source}\n```"
        for output in cell.get("outputs", ()):
            if printed := _printed(output).strip("\n"):
                yield f"```\n{printed}\n```"
    elif source:
        yield source


def _printed(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    return str(output.get("data", {}).get("text/plain", ""))
