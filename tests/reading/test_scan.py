"""Scanning: framing, batching, equality, offsets, memory, interruption, short memory."""

from __future__ import annotations

import copy
import gc
import threading
from collections import deque
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from random_bank import make_bank
from s3_retriever.backbone import Backbone
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.reading import chunks, forward
from s3_retriever.reading.batches import take_batch
from s3_retriever.reading.chunks import Piece, Source, cut, fit_layout, layout_of
from s3_retriever.reading.clock import ScanClock, ScanReport
from s3_retriever.reading.memory import fitting_tokens
from s3_retriever.reading.scan import scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import TokenCodes

SMALL = ScanConfig(chunk_tokens=32, overlap_tokens=8, batch_tokens=256)
TEXT = "the quick brown fox reads each passage of Paris once and answers 1 of 2024"
WORDS = TEXT.split()


def make_document(id: str, words: int) -> Document:
    picked = np.random.default_rng(len(id) * 1000 + words).integers(0, len(WORDS), words)
    return Document(id, " ".join(WORDS[i] for i in picked))


@pytest.fixture(scope="module")
def bank(tiny_backbone: Backbone) -> Bank:
    return make_bank(tiny_backbone)


@pytest.fixture(scope="module")
def mixed() -> list[Document]:
    lengths = (3, 50, 1, 12, 7, 24, 2, 90, 5)
    return [make_document(f"d{i}", words) for i, words in enumerate(lengths)]


def codes_of(backbone: Backbone, bank: Any, documents: list[Document], config: ScanConfig = SMALL):
    return {document.id: codes for document, codes in scan(backbone, bank, documents, config)}


def assert_same(one: TokenCodes, other: TokenCodes) -> None:
    """Equal but for rounding: a value may move by one step, two near-equal latents may swap."""
    assert np.array_equal(one.starts, other.starts)
    assert np.array_equal(one.ends, other.ends)
    same = one.latents == other.latents
    assert same.mean() > 0.995
    assert np.abs(one.values.astype(int) - other.values.astype(int))[same].max() <= 1


# --- what is read ------------------------------------------------------------------------------


def test_codes_are_those_of_keys_read_by_hand(tiny_backbone: Backbone, bank: Bank) -> None:
    document = make_document("hand", 60)
    codes = codes_of(tiny_backbone, bank, [document])["hand"]
    text = tiny_backbone.text
    ids = text.encode(document.text).ids.tolist()
    lead = [text.bos_id, *text.encode(SMALL.preamble).ids.tolist()]
    assert len(codes) == len(ids) > 2 * 32
    for first in range(0, len(ids), 32):
        context = max(first - 8, 0)
        row = torch.tensor([lead + ids[context : first + 32]])
        with tiny_backbone.tap(bank.calibration.taps) as reader:
            keys = reader.keys(row)[0, len(lead) + first - context :]
        expected = bank.encode(keys)
        part = slice(first, first + 32)
        assert (codes.latents[part] == expected.latents.numpy()).mean() > 0.995
        assert np.abs(codes.values[part].astype(int) - expected.values.int().numpy()).max() <= 1


def test_types_shapes_and_order(tiny_backbone: Backbone, bank: Bank, mixed: list[Document]) -> None:
    results = list(scan(tiny_backbone, bank, mixed, SMALL))
    assert [document.id for document, _ in results] == [document.id for document in mixed]
    for document, codes in results:
        length = len(tiny_backbone.text.encode(document.text).ids)
        assert codes.latents.shape == codes.values.shape == (length, 12)
        assert codes.latents.dtype == np.uint16
        assert codes.values.dtype == np.uint8
        assert codes.starts.dtype == codes.ends.dtype == np.int32
        assert codes.nbytes == length * (12 * 3 + 8)
        assert codes.values.any()


