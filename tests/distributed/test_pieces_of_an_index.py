"""What workers write becomes one index by one commit: in a folder, and in an object store."""

from __future__ import annotations

from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bucket import Bucket
from random_bank import make_bank
from s3_retriever.distributed.download import download
from s3_retriever.distributed.places import BucketPlace, FolderPlace, Place, place_at
from s3_retriever.distributed.rows import Row, row_of, table_of_documents
from s3_retriever.distributed.site import site_at
from s3_retriever.distributed.workers import Plan, Reader
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.opening import Given
from s3_retriever.errors import (
    FormatVersionError,
    IndexConflictError,
    IndexFileError,
    InputError,
    ModelMismatchError,
)
from s3_retriever.storage import verify_index
from s3_retriever.storage.pieces import Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

NAMES = ("assert", "break", "class", "with", "yield")
DOCUMENTS = [Document(name, topics[name][:2500], {"name": name}) for name in NAMES]
QUESTION = "How does a with statement treat an exception?"


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture(scope="module")
def whole(tiny_backbone: Backbone, bank: Bank) -> EndogenousIndex:
    return EndogenousIndex.build(DOCUMENTS, model=tiny_backbone, bank=bank, progress=False)


@pytest.fixture(params=["folder", "memory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return place_at(tmp_path / "all.s3")
    if request.param == "memory":
        return place_at(f"memory://{tmp_path.name}/all.s3")
    return place_at(str(tmp_path / "store" / "all.s3"), Bucket())


def worker(place: Place, tiny_backbone: Backbone, bank: Bank, **given: Any) -> Reader:
    """A worker of an index that is begun where it is not."""
    with site_at(place) as site:
        state = site.begin(bank, Given(bank))
        plan = Plan(tiny_backbone, state, place, frozenset(site.known), cells=False, **given)  # type: ignore[arg-type]
    return Reader(plan)


def read(reader: Reader, documents: Sequence[Document]) -> list[Row]:
    return [Row(**row) for row in reader(table_of_documents(documents)).to_pylist()]


def finish(place: Place, documents: Sequence[Document], **also: Any) -> None:
    rows = [row_of(document) for document in documents]
    texts, metadata = ({row.id: row[n] for row in rows} for n in (1, 2))
    with site_at(place) as site:
        site.begin(None, Given())
        site.finish(Wanted(texts, metadata=metadata, **also))


def opened(place: Place, tmp_path: Path, backbone: Backbone) -> EndogenousIndex:
    if isinstance(place, FolderPlace):
        folder = place.folder
    else:
        assert isinstance(place, BucketPlace)
        folder = download(place.name, tmp_path / "here", filesystem=place.filesystem)
    assert verify_index(folder).ok
    return EndogenousIndex.load(folder, model=backbone)


def found(index: EndogenousIndex) -> Any:
    return index.search(QUESTION, k=8, exact=True).spans


def test_it_is_the_index_of_one_process(
    place: Place, tiny_backbone: Backbone, bank: Bank, whole: EndogenousIndex, tmp_path: Path
) -> None:
    late, early = (worker(place, tiny_backbone, bank) for _ in range(2))
    assert read(late, DOCUMENTS[3:]) == [row_of(document) for document in DOCUMENTS[3:]]
    read(early, DOCUMENTS[:3])
    assert len(opened(place, tmp_path, tiny_backbone)) == 0
    finish(place, DOCUMENTS)
    index = opened(place, tmp_path, tiny_backbone)
    assert list(index.documents.values()) == DOCUMENTS
    assert found(index) == found(whole)
    assert index.stats.scan.tokens == whole.stats.tokens == early.tokens + late.tokens
    assert place.sizes("parts") == {}
    (version,) = [name for name in place.sizes("") if name.endswith(".sqlite")]
    assert version == "catalogue.sqlite"
