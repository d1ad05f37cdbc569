"""Whatever reads through the model keeps within the accelerator's memory, not the scan alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from s3_retriever.backbone import Head, Tap, TapReader
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.fitting import CalibrateConfig, calibrate
from s3_retriever.labelled import Evidence, LabelledQuestion, LabelledSet
from s3_retriever.reading import forward
from s3_retriever.reading.clock import ScanClock
from s3_retriever.reading.forward import KeyReader
from s3_retriever.reading.keys import key_blocks
from s3_retriever.reading.questions import head_queries
from small_corpus import QUESTIONS, SOURCES

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

TAPS, HEADS = (Tap(0, 0), Tap(1, 1)), (Head(0, 1), Head(2, 3))
SCAN = ScanConfig(chunk_tokens=32, overlap_tokens=8, batch_tokens=1024, preamble="")
DOCUMENTS = [Document(name, text) for name, text in SOURCES.items()]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An accelerator that holds 200 tokens; the sizes of all batches that were tried."""
    tried: list[int] = []

    def limited(method: str) -> None:
        own = getattr(TapReader, method)

        def read(self: TapReader, ids: torch.Tensor, *more: Any) -> torch.Tensor:
            tried.append(ids.numel())
            if ids.numel() > 200:
                raise torch.OutOfMemoryError("full")
            found: torch.Tensor = own(self, ids, *more)
            return found

        monkeypatch.setattr(TapReader, method, read)

    limited("keys")
    limited("queries")
    return tried


def keys_of(backbone: Backbone) -> dict[tuple[str, int], torch.Tensor]:
    found = {}
    for pieces, keys in key_blocks(backbone, TAPS, DOCUMENTS, SCAN):
        first = 0
        for piece in pieces:
            last = first + piece.stop - piece.start
            found[piece.source.document.id, piece.start] = keys[first:last]
            first = last
    return found


def test_keys_are_read_in_batches_that_fit(tiny_backbone: Backbone, request: Any) -> None:
    expected = keys_of(tiny_backbone)
    tried = request.getfixturevalue("small")
    found = keys_of(tiny_backbone)
    assert max(tried) > 200 >= min(tried)
    assert found.keys() == expected.keys()
    for place, keys in expected.items():
        torch.testing.assert_close(found[place], keys, rtol=1e-4, atol=1e-4)


def test_questions_are_read_in_batches_that_fit(tiny_backbone: Backbone, request: Any) -> None:
    asked = [*QUESTIONS] * 4
    expected = head_queries(tiny_backbone, HEADS, asked, SCAN)
    tried = request.getfixturevalue("small")
    for queries, wanted in zip(
        head_queries(tiny_backbone, HEADS, asked, SCAN), expected, strict=True
    ):
        torch.testing.assert_close(queries, wanted, rtol=1e-4, atol=1e-4)
    assert max(tried) > 200 >= min(tried)


def test_a_question_that_does_not_fit_says_so(tiny_backbone: Backbone, small: list[int]) -> None:
    with pytest.raises(InputError, match="does not hold a question of"):
        head_queries(tiny_backbone, HEADS, ["why " * 300], SCAN)


def test_calibration_goes_on_where_memory_is_short(
    tiny_backbone: Backbone, small: list[int]
) -> None:
    document = DOCUMENTS[0]
    questions = tuple(
        LabelledQuestion(str(n), question, (), (Evidence(document.id, 0, 60),))
        for n, question in enumerate(QUESTIONS * 4)
    )
    labelled = LabelledSet("small", (document,), questions)
    calibration = calibrate(
        tiny_backbone, [labelled], CalibrateConfig(place_questions=0, scan=SCAN)
    )
    assert calibration.taps and max(small) > 200


def test_max_memory_bounds_every_reading(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measured(limit: int, row_tokens: int, run: Any, device: torch.device) -> int:
        asked.append((limit, row_tokens, device.type))
        return 96

    monkeypatch.setattr(forward, "fitting_tokens", measured)
    device = torch.device("cuda")
    accelerated = SimpleNamespace(
        device=device, text=tiny_backbone.text, spec=tiny_backbone.spec, tap=tiny_backbone.tap
    )
    config = SCAN.replace(max_memory="64MiB")
    reader = KeyReader(accelerated, TAPS, lambda keys: keys, config, ScanClock(device))  # type: ignore[arg-type]
    assert reader.batch_tokens == 96
    assert asked == [(64 << 20, asked[0][1], "cuda")]