def test_without_preamble_or_bos(tiny_backbone: Backbone, bank: Bank, monkeypatch) -> None:
    monkeypatch.setattr(tiny_backbone.text, "bos_id", None)
    document = make_document("bare", 20)
    codes = codes_of(tiny_backbone, bank, [document], SMALL.replace(preamble=""))["bare"]
    ids = torch.tensor([tiny_backbone.text.encode(document.text).ids.tolist()[:32]])
    with tiny_backbone.tap(bank.calibration.taps) as reader:
        expected = bank.encode(reader.keys(ids)[0])
    assert (codes.latents[:32] == expected.latents.numpy()).mean() > 0.995


# --- the same codes whatever stands beside a document ---------------------------------------------


@pytest.mark.parametrize("batch_tokens", [64, 128, 1000, 8192])
def test_batch_size_does_not_matter(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document], batch_tokens: int
) -> None:
    expected = codes_of(tiny_backbone, bank, mixed)
    got = codes_of(tiny_backbone, bank, mixed, SMALL.replace(batch_tokens=batch_tokens))
    for document in mixed:
        assert_same(got[document.id], expected[document.id])


def test_neighbours_and_order_do_not_matter(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document]
) -> None:
    together = codes_of(tiny_backbone, bank, mixed)
    backwards = codes_of(tiny_backbone, bank, mixed[::-1])
    for document in mixed:
        alone = codes_of(tiny_backbone, bank, [document])[document.id]
        assert_same(alone, together[document.id])
        assert_same(alone, backwards[document.id])


def test_windows_do_not_matter(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = codes_of(tiny_backbone, bank, mixed)
    monkeypatch.setattr(
        forward, "sources", partial(chunks.sources, window_batches=0)
    )  # every document its own window
    got = codes_of(tiny_backbone, bank, mixed)
    assert list(got) == list(expected)
    for document in mixed:
        assert_same(got[document.id], expected[document.id])


# --- offsets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "plain words and more words",
        "family 👨‍👩‍👧‍👦 and flags 🇫🇷🇩🇪 in a row 🏳️‍🌈",
        "e\u0301 versus é, ắ composed and a\u0306\u0301 not",
        "line one\r\nline two\r\n\r\nparagraph two\rold Mac",
        "שלום עולם and مرحبا بالعالم mixed \u202eright to left\u202c",
        "\ufeffbyte order mark, zero\u200bwidth and \x00 null",
        "𝕬𝖑𝖌𝖊𝖇𝖗𝖆 𒀀𒀁 漢字かな交じり文",
    ],
)
def test_offsets_are_exact(tiny_backbone: Backbone, bank: Bank, text: str) -> None:
    text = f"{text} | " * 12  # several chunks
    codes = codes_of(tiny_backbone, bank, [Document("u", text)])["u"]
    expected = tiny_backbone.text.encode(text)
    assert len(codes) > 32
    assert np.array_equal(codes.starts, expected.starts)
    assert np.array_equal(codes.ends, expected.ends)
    covered = np.zeros(len(text), bool)
    for start, end in zip(codes.starts, codes.ends, strict=True):
        assert 0 <= start <= end <= len(text)
        covered[start:end] = True
    assert all(
        character.isspace() for character, seen in zip(text, covered, strict=True) if not seen
    )


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "overlap", "chunk"),
    [(4096, 64, 512), (200, 64, 131), (100, 47, 48), (7, 1, 1)],
)
def test_layout_fits_the_window(window: int, overlap: int, chunk: int) -> None:
    layout = fit_layout((1, 2, 3, 4, 5), ScanConfig(), window)
    assert (layout.overlap, layout.chunk) == (overlap, chunk)
    assert layout.width <= window


def test_preamble_that_fills_the_window_is_refused() -> None:
    with pytest.raises(InputError, match="preamble takes 20 tokens of a window of 21"):
        fit_layout(tuple(range(20)), ScanConfig(), 21)


def test_chunks_are_clamped_to_the_models_positions(tiny_backbone: Backbone) -> None:
    spec = SimpleNamespace(max_positions=60)
    small = SimpleNamespace(spec=spec, text=tiny_backbone.text)
    assert layout_of(small, ScanConfig()).width == 60


