"""A folder that all workers see, as the place of an index."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.engine.folder_store import FolderStore
from s3_retriever.storage import files as disk
from s3_retriever.storage import holding
from s3_retriever.storage.failures import reading, saving
from s3_retriever.storage.journal import TEMPORARY
from s3_retriever.storage.pieces import PARTS, read_pieces
from s3_retriever.storage.writer import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from s3_retriever.storage.pieces import Piece


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

    def pieces(self, folder: Path) -> list[Piece]:
        """See `Place.pieces`."""
        return read_pieces(self.folder / PARTS)

    def publish(self, folder: Path) -> None:
        """See `Place.publish`; it is so already."""

    def tidy(self) -> None:
        """See `Place.tidy`; tables that are not there yet, as cells of a large text, are made."""
        store = FolderStore(self.folder)
        with holding(self.folder):
            store.save(store.load())
