"""The report: one page, whole by itself, that works in a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from chromium import dom, screenshot, with_chromium
from evaluate_samples import BEACON, SET, HashedWords, oracle
from random_bank import make_bank
from s3_retriever.evaluate import embedding, evaluate, to_html
from s3_retriever.evaluate.report.browser import browser_data, heat_string
from s3_retriever.evaluate.report.svg import Series, bars, lines, scatter
from s3_retriever.fitting import LabelledQuestion
from s3_retriever.labelled.sets import Evidence
from s3_retriever.searching.heat import Heat

NASTY = "</script><script>document.title='taken'</script><b>&amp; \"what\"?"


@pytest.fixture(scope="module")
def found(tiny_backbone):
    keeper = Evidence("beacon", BEACON.index("The last keeper"), BEACON.index(", left the tower"))
    second = replace(
        SET,
        name="nasty <set>",
        questions=(
            LabelledQuestion("1", NASTY, ("<i>",), (keeper,), "person"),
            *SET.questions[1:],
        ),
    )
    return evaluate(
        [SET, second],
        ["attention+bm25", "attention", "dense", "bm25", *embedding(HashedWords())],
        budgets=(100, 300, 900),
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        heat=3,
        progress=False,
    )


@pytest.fixture(scope="module")
def page(found):
    return to_html(found, ["s3-retriever", "eval", "my notes"], questions=3)


class Outline(HTMLParser):
    """Tags that are open at the end, and every attribute."""

    VOID = ("meta", "input", "br", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_nothing_of_a_network(page):
    outline = Outline(page)
    assert outline.open == []
    assert not {"link", "img", "iframe", "object"} & set(outline.tags)
    for name, value in outline.attributes:
        assert name not in ("src", "srcset", "action")
        assert name != "href" or value.startswith("#")
    assert "url(" not in page and "@import" not in page and "fetch(" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page)
    assert outline.tags.count("svg") == 6


def test_the_page_holds_tables_command_and_machine(page, found):
    for row in found.rows:
        assert f"{row.title} <small>{row.variant}</small>" in page or f">{row.title}<" in page
    for words in (
        "s3-retriever eval &#39;my notes&#39;",
        "By type",
        "versions torch",
        "best baseline",
        "nasty &lt;set&gt;",
        "machine processor",
    ):
        assert words.lower() in page.lower()
    assert "$" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)


def data_of(page):
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    return json.loads(text)


def test_the_data_is_that_of_the_evaluation(page, found):
    data = data_of(page)
    assert data == json.loads(json.dumps(browser_data(found, 3)))
    assert [s["name"] for s in data["sets"]] == ["small", "nasty <set>"]
    assert [len(s["questions"]) for s in data["sets"]] == [3, 3]
    assert data["sets"][0]["total"] == 4
    texts = {document.id: document.text for document in SET.documents}
    for place, stored in enumerate(data["sets"]):
        for number, question in enumerate(stored["questions"]):
            for ranker, row in zip(question["found"], found.rows, strict=True):
                run = row.runs[place]
                assert len(ranker["hits"]) == len(run.hits[number])
                for (document, start, end, *heat), hit in zip(
                    ranker["hits"], run.hits[number], strict=True
                ):
                    assert (start, end) == hit[1:3]
                    assert stored["documents"][document] == [hit[0], texts[hit[0]]]
                    assert bool(heat) == (row.name in ("attention+bm25", "attention"))
                    for code in heat:
                        assert sum(int(length, 36) for length in code[1::2]) == end - start
            assert question["text"] == found.sets[place].questions[number].question


def test_heat_is_written_as_levels_and_lengths():
    heat = Heat(np.array([3, 4, 9, 80]), np.array([[1.0], [1.0], [0.25], [0.0]]))
    assert heat_string(heat, 1.0) == "94550z0z01"
    assert heat_string(heat, 4.0) == "54250z0z01"
    assert heat_string(heat, 0.0) == ""
    assert heat_string(Heat(np.array([]), np.zeros((0, 1))), 1.0) == ""


def test_an_evaluation_without_evidence_or_baseline_still_has_a_page(tiny_backbone):
    questions = (LabelledQuestion("q", "Who?", ("Tomas",), ()),)
    for sets, rankers in (
        ([replace(SET, questions=questions)], ["bm25"]),
        ([SET], [oracle("only", role="ours")]),
    ):
        bank = make_bank(tiny_backbone)
        found = evaluate(sets, rankers, model=tiny_backbone, bank=bank, progress=False)
        page = to_html(found)
        assert Outline(page).open == []
        assert ">nan" not in page and '"nan' not in page
        assert ("<svg" in page) == (rankers != ["bm25"])


def test_charts_stay_inside_their_frame():
    series = [
        Series(f"<{name}>", f"tone-{name}", tuple((float(x), 10.0 * name + x) for x in range(5)))
        for name in range(4)
    ]
    for chart in (lines(series, "x & y", "%"), bars(series, list("abcde"), "%")):
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', chart).groups())
        assert "&lt;2&gt;" in chart and "<2>" not in chart
        numbers = re.findall(r' (x|y|cx|cy)="([-\d.]+)"', chart)
        for name, value in numbers:
            assert 0 <= float(value) <= (width if "x" in name else height)
        for place in re.findall(r"([\d.]+),([\d.]+)", chart):
            assert 0 <= float(place[0]) <= width and 0 <= float(place[1]) <= height


def test_nothing_has_no_logarithm_and_stands_first():
    points = [Series(str(x), "tone-1", ((x, 50.0),)) for x in (0.0, 2.0, 700.0)]
    chart = scatter(points, "bytes", "%")
    xs = [float(x) for x in re.findall(r'cx="([\d.]+)"', chart)]
    assert xs[0] < xs[1] < xs[2]
    assert all(f">{mark}<" in chart for mark in ("0", "1", "10", "100", "1,000"))


PROBE = """
const texts = (where) => [...document.querySelectorAll(where)].map((node) => node.textContent);
const seen = {
  title: document.title,
  rows: texts("#list li"),
  columns: texts(".column > h4"),
  heading: texts("#question > h3"),
  gold: [...document.querySelectorAll(".column")].map((column) =>
    [...column.querySelectorAll(".gold")].map((node) => node.textContent).join("")),
  hot: document.querySelectorAll(".column .h9").length,
  hits: [...document.querySelectorAll(".column .hit")].map((box) => box.textContent),
};
document.body.dataset.seen = JSON.stringify(seen);
"""


def seen(page, folder, *actions):
    script = f"<script>(() => {{ {''.join(actions)} {PROBE} }})();</script></body>"
    text = dom(page.replace("</body>", script), folder)
    assert "Retrieval compared" in text
    return json.loads(unescape(re.search(r'data-seen="(.*?)"', text).group(1)))


def choose(id, value):
    return (
        f"{{ const select = document.getElementById('{id}'); select.value = '{value}';"
        "select.dispatchEvent(new Event('change')); }"
    )


@with_chromium
def test_a_browser_shows_the_first_question(page, found, tmp_path):
    shown = seen(page, tmp_path, choose("budget", 900))
    assert len(shown["rows"]) == 4 and "3 of 4 questions" in shown["rows"][3]
    assert shown["heading"] == [SET.questions[0].question]
    assert shown["columns"][:2] == ["S3 + BM25", "S3"] and len(shown["columns"]) == 3
    assert shown["hot"] > 0
    (place,) = SET.questions[0].evidence
    wanted = BEACON[place.start : place.end]
    assert any(gold == wanted for gold in shown["gold"])  # after two letters beyond 16 bits
    first = found.rows[0].runs[0].hits[0][0]
    texts = {document.id: document.text for document in SET.documents}
    text = texts[first.document_id][first.start : first.end]
    assert shown["hits"][0] == f"1. {first.document_id}, characters {first.start}–{first.end}{text}"


@with_chromium
def test_a_browser_takes_words_as_words_and_follows_its_controls(page, found, tmp_path):
    shown = seen(
        page,
        tmp_path,
        choose("set", 1),
        choose("budget", 100),
        "document.getElementById('heat').click();",
        "document.querySelectorAll('.chips button')[2].click();",
    )
    assert shown["title"].startswith("Retrieval compared")
    assert shown["heading"] == [NASTY]
    assert shown["hot"] == 0
    assert len(shown["columns"]) == 4
    spent = [text.partition("–")[2].lstrip("0123456789") for text in shown["hits"]]
    assert 0 < sum(map(len, spent)) <= 4 * 100


@with_chromium
def test_a_screenshot_is_not_blank(page, tmp_path):
    assert screenshot(page, tmp_path).stat().st_size > 50_000
