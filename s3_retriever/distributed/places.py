"""Where workers write to: a folder that all of them share, or an object store, through fsspec."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from s3_retriever.engine.folder_store import FolderStore
from s3_retriever.errors import (
    IndexConflictError,
    IndexFileError,
    InputError,
    MissingExtraError,
    S3Error,
    first_line,
)
from s3_retriever.storage import files as disk
from s3_retriever.storage import holding
from s3_retriever.storage.catalogue import ATTACHED, CATALOGUE, stored_version
from s3_retriever.storage.failures import folder_of, reading, saving
from s3_retriever.storage.journal import TEMPORARY
from s3_retriever.storage.pieces import PARTS
from s3_retriever.storage.writer import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from os import PathLike


class Place(Protocol):
    """Keeps the files of one index; may be pickled. Names are paths below the index."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            IndexFileError: it cannot be written.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none.

        Raises:
            IndexFileError: it cannot be read.
        """
        ...

    def sizes(self, below: str) -> dict[str, int]:
        """Bytes of all files below a folder, by name."""
        ...

    def remove(self, names: Collection[str]) -> None:
        """Remove files where they are there, and folders that are empty then."""
        ...

    def working(self) -> Any:
        """A context that gives a folder of this machine with the catalogue and the bank.

        Raises:
            IndexFileError: the place cannot be written or read, or somebody else is saving there.
        """
        ...

    def publish(self, folder: Path) -> None:
        """Make the catalogue of the folder, and the bank, those of the place."""
        ...

    def tidy(self) -> None:
        """Write many small files anew as few large ones, where that can be done in place."""
        ...


def place_at(output: str | PathLike[str], filesystem: Any = None) -> Place:
    """Return the place of an index.

    Args:
        output: A folder, or the URL of one in an object store, such as ``s3://bucket/notes``.
        filesystem: The fsspec file system that it lies in, where the URL alone does not say.

    Raises:
        InputError: it is no path, or of a kind that is not known.
        MissingExtraError: the package for such URLs is not installed.
    """
    name = str(output)
    if filesystem is not None:
        return BucketPlace(filesystem, name.split("://", 1)[-1].rstrip("/"), name)
    if "://" not in name:
        return FolderPlace(folder_of(output).absolute())
    try:
        from fsspec.core import url_to_fs

        found, root = url_to_fs(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{name} cannot be reached: {first_line(error)}; type: pip install "
            "'s3-retriever[ray]' and the package for such addresses"
        ) from error
    except ValueError as error:
        raise InputError(f"{name} is no address of a folder: {first_line(error)}") from error
    return BucketPlace(found, root.rstrip("/"), name)


@dataclass(frozen=True)
class FolderPlace:
    """A folder that all workers see under the same path.

    Attributes:
        folder: Its absolute path.
    """

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def write(self, name: str, data: bytes) -> None:
        """See `Place.write`."""
        path = self.folder / name
        with saving(self.folder):
            disk.make_folder(path.parent)
            write_whole(path, data)

    def read(self, name: str) -> bytes | None:
        """See `Place.read`."""
        path = self.folder / name
        with reading(self.folder):
            return path.read_bytes() if path.is_file() else None

    def sizes(self, below: str) -> dict[str, int]:
        """See `Place.sizes`."""
        files = (path for path in (self.folder / below).rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in files}

    def remove(self, names: Collection[str]) -> None:
        """See `Place.remove`; what a killed writer left of a file goes too."""
        with saving(self.folder):
            for name in names:
                for path in (self.folder / name, self.folder / (name + TEMPORARY)):
                    disk.remove(path)
            places = {place for name in names for place in Path(name).parents if place.name}
            for place in sorted(places, key=lambda place: len(place.parts), reverse=True):
                folder = self.folder / place
                if place.parts[0] == PARTS and folder.is_dir() and not any(folder.iterdir()):
                    disk.remove_folder(folder)

    @contextmanager
    def working(self) -> Iterator[Path]:
        """See `Place.working`; it is the folder itself, and others are kept from saving there."""
        with holding(self.folder):
            yield self.folder

    def publish(self, folder: Path) -> None:
        """See `Place.publish`; it is so already."""

    def tidy(self) -> None:
        """See `Place.tidy`; tables that are not there yet, as cells of a large text, are made."""
        store = FolderStore(self.folder)
        with holding(self.folder):
            store.save(store.load())


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
            folder = Path(made)
            data = self.read(CATALOGUE)
            self._seen[:] = [_digest(data)]
            if data is not None:
                (folder / CATALOGUE).write_bytes(data)
                version = stored_version(folder)
                for name in version.contents.header.get(ATTACHED, ()) if version else ():
                    self._fetch(name, folder)
            yield folder

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
