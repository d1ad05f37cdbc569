"""Rows, records and lines of code are pieces of a text, and prose is cut as if they were not."""

from __future__ import annotations

import csv
import io
import json
import random

import pytest
from made_tables import FORMATS, made_tables

from s3_retriever.text.pieces import WHOLE, Kind
from s3_retriever.text.prose import MAX_CHARACTERS
from s3_retriever.text.sentences import header_at, pieces, sentences

TABLES = made_tables(12, seed=3)
PROSE = (
    "The lamp was lit every night, in calm and in storm, and the keeper wrote it down.\n"
    "Ships, boats, and barges passed the point, and all of them, in turn, were counted.\n\n"
    "Nobody knows, however, who began the book, when it was bound, or where it is now.\n"
)


def cut(text: str) -> list[tuple[str, str]]:
    """The kind of each piece and the piece; that they tile the text is checked."""
    found = pieces(text)
    assert "".join(text[start:end] for start, end, _ in found) == text
    assert all(start < end for start, end, _ in found)
    return [(kind.name, text[start:end]) for start, end, kind in found]


def own(text: str, kind: str) -> list[str]:
    return [piece.strip() for name, piece in cut(text) if name == kind]


@pytest.mark.parametrize("made", TABLES, ids=lambda made: made.name)
@pytest.mark.parametrize("format", ["CSV", "Markdown"])
@pytest.mark.parametrize("around", ["", PROSE], ids=["alone", "in prose"])
def test_a_row_is_a_piece_and_a_header_is_one(made, format, around):
    text, rows = FORMATS[format](made)
    whole = f"{around}\n{text}\n{around}" if around else text
    assert own(whole, "ROW") == rows
    (header,) = own(whole, "HEADER")
    assert all(column in header for column in made.columns)
    assert header_at(whole, whole.index(rows[5])) == header
    if around:
        assert sorted(own(whole, "PROSE")) == sorted(2 * own(around, "PROSE"))
        assert header_at(whole, 3) == header_at(whole, len(whole)) == ""


@pytest.mark.parametrize("made", TABLES, ids=lambda made: made.name)
@pytest.mark.parametrize("format", ["JSON Lines", "minified JSON"])
def test_a_record_is_a_piece(made, format):
    text, rows = FORMATS[format](made)
    found = own(text, "RECORD")
    assert len(found) == len(rows)
    assert all(row in piece for row, piece in zip(rows, found, strict=True))
    assert found[1].startswith(rows[1])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_cells_may_hold_marks_and_line_ends(mark, end):
    rows = [["name", "note"], ["Ada", f"keeps{mark} bees"], ["Ben", 'says "no"'], ["Cy", "a\n\nb"]]
    table = io.StringIO()
    csv.writer(table, delimiter=mark, lineterminator=end).writerows(rows)
    text = table.getvalue()
    assert [kind for kind, _ in cut(text)] == ["HEADER", "ROW", "ROW", "ROW"]
    assert own(text, "ROW")[2] == "Cy" + mark + '"a\n\nb"'


def test_a_table_may_be_ragged_and_double_spaced():
    lines = ["name,age,town", *(f"n{n},{n},t{n}" for n in range(30))]
    lines[12] += ",more"
    assert own("\n".join(lines), "ROW") == lines[1:]
    assert own("\n\n".join(lines), "ROW") == lines[1:]
    assert own("\n".join([*lines, "That is all, he said"]), "PROSE") == ["That is all, he said"]


@pytest.mark.parametrize(
    "first",
    ["1,2,3", "2024-01-05,7.5,no", "name,name,age", "ann,5,red", "a,,c"],
    ids=["numbers", "a date", "twice the same", "comes again", "unnamed"],
)
def test_a_first_row_without_names_is_no_header(first):
    text = f"{first}\nann,5,red\nben,6,blue\n"
    assert own(text, "HEADER") == [] and len(own(text, "RECORD")) == 3


@pytest.mark.parametrize("header", ["country,2019,2020", ",name,age", "Code;Label;Unit price"])
def test_years_and_an_index_may_be_in_a_header(header):
    mark = ";" if ";" in header else ","
    text = "\n".join([header, *(mark.join([str(n), f"x{n}", "7.5"]) for n in range(4))])
    assert own(text, "HEADER") == [header]


@pytest.mark.parametrize(
    "table",
    [
        "Town | Mayor\n--- | ---\nHalm | Finn\nSenna | Mona\n",
        " town  | mayor\n-------+-------\n Halm  | Finn\n Senna | Mona\n",
        "+-------+-------+\n| Town  | Mayor |\n+=======+=======+\n| Halm  | Finn  |\n"
        "| Senna | Mona  |\n+-------+-------+\n",
        "+-------+-------+\n| Town  | Mayor |\n+=======+=======+\n| Halm  | Finn  |\n"
        "|       | Dorn  |\n+-------+-------+\n| Senna | Mona  |\n+-------+-------+\n",
        "> | Town | Mayor |\n> |---|---|\n> | Halm | Finn |\n> | Senna | Mona |\n",
    ],
    ids=["bare", "database", "grid", "rows of two lines", "quoted"],
)
def test_tables_with_rules(table):
    header, rows = own(table, "HEADER"), own(table, "ROW")
    assert len(header) == 1 and "ayor" in header[0] and "Halm" not in header[0]
    assert ["Halm" in row for row in rows] == [True, False]
    assert ["Senna" in row for row in rows] == [False, True]


