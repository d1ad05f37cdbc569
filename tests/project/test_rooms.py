"""The rooms of the package: who may import whom, and that the tests lie beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from importlinter.cli import lint_imports

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "s3_retriever"
GROUND = {"config", "documents", "errors", "folders", "fork", "metadata"}


def rooms() -> set[str]:
    return {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_imports_run_downwards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As pyproject.toml says; `lint-imports` shows the same."""
    monkeypatch.chdir(ROOT)
    code = lint_imports(no_cache=True)
    assert code == os.EX_OK, capsys.readouterr().out


def test_nothing_lies_beside_the_rooms_but_the_ground() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == GROUND | {"__init__", "__main__"}
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and not p.name.startswith("__")}
    assert folders == rooms() | {"data"}


def test_every_room_has_its_tests() -> None:
    tests = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert rooms() <= tests
    assert tests - rooms() == {"integrations", "project"}


def test_the_guide_names_every_room_and_the_ground() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in rooms() | GROUND:
        assert f"`{name}`" in guide, name
