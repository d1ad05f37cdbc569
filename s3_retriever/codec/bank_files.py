"""Banks and SAEs on disk.

A bank is a folder::

    bank.json                      sizes, fingerprint, relevance head, metadata, SHA-256 of every
                                   other file
    calibration.safetensors        means, whitening, head weights, maybe a place head
    residual.safetensors           scales of the residual, in a bank that keeps one
    sentences.safetensors          the sentence head, in a bank that has one
    sae_0/cfg.json                 one folder per SAE, as SAELens writes and reads it
    sae_0/sae_weights.safetensors  W_enc[d_in, d_sae], b_enc, W_dec[d_sae, d_in], b_dec

Tensors that 16 bits hold without loss are stored in 16 bits.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from s3_retriever.backbone.spec import Head, Tap
from s3_retriever.codec.calibration import TENSORS, Calibration
from s3_retriever.codec.places import PlaceHead
from s3_retriever.codec.relevance import RelevanceHead
from s3_retriever.codec.residual import Residual
from s3_retriever.codec.sae import Sae
from s3_retriever.codec.sentences import SENTENCE_TENSORS, SentenceHead
from s3_retriever.errors import BankError, ModelMismatchError
from s3_retriever.folders import write_new

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

VERSION = 1
"""Version of the bank folder's format."""

_RESIDUAL = "residual.safetensors"
_SENTENCES = "sentences.safetensors"
_PLACES = ("place_weight", "place_bias")
_NAMES = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_dec": "b_dec"}


