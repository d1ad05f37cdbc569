"""Reads keys and queries out of a forward pass that ends at the deepest one wanted."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from s3_retriever.backbone.held import input_device
from s3_retriever.backbone.spec import Head, Tap
from s3_retriever.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.backbone.anatomy import Anatomy
    from s3_retriever.backbone.families import Projection


class _EnoughError(Exception):
    """Everything wanted was captured; raised in a hook to end the forward pass."""


class TapReader:
    """Keys and queries of token ids, at the taps and heads it was opened for.

    Made by `Backbone.tap` and usable only inside that ``with`` block, by one thread. Results are
    ordinary tensors of the model's dtype, on the device of the first place read, without
    gradient. Rows may be padded on the right without a mask, since attention is causal; the
    vectors at padding are meaningless.
    """

    def __init__(
        self,
        decoder: Any,
        anatomy: Anatomy,
        taps: Sequence[Tap],
        heads: Sequence[Head],
    ) -> None:
        self._decoder, self._anatomy, self._spec = decoder, anatomy, anatomy.spec
        self._taps, self._heads = tuple(taps), tuple(heads)
        self._captured: dict[Tap | Head, Tensor] = {}
        self._wanted: frozenset[Tap | Head] = frozenset()
        self._reading_thread: threading.Thread | None = None
        self._open = False

    def keys(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the keys before rotary embedding, after any key norm.

        Args:
            input_ids: Token ids ``[B, L]``.
            attention_mask: ``[B, L]``, 1 for real tokens; needed for padding on the left only.

        Returns:
            ``[B, L, N, d]`` with the N taps in the order they were given.

        Raises:
            InputError: no taps, ids of another shape or longer than the model's window, or the
                ``with`` block was left.
        """
        return self._read(self._taps, input_ids, attention_mask)

    def queries(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the queries before rotary embedding, after any query norm.

        As `keys`, but ``[B, L, H, d]`` with the H heads in the order they were given.
        """
        return self._read(self._heads, input_ids, attention_mask)

    @contextmanager
    def attached(self) -> Iterator[TapReader]:
        """Hook into the model, and let go of it whatever happens."""
        handles = []
        try:
            for layer in sorted({tap.layer for tap in self._taps} | {h.layer for h in self._heads}):
                taps = [tap for tap in self._taps if tap.layer == layer]
                heads = [head for head in self._heads if head.layer == layer]
                place = self._anatomy.places[layer]
                attention = self._decoder.get_submodule(place.attention)
                for source, places in ((place.keys, taps), (place.queries, heads)):
                    module = attention.get_submodule(source.module)
                    handles.append(module.register_forward_hook(self._hook(source, places)))
            self._open = True
            yield self
        finally:
            self._open = False
            for handle in handles:
                handle.remove()

    def _hook(self, source: Projection, places: Sequence[Tap | Head]) -> Any:
        def capture(module: Any, inputs: Any, output: Tensor) -> None:
            if threading.current_thread() is not self._reading_thread:
                return  # somebody else's forward pass
            split = source.split(output, self._spec)
            for place in self._wanted.intersection(places):
                column = place.kv_head if isinstance(place, Tap) else place.head
                self._captured[place] = split[:, :, column].clone()
            if len(self._captured) == len(self._wanted):
                raise _EnoughError

        return capture

    def _read(
        self, places: Sequence[Tap | Head], input_ids: Tensor, attention_mask: Tensor | None
    ) -> Tensor:
        self._check(places, input_ids)
        self._wanted = frozenset(places)
        try:
            self._forward(input_ids, attention_mask)
            device = self._captured[places[0]].device
            # Stacked outside inference mode: an ordinary tensor, fit for training on.
            return torch.stack([self._captured[place].to(device) for place in places], dim=2)
        finally:
            self._captured.clear()

    def _forward(self, input_ids: Tensor, attention_mask: Tensor | None) -> None:
        device = input_device(self._decoder)
        mask = None if attention_mask is None else attention_mask.to(device)
        self._reading_thread = threading.current_thread()
        try:
            with torch.inference_mode():
                self._decoder(input_ids.to(device), attention_mask=mask, use_cache=False)
        except _EnoughError:
            return
        finally:
            self._reading_thread = None
        raise UnsupportedModelError(
            f"the forward pass of this {self._spec.architecture} model went round its attention "
            "projections (a fused kernel?); load it with plain transformers modules"
        )

    def _check(self, places: Sequence[Tap | Head], input_ids: Tensor) -> None:
        if not self._open:
            raise InputError("this reader is closed; use it inside `with backbone.tap(...)`")
        if not places:
            raise InputError("nothing to read here: give `backbone.tap` the taps or heads wanted")
        if input_ids.ndim != 2 or input_ids.numel() == 0:
            raise InputError(f"input_ids must be [batch, length], not {list(input_ids.shape)}")
        if input_ids.shape[1] > self._spec.max_positions:
            raise InputError(
                f"{input_ids.shape[1]} tokens are longer than the model's window of "
                f"{self._spec.max_positions}; read the text in smaller chunks"
            )
