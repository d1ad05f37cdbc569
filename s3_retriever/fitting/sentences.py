"""Fits the head that makes vectors of sentences and questions, from a teacher of vectors.

What is learnt is which texts a teacher has near each other (relational distillation, arXiv
1904.05068): an embedding model for the bank that ships, and that bank's own head for the banks of
other models.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import gelu, kl_div, linear, log_softmax, normalize
from tqdm.auto import tqdm

from s3_retriever.codec.sentences import MOST_GATE, SentenceHead, TokenNetwork
from s3_retriever.config import Config, ScanConfig
from s3_retriever.errors import InputError
from s3_retriever.reading.keys import key_blocks
from s3_retriever.reading.questions import head_queries
from s3_retriever.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.documents import Document

Teacher: TypeAlias = "Callable[[Sequence[str]], Tensor]"
"""Makes vectors ``f32[n, any]`` of n texts; near by their cosine are those that mean the same."""

_SHORTEST = 15
"""Characters of the shortest text that is learnt from."""

_TEMPERATURE = 0.05
_STD_FLOOR = 1e-3


class SentenceConfig(Config):
    """How a sentence head is fitted.

    Attributes:
        size: Numbers of a vector.
        width: Of the hidden layer.
        epochs: Times that every text is seen.
        batch_texts: Texts per step.
        lr: Highest learning rate of AdamW; it rises over the first tenth of the steps.
        asked: Texts that are read as questions too.
        longest_asked: Characters of the longest of these.
        seed: Of what is joined, the order and the first weights.
    """

    size: int = Field(default=128, ge=1)
    width: int = Field(default=256, ge=1)
    epochs: int = Field(default=8, ge=1)
    batch_texts: int = Field(default=512, ge=2)
    lr: float = Field(default=2e-3, gt=0)
    asked: int = Field(default=9000, ge=1)
    longest_asked: int = Field(default=350, ge=1)
    seed: int = 0


class Pairs(NamedTuple):
    """Texts as the model reads them, and as the teacher sees them.

    Attributes:
        rows: Of each text, ``f[t, I]`` of its t > 0 tokens.
        vectors: ``f32[n, any]``, of the teacher.
    """

    rows: Sequence[Tensor]
    vectors: Tensor


def fit_sentences(
    backbone: Backbone,
    bank: Bank,
    documents: Sequence[Document],
    questions: Sequence[str],
    teacher: Teacher,
    config: SentenceConfig | None = None,
    *,
    scan: ScanConfig | None = None,
    progress: bool = False,
) -> SentenceHead:
    """Fit a sentence head for a bank.

    Args:
        backbone: The model.
        bank: Of this model; the head reads the keys that its codes stand for.
        documents: Texts of the kinds that will be searched.
        questions: Learnt from beside them.
        teacher: Is asked for vectors of all of these.
        config: Sizes and schedule.
        scan: How text is read.
        progress: Show bars on standard error.

    Raises:
        InputError: the documents hold fewer than two texts to learn from.
    """
    config, scan = config or SentenceConfig(), scan or ScanConfig()
    texts, asked = lessons(backbone, bank, documents, questions, teacher, config, scan, progress)
    return fit_head(texts, asked, config, progress)


def lessons(
    backbone: Backbone,
    bank: Bank,
    documents: Sequence[Document],
    questions: Sequence[str],
    teacher: Teacher,
    config: SentenceConfig,
    scan: ScanConfig,
    progress: bool = False,
) -> tuple[Pairs, Pairs]:
    """What `fit_head` learns from: see `fit_sentences`.

    Returns:
        Runs of one to three sentences, as keys; and some of them, read as if they were questions,
        with the questions, as queries.

    Raises:
        InputError: the documents hold fewer than two texts to learn from.
    """
    chance = random.Random(config.seed)
    places = [(n, *place) for n, own in enumerate(documents) for place in _runs(own.text, chance)]
    rows = _key_rows(backbone, bank, documents, places, scan, progress)
    kept = [n for n, row in enumerate(rows) if len(row)]
    if len(kept) < 2:
        raise InputError("a sentence head needs more text than a sentence to learn from")
    texts = [documents[places[n][0]].text[places[n][1] : places[n][2]].strip() for n in kept]
    vectors = teacher([*texts, *questions])
    short = [n for n, text in enumerate(texts) if len(text) <= config.longest_asked]
    chosen = chance.sample(short, min(config.asked, len(short)))
    asked = [*(texts[n] for n in chosen), *questions]
    queries = head_queries(backbone, bank.calibration.heads, asked, scan)
    read = [bank.calibration.queries(own).flatten(1).half() for own in queries]
    seen = torch.cat([vectors[chosen], vectors[len(texts) :]])
    return Pairs([rows[n] for n in kept], vectors[: len(texts)]), Pairs(read, seen)


def _runs(text: str, chance: random.Random) -> list[tuple[int, int]]:
    """Runs of one to three sentences that tile a text, those too short left out."""
    found, places = [], sentences(text)
    while places:
        run = places[: chance.choice((1, 1, 1, 2, 2, 3))]
        places = places[len(run) :]
        start, end = run[0][0], run[-1][1]
        if len(text[start:end].strip()) >= _SHORTEST:
            found.append((start, end))
    return found


def _key_rows(
    backbone: Backbone,
    bank: Bank,
    documents: Sequence[Document],
    places: Sequence[tuple[int, int, int]],
    scan: ScanConfig,
    progress: bool,
) -> list[Tensor]:
    """The decoded keys of the tokens of each place, ``f16[t, N · d]``."""
    whole: dict[int, tuple[np.ndarray, Tensor]] = {}
    numbers = {document.id: number for number, document in enumerate(documents)}
    taps = bank.calibration.taps
    for pieces, keys in key_blocks(backbone, taps, documents, scan, progress=progress):
        decoded = bank.decode(bank.encode(keys)).flatten(1).half().cpu()
        first = 0
        for piece in pieces:
            number, ends = numbers[piece.source.document.id], piece.source.tokens.ends
            if number not in whole:
                whole[number] = ends, torch.zeros(len(ends), decoded.shape[1]).half()
            last = first + piece.stop - piece.start
            whole[number][1][piece.start : piece.stop] = decoded[first:last]
            first = last
    rows = []
    for number, start, end in places:
        ends, own = whole.get(number) or (torch.zeros(0).numpy(), torch.zeros(0, 1))
        rows.append(own[slice(*ends.searchsorted([start, end], side="right"))])
    return rows


class _Network(nn.Module):
    """A `TokenNetwork` while it learns, over standardised inputs."""

    def __init__(self, rows: Sequence[Tensor], config: SentenceConfig) -> None:
        super().__init__()
        sample = torch.cat(random.Random(config.seed).sample([*rows], min(3000, len(rows))))
        self.mean, self.std = sample.float().mean(0), sample.float().std(0) + _STD_FLOOR
        self.hidden = nn.Linear(sample.shape[1], config.width)
        self.out = nn.Linear(config.width, config.size)
        self.skip = nn.Linear(sample.shape[1], config.size, bias=False)
        self.gate = nn.Parameter(torch.zeros(config.width))

    def forward(self, rows: Sequence[Tensor]) -> Tensor:
        """Vectors of length 1 of some texts."""
        x = (torch.cat([*rows]).float() - self.mean) / self.std
        h = gelu(self.hidden(x))
        weight = (h @ self.gate).clamp(-MOST_GATE, MOST_GATE).exp()
        added = weight[:, None] * (self.out(h) + self.skip(x))
        home = torch.repeat_interleave(torch.tensor([*map(len, rows)]))
        return normalize(torch.zeros(len(rows), added.shape[1]).index_add(0, home, added), dim=1)

    @torch.no_grad()
    def folded(self) -> TokenNetwork:
        """The network for inputs as they are, its weights rounded to what 16 bits hold."""

        def rounded(tensor: Tensor) -> Tensor:
            return tensor.detach().half().float()

        hidden, skip = (
            rounded(layer.weight.T / self.std[:, None]) for layer in (self.hidden, self.skip)
        )
        return TokenNetwork(
            hidden=hidden,
            hidden_bias=rounded(self.hidden.bias - self.mean @ hidden),
            out=rounded(self.out.weight.T),
            skip=skip,
            bias=rounded(self.out.bias - self.mean @ skip),
            gate=rounded(self.gate),
        )


def fit_head(
    texts: Pairs, asked: Pairs, config: SentenceConfig, progress: bool = False
) -> SentenceHead:
    """Fit both networks of a head together, with AdamW.

    The teacher's vectors are brought to the size of the head by their principal directions. A
    batch's loss is one less the cosine to them, and, weighed by a half, the divergence of what is
    near what: among texts, and between questions and texts.

    Args:
        texts: Keys of texts.
        asked: Queries of questions.
        config: Sizes and schedule.
        progress: Show a bar on standard error.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return _fit(texts, asked, config, progress)


