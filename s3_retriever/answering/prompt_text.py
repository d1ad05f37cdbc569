"""Text inside prompts: what it says stays text, whatever control tokens it spells.

A prompt is one string, and its control tokens are recognised by their spelling. Text that is put
into a prompt is therefore marked first: wherever it spells a control token, a `BREAK` stands
behind the first character. Reading the prompt cuts it there, so that no token reaches across.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tokenizers import Encoding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ESCAPE = "\ufdd0"
"""A character that Unicode keeps out of texts; one that is in a text nevertheless is `KEPT`."""

BREAK, KEPT = ESCAPE + "\ufdd2", ESCAPE + "\ufdd1"


class ControlTokens:
    """The control tokens of a tokenizer, as it is now: those added to its vocabulary.

    Special or not: some models open turns, thoughts and calls with tokens that are not called
    special. Only white space and single characters, which some tokenizers add as well, are text.

    Args:
        tokenizer: A fast tokenizer of transformers; neither changed nor copied.
    """

    def __init__(self, tokenizer: Any) -> None:
        added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
        self._tokenizer = tokenizer
        self._ids = {token.content: id for id, token in added.items() if _is_control(token.content)}
        self._lengths = sorted({len(text) for text in self._ids})
        self._forged = {*self._ids.values()} - {tokenizer.unk_token_id}

    def begin(self, prompt: str) -> bool:
        """Say whether a prompt begins with one."""
        return any(prompt[:length] in self._ids for length in self._lengths)

    def plain(self, text: str) -> str:
        """Mark a text so that `read` finds no control token in it."""
        pieces = [
            part for piece in _cut(text, self._spelled(text)) for part in self._unmistakable(piece)
        ]
        return BREAK.join(piece.replace(ESCAPE, KEPT) for piece in pieces)

    def _spelled(self, text: str) -> list[int]:
        """Places behind the first character of each control token, also of those that overlap."""
        firsts = "".join({re.escape(token[0]) for token in self._ids})
        return [
            found.end()
            for found in (re.finditer(f"[{firsts}]", text) if firsts else ())
            if any(
                text[found.start() : found.start() + length] in self._ids
                for length in self._lengths
            )
        ]

    def _unmistakable(self, piece: str) -> Iterator[str]:
        """Cut a piece that spells no control token where it would become one nevertheless.

        Its characters may be normalised to those of one. What the tokenizer says of characters
        that it does not know is no control token.
        """
        encoding = _encoding(self._tokenizer, piece)
        places = [
            start + 1
            for id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
            if id in self._forged and end - start > 1
        ]
        if not places:
            yield piece
            return
        for part in _cut(piece, places):
            yield from self._unmistakable(part)


def read(tokenizer: Any, prompt: str, *, framed: bool) -> list[int]:
    """Return the token ids of a prompt, some of whose text is marked.

    Args:
        tokenizer: A fast tokenizer of transformers.
        prompt: Without marks it is read as the tokenizer reads any text.
        framed: Add the tokens that the tokenizer puts around a text, such as BOS.
    """
    pieces = [piece.replace(KEPT, ESCAPE) for piece in prompt.split(BREAK)]
    whole = Encoding.merge([_encoding(tokenizer, piece) for piece in pieces], False)
    return list(tokenizer.backend_tokenizer.post_process(whole, None, framed).ids)


def _is_control(text: str) -> bool:
    """Say whether an added token is more than white space, ``▁`` being SentencePiece's blank."""
    return len(text) > 1 and bool(text.replace("▁", " ").strip())


def _cut(text: str, places: Sequence[int]) -> list[str]:
    bounds = [0, *places, len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


def _encoding(tokenizer: Any, text: str) -> Any:
    return tokenizer(text, add_special_tokens=False, verbose=False).encodings[0]
