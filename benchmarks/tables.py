"""Write the tables of the README and the documentation from the files in results/.

    python benchmarks/tables.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; NAME is that of a file
``quality-NAME.json`` made by quality.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
SHORT = {
    "chroma-state-of-the-union": "speech",
    "chroma-chatlogs": "chats",
    "chroma-wikitexts": "Wikipedia",
    "squad-24-articles": "SQuAD",
    "hotpotqa-pooled-100": "HotpotQA",
    "musique-pooled-60": "MuSiQue",
    "legal-privacy-qa": "privacy",
    "legal-contractnli": "contracts",
    "qmsum-academic-9": "meetings",
}
"""Column heads of the sets."""


def quality(part: str, *, costs: bool = False) -> str:
    """Evidence recall of each ranker on each set, as Markdown.

    Args:
        part: Of quality.py.
        costs: Add bytes a token and milliseconds of a search, where they were measured.
    """
    made = json.loads((RESULTS / f"quality-{part}.json").read_text(encoding="utf-8"))
    metric, names = made["metric"], _in_order(labelled["name"] for labelled in made["sets"])
    compared = any(row["difference"] for row in made["rows"])
    costs = costs and all("cost" in row for row in made["rows"])
    heads = ["ranker", *(SHORT.get(name, name) for name in names), "mean"]
    heads += ["to the best baseline"] if compared else []
    heads += ["bytes/token", "search"] if costs else []
    rows = [_row(row, names, metric, compared, costs) for row in made["rows"]]
    return "\n".join(map(_line, [heads, ["---"] * len(heads), *rows]))


def ablation() -> str:
    """What is lost where one part alone is taken away, as Markdown.

    A row is compared with the whole of its own run.
    """
    rows = []
    for file in sorted(RESULTS.glob("quality-ablation*.json")):
        made = json.loads(file.read_text(encoding="utf-8"))
        metric = made["metric"]
        whole = made["rows"][0]["means"][metric]
        rows = rows or [["S3 + BM25, whole", _percent(whole), ""]]
        for row in made["rows"][1:]:
            mean = row["means"][metric]
            rows.append([row["title"], _percent(mean), f"{100 * (mean - whole):+.1f}"])
    return "\n".join(map(_line, [["changed", "mean recall", "change"], ["---"] * 3, *rows]))


def hop() -> str:
    """How many questions of each set the second hop answers better and worse, as Markdown."""
    made = json.loads((RESULTS / "quality-meaning.json").read_text(encoding="utf-8"))
    (without,) = (row for row in made["rows"] if row["title"] == "no second hop")
    asked = {labelled["name"]: str(labelled["questions"]) for labelled in made["sets"]}
    names = _in_order(asked)
    counts = [without["against_first"][name] for name in names]
    questions = [asked[name] for name in names]
    heads = ["with the second hop", *(SHORT.get(name, name) for name in names)]
    rows = [
        ["questions", *questions],
        ["better", *(str(own["worse"]) for own in counts)],
        ["worse", *(str(own["better"]) for own in counts)],
    ]
    return "\n".join(map(_line, [heads, ["---"] * len(heads), *rows]))


def scan() -> str:
    """Recall and costs of both depths, with the tokens a second that a scan makes, as Markdown."""
    every = quality("rivals", costs=True).splitlines()
    lines = every[:2] + [line for line in every if line.startswith("| S3")]
    measured = json.loads((RESULTS / "scan_speed-depths.json").read_text(encoding="utf-8"))
    (speeds,) = (figures["tokens_per_second"] for figures in measured["figures"].values())
    added = ["tokens/s", "---"]
    added += [f"{speeds['fast' if 'fast' in line else 'full']:,}" for line in lines[2:]]
    return "\n".join(f"{line} {cell} |" for line, cell in zip(lines, added, strict=True))


def relevance() -> str:
    """How well relevance tells what is there from what is not, as Markdown."""
    made = json.loads((RESULTS / "relevance.json").read_text(encoding="utf-8"))
    heads = ["questions", "asked", "evidence first", "answered or removed", "found first", "spans"]
    named = {"the package's own, all kinds": made["package"]}
    named |= {f"the package's own: {name}": own for name, own in made["kinds"].items()}
    named |= {SHORT.get(name, name): own for name, own in made["sets"].items()}
    areas = ("evidence_first", "auroc", "auroc_where_evidence_is_first", "auroc_of_spans")
    rows = [
        [name, str(own["questions"]), *(f"{own[area]:.2f}" for area in areas)]
        for name, own in named.items()
    ]
    return "\n".join(map(_line, [heads, ["---"] * len(heads), *rows]))


def longbench() -> str:
    """Scores of each contender on each task of LongBench, and what it retains, as Markdown."""
    made = _longbench()
    if not made:
        return NOT_RUN
    rows = made["rows"]
    heads = ["task", "items", "whole", *(_titled(row) for row in rows)]
    tasks = [
        [task["name"], str(task["items"]), str(task["whole"])]
        + [f"{task['scores'][row['name']]:.1f}" for row in rows]
        for task in made["tasks"]
    ]
    counts = [str(made["items"]), str(made["items_whole"])]
    below = [
        ["mean of tasks", *counts, *(_shown(row["mean"]) for row in rows)],
        ["tokens of context", "", "", *(f"{row['tokens']:,}" for row in rows)],
        ["retention, %", "", "", *(_interval(row["retention"]) for row in rows)],
        ["S3 + BM25 less this", "", "", *(_interval(row["ours_to_this"], "+") for row in rows)],
    ]
    told = (
        f"{made['items']} of {made['items_chosen']} items, the shortest first; {made['budget']:,} "
        f"tokens retrieved, window {made['window']:,}:"
    )
    lines = map(_line, [heads, ["---"] * len(heads), *tasks, *below])
    return "\n".join([told, "", *lines])


def longbench_hops() -> str:
    """What questions of several hops find in each context, as Markdown."""
    made = _longbench()
    if not made:
        return NOT_RUN
    heads = ["context", "answer in it, %", "NLL of the answer", "KL to full context"]
    rows = [
        [
            _titled(row),
            _percent(own["in_context"]),
            f"{own['nll']:.3f}",
            "" if row["name"] == "full" else f"{own['kl']:.3f}",
        ]
        for row in made["rows"]
        if (own := made["hops"].get(row["name"]))
    ]
    return "\n".join(map(_line, [heads, ["---"] * len(heads), *rows]))


NOT_RUN = "*Not run yet.*"
"""For results that take hours, as long as there are none."""


def _longbench() -> dict[str, Any]:
    """The results, or nothing where there are none."""
    file = RESULTS / "longbench-cpu.json"
    made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return made


def _in_order(names: Iterable[str]) -> list[str]:
    """Sets in the order of `SHORT`, and those that are not there behind."""
    return sorted(names, key=lambda name: [*SHORT, name].index(name))


def _titled(row: dict[str, Any]) -> str:
    return f"{row['title']} ({row['variant']})" if row["variant"] else str(row["title"])


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _interval(values: list[float] | None, sign: str = "") -> str:
    if not values:
        return ""
    mean, low, high = (f"{value:{sign}.1f}" for value in values)
    return f"{mean} ({low} to {high})"


def _row(
    row: dict[str, Any], names: list[str], metric: str, compared: bool, costs: bool
) -> list[str]:
    recalls = [_percent(row["sets"][name][metric]) for name in names]
    cells = [_titled(row), *recalls, _percent(row["means"][metric])]
    if compared:
        cells.append(_gap(row["difference"]))
    if costs:
        cost = row["cost"]
        cells += [f"{cost['bytes_per_token']:.0f}", f"{1000 * cost['search_seconds']:.0f} ms"]
    return cells


def _gap(difference: list[float] | None) -> str:
    if not difference:
        return "best baseline"
    mean, low, high = (100 * value for value in difference)
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


_PLACE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, *, costs: bool) -> str:
    """A page with its tables as the results have them."""

    def table(found: re.Match[str]) -> str:
        part = found[2]
        own = {
            "ablation": ablation,
            "hop": hop,
            "relevance": relevance,
            "scan": scan,
            "longbench": longbench,
            "longbench-hops": longbench_hops,
        }
        made = own[part]() if part in own else quality(part, costs=costs)
        return f"{found[1]}\n{made}\n\n{found[3]}"

    return _PLACE.sub(table, text)


PAGES = {
    ROOT / "README.md": False,
    ROOT / "docs/evidence.md": True,
    ROOT / "docs/relevance.md": False,
    ROOT / "docs/longbench.md": False,
}
"""Pages with tables, and whether these tell costs."""


if __name__ == "__main__":
    for page, costs in PAGES.items():
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(text, costs=costs), encoding="utf-8")
