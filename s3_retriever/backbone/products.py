"""Watches the matrix products of an attention that is no function of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_FUSED = torch.nn.functional.scaled_dot_product_attention
_PRODUCTS = {torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm}
_PRODUCTS |= {torch.baddbmm, torch.Tensor.baddbmm, torch.Tensor.bmm}
_SOFTMAX = {torch.nn.functional.softmax, torch.softmax, torch.Tensor.softmax}


class Products(TorchFunctionMode):
    """Finds queries and keys in the products of this thread, L by L, before a softmax.

    Args:
        rows: B, of the pass that is watched.
        length: L, tokens of a row; no head has as many numbers.
        inside: Gives the module that is running.
        look: Is told of this module, its queries ``[B, H, L, d]``, keys ``[B, H, L, d]`` and the
            factor between their product and the logit.
    """

    def __init__(
        self,
        rows: int,
        length: int,
        inside: Callable[[], Any],
        look: Callable[[Any, Tensor, Tensor, float], None],
    ) -> None:
        super().__init__()
        self._rows, self._length, self._inside, self._look = rows, length, inside, look
        self._found: tuple[Any, Tensor, Tensor] | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do as the function does, and look at what went in."""
        result = func(*args, **(kwargs or {}))
        if func is _FUSED:
            queries, keys = args[:2]
            scaling = (kwargs or {}).get("scale") or queries.shape[-1] ** -0.5
            self._look(self._inside(), queries, keys, scaling)
        elif func in _PRODUCTS and self._all_pairs(result):
            given = [*args, *(kwargs or {}).values()]
            left, right = [part for part in given if isinstance(part, torch.Tensor)][-2:]
            queries, keys = self._by_head(left), self._by_head(right.mT)
            self._found = self._inside(), queries, keys
        elif func in _SOFTMAX and self._found is not None:
            module, queries, keys = self._found
            if self._all_pairs(args[0]):
                scaling = self._scaling(queries @ keys.mT, self._by_head(args[0]))
                self._look(module, queries, keys, scaling)
            self._found = None
        return result

    def _all_pairs(self, part: Tensor) -> bool:
        return part.ndim > 2 and part.shape[-2:] == (self._length, self._length)

    def _by_head(self, part: Tensor) -> Tensor:
        return part.reshape(self._rows, -1, *part.shape[-2:])

    def _scaling(self, products: Tensor, logits: Tensor) -> float:
        """The slope of logits over products; a bias of each head and distance has no part in it."""
        x, y = ((part[:, :, 1, 0] - part[:, :, 1, 1]).float() for part in (products, logits))
        x, y = x - x.mean(0), y - y.mean(0)
        return float((x * y).sum() / x.square().sum().clamp_min(1e-30))
