"""How a model is run: its mode, the library's remarks, and the type it computes in."""

from __future__ import annotations

import functools
import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMARKING_MODULES = ("utils", "configuration_utils")


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode for a while; every submodule's own mode comes back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence the log and the progress bars of transformers for a while."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def quiet_generation() -> Iterator[None]:
    """Silence, in this thread, remarks of transformers on how the model's defaults combine."""
    thread = threading.get_ident()
    names = (f"transformers.generation.{module}" for module in _REMARKING_MODULES)
    loggers = [logging.getLogger(name) for name in names]

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno > logging.WARNING

    for logger in loggers:
        logger.addFilter(elsewhere)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(elsewhere)


def best_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device computes with it natively, else float32."""
    native = device.type != "cpu" or cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively, by AVX-512 or AMX."""
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.10
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
