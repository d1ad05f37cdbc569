"""Attention logits straight from codes: how strongly a question attends to each latent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

if TYPE_CHECKING:
    from s3_retriever.codec.bank import Bank
    from s3_retriever.codec.codes import Codes


class QueryWeights:
    """What each latent, and each input of the residual, adds to the logits of question tokens.

    The logit of question token i at head h and text token t is ``y · x̂_t`` with x̂ the key that the
    codes stand for. As x̂ is a sum over latents, so is the logit: ``Σ_f z_f(t) · (W_dec[f] · y)``,
    and the residual adds ``gain(t) · Σ_c level_c(t) · scale_c · y_c``. So no key is put together.
    What is left out, ``b_dec · y``, is the same for all text tokens; a softmax over the text does
    not see it.

    Args:
        bank: With which the text was encoded.
        queries: ``[n, H, d]`` of the calibration's heads, before rotary embedding.

    Attributes:
        latents: For each SAE, ``f32[n_latents, H · n]``, a head's question tokens side by side;
            0 at heads that read another SAE's taps.
        residual: ``f32[H, d, n]``, or None in a bank without residual.
    """

    def __init__(self, bank: Bank, queries: Tensor) -> None:
        calibration, self._bank = bank.calibration, bank
        self._reads = calibration.tap_of_head
        y = calibration.queries(queries)
        self.latents = [_of_sae(bank, j, y) for j in range(len(bank.saes))]
        self.residual = None
        if bank.residual is not None:
            scale = bank.residual.scale.view(len(calibration.taps), -1)[list(self._reads)]
            self.residual = (y * scale).permute(1, 2, 0).contiguous()

    def logits(self, codes: Codes) -> Tensor:
        """Logits of all question tokens at the text tokens of some codes, ``f32[t, H · n]``."""
        total = torch.zeros(())
        for j, weights in enumerate(self.latents):
            slots = self._bank.slots(j)
            values = self._bank.saes[j].dequantise(codes.values[:, slots])
            active = codes.latents[:, slots].int()
            total = total + embedding_bag(active, weights, per_sample_weights=values, mode="sum")
        if self.residual is None or self._bank.residual is None:
            return total
        levels, gain = self._bank.residual.levels(codes.residual)
        levels = levels.reshape(len(levels), -1, self.residual.shape[1])
        parts = [levels[:, tap] @ y for tap, y in zip(self._reads, self.residual, strict=True)]
        return total.addcmul_(torch.cat(parts, 1), gain)


def _of_sae(bank: Bank, j: int, y: Tensor) -> Tensor:
    """The weights of one SAE's latents: ``f32[n_latents, H · n]`` for ``y f32[n, H, d]``."""
    reads, sae = bank.calibration.tap_of_head, bank.saes[j]
    w_dec = sae.w_dec.view(sae.n_latents, -1, bank.calibration.head_dim)
    weights = torch.zeros(len(reads), len(y), sae.n_latents)
    for h in bank.heads_of(j):
        torch.mm(y[:, h], w_dec[:, bank.sites[j].index(reads[h])].T, out=weights[h])
    return weights.flatten(0, 1).T.contiguous()
