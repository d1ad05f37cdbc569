"""What the documentation shows runs as it stands there, each page from top to bottom."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from s3_retriever.config import Weighing

ROOT = Path(__file__).parents[2]
WEIGHING = Weighing()
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
TITLES = [str(page.relative_to(ROOT / "docs")) for page in PAGES]


def text_of(title):
    return (ROOT / "docs" / title).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("few_words", "loaded_once")
@pytest.mark.parametrize("title", [title for title in TITLES if BLOCK.search(text_of(title))])
def test_code_runs(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, names = text_of(title), {"__name__": "docs"}
    for block in BLOCK.finditer(text):
        lines = "\n" * text[: block.start(1)].count("\n")
        exec(compile(lines + block.group(1), str(ROOT / "docs" / title), "exec"), names)


@pytest.mark.parametrize("title", TITLES)
def test_links_lead_to_files(title):
    for target in LINK.findall(text_of(title)):
        assert (ROOT / "docs" / title).parent.joinpath(target).is_file()


@pytest.mark.parametrize("title", TITLES)
def test_every_page_is_in_the_navigation(title):
    assert f": {title}\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_the_reference_names_what_exists():
    names = [name for title in TITLES for name in re.findall(r"^::: (.+)$", text_of(title), re.M)]
    assert len(names) > 15
    for name in names:
        module, _, last = name.rpartition(".")
        assert hasattr(import_module(module), last) or import_module(name)


def names_in(function):
    """Names, attributes and keywords that a function and those it calls in its file use."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ClassDef):
            yield node.name


def names_in_tests(folder):
    """What the bodies of the test functions and test classes of a folder name."""
    for path in sorted(folder.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if getattr(node, "name", "").lower().startswith("test"):
                yield from names_in(node)


def test_the_consumers_named_are_tested():
    used = set(names_in_tests(ROOT / "tests/integrations"))
    assert "asyncio" in used and "Nearest" in used and "BLOCKED" in used
    rows = re.findall(r"^\| (`.+) \|.+\|$", text_of("consumers.md"), re.M)
    assert len(rows) > 15
    for row in rows:
        for name in re.findall(r"`(\w+)`", row):
            assert name in used, name


def test_the_constants_told_are_the_codes():
    text = text_of("how-it-works.md")
    assert f"weight {WEIGHING.bm25}:" in text
    for part in ("place", "whole", "document"):
        weight = f"weight {WEIGHING.weights[part]:g}: the part called `{part}`"
        assert weight in " ".join(text.split()), part
    assert f"is added with the weight {WEIGHING.hop}." in text
    assert f"exp((S(a) − max S) / {WEIGHING.hop_temperature:g})" in text
    assert f"A span that counts less than {WEIGHING.hop_least:g}\ndoes not lead on" in text
    assert f")^{WEIGHING.power:g} · exp(−|S − S'| / {WEIGHING.reach:.0f} characters)" in text
    assert f"about {WEIGHING.span_characters}\ncharacters" in text
