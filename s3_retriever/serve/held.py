"""What a server holds: the index, the queue for its model, and what to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_retriever.engine import EndogenousIndex
    from s3_retriever.serve.limits import Limits
    from s3_retriever.serve.others import Other
    from s3_retriever.serve.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the paths of a server work with.

    Attributes:
        index: What is asked; it is not changed.
        limits: How much is taken on.
        turns: At the index's model.
        others: Rankers to compare with, by name.
    """

    index: EndogenousIndex
    limits: Limits
    turns: Turns
    others: Mapping[str, Other]

    def other(self, name: str) -> Other:
        """A ranker to compare with.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.others:
            known = ", ".join(self.others)
            raise InputError(f"there is no ranker {name!r}; this server has: {known}")
        return self.others[name]
