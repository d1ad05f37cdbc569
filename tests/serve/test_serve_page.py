"""The page in a browser: ask, watch the answer stream, open its sources, turn its switches."""

from __future__ import annotations

import threading
from time import sleep

import pytest

from browsed import browsed, until
from chromium import with_chromium
from s3_retriever.answering.decoding import StopStrings
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from served import client, listening
from small_corpus import BY_WORDS, DOCUMENTS, LIGHTHOUSE, QUESTIONS, SOURCES

LONG = "".join(f"Log of day {n}: wind from the west, sea calm.\n" for n in range(1500))
FAR = "The harbour master was Ines Okafor.\n"
COMMON = (
    "[...document.querySelectorAll('.parts span')].some(s => s.textContent === 'words in common')"
)
LISTED = "[...document.querySelectorAll('#list small')]"
WRITTEN = "The last keeper, Tomas Ferreira, left the tower in 1961. That is all."


@pytest.fixture(scope="module")
def index(tiny_backbone, tiny_index):
    """The small corpus and a long log, in whose middle one line matters."""
    log = Document("log/1934 öst.txt", LONG + FAR + LONG, {"topic": "sea", "year": 1934})
    return EndogenousIndex.build(
        [*DOCUMENTS, log],
        model=tiny_backbone,
        bank=tiny_index.bank,
        search=BY_WORDS,
        progress=False,
    )


@pytest.fixture(scope="module")
def address(index):
    with listening(index) as made:
        yield made


@pytest.fixture
def written(monkeypatch):
    """Let the model write what it is told, a piece with each token."""

    def write(self, input_ids, scores, **_):
        done = len(self.text.split())
        words = WRITTEN.split()
        self.text = " ".join(words[: done + 1])
        self._send(len(self.text))
        ended = done + 1 >= len(words) or self.is_cancelled
        return input_ids.new_full((1,), ended).bool()

    monkeypatch.setattr(StopStrings, "__call__", write)


@pytest.fixture
def endless(monkeypatch):
    """Lets the model write on until it is told to stop, which is noted."""
    stopped = threading.Event()

    def write(self, input_ids, scores, **_):
        sleep(0.01)
        self._emit("on and ")
        if self.is_cancelled:
            stopped.set()
        return input_ids.new_full((1,), self.is_cancelled).bool()

    monkeypatch.setattr(StopStrings, "__call__", write)
    return stopped


def ask(page, question, write=False):
    page.set_checked("#write", write)
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector("#list .hit")
    finished(page)


def finished(page):
    until(page, "document.getElementById('go').textContent === 'Ask'")


def texts(page, where):
    return page.locator(where).all_inner_texts()


def test_the_page_and_its_parts_are_handed_out_and_nothing_else(tiny_index):
    with client(tiny_index, token="t") as web:
        page = web.get("/")
        assert (
            page.status_code == 200
            and "default-src 'none'" in page.headers["content-security-policy"]
        )
        kinds = {"ask.js": "text/javascript", "base.css": "text/css", "icon.svg": "image/svg+xml"}
        for name, kind in kinds.items():
            reply = web.get(f"/assets/{name}")
            assert reply.headers["content-type"].startswith(kind)
        for name in ("none.js", "..%2Fapp.py", "%2Fetc%2Fpasswd"):
            assert web.get(f"/assets/{name}").status_code == 404


@with_chromium
def test_an_answer_streams_and_its_citation_opens_the_source(address, written):
    with browsed(address) as page:
        assert "5 documents" in page.inner_text("#about")
        ask(page, QUESTIONS[0], write=True)
        assert page.inner_text("#answer-text").startswith("The last keeper, Tomas Ferreira")
        page.wait_for_selector("#answer-text .cite")
        number = page.inner_text("#answer-text .cite >> nth=0")
        page.click("#answer-text .cite >> nth=0")
        here = page.wait_for_selector("#source-text .here")
        assert here.inner_text() in LIGHTHOUSE and "Tomas Ferreira" in here.inner_text()
        assert page.inner_text("#list [aria-current] .number") == number
        assert "lighthouse" in page.inner_text("#source-name")
        assert "answering" in page.inner_text("#times") and "reading" in page.inner_text("#times")
        page.press("body", "Escape")
        assert page.is_hidden("#source")


@with_chromium
def test_a_word_of_the_question_lights_up_what_it_found(address):
    with browsed(address) as page:
        ask(page, QUESTIONS[0])
        page.wait_for_selector("#list .h9")
        assert texts(page, "#words button") == ["all words", *QUESTIONS[0].split()]
        lit = []
        for n in (1, 5):
            page.focus(f"#words button >> nth={n}")
            assert (
                page.locator("#words [aria-pressed=true]").inner_text()
                == texts(page, "#words button")[n]
            )
            lit.append(texts(page, "#list .h9"))
        assert lit[0] and lit[1] and lit[0] != lit[1]
        parts = texts(page, "#list .hit:first-child .parts span")
        assert "attention" in parts and "words in common" in parts