def test_a_heading_of_a_few_words_belongs_to_the_header():
    text = f"{PROSE}\n## Prices\n\n| Thing | Price |\n| --- | --- |\n| Nut | 3 |\n"
    assert own(text, "HEADER") == ["## Prices\n\n| Thing | Price |\n| --- | --- |"]


def test_long_rows_are_cut_as_prose_is():
    long = "The mill at Low Ford burnt down in a dry summer and was rebuilt in brick. " * 20
    assert len(long) > WHOLE
    text = f"id,title,body\n1,short,{long}\n2,shorter,{long[:600]}\n3,shortest,none\n"
    rows = own(text, "ROW")
    assert all(len(row) <= MAX_CHARACTERS for row in rows[:-2])
    assert [row[:2] for row in rows[-2:]] == ["2,", "3,"]


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("around", ["", PROSE])
def test_members_of_json_are_kept_whole_whatever_the_white_space(indent, around):
    chance = random.Random(1)
    sizes = [chance.randint(1, 60) for _ in range(40)]
    value = {
        "made": "by hand",
        "items": [{"id": n, "note": "word " * size} for n, size in enumerate(sizes)],
        "names": {f"name{n}": {"of": ["a", n]} for n in range(30)},
        "tail": list(range(300)),
    }
    text = f"{around}{json.dumps(value, indent=indent)}\n"
    found = cut(text)
    starts = {start for start, _ in sentences(text)}
    for record in value["items"]:
        name = f'"id": {record["id"]},'
        begun = text.rindex("{", 0, text.index(name))
        assert begun in starts or record["id"] == 0
    assert all(len(piece) <= WHOLE for _, piece in found)
    for start in starts - {0}:
        assert not (text[start - 1].isalnum() and text[start].isalnum())


def test_what_only_looks_like_json_is_prose():
    for text in (
        "{ int a; return a; }\n",
        "[see the note] below\n",
        '{"open": [1, 2\n',
        "[1] Finn\n",
    ):
        assert {kind for kind, _ in cut(text * 3)} == {"PROSE"}


def test_a_short_fence_is_a_piece_and_a_long_one_is_cut_between_lines():
    short = "```python\nif a:\n\n    b()\n```\n"
    assert own(f"{PROSE}\n{short}\n{PROSE}", "PROSE").count(short.strip()) == 1
    lines = [f"    value_{n} = compute(value_{n}, 'a. B', {n})  # note {n}" for n in range(40)]
    text = "Now:\n\n~~~\n" + "\n".join(lines) + "\n~~~\nAfter it, prose.\n"
    found = own(text, "PROSE")
    assert found[0].startswith("Now:\n\n~~~\n") and found[-2].endswith("~~~")
    ends = {line.strip() for line in lines}
    assert all(any(end in piece for end in ends) for piece in found[:-1])
    assert sum(piece.count("\n") for piece in found[1:-2]) == 0


def test_tables_in_fences_have_rows():
    rows = [f"n{n},{n},a town of some size" for n in range(20)]
    text = "```csv\nname,age,town\n" + "\n".join(rows) + "\n```\n"
    assert own(text, "ROW") == [*rows[:-1], f"{rows[-1]}\n```"]


@pytest.mark.parametrize(
    "text",
    [
        PROSE * 5,
        '"Yes," said Finn, "and no."\n"Then go," said Mona, "at once."\n"I go," he said, "now."\n',
        "x = 1;\ny = 2;\nz = x + y;\nreturn z;\n" * 3,
        "\tfoo()\n\tbar()\n\tbaz()\n",
        "rule ::= one | two\nother ::= three | four\nthird ::= five | six\n",
        "Finn, the keeper\nMona, the baker\nNils, the smith\nOlga, the judge\n",
        "def f(a, b):\n    return g(a, b)\n\ndef h(a, b):\n    return k(a, b)\n",
    ],
    ids=["prose", "dialogue", "code", "tabs", "grammar", "a list", "python"],
)
def test_what_is_no_table_has_no_rows(text):
    assert {kind for kind, _ in cut(text)} == {"PROSE"}


def test_no_word_is_cut_that_is_shorter_than_a_sentence():
    chance = random.Random(2)
    for _ in range(60):
        words = ["".join(chance.choices("abcdefgh", k=chance.randint(1, 250))) for _ in range(30)]
        text = chance.choice([",", "/", " ", "-"]).join(words)
        for start, _ in sentences(text)[1:]:
            assert not (text[start - 1].isalpha() and text[start].isalpha())


def test_a_mark_stays_on_its_letter():
    text = "e\u0301a\u0308" * 400
    assert all(text[start].isalpha() for start, _ in sentences(text))


def test_kinds_are_numbers_that_are_saved():
    assert [int(kind) for kind in Kind] == [0, 1, 2, 3]
