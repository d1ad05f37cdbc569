"""A shard: an index folder whose documents are searched as one with those of others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from s3_retriever.distributed.shard_run import Run, RunGroup, Step
from s3_retriever.engine.corpus import Corpus
from s3_retriever.engine.flow import find
from s3_retriever.engine.merging import Made
from s3_retriever.engine.stores import store_at
from s3_retriever.errors import ShardError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s3_retriever.config import SearchConfig
    from s3_retriever.documents import Document
    from s3_retriever.engine.flow import Found
    from s3_retriever.engine.store import State
    from s3_retriever.reading.leads import Lead
    from s3_retriever.reading.questions import Question
    from s3_retriever.searching.filters import Filter
    from s3_retriever.searching.searcher import Searcher
    from s3_retriever.text.names import Naming


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What a shard holds.

    Attributes:
        made: By which model and bank.
        ids: ``uint64[documents]``, digests of the documents' ids, ascending.
    """

    made: Made
    ids: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A search, as a shard is told to do it.

    Attributes:
        rank: Which of the shards that take part this one is.
        known: What earlier searches of the same documents found that no question changes.
        questions: As the model read them.
        config: What to do.
    """

    rank: int
    known: Mapping[str, Any]
    questions: Sequence[Question]
    config: SearchConfig


class Shard:
    """Searches its documents as a part of a whole; whoever leads the search calls all shards.

    A search begins with `begin` and goes on with `go_on` as often as it asks what all shards know
    together. The model is not here: questions come as they were read, and what spans lead to is
    asked like everything else.

    Args:
        path: The folder; opened when it is first needed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._runs: dict[str, Run] = {}
        self._chosen: dict[str, Searcher] = {}
        self._names: WeakKeyDictionary[Searcher, str] = WeakKeyDictionary()

    @cached_property
    def _state(self) -> State:
        return store_at(self._path).load()

    @cached_property
    def _corpus(self) -> Corpus:
        return Corpus(self._state.parts, self._state.bank, RunGroup())

    def about(self) -> About:
        """Open the folder, and say what it holds.

        Raises:
            IndexFileError, FormatVersionError, BankError: as for `EndogenousIndex.load`.
        """
        return About(Made.of(self._state), np.sort(_digests(self.ids())))

    def outline(self) -> State:
        """Bank and settings."""
        return replace(self._state, parts=(), saved=None)

    def ids(self) -> list[str]:
        """The ids of all documents, in order."""
        return [*self._corpus.documents]

    def ids_among(self, digests: np.ndarray) -> list[str]:
        """The ids that have some digests, as in `About.ids`."""
        ids = self.ids()
        return [ids[place] for place in np.flatnonzero(np.isin(_digests(ids), digests))]

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """Those documents of some ids that are here."""
        known = self._corpus.documents
        return {id: known[id] for id in ids if id in known}

    def choose(self, run: str, filter: Filter | None) -> str | None:
        """Choose the documents that pass a filter, for a search that is to begin.

        Returns:
            A name of the choice, the same whenever it is and the folder is as it was; None where
            no document passes.

        Raises:
            InputError: the filter is none.
        """
        searcher = self._corpus.searcher(filter)
        if searcher is None:
            return None
        self._chosen[run] = searcher
        if searcher not in self._names:
            seal = "" if self._state.saved is None else self._state.saved.version.seal
            told = "\n".join([str(seal), *(own.id for own in searcher.text.documents)])
            self._names[searcher] = hashlib.sha256(told.encode()).hexdigest()
        return self._names[searcher]

    def begin(self, run: str, task: Task) -> Step:
        """Search until something must be asked of all shards, or to the end.

        Args:
            run: The name of the search, of `choose`.
            task: What is searched for.

        Returns:
            The result, of the first shard alone: a list of `s3_retriever.engine.flow.Found`.
        """
        for other in [name for name, own in self._runs.items() if own.stopped]:
            self._runs.pop(other, None)
        searcher = self._chosen.pop(run)
        self._runs[run] = Run(task.rank, task.known, partial(_find, searcher, task))
        return self._ended(run, self._runs[run].begin())

    def go_on(self, run: str, answers: Mapping[str, Any]) -> Step:
        """The same from there on.

        Args:
            run: As for `begin`.
            answers: To what each line of work asked (`Step.asks`).

        Raises:
            ShardError: there is no such search here; the shard was started anew.
        """
        if run not in self._runs:
            raise ShardError(f"{self._path} was opened anew in the middle of a search")
        return self._ended(run, self._runs[run].go_on(answers))

    def stop(self, run: str) -> None:
        """Give a search up."""
        self._chosen.pop(run, None)
        given_up = self._runs.pop(run, None)
        if given_up is not None:
            given_up.stop()

    def _ended(self, run: str, step: Step) -> Step:
        if not step.asks:
            self._runs.pop(run, None)
        return step


class _Asks:
    """Stands for the model, where it is not: questions were read, and leads are asked for."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = {question.whole.text: question for question in questions}

    def questions(self, questions: Sequence[str]) -> list[Question]:
        return [self._questions[question] for question in questions]

    def leads(self, spans: Sequence[tuple[str, str, Naming]]) -> list[Lead]:
        return RunGroup().leads(spans)


def _find(searcher: Searcher, task: Task) -> list[Found] | None:
    asked = [question.whole.text for question in task.questions]
    found = find(_Asks(task.questions), searcher, asked, task.config)
    return None if task.rank else found


def _digests(ids: Sequence[str]) -> np.ndarray:
    """``uint64[documents]``."""
    joined = b"".join(hashlib.blake2b(id.encode(), digest_size=8).digest() for id in ids)
    return np.frombuffer(joined, np.uint64)
