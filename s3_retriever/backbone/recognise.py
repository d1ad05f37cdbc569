"""Finds where any decoder-only model shows its keys and queries, by looking at what it computes.

What the model's attention gets at position 0, where rotary embedding leaves vectors as they are, is
looked for in the outputs of the attention's submodules: in a plain projection, a part of a fused
one, or a norm behind it. So nothing depends on names, and what is found is checked by being found.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from s3_retriever.backbone.probe import ROWS, Sighting, sightings
from s3_retriever.backbone.projection import Projection, Reads, by_token, unit
from s3_retriever.backbone.spec import ModelSpec
from s3_retriever.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

_CLOSE = 0.01
"""Relative error at which numbers are the same; what 16-bit floats round is less."""

_AHEAD = 0.1
"""Relative difference that comes of another text, and not of rounding."""

_LENGTHS = 3, 5, 7, 11
_ENDLESS = 1 << 20
"""Tokens of the window of a model that names none."""


class Recognised(NamedTuple):
    """A model as it is read.

    Attributes:
        spec: Its sizes.
        reads: By layer, those whose keys are read.
        stack: The list of decoder layers, by its path in the decoder.
    """

    spec: ModelSpec
    reads: Mapping[int, Reads]
    stack: str


class _Found(NamedTuple):
    projection: Projection
    factor: float
    rotated: bool


class _Layer(NamedTuple):
    number: int
    stack: str
    reads: Reads
    shape: tuple[int, int, int, float]
    """Query heads, key-value heads, d, scaling."""


def recognise(model: Any, decoder: Any) -> Recognised:
    """Read a model's sizes, and where its keys and queries are.

    Layers may differ: those without keys of their own (linear attention, state space, keys shared
    from another layer) are left out, and so are those whose heads are of another size or number
    than in most.

    Args:
        model: A causal model of transformers, in evaluation mode.
        decoder: Its stack of decoder layers, with the input embedding.

    Raises:
        UnsupportedModelError: an encoder-decoder; a model that attends in both directions; one
            without attention, or with one whose keys are not found. The message says which.
    """
    name = f"{type(model).__name__} ({model.config.model_type!r})"
    config = model.config.get_text_config(decoder=True)
    if model.config.is_encoder_decoder:
        raise UnsupportedModelError(
            f"{name} is an encoder-decoder, whose text is not read by a decoder-only model; use a "
            "causal language model"
        )
    seen = _seen(name, config, decoder)
    layers = [layer for layer in map(_layer, seen) if layer is not None]
    if not layers:
        parts = ", ".join(seen[0].outputs) or "none"
        raise UnsupportedModelError(
            f"{name} puts the keys of its attention together from parts that no module shows whole "
            f"(latent attention is such a kind); seen in {seen[0].attention}: {parts}"
        )
    shape = Counter(layer.shape for layer in layers).most_common(1)[0][0]
    stack = Counter(layer.stack for layer in layers).most_common(1)[0][0]
    kept = {
        layer.number: layer.reads
        for layer in reversed(layers)
        if (layer.shape, layer.stack) == (shape, stack)
    }
    heads, kv_heads, head_dim, scaling = shape
    spec = ModelSpec(
        architecture=config.model_type,
        layers=len(decoder.get_submodule(stack)),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden=config.hidden_size,
        max_positions=_window(config),
        scaling=scaling,
        readable=tuple(sorted(kept)),
    )
    return Recognised(spec, kept, stack)


def decoder_of(model: Any) -> Any:
    """The stack of decoder layers of a model, with its input embedding."""
    decoder = model.get_decoder()  # in some models this is the output layer
    return decoder if hasattr(decoder, "get_input_embeddings") else model.base_model


def _window(config: Any) -> int:
    names = "max_position_embeddings", "n_positions", "seq_length", "max_seq_len"
    found = (getattr(config, name, None) for name in names)
    return next((size for size in found if isinstance(size, int) and size > 0), _ENDLESS)


def _seen(name: str, config: Any, decoder: Any) -> list[Sighting]:
    heads = {getattr(config, key, 0) for key in ("num_attention_heads", "num_key_value_heads")}
    length = next(size for size in _LENGTHS if size not in heads)
    try:
        seen = sightings(decoder, len(decoder.get_input_embeddings().weight), length)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a model's own code raises
        raise UnsupportedModelError(
            f"{name} cannot read {ROWS} short rows of text, as every causal model can: {error}"
        ) from error
    if not seen:
        raise UnsupportedModelError(
            f"{name} never calls an attention function of transformers: it has no keys (a state-"
            "space model), or an attention of its own that cannot be looked into"
        )
    if not all(sighting.causal for sighting in seen) or _looks_ahead(seen[-1]):
        raise UnsupportedModelError(
            f"{name} attends in both directions, so a token's key depends on the text after it; "
            "use a causal language model"
        )
    return seen


def _looks_ahead(last: Sighting) -> bool:
    """Whether what follows a token changes its key: the first row begins as the last one does."""
    first, again = last.keys[0, :, 0].float(), last.keys[-1, :, 0].float()
    return bool((first - again).norm() > _AHEAD * first.norm())


def _layer(seen: Sighting) -> _Layer | None:
    """Where the keys and queries of one attention module are; None where they are nowhere whole."""
    place = re.fullmatch(r"(.*?)\.?(\d+)\..*", seen.attention)
    keys, queries = _find(seen.keys, seen.outputs), _find(seen.queries, seen.outputs)
    if place is None or keys is None or queries is None:
        return None
    heads, head_dim = queries.projection.columns.shape
    distinct = _distinct(keys.projection, heads)
    scaling = seen.scaling * keys.factor * queries.factor
    reads = Reads(seen.attention, distinct, queries.projection)
    shape = (heads, len(distinct.columns), head_dim, scaling)
    return _Layer(int(place[2]), place[1], reads, shape)


def _distinct(keys: Projection, heads: int) -> Projection:
    """The same keys, each once, where the attention is given a copy for every query head."""
    columns = keys.columns
    for size in range(1, len(columns)):
        if heads % size == 0 and len(columns) % size == 0:
            some = columns[:: len(columns) // size]
            if torch.equal(some.repeat_interleave(len(columns) // size, 0), columns):
                return Projection(keys.module, keys.heads_first, some, keys.unit)
    return keys


def _find(wanted: Tensor, outputs: Mapping[str, Tensor]) -> _Found | None:
    """The submodule that shows some vectors ``[B, heads, L, d]``, unrotated before rotated."""
    found = [
        match
        for name, output in reversed([*outputs.items()])
        for match in _matches(wanted.transpose(1, 2).float(), name, output)
    ]
    return min(found, key=lambda match: match.rotated, default=None)


def _matches(wanted: Tensor, name: str, output: Tensor) -> Iterator[_Found]:
    """Ways in which an output shows ``[B, L, heads, d]``, at position 0 at least."""
    batch, length, heads, size = wanted.shape
    for heads_first in (False, True):
        if output.ndim < 3 + heads_first or output.shape[0] != batch:
            continue
        if output.shape[1 + heads_first] != length or not output.numel():
            continue
        rows = by_token(output, heads_first).float()
        columns = _columns(wanted[:, 0].flatten(1), rows[:, 0])
        if columns is not None:
            projection = Projection(name, heads_first, columns.view(heads, size).cpu())
            yield from _checked(wanted, rows[..., columns].view_as(wanted), projection)
        elif rows.shape[2] == heads * size:
            projection = Projection(
                name, heads_first, torch.arange(heads * size).view(heads, size), unit=True
            )
            yield from _checked(wanted, unit(rows.view_as(wanted)), projection)


def _columns(wanted: Tensor, rows: Tensor) -> Tensor | None:
    """Which columns of ``[B, W]`` those of ``[B, C]`` are, but for one factor: ``int64[C]``."""
    if wanted.shape[1] <= rows.shape[1] and _factor(wanted, rows[:, : wanted.shape[1]]):
        return torch.arange(wanted.shape[1], device=rows.device)
    ours, theirs = (torch.nn.functional.normalize(part, dim=0) for part in (wanted, rows))
    nearness, columns = (ours.T @ theirs).max(1)
    return columns if bool((nearness > 1 - _CLOSE**2).all()) else None


def _checked(wanted: Tensor, shown: Tensor, projection: Projection) -> Iterator[_Found]:
    factor = _factor(wanted[:, 0], shown[:, 0])
    if factor:
        rotated = wanted.shape[1] > 1 and bool(_factor(wanted, shown))
        yield _Found(projection, factor, rotated)


def _factor(wanted: Tensor, shown: Tensor) -> float:
    """By which one is the other; 0 where it is not, and 1 where it is within rounding."""
    square = float(shown.square().sum())
    factor = float((wanted * shown).sum()) / square if square > 0 else 0.0
    error = float((wanted - factor * shown).norm())
    if factor <= 0 or error > _CLOSE * float(wanted.norm()):
        return 0.0
    return 1.0 if abs(factor - 1) < _CLOSE / 2 else float(f"{factor:.3g}")
