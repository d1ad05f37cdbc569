"""The lead of a search over shards: it adds up what they know, and hands it back."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

from s3_retriever.distributed.shard import Task
from s3_retriever.errors import S3Error, ShardError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from s3_retriever.config import SearchConfig
    from s3_retriever.distributed.shard_calls import Shards
    from s3_retriever.distributed.shard_run import Ask, Step
    from s3_retriever.engine.flow import Found
    from s3_retriever.reading.question_reader import QuestionReader
    from s3_retriever.reading.questions import Question
    from s3_retriever.searching.filters import Filter

_KEPT = 16
"""Choices of documents of which is kept what no question changes."""


class Lost(Exception):
    """Shards did not answer.

    Attributes:
        why: What each failed with, by name.
    """

    def __init__(self, why: Mapping[str, Exception]) -> None:
        super().__init__(*why)
        self.why = dict(why)

    def told(self) -> str:
        """Which shards, and why."""
        return "; ".join(f"{name} ({_reason(error)})" for name, error in self.why.items())


def _reason(error: Exception) -> str:
    return "it took too long" if isinstance(error, TimeoutError) else first_line(error)


def values_of(shards: Shards, method: str, given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """What a method of some shards returns, by name.

    Raises:
        Lost: some did not answer. Errors that users meet, such as of a filter that is none, are
            raised as they are.
    """
    values, errors = shards.call(method, given)
    for error in errors.values():
        if isinstance(error, S3Error) and not isinstance(error, ShardError):
            raise error
    if errors:
        raise Lost(errors)
    return values


class ShardSearch:
    """Searches shards as one.

    Args:
        shards: Wherever they are.
    """

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._known: OrderedDict[tuple[tuple[str, str], ...], dict[str, Any]] = OrderedDict()
        self._keeping = Lock()

    def find(
        self,
        names: Iterable[str],
        questions: Sequence[Question],
        config: SearchConfig,
        filter: Filter | None,
        reader: QuestionReader,
    ) -> list[Found]:
        """Find the spans of questions in some of the shards.

        Args:
            names: Of the shards.
            questions: As the model read them.
            config: What to do.
            filter: Which documents are searched.
            reader: Reads what spans lead to.

        Returns:
            One entry for each question, in order; none where no document passes the filter.

        Raises:
            Lost: a shard did not answer.
            InputError: the filter is none, or the bank cannot do what is asked.
        """
        run = uuid.uuid4().hex
        asked = [*names]
        try:
            chosen = values_of(self._shards, "choose", dict.fromkeys(asked, (run, filter)))
            members = {name: chosen[name] for name in asked if chosen[name] is not None}
            if not members:
                return []
            found = self._led(run, members, questions, config, reader)
        except BaseException:
            self._shards.tell("stop", asked, run)
            raise
        return found

    def _led(
        self,
        run: str,
        members: Mapping[str, str],
        questions: Sequence[Question],
        config: SearchConfig,
        reader: QuestionReader,
    ) -> list[Found]:
        known = self._known_of(members)
        told = dict(known)
        given = {
            name: (run, Task(rank, told, questions, config)) for rank, name in enumerate(members)
        }
        steps: dict[str, Step] = values_of(self._shards, "begin", given)
        while True:
            asks = [_asks(name, steps[name]) for name in members]
            if any(own.keys() != asks[0].keys() for own in asks):
                raise ShardError(
                    "shards do not ask the same; run the same release of s3-retriever on all"
                )
            if not any(asks):
                first = next(iter(members))
                found: list[Found] = steps[first].result
                return found
            answers = {line: _answer([own[line] for own in asks], reader) for line in asks[0]}
            known |= {ask.keep: answers[line] for line, ask in asks[0].items() if ask.keep}
            steps = values_of(self._shards, "go_on", dict.fromkeys(members, (run, answers)))

    def _known_of(self, members: Mapping[str, str]) -> dict[str, Any]:
        """What no question changes, of these documents of these shards; it is added to."""
        with self._keeping:
            key = tuple(members.items())
            known = self._known.setdefault(key, {})
            self._known.move_to_end(key)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return known


def _asks(name: str, step: Step) -> Mapping[str, Ask]:
    """What a shard waits for; what it failed with is raised."""
    if step.error is not None:
        step.error.add_note(f"in the shard {name}")
        raise step.error
    return step.asks


def _answer(asks: Sequence[Ask], reader: QuestionReader) -> Any:
    """What all shards know together, of what each knows."""
    how = asks[0].how
    if how is None:
        return reader.leads(asks[0].own)
    return how([ask.own for ask in asks])
