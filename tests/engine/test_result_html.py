"""What a notebook shows of a search result."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from PIL import Image

from chromium import dom, screenshot, with_chromium
from s3_retriever.documents import Document, Span
from s3_retriever.engine.results import SearchResult, SearchSeconds
from small_corpus import QUESTIONS, SOURCES, small_index

TEXT = "First <b>words</b> of a text & more. " * 5 + "The answer is 4 < 5." + " And so on." * 20


class Marked(HTMLParser):
    """Gathers the text, and what of it is marked; fails on tags left open."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.marked = [], "", []

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "mark" in self.open:
            self.marked.append(data)


def result(start, end):
    parts = {"s3": 1.5, "bm25": 0.25}
    span = Span("a<b", start, end, TEXT[start:end], 1.575, parts, 7)
    return SearchResult("Is <4> less?", (span,), SearchSeconds(), {"a<b": Document("a<b", TEXT)})


def read(found):
    page = Marked()
    page.feed(found._repr_html_())
    assert page.open == []
    return page


def test_spans_are_marked_in_their_surroundings():
    start = TEXT.index("The answer")
    page = read(result(start, start + 20))
    assert page.marked == ["The answer is 4 < 5."]
    assert "Is <4> less?" in page.text
    assert "a<b" in page.text
    assert "score 1.57 (s3 1.5, bm25 0.25)" in page.text
    before, after = page.text.split("The answer is 4 < 5.")
    assert before.endswith("First <b>words</b> of a text & more. ")
    assert "… " in before
    assert after.startswith(" And so on. And")
    assert after.endswith(" …")


def test_a_whole_document_has_nothing_around_it():
    page = read(result(0, len(TEXT)))
    assert "".join(page.marked) == TEXT
    assert "…" not in page.text


@pytest.fixture(scope="module")
def found(default_backbone):
    return small_index(default_backbone).search(QUESTIONS[0], k=3)


def cell(found, paper, ink, script=""):
    """A notebook's cell that shows a result."""
    style = f"background: {paper}; color: {ink}; font: 14px sans-serif"
    return (
        f'<!doctype html><meta charset="utf-8"><body style="{style}">{found._repr_html_()}'
        f"<script>{script}</script></body>"
    )


MEASURE = """
const marks = [...document.querySelectorAll("mark")];
const lit = (mark) => document.elementFromPoint(
  mark.getClientRects()[0].left + 3, mark.getClientRects()[0].top + 3);
document.body.dataset.seen = JSON.stringify({
  texts: marks.map((mark) => mark.textContent),
  visible: marks.map((mark) => lit(mark) === mark),
  colours: marks.map((mark) => getComputedStyle(mark).backgroundColor),
  headings: [...document.querySelectorAll("li > small")].map((node) => node.textContent),
  wide: document.documentElement.scrollWidth - window.innerWidth,
});
"""


@with_chromium
@pytest.mark.parametrize("width", [500, 1000])
def test_a_browser_shows_every_span_in_its_place(found, tmp_path, width):
    page = dom(cell(found, "white", "black", MEASURE), tmp_path, (width, 1000))
    seen = json.loads(unescape(re.search(r'data-seen="(.*?)"', page).group(1)))
    assert seen["texts"] == [SOURCES[s.document_id][s.start : s.end] for s in found]
    assert all(seen["visible"])
    assert set(seen["colours"]) == {"rgb(255, 255, 0)"}
    for heading, span in zip(seen["headings"], found, strict=True):
        assert span.document_id in heading
        assert all(f"{name} {value:.3g}" in heading for name, value in span.parts.items())
    assert seen["wide"] <= 0


@with_chromium
@pytest.mark.parametrize(("paper", "ink"), [("#ffffff", "#000000"), ("#111111", "#dddddd")])
def test_a_screenshot_has_spans_highlighted_on_light_and_dark(found, tmp_path, paper, ink):
    with Image.open(screenshot(cell(found, paper, ink), tmp_path, (800, 600))) as shot:
        counts = {colour: count for count, colour in shot.convert("RGB").getcolors(1 << 24)}
    pixels = sum(counts.values())
    assert counts[255, 255, 0] > pixels / 50
    assert counts[0, 0, 0] > pixels / 2000  # the letters of the spans are black on both
    assert max(counts, key=counts.get) == tuple(bytes.fromhex(paper[1:]))
