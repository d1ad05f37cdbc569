"""Blocking work beside an event loop, in threads of this package's own."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from s3_retriever.fork import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

_END: Any = object()


class _Threads:
    """The threads of this process; a forked child, in which none of them runs, has its own."""

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self, _Threads.renew)

    def renew(self) -> None:
        self.pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="s3-retriever")


_THREADS = _Threads()


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function off the event loop and await its result.

    The threads are not the loop's default ones, so that calls waiting for the model never keep
    other work from running. Context variables are carried along.
    """
    call = partial(contextvars.copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_THREADS.pool, call)


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
