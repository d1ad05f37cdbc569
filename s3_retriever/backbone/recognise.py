"""Recognises attention by its modules, and proves the reading by the model's own weights."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from s3_retriever.backbone.evidence import Seen, observe
from s3_retriever.backbone.hypotheses import Hypothesis, hypotheses, projections_of
from s3_retriever.backbone.modes import quiet_loading
from s3_retriever.errors import UnsupportedModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERED = re.compile(r"^(.*?)\.?(\d+)(?:\.|$)")
_TOLERANCE = {torch.float32: 0.01, torch.float64: 0.01}
_COARSE = 0.05  # of 16-bit models
_FAINT = 1e-30  # smaller weights tell nothing
_FLAT = 1e-4  # logarithms that differ less tell nothing either
_NAMED_WITHIN = 0.005


@dataclass(frozen=True, slots=True)
class Recognised:
    """How one layer is read, proven by its attention weights.

    Attributes:
        attention: Path of the attention module in the decoder.
        layer: Number of the layer, from 0.
        way: How its projections are read.
        scaling: Factor between ``q·k`` and the attention logit.
    """

    attention: str
    layer: int
    way: Hypothesis
    scaling: float


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was found in a model.

    Attributes:
        stack: Path of the list of layers in the decoder.
        layers: The layers that can be read, first to last.
        refused: Why others that have projections cannot, by layer.
    """

    stack: str
    layers: tuple[Recognised, ...]
    refused: dict[int, str]


def recognise(model: Any, decoder: Any) -> Recognition:
    """Find the layers whose keys and queries can be read, on one short forward pass.

    A reading is held against the model's own attention weights, of two texts whose tokens all
    stand at position 0: ``scaling * q·k`` must give them, up to what depends on places alone
    (a mask, a window, ALiBi) or on the query alone (a sink).

    Raises:
        UnsupportedModelError: no layer can be read; the message says what was seen.
    """
    name = f"{type(model).__name__} ({model.config.model_type!r})"
    found = _attentions(decoder)
    if not found:
        raise UnsupportedModelError(
            f"{name} has no attention with projections of keys and queries (a state-space or "
            "recurrent model, or attention of another kind); use a model with plain attention"
        )
    projections = {path: projections_of(decoder.get_submodule(path)) for path in found}
    try:
        with quiet_loading():
            seen = observe(model, decoder, projections, _vocabulary(decoder))
    except Exception as error:
        raise UnsupportedModelError(
            f"{name} is not among the tested architectures, and a pass over a few tokens to "
            f"recognise it failed: {type(error).__name__}: {first_line(error)}"
        ) from error
    stack = Counter(found[path][0] for path in seen).most_common(1)[0][0] if seen else ""
    layers, refused = [], {}
    config = model.config.get_text_config(decoder=True)
    turned = _rotary_scalings(decoder)
    for path, sight in seen.items():
        if found[path][0] != stack:
            continue
        layer, read = found[path][1], _read(decoder.get_submodule(path), sight, config, turned)
        if isinstance(read, str):
            refused[layer] = read
        else:
            layers.append(Recognised(path, layer, *read))
    if not layers:
        why = Counter(refused.values()).most_common(1)[0][0] if refused else "none of them ran"
        raise UnsupportedModelError(
            f"{name} is not among the tested architectures, and its attention is not recognised: "
            f"{why}"
        )
    return Recognition(stack, tuple(sorted(layers, key=lambda each: each.layer)), refused)


def _attentions(decoder: Any) -> dict[str, tuple[str, int]]:
    """The attention modules by path: the list of layers that each is in, and its number."""
    numbered = {
        path: _NUMBERED.match(path)
        for path, module in decoder.named_modules()
        if projections_of(module)
    }
    return {path: (match[1], int(match[2])) for path, match in numbered.items() if match}


