"""From spans to the documents they stand in, for what compares ids of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode, QueryBundle


class ByDocument(BaseNodePostprocessor):
    """Gives each document once, where its first span stands, under its own id.

    A retriever finds spans, whose ids (``document:start:end``) no data set knows. Behind this,
    ``RetrieverEvaluator(node_postprocessors=[ByDocument()], ...)`` compares documents. Of k spans
    some may stand in the same document: ask for more of them (`similarity_top_k`) to judge k
    documents. The text is still that of the span.

    Attributes:
        of: ``"indexed"`` for the ids of what was indexed: documents, or the nodes of a splitter.
            ``"source"`` for their `ref_doc_id`, which for nodes with a source is the id of that.
    """

    of: Literal["indexed", "source"] = "indexed"

    @classmethod
    def class_name(cls) -> str:
        """Name in LlamaIndex's serialisation."""
        return "ByDocument"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        first: dict[str, NodeWithScore] = {}
        for found in nodes:
            first.setdefault(self._id(found.node), found)
        return [
            NodeWithScore(node=found.node.model_copy(update={"id_": id}), score=found.score)
            for id, found in first.items()
        ]

    def _id(self, node: BaseNode) -> str:
        if self.of == "indexed" and node.parent_node is not None:
            return node.parent_node.node_id
        return node.ref_doc_id or node.node_id
