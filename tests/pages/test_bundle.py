"""Assets of pages, one by one and in one."""

from __future__ import annotations

import re
from importlib import resources
from itertools import chain

import pytest

from s3_retriever.pages.bundle import SHARED, asset, script, styles

REPORT, PAGE = "s3_retriever.evaluate.report", "s3_retriever.serve"


def names(package):
    return [file.name for file in (resources.files(package) / "assets").iterdir()]


def files(package):
    return [name for name in names(package) if name.endswith((".js", ".css"))]


def test_a_script_holds_all_that_it_imports_once_and_in_order():
    text = script("report.js", REPORT)
    assert text.startswith('"use strict";') and "import " not in text and "export " not in text
    for name in ("function make(", "function painted(", "function showQuestion("):
        assert text.count(name) == 1
    assert text.index("function make(") < text.index("function painted(")
    assert text.index("function painted(") < text.index("function showQuestion(")


def test_styles_come_in_their_order():
    text = styles(("colours.css", "report.css"), REPORT)
    assert text.index("--ink:") < text.index(".tiles")


@pytest.mark.parametrize("name", ["../bundle.py", ".", "", "none.js", "a/b.css"])
def test_nothing_but_assets_is_handed_out(name):
    assert asset(name, PAGE) is None
    with pytest.raises(FileNotFoundError):
        styles((name,), PAGE)


def test_no_name_is_taken_twice():
    own = [*names(REPORT), *names(PAGE), *names(SHARED)]
    assert len(own) == len(set(own))


def test_no_asset_asks_another_host():
    for package in (REPORT, PAGE, SHARED):
        for name in files(package):
            text = asset(name, package)
            assert "//" not in re.sub(
                r"http://www.w3.org/2000/svg|^\s*//.*|;  *//.*", "", text, flags=re.M
            ), name


def test_no_line_stands_in_two_assets():
    """What two pages need is shared."""
    every = [asset(n, p).splitlines() for p in (REPORT, PAGE, SHARED) for n in files(p)]
    long = [line.strip() for line in chain(*every) if len(line.strip()) > 60]
    assert sorted(long) == sorted({*long})
