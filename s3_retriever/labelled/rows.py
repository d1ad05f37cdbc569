"""Files of JSON lines, read so that an error names its line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Row = TypeVar("Row")


def rows(path: Path, make: Callable[[dict[str, Any], int], Row]) -> Iterator[Row]:
    """Read a file of one JSON object a line.

    Args:
        path: The file; blank lines are passed over.
        make: Makes something of an object and the number of its line, from 1.

    Raises:
        InputError: the file cannot be read, a line is not a JSON object, or `make` finds it
            wanting; the message names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path} cannot be read: {said or error}; it must be UTF-8 with a JSON object a line"
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield make(_object(line), number)
        except KeyError as error:
            raise InputError(f"{path}, line {number}: no {error}") from error
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number}: not as it should be ({error})") from error


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise InputError("not a JSON object")
    return row
