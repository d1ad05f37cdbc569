"""Reading keys and queries, and leaving the model as it was."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from s3_retriever.backbone import Backbone, Head, Tap
from s3_retriever.errors import InputError, ModelMismatchError, UnsupportedModelError

TAPS = (Tap(2, 1), Tap(0, 0), Tap(1, 1))
HEADS = (Head(2, 3), Head(0, 1))


@pytest.fixture
def backbone(tiny_llama: Any) -> Backbone:
    """One whose model a test may change."""
    model, tokenizer = tiny_llama
    return Backbone(copy.deepcopy(model), tokenizer)


@pytest.fixture(scope="module")
def ids(tiny_backbone: Backbone) -> Tensor:
    return torch.from_numpy(tiny_backbone.text.encode("Paris is the capital of France.").ids)[None]


def hooks(model: torch.nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


def generate(backbone: Backbone, ids: Tensor) -> Tensor:
    result: Tensor = backbone.model.generate(ids, max_new_tokens=5, do_sample=False)
    return result


def test_spec_of_a_grouped_query_model(tiny_backbone: Backbone) -> None:
    spec = tiny_backbone.spec
    assert (spec.layers, spec.heads, spec.kv_heads, spec.head_dim) == (4, 4, 2, 16)
    assert (spec.hidden, spec.max_positions, spec.scaling) == (64, 4096, 0.25)
    assert [spec.tap_of(Head(3, head)) for head in range(4)] == [
        Tap(3, 0),
        Tap(3, 0),
        Tap(3, 1),
        Tap(3, 1),
    ]
    assert spec.kv_bytes_per_token() == 2 * 4 * 2 * 16 * 2
    assert (tiny_backbone.device.type, tiny_backbone.dtype) == ("cpu", torch.float32)


def test_order_is_the_order_asked_for(tiny_backbone: Backbone, ids: Tensor) -> None:
    with tiny_backbone.tap(TAPS, HEADS) as reader:
        keys, queries = reader.keys(ids), reader.queries(ids)
    with tiny_backbone.tap(TAPS[::-1], HEADS[::-1]) as reader:
        assert torch.equal(reader.keys(ids), keys.flip(2))
        assert torch.equal(reader.queries(ids), queries.flip(2))
    with tiny_backbone.tap([TAPS[0], TAPS[0]]) as reader:
        assert torch.equal(reader.keys(ids), keys[:, :, [0, 0]])


def test_forward_ends_at_the_deepest_place(backbone: Backbone, ids: Tensor) -> None:
    ran: list[str] = []
    for name, module in backbone.model.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    with backbone.tap([Tap(0, 0), Tap(1, 1)], [Head(2, 0)]) as reader:
        reader.keys(ids)
        assert "model.layers.0" in ran
        assert "model.layers.1.self_attn.k_proj" in ran
        assert not {"model.layers.1.self_attn", "model.layers.1.mlp", "lm_head"} & set(ran)
        reader.queries(ids)
        assert "model.layers.2.self_attn.q_proj" in ran
        assert not {"model.layers.2.self_attn", "model.layers.3", "lm_head"} & set(ran)


def test_no_cache_is_made(backbone: Backbone, ids: Tensor) -> None:
    caches: list[Any] = []
    backbone.model.model.layers[1].self_attn.register_forward_pre_hook(
        lambda module, args, kwargs: caches.append(kwargs.get("past_key_values")), with_kwargs=True
    )
    with backbone.tap([Tap(3, 0)]) as reader:
        reader.keys(ids)
    assert caches == [None]


def test_padding_changes_nothing(tiny_backbone: Backbone, ids: Tensor) -> None:
    short, length = ids[:, :7], ids.shape[1]
    padding = torch.full((1, length - 7), 2)
    mask = torch.cat([torch.zeros_like(padding), torch.ones_like(short)], 1)
    with tiny_backbone.tap(TAPS) as reader:
        alone = reader.keys(short)[0]
        right = reader.keys(torch.cat([ids, torch.cat([short, padding], 1)]))[1, :7]
        left = reader.keys(torch.cat([padding, short], 1), mask)[0, -7:]
    torch.testing.assert_close(right, alone)
    torch.testing.assert_close(left, alone, atol=1e-4, rtol=1e-4)


def test_keys_can_be_trained_on(tiny_backbone: Backbone, ids: Tensor) -> None:
    with tiny_backbone.tap(TAPS) as reader:
        keys = reader.keys(ids)
    weight = torch.ones(16, 4, requires_grad=True)
    (keys @ weight).sum().backward()
    assert weight.grad is not None and not keys.requires_grad


def test_dtype_of_the_model_is_kept(backbone: Backbone, ids: Tensor) -> None:
    with backbone.tap(TAPS) as reader:
        exact = reader.keys(ids)
    backbone.model.to(torch.bfloat16)
    with backbone.tap(TAPS) as reader:
        keys = reader.keys(ids)
    assert keys.dtype == backbone.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(keys.float(), exact, dim=-1).min() > 0.98


def test_model_is_left_as_found(backbone: Backbone, ids: Tensor) -> None:
    model = backbone.model
    model.train()
    model.model.layers[1].eval()  # a frozen part
    modes = [module.training for module in model.modules()]
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    config = model.config.to_dict()
    expected = generate(backbone, ids)
    with backbone.tap(TAPS, HEADS) as reader:
        assert not model.model.training
        reader.keys(ids)
        reader.queries(ids)
    assert [module.training for module in model.modules()] == modes
    assert hooks(model) == 0
    assert model.config.to_dict() == config
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert all(weight.requires_grad for weight in model.parameters())

    results: list[Tensor] = []
    thread = threading.Thread(target=lambda: results.append(generate(backbone, ids)))
    thread.start()
    thread.join()
    assert torch.equal(results[0], expected)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_model_is_left_as_found_when_reading_fails(
    error: type[BaseException], backbone: Backbone, ids: Tensor
) -> None:
    backbone.model.train()

    def fail(*_: Any) -> None:
        raise error("stop here")

    handle = backbone.model.model.layers[1].register_forward_hook(fail)
    with pytest.raises(error, match="stop here"), backbone.tap(TAPS) as reader:
        reader.keys(ids)
    handle.remove()
    assert hooks(backbone.model) == 0 and backbone.model.model.training
    free: list[bool] = []
    thread = threading.Thread(target=lambda: free.append(backbone.lock.acquire(timeout=5)))
    thread.start()
    thread.join()
    assert free == [True]


def test_others_may_run_the_model_while_it_is_open(backbone: Backbone, ids: Tensor) -> None:
    expected = generate(backbone, ids)
    results: list[Tensor] = []
    with backbone.tap(TAPS) as reader:
        keys = reader.keys(ids)
        results.append(generate(backbone, ids))
        thread = threading.Thread(target=lambda: results.append(generate(backbone, ids)))
        thread.start()
        again = [reader.keys(ids) for _ in range(5)]
        thread.join()
    assert all(torch.equal(result, expected) for result in results)
    assert all(torch.equal(each, keys) for each in again)


def test_readers_may_be_nested(tiny_backbone: Backbone, ids: Tensor) -> None:
    with tiny_backbone.tap([Tap(3, 0)]) as outer, tiny_backbone.tap([Tap(0, 1)]) as inner:
        shallow, deep = inner.keys(ids), outer.keys(ids)
    with tiny_backbone.tap([Tap(0, 1), Tap(3, 0)]) as reader:
        assert torch.equal(reader.keys(ids), torch.cat([shallow, deep], 2))


def test_bad_input_is_told(tiny_backbone: Backbone, ids: Tensor) -> None:
    with tiny_backbone.tap(TAPS) as reader:
        with pytest.raises(InputError, match=r"\[batch, length\]"):
            reader.keys(ids[0])
        with pytest.raises(InputError, match=r"4097 tokens.*window of 4096"):
            reader.keys(torch.zeros(1, 4097, dtype=torch.long))
        with pytest.raises(InputError, match="taps or heads wanted"):
            reader.queries(ids)
    with pytest.raises(InputError, match="reader is closed"):
        reader.keys(ids)
    with pytest.raises(InputError, match="4 layers of 2 key-value heads"):
        tiny_backbone.fingerprint([Tap(0, 2)])
    with (
        pytest.raises(InputError, match="4 layers of 4 query heads"),
        tiny_backbone.tap(TAPS, [Head(4, 0)]),
    ):
        pass


def test_model_that_goes_round_its_projections(backbone: Backbone, ids: Tensor) -> None:
    for layer in backbone.model.model.layers:
        layer.self_attn.forward = lambda hidden_states, **_: (hidden_states, None)
    with backbone.tap(TAPS) as reader, pytest.raises(UnsupportedModelError, match="fused kernel"):
        reader.keys(ids)


def test_wrong_objects_are_told(tiny_llama: Any) -> None:
    model, tokenizer = tiny_llama
    with pytest.raises(InputError, match=r"not str.*Backbone.load"):
        Backbone("SmolLM2", tokenizer)
    with pytest.raises(UnsupportedModelError, match="meta device"):
        Backbone(copy.deepcopy(model).to("meta"), tokenizer)


def test_tokenizer_of_another_model_is_told(tiny_llama: Any) -> None:
    model, tokenizer = copy.deepcopy(tiny_llama)
    tokenizer.add_tokens(["retrievers", "passages"])
    with pytest.raises(ModelMismatchError, match="ids up to 401 but the model embeds only 400"):
        Backbone(model, tokenizer)
    model.resize_token_embeddings(len(tokenizer))
    Backbone(model, tokenizer)


def test_special_token_without_an_embedding_is_no_mismatch(tiny_llama: Any) -> None:
    """As in Gemma 3 1B, whose tokenizer knows an image token that text never becomes."""
    model, tokenizer = copy.deepcopy(tiny_llama)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert Backbone(model, tokenizer).text.max_id == 399


class TestFingerprint:
    """Same keys, same fingerprint; other weights, another."""

    TAPS = (Tap(1, 0), Tap(2, 1))

    def of(self, model: Any, tokenizer: Any) -> str:
        return Backbone(model, tokenizer).fingerprint(self.TAPS)

    def test_copies_match(self, tiny_llama: Any, tmp_path: Any) -> None:
        model, tokenizer = tiny_llama
        model.save_pretrained(tmp_path / "renamed")
        copied = type(model).from_pretrained(tmp_path / "renamed", max_position_embeddings=8192)
        assert self.of(copied, tokenizer) == self.of(model, tokenizer)
        assert len(self.of(model, tokenizer)) == 64

    def test_rounded_copies_match(self, tiny_llama: Any) -> None:
        model, tokenizer = tiny_llama
        rounded = copy.deepcopy(model).to(torch.bfloat16)
        expected = self.of(model, tokenizer)
        assert self.of(rounded, tokenizer) == expected
        assert self.of(copy.deepcopy(rounded).to(torch.float16), tokenizer) == expected
        assert self.of(copy.deepcopy(rounded).to(torch.float32), tokenizer) == expected

    @pytest.mark.parametrize(
        "name", ["embed_tokens", "layers.0.self_attn.v_proj", "layers.1.mlp.up_proj"]
    )
    def test_fine_tuned_model_differs(self, name: str, backbone: Backbone) -> None:
        before = backbone.fingerprint(self.TAPS)
        weight = backbone.model.model.get_submodule(name).weight
        weight.data += 1e-3 * torch.randn_like(weight)
        assert self.of(backbone.model, backbone.tokenizer) != before

    def test_layers_behind_the_deepest_tap_do_not_count(self, backbone: Backbone) -> None:
        before = backbone.fingerprint(self.TAPS)
        backbone.model.model.layers[3].mlp.up_proj.weight.data.zero_()
        assert self.of(backbone.model, backbone.tokenizer) == before
        assert backbone.fingerprint([Tap(3, 0)]) != before
