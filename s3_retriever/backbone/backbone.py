"""The target language model as a source of keys and queries."""

from __future__ import annotations

import copy
import threading
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from s3_retriever.backbone.anatomy import anatomy_of, decoder_of
from s3_retriever.backbone.fingerprint import fingerprint
from s3_retriever.backbone.held import held_as, input_device, missing, unwrapped
from s3_retriever.backbone.loading import load_pretrained
from s3_retriever.backbone.modes import evaluating
from s3_retriever.backbone.reader import TapReader
from s3_retriever.backbone.sharing import Origin, loaded_once, remember
from s3_retriever.backbone.tokens import TextTokenizer
from s3_retriever.errors import InputError, ModelMismatchError, UnsupportedModelError
from s3_retriever.fork import computes_here, renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch

    from s3_retriever.backbone.anatomy import Anatomy
    from s3_retriever.backbone.spec import Head, ModelSpec, Tap

_LEAST_USED = 0.5  # a model's embedding is padded by a few rows, not doubled


class Backbone:
    """A decoder-only causal language model and its tokenizer.

    The model is only read: weights, configuration, device and training mode stay as they are,
    and its attention implementation is its own choice. So copies, deep ones too, are the object
    itself, and the weights are held once. What `load` made is pickled as that call.

    Args:
        model: A causal model of transformers: of an architecture in `FAMILIES`, or one whose
            attention is recognised by its modules and gives its own weights on a few tokens.
        tokenizer: The model's own fast tokenizer; a private copy of it is kept.

    Attributes:
        model: The object given.
        tokenizer: The private copy, for chat templates and generation.
        text: Tokenises plain text with character offsets.
        anatomy: Where its layers are read, and why some are not.
        spec: Sizes of the model.
        lock: Held by whoever runs the model; one at a time.

    Raises:
        InputError: not a transformers model.
        UnsupportedModelError: attention that is not recognised, a model that is not causal,
            weights that were not loaded, or a slow tokenizer.
        ModelMismatchError: the tokenizer belongs to another model.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        if not hasattr(model, "config") or not hasattr(model, "get_decoder"):
            raise InputError(
                f"model must be a transformers model, not {type(model).__name__}; to load one by "
                "name use Backbone.load(name)"
            )
        self.model = model
        self._decoder: Any = decoder_of(unwrapped(model))
        self._check_loaded()
        self.anatomy: Anatomy = anatomy_of(unwrapped(model), self._decoder)
        self.spec: ModelSpec = self.anatomy.spec
        self.text = TextTokenizer(tokenizer)
        self.tokenizer = copy.deepcopy(tokenizer)
        self.lock = threading.RLock()
        self._fingerprints: dict[int, str] = {}
        self._origin: Origin | None = None
        self._check_tokenizer()
        renew_after_fork(self, Backbone._renew_lock)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path | None = None,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Self:
        """Load a model and its tokenizer. Prints nothing.

        Args:
            name_or_path: A local folder, a hub id or a ``.gguf`` file; ``None`` for the embedded
                default, SmolLM2-135M-Instruct. A GGUF is converted once, about half a minute,
                into the cache folder (``S3_RETRIEVER_CACHE`` moves it).
            device: ``None`` for CUDA where there is one, else the CPU.
            dtype: ``None`` for bfloat16 where the device computes with it natively, else float32.
            progress: Called with one line of text before something that takes long.

        Raises:
            InputError: nothing to load there, or a cache folder that cannot be written.
            MissingExtraError: the default model is not installed.
            UnsupportedModelError: as for the constructor.
            ModelMismatchError: as for the constructor.
        """
        backbone = cls(*load_pretrained(name_or_path, device, dtype, progress))
        backbone._origin = Origin.of(cls, name_or_path, device, dtype)
        remember(backbone, backbone._origin)
        return backbone

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[[Origin], Backbone], tuple[Origin]]:
        """Pickle the call of `load`, not the weights.

        However often it is unpickled, a process holds the model once: it loads when nothing that
        lives there was loaded by the same call. Where the call finds other weights than it did
        here, loading an index refuses them (`ModelMismatchError`).

        Raises:
            InputError: made from a model in memory.
        """
        if self._origin is None:
            raise InputError(
                "a Backbone made from a model in memory cannot be pickled; make it with "
                "Backbone.load(name or folder), or load the model in the other process"
            )
        return loaded_once, (self._origin,)

    @property
    def name(self) -> str:
        """The last part of where the model was loaded from, or its architecture."""
        source = getattr(self.model.config, "name_or_path", "")
        return PurePath(source).name or self.spec.architecture

    @property
    def device(self) -> torch.device:
        """Where input ids go: the device of the token embeddings, or where they compute."""
        return input_device(self._decoder)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the token embeddings, and of keys and queries."""
        return self._embedding.dtype

    @contextmanager
    def tap(self, taps: Sequence[Tap], heads: Sequence[Head] = ()) -> Iterator[TapReader]:
        """Open the model for reading at some taps and query heads.

        Takes `lock` and switches to evaluation mode; both are given back on leaving, whatever
        happens inside. A forward pass ends at the deepest place it has to read.

        Args:
            taps: Where `TapReader.keys` reads, in the order of its results.
            heads: Where `TapReader.queries` reads, likewise.

        Raises:
            InputError: a layer or head the model does not have.
        """
        self._check_places(taps, heads)
        reader = TapReader(self._decoder, self.anatomy, taps, heads)
        computes_here()
        with self.lock, evaluating(self._decoder), reader.attached():
            yield reader

    @property
    def held_as(self) -> str:
        """How the weights are held, where that changes their numbers, such as quantised."""
        return held_as(unwrapped(self.model))

    def fingerprint(self, taps: Sequence[Tap]) -> str:
        """Return a digest of what decides the keys at some taps; see `fingerprint`.

        Computed once for each depth and kept: train the model further, and make a new Backbone.
        """
        self._check_places(taps, ())
        deepest = max((tap.layer for tap in taps), default=0)
        if deepest not in self._fingerprints:
            self._fingerprints[deepest] = fingerprint(self._decoder, self.anatomy, deepest)
        return self._fingerprints[deepest]

    def _renew_lock(self) -> None:
        self.lock = threading.RLock()

    @property
    def _embedding(self) -> torch.Tensor:
        weight: torch.Tensor = self._decoder.get_input_embeddings().weight
        return weight

    def _check_loaded(self) -> None:
        absent = missing(self._decoder)
        if absent is not None:
            raise UnsupportedModelError(
                f"some weights of the model were never loaded (meta device), such as {absent}; "
                "load it with from_pretrained, with device_map= where it does not fit"
            )

    def _check_tokenizer(self) -> None:
        rows, last = self._embedding.shape[0], self.text.max_id
        if last >= rows:
            raise ModelMismatchError(
                f"the tokenizer makes ids up to {last} but the model embeds only {rows}; use the "
                "tokenizer that belongs to the model"
            )
        if last < rows * _LEAST_USED:
            raise ModelMismatchError(
                f"the tokenizer makes ids up to {last} only but the model embeds {rows}; use the "
                "tokenizer that belongs to the model"
            )

    def _check_places(self, taps: Sequence[Tap], heads: Sequence[Head]) -> None:
        spec = self.spec
        for tap in taps:
            if not (0 <= tap.layer < spec.layers and 0 <= tap.kv_head < spec.kv_heads):
                raise InputError(
                    f"{tap} does not exist: the model has {spec.layers} layers of "
                    f"{spec.kv_heads} key-value heads"
                )
            self._check_layer(tap.layer)
        for head in heads:
            if not (0 <= head.layer < spec.layers and 0 <= head.head < spec.heads):
                raise InputError(
                    f"{head} does not exist: the model has {spec.layers} layers of "
                    f"{spec.heads} query heads"
                )
            self._check_layer(head.layer)

    def _check_layer(self, layer: int) -> None:
        if layer not in self.anatomy.places:
            why = self.anatomy.refused.get(layer, "it has no keys")
            readable = ", ".join(map(str, self.spec.readable))
            raise InputError(f"layer {layer} cannot be read: {why}; read layers {readable}")
