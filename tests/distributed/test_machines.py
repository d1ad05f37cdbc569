"""How many workers a cluster gets, and what each has, where that was not said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from s3_retriever.distributed.build import _wanted
from s3_retriever.distributed.machines import Machines
from s3_retriever.distributed.rows import Row
from s3_retriever.distributed.sources import Source
from s3_retriever.errors import InputError


def cluster(*machines: dict[str, float], dead: int = 0) -> Any:
    nodes = [{"Resources": machine, "Alive": True} for machine in machines]
    nodes += [{"Resources": {"CPU": 64.0, "GPU": 8.0}, "Alive": False}] * dead
    return SimpleNamespace(nodes=lambda: nodes)


def settled(machines: Machines, *nodes: dict[str, float], dead: int = 0) -> Any:
    found = machines.settled(cluster(*nodes, dead=dead))
    return found.num_gpus, found.num_cpus, found.concurrency


def test_one_worker_for_each_gpu_or_for_each_machine() -> None:
    head, gpus, cores = {"CPU": 2.0}, {"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0}
    assert settled(Machines(), head, gpus, gpus, dead=1) == (1, 1, 8)
    assert settled(Machines(num_gpus=2), head, gpus) == (2, 1, 2)
    assert settled(Machines(), cores, cores, {"memory": 1.0}) == (0, 7, 2)
    assert settled(Machines(num_gpus=0), gpus) == (0, 15, 1)
    assert settled(Machines(concurrency=3, num_cpus=2), cores) == (0, 2, 3)
    assert settled(Machines(concurrency=(1, 9)), {"CPU": 1.0}) == (0, 1, (1, 9))
    assert Machines(concurrency=(4, 9)).workers == 4


def test_a_worker_that_fits_nowhere() -> None:
    with pytest.raises(InputError, match=r"no machine .* 2 GPUs and 1 CPU .*it has 4 and 8 in 4"):
        settled(Machines(num_gpus=2), *[{"CPU": 2.0, "GPU": 1.0}] * 4)
    with pytest.raises(InputError, match="concurrency=-1 is no number of workers; give 1 or more"):
        settled(Machines(concurrency=-1), {"CPU": 2.0})


def test_one_id_with_two_texts_is_refused_and_what_was_left_out_is_told() -> None:
    rows = [Row("a", "1", "{}"), Row("b", "", "{}", "is empty"), Row("a", "1", '{"n": 2}')]
    source = Source()
    wanted = _wanted(rows, source, lambda: ["c"])
    assert (wanted.texts, wanted.metadata) == ({"a": "1"}, {"a": '{"n": 2}'})
    assert wanted.gone == ["c"]
    assert [(it.place, it.id, it.reason) for it in source.skipped] == [(1, "b", "is empty")]
    with pytest.raises(InputError, match="two documents have the id 'a' and two texts"):
        _wanted([*rows, Row("a", "2", "{}")], Source(), tuple)
