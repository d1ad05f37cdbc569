"""The engine: building, changing, searching; all at once or not at all."""

from __future__ import annotations

import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from random_bank import make_bank
from s3_retriever.codec import TokenCodes
from s3_retriever.config import ScanConfig, SearchConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine import index as engine
from s3_retriever.engine.parts import parts_of
from s3_retriever.engine.store import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
TEXTS = {
    "france": "Paris is the capital of France. The river Seine runs through it. " * 3,
    "bread": "Rye bread needs a sour starter. Bakers let the dough rest for a night. " * 3,
    "sea": "The lighthouse keeper climbed the steps every evening. Ships saw the lamp. " * 3,
    "short": "A violin is made of spruce and maple.",
}
DOCUMENTS = [Document(id, text, {"name": id, "size": len(text)}) for id, text in TEXTS.items()]
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture
def index(tiny_backbone: Backbone, bank: Bank) -> EndogenousIndex:
    return build(tiny_backbone, bank)


def build(
    backbone: Backbone, bank: Bank, documents: Any = DOCUMENTS, **more: Any
) -> EndogenousIndex:
    return EndogenousIndex.build(
        documents, model=backbone, bank=bank, scan=SCAN, progress=False, **more
    )


# --- building and changing ------------------------------------------------------------------------


def test_coactivation_by_default_is_coactivation_asked_for(
    index: EndogenousIndex, tiny_backbone: Backbone, bank: Bank
) -> None:
    inverted = build(tiny_backbone, bank, search={"scoring": "coactivation"})

    def both_agree() -> None:
        found = inverted.search(QUESTION).spans
        assert found == index.search(QUESTION, scoring="coactivation").spans

    both_agree()
    for one in (inverted, index):
        one.add(["Seine, Seine, capital."])
    both_agree()
    for one in (inverted, index):
        one.delete("bread")
    both_agree()


def test_documents_are_kept_in_order(index: EndogenousIndex) -> None:
    assert list(index.documents) == list(TEXTS)
    assert index.documents["sea"] is DOCUMENTS[2]
    assert len(index) == 4
    assert repr(index) == "<EndogenousIndex of 4 documents read by tiny>"
    with pytest.raises(TypeError):
        index.documents["new"] = DOCUMENTS[0]  # type: ignore[index]


def test_codes_are_not_copied_for_a_search(tiny_backbone: Backbone, bank: Bank) -> None:
    """Neither for the first one nor for one behind a filter."""
    text = "A sentence of the text is this one here, as others are. " * 200
    documents = [Document(str(n), text, {"n": n}) for n in range(2)]
    keys = torch.randn(20_000, 3, 16, generator=torch.Generator().manual_seed(0))
    codes = bank.encode(keys)
    ends = np.sort(np.random.default_rng(0).integers(1, len(text), len(keys))).astype(np.int32)
    arrays = (part.numpy() for part in (codes.latents, codes.values, codes.residual))
    entries = [(document, TokenCodes(*arrays, ends - 1, ends)) for document in documents[:1]]
    entries.append((documents[1], entries[0][1]))
    index = EndogenousIndex(tiny_backbone, State(parts_of(entries, bank), bank, SCAN))
    for filter in (None, {"n": 1}):
        tracemalloc.start()
        index.search(QUESTION, filter=filter, bm25=False, second_hop=False)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        whole = sum(getattr(entries[0][1], name).nbytes for name in ("latents", "values"))
        assert peak < whole, "numpy's own memory: offsets and one block of codes"


def test_texts_get_numbers_that_are_free(tiny_backbone: Backbone, bank: Bank) -> None:
    index = build(tiny_backbone, bank, ["one text", Document("1", "named one"), "another text"])
    assert list(index.documents) == ["0", "1", "2"]
    assert index.add(["a third", "a fourth"]) == ("3", "4")
    index.delete("0")
    assert index.add(["a fifth"]) == ("5",)
    assert index.documents["5"].text == "a fifth"


def test_documents_may_come_from_a_generator(tiny_backbone: Backbone, bank: Bank) -> None:
    assert len(build(tiny_backbone, bank, (document for document in DOCUMENTS))) == 4


