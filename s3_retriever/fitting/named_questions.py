"""Questions that name a document and questions that do not, for `s3_retriever.fitting.places`."""

from __future__ import annotations

import random
import tomllib
from functools import cache, partial
from importlib import resources
from string import Formatter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class NamedQuestion(NamedTuple):
    """A question, and which of its characters name the document it is about.

    Attributes:
        text: The whole.
        start: First character of the clause.
        end: One past its last character; `start` where there is no clause.
    """

    text: str
    start: int
    end: int


def named_questions(asked: Sequence[str], count: int, seed: int = 0) -> list[NamedQuestion]:
    """Make questions, every third of them with a clause in front or behind.

    Args:
        asked: Questions without such a clause, beside those that are made up.
        count: How many to make; three in ten are of `asked`, where there are any.
        seed: Of what is drawn.
    """
    return _Maker(random.Random(seed)).questions(asked, count)


@cache
def _texts() -> dict[str, Any]:
    file = resources.files("s3_retriever") / "data" / "named_questions.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


class _Maker:
    """Draws from the lists of ``data/named_questions.toml``."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._texts = chance, _texts()
        self._made: dict[str, Callable[[], str]] = {
            name: partial(chance.choice, values) for name, values in self._texts["lists"].items()
        }
        self._made |= {
            "kind": self._kind,
            "person": self._person,
            "firm": self._firm,
            "year": self._year,
            "date": self._date,
            "title": self._title,
            "number": lambda: str(chance.randint(1, 30)),
            "file": lambda: f"{self._draw('maker')}_{self._draw('kind')}".lower().replace(" ", "_"),
        }

    def questions(self, asked: Sequence[str], count: int) -> list[NamedQuestion]:
        """See `named_questions`."""
        made = []
        for number in range(count):
            own = bool(asked) and self._chance.random() < 0.3
            text = self._chance.choice(asked).strip() if own else self._plain()
            made.append(NamedQuestion(text, 0, 0) if number % 3 else self._with_clause(text))
        return made

    def _with_clause(self, question: str) -> NamedQuestion:
        clause = self._chance.choice(self._texts["clauses"])
        lower = question.split()[0].lower() in self._texts["openings"]
        forms = {
            "{q}": question,
            "{l}": question[0].lower() + question[1:] if lower else question,
            "{b}": question.rstrip("?.! "),
        }
        slot = next(slot for slot in forms if slot in clause)
        name = self._fill(self._chance.choice(self._texts["names"]))
        before, behind = (side.replace("{n}", name) for side in clause.split(slot))
        if before:
            text = _capital(before) + forms[slot] + behind
            return NamedQuestion(text, 0, len(before))
        text = _capital(forms[slot]) + behind
        return NamedQuestion(text, len(forms[slot]), len(text))

    def _plain(self) -> str:
        return _capital(self._fill(self._chance.choice(self._texts["plain"])))

    def _fill(self, pattern: str) -> str:
        """The pattern with something drawn for each of its names."""
        parts = Formatter().parse(pattern)
        return "".join(text + (self._draw(name) if name else "") for text, name, *_ in parts)

    def _draw(self, name: str) -> str:
        return self._made[name]()

    def _kind(self) -> str:
        kind: str = self._chance.choice(self._texts["lists"]["kind"])
        title = " ".join(word if word == "of" else _capital(word) for word in kind.split())
        return self._chance.choice((kind, title))

    def _person(self) -> str:
        return f"{self._draw('first')} {self._draw('last')}"

    def _firm(self) -> str:
        name = self._draw(self._chance.choices(("maker", "last"), (3, 2))[0])
        name += self._chance.choices(("", f" {self._draw('maker')}"), (3, 1))[0]
        name += self._chance.choices(("", f" & {self._draw('last')}"), (6, 1))[0]
        name += self._draw("suffix")
        return self._chance.choices((name, f'"{name}"'), (6, 1))[0]

    def _year(self) -> str:
        return str(self._chance.randint(1850, 2026))

    def _date(self) -> str:
        day, month, year = self._chance.randint(1, 28), self._draw("month"), self._year()
        forms = (year, f"{month} {year}", f"{day} {month} {year}", f"{month} {day}, {year}")
        return self._chance.choice(forms)

    def _title(self) -> str:
        words = self._texts["lists"]["word"]
        return " ".join(self._chance.sample(words, self._chance.randint(2, 4)))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
