"""``s3-retriever serve``: what it refuses before it serves, and where it says it is."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from s3_retriever.cli import main, serving

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.engine import EndogenousIndex


@pytest.fixture
def folder(tiny_index: EndogenousIndex, tmp_path: Path) -> str:
    tiny_index.save(tmp_path / "small.s3")
    return str(tmp_path / "small.s3")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The applications that would have been served."""
    apps: list[Any] = []

    def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        assert sockets[0].getsockname()[1] > 0
        assert sockets[0].proto == socket.IPPROTO_TCP  # else pieces wait for one another
        apps.append(self.config.app)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return apps


def status(app: Any, **headers: str) -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as web:
            return (await web.get("/queue", headers=headers)).status_code

    return asyncio.run(ask())


def test_it_says_where_it_is_and_serves_this_machine(
    folder: str, tiny_options: list[str], served: list[Any], capsys: Any
) -> None:
    assert main(["serve", folder, *tiny_options[:2], "--port", "0", "--answers", "3"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"serving {folder} at http://127.0.0.1:") and "token" not in out
    assert "Ctrl+C" in err
    (app,) = served
    assert status(app) == 200 and status(app, Host="shelf.example") == 403
    assert app.state.held.limits.answers == 3 and list(app.state.held.others) == ["bm25"]


def test_where_others_reach_it_a_token_is_made_and_printed_once(
    folder: str, tiny_options: list[str], served: list[Any], capsys: Any
) -> None:
    assert main(["serve", folder, *tiny_options[:2], "--port", "0", "--host", "0.0.0.0"]) == 0
    out = capsys.readouterr().out
    token = out.strip().rpartition("#token=")[2]
    assert len(token) >= 24
    (app,) = served
    assert status(app) == 401 and status(app, Authorization=f"Bearer {token}") == 200


def test_a_token_may_be_given_or_stand_in_the_environment(
    folder: str,
    tiny_options: list[str],
    served: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv(serving.TOKEN, "from-outside")
    for more, token in (([], "from-outside"), (["--token", "given"], "given")):
        assert main(["serve", folder, *tiny_options[:2], "--port", "0", *more]) == 0
        assert capsys.readouterr().out.strip().endswith(f"#token={token}")
        assert status(served[-1], Authorization=f"Bearer {token}") == 200


def test_a_missing_index_and_a_taken_port_are_told_in_one_line(tmp_path: Path, capsys: Any) -> None:
    missing = str(tmp_path / "none.s3")
    assert main(["serve", missing, "--port", "0"]) == 1
    err = capsys.readouterr().err
    assert missing in err and err.count("\n") == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", missing, "--port", port]) == 1
    assert f"port {port}" in capsys.readouterr().err
    assert main(["serve", missing, "--port", "99999"]) == 1
    assert "--port" in capsys.readouterr().err
    assert main(["serve", missing, "--answers", "0"]) == 1
    assert "answers" in capsys.readouterr().err


def test_what_is_local_is_known() -> None:
    assert all(map(serving.is_local, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(serving.is_local, ("0.0.0.0", "::", "192.168.1.2", "shelf.example")))
