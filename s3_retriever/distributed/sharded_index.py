"""`ShardedIndex`: several index folders that are searched as one, on one machine or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from os import PathLike, fspath
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeAlias, Unpack

import numpy as np

from s3_retriever.distributed.shard_calls import RayShards, ShardsHere
from s3_retriever.distributed.shard_documents import ShardDocuments, answers_of
from s3_retriever.distributed.shard_search import Lost, ShardSearch
from s3_retriever.engine.asking import SearchableIndex
from s3_retriever.engine.merging import check_alike
from s3_retriever.engine.resolve import check_model, resolve_backbone
from s3_retriever.engine.results import SearchResult, SearchSeconds
from s3_retriever.errors import InputError, ShardError, some_of
from s3_retriever.fork import computes_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.config import SearchConfig, SearchSettings
    from s3_retriever.distributed.shard import About
    from s3_retriever.distributed.shard_calls import Shards
    from s3_retriever.documents import Document
    from s3_retriever.engine.flow import Found
    from s3_retriever.engine.store import State
    from s3_retriever.searching.filters import Filter

OnMissing: TypeAlias = Literal["raise", "tell"]

_TIMEOUT = 60.0


class ShardedIndex(SearchableIndex):
    """Indexes that were made by the same model and bank, searched as if they were merged.

    The model is here and reads each question once; documents, codes and tables stay in the shards,
    which tell sums and their best candidates. What is found is what one index of all documents, in
    the order of the shards, would find. Shards are opened as they are, and do not change. Safe to
    use from several threads.

    Attributes:
        on_missing: What becomes of a search where a shard does not answer.
    """

    on_missing: OnMissing

    def __init__(
        self, backbone: Backbone, shards: Shards, abouts: Sequence[About], outline: State
    ) -> None:
        super().__init__()
        self.backbone, self.bank = backbone, outline.bank
        self.config, self.scan_config = outline.search, outline.scan
        self.answer_config = outline.answer
        self.on_missing = "raise"
        self._shards, self._search = shards, ShardSearch(shards)
        self._length = sum(len(about.ids) for about in abouts)

    @classmethod
    def open(
        cls,
        paths: Sequence[str | PathLike[str]],
        *,
        address: str | None = None,
        model: Any = None,
        tokenizer: Any = None,
        on_missing: OnMissing = "raise",
        timeout: float | None = _TIMEOUT,
        options: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """Open index folders as shards.

        Args:
            paths: The folders, each seen where its shard is; shards are named by them. Settings are
                those of the first.
            address: Of a cluster of Ray, on which each shard becomes an actor: ``"local"`` for this
                machine alone, ``"auto"`` for the one that runs here, or ``"host:port"``. None keeps
                all shards in this process.
            model: The model they were built with, as for `EndogenousIndex.load`.
            tokenizer: Likewise.
            on_missing: What becomes of a search where a shard does not answer: ``"raise"`` names
                it; ``"tell"`` searches the others, and names it in `SearchResult.missing`.
            timeout: Seconds after which a shard that says nothing does not answer; also the time to
                open one. None waits for ever.
            options: Ray's options of the actors, such as ``{"num_cpus": 4}``; or one for each, such
                as ``{"resources": {"disk-3": 1}}`` for the machine that has the folder.

        Raises:
            InputError: an id that is in two of them, two banks or two ways of reading, a folder
                that is named twice, or a cluster that is not there.
            ModelMismatchError: two models, or another than `model`.
            IndexFileError, FormatVersionError, BankError: as for `EndogenousIndex.load`.
            MissingExtraError: with `address`: Ray is not installed.
            ShardError: a shard does not answer.
        """
        names = _names(paths)
        if on_missing not in ("raise", "tell"):
            raise InputError(f'on_missing must be "raise" or "tell", not {on_missing!r}')
        shards = _shards_at(names, address, timeout, options)
        try:
            abouts = [*answers_of(shards, "about", dict.fromkeys(names, ())).values()]
            for name, about in zip(names[1:], abouts[1:], strict=True):
                check_alike(names[0], abouts[0].made, name, about.made)
            _check_ids(shards, names, abouts)
            (outline,) = answers_of(shards, "outline", {names[0]: ()}).values()
            backbone = resolve_backbone(model, tokenizer)
            check_model(backbone, outline.bank, f"the index {names[0]}")
        except BaseException:
            shards.close()
            raise
        index = cls(backbone, shards, abouts, outline)
        index.on_missing = on_missing
        return index

    def close(self) -> None:
        """Let the shards go; actors of Ray end."""
        self._shards.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<ShardedIndex of {len(self):,} documents in {len(self._shards.names)} shards>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing in it changes

    @property
    def shards(self) -> tuple[str, ...]:
        """The folders, by which shards are named."""
        return self._shards.names

    @property
    def documents(self) -> Mapping[str, Document]:
        """The documents by id; each is fetched from its shard when it is looked up."""
        return ShardDocuments(self._shards)

    def search_many(
        self,
        questions: Sequence[str],
        *,
        filter: Filter | None = None,
        config: SearchConfig | Mapping[str, Any] | None = None,
        **settings: Unpack[SearchSettings],
    ) -> list[SearchResult]:
        """See `SearchableIndex.search_many`.

        Raises:
            ShardError: a shard does not answer, and `on_missing` is ``"raise"``; or none does.
        """
        chosen, checked = self._chosen(config, settings), self._checked(questions)
        if not checked:
            return []
        computes_here()
        reader, begun = self._question_reader(), perf_counter()
        read = reader.questions(checked)
        seconds = (perf_counter() - begun) / len(checked)
        lost: dict[str, Exception] = {}
        while True:
            names = [name for name in self._shards.names if name not in lost]
            try:
                found = self._search.find(names, read, chosen, filter, reader)
                break
            except Lost as error:
                lost |= error.why
                if self.on_missing == "raise" or len(lost) == len(self._shards.names):
                    raise ShardError(
                        f"no answer from {Lost(lost).told()}; look whether the machine runs and "
                        'open the shards again, or search the others with on_missing="tell"'
                    ) from error
        missing = tuple(name for name in self._shards.names if name in lost)
        each: Sequence[Found | None] = found or [None] * len(checked)
        return [
            self._result(question, own, seconds, missing)
            for question, own in zip(checked, each, strict=True)
        ]

    def _result(
        self, question: str, found: Found | None, read: float, missing: tuple[str, ...]
    ) -> SearchResult:
        if found is None:
            return SearchResult(question, (), SearchSeconds(read=read), {}, missing)
        took = replace(found.seconds, read=found.seconds.read + read)
        ids = tuple(dict.fromkeys(span.document_id for span in found.spans))
        return SearchResult(
            question, found.spans, took, ShardDocuments(self._shards, ids, missing), missing
        )

    def add(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: shards do not change.

        Raises:
            InputError: always.
        """
        raise InputError(
            "a ShardedIndex does not change; open the folder of one shard with "
            "EndogenousIndex.load, change and save it, and open the shards again"
        )

    upsert = add
    delete = add
    save = add


