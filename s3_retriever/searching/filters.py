"""Metadata filters: which source documents a search may return."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.metadata import plain

Filter = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""A condition on metadata: a mapping (every entry must hold) or a function of the metadata."""

Predicate = Callable[[Mapping[str, Any]], bool]
_Test = Callable[[Any], bool]

_MISSING: Any = object()


def _equal(value: Any, operand: Any) -> bool:
    if value == operand:
        return True
    return isinstance(value, list) and any(item == operand for item in value)


def _among(value: Any, operands: Iterable[Any]) -> bool:
    return any(_equal(value, operand) for operand in operands)


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": _equal,
    "ne": lambda value, operand: not _equal(value, operand),
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": _among,
    "nin": lambda value, operands: not _among(value, operands),
    "exists": lambda value, wanted: (value is not _MISSING) is wanted,
    "not": lambda value, holds: not holds(value),
}
"""What a condition may name, each called with the document's value and the operand."""

LOGIC: Mapping[str, Callable[[Iterable[bool]], bool]] = {
    "$and": all,
    "$or": any,
    "$not": lambda held: not any(held),
}
"""What may stand in the place of a key, called with which of its filters hold."""


def matches(filter: Filter | None, metadata: Mapping[str, Any]) -> bool:
    """Tell whether a document with this metadata passes the filter.

    A filter is a mapping from keys to conditions, all of which must hold. A condition is

    - a plain value: equality. A list in the metadata equals each of its items as well;
    - a list, tuple or set: one of them;
    - a mapping of operators, all of which must hold, such as ``{"gte": 1990, "lt": 2000}``:
      ``eq``, ``ne``, ``gt``, ``gte``, ``lt``, ``lte``, ``in`` and ``nin`` with a list, ``exists``
      with True or False, and ``not`` with a condition.

    Operators may be written with a ``$``, as Chroma, Pinecone and MongoDB do. In the place of a key
    may stand ``$and`` and ``$or`` with a list of filters, and ``$not`` with a filter.

    A key that the metadata lacks meets ``ne``, ``nin``, a ``not`` of what it does not meet, and
    ``exists`` with False, and nothing else; values of kinds that cannot be ordered do not meet an
    order. Dates and the like are compared in the form they are kept in (see
    `s3_retriever.metadata.freeze`).

    Args:
        filter: Such a mapping, a function of the metadata, or ``None``: everything passes.
        metadata: The source document's metadata.

    Raises:
        InputError: the filter is neither a mapping nor callable, names an unknown operator, or
            gives one an operand that it cannot have.
    """
    return predicate(filter)(metadata)


def predicate(filter: Filter | None) -> Predicate:
    """Make a function of the metadata of a filter, checked as a whole; see `matches`.

    Raises:
        InputError: as for `matches`.
    """
    if filter is None:
        return lambda _: True
    if isinstance(filter, Mapping):
        entries = [_entry(key, condition) for key, condition in filter.items()]
        return lambda metadata: all(entry(metadata) for entry in entries)
    if callable(filter):
        return lambda metadata: bool(filter(metadata))
    raise InputError(
        f"a filter must be a mapping or a function of the metadata, not {type(filter).__name__}; "
        "for example filter={'topic': 'history'}"
    )


def _entry(key: str, condition: Any) -> Predicate:
    if isinstance(key, str) and key.startswith("$"):
        return _joined(key, condition)
    test = _test(key, condition)
    return lambda metadata: test(metadata.get(key, _MISSING))


def _joined(name: str, given: Any) -> Predicate:
    if name not in LOGIC:
        raise InputError(
            f"a filter has no {name!r}; in the place of a key may stand {', '.join(LOGIC)}, and "
            "operators stand behind one: {'year': {'$gte': 1990}}"
        )
    filters = [given] if name == "$not" else given
    if not isinstance(filters, list | tuple) or not filters or None in filters:
        wanted = "a filter: {...}" if name == "$not" else "a list of filters: [{...}, {...}]"
        raise InputError(f"{name!r} takes {wanted}")
    join, parts = LOGIC[name], [predicate(filter) for filter in filters]
    return lambda metadata: join(part(metadata) for part in parts)


def _test(key: str, condition: Any) -> _Test:
    """A condition as a function of the value under its key, `_MISSING` where there is none."""
    if isinstance(condition, list | tuple | set | frozenset):
        condition = {"in": condition}
    if not isinstance(condition, Mapping):
        condition = {"eq": condition}
    if not condition:
        raise InputError(f"filter on {key!r}: no operator; known: {', '.join(OPERATORS)}")
    tests = [_operator(key, name, operand) for name, operand in condition.items()]
    return lambda value: all(test(value) for test in tests)


def _operator(key: str, given: Any, operand: Any) -> _Test:
    name = str(given).removeprefix("$")
    if name not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise InputError(
            f"filter on {key!r}: unknown operator {given!r}; known, also with a $: {known}"
        )
    holds, checked = OPERATORS[name], _operand(key, name, operand)

    def test(value: Any) -> bool:
        try:
            return bool(holds(value, checked))
        except TypeError:
            return False

    return test


def _operand(key: str, name: str, operand: Any) -> Any:
    """What an operator is called with.

    Raises:
        InputError: the operator cannot have it.
    """
    if name == "not":
        return _test(key, operand)
    if name == "exists" and not isinstance(operand, bool):
        raise InputError(f"filter on {key!r}: 'exists' takes True or False, not {operand!r}")
    if name not in ("in", "nin"):
        return plain(operand)
    if isinstance(operand, str | bytes | Mapping) or not isinstance(operand, Iterable):
        raise InputError(f"filter on {key!r}: {name!r} takes a list of values, not {operand!r}")
    return tuple(plain(value) for value in operand)
