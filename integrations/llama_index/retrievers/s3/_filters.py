"""LlamaIndex's metadata filters as the core's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from llama_index.retrievers.s3._conversion import shown
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from s3_retriever.searching.filters import Filter

_COMBINE: Mapping[FilterCondition, Callable[[Iterable[bool]], bool]] = {
    FilterCondition.AND: all,
    FilterCondition.OR: any,
    FilterCondition.NOT: lambda held: not any(held),
}
_OF_LISTS = (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL)
_OF_TEXTS = (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE)


def to_filter(filters: MetadataFilters | Filter | None) -> Filter | None:
    """Turn LlamaIndex filters, nested ones too, into a function of the metadata.

    Each operator means what it means to LlamaIndex's own stores, but values that cannot be compared
    do not match. A mapping is already what the core takes, and a function is given the metadata as
    it was handed in.

    Raises:
        InputError: an operator with a value that it can do nothing with.
    """
    if not isinstance(filters, MetadataFilters):
        return _of_shown(filters) if callable(filters) else filters
    parts = [to_filter(f) if isinstance(f, MetadataFilters) else _leaf(f) for f in filters.filters]
    combine = _COMBINE[filters.condition or FilterCondition.AND]
    return lambda metadata: combine(part(metadata) for part in parts)  # type: ignore[operator,misc]


def _of_shown(filter: Callable[[Mapping[str, Any]], bool]) -> Filter:
    return lambda metadata: filter(shown(metadata))


def _leaf(leaf: MetadataFilter) -> Callable[[Mapping[str, Any]], bool]:
    _check(leaf)
    passes: Any = build_metadata_filter_fn(_itself, MetadataFilters(filters=[leaf]))

    def holds(metadata: Mapping[str, Any]) -> bool:
        try:
            return bool(passes(metadata))
        except TypeError:
            return False

    return holds


def _check(leaf: MetadataFilter) -> None:
    kinds, wanted = _operand_of(leaf.operator)
    if not isinstance(leaf.value, kinds):
        empty = "; for a key without a value there is 'is_empty'" if leaf.value is None else ""
        raise InputError(
            f"filter on {leaf.key!r}: {leaf.operator.value!r} takes {wanted}, not {leaf.value!r}"
            f"{empty}"
        )


def _operand_of(operator: FilterOperator) -> tuple[tuple[type, ...], str]:
    """What an operator takes: types, and in words."""
    if operator is FilterOperator.IS_EMPTY:
        return (object,), "anything"
    if operator in _OF_LISTS:
        return (list,), "a list of values"
    if operator in _OF_TEXTS:
        return (str,), "a text"
    if operator in (FilterOperator.EQ, FilterOperator.NE):
        return (str, int, float, list), "a value"
    return (str, int, float), "a single value"


def _itself(metadata: Any) -> Any:
    return metadata
