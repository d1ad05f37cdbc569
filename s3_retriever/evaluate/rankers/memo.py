"""A memory of what was made, which charges its price to whoever uses it again."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class Memo:
    """Makes things once, and keeps a clock that runs as if they had been made every time.

    Rankers share what they have in common (chunks, vectors, scores of a question), and yet each
    is charged for all that it would have had to do alone.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[Any, float]] = {}
        self._credit = 0.0

    def clock(self) -> float:
        """Seconds; the difference of two readings is what lay between them would have cost."""
        return perf_counter() + self._credit

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returned the first time this key was asked for."""
        if key in self._made:
            value, seconds = self._made[key]
            self._credit += seconds
        else:
            begun = self.clock()
            value = make()
            self._made[key] = value, self.clock() - begun
        result: T = value
        return result
