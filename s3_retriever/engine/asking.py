"""What can be asked: one index, or several that are searched as one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Unpack

from s3_retriever.answering.generator import TextGenerator
from s3_retriever.answering.prompt import STOP, Prompt, build_prompt
from s3_retriever.answering.stream import AnswerStream
from s3_retriever.config import AnswerSettings, SearchConfig, SearchSettings
from s3_retriever.documents import Answer
from s3_retriever.engine.settings import search_config
from s3_retriever.errors import InputError
from s3_retriever.reading.question_reader import QuestionReader
from s3_retriever.searching.filters import predicate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike
    from threading import Event

    from s3_retriever.answering.generator import Message
    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.config import AnswerConfig, ScanConfig
    from s3_retriever.documents import Document, Draft, Skipped
    from s3_retriever.engine.intake import OnError
    from s3_retriever.engine.results import SearchResult
    from s3_retriever.searching.filters import Filter


class SearchableIndex(ABC):
    """Documents that a model has read, and the model, which asks and answers.

    Attributes:
        backbone: The model that searches and answers.
        bank: The sparse autoencoders its keys go through.
        config: Settings of `search` that a call does not give.
        scan_config: How documents were read.
        answer_config: Settings of `answer` that a call does not give.
    """

    backbone: Backbone
    bank: Bank
    config: SearchConfig
    scan_config: ScanConfig
    answer_config: AnswerConfig

    def __init__(self) -> None:
        self._reader: QuestionReader | None = None

    @property
    @abstractmethod
    def documents(self) -> Mapping[str, Document]:
        """The documents by id, in the order they were added."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What the last change left out, with ``on_error="skip"``."""
        return ()

    @abstractmethod
    def add(
        self,
        documents: Iterable[Document | Draft | str],
        *,
        progress: bool = False,
        on_error: OnError = "raise",
    ) -> tuple[str, ...]:
        """Read more documents, and return their ids."""

    @abstractmethod
    def upsert(
        self,
        documents: Iterable[Document | Draft | str],
        *,
        progress: bool = False,
        on_error: OnError = "raise",
    ) -> tuple[str, ...]:
        """Read documents, each instead of the one that has its id, and return their ids."""

    @abstractmethod
    def delete(self, ids: Iterable[str] | str) -> None:
        """Forget documents."""

    @abstractmethod
    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the index to a folder."""

    def search(
        self,
        question: str,
        *,
        filter: Filter | None = None,
        config: SearchConfig | Mapping[str, Any] | None = None,
        **settings: Unpack[SearchSettings],
    ) -> SearchResult:
        """Find the spans that the model attends to when it reads a question.

        Args:
            question: Any text that fits the model's window.
            filter: Which documents to search: conditions on their metadata (every entry must
                hold; see `s3_retriever.searching.filters.matches`) or a function of it. Applied
                before ranking.
            config: Settings in place of the index's own `config`.
            **settings: Fields of `SearchConfig` for this search, such as ``k=3`` or
                ``token_budget=400``. Those left at None are as `config` has them;
                `s3_retriever.UNSET` puts one back to its default: ``token_budget=UNSET`` is no
                budget, whatever the index has.

        Raises:
            InputError: a question that is empty or too long, or an unknown or impossible setting.
        """
        (result,) = self.search_many([question], filter=filter, config=config, **settings)
        return result

    @abstractmethod
    def search_many(
        self,
        questions: Sequence[str],
        *,
        filter: Filter | None = None,
        config: SearchConfig | Mapping[str, Any] | None = None,
        **settings: Unpack[SearchSettings],
    ) -> list[SearchResult]:
        """Search for several questions, read through the model in batches.

        Arguments and errors are those of `search`, and so are the results, one for each question.
        """

    def _chosen(
        self, config: SearchConfig | Mapping[str, Any] | None, settings: Mapping[str, Any]
    ) -> SearchConfig:
        """The settings of a search.

        Raises:
            InputError: they are impossible, or ask for relevance where the bank tells none.
        """
        chosen = search_config(config or self.config, settings)
        if chosen.min_relevance is not None:
            self.bank.check_relevance()
        return chosen

    def check(self, question: str, filter: Filter | None = None) -> None:
        """Refuse what `search` would refuse, without searching.

        Raises:
            InputError: a question that is empty or too long, or what is no filter.
        """
        self._checked([question])
        predicate(filter)

    def _question_reader(self) -> QuestionReader:
        """The one that remembers, unless what it reads by has been replaced."""
        parts = (self.backbone, self.bank, self.scan_config)
        if self._reader is None or not self._reader.serves(*parts):
            self._reader = QuestionReader(*parts)
        return self._reader

    def _checked(self, questions: Sequence[str]) -> list[str]:
        if isinstance(questions, str):
            raise InputError("questions must be a list of str; for one question use search")
        for question in questions:
            if not isinstance(question, str):
                kind = type(question).__name__
                raise InputError(f"a question must be a str, not {kind}")
            if not question.strip():
                raise InputError("the question is empty or only white space; ask something")
            tokens, window = self.backbone.text.count(question), self.backbone.spec.max_positions
            if tokens > window:
                raise InputError(
                    f"the question has {tokens} tokens, more than the model's window of {window}; "
                    "shorten it, or search for its parts"
                )
        return list(questions)

    def answer(
        self,
        question: str,
        *,
        filter: Filter | None = None,
        search: SearchConfig | Mapping[str, Any] | None = None,
        **settings: Unpack[AnswerSettings],
    ) -> Answer:
        """Let the same model answer from the spans it finds.

        Args:
            question: Any text that fits the model's window.
            filter: Which documents to search, as for `search`.
            search: Settings of the search, or some of them, in place of the index's own `config`;
                `k`, `token_budget` and `order` are those of the answer.
            **settings: Fields of `AnswerConfig` for this answer, such as ``max_new_tokens=64``;
                those left at None are as `answer_config` has them.

        Returns:
            The answer with the spans it was given, numbered as in the prompt. Where no span was
            found the model is not asked, and the text is empty.

        Raises:
            InputError: as for `search`; also an answer too long for the model's window.
        """
        config = self.answer_config.replace(**settings)
        _, prompt = self._prompt(question, filter, search, config)
        if prompt is None:
            return Answer("", question, (), 0)
        text = self._generator.generate(
            prompt.text,
            max_new_tokens=config.max_new_tokens,
            stop=(*STOP, *config.stop),
            temperature=config.temperature,
        )
        return Answer(text.strip(), question, prompt.spans, prompt.tokens)

    def stream_answer(
        self,
        question: str,
        *,
        filter: Filter | None = None,
        search: SearchConfig | Mapping[str, Any] | None = None,
        history: Sequence[Message] = (),
        cancelled: Event | None = None,
        **settings: Unpack[AnswerSettings],
    ) -> AnswerStream:
        """Answer piece by piece; further arguments and errors are those of `answer`.

        The search is done at once; the pieces come as the model makes them.

        Args:
            question: As for `answer`.
            filter: Likewise.
            search: Likewise.
            history: What was said before, for the model to read; only `question` is searched for.
            cancelled: Ends the answer when another thread sets it.
            **settings: As for `answer`.
        """
        config = self.answer_config.replace(**settings)
        found, prompt = self._prompt(question, filter, search, config, history)
        seconds = {"read": found.seconds.read, "search": found.seconds.search}
        if prompt is None:
            return AnswerStream(question, (), 0, seconds, iter(()), asdict(found.seconds))
        pieces = self._generator.stream(
            prompt.text,
            max_new_tokens=config.max_new_tokens,
            stop=(*STOP, *config.stop),
            temperature=config.temperature,
            cancelled=cancelled,
        )
        steps = asdict(found.seconds)
        return AnswerStream(question, prompt.spans, prompt.tokens, seconds, pieces, steps)

    @property
    def _generator(self) -> TextGenerator:
        return TextGenerator(self.backbone)

    def _prompt(
        self,
        question: str,
        filter: Filter | None,
        search: SearchConfig | Mapping[str, Any] | None,
        config: AnswerConfig,
        history: Sequence[Message] = (),
    ) -> tuple[SearchResult, Prompt | None]:
        """Search in reading order, and put what was found into a prompt; None for nothing."""
        chosen = search if isinstance(search, SearchConfig) else self.config.replace(**search or {})
        found = self.search(
            question,
            filter=filter,
            config=chosen,
            k=config.k,
            token_budget=config.token_budget,
            order="document",
        )
        if not found.spans:
            return found, None
        return found, build_prompt(self._generator, question, found.spans, config, history)
