"""What a forked child needs anew: locks and threads that died with the fork."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_here = threading.local()
_RENEWALS: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def renew_after_fork(owner: T, renew: Callable[[T], None]) -> None:
    """Call ``renew(owner)`` in every process forked while the owner lives.

    For locks and thread pools: a lock that another thread holds at a fork is never given back in
    the child, where none of the parent's threads runs.

    Args:
        owner: Hashed by identity, and not kept alive.
        renew: Puts new locks in place of the old ones; must not hold the owner itself.
    """
    _RENEWALS[owner] = renew


def computes_here() -> None:
    """Note that this thread computes with torch.

    GNU OpenMP keeps a team of threads for each thread that has computed with several; in a child
    that this thread forks, the team is gone, and whoever computes there would wait for it for ever.
    So such a child computes with one thread, as `torch.set_num_threads` can change there for
    threads that it starts anew.
    """
    _here.computed = True


def _after_fork() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and getattr(_here, "computed", False):
        torch.set_num_threads(1)
    for owner, renew in list(_RENEWALS.items()):
        renew(owner)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
