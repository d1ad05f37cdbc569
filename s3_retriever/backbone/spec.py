"""Names for places in a model, and the few sizes the rest of the package needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Tap:
    """A place where keys are read: one key-value head of one layer, both counted from 0."""

    layer: int
    kv_head: int


@dataclass(frozen=True, order=True, slots=True)
class Head:
    """A query head of one layer, both counted from 0."""

    layer: int
    head: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Sizes of a decoder-only model.

    Attributes:
        architecture: The ``model_type`` of its text configuration, such as ``"llama"``.
        layers: Decoder layers.
        heads: Query heads per layer.
        kv_heads: Key-value heads per layer; divides `heads`.
        head_dim: Size of one key or query.
        hidden: Size of the residual stream.
        max_positions: Longest input in tokens.
        scaling: Factor between ``q·k`` and the attention logit.
        readable: Layers where keys and queries can be read, rising; all have the shape above.
    """

    architecture: str
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    max_positions: int
    scaling: float
    readable: tuple[int, ...]

    def tap_of(self, head: Head) -> Tap:
        """Return the tap whose keys `head` reads (grouped-query attention)."""
        return Tap(head.layer, head.head // (self.heads // self.kv_heads))

    def kv_bytes_per_token(self, itemsize: int = 2) -> int:
        """Return the bytes a KV cache needs for one token, keys and values of readable layers.

        Args:
            itemsize: Bytes per number; 2 for 16-bit floats.
        """
        return 2 * len(self.readable) * self.kv_heads * self.head_dim * itemsize
