"""`EndogenousIndex`: build, add, delete, search, answer, save and load."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Self, Unpack

from s3_retriever.config import (
    AnswerConfig,
    ScanConfig,
    SearchConfig,
    SearchSettings,
)
from s3_retriever.engine.asking import SearchableIndex
from s3_retriever.engine.corpus import Corpus
from s3_retriever.engine.flow import find
from s3_retriever.engine.heat import QuestionHeat, question_heat
from s3_retriever.engine.intake import take_in
from s3_retriever.engine.into_folder import build_into, read_into
from s3_retriever.engine.merging import merge_folders
from s3_retriever.engine.opening import Given
from s3_retriever.engine.resolve import check_model, resolve_backbone, resolve_bank
from s3_retriever.engine.results import SearchResult, SearchSeconds
from s3_retriever.engine.settings import search_config
from s3_retriever.engine.sizes import corpus_stats
from s3_retriever.engine.store import State
from s3_retriever.engine.stores import store_at
from s3_retriever.errors import InputError
from s3_retriever.fork import computes_here, renew_after_fork
from s3_retriever.reading.clock import ScanClock
from s3_retriever.reading.scan import scan
from s3_retriever.storage import holding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from s3_retriever.backbone import Backbone
    from s3_retriever.documents import Document, Draft, Skipped
    from s3_retriever.engine.corpus import Candidates
    from s3_retriever.engine.intake import OnError
    from s3_retriever.engine.results import IndexStats
    from s3_retriever.fitting.depth import Depth
    from s3_retriever.searching.filters import Filter
    from s3_retriever.searching.heat import Place
    from s3_retriever.searching.scorer import IndexedText


class EndogenousIndex(SearchableIndex):
    """A corpus that a language model has read once, searched with the model's own attention.

    Made by `build`, `empty` or `load`. Safe to use from several threads: the model serves one at a
    time, and a search sees the corpus before or after a change, never in between.

    Attributes:
        backbone: The model that reads, searches and answers.
        bank: The sparse autoencoders its keys go through.
        config: Settings of `search` that a call does not give.
        scan_config: How documents are read.
        answer_config: Settings of `answer` that a call does not give.
        candidates: Makes, of a text, what names the sentences worth scoring
            (`s3_retriever.searching.candidates`), in the place of a look at all of them; of these
            alone codes are read. None by default, and not saved.
    """

    candidates: Candidates | None

    def __init__(self, backbone: Backbone, state: State) -> None:
        super().__init__()
        self.candidates = None
        self.backbone = backbone
        self.bank = state.bank
        self.config = state.search
        self.scan_config = state.scan
        self.answer_config = state.answer
        self._report = state.report
        self._saved = state.saved
        self._corpus = Corpus(state.parts, state.bank)
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
        path: str | PathLike[str] | None = None,
        model: Any = None,
        tokenizer: Any = None,
        bank: Any = None,
        depth: Depth | None = None,
        scan: ScanConfig | Mapping[str, Any] | None = None,
        search: SearchConfig | Mapping[str, Any] | None = None,
        answer: AnswerConfig | Mapping[str, Any] | None = None,
        progress: bool = True,
        on_error: OnError = "raise",
    ) -> Self:
        """Read documents through a model and index what it attends by.

        Args:
            documents: Documents, or texts, which are given the ids ``"0"``, ``"1"`` and so on.
            path: Folder to read into, for texts that are many: documents are taken one by one,
                from a generator, say, and none is held once it is saved. They are saved while the
                model reads, whole or not at all; where that was interrupted, the same call reads
                what is missing. Of a folder that holds an index, documents with other ids stay, and
                those that come with another text are replaced. None keeps all in memory until
                `save`.
            model: A transformers model, a `Backbone`, a name or path, or None for the embedded
                default, SmolLM2-135M-Instruct.
            tokenizer: With a transformers model: its fast tokenizer.
            bank: A `Bank` or the folder of one. None takes the one that ships for this model, or
                one from the user's cache, or makes and keeps one from these documents.
            depth: Which of these, where no bank is given: ``"full"`` reads the first third of the
                model's layers, ``"fast"`` the first sixth, which is half the scan and fewer bytes,
                for fewer answers found. None is ``"full"``, or what an index at `path` has.
            scan: How documents are read; settings or a dict of them, like the next two.
            search: Defaults of `search`.
            answer: Defaults of `answer`.
            progress: Show bars on standard error.
            on_error: What becomes of documents that cannot be indexed: ``"raise"`` names them all
                and reads none (with `path`, stops at the first of them, and keeps what was read);
                ``"skip"`` reads the others, warns (`SkippedWarning`) and lists them with their
                reasons in `skipped`.

        Raises:
            InputError: no documents, or some that cannot be indexed. Without `path`, all are
                checked before any is read. With it: the folder holds an index that was made with
                another bank, at another depth or by other chunks. A depth beside a bank.
            IndexFileError: with `path`, as for `save`.
            UnsupportedModelError: a model that cannot serve.
            ModelMismatchError: a bank for another model.
            BankError: a damaged bank.
        """
        settings = ScanConfig.of(scan), search_config(search, {}), AnswerConfig.of(answer)
        if path is not None:
            backbone = resolve_backbone(model, tokenizer, progress)
            given = Given(bank, scan, search, answer, depth)
            skipped = build_into(
                path, documents, backbone, given, progress=progress, on_error=on_error
            )
            index = cls.load(path, model=backbone)
            index._skipped = skipped
            return index
        checked, skipped = take_in(documents, on_error=on_error)
        if not checked:
            why = f"; left out was {skipped[0]}" if skipped else ""
            raise InputError(
                f"there is no document to index{why}; give at least one, or begin with empty()"
            )
        backbone = resolve_backbone(model, tokenizer, progress)
        bank = resolve_bank(bank, backbone, checked, progress, depth)
        index = cls(backbone, State((), bank, *settings))
        index._scan(checked, progress)
        index._skipped = skipped
        return index

    @classmethod
    def empty(
        cls,
        *,
        model: Any = None,
        tokenizer: Any = None,
        bank: Any = None,
        depth: Depth | None = None,
        scan: ScanConfig | Mapping[str, Any] | None = None,
        search: SearchConfig | Mapping[str, Any] | None = None,
        answer: AnswerConfig | Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> Self:
        """Make an index of no documents, to `add` to.

        Arguments and errors are those of `build`; a bank that must be made first is made from the
        texts that come with the package.
        """
        settings = ScanConfig.of(scan), search_config(search, {}), AnswerConfig.of(answer)
        backbone = resolve_backbone(model, tokenizer, progress)
        bank = resolve_bank(bank, backbone, (), progress, depth)
        return cls(backbone, State((), bank, *settings))

    def add(
        self,
        documents: Iterable[Document | Draft | str],
        *,
        path: str | PathLike[str] | None = None,
        progress: bool = False,
        on_error: OnError = "raise",
    ) -> tuple[str, ...]:
        """Read more documents; without `path` all are added, or, where anything fails, none.

        Args:
            documents: As for `build`; none at all is no error.
            path: Folder that holds this index, or is to, as for `build`: what this index holds is
                saved there, and documents are saved while the model reads. Where that fails or is
                interrupted, what was read is kept; `upsert` then reads what is missing.
            progress: Show a bar on standard error.
            on_error: As for `build`.

        Returns:
            Their ids, in order.

        Raises:
            InputError: an id that is taken or comes twice, or something that cannot be indexed;
                the message names all such.
        """
        with self._changing:
            old = self._corpus.documents
            if path is not None:
                return self._read_into(path, documents, {*old}, progress, on_error)
            checked, self._skipped = take_in(documents, old, on_error)
            self._scan(checked, progress)
        return tuple(document.id for document in checked)

    def upsert(
        self,
        documents: Iterable[Document | Draft | str],
        *,
        path: str | PathLike[str] | None = None,
        progress: bool = False,
        on_error: OnError = "raise",
    ) -> tuple[str, ...]:
        """Add documents, each instead of the one that has its id, if any.

        A text that is there already is not read again; what is new or changed comes last. Where
        anything fails, nothing changes (without `path`), and no search sees an old document gone
        and the new one not yet there.

        Args:
            documents: As for `build`; none at all is no error.
            path: As for `add`.
            progress: Show a bar on standard error.
            on_error: As for `build`.

        Returns:
            Their ids, in order. What is new or changed is another object in `documents` than
            before.

        Raises:
            InputError: an id that comes twice, or something that cannot be indexed; the message
                names all such.
        """
        with self._changing:
            old = self._corpus.documents
            if path is not None:
                return self._read_into(path, documents, set(), progress, on_error)
            checked, self._skipped = take_in(documents, old, on_error, replace=True)
            self._scan([d for d in checked if old.get(d.id) != d], progress)
        return tuple(document.id for document in checked)

    def _scan(self, documents: Sequence[Document], progress: bool) -> None:
        """Take documents in, reading all but the texts that are there under the same ids."""
        if not documents:
            return
        old, clock = self._corpus, ScanClock(self.backbone.device)
        known = [(d, old.codes[d.id]) for d in documents if old.has(d.id, d.text)]
        fresh = [d for d in documents if not old.has(d.id, d.text)]
        entries = scan(self.backbone, self.bank, fresh, self.scan_config, progress, clock=clock)
        corpus = old.plus([*known, *entries])
        self._corpus, self._report = corpus, self._report + clock.report()

    def _read_into(
        self,
        path: str | PathLike[str],
        documents: Iterable[Document | Draft | str],
        used: set[str],
        progress: bool,
        on_error: OnError,
    ) -> tuple[str, ...]:
        """Save, read documents into the folder, and become what it holds then."""
        with holding(path):
            self._save_to(path)
            try:
                ids, self._skipped = read_into(
                    path,
                    documents,
                    self.backbone,
                    used=used,
                    progress=progress,
                    on_error=on_error,
                )
            finally:
                self._adopt(store_at(path).load())
                self._kept = self._contents()
        return ids

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
    def text(self) -> IndexedText:
        """All documents as a search reads them.

        Raises:
            InputError: there are none.
        """
        searcher = self._corpus.searcher()
        if searcher is None:
            raise InputError("the index holds no document; add one first")
        return searcher.text

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What the last `build` or `add` left out, with ``on_error="skip"``."""
        return self._skipped

    def search_many(
        self,
        questions: Sequence[str],
        *,
        filter: Filter | None = None,
        config: SearchConfig | Mapping[str, Any] | None = None,
        **settings: Unpack[SearchSettings],
    ) -> list[SearchResult]:
        """See `SearchableIndex.search_many`."""
        chosen = self._chosen(config, settings)
        checked = self._checked(questions)
        corpus = self._corpus
        searcher = corpus.searcher(filter, self.candidates)
        if searcher is None or not checked:
            return [SearchResult(question, (), SearchSeconds(), {}) for question in checked]
        computes_here()
        found = find(self._question_reader(), searcher, checked, chosen)
        return [
            SearchResult(question, spans, seconds, corpus.sources_of(spans))
            for question, (spans, seconds) in zip(checked, found, strict=True)
        ]

    def heat(self, question: str, places: Sequence[Place]) -> QuestionHeat:
        """Tell what the words of a question attend to, token by token.

        Args:
            question: As for `search`.
            places: Pieces of documents of this index, such as the spans of a search.

        Returns:
            The words of the question and, for each place, what each token received from each word:
            its share of the attention that the word spends on the whole index.

        Raises:
            InputError: as for `search`; also a place in no document.
        """
        checked, corpus = self._checked([question]), self._corpus
        for place in places:
            document = corpus.documents.get(place.document_id)
            if document is None or not 0 <= place.start < place.end <= len(document.text):
                raise InputError(
                    f"no place {place.document_id}:{place.start}:{place.end} is in the index; "
                    "take those that a search returned"
                )
        searcher = corpus.searcher()
        if searcher is None or not places:
            return QuestionHeat((), ())
        (read,), (tokens,) = (
            self._question_reader().questions(checked),
            self.backbone.text.encode_batch(checked),
        )
        return question_heat(searcher.text, read, tokens, places)

    def save(
        self, path: str | PathLike[str], *, overwrite: bool = False, compact: bool = False
    ) -> None:
        """Write the index to a folder; a folder that holds it is brought up to date.

        The model is not written, the bank is. Interrupted at any point, the folder holds what it
        held before or the new index, whole. What another process has added to, changed in or
        deleted from the folder since it was loaded or saved here is kept, and is in this index
        from then on. The folder may be missing or empty, or hold an index: this one, or one whose
        documents are all in this one.

        What a search makes of the documents (sentences, words, sums, and cells of large texts) is
        written with them. What was deleted is left out, but its codes and words stay in the files
        until most of what lies beside it is deleted too, or until `compact`; its text is gone.

        Args:
            path: The folder.
            overwrite: Replace whatever index the folder holds.
            compact: Write all small files anew as few large ones, without what was deleted.

        Raises:
            IndexConflictError: another process changed the same documents in another way, or the
                folder holds another index; nothing was saved, and nothing is lost.
            IndexFileError: the folder is read-only, full, in use, or holds something else.
        """
        with self._changing:
            self._save_to(path, overwrite, compact)

    def _save_to(
        self, path: str | PathLike[str], overwrite: bool = False, compact: bool = False
    ) -> None:
        store = store_at(path)
        self._saved, parts = store.save(self._state(), overwrite, compact)
        if parts is None:
            self._adopt(store.load())
        elif [*parts] != [*self._corpus.parts]:
            self._corpus = Corpus(parts, self.bank)
        self._kept = self._contents()

    def _adopt(self, state: State) -> None:
        """Become what a folder holds, another process's changes included."""
        self._corpus = Corpus(state.parts, self.bank)
        self.config, self.scan_config = state.search, state.scan
        self.answer_config, self._report = state.answer, state.report
        self._saved = state.saved

    def _state(self) -> State:
        return State(
            parts=self._corpus.parts,
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
        state = store_at(path).load()
        backbone = resolve_backbone(model, tokenizer)
        check_model(backbone, state.bank, f"the index {path}")
        return cls(backbone, state)

    @classmethod
    def merge(
        cls,
        paths: Sequence[str | PathLike[str]],
        path: str | PathLike[str],
        *,
        model: Any = None,
        tokenizer: Any = None,
    ) -> Self:
        """Make one index of several that were made by the same model and bank.

        No document is read again: the files are copied, and what is not there yet, as the cells of
        a text that is large now, is made of codes.

        Args:
            paths: Folders of two indexes or more; they stay as they are.
            path: Folder of the new one, which is missing or empty.
            model: As for `load`.
            tokenizer: Likewise.

        Returns:
            The new index; its documents are those of the first, then those of the second, and so
            on, and its settings those of the first.

        Raises:
            InputError: an id that is in two of them, or two banks, or two ways of reading; nothing
                was written.
            ModelMismatchError: two models.
            IndexFileError: one of the folders holds no index, or a damaged one, or the new one
                cannot be written or holds an index already.
            FormatVersionError: a newer release wrote one of them.
        """
        merge_folders(paths, path)
        return cls.load(path, model=model, tokenizer=tokenizer)

    @property
    def stats(self) -> IndexStats:
        """Sizes of the index, and what its scans took."""
        return corpus_stats(self._corpus, self.bank, self.backbone, self._report)


def _reopen(kind: type[EndogenousIndex], folder: str, backbone: Backbone) -> EndogenousIndex:
    return kind.load(folder, model=backbone)
