"""Turns at the one model: a queue in which everyone sees their place, and the thread it is for."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3_retriever.serve.refusals import BusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from s3_retriever.serve.limits import Limits


@dataclass(frozen=True, slots=True)
class Told:
    """What a turn's work says while it goes on.

    Attributes:
        name: What it is about.
        data: In JSON's terms.
    """

    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a turn.

    Attributes:
        result: What its work returned.
    """

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a turn whose work raised.

    Attributes:
        error: What it raised.
    """

    error: Exception


Event = Told | Done | Failed


class Turn:
    """One request's turn at the model; made by `Turns.take`.

    Attributes:
        cancelled: Set once nobody waits for the outcome any more.
    """

    def __init__(self, work: Callable[[Turn], Any], answer: bool, leave: Callable[[Turn], None]):
        self.work, self.answer = work, answer
        self.cancelled = threading.Event()
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def tell(self, name: str, data: Any) -> None:
        """Say something to whoever waits; from any thread."""
        self.put(Told(name, data))

    def put(self, event: Event) -> None:
        """Hand an event to the loop of whoever waits; from any thread."""
        if not self.cancelled.is_set():
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def cancel(self) -> None:
        """Give the turn up: it leaves the queue, or its work ends after the token at work."""
        self.cancelled.set()
        self._leave(self)

    async def next(self, seconds: float) -> Event | None:
        """The next event, or None where there is none for some seconds."""
        try:
            return await asyncio.wait_for(self._events.get(), seconds)
        except TimeoutError:
            return None

    async def events(self, pause: float) -> AsyncIterator[Event | None]:
        """All events to the end; None in pauses of some seconds."""
        event: Event | None = None
        while not isinstance(event, Done | Failed):
            event = await self.next(pause)
            yield event

    async def outcome(self) -> Any:
        """Wait for the result.

        Raises:
            Exception: what the work raised.
        """
        while True:
            event = await self._events.get()
            if isinstance(event, Done):
                return event.result
            if isinstance(event, Failed):
                raise event.error


class Turns:
    """A queue, first come, first served, and the thread that works through it.

    Args:
        limits: How many may wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[Turn] = deque()
        self._at_work: Turn | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="s3-retriever-model", daemon=True)
        self._thread.start()

    def take(self, work: Callable[[Turn], Any], *, answer: bool = False) -> Turn:
        """Queue for the model; from an event loop.

        Args:
            work: Called in the model's thread with the turn; what it returns is the outcome. While
                the turn waits, and as its place changes, it is told ``place``: 0 when it begins.
            answer: Whether it writes an answer, of which fewer may wait.

        Raises:
            BusyError: too many wait already.
        """
        turn = Turn(work, answer, self._left)
        with self._changed:
            under_way = [*self._waiting, *([self._at_work] if self._at_work else [])]
            answers = sum(other.answer for other in under_way)
            if self._closed or len(self._waiting) >= self._limits.waiting:
                raise BusyError("too many requests wait for the model; ask again in a moment")
            if answer and answers >= self._limits.answers:
                raise BusyError(f"{answers} answers are under way already; ask again in a moment")
            self._waiting.append(turn)
            turn.tell("place", len(under_way))
            self._changed.notify()
        return turn

    def counts(self) -> tuple[int, int]:
        """How many wait, and how many (one or none) are at work."""
        with self._changed:
            return len(self._waiting), int(self._at_work is not None)

    def close(self) -> None:
        """Give all turns up, and end the thread."""
        with self._changed:
            self._closed = True
            left = [*self._waiting, *([self._at_work] if self._at_work else [])]
            self._changed.notify()
        for turn in left:
            turn.put(Failed(BusyError("the server is stopping")))
            turn.cancel()
        self._thread.join(timeout=10)

    def _left(self, turn: Turn) -> None:
        with self._changed, suppress(ValueError):  # at work, or done
            self._waiting.remove(turn)
            self._tell_places()

    def _tell_places(self) -> None:
        for place, turn in enumerate(self._waiting, start=int(self._at_work is not None)):
            turn.tell("place", place)

    def _next(self) -> Turn | None:
        with self._changed:
            self._at_work = None
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            self._at_work = self._waiting.popleft()
            self._at_work.tell("place", 0)
            self._tell_places()
            return self._at_work

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            if turn.cancelled.is_set():
                continue
            try:
                turn.put(Done(turn.work(turn)))
            except Exception as error:
                turn.put(Failed(error))
