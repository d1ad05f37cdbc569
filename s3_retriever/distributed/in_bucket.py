"""A folder of an object store, through fsspec, as the place of an index."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import IndexConflictError, IndexFileError, S3Error, first_line
from s3_retriever.storage.catalogue import ATTACHED, CATALOGUE, stored_version
from s3_retriever.storage.pieces import PARTS, read_pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from s3_retriever.storage.pieces import Piece


@dataclass(frozen=True)
class BucketPlace:
    """A folder in an object store, whose files appear whole.

    Attributes:
        filesystem: Of fsspec.
        root: The folder's path in it.
        name: What a person calls it.
    """

    filesystem: Any
    root: str
    name: str
    _seen: list[str] = field(default_factory=list, compare=False)

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return BucketPlace, (self.filesystem, self.root, self.name)

    def write(self, name: str, data: bytes) -> None:
        """See `Place.write`."""
        path = f"{self.root}/{name}"
        with self._doing("written", "make room there, or check the permissions"):
            self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.filesystem.pipe_file(path, data)

    def read(self, name: str) -> bytes | None:
        """See `Place.read`."""
        with self._doing("read", "check the address and the permissions"):
            try:
                return bytes(self.filesystem.cat_file(f"{self.root}/{name}"))
            except FileNotFoundError:
                return None

    def sizes(self, below: str) -> dict[str, int]:
        """See `Place.sizes`."""
        with self._doing("read", "check the address and the permissions"):
            self.filesystem.invalidate_cache()
            found = self.filesystem.find(f"{self.root}/{below}", detail=True)
        cut = len(self.filesystem._strip_protocol(self.root)) + 1
        return {path[cut:]: int(info["size"]) for path, info in found.items()}

    def remove(self, names: Collection[str]) -> None:
        """See `Place.remove`."""
        with self._doing("written", "check the permissions"):
            paths = [f"{self.root}/{name}" for name in names]
            there = [path for path in paths if self.filesystem.exists(path)]
            if there:
                self.filesystem.rm(there)

    @contextmanager
    def working(self) -> Iterator[Path]:
        """See `Place.working`; it is a copy, see `publish`."""
        with TemporaryDirectory(prefix="s3-retriever-") as made:
            folder = Path(made) / "index"
            folder.mkdir()
            data = self.read(CATALOGUE)
            self._seen[:] = [_digest(data)]
            if data is not None:
                (folder / CATALOGUE).write_bytes(data)
                version = stored_version(folder)
                for name in version.contents.header.get(ATTACHED, ()) if version else ():
                    self._fetch(name, folder)
            yield folder

    def pieces(self, folder: Path) -> list[Piece]:
        """See `Place.pieces`; what is not beside the folder yet is fetched."""
        for name in self.sizes(PARTS):
            if name.endswith(f"/{CATALOGUE}") and not (folder.parent / name).exists():
                self._fetch(name, folder.parent)
        return read_pieces(folder.parent / PARTS)

    def _fetch(self, name: str, folder: Path) -> None:
        data = self.read(name)
        if data is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    def publish(self, folder: Path) -> None:
        """See `Place.publish`.

        Raises:
            IndexConflictError: somebody else has published there since `working`.
        """
        if [_digest(self.read(CATALOGUE))] != self._seen:
            raise IndexConflictError(
                f"somebody else has changed {self.name} meanwhile; nothing was changed or lost: "
                "type the same again, and only what is missing is read"
            )
        version = stored_version(folder)
        attached = version.contents.header.get(ATTACHED, ()) if version else ()
        there = self.sizes("")
        for name in attached:
            if name not in there:
                self.write(name, (folder / name).read_bytes())
        data = (folder / CATALOGUE).read_bytes()
        self.write(CATALOGUE, data)
        self._seen[:] = [_digest(data)]

    def tidy(self) -> None:
        """See `Place.tidy`; here it cannot be done, and files stay as the workers wrote them."""

    @contextmanager
    def _doing(self, what: str, advice: str) -> Iterator[None]:
        """Say what to do when a store refuses; each kind of store has errors of its own."""
        try:
            yield
        except S3Error:
            raise
        except Exception as error:
            raise IndexFileError(
                f"{self.name} cannot be {what} ({first_line(error)}): {advice}, and type the same "
                "again; nothing that was written there is lost"
            ) from error


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()