@pytest.mark.parametrize("batch_tokens", [64, 100, 256, 1000])
def test_batches_stay_within_their_bound_and_read_every_token_once(batch_tokens: int) -> None:
    config = ScanConfig(chunk_tokens=32, overlap_tokens=8, batch_tokens=batch_tokens)
    layout = fit_layout((1, 2, 3), config, batch_tokens)
    seen: dict[int, list[int]] = {}
    pieces = []
    for number, length in enumerate((1, 31, 32, 33, 40, 100, 5)):
        tokens = SimpleNamespace(ids=np.arange(length) + 1000 * (number + 1))
        source = Source(None, tokens)
        seen[number + 1] = []
        pieces += cut(source, layout)
    queue = deque(sorted(pieces, key=lambda piece: piece.context - piece.stop))
    while queue:
        batch = take_batch(queue, layout, batch_tokens)
        assert batch.input_ids.size <= batch_tokens
        assert (batch.input_ids[:, :3] == (1, 2, 3)).all()
        for token in batch.input_ids.reshape(-1)[batch.keep]:
            seen[token // 1000].append(token % 1000)
    for number, length in enumerate((1, 31, 32, 33, 40, 100, 5)):
        assert sorted(seen[number + 1]) == list(range(length))


def test_few_shapes_of_batches_however_varied_the_text() -> None:
    """A CPU keeps code for every number of tokens that it multiplies at once."""
    layout = fit_layout((1, 2, 3), ScanConfig(), 2048)
    random = np.random.default_rng(0)
    sizes, padding, read = set(), 0, 0
    for _ in range(100):
        lengths = random.integers(1, 1200, random.integers(1, 120))
        sources = [Source(None, SimpleNamespace(ids=np.zeros(n, int))) for n in lengths]
        pieces = [piece for source in sources for piece in cut(source, layout)]
        queue = deque(sorted(pieces, key=lambda piece: piece.context - piece.stop))
        while queue:
            batch = take_batch(queue, layout, 2048)
            used = sum(3 + piece.stop - piece.context for piece in batch.pieces)
            read, padding = read + used, padding + batch.input_ids.size - used
            sizes.add(batch.input_ids.size)
    assert len(sizes) < 40
    assert padding < 0.12 * read


def test_batches_come_in_43_sizes() -> None:
    """With the default settings, whatever the lengths and numbers of the rows that are left."""
    config = ScanConfig()
    layout, sizes = fit_layout((0,) * 9, config, config.batch_tokens), set()
    for length in range(1, layout.overlap + layout.chunk + 1):
        source = Source(None, SimpleNamespace(ids=np.zeros(length, int)))
        piece = Piece(source, 0, 0, length)
        for rows in (3, *(1 << power for power in range(12))):
            batch = take_batch(deque([piece] * rows), layout, config.batch_tokens)
            sizes.add(batch.input_ids.size)
    assert len(sizes) == 43


# --- memory ---------------------------------------------------------------------------------------


def live_bytes(backbone: Backbone, bank: Bank, document: Document, looks: set[int]) -> list[int]:
    """Bytes of all tensors alive while the batches of these numbers are encoded."""
    found, calls = [], 0

    def encode(keys: torch.Tensor) -> Any:
        nonlocal calls
        calls += 1
        if calls in looks:
            tensors = [o for o in gc.get_objects() if type(o) is torch.Tensor]
            found.append(sum(t.numel() * t.element_size() for t in tensors))
        return bank.encode(keys)

    spy = SimpleNamespace(
        calibration=bank.calibration, width=bank.width, residual_width=0, encode=encode
    )
    list(scan(backbone, spy, [document], SMALL))
    return found


def test_live_tensors_do_not_grow_with_the_text(tiny_backbone: Backbone, bank: Bank) -> None:
    early, late = live_bytes(tiny_backbone, bank, make_document("l", 1500), {4, 16})
    assert late <= early * 1.01


def test_a_bounded_number_of_documents_is_open(
    tiny_backbone: Backbone, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [make_document(f"n{i:03}", 12) for i in range(40)]
    monkeypatch.setattr(forward, "sources", partial(chunks.sources, window_batches=0))
    encode, tokenised = tiny_backbone.text.encode_batch, []
    monkeypatch.setattr(
        tiny_backbone.text, "encode_batch", lambda texts: tokenised.extend(texts) or encode(texts)
    )
    for done, _ in enumerate(scan(tiny_backbone, bank, documents, SMALL)):
        assert len(tokenised) - done < 12
    assert len(tokenised) == 40


# --- interruption ---------------------------------------------------------------------------------


def test_a_scan_that_is_given_up_leaves_the_model_free(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document]
) -> None:
    stream = scan(tiny_backbone, bank, mixed, SMALL)
    next(stream)
    free = threading.Event()

    def take() -> None:
        with tiny_backbone.lock:
            free.set()

    threading.Thread(target=take).start()
    assert free.wait(60), "the lock is held between batches"
    stream.close()
    assert not any(module._forward_hooks for module in tiny_backbone.model.modules())
    assert not any(t.name.startswith("s3-tokenise") for t in threading.enumerate())


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_the_middle_comes_through(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document], error: type[BaseException]
) -> None:
    broken = failing(bank, lambda call, rows: error("stop") if call == 3 else None)
    with pytest.raises(error):
        list(scan(tiny_backbone, broken, mixed, SMALL))
    assert not any(module._forward_hooks for module in tiny_backbone.model.modules())


