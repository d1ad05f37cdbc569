"""A search over shards against one index of the same documents, in one run.

::

    python benchmarks/shards.py --tokens 1000000 --shards 4

The text is that of index_at_scale.py, cut into shards of equal size; the one index is made of their
folders. Every question is asked of the one index, of shards in this process, and of shards as
actors of Ray on this machine, in turn; what the model reads is left out, and was read before. What
moves is what shards tell and are told, as it is pickled.
"""

from __future__ import annotations

import pickle
import statistics
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from common import arguments, line, load, spread, write
from index_at_scale import entries, made, questions

from s3_retriever.distributed.sharded_index import ShardedIndex
from s3_retriever.engine import EndogenousIndex

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.distributed.shard_calls import Called
    from s3_retriever.engine.asking import SearchableIndex
    from s3_retriever.engine.results import SearchResult

ONE = "one index"


def folders(
    args: argparse.Namespace, backbone: Backbone, bank: Bank, home: Path
) -> tuple[list[Path], Path]:
    """Shards, and the one index of them."""
    rows = entries(args, backbone, bank)
    step = -(-len(rows) // args.shards)
    paths = []
    for first in range(0, len(rows), step):
        paths.append(home / f"shard-{len(paths)}.s3")
        made(backbone, bank, rows[first : first + step], paths[-1])
    EndogenousIndex.merge(paths, home / "whole.s3", model=backbone)
    return paths, home / "whole.s3"


def turns(
    indexes: Mapping[str, SearchableIndex], asked: Sequence[str], config: Mapping[str, Any]
) -> Iterator[dict[str, SearchResult]]:
    """What every index finds for each question, asked in turn; each turn begins one later."""
    names = [*indexes]
    for number, question in enumerate(asked):
        first = number % len(names)
        order = names[first:] + names[:first]
        yield {name: indexes[name].search(question, **config) for name in order}


def compared(
    indexes: Mapping[str, SearchableIndex], asked: Sequence[str], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Seconds of each index, their ratios to the one, and whether they find the same."""
    for _ in turns(indexes, asked, config):
        pass  # tables are made, and what the model reads is read
    every = [*turns(indexes, asked, config)]
    figures: dict[str, Any] = {}
    for name in indexes:
        took = [found[name].seconds for found in every]
        steps = [asdict(own) | {"search": own.search} for own in took]
        figures[name] = {step: spread([own[step] for own in steps]) for step in steps[0]}
        ratios = [f[name].seconds.search / f[ONE].seconds.search for f in every]
        figures[name]["of_one"] = spread(ratios)
        same = [[s.id for s in f[name]] == [s.id for s in f[ONE]] for f in every]
        pairs = [
            zip(f[name], f[ONE], strict=False) for f, it in zip(every, same, strict=True) if it
        ]
        off = max((abs(a.score - b.score) for both in pairs for a, b in both), default=0.0)
        figures[name] |= {"same_spans": statistics.mean(same), "most_off": off}
        print(line(f"{name}: search", figures[name]["search"]))
        print(line(f"{name} / {ONE}", figures[name]["of_one"], ""))
        print(f"{name}: the same spans {statistics.mean(same):.3f}, scores off by {off:.2g}")
    return figures


def moved(many: ShardedIndex, asked: Sequence[str], config: Mapping[str, Any]) -> dict[str, Any]:
    """Rounds and bytes of each question."""
    shards, count = many._shards, Counter[str]()
    call = shards.call

    def counted(method: str, given: Mapping[str, Sequence[Any]]) -> Called:
        called = call(method, given)
        count["rounds"] += 1
        count["told"] += sum(len(pickle.dumps(own)) for own in given.values())
        count["tell"] += sum(len(pickle.dumps(own)) for own in called.values.values())
        return called

    rows = []
    shards.call = counted  # type: ignore[method-assign]
    for question in asked:
        count.clear()
        many.search(question, **config)
        rows.append(dict(count))
    shards.call = call  # type: ignore[method-assign]
    figures = {name: spread([row[name] for row in rows]) for name in rows[0]}
    for name, figure in figures.items():
        print(line(name, figure, "bytes" if name != "rounds" else "", 0))
    return figures


def main(args: argparse.Namespace) -> None:
    """Measure and write."""
    torch.set_num_threads(args.threads)
    backbone, bank = load("smollm2", "fp32", args.seed)
    asked, config = questions(args.questions), {"exact": args.exact}
    with tempfile.TemporaryDirectory() as home:
        paths, whole = folders(args, backbone, bank, Path(home))
        indexes: dict[str, SearchableIndex] = {ONE: EndogenousIndex.load(whole, model=backbone)}
        with ShardedIndex.open(paths, model=backbone) as here:
            indexes["shards here"] = here
            with ShardedIndex.open(
                paths, model=backbone, address="local", options={"num_cpus": 0}, timeout=600
            ) as there:
                indexes["shards on Ray"] = there
                figures = compared(indexes, asked, config)
            figures["moved"] = moved(here, asked, config)
    settings = {"threads": args.threads, "shards": args.shards, "tokens": args.tokens}
    write("shards", args, {**settings, **figures}, backbone, bank)


if __name__ == "__main__":
    parser = arguments(__doc__ or "")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of the synthetic text")
    parser.add_argument("--real", type=int, default=60_000, help="tokens that are drawn from")
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--exact", action="store_true", help="read the codes of all sentences")
    main(parser.parse_args())
