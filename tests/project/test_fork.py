"""A forked child has threads and locks of its own, and the event loop's work goes on in it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from s3_retriever.adapters import background
from s3_retriever.backbone import Backbone, Tap
from s3_retriever.fork import renew_after_fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and torch with OpenMP")

ROOT = Path(__file__).parents[2]
WATCHDOG = 600  # seconds; ends a child that hangs


def outcome_in_child(work):
    """Fork, call `work` in the child: its exit code, negative for a signal, 0 where it is true."""
    child = os.fork()
    if child == 0:
        signal.alarm(WATCHDOG)
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def in_another_thread(manager):
    """Hold a context in a thread of its own meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with manager:
            entered.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(WATCHDOG)
    try:
        yield
    finally:
        leave.set()
        thread.join()


async def test_the_pool_runs_in_a_child_forked_from_a_loop_that_used_it():
    assert await background.run(sum, [1, 2]) == 3
    assert outcome_in_child(lambda: asyncio.run(background.run(sum, [3, 4])) == 7) == 0
    assert await background.run(sum, [5, 6]) == 11


async def test_iterators_run_in_a_child():
    async def items():
        return [item async for item in background.iterate(lambda: iter("abc"))]

    assert await items() == ["a", "b", "c"]
    assert outcome_in_child(lambda: asyncio.run(items()) == ["a", "b", "c"]) == 0


def test_a_child_of_a_child_has_its_own_pool_too():
    def work():
        return asyncio.run(background.run(sum, [1, 2])) == 3

    assert work()
    assert outcome_in_child(lambda: work() and outcome_in_child(work) == 0) == 0


def test_a_lock_that_another_thread_holds_is_free_in_the_child(tiny_llama):
    backbone = Backbone(*tiny_llama)
    with in_another_thread(backbone.lock):
        assert not backbone.lock.acquire(blocking=False)
        assert outcome_in_child(lambda: backbone.lock.acquire(timeout=WATCHDOG / 2)) == 0
        assert not backbone.lock.acquire(blocking=False)


def test_the_forking_thread_gives_back_in_the_child_what_it_holds(tiny_llama):
    backbone = Backbone(*tiny_llama)

    def work():
        held.__exit__(None, None, None)
        return asyncio.run(background.run(backbone.lock.acquire, timeout=WATCHDOG / 2))

    held = backbone.tap([Tap(0, 0)])
    with held:
        assert outcome_in_child(work) == 0


def test_a_reading_that_the_fork_cut_off_does_not_get_in_the_way(tiny_llama):
    backbone, taps = Backbone(*tiny_llama), [Tap(0, 0), Tap(2, 1)]
    ids = torch.arange(20)[None]

    def read():
        with backbone.tap(taps) as reader:
            return reader.keys(ids)

    expected = read()
    with in_another_thread(backbone.tap(taps[:1])):
        work = lambda: torch.equal(asyncio.run(background.run(read)), expected)  # noqa: E731
        assert outcome_in_child(work) == 0


def test_only_what_lives_is_renewed():
    class Owner:
        renewed = False

        def renew(self):
            renewed.append(self.name)

    renewed: list[str] = []
    kept, dropped = Owner(), Owner()
    kept.name, dropped.name = "kept", "dropped"
    for owner in (kept, dropped):
        renew_after_fork(owner, Owner.renew)
    del owner, dropped
    gc.collect()
    assert outcome_in_child(lambda: renewed == ["kept"]) == 0
    assert renewed == []


RETRIEVER = """
import asyncio
import torch
from conftest import make_llama, make_tokenizer
from langchain_s3_retriever import EndogenousRetriever
from random_bank import make_bank
from s3_retriever.backbone import Backbone
from s3_retriever.engine import EndogenousIndex
from test_fork import outcome_in_child

torch.ones(1000, 1000) @ torch.ones(1000, 1000)  # by several threads
tokenizer = make_tokenizer()
backbone = Backbone(make_llama(tokenizer), tokenizer)
texts = ["Paris is the capital of France. " * 20, "Bread needs a sour starter. " * 20]
index = EndogenousIndex.build(texts, model=backbone, bank=make_bank(backbone), progress=False)
retriever = EndogenousRetriever(index=index, k=3)


async def main():
    expected = await retriever.ainvoke("What is the capital of France?")
    again = lambda: asyncio.run(retriever.ainvoke("What is the capital of France?"))
    code = outcome_in_child(lambda: again() == expected)
    single = outcome_in_child(
        lambda: torch.set_num_threads(1) or retriever.invoke("What is the capital?")
    )
    print("codes", code, single)


asyncio.run(main())
"""


SEARCH = """
import sys
import torch
from conftest import make_llama, make_tokenizer
from random_bank import make_bank
from s3_retriever.backbone import Backbone
from s3_retriever.engine import EndogenousIndex
from s3_retriever.searching import searcher
from test_fork import outcome_in_child

searcher.FAST_FROM = int(sys.argv[1])
tokenizer = make_tokenizer()
backbone = Backbone(make_llama(tokenizer), tokenizer)
texts = ["Paris is the capital of France. " * 200, "Bread needs a sour starter. " * 200]
index = EndogenousIndex.build(texts, model=backbone, bank=make_bank(backbone), progress=False)
threads = torch.get_num_threads()


def found():
    return {span.document_id for span in index.search("What is the capital of France?", k=4)}


expected = found()
codes = [
    outcome_in_child(lambda: found() == expected and bool(index.answer("And bread?").spans)),
    outcome_in_child(lambda: outcome_in_child(lambda: found() == expected) == 0),
    outcome_in_child(lambda: torch.get_num_threads() == 1),
]
print("codes", *codes, "threads", threads, torch.get_num_threads())
"""


@pytest.mark.slow
@pytest.mark.parametrize("fast_from", [0, 10**9])
@pytest.mark.parametrize("threads", [1, 2])
def test_who_has_searched_may_fork_and_search(fast_from, threads):
    assert f"codes 0 0 0 threads {threads} {threads}" in run_alone(SEARCH, threads, fast_from)


@pytest.mark.slow
def test_a_retriever_is_awaited_in_a_child():
    assert "codes 0 0" in run_alone(RETRIEVER, 2)


def run_alone(code, threads, *arguments):
    """In a process of its own, where torch has computed before the fork as it does for a user."""
    places = [str(ROOT / place) for place in (".", "integrations", "tests", "tests/samples")]
    places.append(str(Path(__file__).parent))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(places),
        "OMP_NUM_THREADS": str(threads),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    return done.stdout + done.stderr
