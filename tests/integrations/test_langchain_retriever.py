"""The LangChain retriever, with a tiny random model and BM25, which finds the words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from copy import copy

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.tools import create_retriever_tool
from langchain_core.tracers.base import BaseTracer

from langchain_s3_retriever import EndogenousRetriever
from random_bank import make_bank
from s3_retriever.errors import InputError
from small_corpus import BY_WORDS, METADATAS, NAMES, QUESTIONS, SOURCES, TEXTS

KEEPER, DOUGH, DAM = QUESTIONS


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(index=tiny_index, k=3)


class Runs(BaseTracer):
    """A tracer that keeps the runs it saw."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def _persist_run(self, run):
        self.seen.append(run)


def test_results_are_exact_pieces_of_their_sources(retriever):
    found = retriever.invoke(KEEPER)
    assert found
    assert "Tomas Ferreira" in " ".join(document.page_content for document in found)
    for document in found:
        place = document.metadata
        start, end, source = (place[key] for key in ("start_index", "end_index", "source_id"))
        assert document.page_content == SOURCES[source][start:end]
        assert document.id == f"{source}:{start}:{end}"
        expected = METADATAS[NAMES.index(source)]
        ours = {"source_id": source, "start_index": start, "end_index": end}
        assert place == {**expected, "span_id": document.id, **ours}


def test_scores_come_only_when_asked_for(retriever):
    scored = EndogenousRetriever(index=retriever.index, k=3, include_scores=True)
    plain, with_scores = retriever.invoke(DAM), scored.invoke(DAM)
    assert [document.id for document in plain] == [document.id for document in with_scores]
    scores = [document.metadata["score"] for document in with_scores]
    assert scores == sorted(scores, reverse=True)
    assert all(document.metadata["score_parts"] for document in with_scores)
    assert not any("score" in document.metadata for document in plain)


def test_changing_a_result_changes_nothing_else(retriever):
    first = next(d for d in retriever.invoke(KEEPER) if d.metadata["source_id"] == "lighthouse")
    first.metadata["shelf"]["row"] = 99
    first.metadata["topic"] = "changed"
    again = next(d for d in retriever.invoke(KEEPER) if d.metadata["source_id"] == "lighthouse")
    assert again.metadata["shelf"] == {"row": 3}
    assert again.metadata["topic"] == "sea"


def test_k_at_a_call_is_honoured_and_clamped(retriever):
    assert len(retriever.invoke(KEEPER)) == 3
    assert len(retriever.invoke(KEEPER, k=1)) == 1
    many = retriever.invoke(KEEPER, k=10_000)
    assert 3 < len(many) < 10_000
    assert len({document.id for document in many}) == len(many)


def test_a_token_budget_bounds_the_tokens(retriever):
    text = retriever.index.backbone.text
    found = retriever.invoke(KEEPER, k=8, token_budget=40)
    assert found
    assert sum(text.count(document.page_content) for document in found) <= 40


@pytest.mark.parametrize(
    ("filter", "allowed"),
    [
        ({"topic": "food"}, {"bread"}),
        ({"topic": ["food", "music"]}, {"bread", "violin"}),
        ({"year": {"gte": 1930, "lt": 1970}}, {"lighthouse", "river"}),
        (lambda metadata: metadata["year"] == 1902, {"violin"}),
        ({"topic": "nothing"}, set()),
    ],
)
def test_a_filter_is_applied_before_ranking(retriever, filter, allowed):
    every = retriever.invoke(KEEPER, k=100, filter=filter)
    assert {document.metadata["source_id"] for document in every} == allowed
    found = retriever.invoke(KEEPER, k=2, filter=filter)
    assert found == every[:2]
    own = EndogenousRetriever(index=retriever.index, k=2, filter=filter)
    assert own.invoke(KEEPER) == found


