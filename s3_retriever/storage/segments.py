"""Segments: immutable safetensors files of named arrays, concatenated over documents.

A segment is written under a temporary name, brought to the disk, and only then given its own
name, so a file that carries a segment's name is whole. Nothing refers to it before the catalogue
does.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from s3_retriever.storage.failures import damaged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "segments"
SEGMENT_ROWS = 2**18
"""A segment is closed when it holds this many rows."""

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "F16": np.dtype(np.float16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "F32": np.dtype(np.float32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F64": np.dtype(np.float64),
}
"""Array types that can be stored, by their safetensors names."""

_SUFFIX = ".safetensors"


class Segment(NamedTuple):
    """One file of arrays, as the catalogue knows it.

    Attributes:
        name: Stem of the file's name.
        rows: First dimension of every array in it.
        size: Length of the file in bytes.
        sha256: Hex digest of the file.
    """

    name: str
    rows: int
    size: int
    sha256: str

    @property
    def file(self) -> str:
        """Path of the file below the index."""
        return f"{FOLDER}/{self.name}{_SUFFIX}"

    def path(self, folder: Path) -> Path:
        """Return where the file lies in the index `folder`."""
        return folder / self.file


class Table(NamedTuple):
    """One file of tables of a segment's documents, as the catalogue knows it.

    Attributes:
        segment: Name of the segment.
        name: Stem of the file's name.
        size: Length of the file in bytes.
        sha256: Hex digest of the file.
        made: By what, see `TableMaker.name`.
    """

    segment: str
    name: str
    size: int
    sha256: str
    made: str

    @property
    def file(self) -> str:
        """Path of the file below the index."""
        return f"{FOLDER}/{self.name}{_SUFFIX}"

    def path(self, folder: Path) -> Path:
        """Return where the file lies in the index `folder`."""
        return folder / self.file


def row_count(arrays: Mapping[str, NDArray[np.generic]]) -> int:
    """Return the common first dimension of the arrays."""
    return len(next(iter(arrays.values())))


def array_digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Return a hex digest of the arrays' names, types, shapes and contents."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def missing_or_cut(folder: Path, segment: Segment | Table) -> str | None:
    """Return what is wrong with a file at first sight, or ``None``."""
    path = segment.path(folder)
    if not path.is_file():
        return f"{FOLDER}/{path.name} is missing"
    size = path.stat().st_size
    if size != segment.size:
        return f"{FOLDER}/{path.name} has {size} bytes where {segment.size} were written"
    return None


def open_segment(folder: Path, segment: Segment) -> dict[str, NDArray[np.generic]]:
    """Map a segment's arrays into memory, read-only; nothing is read until it is looked at.

    Returns:
        Arrays by name, each with ``segment.rows`` rows.

    Raises:
        IndexFileError: the file is missing, has another size or does not hold what it should.
    """
    views = open_arrays(folder, segment)
    for name, view in views.items():
        if len(view) != segment.rows:
            why = f"{name} has {len(view)} rows, not {segment.rows}"
            raise damaged(folder, f"segment {segment.name} has no valid header ({why})")
    return views


def open_arrays(folder: Path, segment: Segment | Table) -> dict[str, NDArray[np.generic]]:
    """Map the arrays of a file likewise, whatever their lengths.

    Raises:
        IndexFileError: as for `open_segment`.
    """
    wrong = missing_or_cut(folder, segment)
    if wrong:
        raise damaged(folder, wrong)
    data = np.asarray(np.memmap(segment.path(folder), dtype=np.uint8, mode="r"))
    try:
        return _views(data)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise damaged(folder, f"segment {segment.name} has no valid header ({error})") from error


def _views(data: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a safetensors file as views of its bytes."""
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    views: dict[str, NDArray[np.generic]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        view = data[start + begin : start + end].view(DTYPES[entry["dtype"]])
        views[name] = view.reshape(entry["shape"])
    return views


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
