"""Ray, imported when it is first needed, and a cluster of it, reached or said not to be there."""

from __future__ import annotations

import os
import re
import socket
from typing import Any

from s3_retriever.errors import InputError, MissingExtraError, first_line

LOCAL = "local"
"""The address of a cluster of this machine alone, which is started and ends with the process."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_REACHED_WITHIN = 5.0  # seconds until a machine that does not answer is said not to be there
_START = "start one with: ray start --head; or, to use this machine alone, give the address local"


def ray_module(data: bool = False) -> Any:
    """Import Ray.

    Args:
        data: With Ray Data.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray

        if data:
            import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"many machines need {error.name}; type: pip install 's3-retriever[ray]'"
        ) from error
    return ray


def connect(address: str | None = None, data: bool = False) -> Any:
    """Connect to a cluster, where this process is not connected to one already.

    Args:
        address: ``"local"`` for this machine alone; ``"auto"`` for the cluster that runs on this
            machine, or that the environment variable ``RAY_ADDRESS`` names; or the address of one,
            ``"host:6379"``. None for the one this process is connected to, or else as ``"auto"``
            where there is one, or else as ``"local"``.
        data: Import Ray Data too.

    Returns:
        The module `ray`.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: no cluster answers there, or another Ray or Python runs there, or this process
            is connected to another cluster.
    """
    ray = ray_module(data)
    if ray.is_initialized():
        _check_same(ray, address)
        return ray
    named = _named(address)
    if named is not None:
        _check_answers(named)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = "" if named is None else f" at {named}"
        raise InputError(f"no Ray cluster{where} ({first_line(error)}); {_START}") from error
    return ray


def cause_of(error: BaseException, kind: type[BaseException]) -> Any:
    """The error of a kind that a worker raised, out of those that Ray wraps it in; None if none."""
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        one = ahead.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, kind):
            return one
        ahead += [getattr(one, "cause", None), one.__cause__, one.__context__]
    return None


def last_line(error: BaseException) -> str:
    """What an error of Ray says in its last line, where the cause stands, or its type."""
    lines = _COLOURS.sub("", str(error)).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().rstrip(".")


def _named(address: str | None) -> str | None:
    """The host and port that are meant, if any are."""
    if address == LOCAL:
        return None
    if address is None or address == "auto":
        address = os.environ.get("RAY_ADDRESS") or None
    return None if address in (None, LOCAL, "auto") else address


def _check_answers(address: str) -> None:
    """Find out in seconds, where Ray would try for minutes and then end the process."""
    if "://" in address:
        raise InputError(
            f"{address} is the address of a Ray client or a dashboard; give that of the cluster, "
            "host:6379, or run the same command on it: ray job submit -- s3-retriever …"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(
            f"{address!r} is no address of a Ray cluster; it is local, auto, or host:port, such as "
            "10.0.0.1:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACHED_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}); {_START}") from error


def _check_same(ray: Any, address: str | None) -> None:
    named = _named(address)
    if named is None:
        return
    here = ray.get_runtime_context().gcs_address
    if _resolved(named) != _resolved(here):
        raise InputError(
            f"this process is connected to the Ray cluster at {here}, not to {named}; leave the "
            "address out, or call ray.shutdown() first"
        )


def _resolved(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    try:
        name = socket.gethostbyname(host.strip("[]"))
    except OSError:
        return host, port
    own = name.startswith("127.") or name in _own_names()
    return ("here" if own else name), port


def _own_names() -> set[str]:
    try:
        return {*socket.gethostbyname_ex(socket.gethostname())[2]}
    except OSError:
        return set()
