"""``s3-retriever eval``, and a user's own folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from evaluate_samples import SET
from s3_retriever.cli import main
from s3_retriever.errors import InputError
from s3_retriever.evaluate import contenders, load_folder
from s3_retriever.fitting import load_set

if TYPE_CHECKING:
    from pathlib import Path

NOTES = {
    "sea/lamp.txt": "The lighthouse was built in 1871.\r\n"
    "Its lamp is forty\r\n metres high. 🗼 It burns.",
    "bread.md": "Rye bread needs a sour starter. Bakers let the dough rest for a night.",
    "empty.txt": " \n",
    "photo.bin": "no text file by its name",
}


def write_lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    folder = tmp_path / "small"
    folder.mkdir()
    documents = [{"id": document.id, "text": document.text} for document in SET.documents]
    write_lines(folder / "documents.jsonl", documents)
    questions = [
        {
            "id": question.id,
            "question": question.question,
            "answers": list(question.answers),
            "type": question.kind,
            "evidence": [
                {"doc_id": e.document_id, "start": e.start, "end": e.end} for e in question.evidence
            ],
        }
        for question in SET.questions
    ]
    write_lines(folder / "questions.jsonl", questions)
    return str(folder)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    for name, text in NOTES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    questions = [
        {"question": "How high is the lamp?", "evidence": ["lamp is forty metres high"]},
        {"question": "What needs acid?", "evidence": [{"doc_id": "bread.md", "text": "starter"}]},
        {"question": "When?", "evidence": [{"doc_id": "sea/lamp.txt", "start": 28, "end": 32}]},
        {"id": "x", "type": "who", "question": "Who rests?", "answers": "the dough"},
    ]
    write_lines(folder / "questions.jsonl", questions)
    return folder


def test_files_in_the_format_are_read_as_they_were_written(dataset):
    assert load_set(dataset) == SET


def test_a_comparison_is_printed_and_written(dataset, tiny_options, tmp_path, capsys):
    table, page = tmp_path / "results.json", tmp_path / "report.html"
    argv = [
        "eval",
        dataset,
        "--rankers",
        "attention+bm25,bm25",
        "--budgets",
        "200,500",
        *tiny_options,
    ]
    assert main([*argv, "--limit", "3", "--json", str(table), "--html", str(page)]) == 0
    shown = capsys.readouterr()
    assert "S3 + BM25" in shown.out and "R@200" in shown.out and "best baseline" in shown.out
    assert shown.err == ""
    data = json.loads(table.read_text(encoding="utf-8"))
    assert [row["ranker"] for row in data["rows"]] == ["attention+bm25", "bm25"]
    assert data["budgets"] == [200, 500]
    assert len(data["sets"][0]["questions"]) == 3
    assert data["command"][0] == "s3-retriever"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and SET.questions[0].question in text
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "report.html",
        "results.json",
        "small",
    ]


def test_json_alone_on_standard_output(dataset, tiny_options, capsys):
    argv = ["eval", dataset, "--rankers", "bm25", "--json", "-", *tiny_options]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "bm25"


def test_every_variant_on_request(dataset, tiny_options, capsys):
    assert main(["eval", dataset, "--rankers", "bm25", "--variants", *tiny_options]) == 0
    assert capsys.readouterr().out.count("characters, smoothed)") >= 3


def test_answers_on_request(dataset, tiny_options, capsys):
    argv = ["eval", dataset, "--rankers", "bm25", "--answers", "--limit", "1", *tiny_options]
    assert main(argv) == 0
    assert "NLL of the answer" in capsys.readouterr().out


def test_help_names_every_ranker(capsys):
    assert main(["eval", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in contenders())
    assert "--self" in shown and "questions.jsonl" in shown


def test_what_is_wrong_is_said_in_one_line(dataset, notes, tiny_options, tmp_path, capsys):
    for argv, words in (
        ([str(tmp_path / "nowhere")], "nowhere"),
        ([str(notes)], "--self"),
        ([dataset, "--rankers", "bm52"], "bm52"),
        ([dataset, "--rankers", ","], "at least one ranker"),
        ([dataset, "--budgets", "many"], "--budgets many"),
        ([dataset, "--budgets", "0"], "budgets"),
        ([dataset, "--limit", "0"], "limit=0"),
        ([dataset, "--html", str(tmp_path / "no" / "where.html")], "where.html"),
        ([dataset, dataset], "a name of its own"),
    ):
        assert main(["eval", *argv, *tiny_options]) == 1
        shown = capsys.readouterr()
        assert words in shown.err and shown.err.count("\n") == 1 and not shown.out


def test_a_file_that_cannot_be_written_is_said(dataset, tiny_options, tmp_path, capsys):
    argv = ["eval", dataset, "--rankers", "bm25", "--json", str(tmp_path), *tiny_options]
    assert main(argv) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_folder_of_ones_own(notes, tiny_options, capsys):
    argv = ["eval", "--self", str(notes), "--rankers", "attention,bm25", *tiny_options]
    assert main(argv) == 0
    assert "notes" in capsys.readouterr().out


def test_quotations_are_found_in_the_files(notes):
    labelled = load_folder(notes)
    assert labelled.name == "notes"
    texts = {document.id: document.text for document in labelled.documents}
    assert texts == {name: NOTES[name] for name in ("bread.md", "sea/lamp.txt")}
    quoted = [
        [texts[e.document_id][e.start : e.end] for e in question.evidence]
        for question in labelled.questions
    ]
    assert quoted == [["lamp is forty\r\n metres high"], ["starter"], ["1871"], []]
    assert [question.id for question in labelled.questions] == ["1", "3", "5", "x"]
    assert labelled.questions[3].answers == ("the dough",)
    assert labelled.questions[3].kind == "who"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "Who?"}, "evidence or answers"),
        ({"question": "Who?", "evidence": ["nobody wrote this"]}, "nobody wrote this"),
        ({"question": "Who?", "evidence": [{"doc_id": "bread.md", "text": "lamp"}]}, "bread.md"),
        ({"question": "Who?", "evidence": [{"doc_id": "none", "text": "lamp"}]}, "none"),
        ({"question": "Who?", "evidence": [{"doc_id": "bread.md", "start": 3, "end": 999}]}, "999"),
        ({"question": "Who?", "evidence": [""]}, "quote them"),
        ({"question": "Who?", "evidence": [7]}, "line 1"),
        ({"evidence": ["starter"]}, "question"),
        (["no object"], "line 1"),
    ],
)
def test_a_line_that_will_not_do_is_named(notes, row, words):
    write_lines(notes / "questions.jsonl", [row])
    with pytest.raises(InputError, match=words) as error:
        load_folder(notes)
    assert "questions.jsonl, line 1" in str(error.value)


def test_a_folder_without_texts_or_questions(notes, tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="no text file"):
        load_folder(tmp_path / "bare")
    (notes / "questions.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no question"):
        load_folder(notes)
    (notes / "questions.jsonl").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load_folder(notes)
    (notes / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        load_folder(notes)


def test_a_file_of_another_kind_is_not_written_over(dataset, tiny_options, tmp_path, capsys):
    mine = tmp_path / "notes.md"
    mine.write_text("mine")
    for option in ("--json", "--html"):
        assert main(["eval", dataset, "--rankers", "bm25", option, str(mine), *tiny_options]) == 1
        assert "choose another name" in capsys.readouterr().err
    assert mine.read_text() == "mine"