def test_reading_order_is_by_place(retriever):
    found = EndogenousRetriever(index=retriever.index, k=6, order="document").invoke(KEEPER)
    places = [(NAMES.index(d.metadata["source_id"]), d.metadata["start_index"]) for d in found]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: EndogenousRetriever(index=r.index, kk=3), "'kk'; did you mean 'k'"),
        (
            lambda r: EndogenousRetriever(index=r.index, token_buget=3),
            "did you mean 'token_budget'",
        ),
        (lambda r: EndogenousRetriever(index=r.index, k=0), "k=0"),
        (lambda r: EndogenousRetriever(index=r.index, scoring="best"), "scoring='best'"),
        (lambda r: EndogenousRetriever(index="folder"), "from_documents"),
        (lambda r: EndogenousRetriever.from_texts(TEXTS, modl=1), "did you mean 'model'"),
        (lambda r: EndogenousRetriever.from_texts(TEXTS, metadata_s=[]), "'metadatas'"),
        (lambda r: EndogenousRetriever.from_documents([], index=r.index), "no argument 'index'"),
        (lambda r: EndogenousRetriever.from_texts(TEXTS, chunk_token=9), "chunk_tokens"),
        (lambda r: EndogenousRetriever.from_texts(TEXTS, scan={"chunk": 64}), "chunk_tokens"),
        (lambda r: EndogenousRetriever.from_texts(TEXTS, k=-1), "k=-1"),
        (lambda r: EndogenousRetriever.from_texts(TEXTS, ids=["a"]), "4 texts but 1 ids"),
        (lambda r: EndogenousRetriever.from_texts("one text"), "list"),
        (lambda r: EndogenousRetriever.from_texts([b"bytes"]), "bytes"),
        (lambda r: EndogenousRetriever.from_texts([" "]), "white space"),
        (lambda r: EndogenousRetriever.from_texts([]), "no document"),
        (lambda r: EndogenousRetriever.from_documents(["text"]), "from_texts"),
        (
            lambda r: EndogenousRetriever.from_documents(Document(page_content="x")),
            "put it in a list",
        ),
        (lambda r: EndogenousRetriever.from_documents(None), "not one NoneType"),
        (lambda r: EndogenousRetriever.load("nowhere", tokeniser=1), "did you mean 'tokenizer'"),
        (lambda r: r.invoke(KEEPER, top_k=3), "no argument 'top_k'"),
        (lambda r: r.invoke(KEEPER, k=0), "k=0"),
        (lambda r: r.invoke(KEEPER, filter={"year": {"near": 3}}), "gte"),
        (lambda r: r.invoke("  "), "empty"),
        (lambda r: r.invoke({"input": KEEPER}), "must be a str, not dict"),
    ],
)
def test_bad_input_is_refused_by_name(retriever, call, message):
    with pytest.raises(InputError, match=message):
        call(retriever)


def test_batch_reads_questions_together_with_the_same_results(retriever, monkeypatch):
    single = [retriever.invoke(question) for question in QUESTIONS]
    reads = []
    search_many = type(retriever.index).search_many

    def watched(index, questions, **options):
        reads.append(list(questions))
        return search_many(index, questions, **options)

    monkeypatch.setattr(type(retriever.index), "search_many", watched)
    assert retriever.batch([*QUESTIONS, KEEPER]) == [*single, single[0]]
    assert asyncio.run(retriever.abatch(list(QUESTIONS))) == single
    assert reads == [[*QUESTIONS, KEEPER], list(QUESTIONS)]
    assert [len(found) for found in retriever.batch(list(QUESTIONS), k=1)] == [1, 1, 1]
    assert retriever.batch([]) == []


def test_a_batch_takes_one_forward_pass(retriever):
    """The second hop is left out: it reads each question again, behind its best span."""
    one_hop = EndogenousRetriever(index=retriever.index, k=3, second_hop=False)
    single = [one_hop.invoke(question) for question in QUESTIONS]
    fresh = [  # which have read no question yet
        EndogenousRetriever(index=copy(retriever.index), k=3, second_hop=False) for _ in range(2)
    ]
    passes = []
    layer = retriever.index.backbone.model.model.layers[0]
    handle = layer.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    try:
        assert fresh[0].batch(list(QUESTIONS)) == single
        assert asyncio.run(fresh[1].abatch(list(QUESTIONS))) == single
    finally:
        handle.remove()
    assert passes == [len(QUESTIONS)] * 2


