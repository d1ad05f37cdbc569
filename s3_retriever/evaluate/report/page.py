"""An evaluation as one HTML page that needs nothing else, not even a network."""

from __future__ import annotations

import json
import shlex
from math import isnan
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

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
from s3_retriever.pages.bundle import asset, script, styles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.evaluate.results import Evaluation

_PACKAGE = "s3_retriever.evaluate.report"
_STYLES = ("colours.css", "base.css", "hits.css", "report.css")

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
    pages = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.from_string(asset("report.html", _PACKAGE) or "", {"zip": zip}).render(
        title=", ".join(labelled.name for labelled in found.sets),
        css=styles(_STYLES, _PACKAGE),
        js=script("report.js", _PACKAGE),
        tiles=_tiles(found),
        comparison=comparison(found),
        variants=every_variant(found),
        overview=overview(found),
        kinds=by_type(found),
        answers=answers(found),
        plots=_plots(found),
        facts=_facts(found, command),
        metric=describe(found.metric),
        data=_embedded(json.dumps(browser_data(found, questions), ensure_ascii=False)),
    )


def _embedded(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")


def _tiles(found: Evaluation) -> list[tuple[str, str]]:
    """Figures for the head of the page, each with what it is."""
    ours = next((row for row in found.rows if row.role == "ours"), None)
    base = found.baseline
    if ours is None or base is None:
        return []
    gap = found.difference(ours)
    tiles = [
        (percent(ours.mean(found.metric)), named(ours)),
        (percent(base.mean(found.metric)), f"best baseline: {named(base)}"),
    ]
    if gap is not None:
        interval = f"difference in points; 95% CI {100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
        tiles.append((f"{100 * gap.mean:+.1f}", interval))
    return tiles


def _plots(found: Evaluation) -> dict[str, Any] | None:
    """Charts as SVG and their legend; None where nothing was measured."""
    if all(isnan(row.mean(found.metric)) for row in found.rows):
        return None
    return {
        "legend": legend(found),
        "curve": curve_plot(found),
        "intervals": interval_plot(found),
        "sets": set_plot(found),
        "costs": cost_plots(found),
    }


def _facts(found: Evaluation, command: Sequence[str] | None) -> list[tuple[str, str]]:
    """What was run, on what, with what: names and values."""
    sizes = [
        (
            labelled.name,
            f"{len(labelled.documents):,} documents, {len(labelled.questions):,} "
            f"questions, {sum(len(d.text) for d in labelled.documents):,} characters",
        )
        for labelled in found.sets
    ]
    return [
        *([("command", shlex.join(command))] if command else []),
        *sizes,
        *(
            (f"{group} {name}", ", ".join(value) if isinstance(value, list) else str(value))
            for group, values in found.about.items()
            for name, value in values.items()
        ),
        ("bootstrap", f"2000 paired resamples of questions, seed {found.seed}"),
    ]
