"""Where workers write to: a folder that all of them share, or an object store, through fsspec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from s3_retriever.distributed.in_bucket import BucketPlace
from s3_retriever.distributed.in_folder import FolderPlace
from s3_retriever.errors import InputError, MissingExtraError, first_line
from s3_retriever.storage.failures import folder_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from os import PathLike
    from pathlib import Path

    from s3_retriever.storage.pieces import Piece


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

    def pieces(self, folder: Path) -> list[Piece]:
        """All pieces of the index that are whole, in the order in which they were written.

        Args:
            folder: See `working`; what must be fetched is put beside it.
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