def test_an_error_of_the_tokenizer_comes_through(
    tiny_backbone: Backbone, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode_batch(texts: list[str]) -> None:
        raise InputError("no")

    monkeypatch.setattr(tiny_backbone.text, "encode_batch", encode_batch)
    with pytest.raises(InputError, match="no"):
        list(scan(tiny_backbone, bank, [make_document("x", 5)], SMALL))


def test_keys_that_are_not_finite_are_refused(tiny_backbone: Backbone, bank: Bank) -> None:
    """On an accelerator the flag comes with the codes."""

    def encode(keys: torch.Tensor) -> Any:
        return replace(bank.encode(keys), finite=torch.tensor(False))

    broken = SimpleNamespace(
        calibration=bank.calibration, width=bank.width, residual_width=0, encode=encode
    )
    with pytest.raises(InputError, match="NaN or infinity"):
        list(scan(tiny_backbone, broken, [make_document("nan", 30)], SMALL))


# --- short memory ---------------------------------------------------------------------------------


def failing(bank: Bank, fault: Callable[[int, int], BaseException | None]) -> Any:
    """A bank that raises what `fault(call, rows)` returns."""
    calls = 0

    def encode(keys: torch.Tensor) -> Any:
        nonlocal calls
        calls += 1
        error = fault(calls, len(keys))
        if error is not None:
            raise error
        return bank.encode(keys)

    return SimpleNamespace(
        calibration=bank.calibration, width=bank.width, residual_width=0, encode=encode
    )


def test_out_of_memory_halves_the_batch_and_goes_on(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document]
) -> None:
    failures = 0

    def fault(call: int, rows: int) -> BaseException | None:
        nonlocal failures
        failures += rows > 70
        return torch.OutOfMemoryError("full") if rows > 70 else None

    config = SMALL.replace(batch_tokens=1024)
    got = codes_of(tiny_backbone, failing(bank, fault), mixed, config)
    expected = codes_of(tiny_backbone, bank, mixed, config)
    assert 1 <= failures <= 5
    assert list(got) == list(expected)
    for document in mixed:
        assert_same(got[document.id], expected[document.id])


def test_one_chunk_that_does_not_fit_says_what_to_do(tiny_backbone: Backbone, bank: Bank) -> None:
    broken = failing(bank, lambda call, rows: torch.OutOfMemoryError("full"))
    with pytest.raises(InputError, match=r"chunk_tokens=\.\.\.\) below 32"):
        list(scan(tiny_backbone, broken, [make_document("big", 300)], SMALL))


@pytest.mark.parametrize(
    ("size", "number"),
    [
        ("4GiB", 4 << 30),
        ("1.5 gib", 3 << 29),
        ("500MB", 500_000_000),
        ("64 KiB", 1 << 16),
        ("2kB", 2000),
        ("1TB", 10**12),
        ("123", 123),
        ("7B", 7),
        (2048, 2048),
    ],
)
def test_sizes_are_read(size: str | int, number: int) -> None:
    assert ScanConfig(max_memory=size).max_memory == number


