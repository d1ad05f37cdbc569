"""What the benchmarks share: models, text, interleaved timing, and files of results."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from pydoc_data.topics import topics
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from s3_retriever.backbone import Backbone, Head, Tap
from s3_retriever.codec import Bank, Calibration, Sae, fit_residual, fit_scale
from s3_retriever.documents import Document
from s3_retriever.evaluate.about import about
from s3_retriever.fitting.banks import builtin_bank
from s3_retriever.reading.batches import Batches
from s3_retriever.reading.chunks import layout_of, sources
from s3_retriever.reading.clock import ScanClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3_retriever.config import ScanConfig
    from s3_retriever.fitting import LabelledSet
    from s3_retriever.fitting.depth import Depth
    from s3_retriever.reading.batches import Batch

RESULTS = Path(__file__).parent / "results"
CUDA = torch.cuda.is_available()
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

LLAMA_8B = LlamaConfig(
    vocab_size=128_256,
    hidden_size=4096,
    intermediate_size=14_336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    max_position_embeddings=131_072 + 1024,
    rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
)
"""The shape of Llama-3.1-8B."""

LLAMA_TAPS = (Tap(1, 2), Tap(2, 1), Tap(9, 0), Tap(10, 0), Tap(10, 1))
"""As deep in the model, a third of its layers, as the bank that ships is in SmolLM2."""

LLAMA_LATENTS, LLAMA_K = 16_384, 32


def arguments(about_script: str) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take."""
    parser = argparse.ArgumentParser(
        description=about_script, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=("smollm2", "llama-8b"), default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="the JSON file to write")
    return parser


def default_model(name: str | None) -> str:
    """The 8B shape where there is a CUDA device, else SmolLM2."""
    return name or ("llama-8b" if CUDA else "smollm2")


def shipped_bank(backbone: Backbone, depth: Depth = "full") -> Bank:
    """The bank of a depth that ships for SmolLM2."""
    bank = builtin_bank(backbone, depth)
    if bank is None:
        raise SystemExit(
            f"the bank of depth {depth!r} for SmolLM2-135M-Instruct is missing from this checkout"
        )
    return bank


def load(name: str, dtype: str, seed: int = 0) -> tuple[Backbone, Bank]:
    """A model and its bank: SmolLM2 as it ships, or the 8B shape with random weights."""
    if name == "smollm2":
        backbone = Backbone.load(None, dtype=DTYPES[dtype])
        return backbone, shipped_bank(backbone)
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[dtype])
    try:
        with torch.device("cuda" if CUDA else "cpu"):
            model = LlamaForCausalLM(LLAMA_8B).eval()
    finally:
        torch.set_default_dtype(before)
    backbone = Backbone(model, Backbone.load(None).tokenizer)
    return backbone, random_bank(backbone, LLAMA_TAPS, LLAMA_LATENTS, LLAMA_K, seed)


def random_bank(backbone: Backbone, taps: Sequence[Tap], latents: int, k: int, seed: int) -> Bank:
    """A bank of one joint site with random latents, scaled to the keys of some text."""
    ids = torch.from_numpy(backbone.text.encode(text_of(backbone, 2048)).ids).long()
    with backbone.tap(taps) as reader:
        keys = reader.keys(ids[None])[0].float().cpu()
    rows, d = len(taps), backbone.spec.head_dim
    eye = torch.eye(d) / keys.std()
    group = backbone.spec.heads // backbone.spec.kv_heads
    calibration = Calibration(
        taps=tuple(taps),
        heads=tuple(Head(tap.layer, tap.kv_head * group) for tap in taps),
        group=group,
        head_weights=torch.ones(rows),
        key_mean=keys.mean(0),
        query_mean=torch.zeros(rows, d),
        whiten=eye.expand(rows, d, d).clone(),
        unwhiten=eye.inverse().expand(rows, d, d).clone(),
        scaling=backbone.spec.scaling,
        metadata={"made": "for a benchmark"},
    )
    random = torch.Generator().manual_seed(seed)
    w_dec = torch.nn.functional.normalize(torch.randn(latents, rows * d, generator=random), dim=1)
    sae = Sae(
        taps=tuple(taps),
        k=k,
        w_enc=w_dec.T.contiguous(),
        b_enc=torch.zeros(latents),
        w_dec=w_dec,
        b_dec=torch.zeros(rows * d),
        scale=1.0,
    )
    x = calibration.keys(keys).flatten(1)
    found, values = sae.encode(x)
    sae = replace(sae, scale=fit_scale(values))
    return Bank(
        calibration=calibration,
        saes=(sae,),
        fingerprint=backbone.fingerprint(taps),
        model_name="random weights",
        residual=fit_residual(x - sae.decode(found, values)),
    )


