"""How the outputs of an attention's projections may split into keys and queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from s3_retriever.backbone.families import Projection

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone.spec import ModelSpec

LATENT = "kv_a_proj_with_mqa"
"""Projection to what keys and values are made of, and the part of a key that all heads share."""

SEPARATE = (
    ("q_proj", "k_proj"),
    ("query", "key"),
    ("query_proj", "key_proj"),
    ("q_lin", "k_lin"),
    ("Wq", "Wk"),
    ("project_q", "project_k"),
    ("q", "k"),
    ("q_proj", LATENT),
    ("q_b_proj", LATENT),
)
"""Names that architectures give to separate projections of queries and keys."""

FUSED = ("qkv_proj", "query_key_value", "Wqkv", "c_attn", "in_proj_qkv", "qkv")
"""Names of one projection of queries, keys and values together."""

_NORMS = (
    ("q_norm", "k_norm"),
    ("q_layernorm", "k_layernorm"),
    ("query_layernorm", "key_layernorm"),
    ("qk_norm", "qk_norm"),
)

_Cut = Callable[["Tensor"], "Tensor"]
"""From a projection's output to ``[B, L, heads, d]``."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One way to read an attention module, to be held against its attention weights.

    Attributes:
        queries: Projection of the queries.
        keys: Projection of the keys.
        heads: Query heads.
        kv_heads: Key-value heads.
        head_dim: Size of one key.
    """

    queries: Projection
    keys: Projection
    heads: int
    kv_heads: int
    head_dim: int


def projections_of(attention: Any) -> tuple[str, ...]:
    """Return the names of a module's projections of queries and keys; empty where it has none."""
    children = dict(attention.named_children())
    for pair in SEPARATE:
        if all(children.get(name) is not None for name in pair):
            return pair
    return next(((name,) for name in FUSED if name in children), ())


def hypotheses(
    attention: Any, widths: dict[str, int], heads: int, clip: float | None
) -> Iterator[Hypothesis]:
    """Yield ways to read an attention module, the likeliest first.

    Args:
        attention: The module.
        widths: Sizes of the outputs of its projections, by name.
        heads: Its query heads.
        clip: Largest size of a number that the model lets through its projections, if any.
    """
    if len(widths) == 1:
        ways = _fused(attention, widths, heads)
    elif LATENT in widths:
        ways = _latent(attention, widths, heads)
    else:
        ways = _separate(widths, heads)
    for query_name, query_cut, key_name, key_cut, kv_heads, size in ways:
        for query_norm, key_norm in _normed(attention):
            yield Hypothesis(
                Projection(query_name, _split(query_cut, query_norm, clip)),
                Projection(key_name, _split(key_cut, key_norm, clip)),
                heads,
                kv_heads,
                size,
            )


_Way = tuple[str, _Cut, str, _Cut, int, int]


def _separate(widths: dict[str, int], heads: int) -> Iterator[_Way]:
    """Plain projections; that of the queries may hold a gate beside each head."""
    (query, query_width), (key, key_width) = widths.items()
    for parts in (1, 2):
        size = query_width // (heads * parts)
        if query_width != heads * parts * size or size == 0 or key_width % size:
            continue
        kv_heads = key_width // size
        if kv_heads and heads % kv_heads == 0:
            yield query, _first(heads, size), key, _first(kv_heads, size), kv_heads, size


def _latent(attention: Any, widths: dict[str, int], heads: int) -> Iterator[_Way]:
    """Latent attention: a head's key is made of the latent vector, beside what all heads share."""
    (query, query_width), (key, _) = widths.items()
    size = query_width // heads
    shared = int(getattr(attention, "qk_rope_head_dim", 0))

    def keys(output: Tensor) -> Tensor:
        latent, rest = output[..., : output.shape[-1] - shared], output[..., -shared:]
        made = attention.kv_b_proj(attention.kv_a_layernorm(latent))
        own = _parts(made, heads, -1)[..., : size - shared]
        return torch.cat([own, rest.unsqueeze(-2).expand(*own.shape[:-1], shared)], -1)

    if shared and hasattr(attention, "kv_b_proj") and hasattr(attention, "kv_a_layernorm"):
        yield query, _first(heads, size), key, keys, heads, size


def _fused(attention: Any, widths: dict[str, int], heads: int) -> Iterator[_Way]:
    """All queries, keys and values one after another, or group by group."""
    ((name, width),) = widths.items()
    named = (getattr(attention, n, None) for n in ("num_key_value_heads", "num_kv_heads"))
    for kv_heads in dict.fromkeys([*named, heads, 1]):
        if not isinstance(kv_heads, int) or kv_heads < 1 or heads % kv_heads:
            continue
        size = width // (heads + 2 * kv_heads)
        if width != size * (heads + 2 * kv_heads):
            continue
        yield name, _run(0, heads, size), name, _run(heads, kv_heads, size), kv_heads, size
        group = heads // kv_heads
        query = _grouped(kv_heads, group, size, slice(0, group))
        key = _grouped(kv_heads, group, size, slice(group, group + 1))
        yield name, query, name, key, kv_heads, size
        if kv_heads == heads and heads % _BLOCKS == 0:
            yield name, _block(0, size), name, _block(2, size), kv_heads, size


_BLOCKS = 4  # CodeGen keeps the queries, values and keys of each quarter of its heads together


def _parts(output: Tensor, *sizes: int) -> Tensor:
    """Split the last dimension."""
    return output.reshape(*output.shape[:-1], *sizes)


def _first(heads: int, size: int) -> _Cut:
    return lambda output: _parts(output, heads, -1)[..., :size]


def _run(start: int, count: int, size: int) -> _Cut:
    return lambda output: _parts(output, -1, size).narrow(-2, start, count)


def _grouped(kv_heads: int, group: int, size: int, part: slice) -> _Cut:
    def cut(output: Tensor) -> Tensor:
        parts = _parts(output, kv_heads, group + 2, size)
        return parts[..., part, :].flatten(-3, -2)

    return cut


def _block(part: int, size: int) -> _Cut:
    def cut(output: Tensor) -> Tensor:
        blocks = _parts(output, _BLOCKS, 3, -1)[..., part, :]
        return _parts(blocks.flatten(-2), -1, size)

    return cut


def _normed(attention: Any) -> Iterator[tuple[_Cut | None, _Cut | None]]:
    """The module's own norms: over all heads, of each head, of heads first; or none."""
    for names in _NORMS:
        norms = [getattr(attention, name, None) for name in names]
        if all(callable(norm) for norm in norms):
            for place in (_over_each, _over_all, _heads_first):
                yield place(norms[0]), place(norms[1])
    yield None, None


def _over_each(norm: Any) -> _Cut:
    return lambda heads: norm(heads)


def _over_all(norm: Any) -> _Cut:
    return lambda heads: _parts(norm(heads.flatten(-2)), *heads.shape[-2:])


def _heads_first(norm: Any) -> _Cut:
    return lambda heads: norm(heads.transpose(1, 2)).transpose(1, 2)


def _split(cut: _Cut, norm: _Cut | None, clip: float | None) -> Any:
    def split(output: Tensor, spec: ModelSpec) -> Tensor:
        heads = cut(output if clip is None else output.clamp(-clip, clip))
        return heads if norm is None else norm(heads)

    return split
