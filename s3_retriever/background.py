"""Threads of this package's own: work beside an event loop, and what a forked child needs anew."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

_END: Any = object()
_RENEWALS: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def _new_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="s3-retriever")


_POOL = _new_pool()


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function off the event loop and await its result.

    The threads are not the loop's default ones, so that calls waiting for the model never keep
    other work from running; a forked child has its own. Context variables are carried along.
    """
    call = partial(contextvars.copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_POOL, call)


async def iterate(start: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Yield the items of a blocking iterator without blocking the event loop.

    Args:
        start: Makes the iterator; also called off the loop.

    Yields:
        Its items. A generator is closed as soon as the consumer goes away.
    """
    iterator = await run(start)
    try:
        while (item := await run(next, iterator, _END)) is not _END:
            yield item
    finally:
        with suppress(AttributeError, ValueError):  # not a generator; or at work, then dropped next
            iterator.close()  # type: ignore[attr-defined]


def renew_after_fork(owner: T, renew: Callable[[T], None]) -> None:
    """Call ``renew(owner)`` in every process forked while the owner lives.

    For locks: one that another thread holds at a fork is never given back in the child.

    Args:
        owner: Hashed by identity, and not kept alive.
        renew: Puts new locks in place of the old ones; must not hold the owner itself.
    """
    _RENEWALS[owner] = renew


def _after_fork() -> None:
    """In a forked child none of the parent's threads runs, though its objects say so."""
    global _POOL
    _POOL = _new_pool()
    for owner, renew in list(_RENEWALS.items()):
        renew(owner)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
