"""What the README shows runs as it stands there."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import made_files
from s3_retriever.cli.main import COMMANDS, _parse, main
from s3_retriever.config import ScanConfig, Weighing
from s3_retriever.fitting import builtin_bank, builtin_sets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_retriever.backbone import Backbone

ROOT = Path(__file__).parents[2]
WEIGHING = Weighing()
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"].keys()


class Block(NamedTuple):
    line: int
    text: str


def blocks(language: str) -> list[Block]:
    """The code blocks of a language, and the line at which each begins."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [Block(README[: match.start(1)].count("\n"), match.group(1)) for match in found]


def shell_lines() -> Iterator[list[str]]:
    """The commands of the shell blocks, as words."""
    for block in blocks("sh"):
        for line in block.text.splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words:
                    yield words


def test_there_is_something_to_run() -> None:
    assert len(blocks("python")) >= 3
    assert {words[0] for words in shell_lines()} >= {"make", "pip", "s3-retriever"}


@pytest.mark.slow
@pytest.mark.usefixtures("few_words", "loaded_once")
@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: f"line{block.line + 1}")
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = compile("\n" * block.line + block.text, str(ROOT / "README.md"), "exec")
    exec(code, {"__name__": "readme"})


@pytest.mark.parametrize("words", list(shell_lines()), ids=" ".join)
def test_shell_commands_exist(words: list[str]) -> None:
    if "|" in words:  # another program's text, for ours to read
        words = words[words.index("|") + 1 :]
    program, *arguments = words
    if program == "make":
        (target,) = arguments
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    elif program == "s3-retriever":
        if arguments == ["--help"]:
            return
        assert arguments[0] in COMMANDS
        _parse(arguments)  # exits where an argument is wrong
    else:
        assert program == "pip" and arguments[0] == "install"
        named = re.findall(r"\[(.+)\]", words[-1])
        assert {extra for names in named for extra in names.split(",")} <= EXTRAS


@pytest.mark.slow
@pytest.mark.usefixtures("few_words", "loaded_once")
def test_the_command_line_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    text = "# Contract\n\nThe notice period is three months. Rent is due on the first.\n"
    (tmp_path / "notes/contract.md").write_text(text, encoding="utf-8")
    made_files.pdf(tmp_path / "lease.pdf")
    (tmp_path / "mail/2024").mkdir(parents=True)
    made_files.eml(tmp_path / "mail/2024/letter.eml")
    commands = [words[1:] for words in shell_lines() if words[0] == "s3-retriever"]
    assert [words[0] for words in commands][:3] == ["index", "search", "ask"]
    for words in commands:
        assert main(words) == 0, words
        assert capsys.readouterr().out.strip(), words


def test_tables_are_those_of_the_results() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks/tables.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    for page, costs in tables.PAGES.items():
        text = page.read_text(encoding="utf-8")
        assert "<!-- table:" in text and tables.filled(text, costs=costs) == text, page


def test_the_constants_are_those_chosen() -> None:
    file = ROOT / "benchmarks/results/constants.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    plain = [tried for tried in found["best"] if tried["setting"]["exponent"] == 1]
    assert found["chosen"] == max(plain, key=lambda tried: tried["recall"])["setting"]
    assert found["chosen"] == {
        "exponent": 1,
        "power": WEIGHING.power,
        "reach": WEIGHING.reach,
        "bm25": WEIGHING.bm25,
        "place": WEIGHING.place,
        "whole": WEIGHING.whole,
        "document": WEIGHING.document,
        "hop": WEIGHING.hop,
        "hop_sources": WEIGHING.hop_sources,
        "hop_temperature": WEIGHING.hop_temperature,
    }
    file = ROOT / "benchmarks/results/constants-meaning.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["chosen"] == max(found["best"], key=lambda tried: tried["recall"])["setting"]
    assert found["chosen"].items() <= {"exponent": 1, **dict(WEIGHING)}.items()


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_links_lead_to_files(target: str) -> None:
    assert (ROOT / target).is_file()


def test_the_figures_are_those_of_the_code(default_backbone: Backbone) -> None:
    bank = builtin_bank(default_backbone)
    assert bank is not None
    calibration, scan = bank.calibration, ScanConfig()
    numbers = {5: "five", 6: "six"}
    deepest, layers = max(tap.layer for tap in calibration.taps), default_backbone.spec.layers
    text = " ".join(README.split())
    for claim in (
        f"{numbers[len(calibration.heads)]} heads over {numbers[len(calibration.taps)]} key-value",
        f"ends at layer {deepest + 1} of {layers}",
        f"{sum(len(labelled.questions) for labelled in builtin_sets())} labelled questions",
        f"{bank.width} latents per token",
        f"decays over {WEIGHING.reach:.0f} characters",
        f"weight {WEIGHING.bm25}, what a sentence means with {WEIGHING.meaning}, the best sentence "
        f"of the same document with {WEIGHING.document}, the document as a whole with "
        f"{WEIGHING.whole}.",
        f"about {WEIGHING.span_characters} characters",
        f"({scan.chunk_tokens} + {scan.overlap_tokens} tokens by default)",
    ):
        assert claim in text, claim
