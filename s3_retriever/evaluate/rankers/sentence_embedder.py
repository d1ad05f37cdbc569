"""Any model that sentence-transformers has saved in a folder, without that library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm

from s3_retriever.backbone.modes import best_dtype, quiet_loading
from s3_retriever.errors import InputError, first_line
from s3_retriever.evaluate.rankers.sentence_modules import read_json, read_modules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_BATCH = 2048
"""Tokens, padding included."""

_ENDLESS = 2**31 - 1

_OF_QUESTIONS = ("query",)
_OF_PASSAGES = ("document", "passage", "corpus")
_SIMILARITIES = (None, "cosine", "dot")


class SentenceEmbedder:
    """An embedding model as sentence-transformers saves it: transformer, pooling, layers, prompts.

    What is said in the folder holds: ``modules.json`` and the folders of its modules, the limit of
    tokens, lower case, the prompts of questions and of passages, and whether vectors are compared
    by their cosine or by their inner product.

    Args:
        folder: On this machine; nothing is fetched.
        name: For tables; None for the folder's name.
        prompts: Put before questions and before passages, such as ``("query: ", "passage: ")``;
            None for those that the folder names, if any.
        device: None for a GPU if there is one.
        dtype: Of the transformer; None for float32 on a CPU, and on a GPU what the package
            computes in. Pooling and layers compute in float32.

    Attributes:
        name: For tables.
        prompts: Of questions and of passages.

    Raises:
        InputError: it is no such folder, a file is missing or damaged, or the folder says what is
            unknown here.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        prompts: tuple[str, str] | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        folder = Path(folder)
        place, self._pooling, self._layers = read_modules(folder)
        config = _optional(folder / "config_sentence_transformers.json")
        reading = _optional(next(iter(sorted(place.glob("sentence_*_config.json"))), None))
        similarity = config.get("similarity_fn_name")
        if similarity not in _SIMILARITIES:
            raise InputError(f"{folder} compares vectors by {similarity}; known: cosine, dot")
        self.name = name or _name(folder)
        self.prompts = prompts or _prompts(config)
        self._unit = similarity != "dot"
        self._lower = bool(reading.get("do_lower_case"))
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        on_cpu = self._device.type == "cpu"
        dtype = dtype or (torch.float32 if on_cpu else best_dtype(self._device))
        self._tokenizer, self._model = _load(place, dtype)
        self._model.to(self._device)
        self._limit = reading.get("max_seq_length") or _limit(self._tokenizer, self._model)

    def texts(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Embed passages, in batches of like length: ``f32[n, d]``."""
        return self._embed(self.prompts[1], texts, progress)

    def question(self, question: str) -> np.ndarray:
        """Embed a question: ``f32[d]``."""
        vector: np.ndarray = self._embed(self.prompts[0], [question])[0]
        return vector

    @torch.inference_mode()
    def _embed(self, prompt: str, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        rows = self._tokens([prompt + text for text in texts])
        uncounted = 0 if self._pooling.include_prompt else self._length(prompt)
        order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
        total, found = sum(map(len, rows)), []
        with tqdm(
            total=total,
            desc=self.name,
            unit="token",
            unit_scale=True,
            leave=False,
            disable=not progress,
        ) as bar:
            for batch in _batches([rows[place] for place in order]):
                found.append(self._vectors(batch, uncounted))
                bar.update(sum(map(len, batch)))
        vectors: np.ndarray = torch.cat(found)[np.argsort(order)].numpy()
        return vectors

    def _vectors(self, rows: list[list[int]], uncounted: int) -> Tensor:
        """Embed rows of tokens, of which the first few may be left out of the pooling."""
        lengths = torch.tensor([len(row) for row in rows], device=self._device)
        filler = self._tokenizer.pad_token_id or 0
        ids = pad_sequence([torch.tensor(row) for row in rows], True, filler).to(self._device)
        places = torch.arange(ids.shape[1], device=self._device)
        seen = places < lengths[:, None]
        states = self._model(input_ids=ids, attention_mask=seen.long()).last_hidden_state
        first = torch.minimum(lengths - 1, torch.tensor(uncounted, device=self._device))
        vectors = self._pooling(states.float(), seen & (places >= first[:, None])).cpu()
        for layer in self._layers:
            vectors = layer(vectors)
        return torch.nn.functional.normalize(vectors) if self._unit else vectors

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        if self._lower:
            texts = [text.lower() for text in texts]
        read = self._tokenizer(texts, truncation=True, max_length=self._limit)["input_ids"]
        return [row or [self._tokenizer.pad_token_id or 0] for row in read]

    def _length(self, prompt: str) -> int:
        """Tokens of a prompt, without a special one that closes it."""
        (row,) = self._tokens([prompt])
        return len(row) - (row[-1] in self._tokenizer.all_special_ids)


def _batches(rows: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Cut rows, the longest first, into batches of at most `_BATCH` tokens, or of one row."""
    first = 0
    while first < len(rows):
        batch = rows[first : first + max(_BATCH // len(rows[first]), 1)]
        yield list(batch)
        first += len(batch)


def _load(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """The tokenizer and the encoder of a folder."""
    from transformers import AutoModel, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise InputError(f"{folder / 'config.json'} is missing; copy the whole folder of the model")
    try:
        with quiet_loading():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model, report = AutoModel.from_pretrained(
                folder, dtype=dtype, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # of whichever reader of files and of configurations it is
        raise InputError(f"cannot load a model from {folder}: {first_line(error)}") from error
    unused = ("pooler", "decoder") if model.config.is_encoder_decoder else ("pooler",)
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(unused))
    if missing:
        raise InputError(f"{folder} holds no weights for {missing[0]}: it is another model's")
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    model.config.use_cache = False
    return tokenizer, model.eval()


def _limit(tokenizer: Any, model: Any) -> int:
    """Tokens that the model has places for, where nothing is said of texts."""
    places = getattr(model.config, "max_position_embeddings", None)
    limits = (places, tokenizer.model_max_length, _ENDLESS)
    return min(int(limit) for limit in limits if limit and limit > 0)


def _optional(path: Path | None) -> dict[str, Any]:
    return read_json(path) if path is not None and path.exists() else {}


def _prompts(config: dict[str, Any]) -> tuple[str, str]:
    """Prompts of questions and of passages: by name, else the default one, if not the other's."""
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")

    def named(mine: tuple[str, ...], theirs: tuple[str, ...]) -> str:
        names = mine if default in theirs else (*mine, default)
        return next((prompts[name] for name in names if prompts.get(name)), "")

    return named(_OF_QUESTIONS, _OF_PASSAGES), named(_OF_PASSAGES, _OF_QUESTIONS)


def _name(folder: Path) -> str:
    """The folder's name; in the cache of the hub, where that is a digest, the model's."""
    place = folder.resolve()
    if place.parent.name == "snapshots":
        return place.parents[1].name.rpartition("--")[2]
    return place.name