def bank_files(
    *,
    calibration: Calibration,
    saes: Sequence[Sae],
    fingerprint: str,
    model_name: str,
    metadata: Mapping[str, Any],
    residual: Residual | None,
    sentences: SentenceHead | None,
    relevance: RelevanceHead | None,
) -> dict[str, bytes]:
    """Return the files of a bank's folder, by path below it, for the fields of a `Bank`."""
    names = [f"sae_{j}" for j in range(len(saes))]
    files = {"calibration.safetensors": _calibration_bytes(calibration)}
    if residual is not None:
        files[_RESIDUAL] = save({"scale": residual.scale.contiguous()})
    if sentences is not None:
        files[_SENTENCES] = _tensor_bytes(sentences.tensors())
    for name, sae in zip(names, saes, strict=True):
        files |= {f"{name}/{file}": data for file, data in _sae_files(sae, model_name).items()}
    description = {
        "format": "s3-retriever bank",
        "version": VERSION,
        "model_name": model_name,
        "fingerprint": fingerprint,
        **_places(calibration),
        "saes": names,
        "gain_scale": None if residual is None else residual.gain_scale,
        "sentences": sentences is not None,
        "relevance": None if relevance is None else relevance.described(),
        "training": dict(metadata),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return {**files, "bank.json": _json(description)}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder of their own, all or none.

    Raises:
        BankError: the folder cannot be written, or holds something else, another bank included.
    """
    try:
        write_new(folder, files)
    except FileExistsError as error:
        raise BankError(
            f"{error}, so nothing was written over it; choose a folder that does not exist yet, or "
            "delete this one first"
        ) from error
    except OSError as error:
        raise BankError(f"cannot write to {folder}: {error}; choose another folder") from error


def _json(description: dict[str, Any]) -> bytes:
    return json.dumps(description, indent=1).encode()


def read_bank(folder: Path) -> dict[str, Any]:
    """Read and check the folder of a bank, and return the fields of the `Bank`.

    Raises:
        BankError: missing, damaged, of a newer format, or holding non-finite weights; the message
            names the file.
    """
    description = _read_json(folder / "bank.json")
    if description.get("format") != "s3-retriever bank":
        raise BankError(f"{folder / 'bank.json'} does not describe a bank of s3-retriever")
    if description.get("version", 0) > VERSION:
        raise BankError(
            f"{folder} has format {description['version']}, this release reads up to {VERSION}: "
            "pip install --upgrade s3-retriever"
        )
    try:
        for file in _files(description):
            if _sha256(folder / file) != description["sha256"][file]:
                raise BankError(
                    f"{folder / file} is damaged (its checksum is not the one in bank.json): "
                    "copy the bank again"
                )
        return {
            "calibration": _calibration(description, folder),
            "saes": tuple(load_sae(folder / name) for name in description["saes"]),
            "fingerprint": description["fingerprint"],
            "model_name": description["model_name"],
            "metadata": description["training"],
            "residual": _residual(description, folder),
            "sentences": _sentences(description, folder),
            "relevance": _relevance(description),
        }
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BankError):
            raise
        raise BankError(f"{folder} is not a whole bank ({error}): copy it again") from error


def _relevance(description: Mapping[str, Any]) -> RelevanceHead | None:
    described = description.get("relevance")
    return None if described is None else RelevanceHead.of(described)


def save_calibration(calibration: Calibration, folder: str | Path, fingerprint: str) -> None:
    """Write a calibration alone, for `load_calibration`.

    Args:
        calibration: To write.
        folder: Missing or empty.
        fingerprint: Of the model, for these taps.

    Raises:
        BankError: the folder cannot be written, or holds something else.
    """
    description = {
        "format": "s3-retriever calibration",
        "version": VERSION,
        "fingerprint": fingerprint,
        **_places(calibration),
    }
    files = {
        "calibration.safetensors": _calibration_bytes(calibration),
        "calibration.json": _json(description),
    }
    write_folder(Path(folder), files)


def _calibration_bytes(calibration: Calibration) -> bytes:
    tensors = {name: getattr(calibration, name) for name in TENSORS}
    if calibration.places is not None:
        both = calibration.places.weight, calibration.places.bias
        tensors |= dict(zip(_PLACES, both, strict=True))
    return _tensor_bytes(tensors)


def load_calibration(
    folder: str | Path, fingerprint: Callable[[Sequence[Tap]], str]
) -> Calibration:
    """Open a calibration.

    Args:
        folder: Written by `save_calibration`.
        fingerprint: Gives the fingerprint of the model at hand for some taps.

    Raises:
        BankError: missing or damaged.
        ModelMismatchError: made for another model.
    """
    folder = Path(folder)
    description = _read_json(folder / "calibration.json")
    try:
        calibration = _calibration(description, folder)
        wanted = description["fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BankError):
            raise
        raise BankError(f"{folder} is not a whole calibration ({error}): make it again") from error
    if fingerprint(calibration.taps) != wanted:
        raise ModelMismatchError(
            f"{folder} was calibrated for another model; run s3-retriever calibrate with this one"
        )
    return calibration


def _places(calibration: Calibration) -> dict[str, Any]:
    return {
        "taps": [[tap.layer, tap.kv_head] for tap in calibration.taps],
        "heads": [[head.layer, head.head] for head in calibration.heads],
        "group": calibration.group,
        "scaling": calibration.scaling,
        "calibration": dict(calibration.metadata),
    }


def _calibration(description: dict[str, Any], folder: Path) -> Calibration:
    tensors = _read_tensors(folder / "calibration.safetensors", TENSORS, _PLACES)
    places = [tensors.pop(name) for name in _PLACES if name in tensors]
    return Calibration(
        taps=tuple(Tap(*tap) for tap in description["taps"]),
        heads=tuple(Head(*head) for head in description["heads"]),
        group=description["group"],
        scaling=description["scaling"],
        metadata=description["calibration"],
        places=PlaceHead(*places) if places else None,
        **tensors,
    )


def save_sae(sae: Sae, folder: Path, *, model_name: str = "") -> None:
    """Write one SAE in the layout of SAELens, into a folder of its own.

    Raises:
        OSError: the folder cannot be written, or holds something else.
    """
    write_new(folder, _sae_files(sae, model_name))


def _sae_files(sae: Sae, model_name: str) -> dict[str, bytes]:
    tensors = {theirs: _compact(getattr(sae, ours)) for ours, theirs in _NAMES.items()}
    config = {
        "architecture": "topk",
        "d_in": sae.d_in,
        "d_sae": sae.n_latents,
        "k": sae.k,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": {
            "model_name": model_name,
            "hook_name": "+".join(f"layer{tap.layer}.key{tap.kv_head}" for tap in sae.taps),
            "taps": [[tap.layer, tap.kv_head] for tap in sae.taps],
            "scale": sae.scale,
        },
    }
    return {"sae_weights.safetensors": save(tensors), "cfg.json": _json(config)}


def load_sae(folder: str | Path) -> Sae:
    """Open one TopK SAE of a bank, in the layout of SAELens.

    Args:
        folder: With ``cfg.json`` and ``sae_weights.safetensors``.

    Raises:
        BankError: missing, damaged, not a TopK SAE, or holding non-finite weights.
    """
    folder = Path(folder)
    file = folder / "cfg.json"
    config = _read_json(file)
    if (
        config.get("architecture") != "topk"
        or config.get("normalize_activations", "none") != "none"
    ):
        raise BankError(
            f"{file}: want architecture 'topk' with normalize_activations 'none', not "
            f"{config.get('architecture')!r} with {config.get('normalize_activations')!r}"
        )
    metadata = config.get("metadata") or {}
    if "taps" not in metadata or "scale" not in metadata:
        raise BankError(
            f"{file} does not say which keys the SAE reads: it was not trained by s3-retriever; "
            "see s3-retriever train --help"
        )
    theirs = _read_tensors(folder / "sae_weights.safetensors", tuple(_NAMES.values()))
    try:
        return Sae(
            taps=tuple(Tap(*tap) for tap in metadata["taps"]),
            k=int(config["k"]),
            scale=float(metadata["scale"]),
            **{ours: theirs[name] for ours, name in _NAMES.items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BankError(f"{folder} is not a whole SAE ({error})") from error


def _files(description: Mapping[str, Any]) -> list[str]:
    names = ("cfg.json", "sae_weights.safetensors")
    files = [f"{sae}/{name}" for sae in description["saes"] for name in names]
    if description.get("gain_scale") is not None:
        files.append(_RESIDUAL)
    if description.get("sentences"):
        files.append(_SENTENCES)
    return ["calibration.safetensors", *files]


def _residual(description: Mapping[str, Any], folder: Path) -> Residual | None:
    gain_scale = description.get("gain_scale")
    if gain_scale is None:
        return None
    return Residual(gain_scale=gain_scale, **_read_tensors(folder / _RESIDUAL, ("scale",)))


def _sentences(description: Mapping[str, Any], folder: Path) -> SentenceHead | None:
    if not description.get("sentences"):
        return None
    return SentenceHead.of(_read_tensors(folder / _SENTENCES, SENTENCE_TENSORS))


def _tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    return bytes(save({name: _compact(tensor) for name, tensor in tensors.items()}))


def _compact(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    half = tensor.to(torch.float16)
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


def _read_tensors(
    file: Path, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Tensor]:
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BankError(f"cannot read {file}: {error}; copy the bank again") from error
    missing = [name for name in names if name not in tensors]
    if missing:
        raise BankError(f"{file} lacks {', '.join(missing)}: it is not what it should be")
    names = [*names, *(name for name in optional if name in tensors)]
    for name in names:
        if not bool(torch.isfinite(tensors[name]).all()):
            raise BankError(
                f"{file}: {name} holds NaN or infinity; train the SAE again or copy a good one"
            )
    return {name: tensors[name].float() for name in names}


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BankError(f"cannot read {file}: {error}; give the folder of a bank") from error
    if not isinstance(value, dict):
        raise BankError(f"{file} does not hold a JSON object")
    return value


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BankError(f"cannot read {file}: {error}; copy the bank again") from error