@pytest.mark.parametrize("size", ["", "4 apples", "-1GB", "GiB", "0", 0, -5, "1e9", "0.2B"])
def test_sizes_that_are_none_are_refused(size: str | int) -> None:
    with pytest.raises(InputError, match="max_memory"):
        ScanConfig(max_memory=size)


def test_max_memory_is_checked_but_without_effect_on_the_cpu(
    tiny_backbone: Backbone, bank: Bank
) -> None:
    documents = [make_document("m", 50)]
    expected = codes_of(tiny_backbone, bank, documents)["m"]
    got = codes_of(tiny_backbone, bank, documents, SMALL.replace(max_memory="1KiB"))["m"]
    assert np.array_equal(got.latents, expected.latents)


def test_batch_is_chosen_from_a_measured_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 bytes fixed and 50 a token, as a fake device tells."""
    state = SimpleNamespace(peak=0)
    fakes = {
        "synchronize": lambda device: None,
        "memory_allocated": lambda device: 5000,
        "reset_peak_memory_stats": lambda device: None,
        "max_memory_allocated": lambda device: 5000 + state.peak,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)

    def forward(rows: int) -> None:
        state.peak = 1000 + 50 * 100 * rows

    device = torch.device("cuda")
    assert fitting_tokens(100_000, 100, forward, device) == (90_000 - 1000) // 50
    assert fitting_tokens(1 << 60, 100, forward, device) == 1 << 18
    with pytest.raises(InputError, match="at least 2,001 bytes"):
        fitting_tokens(1500, 100, forward, device)


# --- report ---------------------------------------------------------------------------------------


def test_report_counts_tokens_and_stages(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document]
) -> None:
    clock = ScanClock(tiny_backbone.device)
    codes = [codes for _, codes in scan(tiny_backbone, bank, mixed, SMALL, clock=clock)]
    report = clock.report()
    assert report.tokens == sum(map(len, codes))
    assert report.read_tokens > report.tokens
    assert report.batches >= report.read_tokens / SMALL.batch_tokens
    assert set(report.stages) == {"tokenise", "forward", "encode", "transfer"}
    assert all(seconds > 0 for seconds in report.stages.values())
    assert 0 < report.tokens_per_second < float("inf")
    twice = report + report
    assert twice.tokens == 2 * report.tokens
    assert twice.stages["forward"] == pytest.approx(2 * report.stages["forward"])
    assert "tokens/s" in str(report)


def test_an_empty_report_is_all_zero() -> None:
    assert ScanReport().tokens_per_second == 0
    assert (ScanReport() + ScanReport()).tokens == 0


def test_progress_goes_to_standard_error(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document], capsys: pytest.CaptureFixture[str]
) -> None:
    list(scan(tiny_backbone, bank, mixed, SMALL, progress=True))
    shown = capsys.readouterr()
    assert "tokens/s" in shown.err
    assert not shown.out
    list(scan(tiny_backbone, bank, mixed, SMALL))
    assert not capsys.readouterr().err


def test_nothing_to_scan(tiny_backbone: Backbone, bank: Bank) -> None:
    assert list(scan(tiny_backbone, bank, [])) == []


# --- CUDA -----------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_codes_on_cuda_are_those_of_the_cpu(
    tiny_backbone: Backbone, bank: Bank, mixed: list[Document]
) -> None:
    expected = codes_of(tiny_backbone, bank, mixed)
    model = copy.deepcopy(tiny_backbone.model).to("cuda")
    moved = Backbone(model, tiny_backbone.tokenizer)
    clock = ScanClock(moved.device)
    config = SMALL.replace(max_memory="64MiB")
    for document, codes in scan(moved, bank, mixed, config, clock=clock):
        assert (codes.latents == expected[document.id].latents).mean() > 0.95
    torch.cuda.synchronize()
    assert all(seconds > 0 for seconds in clock.report().stages.values())
