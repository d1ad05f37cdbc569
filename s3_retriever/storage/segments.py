"""Segments: immutable safetensors files of named arrays, concatenated over documents.

A segment is written under a temporary name, brought to the disk, and only then given its own
name, so a file that carries a segment's name is whole. Nothing refers to it before the catalogue
does.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors.numpy import save

from s3_retriever.storage import files
from s3_retriever.storage.failures import damaged, saving
from s3_retriever.storage.journal import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from s3_retriever.storage.journal import Journal

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


class SegmentWriter:
    """Collects the arrays of documents and writes a segment whenever enough have come together.

    Args:
        folder: The index.
        limit: Rows at which a segment is closed.
        journal: Where the name of each is noted before it is written.
    """

    def __init__(self, folder: Path, limit: int, journal: Journal) -> None:
        self._folder = folder
        self._limit = limit
        self._journal = journal
        self._start()
        self.written: list[Segment] = []

    def _start(self) -> None:
        self._name = uuid.uuid4().hex
        self._parts: list[Mapping[str, NDArray[np.generic]]] = []
        self._rows = 0

    def add(self, arrays: Mapping[str, NDArray[np.generic]]) -> tuple[str, int]:
        """Take the arrays of one document, all of the same length and the layout of the others.

        Returns:
            Name of the segment they go into, and the row they start at.
        """
        place = (self._name, self._rows)
        self._parts.append(arrays)
        self._rows += row_count(arrays)
        if self._rows >= self._limit:
            self.flush()
        return place

    @property
    def names(self) -> set[str]:
        """Names of the segments written, and of the one that is being collected."""
        return {self._name, *(segment.name for segment in self.written)}

    def flush(self) -> None:
        """Write what has been collected, if anything.

        Raises:
            IndexFileError: it could not be written.
        """
        if not self._parts:
            return
        data = save({n: np.concatenate([p[n] for p in self._parts]) for n in self._parts[0]})
        segment = Segment(self._name, self._rows, len(data), hashlib.sha256(data).hexdigest())
        with saving(self._folder):
            self._journal.note([segment.file])
            write_whole(segment.path(self._folder), data)
        self.written.append(segment)
        self._start()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, bring it to the disk, and give it its own name."""
    temporary = path.with_name(path.name + TEMPORARY)
    files.remove(temporary)
    with files.create(temporary) as file:
        files.write(file, data)
        files.sync(file)
    files.replace(temporary, path)
    files.sync_folder(path.parent)


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


def missing_or_cut(folder: Path, segment: Segment) -> str | None:
    """Return what is wrong with a segment's file at first sight, or ``None``."""
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
    wrong = missing_or_cut(folder, segment)
    if wrong:
        raise damaged(folder, wrong)
    data = np.asarray(np.memmap(segment.path(folder), dtype=np.uint8, mode="r"))
    try:
        return _views(data, segment.rows)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise damaged(folder, f"segment {segment.name} has no valid header ({error})") from error


def _views(data: NDArray[np.uint8], rows: int) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a safetensors file as views of its bytes."""
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    views: dict[str, NDArray[np.generic]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        view = data[start + begin : start + end].view(DTYPES[entry["dtype"]])
        if entry["shape"][0] != rows:
            raise ValueError(f"{name} has {entry['shape'][0]} rows, not {rows}")
        views[name] = view.reshape(entry["shape"])
    return views


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
