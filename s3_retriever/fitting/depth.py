"""How far a model reads, by one word: the first third of its layers, or half as far."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from s3_retriever.codec import Bank

Depth: TypeAlias = Literal["fast", "full"]
"""``"full"``: the first third of the layers; ``"fast"``: the first sixth, which is half the
scan."""

SHARES: dict[Depth, float] = {"fast": 1 / 6, "full": 1 / 3}
"""Of the layers, that may be read."""

DEFAULT: Depth = "full"


def checked_depth(depth: Any, bank: Any = None) -> Depth:
    """Return the depth that is asked for; None is the default.

    Args:
        depth: What was given.
        bank: What was given as a bank beside it.

    Raises:
        InputError: no such word, or a bank beside it, which has a depth of its own.
    """
    if depth is None:
        return DEFAULT
    if depth not in get_args(Depth):
        raise InputError(
            f"depth={depth!r} is invalid: it is 'full', the first third of the layers, or 'fast', "
            "the first sixth; for any other share make a bank (s3-retriever calibrate --depth "
            "SHARE, then s3-retriever train) and give its folder as the bank"
        )
    if bank is not None:
        raise InputError(
            f"depth={depth!r} and a bank were given, and a bank has a depth of its own: leave out "
            "one of them"
        )
    word: Depth = depth
    return word


def depth_of(bank: Bank) -> Depth | None:
    """The word for the share of the layers that a bank was calibrated for; None for another."""
    share = bank.calibration.metadata.get("depth")
    if not isinstance(share, int | float):
        return None
    return next((word for word, own in SHARES.items() if isclose(share, own, rel_tol=1e-3)), None)


def told_depth(bank: Bank) -> str:
    """A bank's depth in words, for a message."""
    word = depth_of(bank)
    return "a bank of its own" if word is None else f"depth={word!r}"
