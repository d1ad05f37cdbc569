"""One short forward pass that shows which keys and queries a model's attention gets.

The attention of most models is a function that they look up by name in transformers. For the length
of the pass they look up ours, which notes what it is given and does what the model's own would.
An attention that looks up nothing is watched at its products, see `s3_retriever.backbone.products`.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from s3_retriever.backbone.products import Products

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from torch import Tensor

ROWS = 9
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

    Rows begin with different tokens, but the last as the first does, and go on differently. A first
    token stands at position 0, where rotary embedding leaves vectors as they are.

    Args:
        decoder: The stack of layers with its input embedding, in evaluation mode.
        vocabulary: Ids below this are read.
        length: Tokens of a row.

    Returns:
        One for each call of the attention; empty where there is none.
    """
    ids = torch.linspace(3, max(vocabulary - 1, 3), ROWS * length).long().view(length, ROWS).T
    ids[-1, 0] = ids[0, 0]
    ids = ids.to(decoder.get_input_embeddings().weight.device)
    watch = _Watch(decoder)
    for looking in (_looked_up(decoder, watch), Products(ROWS, length, watch.inside, watch.look)):
        if not watch.seen:
            watch.run(ids, looking)
    return watch.seen


class _Watch:
    """Notes what the modules of a decoder give, and what its attention gets."""

    def __init__(self, decoder: Any) -> None:
        self.seen: list[Sighting] = []
        self._decoder = decoder
        self._names = {module: name for name, module in decoder.named_modules()}
        self._outputs: dict[Any, Tensor] = {}
        self._running: list[Any] = []

    def run(self, ids: Tensor, looking: AbstractContextManager[Any]) -> None:
        """Read some tokens while what the attention gets is looked for."""
        modules = [module for module in self._names if module is not self._decoder]
        handles = [module.register_forward_pre_hook(self._enter) for module in modules]
        handles += [module.register_forward_hook(self._leave) for module in modules]
        try:
            with torch.inference_mode(), looking:
                self._decoder(ids, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
            self._outputs.clear()
            self._running.clear()

    def inside(self) -> Any:
        """The innermost module that is running."""
        return self._running[-1] if self._running else self._decoder

    def look(self, module: Any, queries: Tensor, keys: Tensor, scaling: float) -> None:
        """Note what the attention of a module gets."""
        name = self._names[module]
        own = {
            self._names[child].removeprefix(f"{name}."): output
            for child, output in self._outputs.items()
            if self._names[child].startswith(f"{name}.")
        }
        self._outputs.clear()
        causal = bool(getattr(module, "is_causal", True))
        self.seen.append(Sighting(name, causal, queries, keys, scaling, own))

    def _enter(self, module: Any, _: Any) -> None:
        self._running.append(module)

    def _leave(self, module: Any, _: Any, output: Any) -> None:
        self._running.pop()
        tensor = output[0] if isinstance(output, tuple) and output else output
        if isinstance(tensor, torch.Tensor):
            self._outputs.pop(module, None)  # the last to run comes last
            self._outputs[module] = tensor


@contextmanager
def _looked_up(decoder: Any, watch: _Watch) -> Iterator[None]:
    """Let the attention function that this thread's passes look up be noted."""
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
                scaling = kwargs.get("scaling")
                watch.look(module, query, key, scaling or query.shape[-1] ** -0.5)
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
