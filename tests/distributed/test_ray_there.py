"""A cluster that is not there, or is not meant, is said so in seconds."""

from __future__ import annotations

import socket
import sys

import pytest

from s3_retriever.distributed import _ray
from s3_retriever.errors import InputError, MissingExtraError


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=rf"answers at {address} .*ray start --head; .* local"):
        _ray.connect(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    for given in (None, "auto"):
        with pytest.raises(InputError, match=f"no Ray cluster answers at {address}"):
            _ray.connect(given)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("ray://10.0.0.1:10001", "the address of a Ray client or a dashboard; give that of"),
        ("cluster", r"'cluster' is no address of a Ray cluster; it is local, auto, or host:port"),
        ("host:99999", "no Ray cluster answers at host:99999"),
    ],
)
def test_addresses_that_are_none(address: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        _ray.connect(address)


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 's3-retriever\[ray\]'"):
        _ray.connect()


def test_the_cause_is_found_in_what_it_is_wrapped_in() -> None:
    cause = InputError("a text is empty")
    wrapped = RuntimeError("a worker failed")
    wrapped.cause = cause  # type: ignore[attr-defined]
    try:
        try:
            raise wrapped
        except RuntimeError as error:
            raise ValueError("the job failed") from error
    except ValueError as error:
        outer = error
    assert _ray.cause_of(outer, InputError) is cause
    assert _ray.cause_of(outer, MissingExtraError) is None
