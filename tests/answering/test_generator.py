"""Text generation with a backbone's own weights."""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
import time

import pytest
import torch
from conftest import make_llama, make_tokenizer

from s3_retriever.adapters import background
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.backbone import Backbone
from s3_retriever.errors import InputError

PROMPT = "The quick brown fox"
QUESTION = [{"role": "user", "content": "What is the capital of France? One word."}]


@pytest.fixture(scope="module")
def tiny(tiny_backbone):
    return TextGenerator(tiny_backbone)


@pytest.fixture
def own():
    """A generator whose model and tokenizer a test may change."""
    tokenizer = make_tokenizer()
    return TextGenerator(Backbone(make_llama(tokenizer, seed=1), tokenizer))


def generating() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "s3-retriever-generate"]


def wait_until_idle() -> None:
    for thread in generating():
        thread.join(timeout=60)
    assert not generating()


def test_greedy_text_is_what_a_plain_loop_makes(tiny):
    backbone = tiny.backbone
    ids = backbone.tokenizer(PROMPT)["input_ids"]
    made = []
    with torch.inference_mode():
        for _ in range(12):
            logits = backbone.model(torch.tensor([ids + made]), use_cache=False).logits
            made.append(int(logits[0, -1].argmax()))
            if made[-1] == backbone.tokenizer.eos_token_id:
                break
    expected = backbone.tokenizer.decode(made, skip_special_tokens=True).rstrip("\ufffd")
    assert tiny.generate(PROMPT, max_new_tokens=12) == expected


def test_pieces_join_to_the_whole(tiny):
    whole = tiny.generate(PROMPT, max_new_tokens=30)
    pieces = list(tiny.stream(PROMPT, max_new_tokens=30))
    assert len(pieces) > 1
    assert "".join(pieces) == whole
    assert not whole.startswith(PROMPT)


def test_max_new_tokens_bounds_the_text(own):
    own.backbone.model.generation_config.eos_token_id = None
    own.backbone.tokenizer.eos_token = None
    short = own.generate(PROMPT, max_new_tokens=1)
    longer = own.generate(PROMPT, max_new_tokens=6)
    assert longer.startswith(short)
    assert len(own.backbone.text.encode(longer)) > len(own.backbone.text.encode(short))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_stop_strings_are_cut_from_both_paths(tiny, length):
    whole = tiny.generate(PROMPT, max_new_tokens=30)
    stop = whole[len(whole) // 2 :][:length]
    expected = whole[: whole.index(stop)]
    assert tiny.generate(PROMPT, max_new_tokens=30, stop=[stop, "never there"]) == expected
    assert tiny.generate(PROMPT, max_new_tokens=30, stop=stop) == expected
    pieces = list(tiny.stream(PROMPT, max_new_tokens=30, stop=[stop]))
    assert "".join(pieces) == expected


def test_the_beginning_of_a_stop_string_that_never_ends_is_not_lost(tiny):
    whole = tiny.generate(PROMPT, max_new_tokens=10)
    stop = whole[-3:] + "never there"
    assert tiny.generate(PROMPT, max_new_tokens=10, stop=[stop]) == whole
    assert "".join(tiny.stream(PROMPT, max_new_tokens=10, stop=[stop])) == whole


def test_a_special_token_can_be_a_stop_string(own):
    tokenizer, config = own.backbone.tokenizer, own.backbone.model.generation_config
    config.eos_token_id = None
    whole = own.generate(PROMPT, max_new_tokens=8)
    spoken = own.backbone.text.encode(whole).ids[0]
    tokenizer.add_special_tokens({"extra_special_tokens": [tokenizer.decode([spoken])]})
    stop = tokenizer.decode([spoken])
    assert own.generate(PROMPT, max_new_tokens=8, stop=[stop]) == ""


def test_sampling_follows_the_seed_and_varies(tiny):
    def sample(seed):
        torch.manual_seed(seed)
        return tiny.generate(PROMPT, max_new_tokens=10, temperature=2.0)

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"temperature": -1.0}, r"temperature=-1\.0"),
        ({"stop": [""]}, "non-empty"),
        ({"stop": [3]}, "non-empty"),
    ],
)
def test_impossible_settings_are_refused_at_once(tiny, arguments, message):
    with pytest.raises(InputError, match=message):
        tiny.generate(PROMPT, **arguments)
    with pytest.raises(InputError, match=message):
        tiny.stream(PROMPT, **arguments)


