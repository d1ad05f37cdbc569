"""What stands behind the transformer in a sentence-transformers folder: pooling, then layers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, normalize

from s3_retriever.errors import InputError, did_you_mean, first_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Layer = Callable[[Tensor], Tensor]

_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The older spelling of the modes, in the order in which their vectors are joined."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """One vector of the states of many tokens.

    Attributes:
        modes: Names in `POOLINGS`; their vectors are joined.
        include_prompt: Whether the tokens of the prompt count.
    """

    modes: tuple[str, ...]
    include_prompt: bool = True

    def __call__(self, states: Tensor, counts: Tensor) -> Tensor:
        """Pool.

        Args:
            states: ``f32[n, t, d]``.
            counts: ``bool[n, t]``, the tokens that count; at least one of each row.

        Returns:
            ``f32[n, d · modes]``.
        """
        return torch.cat([POOLINGS[mode](states, counts) for mode in self.modes], dim=1)


def _first(states: Tensor, counts: Tensor) -> Tensor:
    return states[torch.arange(len(states), device=states.device), counts.int().argmax(1)]


def _last(states: Tensor, counts: Tensor) -> Tensor:
    return _first(states.flip(1), counts.flip(1))


def _highest(states: Tensor, counts: Tensor) -> Tensor:
    return states.masked_fill(~counts[..., None], -torch.inf).amax(1)


def _mean(states: Tensor, counts: Tensor) -> Tensor:
    return _averaged(states, counts.float())


def _mean_by_root(states: Tensor, counts: Tensor) -> Tensor:
    return _mean(states, counts) * counts.sum(1, keepdim=True).sqrt()


def _mean_by_place(states: Tensor, counts: Tensor) -> Tensor:
    places = torch.arange(1, counts.shape[1] + 1, device=counts.device)
    return _averaged(states, (counts * places).float())


def _averaged(states: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("ntd,nt->nd", states, weights) / weights.sum(1, keepdim=True)


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "max": _highest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _mean_by_place,
    "lasttoken": _last,
}
"""Ways to make one vector ``f32[n, d]`` of states ``f32[n, t, d]`` and of what counts in them."""


def read_modules(folder: Path) -> tuple[Path, Pooling, tuple[Layer, ...]]:
    """Read all modules of a folder but the transformer itself.

    Args:
        folder: As sentence-transformers saves a model.

    Returns:
        The folder of the transformer, the pooling of its states, and the layers behind that, which
        map ``f32[n, d]`` to ``f32[n, e]``.

    Raises:
        InputError: it is no such folder, a file is missing or damaged, or a module is unknown.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give that of a sentence-transformers model")
    if not (folder / "modules.json").is_file():
        raise InputError(f"{folder} is no sentence-transformers folder: it has no modules.json")
    found = [(_kind(entry, folder), folder / entry["path"]) for entry in _listed(folder)]
    kinds = [kind for kind, _ in found]
    if kinds[:2] != ["Transformer", "Pooling"] or not LAYERS.keys() >= {*kinds[2:]}:
        raise InputError(
            f"{folder} has the modules {', '.join(kinds) or '(none)'}, and only a Transformer, "
            "a Pooling and then other layers can be read"
        )
    layers = tuple(LAYERS[kind](place) for kind, place in found[2:])
    return found[0][1], _pooling(found[1][1]), layers


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a model.

    Raises:
        InputError: it is missing or damaged.
    """
    value = _json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: it must hold an object")
    return value


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; copy the whole folder of the model") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error


def _listed(folder: Path) -> list[dict[str, str]]:
    modules = _json(folder / "modules.json")
    if not isinstance(modules, list) or not all(
        isinstance(entry, dict) and {"type", "path"} <= entry.keys() for entry in modules
    ):
        raise InputError(f"{folder / 'modules.json'} is damaged: it must list types and paths")
    return modules


def _kind(entry: dict[str, str], folder: Path) -> str:
    home, _, kind = entry["type"].rpartition(".")
    known = ("Transformer", "Pooling", *LAYERS)
    if home.partition(".")[0] != "sentence_transformers" or kind not in known:
        raise InputError(
            f"{folder} has a module of the unknown type {entry['type']}; known: {', '.join(known)}"
        )
    return kind


def _pooling(folder: Path) -> Pooling:
    config = read_json(folder / "config.json")
    said = config.get("pooling_mode")
    if said is None:
        on = {key for key, value in config.items() if key.startswith("pooling_mode_") and value}
        said = [_FLAGS[flag] for flag in _FLAGS if flag in on] + sorted(on - _FLAGS.keys())
    modes = (said,) if isinstance(said, str) else tuple(said)
    for mode in modes:
        if mode not in POOLINGS:
            raise InputError(f"{folder} pools by {mode!r}; {did_you_mean(mode, POOLINGS)}")
    return Pooling(modes or ("mean",), config.get("include_prompt", True))


def _dense(folder: Path) -> Layer:
    config, weights = read_json(folder / "config.json"), _weights(folder, "linear.weight")
    name = config.get("activation_function", "torch.nn.Tanh")
    of_torch = name.startswith("torch.nn.")
    activation = getattr(nn, name.rpartition(".")[2], None) if of_torch else None
    if activation is None:
        raise InputError(f"{folder} has the unknown activation {name}; known: those of torch.nn")
    if config.get("use_residual") or config.get("module_input_name", _VECTOR) != _VECTOR:
        raise InputError(f"{folder} has a residual, or works on tokens, which is unknown here")
    weight, bias, bent = weights["linear.weight"], weights.get("linear.bias"), activation()
    return lambda vectors: bent(linear(vectors, weight, bias))


def _layer_norm(folder: Path) -> Layer:
    weights = _weights(folder, "norm.weight", "norm.bias")
    weight, bias = weights["norm.weight"], weights["norm.bias"]
    return lambda vectors: layer_norm(vectors, weight.shape, weight, bias)


def _weights(folder: Path, *needed: str) -> dict[str, Tensor]:
    """The weights of a layer in float32."""
    from safetensors.torch import load_file

    safe, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    if not safe.is_file() and not pickled.is_file():
        raise InputError(f"{safe} is missing; copy the whole folder of the model")
    try:
        weights: dict[str, Tensor] = (
            load_file(safe)
            if safe.is_file()
            else torch.load(pickled, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # of either reader, whichever it is
        raise InputError(f"the weights in {folder} are damaged: {first_line(error)}") from error
    for name in needed:
        if name not in weights:
            raise InputError(f"the weights in {folder} lack {name}: they are of another layer")
    return {name: weight.float() for name, weight in weights.items()}


_VECTOR = "sentence_embedding"
LAYERS: dict[str, Callable[[Path], Layer]] = {
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": lambda _: normalize,
    "Dropout": lambda _: nn.Identity(),
}
"""What reads a layer from its folder, by the last part of its type."""
