"""How the outputs of an attention's projections may split into keys and queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3_retriever.backbone.families import Projection

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone.spec import ModelSpec

SEPARATE = (
    ("q_proj", "k_proj"),
    ("query", "key"),
    ("query_proj", "key_proj"),
    ("q_lin", "k_lin"),
    ("Wq", "Wk"),
    ("project_q", "project_k"),
    ("q", "k"),
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
        if all(name in children for name in pair):
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
    ways = _fused(attention, widths, heads) if len(widths) == 1 else _separate(widths, heads)
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


def _first(heads: int, size: int) -> _Cut:
    return lambda output: output.unflatten(-1, (heads, -1))[..., :size]


def _run(start: int, count: int, size: int) -> _Cut:
    return lambda output: output.unflatten(-1, (-1, size)).narrow(-2, start, count)


def _grouped(kv_heads: int, group: int, size: int, part: slice) -> _Cut:
    def cut(output: Tensor) -> Tensor:
        parts = output.unflatten(-1, (kv_heads, group + 2, size))
        return parts[..., part, :].flatten(-3, -2)

    return cut


def _block(part: int, size: int) -> _Cut:
    def cut(output: Tensor) -> Tensor:
        blocks = output.unflatten(-1, (_BLOCKS, 3, -1))[..., part, :]
        return blocks.flatten(-2).unflatten(-1, (-1, size))

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
    return lambda heads: norm(heads.flatten(-2)).unflatten(-1, heads.shape[-2:])


def _heads_first(norm: Any) -> _Cut:
    return lambda heads: norm(heads.transpose(1, 2)).transpose(1, 2)


def _split(cut: _Cut, norm: _Cut | None, clip: float | None) -> Any:
    def split(output: Tensor, spec: ModelSpec) -> Tensor:
        heads = cut(output if clip is None else output.clamp(-clip, clip))
        return heads if norm is None else norm(heads)

    return split
