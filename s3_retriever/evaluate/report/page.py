"""An evaluation as one HTML page that needs nothing else, not even a network."""

from __future__ import annotations

import json
import shlex
from html import escape
from importlib import resources
from math import isnan
from string import Template
from typing import TYPE_CHECKING

from s3_retriever.evaluate.report.browser import browser_data
from s3_retriever.evaluate.report.plots import (
    cost_plots,
    curve_plot,
    interval_plot,
    legend,
    set_plot,
)
from s3_retriever.evaluate.report.table import (
    answers,
    by_type,
    comparison,
    describe,
    every_variant,
    named,
    overview,
    percent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.evaluate.report.table import Table
    from s3_retriever.evaluate.results import Evaluation

QUESTIONS = 100
"""Questions of each set that the page shows one by one."""


def to_html(
    found: Evaluation, command: Sequence[str] | None = None, *, questions: int = QUESTIONS
) -> str:
    """Write an evaluation as one self-contained page.

    It holds the tables, plots of recall against budget, of every set and of cost against quality,
    and a browser of questions: what each ranker returned, with the evidence marked and, for
    rankers whose heat was kept (`evaluate(heat=...)`), the attention of every token.

    Args:
        found: What was found.
        command: Its command line, to be shown.
        questions: At most so many of each set are shown one by one.
    """
    page = Template(_file("page.html"))
    return page.substitute(
        title=escape(", ".join(labelled.name for labelled in found.sets)),
        css=_file("page.css"),
        js=_file("page.js"),
        headline=_headline(found),
        comparison=_html(comparison(found)),
        variants=_html(every_variant(found)),
        overview=_html(overview(found)),
        kinds=_section(by_type(found)),
        answers=_section(answers(found)),
        plots=_plots(found),
        about=_about(found, command),
        metric=escape(describe(found.metric)),
        data=_embedded(json.dumps(browser_data(found, questions), ensure_ascii=False)),
    )


def _file(name: str) -> str:
    return (resources.files("s3_retriever.evaluate.report") / "assets" / name).read_text(
        encoding="utf-8"
    )


def _embedded(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")


def _headline(found: Evaluation) -> str:
    ours = next((row for row in found.rows if row.role == "ours"), None)
    base = found.baseline
    if ours is None or base is None:
        return ""
    gap = found.difference(ours)
    tiles = [
        (percent(ours.mean(found.metric)), named(ours)),
        (percent(base.mean(found.metric)), f"best baseline: {named(base)}"),
    ]
    if gap is not None:
        interval = f"difference in points; 95% CI {100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
        tiles.append((f"{100 * gap.mean:+.1f}", interval))
    cells = "".join(
        f"<div class='tile'><b>{escape(value)}</b><span>{escape(text)}</span></div>"
        for value, text in tiles
    )
    return f"<div class='tiles'>{cells}</div>"


def _plots(found: Evaluation) -> str:
    if all(isnan(row.mean(found.metric)) for row in found.rows):
        return ""
    first = [
        ("Recall against budget, mean over sets", curve_plot(found)),
        ("Difference to the best baseline, with 95% intervals", interval_plot(found)),
    ]
    return (
        f"<section id='plots'><h2>Plots</h2>{legend(found)}"
        f"<div class='figures'>{''.join(_figure(*plot) for plot in first)}</div>"
        f"{_figure('Every set', set_plot(found))}<h3>Cost against quality</h3>"
        f"<div class='figures three'>{''.join(_figure(*plot) for plot in cost_plots(found))}</div>"
        "</section>"
    )


def _figure(caption: str, chart: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{chart}</figure>" if chart else ""


def _section(table: Table | None) -> str:
    return "" if table is None else f"<h3>{escape(table.title)}</h3>{_html(table)}"


def _html(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("ranker", *table.heads))
    marks = table.best or [[False] * len(table.heads)] * len(table.rows)
    lines = []
    for row, cells, best in zip(table.rows, table.body, marks, strict=True):
        variant = f" <small>{escape(row.variant)}</small>" if row.variant else ""
        first = f"<th scope='row'>{escape(row.title)}{variant}</th>"
        rest = "".join(
            f"<td{' class=best' if mark else ''}>{escape(cell)}</td>"
            for cell, mark in zip(cells, best, strict=True)
        )
        lines.append(f"<tr class='{row.role}'>{first}{rest}</tr>")
    return (
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _about(found: Evaluation, command: Sequence[str] | None) -> str:
    sizes = [
        (
            labelled.name,
            f"{len(labelled.documents):,} documents, {len(labelled.questions):,} "
            f"questions, {sum(len(d.text) for d in labelled.documents):,} characters",
        )
        for labelled in found.sets
    ]
    facts = [
        *([("command", shlex.join(command))] if command else []),
        *sizes,
        *(
            (f"{group} {name}", ", ".join(value) if isinstance(value, list) else str(value))
            for group, values in found.about.items()
            for name, value in values.items()
        ),
        ("bootstrap", f"2000 paired resamples of questions, seed {found.seed}"),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>{rows}</dl>"
