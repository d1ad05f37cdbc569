"""A bank: the calibration and the sparse autoencoders of one model, from keys to codes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from s3_retriever.codec.bank_files import bank_files, read_bank, write_folder
from s3_retriever.codec.calibration import TENSORS
from s3_retriever.codec.codes import Codes
from s3_retriever.codec.sae import WEIGHTS
from s3_retriever.codec.topk import check_finite, encode_unchecked, fast_dtype
from s3_retriever.errors import BankError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec.calibration import Calibration
    from s3_retriever.codec.relevance import RelevanceHead
    from s3_retriever.codec.residual import Residual
    from s3_retriever.codec.sae import Sae
    from s3_retriever.codec.sentences import SentenceHead


@dataclass(frozen=True, eq=False, kw_only=True)
class Bank:
    """Calibration and SAEs of one model.

    Attributes:
        calibration: Where the model is read, and the change of basis.
        saes: One for each site; the sites are disjoint and cover the calibration's taps.
        fingerprint: Fingerprint of the model, `Backbone.fingerprint(calibration.taps)`.
        model_name: For people to read.
        metadata: How it was trained; JSON-serialisable.
        residual: Keeps what the SAEs leave over; None for codes alone, as in the paper.
        sentences: Makes vectors of sentences out of their codes, and of questions; None in a bank
            that was made without, where nothing is scored by meaning.
        relevance: Tells how likely a span holds evidence; None in a bank that was made without.

    Raises:
        InputError: sites that overlap, miss a tap or differ in size from the calibration, or a
            sentence head of another size.
    """

    calibration: Calibration
    saes: tuple[Sae, ...]
    fingerprint: str
    model_name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    residual: Residual | None = None
    sentences: SentenceHead | None = None
    relevance: RelevanceHead | None = None
    _folded: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        read = [tap for sae in self.saes for tap in sae.taps]
        if sorted(read) != sorted(self.calibration.taps):
            raise InputError("bank: the sites of the SAEs must cover each calibrated tap once")
        for sae in self.saes:
            if sae.d_in != len(sae.taps) * self.calibration.head_dim:
                raise InputError(
                    f"bank: an SAE of {sae.d_in} inputs does not fit {len(sae.taps)} taps "
                    f"of size {self.calibration.head_dim}"
                )
        if self.sentences is not None:
            self._check(self.sentences)

    def _check(self, head: SentenceHead) -> None:
        calibration, d = self.calibration, self.calibration.head_dim
        wanted = len(calibration.taps) * d, len(calibration.heads) * d
        found = len(head.keys.hidden), len(head.queries.hidden)
        if found != wanted:
            raise InputError(
                f"bank: the sentence head reads {found} numbers a token, want {wanted}"
            )

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but the weights made ready for a device."""
        return {**self.__dict__, "_folded": {}}

    @property
    def width(self) -> int:
        """S, the latents kept per token over all SAEs."""
        return sum(sae.k for sae in self.saes)

    @property
    def residual_width(self) -> int:
        """W, the bytes of residual kept per token."""
        return 0 if self.residual is None else self.residual.width

    @property
    def nbytes(self) -> int:
        """Bytes of all weights in memory."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def _tensors(self) -> list[Tensor]:
        tensors = [getattr(self.calibration, name) for name in TENSORS]
        tensors += [getattr(sae, name) for sae in self.saes for name in WEIGHTS]
        return tensors if self.residual is None else [*tensors, self.residual.scale]

    @cached_property
    def sites(self) -> tuple[tuple[int, ...], ...]:
        """For every SAE, the numbers (in `calibration.taps`) of the taps it reads, in its order."""
        order = self.calibration.taps
        return tuple(tuple(order.index(tap) for tap in sae.taps) for sae in self.saes)

    def slots(self, sae: int) -> slice:
        """Return the columns of `Codes` that belong to the SAE of that number."""
        start = sum(s.k for s in self.saes[:sae])
        return slice(start, start + self.saes[sae].k)

    def heads_of(self, sae: int) -> tuple[int, ...]:
        """Return the numbers (in `calibration.heads`) of the heads that read a site."""
        reads = self.calibration.tap_of_head
        return tuple(h for h, tap in enumerate(reads) if tap in self.sites[sae])

    def encode(self, keys: Tensor, dtype: torch.dtype | None = None) -> Codes:
        """Encode raw keys.

        Args:
            keys: ``[R, N, d]`` at the calibration's taps, before rotary embedding, any float dtype.
            dtype: Of the product with the encoder, whose sums are float32 in any case. None takes
                the dtype of the keys on CUDA, and bfloat16 on a CPU that multiplies it natively.

        Returns:
            Codes on the device of the keys.

        Raises:
            InputError: keys that do not fit, or (on the CPU) NaN or infinity.
        """
        taps, d = len(self.calibration.taps), self.calibration.head_dim
        if keys.ndim != 3 or tuple(keys.shape[1:]) != (taps, d):
            raise InputError(f"keys are {list(keys.shape)}, want [rows, {taps}, {d}]")
        dtype = dtype or fast_dtype(keys)
        parts = [self._encode_site(keys, j, dtype) for j in range(len(self.saes))]
        latents, values, finite = zip(*parts, strict=True)
        good = torch.stack(finite).all()
        if not keys.is_cuda:
            check_finite(good)
        latent, value = torch.cat(latents, 1), torch.cat(values, 1)
        left = self._leave(keys, latent, value)
        return Codes(latent.to(torch.uint16), value, left, good)

    def check_relevance(self) -> None:
        """Refuse what only a relevance head can tell.

        Raises:
            InputError: the bank has none.
        """
        if self.relevance is None:
            raise InputError(
                "no relevance can be told: the bank of this index was made without a relevance "
                "head; leave min_relevance out, or fit one (s3-retriever calibrate --bank BANK "
                "-o NEW) and index again with that bank"
            )

    def decode(self, codes: Codes) -> Tensor:
        """Reconstruct calibrated keys, ``f32[R, N, d]``, from codes and residual."""
        x = self._reconstruct(codes.latents.int(), codes.values)
        if self.residual is not None:
            x += self.residual.decode(codes.residual)
        return x.view(len(x), len(self.calibration.taps), self.calibration.head_dim)

    @cached_property
    def offset(self) -> Tensor:
        """``f32[N, d]``: what `decode` adds to the key of every token, whatever its codes.

        All logits of a question token are higher by its product with this, so that no softmax over
        the text sees it; `QueryWeights` leaves it out.
        """
        x = torch.empty(len(self.calibration.taps), self.calibration.head_dim)
        for sae, site in zip(self.saes, self.sites, strict=True):
            x[list(site)] = sae.b_dec.view(len(site), -1)
        return x

    def _reconstruct(self, latents: Tensor, values: Tensor) -> Tensor:
        """Decode latents ``int[R, S]`` and stored values ``uint8[R, S]``: ``f32[R, N · d]``."""
        taps, d = len(self.calibration.taps), self.calibration.head_dim
        if self.sites == (tuple(range(taps)),):  # one joint site: nothing to put together
            joint = self._decoders(0, latents.device)
            return joint.decode(latents, joint.dequantise(values))
        x = torch.empty(len(latents), taps, d, device=latents.device)
        for j in range(len(self.saes)):
            there, slots = self._decoders(j, latents.device), self.slots(j)
            part = there.decode(latents[:, slots], there.dequantise(values[:, slots]))
            for place, tap in enumerate(
                self.sites[j]
            ):  # by int: a list would synchronise with the GPU
                x[:, tap] = part[:, place * d : (place + 1) * d]
        return x.flatten(1)

    def _leave(self, keys: Tensor, latents: Tensor, values: Tensor) -> Tensor:
        """What the codes leave over of the keys, ``uint8[R, W]``."""
        if self.residual is None:
            return values.new_empty(len(values), 0)
        place = ("residual", keys.device)
        if place not in self._folded:  # cached: copying on every batch would synchronise
            self._folded[place] = self.calibration.to(keys.device), self.residual.to(keys.device)
        calibration, residual = self._folded[place]
        x = calibration.keys(keys).flatten(1)
        left: Tensor = residual.encode(x - self._reconstruct(latents, values))
        return left

    def _decoders(self, j: int, device: torch.device) -> Sae:
        """The SAE of that number on a device."""
        place = (j, device)
        if place not in self._folded:
            same = self.saes[j].w_dec.device == device
            self._folded[place] = self.saes[j] if same else self.saes[j].to(device)
        sae: Sae = self._folded[place]
        return sae

    @cached_property
    def head_shares(self) -> Tensor:
        """``f32[N, H]``: at each tap the weights of the heads that read it, as shares of 1."""
        calibration = self.calibration
        share = torch.zeros(len(calibration.taps), len(calibration.heads))
        for head, tap in enumerate(calibration.tap_of_head):
            share[tap, head] = calibration.head_weights[head]
        return share / share.sum(1, keepdim=True).clamp_min(1e-12)

    def encode_queries(self, queries: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Encode queries by the SAEs of the keys, for scoring by co-activation.

        At each tap the queries of its heads, centred and in the whitened basis, are averaged with
        the head weights.

        Args:
            queries: ``[n, H, d]`` of the calibration's heads, before rotary embedding.

        Returns:
            For each SAE, latents ``int32[n, k]`` and values ``f32[n, k]``.
        """
        calibration = self.calibration
        y = calibration.queries(queries) / calibration.scaling
        mean = torch.einsum("nhd,th->ntd", y, self.head_shares.to(y.device))
        pairs = zip(self.saes, self.sites, strict=True)
        return [sae.to(y.device).encode(mean[:, list(site)].flatten(1)) for sae, site in pairs]

    def fits(self, backbone: Backbone) -> bool:
        """Whether the bank was made for this model, by the fingerprint of its weights."""
        try:
            return backbone.fingerprint(self.calibration.taps) == self.fingerprint
        except InputError:  # the model has no such taps
            return False

    def digest(self) -> str:
        """Return the codec's fingerprint: a hex digest of all that decides codes and weights."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        calibration = self.calibration
        sizes = {
            "taps": [(tap.layer, tap.kv_head) for tap in calibration.taps],
            "heads": [(head.layer, head.head) for head in calibration.heads],
            "group": calibration.group,
            "scaling": calibration.scaling,
            "saes": [(sae.k, sae.scale, self.sites[j]) for j, sae in enumerate(self.saes)],
        }
        total = hashlib.sha256(json.dumps(sizes).encode())
        tensors = self._tensors()
        if self.residual is not None:
            tensors.append(torch.tensor(self.residual.gain_scale))
        for tensor in tensors:
            total.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        return total.hexdigest()

    def save(self, folder: str | Path) -> None:
        """Write the bank into a folder of its own: see `s3_retriever.codec.bank_files`.

        Raises:
            BankError: the folder cannot be written, or holds something else, another bank
                included.
        """
        write_folder(Path(folder), self.files())

    def files(self) -> dict[str, bytes]:
        """Return the files of the bank's folder, by path below it; equal banks have equal files."""
        return bank_files(**{f.name: getattr(self, f.name) for f in fields(self) if f.init})

    @classmethod
    def load(cls, folder: str | Path) -> Bank:
        """Open a bank and check every file of it.

        Raises:
            BankError: it is missing, damaged, of a newer format, or holds non-finite weights.
        """
        folder = Path(folder)
        read = read_bank(folder)
        try:
            return cls(**read)
        except InputError as error:
            raise BankError(f"{folder} is not a whole bank ({error}): copy it again") from error

    def _encode_site(
        self, keys: Tensor, j: int, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        sae, site = self.saes[j], self.sites[j]
        weight, bias, centred_bias, mean = self._fold(j, keys.device, dtype)
        whole = site == tuple(range(keys.shape[1]))
        x = keys if whole else torch.stack([keys[:, tap] for tap in site], 1)
        if keys.is_cuda and keys.dtype == dtype:
            x = x.flatten(1)
        else:  # before rounding to `dtype`, take off what would cost precision
            x, bias = (x.flatten(1).float() - mean).to(dtype), centred_bias
        latents, values, finite = encode_unchecked(x, weight, bias, sae.k)
        return latents, sae.quantise(values), finite

    def _fold(
        self, j: int, device: torch.device, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Folded weight, bias for raw keys, bias for centred keys, and the mean key."""
        place = (j, device, dtype)
        if place not in self._folded:
            calibration, sae = self.calibration, self.saes[j]
            weight, bias = fold(calibration, sae, dtype)
            mean = calibration.key_mean[list(self.sites[j])].flatten()
            self._folded[place] = tuple(
                tensor.to(device) for tensor in (weight, bias, sae.bias, mean)
            )
        folded: tuple[Tensor, Tensor, Tensor, Tensor] = self._folded[place]
        return folded


def fold(
    calibration: Calibration, sae: Sae, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Fold centring, whitening and the decoder's bias into the encoder, so that it takes raw keys.

    Args:
        calibration: With all taps of the SAE.
        sae: With m taps.
        dtype: To which the weight is rounded. The bias is computed from the rounded weight, so
            that the (large) mean key contributes no rounding error.

    Returns:
        ``w_enc[m·d, n_latents]`` in `dtype` and ``b_enc f32[n_latents]``, such that
        ``keys @ w_enc + b_enc`` are the preactivations of the SAE, up to rounding.
    """
    d = calibration.head_dim
    site = [calibration.taps.index(tap) for tap in sae.taps]
    blocks = sae.w_enc.view(len(site), d, -1)
    weight = torch.bmm(calibration.whiten[site], blocks).flatten(0, 1).to(dtype)
    mean = calibration.key_mean[site].flatten()
    return weight, sae.bias - mean @ weight.float()
