"""Retention on LongBench: answers from retrieved context beside answers from the full one.

    python benchmarks/longbench.py FOLDER --kept KEPT
    python benchmarks/longbench.py FOLDER --kept KEPT --tasks hotpotqa 2wikimqa --limit 3
    python benchmarks/longbench.py FOLDER --kept KEPT --model qwen.gguf --bank banks/qwen

FOLDER holds LongBench's own files, a task each (``hotpotqa.jsonl``). Every contender answers with
the same prompt, LongBench's, greedily and as long as LongBench lets it; those that retrieve get
`--budget` tokens of the context, in the order of the text, and the full context is cut in the
middle where the window does not hold it. Each item is a corpus of one document.

Items are asked one by one, those with the shortest context first. What came of each is kept in a
file of JSON lines in KEPT; a run that was broken off goes on behind the last one, and after every
item the figures of all so far are written to results/longbench-cpu.json, without texts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import CUDA, DTYPES, RESULTS, write
from longbench_asking import FULL, Asker
from longbench_report import report
from longbench_tasks import TASKS, items_of

from s3_retriever.backbone import Backbone
from s3_retriever.engine.resolve import resolve_bank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from longbench_tasks import Item

    Key = tuple[str, str]


class Kept:
    """Outcomes in a file of JSON lines; the last one of an item counts.

    Args:
        path: Of the file, made when something is added.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[Key, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                outcome = json.loads(line)
            except json.JSONDecodeError:  # the run was broken off while it was written
                continue
            self._found[outcome["task"], outcome["id"]] = outcome

    def add(self, outcome: dict[str, Any]) -> None:
        """Keep one more."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        begun = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write("\n" * begun + json.dumps(outcome, ensure_ascii=False) + "\n")
        self._found[outcome["task"], outcome["id"]] = outcome

    def of(self, items: Iterable[Item], contenders: Iterable[str]) -> list[dict[str, Any]]:
        """Those of some items that have all contenders, in the order of the items."""
        keys, names = [(item.task.name, item.id) for item in items], {*contenders}
        found = [self._found[key] for key in keys if key in self._found]
        return [outcome for outcome in found if names <= outcome["contenders"].keys()]


def chosen(folder: Path, tasks: Sequence[str] | None, limit: int | None) -> list[Item]:
    """Items by the length of their context, of each task at most so many, the shortest.

    Raises:
        SystemExit: the folder has no file of a task that was named, or of any.
    """
    there = [name for name in TASKS if (folder / f"{name}.jsonl").is_file()]
    missing = sorted({*(tasks or there)} - {*there})
    if missing or not there:
        raise SystemExit(
            f"{folder} has no {(missing or ['hotpotqa'])[0]}.jsonl; give the folder of LongBench's "
            f"files; known tasks: {', '.join(TASKS)}"
        )
    found: list[Item] = []
    for name in there:
        if name in (tasks or there):
            own = sorted(items_of(TASKS[name], folder), key=lambda item: len(item.context))
            found += own[:limit]
    return sorted(found, key=lambda item: len(item.context))


def figures(asker: Asker, outcomes: list[dict[str, Any]], of: int, seed: int) -> dict[str, Any]:
    """What is written of the items so far."""
    return {
        "budget": asker.budget,
        "window": asker.window,
        "items_chosen": of,
        **report(outcomes, asker.retrievers, seed),
    }


def show(outcome: dict[str, Any], number: int, of: int) -> None:
    """One line: scores by contender."""
    scores = "  ".join(
        f"{name} {100 * own['score']:.1f}" for name, own in outcome["contenders"].items()
    )
    what = f"{number}/{of} {outcome['task']}, {outcome['tokens']:,} tokens"
    print(f"{what:<44} {scores}", flush=True)


def main(args: argparse.Namespace) -> None:
    """Ask what is left, and write after every item."""
    items = chosen(args.folder, args.tasks, args.limit)
    backbone = Backbone.load(args.model, dtype=DTYPES[args.dtype])
    bank = resolve_bank(args.bank, backbone, (), progress=False)
    asker = Asker(backbone, bank, args.budget, args.window)
    name = f"{Path(backbone.name).name}-{args.dtype}-{asker.budget}-of-{asker.window}"
    kept = Kept(args.kept / f"{name}.jsonl")
    names = [FULL, *(retriever.name for retriever in asker.retrievers)]
    for number, item in enumerate(items, start=1):
        if kept.of([item], names):
            continue
        outcome = asker.outcome(item)
        kept.add(outcome)
        show(outcome, number, len(items))
        made = figures(asker, kept.of(items, names), len(items), args.seed)
        write("longbench", args, made, backbone, bank)
    made = figures(asker, kept.of(items, names), len(items), args.seed)
    write("longbench", args, made, backbone, bank)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--kept", type=Path, required=True, help="folder for what came of items")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="TASK", help="default: all")
    parser.add_argument("--limit", type=int, help="items of each task, the shortest")
    parser.add_argument("--budget", type=int, default=1024, help="tokens of retrieved context")
    parser.add_argument("--window", type=int, help="tokens, where fewer than the model has")
    parser.add_argument("--model", help="as for s3-retriever eval; default: SmolLM2")
    parser.add_argument("--bank", type=Path, help="of the model; default: the one that ships")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    default = RESULTS / f"longbench-{'cuda' if CUDA else 'cpu'}.json"
    parser.add_argument("--out", type=Path, default=default)
    main(parser.parse_args())
