"""The text that the shipped bank's SAEs are trained on: varied, in shuffled pieces."""

from __future__ import annotations

import random
import re
from importlib import metadata
from itertools import accumulate
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

from s3_retriever.documents import Document
from s3_retriever.labelled.sets import builtin_sets

if TYPE_CHECKING:
    from pathlib import Path

PIECE = 6000
"""Characters of one training document."""

NOVEL_SHARE = 0.3
"""Share of the pieces of each novel that is used, so that prose does not outweigh the rest."""

PACKAGE_CHARACTERS = 20_000
"""Most characters taken from the description of one installed package."""


def detokenise(text: str) -> str:
    """Undo WikiText's word-level tokenisation."""
    text = text.replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" @.@ ", ".")
    text = re.sub(r" ([.,;:!?)\]%])", r"\1", text)
    text = re.sub(r"([(\[]) ", r"\1", text)
    return re.sub(r" ('s|n't|'re|'ve|'ll|'d|'m)\b", r"\1", text)


def pieces(text: str) -> list[str]:
    """Cut a text at line ends into pieces of about `PIECE` characters."""
    found, start = [], 0
    while start < len(text):
        end = text.find("\n", start + PIECE)
        end = len(text) if end < 0 else end + 1
        if text[start:end].strip():
            found.append(text[start:end])
        start = end
    return found


def descriptions() -> list[str]:
    """Descriptions of the installed packages."""
    names = sorted({d.metadata["Name"] for d in metadata.distributions() if d.metadata["Name"]})
    bodies = (metadata.metadata(name).get_payload() for name in names)
    return [str(body)[:PACKAGE_CHARACTERS] for body in bodies if body and len(str(body)) > 500]


def corpus(folder: Path, seed: int = 0) -> list[Document]:
    """Return the training documents, shuffled.

    Args:
        folder: Text files; those named ``wikitext*`` are detokenised, of others a share is used.
        seed: Of the shuffle and the choice.
    """
    chance = random.Random(seed)
    texts: list[str] = []
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        if path.name.startswith("wikitext"):
            texts += pieces(detokenise(text))
        else:
            texts += [piece for piece in pieces(text) if chance.random() < NOVEL_SHARE]
    for text in (*topics.values(), *descriptions()):
        texts += pieces(text)
    texts += [document.text for labelled in builtin_sets() for document in labelled.documents]
    chance.shuffle(texts)
    return [Document(id=str(number), text=text) for number, text in enumerate(texts)]


def first(documents: list[Document], characters: int | None) -> list[Document]:
    """The first documents, until they have so many characters; None for all."""
    if characters is None:
        return documents
    ends = accumulate(len(document.text) for document in documents)
    return [one for one, end in zip(documents, ends, strict=True) if end <= characters]