def batches(
    backbone: Backbone, documents: Sequence[Document], config: ScanConfig
) -> Iterator[Batch]:
    """The batches that a scan of some documents reads, in order."""
    size, clock = config.batch_tokens, ScanClock(backbone.device)
    windows = sources(backbone.text, documents, batch_tokens=size, clock=clock)
    with closing(windows):
        yield from Batches(windows, layout_of(backbone, config), size)


def documents_of(backbone: Backbone, tokens: int) -> list[Document]:
    """Documents of some ten thousand characters with that many tokens of the model in all.

    Their text is the reference of the Python language that comes with Python, repeated where it
    does not suffice.
    """
    whole = text_of(backbone, tokens)
    return [
        Document(id=str(number), text=whole[start : start + 10_000])
        for number, start in enumerate(range(0, len(whole), 10_000))
    ]


def text_of(backbone: Backbone, tokens: int) -> str:
    """One text of that many tokens (of one that ends in its middle, the whole character)."""
    source = "\n".join(topics.values())
    encoded = backbone.text.encode(source)
    copies, rest = divmod(tokens, len(encoded.ids))
    return source * copies + source[: int(encoded.ends[rest - 1]) if rest else 0]


def tuning_split(labelled: LabelledSet) -> LabelledSet:
    """Every third question, for choosing constants; `test_split` has the others."""
    return replace(labelled, questions=labelled.questions[::3])


def test_split(labelled: LabelledSet) -> LabelledSet:
    """The questions that had no part in the choice of constants."""
    kept = tuple(question for n, question in enumerate(labelled.questions) if n % 3)
    return replace(labelled, questions=kept)


def synchronize() -> None:
    """Wait for the device."""
    if CUDA:
        torch.cuda.synchronize()


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of a call, to the end of what it asks of the device."""
    synchronize()
    begun = perf_counter()
    run()
    synchronize()
    return perf_counter() - begun


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    cpu: dict[str, list[float]] | None = None,
) -> dict[str, list[float]]:
    """Time contenders in turn, so that what else the machine does falls on all of them alike.

    The first round warms up and does not count; every round begins one contender later.

    Args:
        contenders: By name.
        rounds: Times that each runs.
        cpu: Filled with the processor time of every round, all threads together.

    Returns:
        Seconds of every round, by contender.
    """
    names = list(contenders)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            busy = process_time()
            took = seconds(contenders[name])
            if turn:
                times[name].append(took)
                if cpu is not None:
                    cpu.setdefault(name, []).append(process_time() - busy)
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median and maximum."""
    figures = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, 6) for name, value in figures.items()}


def line(name: str, figures: Mapping[str, float], unit: str = "s", digits: int = 3) -> str:
    """One line of a report: minimum, median and maximum of a figure."""
    shown = " / ".join(f"{figures[key]:,.{digits}f}" for key in ("min", "median", "max"))
    return f"{name:<34} {shown} {unit}"


def command() -> list[str]:
    """The words that this run was begun with; folders and files by their last name alone."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return ["python", f"benchmarks/{Path(sys.argv[0]).name}", *words]


def write(
    name: str,
    args: argparse.Namespace,
    figures: Mapping[str, Any],
    backbone: Backbone | None = None,
    bank: Bank | None = None,
) -> Path:
    """Write figures with machine, versions, command and seed; returns the file."""
    path = args.out or RESULTS / f"{name}-{'cuda' if CUDA else 'cpu'}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "benchmark": name,
        "command": shlex.join(command()),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": args.seed,
        "load_average": [round(value, 2) for value in os.getloadavg()],
        **({} if backbone is None else about(backbone, bank)),
        **figures,
    }
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return path
