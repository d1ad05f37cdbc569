"""Which store keeps the indexes of a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.engine.folder_store import FolderStore

if TYPE_CHECKING:
    from os import PathLike

    from s3_retriever.engine.store import Store


def store_at(place: str | PathLike[str]) -> Store:
    """Return the store of a place: so far every place is a folder.

    Raises:
        InputError: it is no path.
    """
    return FolderStore(place)
