"""Every kind of file becomes readable text, with places that can be cited."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import made_files
from s3_retriever.documents import PLACES, Document
from s3_retriever.errors import InputError, SkippedWarning
from s3_retriever.files import read_files
from s3_retriever.files.headings import sections

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Document]:
    folder = tmp_path_factory.mktemp("files")
    made_files.every_kind(folder)
    return {document.id: document for document in read_files(folder)}


SAID: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "guide.pdf": [
        ("The lighthouse on Gull Point was lit in 1871.", {"page": 1}),
        ("Its keeper, Ada Finch, kept bees", {"page": 2}),
    ],
    "lease.docx": [
        ("is let to Tom Reed", {"section": "Lease of the mill"}),
        ("three months' notice", {"section": "Lease of the mill > Notice"}),
        ("| Quarter | Rent |\n| --- | --- |\n| Spring | 90 pounds |", {}),
    ],
    "bees.pptx": [
        ("# Bees of Gull Point\n\nEleven hives\nTwo swarms", {"slide": 1}),
        ("| Year | Jars |\n| --- | --- |\n| 1902 | 214 |", {"slide": 2}),
        ("Notes: Say that 1902 was the best year.", {"slide": 2}),
    ],
    "costs.xlsx": [
        ("| Lamp oil | 12.5 | 1902-03-04 |", {"sheet": "Costs"}),
        (r"| Wick \| spare | 3 |", {"sheet": "Costs"}),
        ("| Name | Post |\n| --- | --- |\n| Ada Finch | keeper |", {"sheet": "Staff"}),
    ],
    "tides.html": [
        ("High water at Gull Point is at six.", {"section": "Tide tables"}),
        (
            "See the café under the snake_case_name.",
            {"section": "Tide tables > Café hours", "title": "Tide tables"},
        ),
        ("| Monday | 4.1 m |", {}),
    ],
    "keeper.epub": [
        ("The Keeper\nI. Marsh", {"title": "The Keeper"}),
        ("Ada came by boat.", {"section": "Arrival"}),
        ("The fog horn failed.", {"section": "Winter"}),
    ],
    "wind.ipynb": [
        ("Measured at the lamp.", {"cell": 1, "section": "Wind"}),
        ("```python\nprint(speed)\n```\n\n```\n21.4 knots\n```", {"cell": 2}),
    ],
    "rent.eml": [
        ("Subject: Späte Miete\nFrom: Ada <ada@example.org>", {"title": "Späte Miete"}),
        ("Die Miete für März fehlt.\n\nAttached: lease.pdf", {}),
    ],
    "box.mbox": [
        ("The boat is late.", {"message": 1}),
        ("The boat came.", {"message": 2}),
    ],
    "film.srt": [
        ("The lamp must never go out.\n", {"time": "0:00:01"}),
        ("Ships depend on it.", {"time": "0:12:10"}),
    ],
    "mill.rtf": [("The mühle is let.", {})],
}


@pytest.mark.parametrize("name", SAID)
def test_text_and_places(documents: dict[str, Document], name: str) -> None:
    document = documents[name]
    for words, places in SAID[name]:
        start = document.text.index(words)
        assert places.items() <= document.at(start).items()
        assert PLACES not in document.at(start)


def test_what_is_not_said_is_not_read(documents: dict[str, Document]) -> None:
    everything = "\n".join(document.text for document in documents.values())
    for noise in ("base64", "iVBOR", "color: red", "hidden", "Home About", "example.org/far"):
        assert noise not in everything


def test_titles_stand_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<title>Of bees</title><p>They swarm.</p>")
    (document,) = read_files(tmp_path)
    assert document.text == "Of bees\n\nThey swarm."


def test_a_page_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    path = made_files.html(tmp_path / "a.html", "iso-8859-15")
    (document,) = read_files(path)
    assert "Café hours" in document.text


def test_text_keeps_its_characters(tmp_path: Path) -> None:
    texts = {
        "a.md": "# One\r\n\r\ntext  \n## Two ##\n```\n# no heading\n```\nend",
        "b.py": "def lit():\n    return 1871\n",
        "c.csv": "year,lamp\n1871,oil\n1903,electric\n",
        "d.json": '{"lamp": "oil"}\n',
        "e.jsonl": '{"year": 1871}\n{"year": 1903}\n',
        "README": "No suffix.",
        "f.log": "12:00 lit\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode())
    found = {document.id: document for document in read_files(tmp_path)}
    assert {id: document.text for id, document in found.items()} == texts
    assert found["c.csv"].at(texts["c.csv"].index("1903"))["line"] == 3
    assert found["a.md"].at(texts["a.md"].index("end"))["section"] == "One > Two"
    assert found["a.md"].at(0)["section"] == "One"


def test_json_for_machines_gets_lines(tmp_path: Path) -> None:
    value = {"notes": [{"text": f"Note {number} of the keeper"} for number in range(100)]}
    value["image"] = [{"data": "QUJD" * 300}]
    (tmp_path / "a.json").write_text(json.dumps(value))
    (document,) = read_files(tmp_path)
    assert '\n   "text": "Note 7 of the keeper"\n' in document.text
    assert "QUJD" not in document.text and "(1,200 characters of base64)" in document.text


def test_a_file_is_known_by_what_it_holds(tmp_path: Path) -> None:
    made_files.docx(tmp_path / "lease.docx").rename(tmp_path / "lease.txt")
    made_files.pdf(tmp_path / "guide.pdf").rename(tmp_path / "guide.txt")
    guide, lease = read_files(tmp_path)
    assert "Ada Finch" in guide.text and "Tom Reed" in lease.text


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", b"%PDF-1.7 nothing", "is damaged"),
        ("a.docx", b"PK\x03\x04", "is damaged"),
        ("a.docx", b"\xd0\xcf\x11\xe0 locked", "without a password"),
        ("a.docx", made_files.zipped({"word/x": ""}), "is damaged"),
        ("a.pptx", made_files.zipped({"a": ""}), "is damaged"),
        ("a.xlsx", b"no zip", "is damaged"),
        ("a.xlsx", made_files.zipped({"a": ""}), "is damaged"),
        ("a.epub", made_files.zipped({"a": ""}), "is damaged"),
        ("a.epub", b"", "is damaged"),
        ("a.ipynb", b"{}", "is damaged"),
        ("a.ipynb", b"[1", "is damaged"),
        ("a.srt", b"just words", "is damaged"),
        ("a.eml", b"just words", "is no mail"),
        ("a.txt", b"PK\x03\x04\xff\xfe", "is no text"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.txt").write_text("A good note.")
    with pytest.raises(InputError, match=said) as caught:
        read_files(tmp_path)
    assert name in str(caught.value)
    with pytest.warns(SkippedWarning, match=said):
        (good,) = read_files(tmp_path, on_error="skip")
    assert good.text == "A good note."


def test_scanned_and_locked(tmp_path: Path) -> None:
    made_files.pdf(tmp_path / "scan.pdf", ["", ""])
    with pytest.raises(InputError, match=r"no text on any page.*ocrmypdf"):
        read_files(tmp_path / "scan.pdf")
    made_files.encrypted_pdf(tmp_path / "locked.pdf")
    with pytest.raises(InputError, match="is encrypted; type: qpdf"):
        read_files(tmp_path / "locked.pdf")
    made_files.epub(tmp_path / "locked.epub", locked=True)
    with pytest.raises(InputError, match="digital rights"):
        read_files(tmp_path / "locked.epub")
    made_files.pdf(tmp_path / "half.pdf", ["One page.", "", "Another page."])
    with pytest.warns(SkippedWarning, match=r"half\.pdf: page 2 holds no text"):
        (document,) = read_files(tmp_path / "half.pdf")
    assert document.at(document.text.index("Another"))["page"] == 3


def test_deep_nesting_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep.html").write_text("<div>" * 5000 + "The lamp is lit." + "</div>" * 5000)
    (document,) = read_files(tmp_path)
    assert "The lamp is lit." in document.text


def test_sections_of_markdown() -> None:
    text = "intro\n# A *b* `c`\n### [Deep](http://x)\n#no heading\n~~~\n# fence\n~~~\n## Next\n# Z"
    names = [name for _, name in sections(text)]
    assert names == ["A b c", "A b c > Deep", "A b c > Next", "Z"]
    assert all(text[start] == "#" for start, _ in sections(text))
