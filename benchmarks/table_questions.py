"""Questions for a cell by key and column: whether the first span found holds the row.

    python benchmarks/table_questions.py
    python benchmarks/table_questions.py --rows 400 --questions 10

Tables of made-up stations, employees, parts, towns, invoices, readings and abbreviations are
written as CSV, Markdown, JSON Lines and minified JSON, and questions ask for their cells. Each
table is searched by itself, and all of a format together. What is counted, in percent: *row*, the
first span holds the row; *top*, the first span begins with it; *header*, the names of the columns
stand in the first span or are told with it; *inside*, of all spans, those that begin inside a row.
The result goes to results/table_questions-cpu.json.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import arguments, write
from made_tables import FORMATS, Made, made_tables

from s3_retriever import Document, EndogenousIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3_retriever import Span

ASKED = ("What is the {column} of {key}?", "{key} {column}", "Which {column} does {key} have?")
MEASURES = ("row", "top", "header", "inside")


@dataclass(frozen=True)
class Question:
    """A question, the document that answers it, and where in it the row stands."""

    text: str
    document: str
    start: int
    end: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """A table in a format: its document, the places of its rows, and questions for it."""

    document: Document
    rows: tuple[tuple[int, int], ...]
    questions: tuple[Question, ...]


def written(made: Made, format: str, count: int, seed: int) -> Written:
    """Write a table, and ask for some of its cells."""
    text, rows = FORMATS[format](made)
    id, places, at = f"{made.name} as {format}", [], 0
    for row in rows:
        at = text.index(row, at)
        places.append((at, at + len(row)))
        at += len(row)
    document = Document(id, text, {"format": format, "table": made.name})
    return Written(document, tuple(places), tuple(_asked(made, id, places, count, seed)))


def _asked(
    made: Made, id: str, places: Sequence[tuple[int, int]], count: int, seed: int
) -> Iterator[Question]:
    chance = random.Random(f"{seed} {made.name}")
    for number, row in enumerate(chance.sample(range(len(made.rows)), count)):
        column = chance.choice(made.columns[1:])
        form = ASKED[number % len(ASKED)]
        text = form.format(column=column.lower(), key=made.rows[row][0])
        yield Question(text, id, *places[row], made.columns)


def judged(
    spans: Sequence[Span], asked: Question, rows: Mapping[str, Sequence[tuple[int, int]]]
) -> dict[str, float]:
    """What of `MEASURES` the spans of one question do."""
    first = spans[0]
    home = first.document_id == asked.document
    told = f"{first.text} {getattr(first, 'header', '')}".lower()
    inside = sum(
        any(start < span.start < end for start, end in rows[span.document_id]) for span in spans
    )
    return {
        "row": home and first.start <= asked.start and asked.end <= first.end,
        "top": home and asked.start - 2 <= first.start <= asked.start,
        "header": all(column.lower() in told for column in asked.columns),
        "inside": inside / len(spans),
    }


def measured(
    index: EndogenousIndex, tables: Sequence[Written], k: int, **filter: str
) -> list[dict[str, float]]:
    """The questions of some tables, asked of those that pass a filter."""
    rows = {own.document.id: own.rows for own in tables}
    questions = [question for own in tables for question in own.questions]
    found = index.search_many([question.text for question in questions], filter=filter, k=k)
    both = zip(found, questions, strict=True)
    return [judged(spans.spans, question, rows) for spans, question in both]


def percent(judgements: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each measure."""
    return {
        name: round(100 * sum(own[name] for own in judgements) / len(judgements), 1)
        for name in MEASURES
    }


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=78)
    parser.add_argument("--questions", type=int, default=12, help="of each table and format")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--spans", type=int, default=5)
    args = parser.parse_args()
    made, figures = made_tables(args.rows, args.seed), {}
    tables = {
        format: [written(own, format, args.questions, args.seed) for own in made]
        for format in args.formats
    }
    documents = [own.document for all_of_one in tables.values() for own in all_of_one]
    index = EndogenousIndex.build(documents, progress=False)
    for format, of_format in tables.items():
        kinds = {
            own.document.id: measured(index, [own], args.spans, **own.document.metadata)
            for own in of_format
        }
        kinds[f"{format}, each alone"] = [one for own in kinds.values() for one in own]
        kinds[f"{format}, together"] = measured(index, of_format, args.spans, format=format)
        for name, judgements in kinds.items():
            figures[name] = percent(judgements)
            shown = "  ".join(f"{key} {value:5.1f}" for key, value in figures[name].items())
            print(f"{name:<34} {shown}", flush=True)
    write("table_questions", args, {"rows": args.rows, "percent": figures})


if __name__ == "__main__":
    main()
