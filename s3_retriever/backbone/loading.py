"""Models and tokenizers by name: the embedded default, a folder, a hub id or a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from s3_retriever.backbone.gguf import converted, default_gguf
from s3_retriever.backbone.modes import best_dtype, quiet_loading
from s3_retriever.errors import InputError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

_CHOICES = "a local folder, a hub id, a .gguf file, or nothing for the default model"


def load_pretrained(
    name_or_path: str | Path | None,
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    progress: Callable[[str], None] | None,
) -> tuple[Any, Any]:
    """Return a causal model in evaluation mode and its tokenizer; see `Backbone.load`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with quiet_loading():
        source = str(_source(name_or_path, progress))
        try:
            tokenizer = AutoTokenizer.from_pretrained(source)
            model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype or best_dtype(device))
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot load a model from {source!r}: {first_line(error)}; give {_CHOICES}"
            ) from error
    return model.to(device).eval(), tokenizer


def _source(name_or_path: str | Path | None, progress: Callable[[str], None] | None) -> Path | str:
    if name_or_path is None:
        return converted(default_gguf(), progress)
    path = Path(name_or_path)
    if path.suffix != ".gguf":
        if not path.exists() and (path.is_absolute() or str(name_or_path).startswith((".", "~"))):
            raise InputError(f"there is no folder {name_or_path}; give that of a model, or a .gguf")
        if not path.exists():
            _find_on_hub(str(name_or_path))
        return name_or_path
    if not path.is_file():
        raise InputError(f"there is no file {path}; give the path of a .gguf file")
    return converted(path, progress)


def _find_on_hub(name: str) -> None:
    """Ask the hub once, where its model is not in the cache: loading would ask many times."""
    from huggingface_hub import file_exists, try_to_load_from_cache

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        found, reason = file_exists(name, "config.json"), "no such model"
    except Exception as error:  # of the client's HTTP library, whichever it is
        found, reason = False, first_line(error)
    if not found:
        raise InputError(
            f"there is no folder {name!r}, and the hub does not give it: {reason}; give {_CHOICES}"
        )
