"""Weights however a model holds them: in memory, offloaded, quantised or under an adapter."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


def unwrapped(model: Any) -> Any:
    """Return the module that `torch.compile` wrapped, or the model itself."""
    return getattr(model, "_orig_mod", model)


def input_device(decoder: Any) -> torch.device:
    """Return where input ids go: to the embedding, or where it computes if it is offloaded."""
    embedding = decoder.get_input_embeddings()
    device: torch.device = embedding.weight.device
    if device.type != "meta":
        return device
    return torch.device(getattr(_hook(embedding), "execution_device", None) or "cpu")


def missing(module: Any) -> str | None:
    """Return the name of a weight that is neither in memory nor offloaded, or None."""
    for path, part in module.named_modules():
        for name, weight in part.named_parameters(recurse=False):
            if weight.is_meta and not getattr(_hook(part), "offload", False):
                return f"{path}.{name}".lstrip(".")
    return None


def held_as(model: Any) -> str:
    """How a model holds its weights, where that changes their numbers; empty where it does not.

    Returns:
        Such as ``"quantised (bitsandbytes)"`` or ``"under the adapter 'default'"``.
    """
    found = [f"quantised ({kind})" for kind in _quantisations(model)]
    found += [f"under the adapter {name!r}" for name in _adapters(model)]
    return " and ".join(found)


def _quantisations(model: Any) -> list[str]:
    settings = getattr(model.config, "quantization_config", None)
    if settings is not None:
        method = settings.get("quant_method") if isinstance(settings, dict) else None
        method = method or getattr(settings, "quant_method", "of an unknown kind")
        return [str(getattr(method, "value", method))]
    kinds = (type(weight.data) for weight in model.parameters())
    return sorted({kind.__name__ for kind in kinds if hasattr(kind, "dequantize")} - {"Tensor"})


def _adapters(model: Any) -> list[str]:
    modules = (part for part in model.modules() if _is_adapted(part))
    active = (part.active_adapters for part in modules if not part.disable_adapters)
    return sorted({name for names in active for name in names})


def weights(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights that a module computes with, by rising name.

    Offloaded ones are brought into memory one module at a time, quantised ones that can be are
    made numbers again, and low-rank adapters in use are added to the weight they adapt: so a
    model yields the same as its merged, unquantised or resident twin with the same numbers.
    """
    owners = sorted(
        (f"{path}.{name}".lstrip("."), part, name) for path, part, name in _owners(module, "")
    )
    for full, part, name in owners:
        with _resident(part):
            yield full, _numbers(part, name)


def weight(decoder: Any, name: str) -> Tensor:
    """Return one weight by its name, as `weights` does."""
    path, _, last = name.rpartition(".")
    part = decoder.get_submodule(path)
    with _resident(part):
        return _numbers(part, last)


def _owners(module: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    if _is_adapted(module):
        for name, _ in module.base_layer.named_parameters(recurse=False):
            yield path, module, name
        return
    for name, _ in module.named_parameters(recurse=False):
        yield path, module, name
    for child_name, child in module.named_children():
        yield from _owners(child, f"{path}.{child_name}".lstrip("."))


def _is_adapted(module: Any) -> bool:
    """Whether it adds low-rank matrices, and they alone, to a weight."""
    if not (hasattr(module, "base_layer") and hasattr(module, "lora_A")):
        return False
    return not any(getattr(module, "use_dora", {}).values())


def _numbers(part: Any, name: str) -> Tensor:
    base = part.base_layer if _is_adapted(part) else part
    value = getattr(base, name).detach()
    if type(value) is not Tensor and hasattr(value, "dequantize") and not value.is_quantized:
        value = value.dequantize()
    if _is_adapted(part) and name == "weight" and not part.merged and not part.disable_adapters:
        adapters = [each for each in part.active_adapters if each in part.lora_A]
        value = value + sum(part.get_delta_weight(each) for each in adapters)
    return torch.as_tensor(value.detach())


def _resident(part: Any) -> AbstractContextManager[Any]:
    hook = _hook(part)
    if not getattr(hook, "offload", False):
        return nullcontext()
    from accelerate.utils import align_module_device

    resident: AbstractContextManager[Any] = align_module_device(part)
    return resident


def _hook(part: Any) -> Any:
    """The hook of accelerate that brings a module's weights, if it has one."""
    hook = getattr(part, "_hf_hook", None)
    return next((each for each in getattr(hook, "hooks", ()) if hasattr(each, "offload")), hook)
