"""Following a generation of transformers token by token."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteria

if TYPE_CHECKING:
    from collections.abc import Callable


class StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Follows a generation token by token: keeps its text, hands it on, says when to stop.

    Text is handed on only when nothing to come can change it: not the beginning of what may become
    a stop string. Half a character at the end is left out until its other half has come.

    Args:
        decode: Text of token ids.
        prompt_tokens: Length of the prompt.
        stops: Strings that end the text.
        emit: Gets each new piece.
        outside: Somebody else's event, which ends the generation as `cancelled` does.

    Attributes:
        text: All of the new text so far.
        cancelled: Set it to end the generation after the token at work.
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        prompt_tokens: int,
        stops: tuple[str, ...],
        emit: Callable[[str], None] = lambda piece: None,
        outside: threading.Event | None = None,
    ) -> None:
        self.text = ""
        self.cancelled = threading.Event()
        self._outside = outside or self.cancelled
        self._decode = decode
        self._prompt_tokens = prompt_tokens
        self._stops = stops
        self._emit = emit
        self._sent = 0

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        """Take in the newest token; ``bool[B]``, true where the text is at its end.

        Args:
            input_ids: Prompt and new tokens, ``[1, L]``.
            scores: Unused.
            **kwargs: Unused.
        """
        text = self._decode(input_ids[0, self._prompt_tokens :].tolist()).rstrip("\ufffd")
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        self.text = text[: min(found, default=len(text))]
        self._send(len(self.text) if found else self._settled())
        done = bool(found) or self.is_cancelled
        return torch.full((input_ids.shape[0],), done, dtype=torch.bool, device=input_ids.device)

    @property
    def is_cancelled(self) -> bool:
        """Whether the generation is to end."""
        return self.cancelled.is_set() or self._outside.is_set()

    def flush(self) -> None:
        """Hand on what was held back."""
        self._send(len(self.text))

    def _settled(self) -> int:
        text = self.text
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for held in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-held:]) for stop in self._stops):
                return len(text) - held
        return len(text)

    def _send(self, end: int) -> None:
        if end > self._sent:
            self._emit(self.text[self._sent : end])
            self._sent = end