def test_adding_and_deleting_change_what_is_found(index: EndogenousIndex) -> None:
    question = "zebra crossing"
    before = index.search(question)
    assert "zebra" not in {span.document_id for span in before}
    index.add([Document("zebra", "A zebra crossing is painted in stripes of white.")])
    assert "zebra" in {span.document_id for span in index.search(question, k=100)}
    index.delete(["zebra", "bread"])
    assert list(index.documents) == ["france", "sea", "short"]
    assert {s.document_id for s in index.search(question)} <= {"france", "sea", "short"}
    assert len(before) == len(before.spans)


def test_a_changed_index_answers_like_one_built_so(
    index: EndogenousIndex, tiny_backbone: Backbone, bank: Bank
) -> None:
    index.delete("bread")
    index.add([DOCUMENTS[1]])
    fresh = build(tiny_backbone, bank, [*DOCUMENTS[:1], *DOCUMENTS[2:], DOCUMENTS[1]])
    for one, other in zip(index.search(QUESTION), fresh.search(QUESTION), strict=True):
        assert one.id == other.id
        assert one.score == pytest.approx(other.score, rel=1e-3, abs=1e-4)


def test_adding_nothing_is_no_error(index: EndogenousIndex) -> None:
    assert index.add([]) == ()
    assert len(index) == 4


def test_an_index_may_become_empty_and_grow_again(index: EndogenousIndex) -> None:
    index.delete(list(TEXTS))
    assert len(index) == 0
    assert index.search(QUESTION).spans == ()
    assert index.stats.tokens == index.stats.bytes_per_token == 0
    assert "documents    0" in str(index.stats)
    index.add(DOCUMENTS[:1])
    assert index.search(QUESTION)[0].document_id == "france"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, torch.OutOfMemoryError])
def test_a_scan_that_fails_adds_nothing(
    index: EndogenousIndex, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    scan = engine.scan

    def failing(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield next(iter(scan(*args, **kwargs)))
        raise error("in the middle")

    before, stats = index.search(QUESTION), index.stats
    monkeypatch.setattr(engine, "scan", failing)
    with pytest.raises(error):
        index.add(["one more text", "and another one"])
    monkeypatch.undo()
    assert list(index.documents) == list(TEXTS)
    assert index.search(QUESTION) == before
    assert index.stats == stats
    assert index.add(["one more text"]) == ("4",)


def test_the_users_model_is_left_as_it_was(
    tiny_llama: tuple[LlamaForCausalLM, PreTrainedTokenizerFast], bank: Bank
) -> None:
    model, tokenizer = tiny_llama
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    try:
        index = EndogenousIndex.build(
            DOCUMENTS, model=model, tokenizer=tokenizer, bank=bank, scan=SCAN, progress=False
        )
        index.search(QUESTION)
        assert model.training
    finally:
        model.eval()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


# --- searching ------------------------------------------------------------------------------------


def test_spans_are_exact_pieces_of_their_documents(index: EndogenousIndex) -> None:
    result = index.search(QUESTION)
    assert result.question == QUESTION
    assert 0 < len(result) <= 8
    assert result.seconds.read > 0 and result.seconds.search > 0
    for span in result:
        source = index.documents[span.document_id]
        assert source.text[span.start : span.end] == span.text
        assert span.metadata == source.metadata
        assert result.sources[span.document_id] is source
    scores = [span.score for span in result]
    assert scores == sorted(scores, reverse=True)


def test_k_is_honoured_and_clamped(index: EndogenousIndex) -> None:
    most = len(index.search(QUESTION, k=1000))
    assert most >= 4
    for k in (1, 2, 3):
        assert len(index.search(QUESTION, k=k)) == k


@pytest.mark.parametrize("budget", [1, 3, 10, 40])
def test_token_budget_is_honoured(index: EndogenousIndex, budget: int) -> None:
    spans = index.search(QUESTION, token_budget=budget).spans
    assert spans
    assert 0 < sum(span.tokens for span in spans) <= budget
    for span in spans:
        assert index.documents[span.document_id].text[span.start : span.end] == span.text


def test_document_order(index: EndogenousIndex) -> None:
    spans = index.search(QUESTION, order="document").spans
    places = [(list(TEXTS).index(span.document_id), span.start) for span in spans]
    assert places == sorted(places)
    assert {s.id for s in spans} == {s.id for s in index.search(QUESTION).spans}


def test_settings_of_a_call_do_not_stay(index: EndogenousIndex) -> None:
    before = index.search(QUESTION)
    index.search(QUESTION, k=1, scoring="coactivation", bm25=False, order="document")
    assert index.search(QUESTION) == before
    assert index.config == SearchConfig()


def test_coactivation_and_no_bm25(index: EndogenousIndex) -> None:
    for scoring in ("attention", "coactivation"):
        spans = index.search(QUESTION, scoring=scoring, bm25=False).spans
        assert spans
        assert all("bm25" not in span.parts for span in spans)


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ({"name": "bread"}, {"bread"}),
        ({"name": ["bread", "sea"]}, {"bread", "sea"}),
        ({"size": {"lt": 50}}, {"short"}),
        ({"name": {"ne": "sea"}, "size": {"gte": 50}}, {"france", "bread"}),
        (lambda metadata: metadata["name"] == "sea", {"sea"}),
        ({"name": "nowhere"}, set()),
        ({"unknown": 1}, set()),
    ],
)
def test_filters_are_applied_before_ranking(
    index: EndogenousIndex, filter: Any, found: set[str]
) -> None:
    spans = index.search(QUESTION, filter=filter, k=50).spans
    assert {span.document_id for span in spans} == found


