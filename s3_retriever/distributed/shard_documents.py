"""Documents that lie in shards, fetched when they are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s3_retriever.distributed.shard_search import Lost, values_of
from s3_retriever.errors import ShardError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.distributed.shard_calls import Shards
    from s3_retriever.documents import Document


class ShardDocuments(Mapping[str, "Document"]):
    """Documents in shards, fetched when they are looked up.

    Args:
        shards: Where they are.
        ids: Of those there are; None for all. They are fetched together.
        missing: Shards that are not asked.
    """

    def __init__(
        self, shards: Shards, ids: tuple[str, ...] | None = None, missing: Sequence[str] = ()
    ) -> None:
        self._shards, self._ids = shards, ids
        self._names = [name for name in shards.names if name not in missing]
        self._fetched: dict[str, Document] = {}

    def __getitem__(self, id: str) -> Document:
        known = self._fetched
        if id not in known:
            self._fetched = known = self._fetch([id] if self._ids is None else self._ids)
        return known[id]

    def _fetch(self, ids: Sequence[str]) -> dict[str, Document]:
        found = answers_of(self._shards, "documents", dict.fromkeys(self._names, (ids,)))
        return {id: document for own in found.values() for id, document in own.items()}

    def __iter__(self) -> Iterator[str]:
        if self._ids is not None:
            return iter(self._ids)
        own = answers_of(self._shards, "ids", dict.fromkeys(self._names, ()))
        return iter([id for name in self._names for id in own[name]])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def answers_of(shards: Shards, method: str, given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """As `values_of`, for users.

    Raises:
        ShardError: a shard does not answer.
    """
    try:
        return values_of(shards, method, given)
    except Lost as error:
        raise ShardError(
            f"no answer from {error.told()}; look whether the folder is there and its machine runs"
        ) from error
