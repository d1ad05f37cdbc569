"""The command line: what it prints, what it returns, and what it leaves behind."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import make_llama

from random_bank import make_bank
from s3_retriever import __version__
from s3_retriever.cli import common, demo, main
from s3_retriever.cli.main import COMMANDS, _parse
from s3_retriever.codec import Bank
from s3_retriever.documents import Document
from s3_retriever.engine import folder_store, resolve, streaming
from s3_retriever.engine import index as engine
from s3_retriever.fitting import CalibrateConfig
from s3_retriever.labelled import load_set
from s3_retriever.reading.clock import STAGES
from s3_retriever.reading.scan import scan_groups
from s3_retriever.searching import searcher
from s3_retriever.storage import load_index, verify_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_retriever.backbone import Backbone

HERE = [name for name, (module, _) in COMMANDS.items() if find_spec(module)]
NOTES = {
    "lamp.txt": "The lighthouse at Cape Morrow was built in 1871. Its lamp is forty metres high. "
    "The last keeper, Tomas Ferreira, left the tower in 1961.\r\n",
    "deep/bread.md": "Rye bread needs a sour starter. Bakers let the dough rest for a night. 🍞\n",
    "skipped.bin": "no text file by its name",
}
QUESTION = "Who was the last keeper of the lighthouse?"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    for name, text in NOTES.items():
        write(folder / name, text)
    return folder


@pytest.fixture
def index(notes: Path, tiny_options: list[str], tmp_path: Path, capsys: Any) -> str:
    """An index of the notes by the tiny model."""
    path = str(tmp_path / "notes.s3")
    assert main(["index", str(notes), "-o", path, *tiny_options]) == 0
    capsys.readouterr()
    return path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the documents that are read through a model."""
    ids: list[str] = []

    def spy(backbone: Any, bank: Any, documents: Any, *rest: Any, **more: Any) -> Any:
        for group in scan_groups(backbone, bank, documents, *rest, **more):
            ids.extend(document.id for document, _ in group)
            yield group

    monkeypatch.setattr(streaming, "scan_groups", spy)
    return ids


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def done(capsys: Any, *argv: str) -> str:
    """Run a command that must succeed and say nothing on standard error."""
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return str(out)


def data(capsys: Any, *argv: str) -> Any:
    return json.loads(done(capsys, *argv, "--json"))


def failed(capsys: Any, *argv: str, code: int = 1) -> str:
    """Run a command that must fail with one line on standard error, and return that."""
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("s3-retriever: ") and err.count("\n") == 1 and err.endswith("\n")
    return str(err)


def texts(index: str) -> dict[str, str]:
    return {item.document.id: item.document.text for item in load_index(index).documents}


# --- the command line itself ----------------------------------------------------------------------


@pytest.mark.parametrize("command", HERE)
def test_help_has_examples(command: str, capsys: Any) -> None:
    text = done(capsys, command, "--help")
    assert text.startswith(f"usage: s3-retriever {command}")
    assert "examples:" in text and f"s3-retriever {command}" in text


@pytest.mark.parametrize("command", HERE)
def test_examples_parse(command: str) -> None:
    examples = import_module(COMMANDS[command][0]).EXAMPLES
    found = re.findall(r"s3-retriever (.*?)(?:\s{4,}.*)?$", examples, re.MULTILINE)
    assert found
    for example in found:
        words = shlex.split(example)
        assert words[0] in COMMANDS
        _parse(words)


def test_help_lists_the_commands(capsys: Any) -> None:
    text = done(capsys, "--help")
    assert all(re.search(rf"^ +{name}\b", text, re.MULTILINE) for name in COMMANDS)


def test_version(capsys: Any) -> None:
    assert done(capsys, "--version") == f"s3-retriever {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["index", "notes"],
        ["search", "notes.s3"],
        ["search", "notes.s3", "q", "-k", "many"],
        ["info", "notes.s3", "--misspelt"],
    ],
)
def test_a_wrong_command_line_is_two(argv: list[str], capsys: Any) -> None:
    assert re.search(r"; type: s3-retriever (\w+ )?--help$", failed(capsys, *argv, code=2))


