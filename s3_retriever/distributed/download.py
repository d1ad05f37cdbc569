"""An index of an object store comes to this machine; what is here already is not fetched again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.distributed.in_bucket import BucketPlace
from s3_retriever.distributed.places import place_at
from s3_retriever.errors import IndexFileError, InputError
from s3_retriever.storage import files, holding, stored_version
from s3_retriever.storage.catalogue import CATALOGUE
from s3_retriever.storage.failures import damaged, folder_of, saving
from s3_retriever.storage.journal import Journal
from s3_retriever.storage.writer import write_whole

if TYPE_CHECKING:
    from os import PathLike

    from s3_retriever.distributed.places import Place
    from s3_retriever.storage.catalogue import Contents


def download(url: str, folder: str | PathLike[str], *, filesystem: Any = None) -> Path:
    """Fetch an index from an object store.

    Segments never change, so only new ones are fetched; the catalogue comes last, in one step.

    Args:
        url: Of the index, such as ``s3://bucket/notes``.
        folder: Missing, empty, or what was downloaded before.
        filesystem: The fsspec file system, where the URL alone does not say.

    Returns:
        The folder, to be opened with `EndogenousIndex.load`.

    Raises:
        InputError: it is no URL.
        IndexFileError: there is no index, it cannot be read or was cut off, or the folder cannot
            be written.
    """
    place, target = place_at(url, filesystem), folder_of(folder)
    if not isinstance(place, BucketPlace):
        raise InputError(f"{url} is a folder of this machine already: open it as it is")
    with place.working() as copy:
        version = stored_version(copy)
        if version is None:
            raise IndexFileError(
                f"{url} holds no index: it has no {CATALOGUE}; check the address, or build one "
                "there"
            )
        with holding(target):
            _take(place, version.contents, target)
            with saving(target):
                write_whole(target / CATALOGUE, (copy / CATALOGUE).read_bytes())
            Journal(target).sweep(version.contents.files)
    return target


def _take(place: Place, contents: Contents, target: Path) -> None:
    """Fetch the files that are not there; their names are noted first, should this be killed."""
    old = stored_version(target)
    segments = {segment.file: segment.size for segment in contents.segments.values()}
    sizes = segments | {table.file: table.size for table in contents.tables.values()}
    with saving(target):
        Journal(target).note(contents.files ^ (old.contents.files if old else set()))
        for name in sorted(contents.files):
            path = target / name
            if path.is_file() and path.stat().st_size == sizes.get(name, path.stat().st_size):
                continue
            data = place.read(name)
            if data is None or len(data) != sizes.get(name, len(data)):
                raise damaged(Path(str(place)), f"{name} is missing or cut off")
            files.make_folder(path.parent)
            write_whole(path, data)
