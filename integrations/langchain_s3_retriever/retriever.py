"""The endogenous index as a LangChain retriever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict

from langchain_s3_retriever import _conversion
from langchain_s3_retriever._older_names import OlderNames
from langchain_s3_retriever._scored import ScoredDocuments
from langchain_s3_retriever._search_tool import DESCRIPTION, NAME, search_tool
from langchain_s3_retriever._together import Together, found_together
from langchain_s3_retriever.chat import EndogenousChat
from s3_retriever.adapters import background, files
from s3_retriever.adapters.arguments import reject_unknown
from s3_retriever.adapters.settings import SETTINGS, config_of
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.config import UNSET, SearchFields
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine.asking import SearchableIndex
from s3_retriever.engine.settings import search_config
from s3_retriever.errors import InputError, S3Error
from s3_retriever.searching.filters import Filter, predicate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel

    from s3_retriever.codec import Bank
    from s3_retriever.config import ScanConfig
    from s3_retriever.documents import Document as Source
    from s3_retriever.documents import Draft
    from s3_retriever.engine.intake import OnError
    from s3_retriever.fitting.depth import Depth


class EndogenousRetriever(SearchFields, OlderNames, ScoredDocuments):
    """Retrieves with the attention of the language model that is going to answer.

    Make one with `from_documents`, `from_texts`, `from_files`, `empty` or `load`.

    ``retriever.invoke(question)`` takes `filter` and all settings of the search for that call. A
    setting that is None there is the retriever's own, and `s3_retriever.UNSET` puts it back to its
    default; ``filter=None`` (or ``UNSET``) takes the retriever's own filter away. Returned
    documents have the stable id ``source:start:end`` and carry a copy of the source's metadata with
    the keys

    - `span_id`: the same id, for consumers that look into the metadata alone, as
      ``EnsembleRetriever(id_key="span_id")`` does;
    - `source_id`: the id of the document that was indexed;
    - `start_index` and `end_index`: the place in it;
      ``page_content == document_text[start_index:end_index]``;
    - `original_start_index` and `original_end_index`, where that document is itself a piece whose
      own `start_index` says where it stands in the text it was split from, as LangChain's text
      splitters write with ``add_start_index=True``:
      ``page_content == original_text[original_start_index:original_end_index]``;
    - `score`, `score_parts` and `relevance`, with `include_scores`.

    Nothing that a document's own metadata holds is overwritten. Where it has one of the keys of a
    line above, all keys of that line get the prefix ``s3_``, as often as it takes: the place in an
    indexed chunk with a `start_index` of its own is `s3_start_index` and `s3_end_index`. Where a
    `start_index` is no int from 0 up, or an `end_index` beside it does not agree with the length
    of the text, the place in the original is unknown and not given.

    Attributes:
        index: The index searched, an `EndogenousIndex`, or a `ShardedIndex`, which does not change;
            copies of the retriever share it.
        k: Most documents returned; fewer where the corpus has fewer spans. This and the other
            settings of the search, `token_budget`, `scoring`, `bm25`, `exact`, `second_hop`,
            `bias_tokens`, `order`, `relevance`, `min_relevance` (a threshold: of the `k` documents,
            those that are likely enough to hold evidence) and `weighing`, are explained at
            `s3_retriever.config.SearchConfig`, and are the index's own where not given.
        include_scores: Put ``"score"``, ``"score_parts"`` and, where the bank can tell,
            ``"relevance"`` (from 0 to 1) into the metadata. Off by default, because metadata that
            depends on the question keeps MultiQueryRetriever and others from seeing that two
            results are the same; `similarity_search_with_relevance_scores` returns it beside.
        filter: Which source documents may be returned: a mapping or a function of the metadata
            (see `s3_retriever.searching.filters.matches`). One given at a call takes its place,
            and so does None.

    Raises:
        InputError: an unknown argument, which is answered with the nearest valid one, or an
            impossible value.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    include_scores: bool = False
    filter: Filter | None = None

    def __init__(self, **values: Any) -> None:
        reject_unknown(values, type(self).model_fields, type(self).__name__)
        index = values.get("index")
        if not isinstance(index, SearchableIndex):
            raise InputError(
                f"index must be an EndogenousIndex or a ShardedIndex, not {type(index).__name__}; "
                "make a retriever with from_documents, from_texts or load"
            )
        predicate(values.get("filter"))
        config = search_config(index.config, _field_settings(values))
        super().__init__(**{**values, **dict(config)})

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
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
            documents: LangChain documents; one without an id gets a number. There is no need to
                split them: spans are cut out of whole documents.
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
            **settings: Attributes of the retriever, such as ``k=4`` or ``tags=[...]``.

        Raises:
            InputError: documents that cannot be indexed, or an unknown or impossible argument.
            UnsupportedModelError: a model or tokenizer that cannot serve.
        """
        _check(cls, settings, _BUILD)
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
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any]] | None = None,
        ids: Iterable[str] | None = None,
        **arguments: Any,
    ) -> Self:
        """Read texts through the model; `arguments` are those of `from_documents`.

        Args:
            texts: Whole source texts.
            metadatas: Metadata of each, if any.
            ids: Id of each; numbers by default.
            **arguments: See `from_documents`.
        """
        _check(cls, arguments, {*_BUILD, "metadatas", "ids"})
        build = {name: arguments.pop(name) for name in _BUILD if name in arguments}
        return cls._read(_conversion.from_texts(texts, metadatas, ids), arguments, **build)

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
        """Begin with no documents, to add to; arguments are those of `from_documents`."""
        build = {
            "model": model,
            "tokenizer": tokenizer,
            "bank": bank,
            "depth": depth,
            "scan": scan,
        }
        _check(cls, settings, {*build, "progress"})
        search = search_config(None, _settings(settings))
        index = EndogenousIndex.empty(**build, search=search, progress=progress)
        return cls(index=index, **settings)

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
        _check(cls, arguments, {*_BUILD, *files.ARGUMENTS})
        documents = files.read(paths, arguments)
        build = {name: arguments.pop(name) for name in _BUILD if name in arguments}
        return cls._read(documents, arguments, **build)

    @classmethod
    def _read(
        cls, documents: Sequence[Source | Draft], settings: Mapping[str, Any], **build: Any
    ) -> Self:
        search = search_config(None, _settings(settings))
        return cls(index=EndogenousIndex.build(documents, search=search, **build), **settings)

    @classmethod
    def load(
        cls, path: str | Path, *, model: Any = None, tokenizer: Any = None, **settings: Any
    ) -> Self:
        """Open a saved index with the model it was made with.

        Args:
            path: Folder written by `save`.
            model: As in `from_documents`.
            tokenizer: As in `from_documents`.
            **settings: Attributes of the retriever; settings of the search are the saved index's
                own where not given.

        Raises:
            IndexFileError: the folder is missing or damaged.
            ModelMismatchError: it was made with another model.
        """
        _check(cls, settings, {"model", "tokenizer"})
        index = EndogenousIndex.load(path, model=model, tokenizer=tokenizer)
        return cls(index=index, **settings)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the index, sources included, to a folder; see `EndogenousIndex.save`.

        Args:
            path: The folder.
            overwrite: Replace whatever index the folder holds.

        Raises:
            IndexConflictError: the folder holds what saving would lose.
            IndexFileError: the folder cannot be written, or holds something else.
        """
        self.index.save(path, overwrite=overwrite)

    def as_llm(
        self,
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        stop: Sequence[str] | None = None,
        **settings: Any,
    ) -> EndogenousChat:
        """Return a LangChain chat model over the same weights.

        Args:
            max_new_tokens: Most tokens generated.
            temperature: 0 for greedy decoding.
            stop: Strings that end an answer.
            **settings: Any other field of a LangChain chat model, such as `callbacks` or `tags`.
        """
        return EndogenousChat(
            generator=TextGenerator(self.index.backbone),
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            stop=None if stop is None else list(stop),
            **settings,
        )

    def as_tool(
        self,
        args_schema: type[BaseModel] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        arg_types: Mapping[str, Any] | None = None,
    ) -> BaseTool:
        """Return a tool for an agent; the model is given texts, the program documents (artifact).

        What is wrong with a call, such as an empty question, is told to the model.

        Args:
            args_schema: What a model fills in: one field for the question, whatever its name, and
                settings of a search that it may choose, such as ``k`` or ``filter``, which take the
                place of the retriever's own. A field that is None is not given. One field ``query``
                by default.
            name: By default the name of the retriever, if it has one, or ``search_documents``.
            description: When a model should call it.
            arg_types: The fields of `args_schema` with their types, in its place.

        Raises:
            InputError: other fields than these.
        """
        own = name or self.name or NAME
        return search_tool(self, own, description or DESCRIPTION, args_schema, arg_types)

    def batch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """Search for several questions, which the model reads together."""
        with self._read_together(inputs, **kwargs).running():
            return super().batch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """Search for several questions, which the model reads together, off the event loop."""
        together = await background.run(self._read_together, inputs, **kwargs)
        with together.running():
            return await super().abatch(
                inputs, config, return_exceptions=return_exceptions, **kwargs
            )

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **options: Any,
    ) -> list[Document]:
        result = found_together(self, query, options)
        if result is None:
            result = self.index.search(query, **self._options(**options))
        return _conversion.from_result(result, include_scores=self.include_scores)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return await background.run(
            self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **options
        )

    def _read_together(self, questions: Sequence[str], **options: Any) -> Together:
        """Search for all questions at once; where that fails, each fails for itself later."""
        try:
            results = self.index.search_many(list(questions), **self._options(**options))
        except S3Error:
            results = []
        return Together(self, options, {result.question: result for result in results})

    def _options(self, **given: Any) -> dict[str, Any]:
        reject_unknown(given, (*SETTINGS, "filter"), f"{type(self).__name__}.invoke")
        filter = given.pop("filter", self.filter)
        return {"config": config_of(self), "filter": None if filter is UNSET else filter, **given}

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        config = config_of(self).replace(**_settings(kwargs))
        settings = config.model_dump(mode="json")
        params.update({f"s3_{name}": value for name, value in settings.items()})  # type: ignore[typeddict-item]
        return params


_BOUNDS = ("token_budget", "min_relevance")
_BUILD = ("model", "tokenizer", "bank", "depth", "scan", "progress", "on_error")


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some arguments that are settings of the search."""
    return {name: values[name] for name in SETTINGS if name in values}


def _field_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """As `_settings`, for values of fields: a bound of None is none, and not the index's.

    LangChain makes a configured retriever anew from the values of its fields.
    """
    given = _settings(values)
    none = {name: UNSET for name, value in given.items() if value is None and name in _BOUNDS}
    return given | none


def _check(cls: type[BaseRetriever], given: Iterable[str], arguments: Iterable[str]) -> None:
    reject_unknown(given, {*cls.model_fields, *arguments} - {"index"}, cls.__name__)
