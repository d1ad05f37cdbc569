"""LangChain's own suite for retrievers, as it is."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_s3_retriever import EndogenousRetriever
from small_corpus import QUESTIONS


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
