"""Documents with random codes, and how to compare what comes back."""

from __future__ import annotations

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.storage import LoadedIndex, StoredDocument, load_index

HEADER = {"model": "fingerprint", "codec": "digest", "scan": {"chunk_tokens": 512}}


def sample(name, tokens=20, seed=0, text=None, metadata=None):
    """A document of words of four characters, a token each, with codes drawn from the seed."""
    text = text or " ".join(f"w{seed % 1000:03d}" for _ in range(max(tokens, 1)))
    random = np.random.default_rng([seed, tokens])
    starts = np.minimum(np.arange(tokens, dtype=np.int32) * 5, len(text) - 1).astype(np.int32)
    arrays = {
        "latents": random.integers(0, 4096, (tokens, 6), dtype=np.uint16),
        "values": random.integers(0, 256, (tokens, 6), dtype=np.uint8),
        "starts": starts,
        "ends": np.minimum(starts + 4, len(text)).astype(np.int32),
        "norms": random.random(tokens).astype(np.float16),
    }
    return StoredDocument(Document(name, text, metadata or {"seed": seed}), arrays)


def samples(count, tokens=20, seed=0):
    return [sample(f"d{i}", tokens, seed + i) for i in range(count)]


def plain(index):
    """Everything an index holds, comparable with ==."""
    assert isinstance(index, LoadedIndex)
    return index.header, [plain_document(item) for item in index.documents]


def plain_document(item):
    arrays = {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in sorted(item.arrays.items())}
    return item.document.id, item.document.text, dict(item.document.metadata), arrays


def expected(documents, header=HEADER):
    return dict(header), [plain_document(item) for item in documents]


def loaded(folder):
    return plain(load_index(folder))


def segment_files(folder):
    return {path.name for path in (folder / "segments").iterdir()}


class SampleTables:
    """Tables of a segment: of each document, how often it has each value, and its text's length."""

    def __init__(self, name):
        self.name = name

    def fits(self, name):
        return name == self.name

    def make(self, documents):
        counts = [np.bincount(d.arrays["values"].ravel(), minlength=256) for d in documents]
        lengths = [len(d.document.text) for d in documents]
        return {"counts": np.stack(counts).astype(np.uint16), "lengths": np.array(lengths)}


def check_tables(folder, *names):
    """Every segment has tables of one of these names, which are those of its documents."""
    for segment in load_index(folder).segments:
        assert segment.made in names
        expected = SampleTables("").make(segment.documents)
        assert segment.tables.keys() == expected.keys()
        for name, array in segment.tables.items():
            np.testing.assert_array_equal(array[[*segment.numbers]], expected[name])
