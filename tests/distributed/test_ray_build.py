"""Two machines of a Ray cluster read documents into the index that one process makes of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import pytest
import ray
from conftest import make_llama
from ray.cluster_utils import Cluster

from bucket import Bucket
from random_bank import make_bank
from s3_retriever import distributed
from s3_retriever.backbone.cache import CACHE_VARIABLE
from s3_retriever.cli import main
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.errors import InputError, ModelMismatchError
from s3_retriever.fitting.banks import cached_folder
from s3_retriever.storage import verify_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_retriever.backbone import Backbone

DOCUMENTS = [Document(name, topics[name][:6000], {"n": len(name)}) for name in sorted(topics)[:14]]
QUESTION = "How does a with statement treat an exception?"
ROOT = Path(__file__).parents[2]
STORE = 80 * 2**20  # bytes of a machine's object store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Backbone) -> Iterator[str]:
    """The address of two machines with one core each, where a bank for the model is at hand."""
    paths = [ROOT, ROOT / "integrations", ROOT / "tests" / "samples"]
    patched = pytest.MonkeyPatch()
    patched.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))  # for the workers
    patched.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
    make_bank(tiny_backbone).save(cached_folder(tiny_backbone))
    patched.setenv("RAY_worker_niceness", "0")  # or they wait for whoever else is at work
    machine = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
    made = Cluster(True, head_node_args=machine)
    try:
        made.add_node(**machine)
        ray.init(address=made.address, log_to_driver=False)  # or Ray Data connects to it by guess
        yield made.address
    finally:
        ray.shutdown()
        made.shutdown()
        patched.undo()


@pytest.fixture
def given(tiny_options: list[str], cluster: str) -> dict[str, Any]:
    """What `build` is told in all tests."""
    _, model, _, bank = tiny_options
    workers = {"num_cpus": 1, "concurrency": 2, "address": cluster}
    return {"model": model, "bank": bank, "progress": False, **workers}


def found(folder: Path | str, model: str) -> Any:
    assert verify_index(folder).ok
    index = EndogenousIndex.load(folder, model=model)
    return [(span, span.metadata) for span in index.search(QUESTION, k=8, exact=True).spans]


def test_the_command_makes_the_index_of_one_process(
    tiny_options: list[str], cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for document in DOCUMENTS:
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / f"{document.id}.txt").write_text(document.text, encoding="utf-8")

    def run(*argv: str) -> dict[str, Any]:
        code = main(["index", "--sync", str(tmp_path / "texts"), "--json", *argv])
        out, err = capsys.readouterr()
        assert code == 0, err
        return dict(json.loads(out))

    plain, many = str(tmp_path / "plain.s3"), str(tmp_path / "many.s3")
    model, bank = tiny_options[:2], tiny_options[2:]
    one = run("-o", plain, *model, *bank)
    two = run("-o", many, *model, "--ray", cluster, "--workers", "2")  # which finds the bank itself
    same = ("read", "documents", "characters", "tokens", "forgotten")
    assert [two[name] for name in same] == [one[name] for name in same]
    assert found(many, tiny_options[1]) == found(plain, tiny_options[1])
    (tmp_path / "texts" / f"{DOCUMENTS[0].id}.txt").unlink()
    again = run("-o", many, *model, "--ray", cluster)
    assert (again["read"], again["documents"]) == (0, len(DOCUMENTS) - 1)
    assert again["forgotten"] == [f"{DOCUMENTS[0].id}.txt"]


def test_a_worker_that_dies_over_half_a_segment_in_a_bucket(
    given: dict[str, Any], tmp_path: Path
) -> None:
    died = tmp_path / "died"
    bucket, root = Bucket(kills_once=str(died)), str(tmp_path / "store" / "all.s3")
    rows = [{"id": d.id, "text": d.text, **d.metadata} for d in DOCUMENTS]
    texts = ray.data.from_items(rows, override_num_blocks=4)
    report = distributed.build(texts, root, filesystem=bucket, **given)
    assert died.exists()
    assert sorted(report.read) == [document.id for document in DOCUMENTS]
    folder = distributed.download(root, tmp_path / "here", filesystem=bucket)
    EndogenousIndex.build(
        DOCUMENTS, path=tmp_path / "plain", **{n: given[n] for n in ("model", "bank", "progress")}
    )
    assert found(folder, given["model"]) == found(tmp_path / "plain", given["model"])
    named = {path.name for path in (folder / "segments").iterdir()}
    kept = {path.name for path in (tmp_path / "store" / "all.s3" / "segments").iterdir()}
    assert kept == named and not list((tmp_path / "store" / "all.s3").rglob("names.json"))
    assert distributed.build(DOCUMENTS, root, filesystem=bucket, **given).read == ()


def test_another_model_on_the_workers(
    given: dict[str, Any], tiny_llama: Any, tmp_path: Path
) -> None:
    make_llama(tiny_llama[1], seed=1).save_pretrained(tmp_path / "model")
    tiny_llama[1].save_pretrained(tmp_path / "model")
    other = {**given, "model": tmp_path / "model", "concurrency": 1}
    with pytest.raises(ModelMismatchError, match="was made with the model 'tiny'"):
        distributed.build(DOCUMENTS[:1], tmp_path / "all.s3", **other)
    assert len(EndogenousIndex.load(tmp_path / "all.s3", model=given["model"])) == 0


def test_what_no_machine_has_room_for_and_documents_that_clash(
    given: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"has 1 GPUs and 1 CPU cores .*it has 0 and 2 in 2"):
        distributed.build(DOCUMENTS, tmp_path / "all.s3", **{**given, "num_gpus": 1})
    with pytest.raises(InputError, match="concurrency=0 is no number of workers"):
        distributed.build(DOCUMENTS, tmp_path / "all.s3", **{**given, "concurrency": 0})
    with pytest.raises(InputError, match="model must be a name or a path, which each worker"):
        distributed.build(DOCUMENTS, tmp_path / "all.s3", **{**given, "model": object()})
    with pytest.raises(InputError, match="duplicate document id"):
        distributed.build([*DOCUMENTS[:1], *DOCUMENTS[:1]], tmp_path / "all.s3", **given)
    with pytest.raises(InputError, match="no document to index"):
        distributed.build([], tmp_path / "all.s3", **given)
    with pytest.raises(InputError, match="the dataset has no column 'id'"):
        distributed.build(ray.data.from_items([{"text": "A."}]), tmp_path / "all.s3", **given)
    assert not (tmp_path / "all.s3" / "catalogue.sqlite").exists()
