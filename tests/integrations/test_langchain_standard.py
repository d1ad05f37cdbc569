"""LangChain's own suites for retrievers and for indexes of documents, as they are."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_tests.integration_tests import RetrieversIntegrationTests
from langchain_tests.integration_tests.indexer import (
    AsyncDocumentIndexTestSuite,
    DocumentIndexerTestSuite,
)

from langchain_s3_retriever import EndogenousRetriever
from random_bank import make_bank
from small_corpus import QUESTIONS


def empty(backbone) -> EndogenousRetriever:
    return EndogenousRetriever.empty(model=backbone, bank=make_bank(backbone), progress=False)


class TestEndogenousRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _with_index(self, tiny_index):
        self.index = tiny_index

    @property
    def retriever_constructor(self) -> type[EndogenousRetriever]:
        return EndogenousRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"index": self.index}

    @property
    def retriever_query_example(self) -> str:
        return QUESTIONS[0]


class TestDocuments(DocumentIndexerTestSuite):
    @pytest.fixture
    def index(self, tiny_backbone):
        return empty(tiny_backbone)


class TestDocumentsBesideALoop(AsyncDocumentIndexTestSuite):
    @pytest.fixture
    async def index(self, tiny_backbone):
        return empty(tiny_backbone)
