"""Where a model shows its keys and queries, layer by layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3_retriever.backbone.families import FAMILIES, Family, Projection, spec_of
from s3_retriever.backbone.recognise import Recognised, recognise
from s3_retriever.backbone.spec import ModelSpec
from s3_retriever.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_WINDOWS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
_WINDOW = 2048  # of a model that names none, as one with ALiBi


@dataclass(frozen=True, slots=True)
class Place:
    """One layer that can be read.

    Attributes:
        attention: Path of its attention module in the decoder.
        keys: Projection of the keys.
        queries: Projection of the queries.
    """

    attention: str
    keys: Projection
    queries: Projection


@dataclass(frozen=True, slots=True)
class Anatomy:
    """How a model is read.

    Attributes:
        spec: Its sizes.
        stack: Path of the list of layers in the decoder.
        places: The layers that can be read, by number.
        outside: Names of parameters outside the stack, beside the embedding, that decide keys.
        refused: Why other layers with attention cannot be read, by number.
    """

    spec: ModelSpec
    stack: str
    places: Mapping[int, Place]
    outside: tuple[str, ...]
    refused: Mapping[int, str]


def decoder_of(model: Any) -> Any:
    """Return the part of a model that embeds ids and runs the layers."""
    decoder = model.get_decoder()
    return decoder if hasattr(decoder, "get_input_embeddings") else model.base_model


def anatomy_of(model: Any, decoder: Any) -> Anatomy:
    """Return how a decoder-only model is read: by the table, or as recognised on a few tokens.

    Raises:
        UnsupportedModelError: an encoder-decoder, a model that attends in both directions, or
            attention that is not recognised.
    """
    config = model.config
    if config.is_encoder_decoder:
        raise UnsupportedModelError(
            f"{type(model).__name__} ({config.model_type!r}) is an encoder-decoder; use a "
            "decoder-only model"
        )
    family = FAMILIES.get(config.get_text_config(decoder=True).model_type)
    return _recognised(model, decoder) if family is None else _listed(model, decoder, family)


def _listed(model: Any, decoder: Any, family: Family) -> Anatomy:
    spec = spec_of(model, decoder, family)
    places = {
        layer: Place(f"layers.{layer}.{family.attention}", family.keys, family.queries)
        for layer in spec.readable
    }
    return Anatomy(spec, "layers", places, (), {})


def _recognised(model: Any, decoder: Any) -> Anatomy:
    found = recognise(model, decoder)
    shape = Counter(_shape(layer) for layer in found.layers).most_common(1)[0][0]
    read = [layer for layer in found.layers if _shape(layer) == shape]
    scaling = Counter(layer.scaling for layer in read).most_common(1)[0][0]
    config = model.config.get_text_config(decoder=True)
    heads, kv_heads, head_dim = shape
    spec = ModelSpec(
        architecture=config.model_type,
        layers=len(decoder.get_submodule(found.stack)),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden=_hidden(config, decoder),
        max_positions=_window(config),
        scaling=scaling,
        readable=tuple(layer.layer for layer in read),
    )
    others = {
        layer.layer: "its keys have another shape than those of most layers "
        "({} heads, {} of keys, of size {})".format(*_shape(layer))
        for layer in found.layers
        if _shape(layer) != shape
    }
    return Anatomy(
        spec,
        found.stack,
        {layer.layer: _place(layer, scaling) for layer in read},
        _outside(decoder, found.stack),
        {**found.refused, **others},
    )


def _shape(layer: Recognised) -> tuple[int, int, int]:
    return layer.way.heads, layer.way.kv_heads, layer.way.head_dim


def _place(layer: Recognised, scaling: float) -> Place:
    """Where one layer is read; what its own scaling is beyond the model's goes to its queries."""
    queries, factor = layer.way.queries, layer.scaling / scaling
    if factor == 1:
        return Place(layer.attention, layer.way.keys, queries)

    def scaled(output: Tensor, spec: ModelSpec) -> Tensor:
        return queries.split(output, spec) * factor

    return Place(layer.attention, layer.way.keys, Projection(queries.module, scaled))


def _outside(decoder: Any, stack: str) -> tuple[str, ...]:
    embedding = decoder.get_input_embeddings().weight
    return tuple(
        sorted(
            name
            for name, weight in decoder.named_parameters()
            if not name.startswith(f"{stack}.") and weight is not embedding
        )
    )


def _hidden(config: Any, decoder: Any) -> int:
    return int(getattr(config, "hidden_size", 0) or decoder.get_input_embeddings().weight.shape[-1])


def _window(config: Any) -> int:
    named = (getattr(config, name, None) for name in _WINDOWS)
    return int(next((value for value in named if value), _WINDOW))