def test_many_questions_are_answered_as_one_by_one(index: EndogenousIndex) -> None:
    questions = [
        QUESTION,
        "How long does the dough of rye bread rest before it is baked in the oven?",
        "Who climbed?",
        QUESTION,
    ]
    together = index.search_many(questions, k=3)
    assert [result.question for result in together] == questions
    for result in together:
        alone = index.search(result.question, k=3)
        assert [span.id for span in alone] == [span.id for span in result]
        for one, other in zip(alone, result, strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-3, abs=1e-4)
    assert index.search_many([]) == []


def test_searches_see_the_old_documents_or_the_new(index: EndogenousIndex) -> None:
    """While documents come and go, a search never meets half of a change."""
    pair = [Document(id, f"Paris, the capital, is seen again by {id}.") for id in ("x", "y")]
    stop, failures, seen = threading.Event(), [], set()

    def look() -> None:
        while not stop.is_set():
            ids = {s.document_id for s in index.search("Paris seen again", k=100)} & {"x", "y"}
            seen.add(frozenset(ids))
            if len(ids) == 1:
                failures.append(ids)

    def guarded() -> None:
        try:
            look()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        index.add(pair)
        index.search("Paris")
        index.delete(["x", "y"])
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert frozenset() in seen


# --- what is told ---------------------------------------------------------------------------------


def test_stats_add_up(index: EndogenousIndex, tiny_backbone: Backbone, bank: Bank) -> None:
    stats = index.stats
    tokens = sum(len(tiny_backbone.text.encode(text).ids) for text in TEXTS.values())
    assert stats.documents == 4
    assert stats.characters == sum(map(len, TEXTS.values()))
    assert stats.tokens == stats.scan.tokens == tokens
    assert stats.bytes_per_token == bank.width * 3 + 8
    assert stats.kv_bytes_per_token == 2 * 4 * 2 * 16 * 2
    assert stats.kv_bytes == tokens * stats.kv_bytes_per_token
    assert (stats.taps, stats.deepest_layer, stats.layers) == (3, 2, 4)
    assert stats.scan_seconds > 0
    for part in ("4 (", "tokens", "bytes a token", "layers 0 to 2 of 4", "tokens/s"):
        assert part in str(stats)
    index.add(["more text"])
    assert index.stats.scan.tokens > tokens


def test_results_are_shown_in_notebooks(tiny_backbone: Backbone, bank: Bank) -> None:
    text = "Before <b>it</b> & after. " * 20
    index = build(tiny_backbone, bank, [Document("<id>", text)])
    result = index.search("<script>alert(1)</script>", k=1)
    html = result._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;id&gt;" in html
    assert "<b>it" not in html
    assert html.count("<mark>") == 1
    assert "&lt;b&gt;it&lt;/b&gt; &amp; after" in html
    assert result[0].text in str(result)
