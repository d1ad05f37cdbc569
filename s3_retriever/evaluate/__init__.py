"""Rankers side by side: what a user would get from ours, and from what they would pick instead.

::

    from s3_retriever.evaluate import evaluate, load_folder, tables

    print(tables(evaluate([load_folder("my-documents")])))
"""

from s3_retriever.evaluate.metrics import evidence_precision, evidence_recall, reciprocal_rank
from s3_retriever.evaluate.rankers.contenders import (
    DEFAULT,
    Contender,
    Variant,
    contenders,
    embedding,
    langchain,
)
from s3_retriever.evaluate.rankers.hits import Hit, Ranker
from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder
from s3_retriever.evaluate.report.export import as_json, to_json
from s3_retriever.evaluate.report.page import to_html
from s3_retriever.evaluate.report.table import every_variant, tables
from s3_retriever.evaluate.results import BUDGETS, Evaluation, Row, Run
from s3_retriever.evaluate.run import evaluate
from s3_retriever.labelled.folder import load_folder

__all__ = [
    "BUDGETS",
    "DEFAULT",
    "Contender",
    "Evaluation",
    "Hit",
    "Ranker",
    "Row",
    "Run",
    "SentenceEmbedder",
    "Variant",
    "as_json",
    "contenders",
    "embedding",
    "evaluate",
    "every_variant",
    "evidence_precision",
    "evidence_recall",
    "langchain",
    "load_folder",
    "reciprocal_rank",
    "tables",
    "to_html",
    "to_json",
]