@pytest.mark.slow
def test_runs_as_a_module_and_bears_a_reader_that_leaves(index: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "s3_retriever", "info", index],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(1500) == 1
    process.stderr.close()


# --- reading, searching and answering -------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("loaded_once")
def test_index_search_ask_with_the_default_model(notes: Path, tmp_path: Path, capsys: Any) -> None:
    path = str(tmp_path / "default.s3")
    made = data(capsys, "index", str(notes), "-o", path)
    assert made["read"] == made["documents"] == 2
    assert made["characters"] == len(NOTES["lamp.txt"]) + len(NOTES["deep/bread.md"])
    assert made["tokens"] > 30 and made["bytes_per_token"] > 0

    found = data(capsys, "search", path, QUESTION, "-k", "1")
    (best,) = found["spans"]
    assert best["document"] == "lamp.txt" and "Tomas Ferreira" in best["text"]
    assert NOTES["lamp.txt"][best["start"] : best["end"]] == best["text"]
    assert best["metadata"] == {"path": str(notes.resolve() / "lamp.txt")}
    assert set(best["parts"]) == {"s3", "bm25", "meaning", "document", "whole", "hop"}

    text = done(capsys, "ask", path, QUESTION, "-k", "1", "--max-new-tokens", "4")
    answer, place, evidence = text.splitlines()
    assert answer
    assert place.startswith("[1] lamp.txt, characters ") and "S3 " in place and "BM25 " in place
    assert "Tomas Ferreira" in evidence


