"""What workers write becomes one index by one commit: in a folder, and in an object store."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bucket import Bucket
from random_bank import make_bank
from s3_retriever.distributed.download import download
from s3_retriever.distributed.in_bucket import BucketPlace
from s3_retriever.distributed.in_folder import FolderPlace
from s3_retriever.distributed.places import Place, place_at
from s3_retriever.distributed.rows import (
    Row,
    blocks_of,
    check_columns,
    documents_in,
    row_of,
    table_of,
    table_of_documents,
)
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


def test_what_was_read_before_a_stop_is_not_read_again(
    place: Place, tiny_backbone: Backbone, bank: Bank, whole: EndogenousIndex, tmp_path: Path
) -> None:
    read(worker(place, tiny_backbone, bank), DOCUMENTS[1:3])
    again = worker(place, tiny_backbone, bank)
    assert read(again, DOCUMENTS) == [row_of(document) for document in DOCUMENTS]
    assert again.tokens == whole.stats.tokens - sum(len(whole_codes(whole, n)) for n in NAMES[1:3])
    finish(place, DOCUMENTS)
    index = opened(place, tmp_path, tiny_backbone)
    assert list(index.documents) == ["assert", "with", "yield", "break", "class"]
    check_alike(found(index), found(whole))
    third = worker(place, tiny_backbone, bank)
    read(third, DOCUMENTS)
    assert third.tokens == 0
    before = place.read("catalogue.sqlite")
    finish(place, DOCUMENTS)
    assert place.read("catalogue.sqlite") == before


def check_alike(spans: Any, others: Any) -> None:
    """The same spans, with the same scores to rounding: sums are over another order."""
    place = attrgetter("document_id", "start", "end")
    assert [place(span) for span in spans] == [place(span) for span in others]
    assert [span.score for span in spans] == pytest.approx([s.score for s in others], rel=1e-4)


def whole_codes(index: EndogenousIndex, id: str) -> Any:
    return index._corpus.codes[id]


def test_a_worker_that_takes_over_knows_what_the_dead_one_wrote(
    place: Place, tiny_backbone: Backbone, bank: Bank
) -> None:
    first = worker(place, tiny_backbone, bank)
    read(first, DOCUMENTS[:2])
    second = Reader(first._plan, again=True)
    assert read(second, DOCUMENTS[:3]) == [row_of(document) for document in DOCUMENTS[:3]]
    assert 0 < second.tokens < first.tokens + second.tokens
    assert {id for id, _ in second._sink.written} == {*NAMES[:3]}


def test_two_workers_that_read_the_same_and_files_that_were_only_begun(
    place: Place, tiny_backbone: Backbone, bank: Bank, whole: EndogenousIndex, tmp_path: Path
) -> None:
    for _ in range(2):
        read(Reader(worker(place, tiny_backbone, bank)._plan), DOCUMENTS)
    lost = f"segments/{'0' * 32}.safetensors"
    place.write(f"parts/{'0' * 32}/names.json", f'["{lost}"]'.encode())
    place.write(lost, b"half a segment")
    place.write(f"parts/{'1' * 32}/names.json", b'["segm')
    finish(place, DOCUMENTS)
    names = {name for name in place.sizes("") if name.startswith(("segments", "parts"))}
    assert lost not in names and len(names) == 2
    index = opened(place, tmp_path, tiny_backbone)
    assert len(index) == len(DOCUMENTS) and found(index) == found(whole)


def test_texts_that_changed_and_documents_that_are_forgotten(
    place: Place, tiny_backbone: Backbone, bank: Bank, tmp_path: Path
) -> None:
    read(worker(place, tiny_backbone, bank), DOCUMENTS[:3])
    finish(place, DOCUMENTS[:3])
    new = Document("break", "A break statement ends a loop.", {"name": "new"})
    told = Document("class", DOCUMENTS[2].text, {"name": "told"})
    read(worker(place, tiny_backbone, bank), [new, told])
    finish(place, [new, told], gone=["assert"])
    index = opened(place, tmp_path, tiny_backbone)
    assert dict(index.documents) == {"break": new, "class": told}
    read(worker(place, tiny_backbone, bank), [Document("break", "A third text.")])
    finish(place, [DOCUMENTS[0]])
    index = opened(place, tmp_path / "later", tiny_backbone)
    assert index.documents["break"].text == "A third text." and "assert" not in index.documents


def test_another_bank_other_chunks_and_another_model(
    place: Place, tiny_backbone: Backbone, bank: Bank
) -> None:
    reader = worker(place, tiny_backbone, bank)
    read(reader, DOCUMENTS[:1])
    other = make_bank(tiny_backbone, seed=1)
    for given in (Given(other), Given(scan={"chunk_tokens": 32})):
        with site_at(place) as site, pytest.raises(InputError, match="keeps them; leave them out"):
            site.begin(None, given)
    if not isinstance(place, FolderPlace):  # which holds no index then, and is left alone
        data = place.read("catalogue.sqlite") or b""
        place.remove(["catalogue.sqlite"])
        with site_at(place) as site, pytest.raises(InputError, match=r"another bank .* delete"):
            site.begin(other, Given())
        assert place.read("catalogue.sqlite") is None
        place.write("catalogue.sqlite", data)
    stranger = replace(bank, fingerprint="f" * 64)
    with pytest.raises(ModelMismatchError, match="the index was made with the model 'tiny'"):
        Reader(replace(reader._plan, state=replace(reader._plan.state, bank=stranger)))


def test_documents_that_cannot_be_indexed(
    place: Place, tiny_backbone: Backbone, bank: Bank
) -> None:
    rows = [("a", "A text.", "{}"), ("b", " ", "{}"), ("c", "Another.", "[1"), ("d", "Last.", "{}")]
    table = table_of(rows, ("id", "text", "metadata"))
    with pytest.raises(InputError, match=r"'b'.*empty.*on_error='skip'"):
        worker(place, tiny_backbone, bank)(table)
    reader = worker(place, tiny_backbone, bank, strict=False)
    found = [Row(**row) for row in reader(table).to_pylist()]
    assert [bool(row.problem) for row in found] == [False, True, True, False]
    assert "empty" in found[1].problem and "no JSON" in found[2].problem
    assert {id for id, _ in reader._sink.written} == {"d"}  # the first was kept before


def test_the_columns_of_a_dataset() -> None:
    check_columns(["text", "year", "id"])
    with pytest.raises(InputError, match=r"no column 'id', but text; give it one: dataset\.rename"):
        check_columns(["text"])
    table = pa.table({"id": [7], "text": ["A text."], "year": [1961], "shelf": [{"row": 3}]})
    (document,) = documents_in(table)
    assert document == Document("7", "A text.", {"year": 1961, "shelf": {"row": 3}})


def test_blocks_grow_with_the_text_and_none_is_lost() -> None:
    documents = [Document(str(n), "word " * 2000) for n in range(1000)]
    blocks = list(blocks_of(documents, workers=2))
    assert [d for block in blocks for d in block.documents] == documents
    sizes = [block.characters for block in blocks]
    assert sizes[0] == 20_000 and sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes) <= sum(sizes) / 8 + 10_000


def test_a_full_bucket(
    tiny_backbone: Backbone, bank: Bank, whole: EndogenousIndex, tmp_path: Path
) -> None:
    root = str(tmp_path / "store" / "all.s3")
    place = place_at(root, Bucket())
    reader = worker(place, tiny_backbone, bank)
    read(reader, DOCUMENTS[:2])
    full = Reader(replace(reader._plan, place=place_at(root, Bucket(room=20_000))))
    with pytest.raises(IndexFileError, match=r"all\.s3 cannot be written .*full.*: make room"):
        read(full, DOCUMENTS[2:])
    read(worker(place, tiny_backbone, bank), DOCUMENTS)
    finish(place, DOCUMENTS)
    assert found(opened(place, tmp_path, tiny_backbone)) == found(whole)


def test_somebody_else_changed_the_bucket_meanwhile(
    tiny_backbone: Backbone, bank: Bank, tmp_path: Path
) -> None:
    place, other = (place_at(str(tmp_path / "store" / "all.s3"), Bucket()) for _ in range(2))
    read(worker(place, tiny_backbone, bank), DOCUMENTS[:2])
    with site_at(place) as site:
        site.begin(None, Given())
        finish(other, DOCUMENTS[:1])
        read(worker(other, tiny_backbone, bank), DOCUMENTS[2:3])
        with pytest.raises(IndexConflictError, match="somebody else has changed"):
            site.finish(Wanted({}))
    finish(place, DOCUMENTS[:3])
    assert list(opened(place, tmp_path, tiny_backbone).documents) == [*NAMES[:3]]


def test_files_that_workers_wrote_elsewhere_are_missed(
    place: Place, tiny_backbone: Backbone, bank: Bank
) -> None:
    read(worker(place, tiny_backbone, bank), DOCUMENTS[:1])
    catalogue = place.read("catalogue.sqlite")
    (name, *_) = place.sizes("segments")
    data = place.read(name)
    place.remove([name])
    with pytest.raises(IndexFileError, match=f"{name} is not there"):
        finish(place, DOCUMENTS[:1])
    assert place.read("catalogue.sqlite") == catalogue and data is not None
    place.write(name, data)
    finish(place, DOCUMENTS[:1])


def test_a_piece_of_a_newer_release(place: Place, tiny_backbone: Backbone, bank: Bank) -> None:
    read(worker(place, tiny_backbone, bank), DOCUMENTS[:1])
    (name,) = [name for name in place.sizes("parts") if name.endswith("sqlite")]
    data = bytearray(place.read(name) or b"")
    data[60:64] = (99).to_bytes(4, "big")  # user_version
    place.write(f"{name}.new", bytes(data))
    place.remove([name])
    place.write(name, bytes(data))
    with pytest.raises(FormatVersionError, match="pip install --upgrade"):
        finish(place, DOCUMENTS[:1])


def test_addresses_of_outputs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no address of a folder"):
        place_at("nosuch://bucket/all")
    assert place_at(tmp_path) == FolderPlace(tmp_path)
    with pytest.raises(InputError, match="is a folder of this machine already"):
        download(str(tmp_path), tmp_path / "here")
    with pytest.raises(IndexFileError, match=r"holds no index: it has no catalogue\.sqlite"):
        download("memory://nothing/there", tmp_path / "here")


def test_a_download_that_was_cut_off_goes_on(
    tiny_backbone: Backbone, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_at(f"memory://{tmp_path.name}/all.s3")
    for part in (DOCUMENTS[:2], DOCUMENTS[2:]):
        read(worker(place, tiny_backbone, bank), part)
    finish(place, DOCUMENTS)
    cat, fetched = MemoryFileSystem.cat_file, []

    def cut_off(self: Any, path: str, *args: Any, **rest: Any) -> bytes:
        fetched.append(path)
        if "segments" in path and sum("segments" in name for name in fetched) > 2:
            raise ConnectionResetError("the line is cut")
        return bytes(cat(self, path, *args, **rest))

    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "cat_file", cut_off)
        with pytest.raises(IndexFileError, match="the line is cut"):
            opened(place, tmp_path, tiny_backbone)
    assert not (tmp_path / "here" / "catalogue.sqlite").exists()
    fetched.clear()
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda s, p: fetched.append(p) or cat(s, p))
    assert len(opened(place, tmp_path, tiny_backbone)) == len(DOCUMENTS)
    assert sum("segments" in name for name in fetched) == 2
    assert not (tmp_path / "here" / "s3-retriever.unfinished").exists()
