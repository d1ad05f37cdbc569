"""A server under load: fifty searches and five streamed answers at once, and the event loop's rest.

The server and its clients run in this process, on 127.0.0.1. Beside them a task in the server's
event loop sleeps five milliseconds at a time; by how much it oversleeps is how long the loop was
kept from other work, by itself, by other threads or by other programs; the processor's time of its
own thread tells which. Reading a document of a million characters in ranges and the heat of words
are timed as well.

    python benchmarks/serve_load.py
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from common import arguments, default_model, documents_of, line, load, spread
from common import write as write_results

from s3_retriever import Document, EndogenousIndex
from s3_retriever.config import ScanConfig
from s3_retriever.engine.parts import parts_of
from s3_retriever.engine.store import State
from s3_retriever.engine.stores import store_at
from s3_retriever.reading.clock import ScanClock
from s3_retriever.reading.scan import scan
from s3_retriever.serve.app import create_app

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from s3_retriever.codec.codes import TokenCodes

STEP = 0.005
ASKED = (
    "When is the finally clause executed",
    "What does a del statement do",
    "How are names resolved in a class body",
    "When does the with statement suppress an exception",
    "What is an assignment expression",
)
LONG = 1_000_000
"""Characters of the document that is read in ranges, about."""


class Lag:
    """By how much a task of an event loop oversleeps, and the processor's time of the loop then."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.busy: list[float] = []

    async def watch(self) -> None:
        """Sleep and see, until cancelled."""
        while True:
            begun, worked = perf_counter(), thread_time()
            await asyncio.sleep(STEP)
            self.late.append(perf_counter() - begun - STEP)
            self.busy.append(thread_time() - worked)

    def told(self) -> dict[str, Any]:
        """What was seen since it was last told."""
        late, busy = self.late, self.busy
        self.late, self.busy = [], []
        return {
            "late_seconds": spread(late),
            "busy_seconds": spread(busy),
            "late_over_50_ms": sum(seconds > 0.05 for seconds in late),
            "sleeps": len(late),
        }


@contextmanager
def serving(index: EndogenousIndex, lag: Lag) -> Iterator[str]:
    """The address of a server whose loop is watched."""
    server = uvicorn.Server(uvicorn.Config(create_app(index), log_level="warning"))

    async def run(own: socket.socket) -> None:
        watching = asyncio.create_task(lag.watch())
        await server.serve(sockets=[own])
        watching.cancel()

    with socket.socket(proto=socket.IPPROTO_TCP) as own:
        own.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: asyncio.run(run(own)))
        thread.start()
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{own.getsockname()[1]}"
        server.should_exit = True
        thread.join()


async def asked(web: httpx.AsyncClient, path: str, body: dict[str, Any]) -> tuple[float, str]:
    """Seconds of a request, and its reply; an error is raised."""
    begun = perf_counter()
    reply = await web.post(path, json=body)
    reply.raise_for_status()
    if "event: error" in reply.text:
        raise RuntimeError(reply.text[-300:])
    return perf_counter() - begun, reply.text


async def load_test(address: str, answer: int, lag: Lag) -> dict[str, Any]:
    """All at once; then one heat and the ranges of a long document."""
    async with httpx.AsyncClient(base_url=address, timeout=3600) as web:
        lag.told()
        await asyncio.sleep(5)
        idle = lag.told()
        searches = [
            asked(web, "/search", {"question": f"{ASKED[n % 5]}, in case {n}?"}) for n in range(50)
        ]
        answers = [
            asked(web, "/answer", {"question": f"{ASKED[n]}?", "max_new_tokens": answer})
            for n in range(5)
        ]
        begun = perf_counter()
        found = await asyncio.gather(*searches, *answers)
        whole = perf_counter() - begun
        under_load = lag.told()
        spans = json.loads(found[0][1])["spans"]
        places = [{key: span[key] for key in ("document", "start", "end")} for span in spans]
        heat, _ = await asked(web, "/heat", {"question": f"{ASKED[0]}?", "places": places})
        ranges = []
        for start in range(0, LONG - 10_000, 3000):
            begun = perf_counter()
            (await web.get(f"/documents/long?start={start}&end={start + 3000}")).raise_for_status()
            ranges.append(perf_counter() - begun)
    return {
        "seconds": whole,
        "search_seconds": spread([took for took, _ in found[:50]]),
        "answer_seconds": spread([took for took, _ in found[50:]]),
        "loop_idle": idle,
        "loop_under_load": under_load,
        "heat_seconds": heat,
        "range_seconds": spread(ranges),
    }


def lengthened(document: Document, codes: TokenCodes) -> tuple[Document, TokenCodes]:
    """A million characters of a document's text, repeated; it is found as the first of them is."""
    return Document("long", document.text * (LONG // len(document.text))), codes


def main(args: argparse.Namespace) -> None:
    """Build, serve, load."""
    backbone, bank = load(default_model(args.model), args.dtype, args.seed)
    if args.index:
        state = store_at(args.index).load()
        bank, entries = state.bank, [pair for part in state.parts for pair in part.entries()]
    else:
        read, clock = documents_of(backbone, args.tokens), ScanClock(backbone.device)
        entries = [*scan(backbone, bank, read, ScanConfig(), True, clock=clock)]
    entries.append(lengthened(*entries[0]))
    index = EndogenousIndex(backbone, State(parts_of(entries, bank), bank))
    index.search("Is everything ready?")
    lag = Lag()
    with serving(index, lag) as address:
        found = asyncio.run(load_test(address, args.answer, lag))
    for name in ("search_seconds", "answer_seconds", "range_seconds"):
        print(line(name.removesuffix("_seconds"), found[name]))
    for name in ("loop_idle", "loop_under_load"):
        told = found[name]
        print(line(f"{name}, late", told["late_seconds"]))
        print(line(f"{name}, busy", told["busy_seconds"]))
        print(f"  late by more than 50 ms: {told['late_over_50_ms']} of {told['sleeps']} sleeps")
    print(f"heat of found spans {found['heat_seconds']:.3f} s; all in {found['seconds']:.1f} s")
    write_results("serve_load", args, {"tokens": index.stats.tokens, **found}, backbone, bank)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--index", help="a saved index of this model, in place of one made here")
    parser.add_argument("--answer", type=int, default=32)
    main(parser.parse_args())
