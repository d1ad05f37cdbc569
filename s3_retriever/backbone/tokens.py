"""Plain text to token ids with exact character offsets."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.documents import whole_text
from s3_retriever.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PIECE_CHARACTERS = 1 << 18
"""Longer texts are tokenised in pieces of at most this many characters."""

_SAMPLE = (
    "The quick brown fox, who'd jumped 1,234 times (so it's said) over 56 lazy dogs, wasn't "
    "tired.\n\n  def area(radius: float) -> float:\n\treturn 3.14159 * radius**2\n"
    "Größe, naïveté, œuvre; Привет, мир! 你好,世界。 مرحبا नमस्ते 🗼\r\n<|im_end|></s> https://e.org"
)


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """Tokens of one text; token ``i`` came from ``text[starts[i]:ends[i]]``.

    Starts never decrease and ``0 <= start <= end <= len(text)``. Characters split over several
    tokens (an emoji, say) are spanned by each of them; white space around a token may be left
    out of its span, as the tokenizer has it.

    Attributes:
        ids: Token ids, int64 ``[T]``, no special tokens.
        starts: First character of each token, int32 ``[T]``.
        ends: One past its last character, int32 ``[T]``.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)


class TextTokenizer:
    """A fast tokenizer that treats all text as plain text; safe to share between threads.

    It works on a private copy: no truncation, no padding, no added special tokens, and the
    string of a special token such as ``<|im_end|>`` is read as the characters it is made of.

    Texts above `PIECE_CHARACTERS` are cut at paragraph, line or word ends, so that memory is
    bounded; a token next to a cut may then differ from that of the text taken whole.

    Args:
        tokenizer: A fast tokenizer of transformers.

    Raises:
        UnsupportedModelError: a slow tokenizer, which knows no character offsets.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise UnsupportedModelError(
                f"{type(tokenizer).__name__} gives no character offsets; load the model's fast "
                "tokenizer, AutoTokenizer.from_pretrained(..., use_fast=True), or convert it to "
                "a tokenizer.json first"
            )
        self._tokenizer = copy.deepcopy(tokenizer.backend_tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # as plain text
        self.bos_id: int | None = tokenizer.bos_token_id

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._tokenizer.encode_special_tokens = True  # which tokenizers forgets in copies

    @property
    def max_id(self) -> int:
        """The largest id that text can become; ids of special tokens do not count."""
        special = {
            id for id, token in self._tokenizer.get_added_tokens_decoder().items() if token.special
        }
        return max(set(self._tokenizer.get_vocab().values()) - special, default=-1)

    @property
    def digest(self) -> str:
        """Hex digest of the tokens of a sample text; another tokenizer has another."""
        ids = self._tokenizer.encode(_SAMPLE, add_special_tokens=False).ids
        return hashlib.sha256(json.dumps(ids).encode()).hexdigest()

    def encode(self, text: str) -> TokenizedText:
        """Tokenise one text.

        Raises:
            InputError: not a str, or a lone surrogate in it.
        """
        if not isinstance(text, str):
            kind = type(text).__name__
            raise InputError(f"text must be a str, not {kind}; decode it first")
        return self._encode(whole_text(text, "the text"))

    def _encode(self, text: str) -> TokenizedText:
        ids = [np.zeros(0, np.int64)]
        offsets = [np.zeros((0, 2), np.int32)]
        for start, piece in _pieces(text):
            encoding = self._tokenizer.encode(piece, add_special_tokens=False)
            ids.append(np.array(encoding.ids, np.int64))
            offsets.append(np.array(encoding.offsets, np.int32).reshape(-1, 2) + np.int32(start))
        starts, ends = np.concatenate(offsets).T
        starts = np.maximum.accumulate(starts)
        return TokenizedText(np.concatenate(ids), starts, np.maximum(starts, ends))

    def encode_batch(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenise several texts as `encode` does, but without a check.

        Args:
            texts: Without lone surrogates, as the texts of documents are.
        """
        return [self._encode(text) for text in texts]

    def count(self, text: str) -> int:
        """Return the length of a text in tokens."""
        return len(self.encode(text))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    while start < len(text):
        end = _cut(text, start, start + PIECE_CHARACTERS)
        yield start, text[start:end]
        start = end


def _cut(text: str, start: int, limit: int) -> int:
    """Return the end of a piece: after a paragraph, a line or before a blank, if any is near."""
    if limit >= len(text):
        return len(text)
    middle = (start + limit) // 2
    for mark, kept in (("\n\n", 2), ("\n", 1), (" ", 0)):
        found = text.rfind(mark, middle, limit)
        if found > start:
            return found + kept
    return limit
