"""What a notebook shows of a search result."""

from __future__ import annotations

from html.parser import HTMLParser

from s3_retriever.documents import Document, Span
from s3_retriever.results import SearchResult

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
    return SearchResult("Is <4> less?", (span,), {}, {"a<b": Document("a<b", TEXT)})


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
