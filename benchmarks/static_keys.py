"""What reading the text is worth: keys that its tokens have anywhere, for those of the text.

A key of an early layer is mostly its token. Here each token of a text gets the mean key that its
vocabulary id has in other texts (the corpus of default_corpus.py), and the model reads none of the
text, or only the sentences that are best by those means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from s3_retriever.config import ScanConfig
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.engine.flow import find
from s3_retriever.evaluate.rankers.build import SearcherRanker, as_hits
from s3_retriever.evaluate.rankers.dense import dense_scorers
from s3_retriever.reading.keys import key_blocks
from s3_retriever.searching.meaning import MeaningScorer
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.searcher import Searcher
from s3_retriever.searching.sums import head_of, sentence_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Calibration
    from s3_retriever.config import SearchConfig, Weighing
    from s3_retriever.documents import Document
    from s3_retriever.evaluate.rankers.bench import Bench
    from s3_retriever.evaluate.rankers.hits import Hit
    from s3_retriever.searching.scorer import IndexedText


def token_means(
    backbone: Backbone, calibration: Calibration, documents: Sequence[Document], progress: bool
) -> Tensor:
    """The mean calibrated key of each vocabulary id in some texts, ``f16[V, N, d]``.

    Ids that do not occur have the mean of all keys, which is 0.
    """
    size = len(backbone.tokenizer)
    taps, d = len(calibration.taps), calibration.head_dim
    sums, counts = torch.zeros(size, taps, d), torch.zeros(size)
    blocks = key_blocks(backbone, calibration.taps, documents, ScanConfig(), progress=progress)
    for pieces, keys in blocks:
        own = [piece.source.tokens.ids[piece.start : piece.stop] for piece in pieces]
        ids = torch.from_numpy(np.concatenate(own).astype(np.int64))
        sums.index_add_(0, ids, calibration.keys(keys).float().cpu())
        counts.index_add_(0, ids, torch.ones(len(ids)))
    return (sums / counts.clamp_min(1)[:, None, None]).half()


def static_keys(bench: Bench, means: Tensor) -> Tensor:
    """What the tokens of a corpus have without being read, ``f16[T, N, d]``."""

    def look_up() -> Tensor:
        texts = bench.backbone.text.encode_batch([own.text for own in bench.documents])
        ids = np.concatenate([np.asarray(text.ids) for text in texts]).astype(np.int64)
        return means[torch.from_numpy(ids)]

    return bench.memo.get("static keys", look_up)


def unread(means: Tensor, config: SearchConfig, bench: Bench) -> SearcherRanker:
    """Ours over static keys; the model reads the question and, for the second hop, spans."""
    text = indexed_text(bench.documents, bench.places, bench.bank)
    searcher = Searcher(text, scorers=dense_scorers(text, static_keys(bench, means)))
    return SearcherRanker(bench, searcher, config, 0)


class SomeRead:
    """Ours over static keys, and over the keys themselves where static ones rank sentences best.

    Args:
        sentences: How many are read for each question.
        means: Of `token_means`.
        config: Of both searches.
        bench: The corpus.
    """

    nbytes = 0

    def __init__(self, sentences: int, means: Tensor, config: SearchConfig, bench: Bench) -> None:
        self._most, self._config, self._reader = sentences, config, bench.reader
        text = indexed_text(bench.documents, bench.places, bench.bank)
        self._bounds = torch.from_numpy(text.passages.bounds)
        self._unread, self._read = static_keys(bench, means), bench.keys()
        head = head_of(bench.bank)
        self._sums = [
            bench.memo.get(name, lambda keys=keys: _sums(text, head, keys))
            for name, keys in (("static sums", self._unread), ("sums", self._read))
        ]
        scorers = dense_scorers(text, self._unread)
        self._first = Searcher(text, scorers=scorers)
        self._keys, self._mixed = self._unread.clone(), self._sums[0].clone()
        scorers = dense_scorers(text, self._keys) | {"meaning": _Fresh(text, self._mixed)}
        self._second = Searcher(text, scorers=scorers)

    def rank(self, question: str) -> list[Hit]:
        """Choose sentences by static keys, read these, and rank all."""
        self._choose(question)
        config = self._config.replace(relevance=False)
        (found,) = find(self._reader, self._second, [question], config)
        return as_hits(found.spans)

    def _choose(self, question: str) -> None:
        """Put the keys of the best sentences in the place of their static ones."""
        (read,) = self._reader.questions([question])
        place = None if read.where is None else Asked(read.where.text, read.where.queries)
        asked = Asked(read.what.text, read.what.queries, place=place, whole=read.whole.text)
        if not self._first.tells_places(self._config):
            asked = Asked(read.whole.text, read.whole.queries, whole=read.whole.text)
        (scores,) = self._first.score([asked], self._config)
        best = torch.from_numpy(scores.best(self._most))
        self._keys.copy_(self._unread)
        self._mixed.copy_(self._sums[0])
        self._mixed[best] = self._sums[1][best]
        for sentence in best.tolist():
            own = slice(int(self._bounds[sentence]), int(self._bounds[sentence + 1]))
            self._keys[own] = self._read[own]


def _sums(text: IndexedText, head: object, keys: Tensor) -> Tensor:
    return sentence_sums(text.passages.bounds, head, lambda tokens: keys[tokens].float())


class _Fresh:
    """Meaning by sums that change between questions."""

    def __init__(self, text: IndexedText, sums: Tensor) -> None:
        self._text, self._sums = text, sums

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        return MeaningScorer(self._text, self._sums).scores(asked, candidates, weighing)