def _fit(texts: Pairs, asked: Pairs, config: SentenceConfig, progress: bool) -> SentenceHead:
    directions = _principal(texts.vectors, config.size)
    seen, sought = (normalize(linear(own.vectors, directions), dim=1) for own in (texts, asked))
    keys, queries = _Network(texts.rows, config), _Network(asked.rows, config)
    adam = torch.optim.AdamW(
        [*keys.parameters(), *queries.parameters()], lr=config.lr, weight_decay=0.01
    )
    batch = min(config.batch_texts, len(texts.rows))
    steps = config.epochs * (len(texts.rows) // batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, config.lr, total_steps=steps, pct_start=0.1)
    for chosen in tqdm(_batches(len(texts.rows), batch, steps), "Fitting", disable=not progress):
        some = torch.randperm(len(asked.rows))[: batch // 2].tolist()
        found = keys([texts.rows[n] for n in chosen])
        asks = queries([asked.rows[n] for n in some])
        loss = _away(found, seen[chosen]) + _away(asks, sought[some])
        loss = loss + 0.5 * _otherwise(found, found, seen[chosen], seen[chosen], itself=True)
        loss = loss + 0.5 * _otherwise(asks, found, sought[some], seen[chosen])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        rate.step()
    return SentenceHead(keys.folded(), queries.folded())


def _principal(vectors: Tensor, size: int) -> Tensor:
    """``f32[size, any]``: directions in which vectors lie most; 0 where there are no more."""
    unit = normalize(vectors, dim=1)
    _, axes = torch.linalg.eigh(unit.T @ unit / len(unit))
    found = axes.flip(1)[:, :size].T
    return torch.cat([found, found.new_zeros(size - len(found), found.shape[1])])


def _batches(count: int, size: int, steps: int) -> list[list[int]]:
    """Numbers of the texts of each step; within an epoch none comes twice."""
    found: list[list[int]] = []
    while len(found) < steps:
        epoch = torch.randperm(count).split(size)  # type: ignore[no-untyped-call]
        found += [part.tolist() for part in epoch if len(part) == size]
    return found[:steps]


def _away(vectors: Tensor, wanted: Tensor) -> Tensor:
    return (1 - (vectors * wanted).sum(1)).mean()


def _otherwise(
    ours: Tensor, among: Tensor, theirs: Tensor, theirs_among: Tensor, itself: bool = False
) -> Tensor:
    """Divergence of what is near what, a text's nearness to itself left out."""
    logits, wanted = ours @ among.T / _TEMPERATURE, theirs @ theirs_among.T / _TEMPERATURE
    if itself:
        same = torch.eye(len(ours), dtype=torch.bool)
        logits, wanted = (part.masked_fill(same, -1e9) for part in (logits, wanted))
    return kl_div(
        log_softmax(logits, 1), log_softmax(wanted, 1), reduction="batchmean", log_target=True
    )