def test_one_bad_question_in_a_batch_fails_alone(retriever):
    results = retriever.batch([KEEPER, " ", DAM], return_exceptions=True)
    assert results[0] == retriever.invoke(KEEPER)
    assert isinstance(results[1], InputError)
    assert results[2] == retriever.invoke(DAM)
    with pytest.raises(InputError):
        retriever.batch([KEEPER, " "])


def test_a_tracer_sees_name_settings_and_results(retriever):
    tracer = Runs()
    named = EndogenousRetriever(index=retriever.index, k=2, tags=["mine"], metadata={"own": 1})
    config = {"callbacks": [tracer], "tags": ["theirs"], "metadata": {"user": "me"}}
    found = named.invoke(KEEPER, config, token_budget=90)
    (run,) = tracer.seen
    assert (run.name, run.run_type) == ("EndogenousRetriever", "retriever")
    assert run.inputs == {"query": KEEPER}
    assert run.outputs == {"documents": found}
    assert set(run.tags) == {"mine", "theirs"}
    seen = run.extra["metadata"]
    assert (seen["own"], seen["user"]) == (1, "me")
    assert seen["ls_retriever_name"] == "endogenous"
    assert (seen["s3_k"], seen["s3_token_budget"], seen["s3_scoring"]) == (2, 90, "attention")


def test_a_batch_keeps_every_config_apart(retriever):
    tracers = [Runs(), Runs(), Runs()]
    configs = [
        {"callbacks": [tracer], "run_name": f"run {n}", "tags": [str(n)]}
        for n, tracer in enumerate(tracers)
    ]
    results = retriever.batch(list(QUESTIONS), configs)
    for n, tracer in enumerate(tracers):
        (run,) = tracer.seen
        assert (run.name, run.tags) == (f"run {n}", [str(n)])
        assert run.inputs == {"query": QUESTIONS[n]}
        assert run.outputs == {"documents": results[n]}


def test_callbacks_hear_of_errors(retriever):
    class Errors(BaseCallbackHandler):
        heard = None

        def on_retriever_error(self, error, **kwargs):
            Errors.heard = error

    with pytest.raises(InputError):
        retriever.invoke(" ", {"callbacks": [Errors()]})
    assert isinstance(Errors.heard, InputError)


async def test_async_callbacks_hear_of_the_start_and_the_end(retriever):
    heard = []

    class Handler(AsyncCallbackHandler):
        async def on_retriever_start(self, serialized, query, **kwargs):
            heard.append(query)

        async def on_retriever_end(self, documents, **kwargs):
            heard.append(len(documents))

    await retriever.ainvoke(KEEPER, {"callbacks": [Handler()]}, k=2)
    await retriever.abatch([DAM], {"callbacks": [Handler()]}, k=1)
    assert heard == [KEEPER, 2, DAM, 1]


async def test_many_tasks_get_their_own_answers(retriever):
    expected = {question: retriever.invoke(question) for question in QUESTIONS}
    questions = [QUESTIONS[n % 3] for n in range(12)]
    results = await asyncio.gather(*(retriever.ainvoke(question) for question in questions))
    assert results == [expected[question] for question in questions]


