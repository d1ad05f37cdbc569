"""`EndogenousIndex`: build, add, delete, search, answer, save and load."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from s3_retriever.answering.generator import TextGenerator
from s3_retriever.answering.prompt import STOP, Prompt, build_prompt
from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.documents import Answer
from s3_retriever.engine.corpus import Corpus
from s3_retriever.engine.intake import take_in
from s3_retriever.engine.persist import State, load_state, save_state
from s3_retriever.engine.resolve import check_model, resolve_backbone, resolve_bank
from s3_retriever.engine.results import IndexStats, SearchResult
from s3_retriever.errors import InputError
from s3_retriever.fork import renew_after_fork
from s3_retriever.reading.clock import ScanClock, ScanReport
from s3_retriever.reading.leads import read_leads
from s3_retriever.reading.questions import read_questions
from s3_retriever.reading.scan import scan as scan_documents
from s3_retriever.searching.postings import PostingsBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from os import PathLike

    from s3_retriever.backbone import Backbone
    from s3_retriever.documents import Document, Draft, Skipped
    from s3_retriever.engine.intake import OnError
    from s3_retriever.reading.leads import Lead
    from s3_retriever.searching.filters import Filter


class EndogenousIndex:
    """A corpus that a language model has read once, searched with the model's own attention.

    Made by `build` or `load`. Safe to use from several threads: the model serves one at a time,
    and a search sees the corpus before or after a change, never in between.

    Attributes:
        backbone: The model that reads, searches and answers.
        bank: The sparse autoencoders its keys go through.
        config: Defaults of `search`.
        scan_config: How documents are read.
        answer_config: Defaults of `answer`.
    """

    def __init__(self, backbone: Backbone, state: State) -> None:
        self.backbone = backbone
        self.bank = state.bank
        self.config = state.search
        self.scan_config = state.scan
        self.answer_config = state.answer
        self._report = state.report
        self._saved = state.saved
        self._corpus = Corpus(state.entries, state.bank)
        self._renew_lock()
        renew_after_fork(self, type(self)._renew_lock)
        self._skipped: tuple[Skipped, ...] = ()
        self._kept = self._contents() if state.saved is not None else None

    def _renew_lock(self) -> None:
        self._changing = Lock()

    @classmethod
    def build(
        cls,
        documents: Iterable[Document | Draft | str],
        *,
        model: Any = None,
        tokenizer: Any = None,
        bank: Any = None,
        scan: ScanConfig | Mapping[str, Any] | None = None,
        search: SearchConfig | Mapping[str, Any] | None = None,
        answer: AnswerConfig | Mapping[str, Any] | None = None,
        progress: bool = True,
        on_error: OnError = "raise",
    ) -> Self:
        """Read documents through a model and index what it attends by.

        Args:
            documents: Documents, or texts, which are given the ids ``"0"``, ``"1"`` and so on.
            model: A transformers model, a `Backbone`, a name or path, or None for the embedded
                default, SmolLM2-135M-Instruct.
            tokenizer: With a transformers model: its fast tokenizer.
            bank: A `Bank` or the folder of one. None takes the one that ships for this model, or
                one from the user's cache, or makes and keeps one from these documents.
            scan: How documents are read; settings or a dict of them, like the next two.
            search: Defaults of `search`.
            answer: Defaults of `answer`.
            progress: Show bars on standard error.
            on_error: What becomes of documents that cannot be indexed: ``"raise"`` names them all
                and reads none; ``"skip"`` reads the others, warns (`SkippedWarning`) and lists
                them with their reasons in `skipped`.

        Raises:
            InputError: no documents, or some that cannot be indexed. All are checked before any
                is read.
            UnsupportedModelError: a model that cannot serve.
            ModelMismatchError: a bank for another model.
            BankError: a damaged bank.
        """
        settings = ScanConfig.of(scan), SearchConfig.of(search), AnswerConfig.of(answer)
        checked, skipped = take_in(documents, on_error=on_error)
        if not checked:
            why = f"; left out was {skipped[0]}" if skipped else ""
            raise InputError(f"there is no document to index; give at least one{why}")
        backbone = resolve_backbone(model, tokenizer, progress)
        bank = resolve_bank(bank, backbone, checked, progress)
        state = State((), bank, *settings, ScanReport())
        index = cls(backbone, state)
        index.add(checked, progress=progress)
        index._skipped = skipped
        return index

    def add(
        self,
        documents: Iterable[Document | Draft | str],
        *,
        progress: bool = False,
        on_error: OnError = "raise",
    ) -> tuple[str, ...]:
        """Read more documents; all are added, or, where anything fails, none.

        Args:
            documents: As for `build`; none at all is no error.
            progress: Show a bar on standard error.
            on_error: As for `build`.

        Returns:
            Their ids, in order.

        Raises:
            InputError: an id that is taken or comes twice, or something that cannot be indexed;
                the message names all such.
        """
        with self._changing:
            checked, self._skipped = take_in(documents, self._corpus.documents, on_error)
            clock = ScanClock(self.backbone.device)
            with self._inverting(clock) as postings:
                entries = scan_documents(
                    self.backbone,
                    self.bank,
                    checked,
                    self.scan_config,
                    progress,
                    clock=clock,
                    postings=postings,
                )
                scanned = tuple(entries)
                inverted = None if postings is None else postings.done()
            corpus = self._corpus.plus(scanned, inverted)
            self._corpus, self._report = corpus, self._report + clock.report()
        return tuple(document.id for document in checked)

    def _inverting(self, clock: ScanClock) -> AbstractContextManager[PostingsBuilder | None]:
        """Postings of all that is scanned, where they are what a search will read."""
        if self.config.scoring == "coactivation" and not self._corpus.documents:
            return closing(PostingsBuilder(self.bank, clock))
        return nullcontext()

    def delete(self, ids: Iterable[str] | str) -> None:
        """Forget documents; all that are named, or, where one is unknown, none.

        Raises:
            InputError: no document has one of the ids.
        """
        with self._changing:
            self._corpus = self._corpus.minus({ids} if isinstance(ids, str) else set(ids))

    def __len__(self) -> int:
        return len(self._corpus.documents)

    def __repr__(self) -> str:
        model = self.bank.model_name or self.backbone.spec.architecture
        return f"<EndogenousIndex of {len(self):,} documents read by {model}>"

    @property
    def documents(self) -> Mapping[str, Document]:
        """The documents by id, in the order they were added; a snapshot."""
        return self._corpus.documents

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What the last `build` or `add` left out, with ``on_error="skip"``."""
        return self._skipped

    def search(
        self,
        question: str,
        *,
        k: int | None = None,
        token_budget: int | None = None,
        filter: Filter | None = None,
        scoring: str | None = None,
        bm25: bool | None = None,
        second_hop: bool | None = None,
        order: str | None = None,
    ) -> SearchResult:
        """Find the spans that the model attends to when it reads a question.

        Args:
            question: Any text that fits the model's window.
            k: Most spans; fewer come back where fewer exist.
            token_budget: Most tokens in all spans together; the last span is cut to fit, so a
                budget below the first span's length gives a part of it.
            filter: Which documents to search: conditions on their metadata (every entry must
                hold; see `s3_retriever.searching.filters.matches`) or a function of it.
                Applied before ranking.
            scoring: ``"attention"`` or ``"coactivation"``.
            bm25: Whether to fuse with BM25.
            second_hop: Whether to ask the other documents for what the best spans name.
            order: ``"score"`` or ``"document"``.

        What is None is taken from `config`.

        Raises:
            InputError: a question that is empty or too long, or a setting that will not do.
        """
        (result,) = self.search_many(
            [question],
            k=k,
            token_budget=token_budget,
            filter=filter,
            scoring=scoring,
            bm25=bm25,
            second_hop=second_hop,
            order=order,
        )
        return result

    def search_many(
        self,
        questions: Sequence[str],
        *,
        k: int | None = None,
        token_budget: int | None = None,
        filter: Filter | None = None,
        scoring: str | None = None,
        bm25: bool | None = None,
        second_hop: bool | None = None,
        order: str | None = None,
    ) -> list[SearchResult]:
        """Search for several questions, read through the model in batches.

        Arguments and errors are those of `search`, and so are the results, one for each question.
        """
        config = self.config.replace(
            k=k,
            token_budget=token_budget,
            scoring=scoring,
            bm25=bm25,
            second_hop=second_hop,
            order=order,
        )
        questions = self._checked(questions)
        corpus = self._corpus
        keep = corpus.keep(filter)
        if not questions or not corpus.documents or (keep is not None and not keep.any()):
            return [SearchResult(question, (), {}, {}) for question in questions]
        begun = perf_counter()
        readings = read_questions(self.backbone, self.bank, questions, self.scan_config)
        share = (perf_counter() - begun) / len(questions)
        results = []
        for question, reading in zip(questions, readings, strict=True):
            begun = perf_counter()
            follow = partial(self._leads, question)
            spans = corpus.searcher().search(question, reading.queries, keep, config, follow)
            seconds = {"read": share, "search": perf_counter() - begun}
            sources = {span.document_id: corpus.documents[span.document_id] for span in spans}
            results.append(SearchResult(question, spans, seconds, sources))
        return results

    def _leads(self, question: str, texts: Sequence[str]) -> list[Lead]:
        return read_leads(self.backbone, self.bank, question, texts, self.scan_config)

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
        k: int | None = None,
        token_budget: int | None = None,
        max_new_tokens: int | None = None,
        filter: Filter | None = None,
    ) -> Answer:
        """Let the same model answer from the spans it finds.

        Args:
            question: Any text that fits the model's window.
            k: Most spans in the prompt.
            token_budget: Most tokens of evidence in the prompt.
            max_new_tokens: Most tokens of the answer.
            filter: Which documents to search, as for `search`.

        What is None is taken from `answer_config`.

        Returns:
            The answer with the spans it was given, numbered as in the prompt. Where no span was
            found the model is not asked, and the text is empty.

        Raises:
            InputError: as for `search`; also an answer too long for the model's window.
        """
        config = self.answer_config.replace(
            k=k, token_budget=token_budget, max_new_tokens=max_new_tokens
        )
        prompt = self._prompt(question, config, filter)
        if prompt is None:
            return Answer("", question, (), 0)
        text = self._generator.generate(
            prompt.text, max_new_tokens=config.max_new_tokens, stop=STOP
        )
        return Answer(text.strip(), question, prompt.spans, prompt.tokens)

    def stream_answer(
        self,
        question: str,
        *,
        k: int | None = None,
        token_budget: int | None = None,
        max_new_tokens: int | None = None,
        filter: Filter | None = None,
    ) -> Iterator[str]:
        """Answer piece by piece; arguments and errors are those of `answer`.

        The search is done at once; the pieces come as the model makes them.
        """
        config = self.answer_config.replace(
            k=k, token_budget=token_budget, max_new_tokens=max_new_tokens
        )
        prompt = self._prompt(question, config, filter)
        if prompt is None:
            return iter(())
        return self._generator.stream(prompt.text, max_new_tokens=config.max_new_tokens, stop=STOP)

    @property
    def _generator(self) -> TextGenerator:
        return TextGenerator(self.backbone)

    def _prompt(self, question: str, config: AnswerConfig, filter: Filter | None) -> Prompt | None:
        found = self.search(
            question,
            k=config.k,
            token_budget=config.token_budget,
            filter=filter,
            order="document",
        )
        if not found.spans:
            return None
        return build_prompt(self._generator, question, found.spans, config)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the index to a folder; a folder that holds it is brought up to date.

        The model is not written, the bank is. Interrupted at any point, the folder holds what it
        held before or the new index, whole. What another process has added to, changed in or
        deleted from the folder since it was loaded or saved here is kept, and is in this index
        from then on. The folder may be missing or empty, or hold an index: this one, or one whose
        documents are all in this one.

        Args:
            path: The folder.
            overwrite: Replace whatever index the folder holds.

        Raises:
            IndexConflictError: another process changed the same documents in another way, or the
                folder holds another index; nothing was saved, and nothing is lost.
            IndexFileError: the folder is read-only, full, in use, or holds something else.
        """
        with self._changing:
            self._saved, merged = save_state(path, self._state(), overwrite)
            if merged:
                self._adopt(load_state(path))
            self._kept = self._contents()

    def _adopt(self, state: State) -> None:
        """Become what a folder holds, another process's changes included."""
        self._corpus = Corpus(state.entries, self.bank)
        self.config, self.scan_config = state.search, state.scan
        self.answer_config, self._report = state.answer, state.report
        self._saved = state.saved

    def _state(self) -> State:
        return State(
            entries=self._corpus.entries(),
            bank=self.bank,
            scan=self.scan_config,
            search=self.config,
            answer=self.answer_config,
            report=self._report,
            saved=self._saved,
        )

    def _contents(self) -> tuple[object, ...]:
        """What a save writes, comparable with ``==``."""
        return self._corpus, self.config, self.scan_config, self.answer_config

    def __copy__(self) -> Self:
        """A second index of the same documents, which may be changed by itself.

        The model and its weights are shared, and so are documents and codes, which never change.
        """
        with self._changing:
            other = type(self)(self.backbone, self._state())
            other._corpus, other._skipped = self._corpus, self._skipped
            other._kept = self._kept
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the folder: what is unpickled is loaded from there, and so is the model.

        Raises:
            InputError: the index is not saved as it is.
        """
        with self._changing:
            if self._saved is None or self._kept != self._contents():
                raise InputError(
                    "an index is pickled by its folder, and this one has changes that are not "
                    "saved: index.save(folder) first, or hand on the folder and load it there"
                )
            return _reopen, (type(self), str(self._saved.folder), self.backbone)

    @classmethod
    def load(cls, path: str | PathLike[str], *, model: Any = None, tokenizer: Any = None) -> Self:
        """Open a saved index; it answers as it did before it was saved.

        Args:
            path: The folder.
            model: The model it was built with, given as for `build`; None for the embedded
                default.
            tokenizer: With a transformers model: its fast tokenizer.

        Raises:
            IndexFileError: the folder is missing, no index, or damaged.
            FormatVersionError: a newer release wrote it.
            BankError: the bank in it is missing or damaged.
            ModelMismatchError: another model than the index was built with.
        """
        state = load_state(path)
        backbone = resolve_backbone(model, tokenizer)
        check_model(backbone, state.bank, f"the index {path}")
        return cls(backbone, state)

    @property
    def stats(self) -> IndexStats:
        """Sizes of the index, and what its scans took."""
        corpus, spec = self._corpus, self.backbone.spec
        taps = self.bank.calibration.taps
        return IndexStats(
            documents=len(corpus.documents),
            characters=sum(len(document.text) for document in corpus.documents.values()),
            tokens=sum(len(codes) for codes in corpus.codes.values()),
            index_bytes=sum(codes.nbytes for codes in corpus.codes.values()),
            bank_bytes=self.bank.nbytes,
            kv_bytes_per_token=spec.kv_bytes_per_token(),
            taps=len(taps),
            deepest_layer=max(tap.layer for tap in taps),
            layers=spec.layers,
            scan=self._report,
        )


def _reopen(kind: type[EndogenousIndex], folder: str, backbone: Backbone) -> EndogenousIndex:
    return kind.load(folder, model=backbone)
