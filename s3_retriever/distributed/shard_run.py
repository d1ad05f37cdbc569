"""A search under way in one shard: it stops wherever it asks what all shards know together."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from s3_retriever.fork import computes_here
from s3_retriever.searching.group import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from s3_retriever.reading.leads import Lead
    from s3_retriever.text.names import Naming

T = TypeVar("T")
R = TypeVar("R")

_here = threading.local()

_PATIENCE = 3600.0  # seconds after which whoever led the search is taken to be gone


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """What a shard knows, and waits to hear of all.

    Attributes:
        own: Of this shard.
        how: Makes one of what each shard knows, as for `Group.merged`; None asks the model what
            these spans lead to, which are the same in all shards.
        keep: By what name the answer is remembered, where no question changes it; else empty.
    """

    own: Any
    how: Callable[[Sequence[Any]], Any] | None
    keep: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """How far a search has come.

    Attributes:
        asks: What it waits for, by the line of work that asks; none where it is over.
        result: What came of it.
        error: What it failed with, if it did.
    """

    asks: Mapping[str, Ask] = field(default_factory=dict)
    result: Any = None
    error: Exception | None = None


class Stopped(Exception):
    """A search was given up, for another shard did not answer."""


class Run:
    """A search in threads of its own.

    Lines of work that do not need each other go on side by side, and ask together.

    Args:
        rank: Which of the shards searched this one is.
        known: What earlier searches of the same documents found that no question changes.
        work: The search; what it returns is the result.
    """

    def __init__(self, rank: int, known: Mapping[str, Any], work: Callable[[], Any]) -> None:
        self.rank, self.known = rank, dict(known)
        self._work = work
        self._changed = threading.Condition()
        self._working = 0
        self._asks: dict[str, Ask] = {}
        self._answers: dict[str, Any] = {}
        self._stopped = False
        self._result: Any = None
        self._error: Exception | None = None

    def begin(self) -> Step:
        """Search until something is asked, or to the end."""
        self._working = 1
        self._start("", self._whole)
        return self._step()

    def go_on(self, answers: Mapping[str, Any]) -> Step:
        """The same from there on.

        Args:
            answers: To what each line of work asked.
        """
        with self._changed:
            for line, ask in self._asks.items():
                if ask.keep:
                    self.known[ask.keep] = answers[line]
            self._asks = {}
            self._answers.update(answers)
            self._working += len(answers)
            self._changed.notify_all()
        return self._step()

    def stop(self) -> None:
        """Give the search up; whatever waits for an answer ends."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        """Whether it was given up."""
        return self._stopped

    def ask(self, ask: Ask) -> Any:
        """Wait for an answer, in a line of work.

        Raises:
            Stopped: there will be none.
        """
        line = _here.line
        with self._changed:
            self._asks[line] = ask
            self._rest()
            here = lambda: line in self._answers or self._stopped  # noqa: E731
            self._stopped = not self._changed.wait_for(here, _PATIENCE) or self._stopped
            if self._stopped:
                raise Stopped
            return self._answers.pop(line)

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Do several things side by side, and wait for all."""
        if len(works) < 2:
            return [work() for work in works]
        found: list[Any] = [None] * len(works)
        errors: list[Exception] = []
        left = len(works)

        def line(number: int) -> None:
            nonlocal left
            try:
                found[number] = works[number]()
            except Exception as error:
                errors.append(error)
            with self._changed:
                left -= 1
                if left:
                    self._rest()
                else:  # who began them works on in the place of the last
                    self._changed.notify_all()

        with self._changed:
            self._working += len(works) - 1
        for number in range(len(works)):
            self._start(f"{_here.line}.{number}", partial(line, number))
        with self._changed:
            self._changed.wait_for(lambda: not left)
        if errors:
            raise errors[0]
        return found

    def _start(self, line: str, work: Callable[[], None]) -> None:
        def within() -> None:
            _here.run, _here.line = self, line
            computes_here()
            work()

        threading.Thread(target=within, name=f"search{line}", daemon=True).start()

    def _whole(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:
            self._error = error
        with self._changed:
            self._rest()

    def _rest(self) -> None:
        """Note that a line of work does not go on by itself."""
        self._working -= 1
        if not self._working:
            self._changed.notify_all()

    def _step(self) -> Step:
        with self._changed:
            self._changed.wait_for(lambda: not self._working or self._stopped)
            return Step(dict(self._asks), self._result, self._error)


class RunGroup(Group):
    """The shards that take part in the search of the thread that asks."""

    @property
    def rank(self) -> int:
        """See `Group.rank`."""
        return _run().rank

    def merged(self, own: T, how: Callable[[Sequence[T]], R]) -> R:
        """See `Group.merged`."""
        merged: R = _run().ask(Ask(own, how))
        return merged

    def constant(self, name: str, own: Callable[[], T], how: Callable[[Sequence[T]], R]) -> R:
        """See `Group.constant`."""
        run = _run()
        if name in run.known:
            known: R = run.known[name]
            return known
        told: R = run.ask(Ask(own(), how, keep=name))
        return told

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """See `Group.together`."""
        return _run().together(works)

    def leads(self, spans: Sequence[tuple[str, str, Naming]]) -> list[Lead]:
        """What spans lead to; see `s3_retriever.reading.leads.read_leads`."""
        read: list[Lead] = _run().ask(Ask(spans, None))
        return read


def _run() -> Run:
    run: Run = _here.run
    return run
