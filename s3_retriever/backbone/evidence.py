"""What a model shows of its attention on a few tokens: projections, and the weights they gave."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from s3_retriever.backbone.held import input_device
from s3_retriever.backbone.modes import evaluating

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROWS, LENGTH = 2, 8
"""Texts and tokens of the pass that is looked at."""

_FIRST_ID = 3  # the ids before it are often special
_INTERNAL = "_attn_implementation_internal"


@dataclass(slots=True)
class Seen:
    """What one attention module did.

    Attributes:
        outputs: Outputs of its projections by name, ``[B, L, n]``.
        weights: Attention weights ``[B, H, L, L]``, or None where the module gives none.
    """

    outputs: dict[str, Tensor] = field(default_factory=dict)
    weights: Tensor | None = None


def observe(
    model: Any, decoder: Any, projections: Mapping[str, Sequence[str]], vocabulary: int
) -> dict[str, Seen]:
    """Run a few tokens through the decoder and note what its attention modules do.

    All tokens stand at position 0, where rotary embedding turns nothing, so that the weights are
    those of keys and queries as they are read. Attention is computed eagerly in this pass only.

    Args:
        model: The whole model, whose configurations say how attention is computed.
        decoder: Its decoder.
        projections: For each attention module by its path, the names of its projections.
        vocabulary: Ids that text can become.

    Returns:
        What was seen, by path, of the modules that ran, in the order they ran.
    """
    seen: dict[str, Seen] = {}
    handles = []
    for path, names in projections.items():
        attention = decoder.get_submodule(path)
        handles.append(attention.register_forward_hook(_weights_hook(seen, path)))
        for name in names:
            hook = _output_hook(seen, path, name)
            handles.append(attention.get_submodule(name).register_forward_hook(hook))
    try:
        with torch.inference_mode(), evaluating(decoder), _eager(model):
            decoder(**_inputs(decoder, vocabulary))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _output_hook(seen: dict[str, Seen], path: str, name: str) -> Any:
    def note(module: Any, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            seen.setdefault(path, Seen()).outputs.setdefault(name, output.clone())

    return note


def _weights_hook(seen: dict[str, Seen], path: str) -> Any:
    def note(module: Any, inputs: Any, output: Any) -> None:
        mine = seen.setdefault(path, Seen())
        if mine.weights is None and isinstance(output, tuple | list):
            mine.weights = next((part for part in output if _are_weights(part)), None)

    return note


def _are_weights(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4 and value.shape[2:] == (LENGTH, LENGTH)


def _inputs(decoder: Any, vocabulary: int) -> dict[str, Any]:
    device = input_device(decoder)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(_FIRST_ID, vocabulary, (ROWS, LENGTH), generator=generator)
    inputs: dict[str, Any] = {
        "input_ids": ids.to(device),
        "attention_mask": torch.ones_like(ids).to(device),
        "use_cache": False,
    }
    named = inspect.signature(decoder.forward).parameters
    if "position_ids" in named:
        inputs["position_ids"] = torch.zeros_like(ids).to(device)
    if "output_attentions" in named:  # the other models' attention returns its weights always
        inputs["output_attentions"] = True
    return inputs


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Let attention be computed plainly for a while, by every configuration in the model."""
    configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
    before = {key: getattr(config, _INTERNAL, None) for key, config in configs.items()}
    try:
        for config in configs.values():
            if hasattr(config, _INTERNAL):
                setattr(config, _INTERNAL, "eager")
        yield
    finally:
        for key, config in configs.items():
            if hasattr(config, _INTERNAL):
                setattr(config, _INTERNAL, before[key])
