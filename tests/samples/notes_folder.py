"""A user's own folder: a few text files, and questions about them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NOTES = {
    "sea/lamp.txt": "The lighthouse was built in 1871.\r\n"
    "Its lamp is forty\r\n metres high. 🗼 It burns.",
    "bread.md": "Rye bread needs a sour starter. Bakers let the dough rest for a night.",
    "empty.txt": " \n",
    "photo.bin": "no text file by its name",
}


QUESTIONS = [
    {"question": "How high is the lamp?", "evidence": ["lamp is forty metres high"]},
    {"question": "What needs acid?", "evidence": [{"doc_id": "bread.md", "text": "starter"}]},
    {"question": "When?", "evidence": [{"doc_id": "sea/lamp.txt", "start": 28, "end": 32}]},
    {"id": "x", "type": "who", "question": "Who rests?", "answers": "the dough"},
]


def write_lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")


def write_notes(folder: Path) -> Path:
    for name, text in NOTES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    write_lines(folder / "questions.jsonl", QUESTIONS)
    return folder