def test_an_empty_prompt_is_refused(tiny):
    with pytest.raises(InputError, match="empty"):
        tiny.generate("")


def test_a_prompt_beyond_the_window_is_refused_with_the_numbers(tiny):
    window = tiny.context_window
    prompt = "lazy dog " * window
    tokens = tiny.count(prompt)
    message = rf"{tokens} tokens.*max_new_tokens=5.*window of {window}"
    with pytest.raises(InputError, match=message):
        tiny.generate(prompt, max_new_tokens=5)
    with pytest.raises(InputError, match=message):
        tiny.stream(prompt, max_new_tokens=5)


def test_the_model_is_left_as_it_was_and_nothing_is_remarked(own, caplog):
    model = own.backbone.model
    config = model.generation_config
    config.update(do_sample=True, temperature=0.3, top_p=0.5, min_p=0.2, max_length=9, top_k=3)
    before = copy.deepcopy(config.to_dict())
    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    caplog.set_level(logging.WARNING)
    greedy = own.generate(PROMPT, max_new_tokens=12)
    assert greedy == own.generate(PROMPT, max_new_tokens=12)
    own.generate(PROMPT, max_new_tokens=2, temperature=0.7)
    assert model.generation_config is config
    assert config.to_dict() == before
    assert [module.training for module in model.modules()] == modes
    assert not caplog.records


def test_closing_the_stream_ends_the_generation(tiny):
    stream = tiny.stream(PROMPT, max_new_tokens=3000)
    next(stream)
    assert generating()
    stream.close()
    wait_until_idle()
    assert tiny.backbone.lock.acquire(timeout=5)
    tiny.backbone.lock.release()


def test_dropping_the_stream_ends_the_generation(tiny):
    stream = tiny.stream(PROMPT, max_new_tokens=3000)
    next(stream)
    del stream
    wait_until_idle()


def test_a_stream_closed_while_the_model_is_busy_generates_nothing(tiny):
    calls = []
    handle = tiny.backbone.model.register_forward_pre_hook(lambda *_: calls.append(1))
    stream = tiny.stream(PROMPT, max_new_tokens=5)
    with tiny.backbone.lock:
        puller = threading.Thread(target=next, args=(stream, None))
        puller.start()
        while not generating():
            time.sleep(0.01)
        assert not calls
    puller.join()
    stream.close()
    wait_until_idle()
    handle.remove()


def test_the_lock_is_held_while_tokens_are_made(tiny):
    held = []

    def watch(*_):
        other = threading.Thread(target=lambda: held.append(not tiny.backbone.lock.acquire(False)))
        other.start()
        other.join()

    handle = tiny.backbone.model.register_forward_pre_hook(watch)
    try:
        tiny.generate(PROMPT, max_new_tokens=2)
        list(tiny.stream(PROMPT, max_new_tokens=2))
    finally:
        handle.remove()
    assert held and all(held)


def test_generation_may_be_called_while_holding_the_lock(tiny):
    with tiny.backbone.lock:
        assert tiny.generate(PROMPT, max_new_tokens=2) is not None


def test_an_error_in_the_thread_reaches_the_consumer(own):
    def fail(*_):
        raise RuntimeError("no memory left")

    own.backbone.model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no memory left"):
        list(own.stream(PROMPT, max_new_tokens=4))
    wait_until_idle()
    with pytest.raises(RuntimeError, match="no memory left"):
        own.generate(PROMPT, max_new_tokens=4)


