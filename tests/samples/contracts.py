"""Twenty contracts with one sentence in common, as boilerplate has it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from random_bank import make_bank
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

COMMON = "This agreement is governed by the laws of the State of Delaware."
ASKED = "Which laws is this agreement governed by?"
REPHRASED = "Whose laws is an agreement governed by?"
_WARES = "apples barrels candles doors eels figs gates hops inks jars kettles lamps mills nets oars"
_GOODS = [*_WARES.split(), "pipes", "quills", "ropes", "sails", "tiles"]

CONTRACTS = tuple(
    Document(
        id=f"contract-{number}",
        text=f"The seller delivers {number * 7 + 3} {goods} every month.\n\n{COMMON}\n\n"
        f"The buyer pays for the {goods} on the {number + 2}th day.",
        metadata={"goods": goods, "number": number},
    )
    for number, goods in enumerate(_GOODS)
)
NAMES = tuple(document.id for document in CONTRACTS)


@cache
def contracts_index(backbone: Backbone) -> EndogenousIndex:
    """An index in which words decide and a span is one sentence: do not change it."""
    return EndogenousIndex.build(
        CONTRACTS,
        model=backbone,
        bank=make_bank(backbone),
        search={
            "k": len(CONTRACTS),
            "second_hop": False,
            "weighing": {"bm25": 10.0, "span_characters": 0},
        },
        progress=False,
    )
