"""Turns at the model, a real server under load, and clients that hang up."""

from __future__ import annotations

import asyncio
import threading
from time import monotonic, sleep

import httpx
import pytest

from s3_retriever.answering.decoding import StopStrings
from s3_retriever.serve.limits import Limits
from s3_retriever.serve.refusals import BusyError
from s3_retriever.serve.turns import Done, Failed, Told, Turns
from served import client, events, listening
from small_corpus import QUESTIONS

ANSWER = {"question": QUESTIONS[0], "max_new_tokens": 6}


def places(turn):
    """The places a turn has been told so far."""
    found = []
    while not turn._events.empty():
        event = turn._events.get_nowait()
        if isinstance(event, Told) and event.name == "place":
            found.append(event.data)
    return found


@pytest.fixture
async def held():
    """Turns whose first keeps the thread until it may go."""
    turns, go = Turns(Limits(waiting=3, answers=2)), threading.Event()
    first = turns.take(lambda turn: go.wait(20), answer=True)
    while turns.counts() != (0, 1):
        await asyncio.sleep(0.001)
    yield turns, first, go
    go.set()
    turns.close()


async def test_turns_are_served_in_order_and_told_their_places(held):
    turns, first, go = held
    done = []
    waiting = [turns.take(lambda turn, n=n: done.append(n) or n) for n in range(3)]
    await asyncio.sleep(0)
    assert [places(turn) for turn in waiting] == [[1], [2], [3]]
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert [places(turn) for turn in waiting] == [[], [1], [2]]
    go.set()
    assert await first.outcome() is True
    assert [await turn.outcome() for turn in waiting[1:]] == [1, 2] and done == [1, 2]


async def test_no_more_wait_than_may(held):
    turns, _, _ = held
    turns.take(lambda turn: None, answer=True)
    with pytest.raises(BusyError, match="2 answers are under way"):
        turns.take(lambda turn: None, answer=True)
    turns.take(lambda turn: None)
    turns.take(lambda turn: None)
    with pytest.raises(BusyError, match="too many"):
        turns.take(lambda turn: None)


async def test_what_work_raises_is_told_and_the_next_is_served():
    turns = Turns(Limits())
    with pytest.raises(ZeroDivisionError):
        await turns.take(lambda turn: 1 / 0).outcome()
    heard = [event async for event in turns.take(lambda turn: 7).events(20)]
    assert heard[-1] == Done(7)
    turns.close()
    with pytest.raises(BusyError):
        turns.take(lambda turn: None)


async def test_stopping_tells_those_who_wait(held):
    turns, _, go = held
    waiting = turns.take(lambda turn: None)
    threading.Timer(0.05, go.set).start()
    await asyncio.to_thread(turns.close)
    *_, last = [event async for event in waiting.events(20)]
    assert isinstance(last, Failed) and "stopping" in str(last.error)


def test_busy_is_a_503_that_says_when_to_come_back(tiny_index):
    with client(tiny_index, limits={"answers": 1}) as web:
        held = web.app.state.held.turns
        go = threading.Event()

        async def block():
            return held.take(lambda turn: go.wait(20), answer=True)

        web.portal.call(block)
        reply = web.post("/answer", json=ANSWER)
        go.set()
    assert reply.status_code == 503 and reply.headers["retry-after"] == "5"


@pytest.fixture(scope="module")
def address(tiny_index):
    with listening(tiny_index) as made:
        yield made


async def test_fifty_searches_and_five_streams_at_once(address, tiny_index, monkeypatch):
    """All are answered, and nothing of the index runs in the event loop's thread."""
    threads = set()
    for name in ("search", "stream_answer"):
        own = getattr(tiny_index, name)

        def seen(*given, own=own, **more):
            threads.add(threading.current_thread().name)
            return own(*given, **more)

        monkeypatch.setattr(tiny_index, name, seen)
    async with httpx.AsyncClient(base_url=address, timeout=120) as web:
        searches = [
            web.post("/search", json={"question": f"{QUESTIONS[n % 3]} {n}"}) for n in range(50)
        ]
        replies = await asyncio.gather(*searches, *(_stream(web) for _ in range(5)))
    assert all(reply.status_code == 200 and reply.json()["spans"] for reply in replies[:50])
    for heard in replies[50:]:
        assert heard[0] == "place" and heard[-1] == "done" and "spans" in heard
    assert threads == {"s3-retriever-model"}


async def _stream(web):
    names = []
    async with web.stream("POST", "/answer", json=ANSWER) as reply:
        assert reply.status_code == 200
        lines = [line async for line in reply.aiter_lines()]
    names += [name for name, _ in events(iter(lines))]
    return names


@pytest.fixture
def endless(monkeypatch):
    """Lets a generation go on until it is cancelled, and tells how often it was asked to stop."""
    ended = threading.Event()

    def slow(self, input_ids, scores, **_):
        sleep(0.002)
        self._emit("a ")
        stop = self.is_cancelled
        if stop:
            ended.set()
        return input_ids.new_full((1,), stop).bool()

    monkeypatch.setattr(StopStrings, "__call__", slow)
    return ended


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/answer", {"question": QUESTIONS[0], "max_new_tokens": 1000}),
        ("/answer", {"question": QUESTIONS[0], "max_new_tokens": 1000, "stream": False}),
        ("/v1/chat/completions", {"stream": True, "max_tokens": 1000}),
        ("/v1/chat/completions", {"max_tokens": 1000}),
    ],
)
def test_who_hangs_up_ends_the_generation(address, tiny_index, endless, path, more):
    if path.startswith("/v1"):
        said = [{"role": "user", "content": QUESTIONS[0]}]
        more = {"model": tiny_index.backbone.name, "messages": said, **more}
    with httpx.Client(base_url=address, timeout=httpx.Timeout(60, read=1)) as web:
        try:
            with web.stream("POST", path, json=more) as reply:
                for _, line in zip(range(20), reply.iter_lines(), strict=False):
                    assert line is not None
        except httpx.ReadTimeout:
            assert not more.get("stream", path == "/answer")
    assert endless.wait(60)
    _until_idle(address)


def test_who_hangs_up_while_waiting_leaves_the_queue(address, endless):
    long = {**ANSWER, "max_new_tokens": 1000}
    with (
        httpx.Client(base_url=address, timeout=60) as web,
        web.stream("POST", "/answer", json=long) as first,
    ):
        lines = first.iter_lines()
        assert next(lines)
        with pytest.raises(httpx.ReadTimeout):
            web.post("/search", json={"question": "what?"}, timeout=0.3)
        begun = monotonic()
        while web.get("/queue").json()["waiting"] and monotonic() < begun + 60:
            sleep(0.02)
        assert web.get("/queue").json() == {"waiting": 0, "at_work": 1}
        assert next(lines) is not None and not endless.is_set()
    _until_idle(address)


def _until_idle(address):
    with httpx.Client(base_url=address, timeout=60) as web:
        begun = monotonic()
        while any(web.get("/queue").json().values()):
            assert monotonic() < begun + 60
            sleep(0.02)
