"""The endogenous index as a LlamaIndex retriever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, get_args

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.query_engine import RetrieverQueryEngine

from llama_index.retrievers.s3 import _conversion
from llama_index.retrievers.s3._documents import IndexedDocuments
from llama_index.retrievers.s3._filters import to_filter
from llama_index.retrievers.s3.llm import EndogenousLLM
from s3_retriever.adapters import background, files
from s3_retriever.adapters.arguments import reject_unknown
from s3_retriever.adapters.settings import SETTINGS
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.config import UNSET
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.asking import SearchableIndex
from s3_retriever.engine.settings import search_config
from s3_retriever.errors import InputError
from s3_retriever.searching.filters import predicate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from llama_index.core.base.base_query_engine import BaseQueryEngine
    from llama_index.core.llms import LLM
    from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle, QueryType
    from llama_index.core.vector_stores import MetadataFilters

    from s3_retriever.codec import Bank
    from s3_retriever.config import ScanConfig
    from s3_retriever.documents import Document, Draft
    from s3_retriever.engine.intake import OnError
    from s3_retriever.fitting.depth import Depth
    from s3_retriever.searching.filters import Filter


class EndogenousRetriever(IndexedDocuments, BaseRetriever):
    """Retrieves with the attention of the language model that is going to answer.

    Make one with `from_documents`, `from_files`, `empty` or `from_persist_dir`.

    Every call returns fresh nodes, with the stable id ``indexed:start:end``. They carry a copy of
    the metadata of the document or node that was indexed, and beside it the place in that, which
    models are not shown: ``node.text == indexed_text[start_index:end_index]``, and `source_id` is
    its id. So two nodes differ in their ``hash`` where their places do, also where the text is the
    same. Where its own metadata has one of these keys, ours gets the prefix ``s3_``, as often as it
    takes (both offsets where it has one of them); nothing is overwritten.

    ``node.text == source_text[node.start_char_idx:node.end_char_idx]`` for the source that
    ``NodeRelationship.SOURCE`` names. That is what was indexed; or, where a node was indexed that
    has a source itself, such as one a splitter made, its source, and then
    ``NodeRelationship.PARENT`` is the indexed node. Where such a node does not say where it stands
    in its source, or what it says does not agree with its length, both offsets are ``None``. Other
    relationships of what was indexed, to its neighbours, parent and children, are not kept.

    Args:
        index: The index searched: an `EndogenousIndex`, or a `ShardedIndex`, which does not change.
        **settings: `similarity_top_k` (most nodes returned), `token_budget`, `scoring`, `bm25`,
            `exact`, `second_hop`, `bias_tokens`, `order`, `relevance`, `min_relevance` and
            `weighing`, explained at
            `s3_retriever.config.SearchConfig`: the index's own where not given, and
            `s3_retriever.UNSET` for the default, whatever the index has; `filters`
            (LlamaIndex ``MetadataFilters``, or a mapping or function as in
            `s3_retriever.searching.filters.matches`; None for none); `score`, what
            ``NodeWithScore.score`` is: ``"relevance"``, from 0 to 1 and the same thing for every
            question, so that a ``similarity_cutoff`` means something (no node has less than one
            that is ranked below it), or ``"fused"``, the score of the search, which compares
            within one search only, as it is in any case where the bank tells no relevance;
            `callback_manager`,
            `object_map`, `objects` and `verbose` as in every LlamaIndex retriever.

    Attributes:
        index: The index searched.
        filters: Which source documents may be returned.
        score: What ``NodeWithScore.score`` is.

    Raises:
        InputError: an unknown argument, which is answered with the nearest valid one, or an
            impossible value.
    """

    def __init__(self, index: SearchableIndex, **settings: Any) -> None:
        reject_unknown(settings, _SETTINGS, type(self).__name__)
        if not isinstance(index, SearchableIndex):
            raise InputError(
                f"index must be an EndogenousIndex or a ShardedIndex, not {type(index).__name__}; "
                "make a retriever with from_documents or from_persist_dir"
            )
        self.index = index
        filters = settings.get("filters")
        self.filters: MetadataFilters | Filter | None = None if filters is UNSET else filters
        predicate(to_filter(self.filters))
        score = settings.get("score", UNSET)
        self.score: _conversion.Score = "relevance" if score in (None, UNSET) else score
        if self.score not in get_args(_conversion.Score):
            raise InputError(f"score={score!r} is invalid: it is 'relevance' or 'fused'")
        self._search = search_config(index.config, _search_settings(settings))
        super().__init__(**{name: settings[name] for name in _FRAMEWORK if name in settings})

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[BaseNode],
        *,
        model: Any = None,
        tokenizer: Any = None,
        bank: Bank | str | Path | None = None,
        depth: Depth | None = None,
        scan: ScanConfig | Mapping[str, Any] | None = None,
        progress: bool = True,
        on_error: OnError = "raise",
        **settings: Any,
    ) -> Self:
        """Read documents through the model and keep an index of them.

        Args:
            documents: LlamaIndex documents or nodes. There is no need to split documents into
                nodes: spans are cut out of whole documents.
            model: A loaded model of transformers, a name or path, or ``None`` for the default.
            tokenizer: The model's fast tokenizer, where `model` is a loaded model.
            bank: SAEs and calibration, or their folder; ``None`` finds or makes one for the model.
            depth: Of that one: ``"full"``, or ``"fast"``, which reads half as many layers, for
                fewer answers found; ``None`` is ``"full"``. A saved index keeps its own.
            scan: How the text is read.
            progress: Show a progress bar.
            on_error: What becomes of documents that cannot be indexed: ``"raise"`` names them all
                and reads none; ``"skip"`` reads the others, warns and lists them in
                ``index.skipped``.
            **settings: Settings of the retriever, such as ``similarity_top_k=4``.

        Raises:
            InputError: documents that cannot be indexed, or an unknown or impossible argument.
            UnsupportedModelError: a model or tokenizer that cannot serve.
        """
        reject_unknown(settings, (*_SETTINGS, *_BUILD), cls.__name__)
        return cls._read(
            _conversion.to_drafts(documents),
            settings,
            model=model,
            tokenizer=tokenizer,
            bank=bank,
            depth=depth,
            scan=scan,
            progress=progress,
            on_error=on_error,
        )

    @classmethod
    def from_files(cls, *paths: str | Path, **arguments: Any) -> Self:
        """Read files of any known kind, folders of them, and globs through the model.

        Spans come with the page, slide, sheet, section or line that they begin in, and with a
        `citation`, such as ``"report.pdf, page 12"``.

        Args:
            *paths: As for `s3_retriever.read_files`.
            **arguments: `include`, `exclude`, `ignore_files` and `encoding` of that; all others are
                those of `from_documents`, of which `on_error` goes for files too.

        Raises:
            InputError: as `s3_retriever.read_files` and `from_documents`.
        """
        reject_unknown(arguments, (*_SETTINGS, *_BUILD, *files.ARGUMENTS), cls.__name__)
        documents = files.read(paths, arguments)
        build = {name: arguments.pop(name) for name in _BUILD if name in arguments}
        return cls._read(documents, arguments, **build)

    @classmethod
    def _read(
        cls, documents: Sequence[Document | Draft], settings: Mapping[str, Any], **build: Any
    ) -> Self:
        search = search_config(None, _search_settings(settings))
        return cls(EndogenousIndex.build(documents, search=search, **build), **settings)

    @classmethod
    def empty(
        cls,
        *,
        model: Any = None,
        tokenizer: Any = None,
        bank: Bank | str | Path | None = None,
        depth: Depth | None = None,
        scan: ScanConfig | Mapping[str, Any] | None = None,
        progress: bool = True,
        **settings: Any,
    ) -> Self:
        """Begin with no documents, to insert into; arguments are those of `from_documents`."""
        build = {
            "model": model,
            "tokenizer": tokenizer,
            "bank": bank,
            "depth": depth,
            "scan": scan,
        }
        reject_unknown(settings, (*_SETTINGS, *build, "progress"), cls.__name__)
        search = search_config(None, _search_settings(settings))
        index = EndogenousIndex.empty(**build, search=search, progress=progress)
        return cls(index, **settings)

    @classmethod
    def from_persist_dir(
        cls, persist_dir: str | Path, *, model: Any = None, tokenizer: Any = None, **settings: Any
    ) -> Self:
        """Open a persisted index with the model it was made with.

        Args:
            persist_dir: Folder written by `persist`.
            model: As in `from_documents`.
            tokenizer: As in `from_documents`.
            **settings: Settings of the retriever.

        Raises:
            IndexFileError: the folder is missing or damaged.
            ModelMismatchError: it was made with another model.
        """
        reject_unknown(settings, (*_SETTINGS, "model", "tokenizer"), cls.__name__)
        return cls(EndogenousIndex.load(persist_dir, model=model, tokenizer=tokenizer), **settings)

    def persist(self, persist_dir: str | Path, *, overwrite: bool = False) -> None:
        """Write the index, sources included, to a folder; see `EndogenousIndex.save`.

        Args:
            persist_dir: The folder.
            overwrite: Replace whatever index the folder holds.

        Raises:
            IndexConflictError: the folder holds what saving would lose.
            IndexFileError: the folder cannot be written, or holds something else.
        """
        self.index.save(persist_dir, overwrite=overwrite)

    def as_llm(
        self,
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        **settings: Any,
    ) -> EndogenousLLM:
        """Return a LlamaIndex LLM over the same weights.

        Args:
            max_new_tokens: Most tokens generated.
            temperature: 0 for greedy decoding.
            stop: Strings that end the text.
            **settings: Any other field of a LlamaIndex LLM, such as `system_prompt`.
        """
        return EndogenousLLM(
            TextGenerator(self.index.backbone),
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            stop=list(stop),
            **settings,
        )

    def as_query_engine(self, llm: LLM | None = None, **kwargs: Any) -> BaseQueryEngine:
        """Return a query engine that answers from what is retrieved.

        Args:
            llm: The model that answers; the retriever's own by default.
            **kwargs: Arguments of LlamaIndex's ``RetrieverQueryEngine.from_args``, such as
                `response_mode`, `streaming` or `node_postprocessors`.
        """
        return RetrieverQueryEngine.from_args(self, llm=llm or self.as_llm(), **kwargs)

    def as_retriever(self, **settings: Any) -> Self:
        """Return a retriever over the same index, with some settings changed.

        Args:
            **settings: Settings of the retriever; those not given stay as they are.

        Raises:
            InputError: an unknown argument or an impossible value.
        """
        own = {
            _NAMES.get(name, name): UNSET if value is None else value
            for name, value in self._search
        }
        own |= {"filters": self.filters, "score": self.score}
        return type(self)(self.index, **(own | settings))

    def get_relevant_documents(self, query: QueryType) -> list[NodeWithScore]:
        """Search, under the name LangChain users know."""
        return self.retrieve(query)

    async def aget_relevant_documents(self, query: QueryType) -> list[NodeWithScore]:
        """Search off the event loop, under the name LangChain users know."""
        return await self.aretrieve(query)

    @property
    def similarity_top_k(self) -> int:
        """Most nodes returned; fewer where the corpus has fewer spans."""
        return self._search.k

    @similarity_top_k.setter
    def similarity_top_k(self, value: int) -> None:
        self._search = self._search.replace(k=value)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        filter = to_filter(self.filters)
        result = self.index.search(query_bundle.query_str, filter=filter, config=self._search)
        return _conversion.from_spans(result.spans, self.score)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await background.run(self._retrieve, query_bundle)


_NAMES = {"k": "similarity_top_k"}
_BUILD = ("model", "tokenizer", "bank", "depth", "scan", "progress", "on_error")
_FRAMEWORK = ("callback_manager", "object_map", "objects", "verbose")
_SETTINGS = (*(_NAMES.get(name, name) for name in SETTINGS), "filters", "score", *_FRAMEWORK)


def _search_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some arguments that are settings of the search, by our names."""
    return {name: given.get(_NAMES.get(name, name)) for name in SETTINGS}
