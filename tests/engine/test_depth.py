"""One word chooses how far the model reads, and an index keeps what it was made with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from random_bank import make_bank
from s3_retriever import EndogenousIndex
from s3_retriever.cli.main import main
from s3_retriever.errors import InputError
from s3_retriever.evaluate.rankers.bench import Bench
from s3_retriever.fitting import builtin_bank, shipped
from s3_retriever.fitting.banks import taps_at_hand
from s3_retriever.fitting.depth import SHARES, depth_of

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone

TEXTS = ["Ada Finch kept the lighthouse on Gull Point.", "The mill at Low Ford burnt down in 1871."]
LAYERS = {"fast": 1, "full": 2}


@pytest.fixture(autouse=True)
def banks(tiny_backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with two banks for the tiny model."""
    folder = tmp_path / "banks"
    for word, layers in LAYERS.items():
        bank = make_bank(tiny_backbone, layers=layers, depth=SHARES[word])
        bank.save(folder / f"tiny-{word}")
    monkeypatch.setattr(shipped, "ROOT", folder)
    return folder


def build(backbone: Backbone, **arguments: Any) -> EndogenousIndex:
    return EndogenousIndex.build(TEXTS, model=backbone, progress=False, **arguments)


def layers_of(index: EndogenousIndex) -> int:
    return max(tap.layer for tap in index.bank.calibration.taps) + 1


@pytest.mark.parametrize(("given", "kept"), [(None, "full"), ("full", "full"), ("fast", "fast")])
def test_a_word_chooses_the_bank(tiny_backbone: Backbone, given: Any, kept: str) -> None:
    index = build(tiny_backbone, depth=given)
    assert layers_of(index) == LAYERS[kept] and depth_of(index.bank) == kept
    assert index.search("Who kept the lighthouse?").spans
    assert layers_of(EndogenousIndex.empty(model=tiny_backbone, depth=given)) == LAYERS[kept]


def test_a_loaded_index_needs_no_word(tiny_backbone: Backbone, tmp_path: Path) -> None:
    build(tiny_backbone, depth="fast").save(tmp_path / "saved")
    index = EndogenousIndex.load(tmp_path / "saved", model=tiny_backbone)
    index.add(["Bees were kept behind the mill."])
    assert layers_of(index) == LAYERS["fast"] and len(index) == 3


def test_a_folder_keeps_its_depth(tiny_backbone: Backbone, tmp_path: Path) -> None:
    for depth in ("fast", None, "fast"):
        index = build(tiny_backbone, path=tmp_path / "kept", depth=depth)
        assert layers_of(index) == LAYERS["fast"]
    with pytest.raises(
        InputError, match="was made with depth='fast' and keeps it, and depth='full'"
    ):
        build(tiny_backbone, path=tmp_path / "kept", depth="full")
    own = make_bank(tiny_backbone)
    build(tiny_backbone, path=tmp_path / "own", bank=own)
    with pytest.raises(InputError, match=r"made with a bank of its own .*choose another folder"):
        build(tiny_backbone, path=tmp_path / "own", depth="fast")


@pytest.mark.parametrize("word", ["deep", 0.17, ["fast"]])
def test_other_words_are_refused(tiny_backbone: Backbone, word: Any) -> None:
    with pytest.raises(InputError, match=r"'full', the first third .* calibrate --depth SHARE"):
        build(tiny_backbone, depth=word)


def test_a_bank_has_its_own_depth(tiny_backbone: Backbone, tmp_path: Path) -> None:
    bank = make_bank(tiny_backbone)
    for path in (None, tmp_path / "new"):
        with pytest.raises(InputError, match="leave out one of them"):
            build(tiny_backbone, path=path, bank=bank, depth="full")


def test_two_depths_are_not_merged(tiny_backbone: Backbone, tmp_path: Path) -> None:
    folders = [tmp_path / word for word in LAYERS]
    for folder in folders:
        build(tiny_backbone, depth=folder.name).save(folder)
    with pytest.raises(InputError, match=r"two banks \(depth='fast' and depth='full'\); build"):
        EndogenousIndex.merge(folders, tmp_path / "both", model=tiny_backbone)


def test_an_evaluation_takes_the_word(tiny_backbone: Backbone) -> None:
    documents = tuple(build(tiny_backbone).documents.values())
    assert depth_of(Bench(documents, tiny_backbone, depth="fast").bank) == "fast"


def test_what_is_not_there_is_not_found(tiny_backbone: Backbone, banks: Path) -> None:
    (banks / "tiny-fast" / "bank.json").unlink()
    assert builtin_bank(tiny_backbone, "fast") is None
    taps, known = taps_at_hand(tiny_backbone, "fast")
    assert not known and {tap.layer for tap in taps} == {0}
    assert {tap.layer for tap in taps_at_hand(tiny_backbone)[0]} == {0, 1}


@pytest.fixture
def command(tiny_options: list[str], tmp_path: Path, capsys: Any) -> Any:
    """Run a command with the tiny model and return what it prints, as JSON."""
    (tmp_path / "notes").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / "notes" / f"{number}.txt").write_text(text, encoding="utf-8")

    def run(*words: str) -> Any:
        capsys.readouterr()
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_the_word_on_the_command_line(
    command: Any, tiny_options: list[str], tmp_path: Path, tiny_backbone: Backbone, capsys: Any
) -> None:
    model, output = tiny_options[:2], str(tmp_path / "notes.s3")
    words = ["index", str(tmp_path / "notes"), "-o", output, *model, "--quiet"]
    assert command(*words, "--depth", "fast")["read"] == 2
    assert layers_of(EndogenousIndex.load(output, model=tiny_backbone)) == LAYERS["fast"]
    assert command(*words)["read"] == 0
    assert command(*words, "--dry-run")["tokens"] == 0
    assert main([*words, "--depth", "full"]) == 1
    assert "keeps it, and depth='full' is asked for" in capsys.readouterr().err
    found = command("check", model[1], "--depth", "fast", "--quiet")
    assert found["depth"] == "fast" and {tap["layer"] for tap in found["taps"]} == {0}


def test_a_share_that_is_none(capsys: Any, tmp_path: Path) -> None:
    assert main(["calibrate", "--depth", "half", "-o", str(tmp_path / "new")]) == 2
    assert "'half' is no share of the layers: give one such as 0.25" in capsys.readouterr().err
