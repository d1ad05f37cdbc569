"""Turn the arguments `model`, `tokenizer` and `bank` into a matching Backbone and Bank."""

from __future__ import annotations

import sys
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from s3_retriever.backbone import Backbone
from s3_retriever.codec import Bank
from s3_retriever.errors import InputError, ModelMismatchError
from s3_retriever.fitting import bank_for
from s3_retriever.fitting.depth import checked_depth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3_retriever.documents import Document


def resolve_backbone(model: Any, tokenizer: Any, progress: bool = False) -> Backbone:
    """Return the backbone for a model.

    Args:
        model: A `Backbone`, a transformers model, a name or path, or None for the embedded
            default.
        tokenizer: The model's fast tokenizer, with a transformers model and only then.
        progress: Say on standard error when something takes long.

    Raises:
        InputError: a model without tokenizer or a tokenizer without model; also what `Backbone`
            and `Backbone.load` raise.
    """
    if model is None or isinstance(model, str | PathLike | Backbone):
        if tokenizer is not None:
            raise InputError(
                "tokenizer= goes with a loaded model; leave it out, or give both objects: "
                "model=model, tokenizer=tokenizer"
            )
        if isinstance(model, Backbone):
            return model
        name = None if model is None else fspath(model)
        return Backbone.load(name, progress=_say if progress else None)
    if tokenizer is None:
        raise InputError(
            "a model object needs its tokenizer: give tokenizer=AutoTokenizer.from_pretrained(...)"
        )
    return Backbone(model, tokenizer)


def resolve_bank(
    bank: Any,
    backbone: Backbone,
    documents: Iterable[Document],
    progress: bool,
    depth: Any = None,
) -> Bank:
    """Return the bank for a backbone.

    Args:
        bank: A `Bank`, the folder of one, or None for the one that ships for this model, the one
            kept in the user's cache, or else a new one made from the documents.
        backbone: The model.
        documents: What a new bank is made from; looked at only then.
        progress: Show a bar while one is made.
        depth: Of the bank that is found or made, ``"fast"`` or ``"full"``; None for the default,
            or beside a bank.

    Raises:
        InputError: no such depth, or a bank beside it.
        ModelMismatchError: the bank was made for another model.
        BankError: the folder holds no bank, or a damaged one.
    """
    word = checked_depth(depth, bank)
    found = bank_for(backbone, documents, progress, word) if bank is None else loaded_bank(bank)
    check_model(backbone, found, "the bank")
    return found


def loaded_bank(bank: Any) -> Bank:
    """Return a bank that was given as one, or as the folder of one.

    Raises:
        InputError: it is neither.
        BankError: the folder holds no bank, or a damaged one.
    """
    if isinstance(bank, str | PathLike):
        return Bank.load(Path(bank))
    if not isinstance(bank, Bank):
        raise InputError(f"bank must be a Bank or a folder of one, not {type(bank).__name__}")
    return bank


def check_model(backbone: Backbone, bank: Bank, what: str) -> None:
    """Make sure that a bank was made for this model and its tokenizer.

    Raises:
        ModelMismatchError: it was made for another, or with another tokenizer.
    """
    if not bank.fits(backbone):
        raise ModelMismatchError(
            f"{what} was made with the model {bank.model_name or 'unknown'!r} and does not fit "
            f"{backbone.name!r}, whose weights or sizes differ{_held(backbone)}; give the model it "
            "was made with (model=..., tokenizer=...) or build anew with this one"
        )
    if bank.metadata.get("tokenizer") not in (None, backbone.text.digest):
        raise ModelMismatchError(
            f"{what} was made with another tokenizer than {type(backbone.tokenizer).__name__} "
            "given here; give the one that belongs to the model"
        )


def _held(backbone: Backbone) -> str:
    return f": it is {held}, which changes its numbers" if (held := backbone.held_as) else ""


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
