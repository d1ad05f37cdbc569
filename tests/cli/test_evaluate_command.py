"""``s3-retriever eval``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from evaluate_samples import SET
from notes_folder import write_lines, write_notes
from s3_retriever.cli import main
from s3_retriever.evaluate import contenders
from s3_retriever.labelled import load_set
from sentence_folder import write_sentence_folder

if TYPE_CHECKING:
    from pathlib import Path


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
    return write_notes(tmp_path / "notes")


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


def test_folders_of_sentence_transformers_take_part(dataset, tiny_options, tmp_path, capsys):
    said = {"prompts": {"query": "query : "}}
    models = write_sentence_folder(tmp_path / "one"), tmp_path / "two"
    write_sentence_folder(models[1], "Dense", said=said)
    argv = ["eval", dataset, "--json", "-", "--rankers", "two,bm25", *tiny_options]
    for model in models:
        argv += ["--embedding", str(model)]

    def rows():
        assert main(argv) == 0
        return {row["ranker"]: row for row in json.loads(capsys.readouterr().out)["rows"]}

    found = rows()
    assert list(found) == ["two", "bm25", "one", "bm25+one", "bm25+two"]
    argv += ["--prompts", "query : ", "passage : "]
    again = rows()
    assert found["two"]["hits"] == again["two"]["hits"]
    assert found["one"]["hits"] != again["one"]["hits"]


def test_json_alone_on_standard_output(dataset, tiny_options, capsys):
    argv = ["eval", dataset, "--rankers", "bm25", "--json", "-", *tiny_options]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "bm25"


def test_every_variant_on_request(dataset, tiny_options, capsys):
    assert main(["eval", dataset, "--rankers", "bm25", "--variants", *tiny_options]) == 0
    assert capsys.readouterr().out.count("characters, smoothed)") >= 3


@pytest.mark.slow
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
    model = write_sentence_folder(tmp_path / "model")
    capsys.readouterr()
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
        ([dataset, "--embedding", str(tmp_path)], "no modules.json"),
        ([dataset, "--embedding", str(model), "--embedding", str(model)], "another name"),
        ([dataset, "--prompts", "q", "p"], "--embedding"),
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


def test_a_file_of_another_kind_is_not_written_over(dataset, tiny_options, tmp_path, capsys):
    mine = tmp_path / "notes.md"
    mine.write_text("mine")
    for option in ("--json", "--html"):
        assert main(["eval", dataset, "--rankers", "bm25", option, str(mine), *tiny_options]) == 1
        assert "choose another name" in capsys.readouterr().err
    assert mine.read_text() == "mine"