@with_chromium
def test_switches_change_what_is_found(address):
    with browsed(address) as page:
        ask(page, QUESTIONS[1])
        assert page.inner_text("#list .hit:first-child small").find("bread") >= 0
        page.uncheck("#bm25")
        until(
            page,
            f"document.querySelector('#list .hit') && !{COMMON}",
        )
        finished(page)
        page.check("#bm25")
        until(
            page,
            COMMON,
        )
        finished(page)
        page.click("#add-filter")
        page.select_option("#filters select >> nth=0", "topic")
        page.fill("#filters input", "music")
        page.press("#filters input", "Tab")
        until(
            page,
            f"{LISTED}.length > 0 && {LISTED}.every(s => s.textContent.includes('violin'))",
        )
        page.fill("#filters input", "nothing such")
        page.press("#filters input", "Tab")
        until(page, "document.getElementById('status').textContent.includes('nothing found')")
        page.click("#filters button")
        page.wait_for_selector("#list .hit")
        finished(page)
        page.fill("#k", "2")
        until(page, "document.querySelectorAll('#list .hit').length === 2")


@with_chromium
def test_a_long_document_is_fetched_and_laid_out_where_it_is_looked_at(address):
    with browsed(address) as page:
        fetched = []
        page.on(
            "request", lambda asked: fetched.append(asked.url) if "start=" in asked.url else None
        )
        ask(page, "Who was the harbour master, Ines Okafor?")
        page.click("#list .hit >> nth=0")
        until(
            page,
            "(document.querySelector('#source-text .here') || {textContent: ''}).textContent"
            ".includes('Ines Okafor')",
        )
        blocks = page.locator("#source-text > div").count()
        assert blocks > 40 and 3 <= len(fetched) < blocks / 2
        seen = page.evaluate(
            "() => { const r = document.querySelector('.here').getBoundingClientRect(),"
            " b = document.getElementById('source-text').getBoundingClientRect();"
            " return r.top >= b.top && r.bottom <= b.bottom; }"
        )
        assert seen
        marks = page.locator("#source-margin button")
        assert marks.count() >= 1 and page.locator("#source-margin [aria-current]").count() == 1
        place = page.locator("#source-margin [aria-current]").evaluate(
            "n => parseFloat(n.style.top)"
        )
        assert 45 < place < 55


@with_chromium
def test_side_by_side_with_bm25(address):
    with browsed(address) as page:
        page.check("#compare")
        ask(page, QUESTIONS[2])
        until(page, "document.querySelectorAll('.column').length === 2")
        assert texts(page, ".column h4") == ["S3", "BM25"]
        page.click(".column:nth-child(2) .hit >> nth=0")
        here = page.wait_for_selector("#source-text .here").inner_text()
        assert any(here in text for text in SOURCES.values())


@with_chromium
@pytest.mark.parametrize("size", [(390, 780), (1280, 900)])
def test_it_fits_any_width_and_obeys_the_keyboard(address, size):
    with browsed(address, size=size, dark=True) as page:
        page.press("body", "Tab")
        page.press("body", "/")
        page.keyboard.type(QUESTIONS[0])
        page.set_checked("#write", False)
        page.press("#question", "Enter")
        page.wait_for_selector("#list .hit")
        finished(page)
        page.evaluate("document.activeElement.blur()")
        for _ in range(1 if size[0] > 1100 else 2):  # a wide page opens the first by itself
            page.keyboard.press("j")
        assert page.locator("#list .hit").nth(1).get_attribute("aria-current") is not None
        page.wait_for_selector("#source-text .here")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0]
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(15, 19, 26)"
        page.keyboard.press("Escape")
        page.click("#theme")
        assert page.evaluate(ground) == "rgb(245, 246, 249)"


@with_chromium
def test_an_answer_stops_when_told(address, endless):
    with browsed(address) as page:
        page.set_checked("#write", True)
        page.fill("#question", QUESTIONS[0])
        page.press("#question", "Enter")
        until(page, "document.getElementById('go').textContent === 'Stop'")
        page.wait_for_selector("#list .hit")
        page.click("#go")
        finished(page)
    assert endless.wait(60)


@with_chromium
def test_a_token_in_the_address_opens_a_guarded_server(tiny_index):
    with (
        listening(tiny_index, token="secret", hosts=None) as address,
        browsed(f"{address}/#token=secret") as page,
    ):
        assert "4 documents" in page.inner_text("#about")
        assert "secret" not in page.url
