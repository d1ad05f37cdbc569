"""Tables of made-up things with a key in each row, in four formats."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3_retriever.files.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Row = tuple[str, ...]

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FIRST = [
    "Ada",
    "Ben",
    "Cleo",
    "Dov",
    "Edda",
    "Finn",
    "Gita",
    "Hugo",
    "Ines",
    "Jan",
    "Kira",
    "Lars",
    "Mona",
    "Nils",
    "Olga",
    "Pia",
    "Ravi",
    "Sven",
]
_LAST = [
    "Ashdown",
    "Brandt",
    "Castell",
    "Dorn",
    "Ekberg",
    "Farrow",
    "Grieg",
    "Hallam",
    "Ibsen",
    "Jarvis",
    "Kemp",
    "Lunde",
    "Moss",
]
_ONSETS, _VOWELS = (
    [
        "b",
        "br",
        "d",
        "dr",
        "f",
        "g",
        "h",
        "k",
        "l",
        "m",
        "n",
        "p",
        "r",
        "s",
        "st",
        "t",
        "tr",
        "v",
        "w",
    ],
    ["a", "e", "i", "o", "u"],
)
_ENDS = ["by", "dale", "fell", "ford", "ham", "mere", "mouth", "stead", "ton", "wick"]
_REGIONS = ["Northmark", "Eastvale", "Southshore", "Westmoor", "Midland"]
_TRADES = ["Accounts", "Archive", "Kitchen", "Laboratory", "Sales", "Workshop"]
_THINGS = [
    "bolt",
    "bracket",
    "clamp",
    "cog",
    "flange",
    "gasket",
    "hinge",
    "lever",
    "nut",
    "pin",
    "rivet",
    "rod",
    "screw",
    "valve",
    "washer",
]
_MAKES = ["brass", "steel", "nylon", "copper", "oak", "rubber"]
_STATES = ["paid", "open", "overdue", "disputed"]


@dataclass(frozen=True)
class Made:
    """A table.

    Attributes:
        name: Of its kind.
        columns: Names; the first is that of the key.
        rows: Cells; no key comes twice.
    """

    name: str
    columns: Row
    rows: tuple[Row, ...]


def made_tables(rows: int, seed: int) -> list[Made]:
    """A table of each kind, with so many rows."""
    tables = []
    for number, (name, (columns, make)) in enumerate(_KINDS.items()):
        chance = random.Random(f"{seed} {number}")
        known: dict[str, Row] = {}
        while len(known) < rows:
            row = make(chance, len(known))
            known.setdefault(row[0], row)
        tables.append(Made(name, columns, tuple(known.values())))
    return tables


def _person(chance: random.Random) -> str:
    return f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"


def _town(chance: random.Random) -> str:
    syllable = chance.choice(_ONSETS) + chance.choice(_VOWELS)
    return (syllable + chance.choice(["", "l", "n", "r"]) + chance.choice(_ENDS)).capitalize()


def _date(chance: random.Random) -> str:
    return f"{chance.randint(1998, 2024)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"


def _station(chance: random.Random, number: int) -> Row:
    code = f"{chance.choice('KLMN')}{chance.choice('WXYZ')}-{chance.randint(100, 999)}"
    line = f"{chance.choice(['Coast', 'Harbour', 'Valley', 'Ring'])} Line"
    sizes = f"{chance.randint(1, 12)}", f"{chance.randint(2, 900) * 100}"
    return code, _town(chance), line, f"{chance.randint(1860, 1999)}", *sizes


def _employee(chance: random.Random, number: int) -> Row:
    pay = f"{chance.randint(280, 960) * 100}"
    return (
        _person(chance),
        chance.choice(_TRADES),
        f"{chance.randint(1000, 9999)}",
        _date(chance),
        pay,
    )


def _part(chance: random.Random, number: int) -> Row:
    sku = f"SKU-{10400 + number}"
    what = f"{chance.choice(_MAKES)} {chance.choice(_THINGS)}, {chance.randint(2, 40)} mm"
    price, stock = f"{chance.randint(10, 9999) / 100:.2f}", f"{chance.randint(0, 5000)}"
    return sku, what, price, stock, f"{chance.choice(_LAST)} & Sons"


def _place(chance: random.Random, number: int) -> Row:
    sizes = f"{chance.randint(200, 90000)}", f"{chance.randint(1, 1400)}"
    return _town(chance), chance.choice(_REGIONS), *sizes, _person(chance)


def _invoice(chance: random.Random, number: int) -> Row:
    about = f"{chance.choice(_LAST)} {chance.choice(['Ltd', 'Bros', 'Mills'])}", _date(chance)
    return (
        f"{2000 + number}/{chance.randint(10, 99)}",
        *about,
        f"{chance.randint(50, 99999)}",
        (chance.choice(_STATES)),
    )


def _reading(chance: random.Random, number: int) -> Row:
    day = f"2023-{1 + number // 28:02}-{1 + number % 28:02}"
    return day, *(f"{chance.uniform(-20, 40):.1f}" for _ in range(9))


def _short(chance: random.Random, number: int) -> Row:
    letters = "".join(chance.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(3))
    return letters, f"{_town(chance)} {chance.choice(_TRADES)}"


_READINGS = ["Dawn", "Noon", "Dusk", "Wind", "Gusts", "Pressure", "Humidity", "Rain", "Sun"]
_KINDS: dict[str, tuple[Row, Callable[[random.Random, int], Row]]] = {
    "stations": (("Code", "Station", "Line", "Opened", "Platforms", "Passengers"), _station),
    "employees": (("Name", "Department", "Extension", "Hired", "Salary"), _employee),
    "parts": (("Part", "Description", "Price", "Stock", "Supplier"), _part),
    "towns": (("Town", "Region", "Population", "Elevation", "Mayor"), _place),
    "invoices": (("Invoice", "Customer", "Date", "Amount", "Status"), _invoice),
    "readings": (("Day", *_READINGS), _reading),
    "abbreviations": (("Abbreviation", "Meaning"), _short),
}


def as_csv(made: Made) -> tuple[str, list[str]]:
    """The table as CSV, and each of its rows as it stands there."""
    lines = [_csv_line(cells) for cells in (made.columns, *made.rows)]
    return "\n".join(lines) + "\n", lines[1:]


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def as_markdown(made: Made) -> tuple[str, list[str]]:
    """The table as Markdown, likewise."""
    text = table([made.columns, *made.rows])
    return f"# {made.name.capitalize()}\n\n{text}\n", text.split("\n")[2:]


def as_json_lines(made: Made) -> tuple[str, list[str]]:
    """The table as JSON Lines, likewise."""
    lines = [json.dumps(record) for record in _records(made)]
    return "\n".join(lines) + "\n", lines


def as_minified(made: Made) -> tuple[str, list[str]]:
    """The table as JSON without white space, likewise."""
    rows = [json.dumps(record, separators=(",", ":")) for record in _records(made)]
    return f'{{"{made.name}":[{",".join(rows)}]}}', rows


def _records(made: Made) -> Iterator[dict[str, object]]:
    for row in made.rows:
        yield {
            name.lower(): json.loads(cell) if _NUMBER.fullmatch(cell) else cell
            for name, cell in zip(made.columns, row, strict=True)
        }


FORMATS: dict[str, Callable[[Made], tuple[str, list[str]]]] = {
    "CSV": as_csv,
    "Markdown": as_markdown,
    "JSON Lines": as_json_lines,
    "minified JSON": as_minified,
}
"""How a table is written: its text, and each row as it stands in it."""
