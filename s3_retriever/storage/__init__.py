"""Index folders: documents and their arrays on disk, saved whole or not at all.

The package knows documents and named arrays; it knows nothing of models.
"""

from s3_retriever.storage.catalogue import Version, stored_version
from s3_retriever.storage.change import Change
from s3_retriever.storage.folder import (
    IndexInfo,
    LoadedIndex,
    LoadedSegment,
    index_info,
    load_index,
    row_bytes,
    verify_index,
)
from s3_retriever.storage.join import join_indexes
from s3_retriever.storage.save import extend_index, save_index
from s3_retriever.storage.segments import SEGMENT_ROWS, array_digest
from s3_retriever.storage.stored import StoredDocument, TableMaker
from s3_retriever.storage.target import check_target, holding, is_index
from s3_retriever.storage.verify import VerifyReport

__all__ = [
    "SEGMENT_ROWS",
    "Change",
    "IndexInfo",
    "LoadedIndex",
    "LoadedSegment",
    "StoredDocument",
    "TableMaker",
    "VerifyReport",
    "Version",
    "array_digest",
    "check_target",
    "extend_index",
    "holding",
    "index_info",
    "is_index",
    "join_indexes",
    "load_index",
    "row_bytes",
    "save_index",
    "stored_version",
    "verify_index",
]
