"""Metadata filters: which source documents a search may return."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.metadata import plain

Filter = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""A condition on metadata: a mapping (every entry must hold) or a function of the metadata."""

_MISSING: Any = object()


def _among(value: Any, options: Any) -> bool:
    return any(value == option for option in options)


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "ne": operator.ne,
    "in": _among,
}
"""Comparisons a condition may name, each called with the document's value and the operand."""


def matches(filter: Filter | None, metadata: Mapping[str, Any]) -> bool:
    """Tell whether a document with this metadata passes the filter.

    Args:
        filter: ``None`` (everything passes), a function of the metadata, or a mapping from keys to
            conditions, all of which must hold. A condition is a plain value (equality), a list,
            tuple or set (one of them), or a mapping of operators, all of which must hold:
            ``{"year": {"gte": 1990, "lt": 2000}}``; operators are ``gte``, ``gt``, ``lte``, ``lt``,
            ``ne`` and ``in``. Dates and the like are compared in the form they are kept in (see
            `s3_retriever.metadata.freeze`).
        metadata: The source document's metadata.

    Returns:
        Whether the document may be returned. A key the metadata lacks never matches, except with
        ``ne``; values of kinds that cannot be ordered do not match an order.

    Raises:
        InputError: the filter is neither a mapping nor callable, or names an unknown operator.
    """
    if filter is None:
        return True
    if isinstance(filter, Mapping):
        checks = [(key, _operators(key, plain(value))) for key, value in filter.items()]
        return all(
            _holds(name, metadata.get(key, _MISSING), operand)
            for key, condition in checks
            for name, operand in condition.items()
        )
    if callable(filter):
        return bool(filter(metadata))
    raise InputError(
        f"a filter must be a mapping or a function of the metadata, not {type(filter).__name__}; "
        "for example filter={'topic': 'history'}"
    )


def _operators(key: str, condition: Any) -> Mapping[str, Any]:
    if isinstance(condition, list | tuple | set | frozenset):
        return {"in": condition}
    if not isinstance(condition, Mapping):
        return {"eq": condition}
    unknown = sorted(str(name) for name in condition if name not in OPERATORS)
    if unknown or not condition:
        named = f"unknown operator {unknown[0]!r}" if unknown else "no operator"
        raise InputError(f"filter on {key!r}: {named}; known: {', '.join(OPERATORS)}")
    if isinstance(condition.get("in", ()), str | Mapping):
        raise InputError(f"filter on {key!r}: 'in' takes a list of values")
    return condition


def _holds(name: str, value: Any, operand: Any) -> bool:
    if name == "eq":
        return bool(value == operand)
    if value is _MISSING:
        return name == "ne"
    try:
        return bool(OPERATORS[name](value, operand))
    except TypeError:
        return False
