"""Metadata as it is kept: a copy of what was handed in, as JSON has it, that nobody can change."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import json
import uuid
from collections.abc import Mapping, Set
from os import PathLike, fspath
from typing import Any, NoReturn

import numpy as np

from s3_retriever.errors import InputError

_DEEPEST = 100
_ADVICE = "use str, numbers, bool, None, dates, paths, lists and dicts of these"


def _read_only(self: Any, *_: Any, **__: Any) -> NoReturn:
    raise TypeError(
        "metadata that came out of an index is read-only; change a copy of it: "
        "copy.deepcopy(metadata)"
    )


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed; its deep copy is a plain dict of the caller's own."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _read_only
    clear = pop = popitem = setdefault = update = _read_only

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {name: _thawed(value) for name, value in self.items()}

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _refrozen, (self.__deepcopy__({}),)


class FrozenList(list[Any]):
    """A list that cannot be changed; its deep copy is a plain list of the caller's own."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _read_only
    append = extend = insert = pop = remove = _read_only
    clear = sort = reverse = _read_only

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [_thawed(value) for value in self]

    def __copy__(self) -> list[Any]:
        return list(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _refrozen, (self.__deepcopy__({}),)


def _thawed(value: Any) -> Any:
    return value.__deepcopy__({}) if isinstance(value, FrozenDict | FrozenList) else value


def _refrozen(value: Any) -> Any:
    return _frozen(value, 0)


def freeze(values: Mapping[str, Any], what: str) -> FrozenDict:
    """Copy metadata into the form it is kept in.

    Dates and times become ISO 8601 text, NumPy scalars and arrays numbers and lists, paths, UUIDs
    and exact numbers text, members of enumerations their values, tuples lists.

    Args:
        values: By name.
        what: What they belong to, for the message of an error.

    Raises:
        InputError: a name that is no str, or a value that has no such form; the message names it.
    """
    if isinstance(values, FrozenDict):
        return values
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise InputError(f"{what} has the key {name!r}; keys must be str")
        try:
            name.encode()
            kept[name] = _frozen(value, 0)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{what}: the value of {name!r} cannot be stored as JSON ({error}); {_ADVICE}"
            ) from error
    return FrozenDict(kept)


def plain(value: Any) -> Any:
    """Return a value as it would be kept, or as it is where it could not be kept at all."""
    try:
        return _frozen(value, 0)
    except (TypeError, ValueError):
        return value


def _frozen(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep, or holds itself")
    if isinstance(value, FrozenDict | FrozenList):
        return value
    if isinstance(value, Mapping):
        pairs = [(_name(name), _frozen(item, depth + 1)) for name, item in value.items()]
        if len(dict(pairs)) < len(pairs):
            raise ValueError("two of its keys are the same as text")
        return FrozenDict(pairs)
    if isinstance(value, list | tuple):
        return FrozenList(_frozen(item, depth + 1) for item in value)
    return _scalar(value, depth)


def _scalar(value: Any, depth: int) -> Any:
    if isinstance(value, enum.Enum):
        return _frozen(value.value, depth + 1)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = str.__str__(value)
        text.encode()
        return text
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return _converted(value, depth)


def _converted(value: Any, depth: int) -> Any:
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return _frozen(value.tolist(), depth + 1)
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, uuid.UUID | decimal.Decimal | fractions.Fraction):
        return str(value)
    if isinstance(value, PathLike):
        return _frozen(fspath(value), depth + 1)
    if isinstance(value, Set):
        raise TypeError("a set has no order; make it a list")
    raise TypeError(f"a {type(value).__name__} has no form there")


def _name(name: Any) -> str:
    if isinstance(name, str):
        name.encode()
        return name
    if name is None or isinstance(name, bool | int | float):
        return json.dumps(name)
    raise TypeError(f"a key in it is {name!r}")
