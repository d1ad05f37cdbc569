"""Both frameworks take the word that chooses how far the model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.schema import Document as LlamaDocument

from langchain_s3_retriever import EndogenousRetriever as LangChainRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaRetriever
from random_bank import make_bank
from s3_retriever.errors import InputError
from s3_retriever.fitting import shipped
from s3_retriever.fitting.depth import SHARES, depth_of

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone

TEXTS = ["Ada Finch kept the lighthouse on Gull Point.", "The mill at Low Ford burnt down in 1871."]


def test_both_frameworks_take_the_word(
    tiny_backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = make_bank(tiny_backbone, layers=1, depth=SHARES["fast"])
    bank.save(tmp_path / "banks" / "tiny-fast")
    monkeypatch.setattr(shipped, "ROOT", tmp_path / "banks")
    build: dict[str, Any] = {"model": tiny_backbone, "depth": "fast", "progress": False}
    documents = [LlamaDocument(text=text) for text in TEXTS]
    made = [
        LangChainRetriever.from_texts(TEXTS, **build),
        LangChainRetriever.empty(**build),
        LlamaRetriever.from_documents(documents, **build),
        LlamaRetriever.empty(**build),
    ]
    assert {depth_of(retriever.index.bank) for retriever in made} == {"fast"}
    for kind in (LangChainRetriever, LlamaRetriever):
        with pytest.raises(InputError, match="depth='deep' is invalid: it is 'full'"):
            kind.empty(**{**build, "depth": "deep"})
