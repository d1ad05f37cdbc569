"""A few short texts, and indexes of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from random_bank import make_bank
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

LIGHTHOUSE = """The lighthouse at Cape Morrow was built in 1871 by the engineer Ada Lindqvist. \
Its lamp stands forty-two metres above the sea and can be seen from twenty miles away.

For ninety years a keeper climbed the 214 steps every evening to light the wick. The last keeper, \
Tomas Ferreira, left the tower in 1961, when the lamp was made electric. Today the rooms below \
hold a small museum of charts and fog horns. 🗼
"""
BREAD = """Rye bread needs a sour starter, because the acid keeps its starch from turning to \
sugar. A starter is fed with flour and water twice a day.

Bakers in the valley let the dough rest for eighteen hours in wooden troughs. The loaves are baked \
on stone at 260 degrees and keep for two weeks. Caraway seeds are added in the north, fennel in \
the south.
"""
RIVER = """The river Senna rises in the Grey Hills and runs 310 kilometres to the bay of Otter. \
In spring its floods once drowned the fields of eleven villages.

A dam was finished in 1934 below the town of Halm. It gives power to the paper mills, and its lake \
is home to ospreys and pike. Boats pass through two locks, each as long as four barges.
"""
VIOLIN = """Violin makers choose spruce for the belly and maple for the back. The wood dries for \
ten years before it is cut.

Varnish was the secret of each workshop. Elena Corvi mixed amber with linseed oil and a red root \
from the mountains, and she wrote the recipe in a notebook that was found in 1902.
"""
QUESTIONS = (
    "Who was the last keeper of the lighthouse?",
    "How long does the dough of rye bread rest?",
    "When was the dam on the river finished?",
)
TEXTS = (LIGHTHOUSE, BREAD, RIVER, VIOLIN)
NAMES = ("lighthouse", "bread", "river", "violin")
METADATAS = (
    {"topic": "sea", "year": 1961, "shelf": {"row": 3}},
    {"topic": "food", "year": 2001},
    {"topic": "sea", "year": 1934},
    {"topic": "music", "year": 1902},
)
SOURCES = dict(zip(NAMES, TEXTS, strict=True))


DOCUMENTS = tuple(
    Document(id=name, text=text, metadata=data)
    for name, text, data in zip(NAMES, TEXTS, METADATAS, strict=True)
)
BY_WORDS = {"weighing": {"bm25": 10.0}, "second_hop": False}
"""Settings with which a random model finds what the words of a question say."""


@cache
def small_index(backbone: Backbone) -> EndogenousIndex:
    """An index of the texts, made once for each backbone: do not change it."""
    return EndogenousIndex.build(DOCUMENTS, model=backbone, progress=False)


def index_by_words(backbone: Backbone) -> EndogenousIndex:
    """An index of the texts by a random model, in which BM25 decides."""
    return EndogenousIndex.build(
        DOCUMENTS, model=backbone, bank=make_bank(backbone), search=BY_WORDS, progress=False
    )
