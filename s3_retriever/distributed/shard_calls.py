"""The seam of where shards are: in this process, or actors of Ray."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from s3_retriever.distributed._ray import cause_of, connect
from s3_retriever.distributed.shard import Shard
from s3_retriever.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_AT_ONCE = 32
"""Calls that a shard serves at a time: searches under way wait outside of them."""


class Called(NamedTuple):
    """What came of calling some shards.

    Attributes:
        values: What each returned, by the shard's name.
        errors: What each failed with that did not return; a `TimeoutError` where it took too long.
    """

    values: dict[str, Any]
    errors: dict[str, Exception]


class Shards(ABC):
    """Shards by name, wherever they are.

    Args:
        paths: Folders, by which shards are named.
        timeout: Seconds that a call may take; None for no bound.
    """

    def __init__(self, paths: Sequence[str], timeout: float | None) -> None:
        self.names, self._timeout = tuple(paths), timeout

    @abstractmethod
    def call(self, method: str, given: Mapping[str, Sequence[Any]]) -> Called:
        """Call a method of some shards, all at once.

        Args:
            method: Of `Shard`.
            given: Arguments, by the shard's name.
        """

    @abstractmethod
    def tell(self, method: str, names: Iterable[str], *given: Any) -> None:
        """Call a method of some shards, and wait for nothing."""

    @abstractmethod
    def close(self) -> None:
        """Let the shards go."""


class ShardsHere(Shards):
    """Shards in this process."""

    def __init__(self, paths: Sequence[str], timeout: float | None) -> None:
        super().__init__(paths, timeout)
        self._shards = {path: Shard(path) for path in paths}
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="shard")

    def call(self, method: str, given: Mapping[str, Sequence[Any]]) -> Called:
        """See `Shards.call`."""
        begun = monotonic()
        waiting = {
            name: self._threads.submit(getattr(self._shards[name], method), *arguments)
            for name, arguments in given.items()
        }
        called = Called({}, {})
        for name, future in waiting.items():
            left = None if self._timeout is None else begun + self._timeout - monotonic()
            try:
                called.values[name] = future.result(left)
            except Exception as error:
                called.errors[name] = error
        return called

    def tell(self, method: str, names: Iterable[str], *given: Any) -> None:
        """See `Shards.tell`."""
        for name in names:
            self._threads.submit(getattr(self._shards[name], method), *given)

    def close(self) -> None:
        """See `Shards.close`."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class RayShards(Shards):
    """Shards as actors of Ray; one that dies is started anew, and opened when it is called.

    Args:
        paths: Folders, where the actors see them.
        timeout: As for `Shards`.
        address: Of the cluster; see `s3_retriever.distributed._ray.connect`.
        options: Of each actor, as Ray's ``ActorClass.options`` takes them.
    """

    def __init__(
        self,
        paths: Sequence[str],
        timeout: float | None,
        address: str,
        options: Sequence[Mapping[str, Any]],
    ) -> None:
        super().__init__(paths, timeout)
        self._ray = connect(address)
        kind = self._ray.remote(Shard)
        always = {"max_restarts": -1, "max_concurrency": _AT_ONCE}
        self._actors = {
            path: kind.options(**{**always, **own}).remote(path)
            for path, own in zip(paths, options, strict=True)
        }

    def call(self, method: str, given: Mapping[str, Sequence[Any]]) -> Called:
        """See `Shards.call`."""
        refs = {
            getattr(self._actors[name], method).remote(*arguments): name
            for name, arguments in given.items()
        }
        ready, late = self._ray.wait([*refs], num_returns=len(refs), timeout=self._timeout)
        called = Called({}, {refs[ref]: TimeoutError() for ref in late})
        for ref in ready:
            try:
                called.values[refs[ref]] = self._ray.get(ref)
            except Exception as error:  # Ray's own, or around what the actor raised
                called.errors[refs[ref]] = cause_of(error, S3Error) or error
        return called

    def tell(self, method: str, names: Iterable[str], *given: Any) -> None:
        """See `Shards.tell`."""
        for name in names:
            getattr(self._actors[name], method).remote(*given)

    def close(self) -> None:
        """See `Shards.close`."""
        for actor in self._actors.values():
            self._ray.kill(actor)
