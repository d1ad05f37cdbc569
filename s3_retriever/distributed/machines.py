"""The workers of a cluster: how many, what each has, and the rows that come back from them."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from s3_retriever import errors
from s3_retriever.distributed._ray import cause_of, last_line
from s3_retriever.distributed.rows import Row, table_of
from s3_retriever.distributed.workers import Reader, bank_of
from s3_retriever.errors import InputError, S3Error, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3_retriever.codec import Bank
    from s3_retriever.distributed.places import Place
    from s3_retriever.distributed.workers import Plan
    from s3_retriever.documents import Document
    from s3_retriever.fitting.depth import Depth


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What is asked of a cluster; None leaves it to what the cluster has.

    Attributes:
        num_gpus: GPUs of a worker; by default 1 where the cluster has any, else 0.
        num_cpus: CPU cores of a worker; by default 1, or, where a worker has no GPU, all but one
            of the smallest machine's.
        concurrency: Workers, or the least and the most of them; by default one for each GPU, or,
            where there are none, for each machine.
        options: Other arguments of `map_batches` for a worker, such as ``memory``.
    """

    num_gpus: float | None = None
    num_cpus: float | None = None
    concurrency: int | tuple[int, int] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def settled(self, ray: Any) -> Machines:
        """With what the cluster has in the place of what was left open.

        Raises:
            InputError: a worker that no machine of the cluster has room for.
        """
        least = self.concurrency if isinstance(self.concurrency, int | None) else 1
        if least is not None and least < 1:
            raise InputError(f"concurrency={least} is no number of workers; give 1 or more")
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = sum(node.get("GPU", 0) for node in nodes)
        cores = [node["CPU"] for node in nodes if node.get("CPU", 0) >= 1]
        own = self.num_gpus if self.num_gpus is not None else float(gpus > 0)
        alone = max(1.0, min(cores, default=1.0) - 1)
        cpus = self.num_cpus if self.num_cpus is not None else (1.0 if own else alone)
        room = sum(_fit(node, own, cpus) for node in nodes)
        if room < 1:
            raise InputError(
                f"no machine of the cluster has {own:g} GPUs and {cpus:g} CPU cores for a worker "
                f"(it has {gpus:g} and {sum(cores):g} in {len(nodes)} machines); give less with "
                "num_gpus= and num_cpus="
            )
        workers = self.concurrency if self.concurrency is not None else max(1, room)
        return replace(self, num_gpus=own, num_cpus=cpus, concurrency=workers)

    @property
    def workers(self) -> int:
        """How many there are at least."""
        if self.concurrency is None:
            return 1
        return self.concurrency if isinstance(self.concurrency, int) else self.concurrency[0]

    def pool(self, ray: Any) -> Any:
        """They as the actors of Ray Data, which starts again those that die."""
        if self.concurrency is None or isinstance(self.concurrency, int):
            return ray.data.ActorPoolStrategy(size=self.workers)
        least, most = self.concurrency
        return ray.data.ActorPoolStrategy(min_size=least, max_size=most)


def _fit(node: Mapping[str, float], gpus: float, cpus: float) -> int:
    """How many workers a machine has room for; without GPUs one, for it computes in all cores."""
    if node.get("GPU", 0) < gpus or node.get("CPU", 0) < cpus:
        return 0
    return int(node["GPU"] // gpus) if gpus else 1


class RayReader:
    """A `Reader` as an actor of Ray Data.

    Args:
        plan: Reference to the `Plan`.
    """

    def __init__(self, plan: Any) -> None:
        import ray
        from ray.util.metrics import Counter

        self._plan: Plan = ray.get(plan)
        self._again = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        self._reader: Reader | None = None
        self._tokens = Counter("s3_retriever_tokens_read", "Tokens that the model has read")

    def __call__(self, table: Any) -> Any:
        """See `Reader`; an error is told in a row of its own."""
        try:
            if self._reader is None:
                self._reader = Reader(self._plan, self._again)
            before = self._reader.tokens
            found = self._reader(table)
            self._tokens.inc(self._reader.tokens - before)
        except S3Error as error:
            row = Row("", "", "{}", str(error), type(error).__name__)
        except Exception as error:
            logging.getLogger(__name__).exception("a worker failed")
            what = f"{type(error).__name__}: {first_line(error)}"
            row = Row("", "", "{}", failed(what, self._plan.place), S3Error.__name__)
        else:
            return found
        return table_of([row], Row._fields)


def failed(what: str, place: Place) -> str:
    """What to do where a worker failed."""
    return (
        f"a worker failed ({what}); what was read is kept in {place}: type the same again, and "
        "only what is missing is read"
    )


def make_bank(
    ray: Any,
    model: str | None,
    sample: Sequence[Document],
    machines: Machines,
    depth: Depth | None = None,
) -> Bank:
    """Let a machine of the cluster find or make the bank of a model.

    Raises:
        S3Error: as for `bank_of`.
    """
    task = ray.remote(bank_of).options(
        num_gpus=machines.num_gpus, num_cpus=machines.num_cpus, **machines.options
    )
    try:
        bank: Bank = ray.get(task.remote(model, sample, depth))
    except Exception as error:
        own: S3Error | None = cause_of(error, S3Error)
        raise own or S3Error(f"a worker could not make the bank ({last_line(error)})") from error
    return bank


def read_all(
    ray: Any, dataset: Any, plan: Plan, machines: Machines, progress: bool
) -> Iterator[Row]:
    """Read the documents of a dataset.

    Args:
        ray: The module.
        dataset: Of Ray Data, with documents as `documents_in` takes them.
        plan: What the workers do.
        machines: Settled.
        progress: Show the bars of Ray Data.

    Yields:
        A row for each document, in the dataset's order, when it has been read and written.

    Raises:
        S3Error: a worker failed; what was read is kept. One that dies is started again.
    """
    read = dataset.map_batches(
        RayReader,
        fn_constructor_args=(ray.put(plan),),
        batch_size=None,
        batch_format="pyarrow",
        num_gpus=machines.num_gpus,
        num_cpus=machines.num_cpus,
        compute=machines.pool(ray),
        **machines.options,
    )
    read.context.enable_progress_bars = progress
    logging.getLogger("ray.data").setLevel(logging.INFO if progress else logging.WARNING)
    read.context.execution_options.preserve_order = True
    coming = iter(read.iter_batches(batch_size=None, batch_format="pyarrow"))
    with closing(coming) as tables:  # which ends the workers
        while (table := _next(tables, plan.place)) is not None:
            for row in (Row(**row) for row in table.to_pylist()):
                if row.error:
                    raise getattr(errors, row.error, S3Error)(row.problem)
                yield row


def _next(tables: Iterator[Any], place: Place) -> Any:
    try:
        return next(tables, None)
    except Exception as error:
        raise S3Error(failed(last_line(error), place)) from error
