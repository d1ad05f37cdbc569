"""Styles and scripts from their folders: one by one for a server, or all in one for a file."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

SHARED = "s3_retriever.pages"
"""The package whose folder ``assets`` every page takes from."""

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|class)", re.MULTILINE)


@cache
def asset(name: str, package: str) -> str | None:
    """Read a file of a page.

    Args:
        name: Of the file.
        package: In whose folder ``assets`` it lies, unless it is shared.

    Returns:
        Its text, or None where there is none.
    """
    for home in (package, SHARED):
        file = resources.files(home) / "assets" / name
        if "/" not in name and not name.startswith(".") and file.is_file():
            return file.read_text(encoding="utf-8")
    return None


def styles(names: tuple[str, ...], package: str) -> str:
    """The text of several style sheets, one after the other."""
    return "\n".join(_known(name, package) for name in names)


def script(name: str, package: str) -> str:
    """A module and all that it imports as one script that imports nothing.

    A page that is one file cannot import modules. Their names share one function's scope, so no
    two modules of a page may define the same name at their top level.

    Args:
        name: Of the module that begins.
        package: In whose folder it lies.
    """
    taken: dict[str, str] = {}
    _take(name, package, taken)
    return '"use strict";\n(() => {\n' + "\n".join(taken.values()) + "\n})();"


def _take(name: str, package: str, taken: dict[str, str]) -> None:
    """Put what a module imports before it."""
    text = _known(name, package)
    for needed in _IMPORT.findall(text):
        if needed not in taken:
            _take(needed, package, taken)
    taken[name] = _EXPORT.sub("", _IMPORT.sub("", text)).strip()


def _known(name: str, package: str) -> str:
    text = asset(name, package)
    if text is None:
        raise FileNotFoundError(f"{package} has no asset {name}")
    return text
