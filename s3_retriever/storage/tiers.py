"""Which segments are written anew: those mostly out of use, and small ones, by tiers of size.

Small segments are merged when enough of like size stand side by side, so that what is added bit by
bit ends in few segments and is written again a few times only, about once for each power of `FAN`
(the logarithmic merge policy of Apache Lucene).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FAN = 8
"""Segments of like size that are merged."""


@dataclass(frozen=True, slots=True)
class Used:
    """A segment.

    Attributes:
        name: Its name.
        live: Rows in use.
        rows: All rows.
    """

    name: str
    live: int
    rows: int


@dataclass(frozen=True, slots=True)
class _Group:
    names: tuple[str, ...]
    live: int
    dead: bool = False

    def __add__(self, other: _Group) -> _Group:
        return _Group((*self.names, *other.names), self.live + other.live, True)


def groups_to_write(
    runs: Sequence[Sequence[Used]], limit: int, compact: bool = False
) -> list[tuple[str, ...]]:
    """Choose segments to be written anew, each group of them as one.

    Args:
        runs: Segments that stand side by side, in order.
        limit: Most rows of a group of several.
        compact: Whether to merge all that fit together and drop all that is out of use.
    """
    groups = [group for run in runs for group in (_packed if compact else _tiers)(run, limit)]
    return [group.names for group in groups if group.dead]


def _tiers(run: Sequence[Used], limit: int) -> list[_Group]:
    groups: list[_Group] = []
    for used in run:
        groups.append(_Group((used.name,), used.live, 2 * used.live < used.rows))
        while len(groups) >= FAN and _alike(last := groups[-FAN:], limit):
            groups[-FAN:] = [_sum(last)]
    return groups


def _alike(groups: Sequence[_Group], limit: int) -> bool:
    """Whether it pays to merge them: what comes is at least twice the largest."""
    sizes = [group.live for group in groups]
    return 2 * max(sizes) <= sum(sizes) <= limit


def _packed(run: Sequence[Used], limit: int) -> list[_Group]:
    groups: list[_Group] = []
    for used in run:
        group = _Group((used.name,), used.live, used.live < used.rows)
        if groups and groups[-1].live + group.live <= limit:
            groups[-1] += group
        else:
            groups.append(group)
    return groups


def _sum(groups: Sequence[_Group]) -> _Group:
    total = groups[0]
    for group in groups[1:]:
        total += group
    return total