@pytest.fixture
def tiny_default(
    tiny_backbone: Backbone, tiny_options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny model in place of the default one."""
    bank = make_bank(tiny_backbone)
    for module in (resolve, engine):
        monkeypatch.setattr(module, "resolve_backbone", lambda *_, **__: tiny_backbone)
        monkeypatch.setattr(module, "resolve_bank", lambda *_: bank)


def test_bench(tiny_default: None, notes: Path, capsys: Any) -> None:
    (notes / "skipped.bin").unlink()
    report = data(capsys, "bench", str(notes), "--quiet", "--chunk-tokens", "64")
    assert report["tokens"] > 30 and report["tokens_per_second"] > 0 and report["stages"]
    assert set(report["stages"]) == set(STAGES)


def test_demo(
    tiny_default: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    documents = [Document("lamp", NOTES["lamp.txt"]), Document("bread", NOTES["deep/bread.md"])]
    monkeypatch.setattr(demo, "topics", lambda: documents)
    monkeypatch.setattr(demo, "QUESTIONS", (QUESTION,))
    path = str(tmp_path / "demo")
    assert main(["demo", "--index", path, "--quiet"]) == 0
    first = capsys.readouterr().out
    assert "reading 2 documents" in first and f"Q  {QUESTION}" in first
    assert "\n[1] " in first and f"s3-retriever ask {path}" in first
    assert all(stage in first for stage in STAGES)
    monkeypatch.setattr(demo, "QUESTIONS", ())
    assert main(["demo", "--index", path]) == 0
    second = capsys.readouterr().out
    assert "saved by an earlier run" in second and "reading" not in second


def test_demo_reads_the_language_reference() -> None:
    documents = demo.topics()
    assert len(documents) > 50
    assert len({document.id for document in documents}) == len(documents)


# --- indexing -------------------------------------------------------------------------------------


def test_updating_reads_only_what_changed(
    notes: Path, index: str, readings: list[str], tiny_options: list[str], capsys: Any
) -> None:
    model = tiny_options[:2]
    assert data(capsys, "index", str(notes), "-o", index, *model)["read"] == 0
    write(notes / "lamp.txt", "The lamp went out.")
    write(notes / "new.txt", "A new note.")
    report = data(capsys, "index", str(notes), "-o", index, *model)
    assert (report["read"], report["documents"]) == (2, 3)
    assert readings == ["lamp.txt", "new.txt"]
    assert texts(index) == {
        "deep/bread.md": NOTES["deep/bread.md"],
        "lamp.txt": "The lamp went out.",
        "new.txt": "A new note.",
    }


def test_indexing_for_people(
    notes: Path, tiny_options: list[str], tmp_path: Path, capsys: Any
) -> None:
    path = str(tmp_path / "notes.s3")
    text = done(capsys, "index", str(notes), "-o", path, "--chunk-tokens", "32", *tiny_options)
    assert text.startswith(f"read 2 of 2 documents into {path}\n")
    assert text.endswith(f"s3-retriever ask {path} 'a question' {' '.join(tiny_options[:2])}\n")


def test_what_to_type_next_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/s3-retriever", "demo"])
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ".venv/bin/s3-retriever ask 'my index' why --model m"
    assert common.command_line("ask", "my index", "why", model="m") == words
    (tmp_path / "s3-retriever").touch(0o755)
    assert common.command_line("info", "x") == "s3-retriever info x"


def test_what_a_folder_holds_besides_text_is_left_out(
    notes: Path, tiny_options: list[str], tmp_path: Path, capsys: Any
) -> None:
    write(notes / ".hidden" / "secret.md", "Hidden text.")
    write(notes / "deep" / ".draft.txt", "A hidden file.")
    write(notes / "blank.md", " \n")
    path = str(tmp_path / "notes.s3")
    assert main(["index", str(notes), "-o", path, *tiny_options]) == 0
    assert capsys.readouterr().err == f"s3-retriever: left out as empty: {notes / 'blank.md'}\n"
    assert texts(path).keys() == {"lamp.txt", "deep/bread.md"}


def test_an_index_keeps_its_bank_and_chunks(
    notes: Path,
    index: str,
    tiny_options: list[str],
    tiny_backbone: Backbone,
    tmp_path: Path,
    capsys: Any,
) -> None:
    argv = ("index", str(notes), "-o", index)
    assert data(capsys, *argv, *tiny_options, "--chunk-tokens", "512")["read"] == 0
    make_bank(tiny_backbone, seed=1).save(tmp_path / "other")
    for other in (["--chunk-tokens", "64"], ["--bank", str(tmp_path / "other")]):
        assert "choose another folder" in failed(capsys, *argv, *tiny_options[:2], *other)


@pytest.mark.parametrize("moment", ["scan", "save"])
def test_an_interrupt_leaves_the_old_index_whole(
    moment: str,
    notes: Path,
    index: str,
    tiny_options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    before = texts(index)

    def interrupted(*_: Any, **__: Any) -> Iterator[Any]:
        raise KeyboardInterrupt

    if moment == "scan":
        monkeypatch.setattr(streaming, "scan_groups", interrupted)
    else:
        monkeypatch.setattr(folder_store, "extend_index", interrupted)
    write(notes / "lamp.txt", "The lamp went out.")
    argv = ("index", str(notes), "-o", index, *tiny_options[:2])
    assert "interrupted" in failed(capsys, *argv, code=130)
    assert texts(index) == before and verify_index(index).ok


def test_standard_input(
    tiny_options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = str(tmp_path / "piped.s3")
    text = "Straße 🗼.\r\nA second line.\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "latin-1"))
    done(capsys, "index", "-", "-o", path, *tiny_options)
    assert texts(path) == {"stdin": text}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\0\xff\0")))
    assert "standard input is no text" in failed(capsys, "index", "-", "-o", path, *tiny_options)


def test_a_folder_with_a_text_files_name_is_walked(
    notes: Path, tiny_options: list[str], tmp_path: Path, capsys: Any
) -> None:
    write(notes / "old.txt" / "inner.TXT", "Inside a folder.")
    path = str(tmp_path / "notes.s3")
    assert data(capsys, "index", str(notes), "-o", path, *tiny_options)["documents"] == 3
    assert "old.txt/inner.TXT" in texts(path)


def test_files_by_name(notes: Path, tiny_options: list[str], tmp_path: Path, capsys: Any) -> None:
    path = str(tmp_path / "files.s3")
    files = [str(notes / "lamp.txt"), str(notes / "skipped.bin")]
    done(capsys, "index", *files, "-o", path, *tiny_options)
    assert list(texts(path)) == ["lamp.txt", "skipped.bin"]


# --- searching and looking ------------------------------------------------------------------------


def test_search_options(index: str, tiny_options: list[str], capsys: Any) -> None:
    model = tiny_options[:2]
    for more in (["--scoring", "coactivation", "--no-bm25"], ["--token-budget", "5"]):
        spans = data(capsys, "search", index, QUESTION, *model, *more)["spans"]
        assert spans
        for span in spans:
            assert NOTES[span["document"]][span["start"] : span["end"]] == span["text"]
    assert sum(span["tokens"] for span in spans) == 5
    lines = done(capsys, "search", index, QUESTION, *model, "--no-bm25").splitlines()
    assert len(lines) % 2 == 0 and "S3 " in lines[0] and "BM25" not in lines[0]


def test_an_exact_search_needs_no_cells(
    index: str, tiny_options: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = data(capsys, "search", index, QUESTION, *tiny_options[:2])["spans"]
    monkeypatch.setattr(searcher, "FAST_FROM", 0)
    monkeypatch.setattr(searcher, "CellAttention", None)
    exact = data(capsys, "search", index, QUESTION, "--exact", *tiny_options[:2])["spans"]
    assert exact == small
    argv = ("ask", index, QUESTION, "--exact", *tiny_options[:2], "--max-new-tokens", "2")
    assert data(capsys, *argv)["spans"]
    with pytest.raises(TypeError):
        main(["search", index, QUESTION, *tiny_options[:2]])


def test_ask_as_json(index: str, tiny_options: list[str], capsys: Any) -> None:
    answer = data(capsys, "ask", index, QUESTION, *tiny_options[:2], "--max-new-tokens", "3")
    assert answer["question"] == QUESTION
    assert isinstance(answer["answer"], str) and answer["spans"]


def test_ask_answers_as_python_does(index: str, tiny_options: list[str], capsys: Any) -> None:
    argv = ("ask", index, QUESTION, *tiny_options[:2], "-k", "2", "--max-new-tokens", "8")
    answer = data(capsys, *argv)
    loaded = engine.EndogenousIndex.load(index, model=tiny_options[1])
    expected = loaded.answer(QUESTION, k=2, max_new_tokens=8)
    assert answer["answer"] == expected.text
    assert [span["id"] for span in answer["spans"]] == [span.id for span in expected.spans]
    assert answer["prompt_tokens"] == expected.prompt_tokens
    assert set(answer["seconds"]) == {"read", "search", "answer"}
    assert done(capsys, *argv).startswith(f"{expected.text}\n[1] ")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_output_that_lacks_characters(
    form: str, index: str, tiny_options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "latin-1"))
    options = ["--json"] if form == "json" else []
    assert main(["search", index, "bread", *tiny_options[:2], *options]) == 0
    if form == "text":
        assert "a night. ?" in written.getvalue().decode("latin-1")
        return
    texts = [span["text"] for span in json.loads(written.getvalue())["spans"]]
    assert any("🍞" in text for text in texts)


def test_info(index: str, capsys: Any) -> None:
    info = data(capsys, "info", index)
    assert info["documents"] == 2 and info["header"]["model_name"] == "tiny"
    assert "documents   2 (" in done(capsys, "info", index)


def test_compact(
    notes: Path, index: str, tiny_options: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one.txt", "two.txt"):
        write(notes / name, f"A text of the name {name}.")
        done(capsys, "index", str(notes), "-o", index, *tiny_options[:2])
    (notes / "lamp.txt").unlink()
    done(capsys, "index", "--sync", str(notes), "-o", index, *tiny_options[:2])
    before, old = texts(index), data(capsys, "info", index)
    assert old["segments"] == 3
    monkeypatch.setattr(resolve, "resolve_backbone", None)  # no model is needed
    sizes = data(capsys, "compact", index)
    new = data(capsys, "info", index)
    assert (
        [sizes[when]["segments"] for when in ("before", "after")] == [3, 1] == [3, new["segments"]]
    )
    assert sizes["after"]["bytes"] == new["segment_bytes"] + new["table_bytes"]
    assert new["segment_bytes"] < old["segment_bytes"]
    assert texts(index) == before and "lamp.txt" not in before
    assert "1 segments of" in done(capsys, "compact", index)
    assert data(capsys, "verify", index)["ok"] is True
    assert "not an index" in failed(capsys, "compact", str(notes))


def test_merge(
    index: str,
    tiny_options: list[str],
    tmp_path: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "more" / "bees.txt", "Bees sleep at night.")
    other, both = str(tmp_path / "more.s3"), str(tmp_path / "both.s3")
    done(capsys, "index", str(tmp_path / "more"), "-o", other, *tiny_options)
    with monkeypatch.context() as patch:
        patch.setattr(resolve, "resolve_backbone", None)  # no model is needed
        assert data(capsys, "merge", index, other, "-o", both)["documents"] == 3
        assert texts(both) == {**texts(index), **texts(other)}
        said = failed(capsys, "merge", index, both, "-o", str(tmp_path / "third.s3"))
    assert "both have a document with the id 'deep/bread.md', 'lamp.txt'" in said
    assert not (tmp_path / "third.s3").exists()
    assert data(capsys, "search", both, "bees", *tiny_options[:2])["spans"]


def test_verify(index: str, capsys: Any) -> None:
    assert done(capsys, "verify", index).startswith("whole: 2 documents")
    assert data(capsys, "verify", index)["ok"] is True
    files = sorted((Path(index) / "segments").iterdir())
    assert len(files) == 2  # codes, and tables made of them
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert file.name in failed(capsys, "verify", index)
        assert main(["verify", index, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["ok"] is False
        file.write_bytes(whole)


def test_verify_looks_at_the_bank_as_well(index: str, capsys: Any) -> None:
    (weights,) = Path(index).glob("bank-*/sae_0/sae_weights.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert weights.name in failed(capsys, "verify", index)


# --- a bank of one's own --------------------------------------------------------------------------


@pytest.mark.slow
def test_calibrate_train_index(
    notes: Path,
    tiny_options: list[str],
    tmp_path: Path,
    capsys: Any,
    readings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("s3_retriever.fitting.default_teacher", lambda _: None)
    quick = partial(CalibrateConfig, place_questions=60)
    monkeypatch.setattr("s3_retriever.fitting.CalibrateConfig", quick)
    model, bank = tiny_options[:2], str(tmp_path / "bank")
    documents = [{"id": name, "text": text} for name, text in NOTES.items()]
    start = NOTES["lamp.txt"].index("The last keeper")
    evidence = [{"doc_id": "lamp.txt", "start": start, "end": start + 30}]
    question = {"id": "1", "question": QUESTION, "evidence": evidence}
    for name, rows in {"documents": documents, "questions": [question]}.items():
        write(tmp_path / "set" / f"{name}.jsonl", "\n".join(map(json.dumps, rows)))

    calibration = str(tmp_path / "calibration")
    argv = ("calibrate", "--dataset", str(tmp_path / "set"), *model, "-o", calibration)
    chosen = data(capsys, *argv, "--depth", "0.5", "--heads", "2")["heads"]
    assert 1 <= len(chosen) <= 2 and all(head["layer"] < 2 for head in chosen)
    assert sum(head["weight"] for head in chosen) == pytest.approx(1, abs=1e-4)
    other = (*argv[:-1], f"{calibration}-2")
    assert f"--calibration {other[-1]}" in done(capsys, *other, "--depth", "0.5")
    assert "nothing is written over" in failed(capsys, *argv)

    (notes / "skipped.bin").unlink()
    own = load_set(tmp_path / "set")
    monkeypatch.setattr("s3_retriever.fitting.builtin_sets", lambda: (own,))
    argv = ("train", str(notes), *model, "--calibration", calibration, "-o", bank)
    argv += ("--latents", "32", "--k", "4", "--steps", "3")
    trained = data(capsys, *argv)
    assert trained["bank"] == bank and trained["training_tokens"] > 30
    other = [f"{bank}-2" if word == bank else word for word in argv]
    assert f"--bank {bank}-2" in done(capsys, *other)
    assert Bank.load(bank).relevance is not None
    assert "nothing is written over" in failed(capsys, *argv)

    path = str(tmp_path / "own.s3")
    assert data(capsys, "index", str(notes), *model, "--bank", bank, "-o", path)["read"] == 2
    assert data(capsys, "search", path, QUESTION, *model)["spans"]
    assert readings == ["deep/bread.md", "lamp.txt"]


# --- errors ---------------------------------------------------------------------------------------


def test_texts_that_cannot_be_read(tmp_path: Path, capsys: Any) -> None:
    out = str(tmp_path / "out.s3")
    assert "check the path" in failed(capsys, "index", str(tmp_path / "gone.txt"), "-o", out)
    (tmp_path / "raw.txt").write_bytes(b"\0\xff\0")
    assert "raw.txt is no text" in failed(capsys, "index", str(tmp_path / "raw.txt"), "-o", out)
    (tmp_path / "empty").mkdir()
    assert "no text there (" in failed(capsys, "index", str(tmp_path / "empty"), "-o", out)
    assert "check the path" in failed(capsys, "index", "long" * 2000, "-o", out)
    (tmp_path / "empty" / os.fsdecode(b"caf\xe9.txt")).write_text("A name from another time.")
    assert "is not UTF-8; rename it" in failed(capsys, "index", str(tmp_path / "empty"), "-o", out)
    write(tmp_path / "blank.txt", " \n")
    blank = str(tmp_path / "blank.txt")
    assert "blank.txt holds no text" in failed(capsys, "index", blank, "-o", out)
    assert not Path(out).exists()


@pytest.mark.parametrize("command", ["index", "train", "calibrate"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    command: str, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    argv = [command] if command == "calibrate" else [command, str(notes)]
    argv += ["--model", str(tmp_path / "never-loaded"), "-o"]
    assert "is a file" in failed(capsys, *argv, str(notes / "lamp.txt" / "out"))
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    assert "is read-only; choose another -o" in failed(capsys, *argv, str(tmp_path / "a" / "out"))
    assert not (tmp_path / "a").exists()


def test_no_index(tmp_path: Path, capsys: Any) -> None:
    gone = str(tmp_path / "gone.s3")
    for argv in (["search", gone, "q"], ["ask", gone, "q"], ["info", gone], ["verify", gone]):
        assert "there is no folder" in failed(capsys, *argv)
    assert "is not an index" in failed(capsys, "info", str(tmp_path))


def test_a_damaged_index(index: str, tiny_options: list[str], capsys: Any) -> None:
    for file in (Path(index) / "segments").iterdir():
        whole = file.read_bytes()
        file.write_bytes(whole[:100])
        assert "damaged" in failed(capsys, "search", index, "q", *tiny_options[:2])
        file.write_bytes(whole)
    (Path(index) / "catalogue.sqlite").write_bytes(b"not a catalogue at all")
    for command in ("search", "ask"):
        assert index in failed(capsys, command, index, "q", *tiny_options[:2])


def test_another_model(
    notes: Path, index: str, tiny_tokenizer: Any, tmp_path: Path, capsys: Any
) -> None:
    other = tmp_path / "other"
    for part in (make_llama(tiny_tokenizer, seed=1), tiny_tokenizer):
        part.save_pretrained(other)
    capsys.readouterr()
    before = texts(index)
    model = ("--model", str(other))
    for argv in (("search", index, "q"), ("index", str(notes), "-o", index)):
        assert "was made with the model 'tiny'" in failed(capsys, *argv, *model)
    assert texts(index) == before
    assert "no/such/model" in failed(capsys, "search", index, "q", "--model", "./no/such/model")


def test_settings_and_questions_that_will_not_do(
    index: str, tiny_options: list[str], tmp_path: Path, capsys: Any
) -> None:
    model = tiny_options[:2]
    assert "k=0 is invalid" in failed(capsys, "search", index, "q", "-k", "0", *model)
    assert "question is empty" in failed(capsys, "search", index, " ", *model)
    message = failed(capsys, "search", index, "q", "--scoring", "atention", *model)
    assert "scoring='atention' is invalid" in message and "did you mean 'attention'" in message
    assert "documents.jsonl" in failed(
        capsys, "calibrate", "--dataset", str(tmp_path), "-o", str(tmp_path / "c"), *model
    )
    write(tmp_path / "a.txt", "Text.")
    train = ("train", str(tmp_path / "a.txt"), *model, "-o", str(tmp_path / "b"))
    assert "steps=0 is invalid" in failed(capsys, *train, "--steps", "0")
    assert "calibration.json" in failed(capsys, *train, "--calibration", str(tmp_path))


def test_the_demo_refuses_a_folder_of_other_things_at_once(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path / "mine.txt", "mine")
    assert "not empty and holds no index" in failed(capsys, "demo", "--index", str(tmp_path))
