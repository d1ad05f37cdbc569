"""Backbones between processes: pickled as the call that loads them, and loaded once in each."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from s3_retriever.fork import renew_after_fork

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Origin:
    """A call of `Backbone.load`.

    Attributes:
        kind: The class that was asked to load, `Backbone` or one derived from it.
        source: Its `name_or_path`; that of a local folder or file is absolute.
        device: As given.
        dtype: As given.
    """

    kind: type[Any]
    source: str | None
    device: str | None
    dtype: torch.dtype | None

    @classmethod
    def of(
        cls,
        kind: type[Any],
        name_or_path: str | Path | None,
        device: str | torch.device | None,
        dtype: torch.dtype | None,
    ) -> Self:
        """Note a call, in words that mean the same in another working directory."""
        source = None if name_or_path is None else str(name_or_path)
        if source is not None and Path(source).exists():
            source = str(Path(source).absolute())
        return cls(kind, source, None if device is None else str(device), dtype)


class _Loaded:
    """The backbones that this process has loaded and still uses."""

    def __init__(self) -> None:
        self.backbones: WeakValueDictionary[Origin, Any] = WeakValueDictionary()
        self.renew_lock()
        renew_after_fork(self, _Loaded.renew_lock)

    def renew_lock(self) -> None:
        self.loading = threading.Lock()


_LOADED = _Loaded()


def remember(backbone: object, origin: Origin) -> None:
    """Keep in mind, while it lives, what a call loaded; the first stays."""
    _LOADED.backbones.setdefault(origin, backbone)


def loaded_once(origin: Origin) -> Any:
    """Return what a call loaded in this process, or make the call."""
    with _LOADED.loading:
        known = _LOADED.backbones.get(origin)
        if known is not None:
            return known
        return origin.kind.load(origin.source, device=origin.device, dtype=origin.dtype)
