"""The language model you already run, as its own retriever.

A model reads documents once; sparse codes of its own attention keys are kept; its own queries find
the spans a question needs, and the same weights answer from them::

    from s3_retriever import EndogenousIndex

    index = EndogenousIndex.build(["Paris is the capital of France.", "Berlin is in Germany."])
    index.search("What is the capital of France?").spans[0].text
    index.answer("What is the capital of France?").text

Names are imported when first used, so importing the package loads no model library.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3_retriever.answering.stream import AnswerStream
    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.config import UNSET, AnswerConfig, ScanConfig, SearchConfig, Weighing
    from s3_retriever.distributed.sharded_index import ShardedIndex
    from s3_retriever.documents import Answer, Document, Skipped, Span
    from s3_retriever.engine import EndogenousIndex
    from s3_retriever.engine.results import IndexStats, SearchResult
    from s3_retriever.errors import (
        BankError,
        FormatVersionError,
        IndexConflictError,
        IndexFileError,
        InputError,
        MissingExtraError,
        ModelMismatchError,
        S3Error,
        ShardError,
        SkippedWarning,
        UnsupportedModelError,
    )
    from s3_retriever.files import read_files
    from s3_retriever.reading.clock import ScanReport

__all__ = [
    "UNSET",
    "Answer",
    "AnswerConfig",
    "AnswerStream",
    "Backbone",
    "Bank",
    "BankError",
    "Document",
    "EndogenousIndex",
    "FormatVersionError",
    "IndexConflictError",
    "IndexFileError",
    "IndexStats",
    "InputError",
    "MissingExtraError",
    "ModelMismatchError",
    "S3Error",
    "ScanConfig",
    "ScanReport",
    "SearchConfig",
    "SearchResult",
    "ShardError",
    "ShardedIndex",
    "Skipped",
    "SkippedWarning",
    "Span",
    "UnsupportedModelError",
    "Weighing",
    "__version__",
    "read_files",
]

_MODULES = {
    "backbone": ("Backbone",),
    "codec": ("Bank",),
    "answering.stream": ("AnswerStream",),
    "config": ("UNSET", "AnswerConfig", "ScanConfig", "SearchConfig", "Weighing"),
    "distributed.sharded_index": ("ShardedIndex",),
    "documents": ("Answer", "Document", "Skipped", "Span"),
    "engine": ("EndogenousIndex",),
    "errors": tuple(name for name in __all__ if name.endswith(("Error", "Warning"))),
    "files": ("read_files",),
    "reading.clock": ("ScanReport",),
    "engine.results": ("IndexStats", "SearchResult"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

try:
    __version__ = version("s3-retriever")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.0.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
