"""Index folders: documents and their arrays on disk, saved whole or not at all.

The package knows documents and named arrays; it knows nothing of models.
"""

from s3_retriever.index.catalogue import Version, stored_version
from s3_retriever.index.gather import StoredDocument
from s3_retriever.index.store import (
    IndexInfo,
    LoadedIndex,
    index_info,
    load_index,
    save_index,
    verify_index,
)
from s3_retriever.index.target import check_target, holding
from s3_retriever.index.verify import VerifyReport

__all__ = [
    "IndexInfo",
    "LoadedIndex",
    "StoredDocument",
    "VerifyReport",
    "Version",
    "check_target",
    "holding",
    "index_info",
    "load_index",
    "save_index",
    "stored_version",
    "verify_index",
]
