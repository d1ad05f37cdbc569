"""Making a bank for a model: heads, whitening, SAEs, and where banks are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import make_llama

from s3_retriever.backbone import Backbone, Tap
from s3_retriever.codec import Bank, Calibration
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.errors import BankError, InputError
from s3_retriever.fitting import (
    CalibrateConfig,
    LabelledQuestion,
    LabelledSet,
    TrainConfig,
    bank_for,
    banks,
    builtin_bank,
    calibrate,
    make_bank,
)
from s3_retriever.fitting.calibrate import fit_weights
from s3_retriever.fitting.depth import depth_of
from s3_retriever.labelled.sets import Evidence
from s3_retriever.reading.keys import key_blocks
from small_corpus import NAMES, QUESTIONS, SOURCES
from tiny_architectures import tiny_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
DOCUMENTS = tuple(Document(name, text) for name, text in SOURCES.items())
EVIDENCE = ("The last keeper, Tomas Ferreira", "rest for eighteen hours", "finished in 1934")
CONFIG = CalibrateConfig(depth=0.5, heads=3, place_questions=60, scan=SCAN)
TRAINING = TrainConfig(n_latents=64, k=4, steps=20, batch_rows=128)


def labelled_set() -> LabelledSet:
    questions = []
    for name, question, words in zip(NAMES[:3], QUESTIONS, EVIDENCE, strict=True):
        start = SOURCES[name].index(words)
        place = Evidence(name, start, start + len(words))
        questions.append(LabelledQuestion(name, question, (words,), (place,)))
    questions.append(LabelledQuestion("none", "What is not known?", (), ()))
    return LabelledSet("small", DOCUMENTS, tuple(questions))


@pytest.fixture(scope="module")
def calibration(tiny_backbone: Backbone) -> Calibration:
    return calibrate(tiny_backbone, [labelled_set()], CONFIG)


@pytest.mark.slow
def test_only_layers_that_have_keys_are_chosen(tiny_tokenizer: Any) -> None:
    model = tiny_model("qwen3_next")
    model.config.max_position_embeddings = 4096
    config = CONFIG.replace(place_questions=0)
    chosen = calibrate(Backbone(model, tiny_tokenizer), [labelled_set()], config)
    assert {tap.layer for tap in chosen.taps} == {3}
    assert chosen.key_mean.isfinite().all() and chosen.whiten.isfinite().all()


def all_keys(backbone: Backbone, taps: Any) -> torch.Tensor:
    return torch.cat([keys for _, keys in key_blocks(backbone, taps, DOCUMENTS, SCAN)])


# --- choosing heads -------------------------------------------------------------------------------


def scored(questions: int, heads: int, sentences: int, informative: int, seed: int) -> Any:
    """Random scores, but one head marks the evidence."""
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(questions, heads, sentences, generator=random)
    gold = torch.zeros(questions, sentences)
    gold[torch.arange(questions), torch.randint(sentences, (questions,), generator=random)] = 1.0
    scores[:, informative] += 3 * gold
    return scores, gold


def test_fit_weights_finds_the_informative_head() -> None:
    sets = [scored(40, 6, 50, 3, seed=0), scored(25, 6, 80, 3, seed=1)]
    weights = fit_weights([scores for scores, _ in sets], [gold for _, gold in sets], 0.01)
    assert weights.shape == (6,) and (weights >= 0).all()
    others = weights[[0, 1, 2, 4, 5]]
    assert weights.argmax() == 3 and weights[3] > 10 * others.max()


def test_a_larger_penalty_leaves_smaller_weights() -> None:
    scores, gold = scored(40, 4, 50, 0, seed=2)
    sums = [float(fit_weights([scores], [gold], l1).sum()) for l1 in (0.0, 0.1, 1.0)]
    assert sums == sorted(sums, reverse=True)


def test_calibration_keeps_to_its_settings(
    calibration: Calibration, tiny_backbone: Backbone
) -> None:
    spec = tiny_backbone.spec
    assert 1 <= len(calibration.heads) <= 3
    assert all(head.layer < 2 for head in calibration.heads)
    assert calibration.taps == tuple(sorted({spec.tap_of(head) for head in calibration.heads}))
    weights = calibration.head_weights
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert weights.tolist() == sorted(weights.tolist(), reverse=True) and (weights > 0).all()
    assert calibration.metadata["sets"] == ["small"] and calibration.metadata["questions"] == 3
    assert json.loads(json.dumps(dict(calibration.metadata)))["depth"] == 0.5


def test_whitening_has_an_inverse_and_keeps_the_logit(
    calibration: Calibration, tiny_backbone: Backbone
) -> None:
    size = tiny_backbone.spec.head_dim
    for whiten, unwhiten in zip(calibration.whiten, calibration.unwhiten, strict=True):
        torch.testing.assert_close(whiten @ unwhiten.T, torch.eye(size), rtol=0, atol=1e-4)
        torch.testing.assert_close(whiten, whiten.T)
    random = torch.Generator().manual_seed(0)
    keys = torch.randn(5, len(calibration.taps), size, generator=random)
    queries = torch.randn(7, len(calibration.heads), size, generator=random)
    x, y = calibration.keys(keys), calibration.queries(queries)
    for h, tap in enumerate(calibration.tap_of_head):
        centred = (
            queries[:, h] - calibration.query_mean[h],
            keys[:, tap] - calibration.key_mean[tap],
        )
        logits = tiny_backbone.spec.scaling * centred[0] @ centred[1].T
        torch.testing.assert_close(y[:, h] @ x[:, tap].T, logits, rtol=1e-3, atol=1e-3)


def test_key_mean_is_that_of_the_documents(
    calibration: Calibration, tiny_backbone: Backbone
) -> None:
    keys = all_keys(tiny_backbone, calibration.taps)
    torch.testing.assert_close(calibration.key_mean, keys.mean(0), rtol=1e-2, atol=2e-3)


def test_a_head_that_finds_names_of_documents_comes_with_the_heads(
    calibration: Calibration, tiny_backbone: Backbone
) -> None:
    size = len(calibration.heads) * tiny_backbone.spec.head_dim
    assert calibration.places is not None and calibration.places.weight.shape == (size, 5)
    none = calibrate(tiny_backbone, [labelled_set()], CONFIG.replace(place_questions=0))
    assert none.places is None and none.heads == calibration.heads


def test_calibration_is_the_same_each_time(
    calibration: Calibration, tiny_backbone: Backbone
) -> None:
    again = calibrate(tiny_backbone, [labelled_set()], CONFIG)
    assert again.heads == calibration.heads
    torch.testing.assert_close(again.whiten, calibration.whiten)


def test_calibration_needs_evidence(tiny_backbone: Backbone) -> None:
    with pytest.raises(InputError, match="at least one set"):
        calibrate(tiny_backbone, [])
    blind = LabelledSet("blind", DOCUMENTS, labelled_set().questions[-1:])
    with pytest.raises(InputError, match="no question of blind has evidence"):
        calibrate(tiny_backbone, [labelled_set(), blind])


# --- banks ----------------------------------------------------------------------------------------


def test_make_bank_trains_one_joint_sae(calibration: Calibration, tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone, calibration, DOCUMENTS, TRAINING, scan=SCAN)
    (sae,) = bank.saes
    assert (sae.taps, sae.n_latents, sae.k) == (calibration.taps, 64, 4)
    assert bank.fits(tiny_backbone)
    keys = all_keys(tiny_backbone, calibration.taps)
    assert bank.metadata["training_tokens"] == len(keys)
    assert 0 < bank.metadata["fvu_with_residual"] < bank.metadata["fvu"] < 1
    x = calibration.keys(keys)
    left = x - bank.decode(bank.encode(keys, torch.float32))
    unexplained = float(left.square().sum() / (x - x.mean(0)).square().sum())
    assert unexplained == pytest.approx(bank.metadata["fvu_with_residual"], rel=0.2)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Automatic banks that are quickly made, in a cache of their own."""
    monkeypatch.setenv("S3_RETRIEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(banks, "AUTOMATIC_TOKENS", 500)
    monkeypatch.setattr(banks, "AUTOMATIC_TRAINING", TRAINING)
    monkeypatch.setattr(banks, "CalibrateConfig", CONFIG.replace)
    monkeypatch.setattr(banks, "builtin_sets", lambda: (labelled_set(),))
    monkeypatch.setattr(banks, "default_teacher", lambda _: None)
    return tmp_path / "cache" / "banks"


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("made anew")


def test_one_sae_for_each_layer(tiny_backbone: Backbone, calibration: Calibration) -> None:
    bank = make_bank(tiny_backbone, calibration, DOCUMENTS, TRAINING, scan=SCAN, sites="layer")
    layers = sorted({tap.layer for tap in calibration.taps})
    assert [sorted({tap.layer for tap in sae.taps}) for sae in bank.saes] == [[n] for n in layers]
    assert len(layers) > 1 and bank.width == len(layers) * TRAINING.k
    keys = all_keys(tiny_backbone, calibration.taps)
    x, codes = calibration.keys(keys), bank.encode(keys)
    error = float((x - bank.decode(codes)).square().sum() / (x - x.mean(0)).square().sum())
    assert error < 2 * bank.metadata["fvu_with_residual"] < bank.metadata["fvu"]
    index = EndogenousIndex.build(DOCUMENTS, model=tiny_backbone, bank=bank, progress=False)
    for scoring in ("attention", "coactivation"):
        assert index.search("Who?", scoring=scoring).spans


@pytest.mark.slow
def test_a_bank_is_made_once_for_each_model(
    small: Path, tiny_backbone: Backbone, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = bank_for(tiny_backbone, DOCUMENTS, progress=False)
    (folder,) = small.iterdir()
    assert Bank.load(folder).digest() == bank.digest()
    with monkeypatch.context() as patch:
        patch.setattr(banks, "calibrate", refuse)
        assert bank_for(tiny_backbone, DOCUMENTS[:1], progress=False).digest() == bank.digest()

    other = Backbone(make_llama(tiny_tokenizer, seed=1), tiny_tokenizer)
    another = bank_for(other, DOCUMENTS, progress=False)
    assert another.digest() != bank.digest() and len(list(small.iterdir())) == 2
    assert not bank.fits(other)


@pytest.mark.slow
def test_a_bank_of_half_the_depth_is_kept_beside_the_other(
    small: Path, tiny_backbone: Backbone
) -> None:
    made = {
        depth: bank_for(tiny_backbone, DOCUMENTS, progress=False, depth=depth)
        for depth in ("full", "fast")
    }
    assert {tap.layer for tap in made["fast"].calibration.taps} == {0}
    assert [depth_of(bank) for bank in made.values()] == ["full", "fast"]
    folders = sorted(folder.name for folder in small.iterdir())
    assert folders[1] == f"{folders[0]}-fast"
    assert Bank.load(small / folders[1]).digest() == made["fast"].digest()


@pytest.mark.slow
def test_making_a_bank_is_told_in_words_and_bars(
    small: Path, tiny_backbone: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    bank_for(tiny_backbone, DOCUMENTS, progress=True)
    told = capsys.readouterr().err
    assert told.startswith(f"No bank ships for this model: one is made and kept in {small}")
    assert "Ranking heads" in told and "Training" in told
    bank_for(tiny_backbone, DOCUMENTS, progress=True)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_damaged_bank_in_the_cache_is_named(small: Path, tiny_backbone: Backbone) -> None:
    bank_for(tiny_backbone, DOCUMENTS, progress=False)
    (folder,) = small.iterdir()
    (folder / "sae_0" / "sae_weights.safetensors").write_bytes(b"cut off")
    with pytest.raises(BankError, match=f"delete {folder} to have it made anew"):
        bank_for(tiny_backbone, DOCUMENTS, progress=False)


@pytest.mark.slow
def test_a_bank_is_not_kept_over_other_files(small: Path, tiny_backbone: Backbone) -> None:
    whole = bank_for(tiny_backbone, DOCUMENTS, progress=False)
    (folder,) = small.iterdir()
    (folder / "bank.json").rename(folder / "mine.json")
    with pytest.warns(UserWarning, match="is not kept .* nothing was written over it"):
        again = bank_for(tiny_backbone, DOCUMENTS, progress=False)
    assert again.digest() == whole.digest()
    assert (folder / "mine.json").exists() and not (folder / "bank.json").exists()


@pytest.mark.slow
def test_a_bank_that_cannot_be_kept_serves_all_the_same(
    small: Path, tiny_backbone: Backbone
) -> None:
    small.parent.write_text("a file where the cache should be")
    with pytest.warns(UserWarning, match="is not kept .* set S3_RETRIEVER_CACHE"):
        bank = bank_for(tiny_backbone, DOCUMENTS, progress=False)
    assert bank.fits(tiny_backbone)


@pytest.mark.slow
def test_a_bank_made_for_a_model_knows_what_sentences_mean(
    small: Path, tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lengths(texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[float(len(text)), 1.0] for text in texts])

    monkeypatch.setattr(banks, "default_teacher", lambda _: lengths)
    bank = bank_for(tiny_backbone, DOCUMENTS, progress=False)
    (folder,) = small.iterdir()
    kept = Bank.load(folder).sentences
    assert bank.sentences is not None and kept is not None
    assert torch.equal(kept.keys.out, bank.sentences.keys.out)
    index = EndogenousIndex.build(DOCUMENTS, model=tiny_backbone, bank=bank, progress=False)
    assert all("meaning" in span.parts for span in index.search("Who?"))


def test_the_default_model_has_a_shipped_bank(
    small: Path, default_backbone: Backbone, tiny_backbone: Backbone
) -> None:
    bank = bank_for(default_backbone, DOCUMENTS, progress=False)
    assert not small.exists()
    assert max(tap.layer for tap in bank.calibration.taps) < default_backbone.spec.layers / 2
    half = bank_for(default_backbone, DOCUMENTS, progress=False, depth="fast")
    assert max(tap.layer for tap in half.calibration.taps) < default_backbone.spec.layers / 6
    for part in (half.residual, half.sentences, half.relevance, half.calibration.places):
        assert part is not None
    assert builtin_bank(tiny_backbone) is None


def test_keys_are_read_whole_in_any_batches(tiny_backbone: Backbone) -> None:
    taps = [Tap(0, 0), Tap(1, 1)]
    count = sum(len(tiny_backbone.text.encode(document.text).ids) for document in DOCUMENTS)
    seen = 0
    for pieces, keys in key_blocks(tiny_backbone, taps, DOCUMENTS, SCAN):
        assert keys.shape == (sum(p.stop - p.start for p in pieces), 2, 16)
        seen += len(keys)
    assert seen == count
