"""A small memory of what was read lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

Asked = TypeVar("Asked", bound="Hashable")
Read = TypeVar("Read")


class Recent(Generic[Asked, Read]):
    """Keeps the latest few things that were made, and makes the others together.

    Threads may share one: two that ask for the same thing at once may both make it.

    Args:
        most: How many are kept.
        make: Makes one thing for each of some keys, in order.
    """

    def __init__(self, most: int, make: Callable[[Sequence[Asked]], Sequence[Read]]) -> None:
        self._most, self._make = most, make
        self._kept: dict[Asked, Read] = {}

    def get(self, keys: Sequence[Asked]) -> list[Read]:
        """Return what belongs to each key, in order; the latest asked for are kept longest."""
        found = {key: self._kept[key] for key in keys if key in self._kept}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            found |= zip(missing, self._make(missing), strict=True)
        for key in dict.fromkeys(keys):
            self._kept.pop(key, None)
            self._kept[key] = found[key]
        for key in list(self._kept)[: max(len(self._kept) - self._most, 0)]:
            self._kept.pop(key, None)
        return [found[key] for key in keys]
