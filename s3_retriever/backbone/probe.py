"""One short forward pass that shows which keys and queries a model's attention gets.

The attention of transformers is a function that a model looks up by name. For the length of the
pass it looks up ours, which notes what it is given and then does what the model's own would.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

ROWS = 8
_PREFIX = "s3_retriever_"
_EAGER = "eager"


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What one attention module was given in the pass, of `ROWS` rows of L tokens.

    Attributes:
        attention: The module, by its path in the decoder.
        causal: Whether it looks back only, as far as it says.
        queries: ``[B, H, L, d]``, rotated, for the softmax.
        keys: ``[B, G, L, d]``, likewise.
        scaling: Factor between ``q·k`` and the logit.
        outputs: Of its submodules, by their paths in it, in the order in which they ran.
    """

    attention: str
    causal: bool
    queries: Tensor
    keys: Tensor
    scaling: float
    outputs: Mapping[str, Tensor]


def sightings(decoder: Any, vocabulary: int, length: int) -> list[Sighting]:
    """Run the pass.

    Rows begin with different tokens; a first token stands at position 0, where rotary embedding
    leaves vectors as they are.

    Args:
        decoder: The stack of layers with its input embedding, in evaluation mode.
        vocabulary: Ids below this are read.
        length: Tokens of a row.

    Returns:
        One for each call of the attention; empty where the model's attention is not looked up.
    """
    ids = torch.linspace(3, max(vocabulary - 1, 3), ROWS * length).long().view(length, ROWS).T
    device = decoder.get_input_embeddings().weight.device
    seen: list[Sighting] = []
    outputs: dict[Any, Any] = {}
    names = {module: name for name, module in decoder.named_modules()}

    def note(module: Any, _: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) and output else output
        if isinstance(tensor, torch.Tensor):
            outputs.pop(module, None)  # the last to run comes last
            outputs[module] = tensor

    def look(module: Any, queries: Tensor, keys: Tensor, scaling: float | None) -> None:
        own = {
            names[child][len(names[module]) + 1 :]: outputs[child]
            for child in [*outputs]
            if names.get(child, "").startswith(f"{names[module]}.")
        }
        outputs.clear()
        factor = queries.shape[-1] ** -0.5 if scaling is None else float(scaling)
        causal = bool(getattr(module, "is_causal", True))
        seen.append(Sighting(names[module], causal, queries, keys, factor, own))

    handles = [module.register_forward_hook(note) for module in names if module is not decoder]
    try:
        with torch.inference_mode(), _looking(decoder, look):
            decoder(ids.to(device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@contextmanager
def _looking(decoder: Any, look: Any) -> Iterator[None]:
    """Let the attention of this thread's passes be noted."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    thread = threading.current_thread()
    every: list[Any] = [getattr(module, "config", None) for module in decoder.modules()]
    configs = {id(c): c for c in every if hasattr(c, "_attn_implementation_internal")}
    before = {key: config._attn_implementation_internal for key, config in configs.items()}

    def own(module: Any, kind: str) -> Any:
        if kind == _EAGER or kind not in ALL_ATTENTION_FUNCTIONS:
            return sys.modules[type(module).__module__].eager_attention_forward
        return ALL_ATTENTION_FUNCTIONS[kind]

    def register(kind: str) -> str:
        def attend(module: Any, query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is thread:
                look(module, query, key, kwargs.get("scaling"))
            return own(module, kind)(module, query, key, *args, **kwargs)

        AttentionInterface.register(_PREFIX + kind, attend)
        if kind in ALL_MASK_ATTENTION_FUNCTIONS:
            mask = ALL_MASK_ATTENTION_FUNCTIONS[kind]
            AttentionMaskInterface.register(_PREFIX + kind, mask)
        return _PREFIX + kind

    try:
        for key, config in configs.items():
            config._attn_implementation_internal = register(before[key] or _EAGER)
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation_internal = before[key]