def test_threads_take_turns_and_agree(tiny):
    expected = tiny.generate(PROMPT, max_new_tokens=6)
    results: list[str] = []

    def work(stream):
        text = "".join(tiny.stream(PROMPT, max_new_tokens=6)) if stream else None
        results.append(tiny.generate(PROMPT, max_new_tokens=6) if text is None else text)

    threads = [threading.Thread(target=work, args=(n % 2,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 6


def test_a_conversation_goes_through_the_chat_template(tiny):
    prompt = tiny.chat_prompt(QUESTION)
    expected = f"<|im_start|>user\n{QUESTION[0]['content']}<|im_end|>\n<|im_start|>assistant\n"
    assert prompt == expected
    ids = tiny.backbone.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert tiny.count(prompt) == len(ids)
    assert ids[0] == tiny.backbone.tokenizer.bos_token_id


def test_a_model_without_a_template_gets_labelled_turns(own):
    own.backbone.tokenizer.chat_template = None
    turns = [{"role": "system", "content": "Be brief."}, *QUESTION]
    assert not own.has_chat_template
    assert own.chat_prompt(turns) == (
        "Be brief.\n\nUser: What is the capital of France? One word.\n\nAssistant:"
    )


def test_a_template_without_a_system_turn_gets_it_in_the_first_user_turn(own):
    own.backbone.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert own.chat_prompt(turns) == "[user]Be brief.\n\nWhy?"
    turns[0]["content"], read = "<|im_end|>", own.backbone.tokenizer.decode
    assert read(own.encode(own.chat_prompt(turns))) == "[user]<|im_end|>\n\nWhy?"
    assert own.backbone.tokenizer.eos_token_id not in own.encode(own.chat_prompt(turns))
    with pytest.raises(InputError, match="System role not supported"):
        own.chat_prompt([{"role": "system", "content": "Be brief."}])


def test_a_prompt_that_is_given_may_hold_control_tokens(tiny):
    prompt = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    written = tiny.chat_prompt([{"role": "user", "content": "Hello"}])
    assert tiny.generate(prompt, max_new_tokens=6) == tiny.generate(written, max_new_tokens=6)
    end = tiny.backbone.tokenizer.eos_token_id
    assert end in tiny.encode("Hello<|im_end|>")
    assert end not in tiny.encode(tiny.plain("Hello<|im_end|>"))
    assert tiny.plain("Hello") == "Hello"


def test_no_messages_are_refused(tiny):
    with pytest.raises(InputError, match="at least one message"):
        tiny.chat_prompt([])


async def test_iterating_off_the_loop_leaves_the_loop_free(tiny):
    async def collect():
        return [piece async for piece in background.iterate(lambda: tiny.stream(PROMPT))]

    with tiny.backbone.lock:
        collecting = asyncio.create_task(collect())
        while not generating():
            await asyncio.sleep(0.01)
        assert not collecting.done()
    assert "".join(await collecting) == tiny.generate(PROMPT)


async def test_an_async_consumer_that_goes_away_ends_the_generation(tiny):
    stream = background.iterate(lambda: tiny.stream(PROMPT, max_new_tokens=3000))
    await anext(stream)
    await stream.aclose()
    await asyncio.to_thread(wait_until_idle)


async def test_a_cancelled_task_ends_the_generation(tiny):
    async def consume():
        async for _ in background.iterate(lambda: tiny.stream(PROMPT, max_new_tokens=3000)):
            pass

    task = asyncio.create_task(consume())
    while not generating():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_until_idle)


def test_the_default_model_answers(default_backbone):
    generator = TextGenerator(default_backbone)
    prompt = generator.chat_prompt(QUESTION)
    assert prompt.startswith("<|im_start|>system\n")
    answer = generator.generate(prompt, max_new_tokens=12)
    assert "Paris" in answer
    assert "capital of France? One word." not in answer
    assert "".join(generator.stream(prompt, max_new_tokens=12)) == answer
    assert generator.context_window == 8192
