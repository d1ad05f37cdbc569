"""Text as it stands: prose, Markdown, source code, logs, tables in CSV, JSON."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from s3_retriever.files.extract import Extract, RawFile
from s3_retriever.files.headings import sections

_LONG_LINE = 2000  # characters; JSON with one such is written for machines
_BASE64 = re.compile(r"(?:data:[\w/+.-]*;base64,)?[A-Za-z0-9+/\s]{400,}={0,2}")


def read_text(file: RawFile) -> Extract:
    """The text as it is."""
    text, assumed = file.decoded()
    return Extract(text, assumed=assumed)


def read_lines(file: RawFile) -> Extract:
    """The text as it is; lines, which are counted, are its places."""
    text, assumed = file.decoded()
    return Extract(text, {"line": ()}, assumed=assumed)


def read_markdown(file: RawFile) -> Extract:
    """The text as it is; its headings are places."""
    text, assumed = file.decoded()
    found = sections(text)
    return Extract(text, {"section": found} if found else {}, assumed=assumed)


def read_json(file: RawFile) -> Extract:
    """JSON as it is, or, where it is all in a few long lines, a line to each member.

    Long strings of base64 are left out of the latter.
    """
    text, assumed = file.decoded()
    if max(map(len, text.splitlines()), default=0) > _LONG_LINE:
        with suppress(ValueError, RecursionError):  # no JSON after all
            text = json.dumps(_readable(json.loads(text)), ensure_ascii=False, indent=1)
    return Extract(text, {"line": ()}, assumed=assumed)


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, str) and _BASE64.fullmatch(value):
        return f"({len(value):,} characters of base64)"
    return value