def _names(paths: Sequence[str | PathLike[str]]) -> list[str]:
    if isinstance(paths, str | PathLike) or not paths:
        raise InputError("give the folders of the shards as a list: ShardedIndex.open([...])")
    names = [fspath(path) for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the shard {some_of(twice)} is named twice; name each once")
    return names


def _shards_at(
    names: Sequence[str],
    address: str | None,
    timeout: float | None,
    options: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> Shards:
    if address is None:
        if options:
            raise InputError('options are those of Ray\'s actors; give address="local" as well')
        return ShardsHere(names, timeout)
    each = [options] * len(names) if isinstance(options, Mapping) else list(options)
    each = each or [{}] * len(names)
    if len(each) != len(names):
        raise InputError(f"{len(names)} shards but {len(each)} options; give one for each")
    return RayShards(names, timeout, address, each)


def _check_ids(shards: Shards, names: Sequence[str], abouts: Sequence[About]) -> None:
    """Make sure that no id is in two shards, of which digests are compared first.

    Raises:
        InputError: some are; they are named.
    """
    digests, counts = np.unique(np.concatenate([it.ids for it in abouts]), return_counts=True)
    twice = digests[counts > 1]
    if not len(twice):
        return
    found = answers_of(shards, "ids_among", dict.fromkeys(names, (twice,)))
    for one, other in combinations(names, 2):
        both = sorted({*found[one]} & {*found[other]})
        if both:
            raise InputError(
                f"{one} and {other} both hold the document {some_of(both)}; delete it from one of "
                "them, or give it another id"
            )
