"""Where the time of a scan went."""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STAGES = ("tokenise", "forward", "encode", "transfer")


@dataclass(frozen=True, kw_only=True)
class ScanReport:
    """What a scan read and where its time went.

    Attributes:
        tokens: Tokens of the documents.
        read_tokens: Tokens that went through the model: preambles, overlaps and padding as well.
        batches: Forward passes.
        seconds: Wall-clock time.
        stages: Seconds in each of ``forward``, ``encode`` and ``transfer``, measured on the device
            where it is CUDA, and in ``tokenise``, which runs beside them in a thread of its own.
            What a scan does not do is not there.
    """

    tokens: int = 0
    read_tokens: int = 0
    batches: int = 0
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def tokens_per_second(self) -> float:
        """Tokens of the documents for each second of wall-clock time."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def __add__(self, other: ScanReport) -> ScanReport:
        return self._plus(other, 1)

    def __sub__(self, other: ScanReport) -> ScanReport:
        return self._plus(other, -1)

    def _plus(self, other: ScanReport, sign: int) -> ScanReport:
        return ScanReport(
            tokens=self.tokens + sign * other.tokens,
            read_tokens=self.read_tokens + sign * other.read_tokens,
            batches=self.batches + sign * other.batches,
            seconds=self.seconds + sign * other.seconds,
            stages={
                name: self.stages.get(name, 0.0) + sign * other.stages.get(name, 0.0)
                for name in STAGES
                if name in self.stages or name in other.stages
            },
        )

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self.stages.items())
        return (
            f"{self.tokens:,} tokens in {self.seconds:.2f} s "
            f"({self.tokens_per_second:,.0f} tokens/s; {stages})"
        )


def cuda_event(timing: bool = False) -> Any:
    """Make an event of the current CUDA stream, with a time stamp or without."""
    make: Any = torch.cuda.Event
    return make(enable_timing=timing)


class ScanClock:
    """Gathers a `ScanReport` while a scan runs, without making the device wait.

    Args:
        device: Where the model is. On CUDA the stages are timed by events in the stream, which
            are read when a batch has landed; elsewhere by the host's clock.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._stages: defaultdict[str, float] = defaultdict(float)
        self._events: deque[tuple[str, Any, Any]] = deque()
        self._begun = perf_counter()
        self._counts: defaultdict[str, int] = defaultdict(int)

    def count(self, **counts: int) -> None:
        """Add to ``tokens``, ``read_tokens`` or ``batches``."""
        for name, number in counts.items():
            self._counts[name] += number

    @contextmanager
    def host_stage(self, name: str) -> Iterator[None]:
        """Time a block by the host's clock."""
        begun = perf_counter()
        try:
            yield
        finally:
            self._stages[name] += perf_counter() - begun

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what a block asks of the device."""
        if not self._cuda:
            with self.host_stage(name):
                yield
            return
        begin, end = cuda_event(timing=True), cuda_event(timing=True)
        begin.record()
        yield
        end.record()
        self._events.append((name, begin, end))

    def settle(self) -> None:
        """Read the events that have passed, so that their number stays bounded."""
        while self._events and self._events[0][2].query():
            name, begin, end = self._events.popleft()
            self._stages[name] += begin.elapsed_time(end) / 1000

    def report(self) -> ScanReport:
        """The figures so far."""
        self.settle()
        stages = {name: self._stages[name] for name in STAGES if name in self._stages}
        return ScanReport(seconds=perf_counter() - self._begun, stages=stages, **self._counts)