def _vocabulary(decoder: Any) -> int:
    embedding = decoder.get_input_embeddings()
    rows = int(getattr(embedding, "num_embeddings", 0) or embedding.weight.shape[0])
    return max(rows // 2, 4)  # ids of images and the like stand at the end


def _read(
    attention: Any, seen: Seen, config: Any, turned: set[float]
) -> tuple[Hypothesis, float] | str:
    """The way that the weights bear out and its scaling, or what was seen instead."""
    if seen.weights is None:
        return "it does not show its attention weights"
    weights = seen.weights.float()
    if not weights.isfinite().all():
        return "its attention weights are not finite"
    if weights.triu(1).abs().max() > 0:
        return "it attends in both directions, so a token's key depends on the text after it"
    if _shown(weights)[0].norm() < _FLAT:
        return "its attention is the same for every text, so nothing can be proven of its keys"
    widths = {
        name: seen.outputs[name].shape[-1]
        for name in projections_of(attention)
        if name in seen.outputs and seen.outputs[name].ndim == 3
    }
    if len(widths) != len(projections_of(attention)):
        return "its projections did not run (a layer that borrows another's keys, or latent ones)"
    cap = getattr(config, "attn_logit_softcapping", None)
    clip = getattr(attention, "clip_qkv", None) or getattr(config, "clip_qkv", None)
    nearest = float("inf")
    for way in hypotheses(attention, widths, weights.shape[1], clip):
        keys, queries = _vectors(way.keys, seen), _vectors(way.queries, seen)
        if keys is None or queries is None:
            continue
        logits = _logits(way, keys, queries)
        if logits.shape != weights.shape:
            continue
        scaling, error = _fit(logits, weights, _named_scalings(attention, way, turned), cap)
        if error < _TOLERANCE.get(seen.weights.dtype, _COARSE):
            return way, scaling
        nearest = min(nearest, error)
    if nearest == float("inf"):
        shown = ", ".join(f"{name} of {width}" for name, width in widths.items())
        return f"its projections ({shown}) do not split into {weights.shape[1]} heads"
    return (
        f"its keys and queries do not give its attention weights (at best {nearest:.0%} of what "
        "the text decides is left unexplained)"
    )


def _vectors(projection: Any, seen: Seen) -> Tensor | None:
    """``[B, L, heads, d]``, or None where a norm does not take that shape."""
    with torch.inference_mode():
        try:
            vectors: Tensor = projection.split(seen.outputs[projection.module], None)
        except (RuntimeError, ValueError, IndexError):
            return None
    return vectors.float()


def _logits(way: Hypothesis, keys: Tensor, queries: Tensor) -> Tensor:
    """``q·k``, ``[B, H, L, L]``."""
    keys = keys.to(queries.device).repeat_interleave(way.heads // way.kv_heads, 2)
    return torch.einsum("bihd,bjhd->bhij", queries, keys)


def _named_scalings(attention: Any, way: Hypothesis, turned: set[float]) -> Iterator[float]:
    """Factors that the module or custom names, each also as rotary embedding may scale it."""
    for factor in sorted(turned):
        yield from (name * factor**2 for name in _own_scalings(attention, way))


def _rotary_scalings(decoder: Any) -> set[float]:
    """What rotary embedding multiplies keys and queries with, as YaRN does; 1 among them."""
    values = (
        value
        for module in decoder.modules()
        for name, value in vars(module).items()
        if name.endswith("attention_scaling")
    )
    return {1.0, *(float(value) for value in values if isinstance(value, float | int) and value)}


def _own_scalings(attention: Any, way: Hypothesis) -> Iterator[float]:
    for name in ("scaling", "scale", "scale_attn", "inv_norm_factor", "softmax_scale"):
        value = getattr(attention, name, None)
        if isinstance(value, float | int) and not isinstance(value, bool) and value:
            yield float(value)
    yield way.head_dim**-0.5
    yield 1.0


def _fit(
    logits: Tensor, weights: Tensor, named: Iterator[float], cap: float | None
) -> tuple[float, float]:
    """The scaling, and the share of the weights' logarithms that it leaves unexplained."""
    target, visible = _shown(weights)
    names = list(named)
    if cap is None:
        product = _by_text(logits.to(weights.device), visible)
        slope = float((product * target).sum() / product.square().sum().clamp_min(_FAINT))
        near = [name for name in names if abs(slope / name - 1) < _NAMED_WITHIN]
        names = near[:1] or [slope]  # named ones do not depend on the precision
    capped = [
        logits * name if cap is None else cap * torch.tanh(logits * name / cap) for name in names
    ]
    errors = [
        float(
            (_by_text(each.to(weights.device), visible) - target).norm()
            / target.norm().clamp_min(_FAINT)
        )
        for each in capped
    ]
    best = min(range(len(names)), key=errors.__getitem__)
    return names[best], errors[best]


def _shown(weights: Tensor) -> tuple[Tensor, Tensor]:
    """What the text decides in the weights' logarithms, and where there are weights."""
    visible = (weights > _FAINT).all(0, keepdim=True).expand_as(weights)
    return _by_text(weights.clamp_min(_FAINT).log(), visible), visible


def _by_text(logits: Tensor, visible: Tensor) -> Tensor:
    """What differs between the texts, beside a constant of each query."""
    counts = visible.sum(-1, keepdim=True).clamp_min(1)
    rows = logits.where(visible, 0)
    rows = (rows - rows.sum(-1, keepdim=True) / counts).where(visible, 0)
    return rows - rows.mean(0, keepdim=True)