async def test_searches_waiting_for_the_model_leave_loop_and_threads_free(retriever):
    with retriever.index.backbone.lock:
        new = "Which keeper was not asked for before?"  # what was read lately waits for no model
        searches = [asyncio.create_task(retriever.ainvoke(new)) for _ in range(40)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(asyncio.to_thread(time.monotonic), timeout=600)
        assert not any(search.done() for search in searches)
        for search in searches[1:]:
            search.cancel()
    assert len(await searches[0]) == 3


def test_k_and_budget_are_configurable_and_the_index_is_shared(retriever):
    configurable = retriever.configurable_fields(
        k=ConfigurableField(id="k"), token_budget=ConfigurableField(id="budget")
    )
    assert configurable.invoke(KEEPER) == retriever.invoke(KEEPER)
    changed = configurable.with_config(configurable={"k": 1, "budget": 20})
    (found,) = changed.invoke(KEEPER)
    assert retriever.index.backbone.text.count(found.page_content) <= 20
    assert retriever.model_copy(update={"k": 1}).index is retriever.index
    tracer = Runs()
    retriever.with_config(tags=["bound"], callbacks=[tracer]).invoke(KEEPER)
    assert tracer.seen[0].tags == ["bound"]


def test_the_older_names_search_as_well(retriever):
    tracer = Runs()
    found = retriever.get_relevant_documents(
        KEEPER, callbacks=[tracer], tags=["old"], metadata={"a": 1}, run_name="older", k=2
    )
    assert found == retriever.invoke(KEEPER, k=2)
    (run,) = tracer.seen
    assert (run.name, run.tags, run.extra["metadata"]["a"]) == ("older", ["old"], 1)
    assert asyncio.run(retriever.aget_relevant_documents(KEEPER, k=2)) == found


def test_documents_become_an_index_that_grows_shrinks_and_survives(tiny_backbone, tmp_path):
    documents = [
        Document(page_content=TEXTS[0], metadata=METADATAS[0], id="mine"),
        Document(page_content=TEXTS[1], metadata=METADATAS[1]),
    ]
    retriever = EndogenousRetriever.from_documents(
        documents,
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        k=2,
        token_budget=400,
        progress=False,
        tags=["kept"],
        **BY_WORDS,
    )
    assert list(retriever.index.documents) == ["mine", "0"]
    assert retriever.tags == ["kept"]
    assert retriever.add_documents(
        [Document(page_content=TEXTS[2], metadata={"topic": "new"})]
    ) == ["2"]
    assert {d.metadata["source_id"] for d in retriever.invoke(DAM)} >= {"2"}
    with pytest.raises(InputError, match="mine"):
        retriever.add_documents([documents[0]])
    found = [retriever.invoke(question) for question in QUESTIONS]
    retriever.save(tmp_path / "index")
    loaded = EndogenousRetriever.load(tmp_path / "index", model=tiny_backbone)
    assert [loaded.invoke(question) for question in QUESTIONS] == found
    assert (loaded.k, loaded.token_budget) == (2, 400)
    assert EndogenousRetriever.load(tmp_path / "index", model=tiny_backbone, k=1).k == 1
    retriever.delete(["2"])
    assert "2" not in {d.metadata["source_id"] for d in retriever.invoke(DAM, k=100)}


def test_texts_carry_metadata_and_ids(tiny_backbone):
    retriever = EndogenousRetriever.from_texts(
        [TEXTS[1]],
        metadatas=[{"a": [1, {"b": None}]}],
        ids=["bread"],
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        scan={"chunk_tokens": 64},
        progress=False,
        k=1,
    )
    (found,) = retriever.invoke(DOUGH)
    assert found.metadata["a"] == [1, {"b": None}]
    assert found.id.startswith("bread:")
    assert retriever.index.scan_config.chunk_tokens == 64


def test_a_retriever_tool_answers_in_both_formats(retriever):
    tool = create_retriever_tool(retriever, "search", "Searches the texts.")
    assert "Tomas Ferreira" in tool.invoke({"query": KEEPER})
    with_documents = create_retriever_tool(
        retriever, "search", "Searches.", response_format="content_and_artifact"
    )
    call = {"type": "tool_call", "id": "1", "name": "search", "args": {"query": KEEPER}}
    assert with_documents.invoke(call).artifact == retriever.invoke(KEEPER)


def test_it_stands_in_a_chain(retriever):
    chain = retriever | RunnableLambda(lambda documents: [d.id for d in documents])
    assert chain.invoke(DAM) == [document.id for document in retriever.invoke(DAM)]


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "langchain_core":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
import s3_retriever
from s3_retriever.errors import MissingExtraError
try:
    import langchain_s3_retriever
except MissingExtraError as error:
    assert isinstance(error, ImportError)
    print(error)
"""


def test_without_langchain_the_error_holds_the_command():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True)
    assert 'pip install "s3-retriever[langchain]"' in done.stdout, done.stderr
