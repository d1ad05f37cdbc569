"""Indexing by the machines of a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3_retriever.distributed import BuildReport
    from s3_retriever.documents import Document
    from s3_retriever.storage.catalogue import Entry


def add_machines(parser: argparse.ArgumentParser) -> None:
    """Add ``--ray`` and what goes with it."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="read by the machines of a Ray cluster: host:6379, auto, or local for this machine; "
        "-o may then be the URL of an object store, such as s3://bucket/notes",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="with --ray; default: all")
    parser.add_argument(
        "--worker-gpus", type=float, metavar="N", help="GPUs of a worker; default: 1 if any"
    )
    parser.add_argument("--worker-cpus", type=float, metavar="N", help="CPU cores of a worker")


def check_output(args: argparse.Namespace) -> None:
    """Refuse an output that cannot be written, and machines without a cluster.

    Raises:
        InputError: such ones.
    """
    if args.ray is None and (args.workers, args.worker_gpus, args.worker_cpus) != (None,) * 3:
        raise InputError("--workers and their size go with --ray ADDRESS, such as --ray local")
    if not _is_url(args):
        common.check_output(args.output)
    elif args.ray is None:
        raise InputError(
            f"{args.output} lies in an object store, which workers write to: add --ray local, or "
            "give a folder"
        )
    elif args.dry_run:
        raise InputError("--dry-run compares with a folder; leave it out, or give -o a folder")


def read(
    args: argparse.Namespace,
    documents: Callable[[Iterable[Entry], bool], Iterator[Document]],
    gone: Callable[[], Sequence[str]],
) -> BuildReport:
    """Bring an index up to date.

    Args:
        args: Of the command.
        documents: Makes documents, given those that were read and whether the index is begun.
        gone: Says, when all were made, which are to be deleted.
    """
    from s3_retriever.distributed._ray import connect
    from s3_retriever.distributed.build import read_into_site
    from s3_retriever.distributed.job import Job, checked, named_model
    from s3_retriever.distributed.machines import Machines
    from s3_retriever.distributed.places import place_at
    from s3_retriever.distributed.site import site_at
    from s3_retriever.engine.opening import Given

    named = {"chunk_tokens": args.chunk_tokens, "max_memory": args.max_memory}
    scan = {name: value for name, value in named.items() if value is not None}
    job = Job(
        model=named_model(args.model),
        given=checked(Given(args.bank, scan, depth=args.depth)),
        machines=Machines(
            num_gpus=args.worker_gpus, num_cpus=args.worker_cpus, concurrency=args.workers
        ),
        address=args.ray,
        progress=common.shows_progress(args),
    )
    place = place_at(args.output)
    connect(args.ray, data=True)
    with site_at(place) as site:
        coming = documents(site.entries.values(), site.state is not None)
        return read_into_site(site, place, coming, job, gone)


def next_step(args: argparse.Namespace) -> str:
    """What to type when an index is there."""
    if not _is_url(args):
        return common.command_line("ask", args.output, "a question", model=args.model)
    return f"from s3_retriever.distributed import download; download({args.output!r}, 'index.s3')"


def _is_url(args: argparse.Namespace) -> bool:
    return "://" in args.output
