"""Both retrievers read files, and say on which page a span stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import made_files
import random_bank
from langchain_s3_retriever import EndogenousRetriever as LangChainRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaIndexRetriever
from s3_retriever.documents import PLACES
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone


@pytest.fixture
def tiny_build(tiny_backbone: Backbone) -> dict[str, Any]:
    """How both retrievers are built with a tiny random model."""
    bank = random_bank.make_bank(tiny_backbone)
    return {"model": tiny_backbone, "bank": bank, "progress": False}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    made_files.pdf(tmp_path / "files" / "guide.pdf")
    (tmp_path / "files" / "notes.txt").write_text("The mill burnt down.")
    (tmp_path / "files" / "draft.txt").write_text("Not to be read.")
    return tmp_path / "files"


def test_langchain(folder: Path, tiny_build: dict[str, Any]) -> None:
    retriever = LangChainRetriever.from_files(folder, exclude=["draft.txt"], k=8, **tiny_build)
    assert set(retriever.index.documents) == {"guide.pdf", "notes.txt"}
    found = retriever.invoke("Who kept bees?")
    text = retriever.index.documents["guide.pdf"].text
    seen = set()
    for piece in found:
        assert PLACES not in piece.metadata
        if piece.metadata["source_id"] == "guide.pdf":
            page = text.count("\n\n", 0, piece.metadata["start_index"]) + 1
            assert piece.metadata["page"] == page
            assert piece.metadata["citation"] == f"guide.pdf, page {page}"
            seen.add(page)
    assert seen


def test_llama_index(folder: Path, tiny_build: dict[str, Any]) -> None:
    retriever = LlamaIndexRetriever.from_files(
        folder / "*.pdf", folder / "notes.txt", similarity_top_k=8, **tiny_build
    )
    assert set(retriever.index.documents) == {"guide.pdf", "notes.txt"}
    nodes = [found.node for found in retriever.retrieve("Who kept bees?")]
    pages = [node.metadata["citation"] for node in nodes if "page" in node.metadata]
    assert pages and all(page.startswith("guide.pdf, page ") for page in pages)
    assert all(PLACES not in node.metadata for node in nodes)


def test_wrong_arguments(folder: Path, tiny_build: dict[str, Any]) -> None:
    for kind in (LangChainRetriever, LlamaIndexRetriever):
        with pytest.raises(InputError, match="did you mean 'exclude'"):
            kind.from_files(folder, exclud=["*.txt"], **tiny_build)
        with pytest.raises(InputError, match="cannot be read"):
            kind.from_files(folder / "gone.pdf", **tiny_build)
