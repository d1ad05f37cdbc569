"""The pictures of the page in the documentation, made anew.

    python benchmarks/serve_pictures.py [INDEX]

Needs Chromium, Playwright and Pillow, which the tests install. The default model reads four short
texts of the tests and some pages of Python's own help, unless a
saved index of these is named.
"""

from __future__ import annotations

import sys
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/samples"))

from browsed import browsed, until  # noqa: E402
from s3_retriever import Document, EndogenousIndex  # noqa: E402
from served import listening  # noqa: E402
from small_corpus import DOCUMENTS  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOPICS = ("assignment", "exceptions", "naming", "with", "try", "class", "for", "del", "import")
KEEPER = "Who was the last keeper of the lighthouse?"
COLOURS = 128


def corpus() -> list[Document]:
    """What is asked."""
    pages = [Document(f"python/{name}.txt", topics[name], {"topic": "python"}) for name in TOPICS]
    return [*DOCUMENTS, *pages]


def ask(page: Page, question: str, *, answer: bool = False) -> None:
    """Ask, and wait for the end."""
    page.set_checked("#write", answer)
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector("#list .hit")
    until(page, "document.getElementById('go').textContent === 'Ask'")


def keep(page: Page, name: str) -> None:
    """Write a picture of few colours, which is small."""
    path = ROOT / "docs" / f"{name}.png"
    page.wait_for_timeout(800)
    page.screenshot(path=path)
    with Image.open(path) as shot:
        shot.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


def main() -> None:
    """Build, serve, look."""
    saved = sys.argv[1:]
    index = EndogenousIndex.load(saved[0]) if saved else EndogenousIndex.build(corpus())
    with listening(index) as address:
        with browsed(address, size=(1280, 720)) as page:
            ask(page, KEEPER, answer=True)
            page.wait_for_selector("#list .h9")
            page.click("#words button >> nth=5")
            keep(page, "page")
        with browsed(address, size=(1280, 720), dark=True) as page:
            page.check("#compare")
            ask(page, "When is an exception group split?")
            until(page, "document.querySelectorAll('.column').length === 2")
            page.click(".column:nth-child(2) .hit >> nth=0")
            page.wait_for_selector(".here")
            keep(page, "page-compare")
        with browsed(address, size=(390, 720)) as page:
            ask(page, KEEPER)
            page.wait_for_selector("#list .h9")
            keep(page, "page-phone")


if __name__ == "__main__":
    main()
