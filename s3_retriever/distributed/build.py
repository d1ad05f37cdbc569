"""Many machines read documents into one index, through Ray Data."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from s3_retriever.distributed._ray import connect
from s3_retriever.distributed.in_folder import FolderPlace
from s3_retriever.distributed.job import BuildReport, Job, checked, named_model, report_of
from s3_retriever.distributed.machines import Machines, make_bank, read_all
from s3_retriever.distributed.places import place_at
from s3_retriever.distributed.site import site_at
from s3_retriever.distributed.sources import sample_of, source_of
from s3_retriever.distributed.workers import Plan
from s3_retriever.documents import Skipped
from s3_retriever.engine.intake import warn_of
from s3_retriever.engine.opening import Given
from s3_retriever.errors import InputError
from s3_retriever.searching.searcher import FAST_FROM
from s3_retriever.storage.pieces import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from os import PathLike

    from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
    from s3_retriever.distributed.places import Place
    from s3_retriever.distributed.rows import Row
    from s3_retriever.distributed.site import Site
    from s3_retriever.distributed.sources import Source
    from s3_retriever.engine.intake import OnError
    from s3_retriever.fitting.depth import Depth

_TOKEN_CHARACTERS = 3  # in a token at least, to tell a large text before it is read


def build(
    source: Any,
    output: str | PathLike[str],
    *,
    model: str | PathLike[str] | None = None,
    bank: Any = None,
    depth: Depth | None = None,
    scan: ScanConfig | Mapping[str, Any] | None = None,
    search: SearchConfig | Mapping[str, Any] | None = None,
    answer: AnswerConfig | Mapping[str, Any] | None = None,
    num_gpus: float | None = None,
    num_cpus: float | None = None,
    concurrency: int | tuple[int, int] | None = None,
    address: str | None = None,
    filesystem: Any = None,
    progress: bool = True,
    on_error: OnError = "raise",
    **options: Any,
) -> BuildReport:
    """Read documents through models on many machines into one index.

    Each worker holds a model and writes what it read as whole files; one commit at the end names
    them all. Until then the output holds what it held. Where a build was stopped, the same call
    reads only what is missing; of an index that is there, documents with other ids stay, and those
    that come with another text are replaced, as with `EndogenousIndex.build`. The bank is fixed
    before the first document is read, and each worker checks that its model is the bank's.

    Args:
        source: A dataset of Ray Data with the columns ``id`` and ``text``, and either ``metadata``,
            mappings or JSON of them, or other columns, which are the metadata then; or a file,
            folder or glob, or a list of them; or documents. Files and documents are read by this
            process, and lie in Ray's object store until their turn comes.
        output: A folder that all machines see under this path, or the URL of one in an object
            store, such as ``s3://bucket/notes``.
        model: Name or path of the model, which each worker loads; None for the embedded default.
        bank: As for `EndogenousIndex.build`; one that must be made is made by one worker.
        depth: As for `EndogenousIndex.build`.
        scan: As there, like the next two.
        search: Likewise.
        answer: Likewise.
        num_gpus: GPUs of a worker; by default 1 where the cluster has any, else 0.
        num_cpus: CPU cores of a worker; by default 1, or, without a GPU, all but one of the
            smallest machine's.
        concurrency: Workers, or the least and the most; by default as many as there is room for.
        address: Of the cluster: ``"local"`` for this machine alone, ``"auto"``, or ``"host:6379"``.
            None for the one that this process is connected to, or that runs here; or else local.
        filesystem: The fsspec file system of the output, where the URL alone does not say.
        progress: Show the bars of Ray Data.
        on_error: ``"raise"`` stops at a document that cannot be indexed, and keeps what was read;
            ``"skip"`` leaves it out, and warns.
        **options: Other arguments of Ray's `map_batches` for a worker, such as ``memory``.

    Raises:
        InputError: no document, or some that cannot be indexed; two documents with one id; no
            cluster at the address, or no machine in it that has room for a worker; or the index was
            made with another bank or by other chunks.
        ModelMismatchError: a worker's model is not the one that the bank was made with.
        IndexFileError: the output cannot be written, is damaged, or not seen by all machines.
        MissingExtraError: Ray is not installed, or what reaches the output.
        S3Error: a worker failed otherwise; what was read is kept.
    """
    job = Job(
        model=named_model(model),
        given=checked(Given(bank, scan, search, answer, depth)),
        machines=Machines(
            num_gpus=num_gpus, num_cpus=num_cpus, concurrency=concurrency, options=options
        ),
        address=address,
        progress=progress,
        on_error=on_error,
    )
    place = place_at(output, filesystem)
    connect(address, data=True)
    with site_at(place) as site:
        report = read_into_site(site, place, source, job)
    warn_of(report.skipped, report.documents + len(report.skipped), 2)
    return report


def read_into_site(
    site: Site,
    place: Place,
    given: Any,
    job: Job,
    gone: Callable[[], Collection[str]] = tuple,
) -> BuildReport:
    """Read what is handed in into an index that is held; see `build`.

    Args:
        site: The index.
        place: Where it lies.
        given: What is handed in.
        job: How.
        gone: Says, when all was handed in, which documents are to be deleted.
    """
    begun = perf_counter()
    ray = connect(job.address, data=True)
    machines = job.machines.settled(ray)
    source = source_of(ray, given, site.known, machines.workers, job.on_error)
    if source.dataset is None and not source.rows and site.state is None:
        why = f"; left out was {source.skipped[0]}" if source.skipped else ""
        raise InputError(f"there is no document to index{why}; give at least one")
    bank = job.given.bank
    if bank is None and site.state is None:
        bank = make_bank(ray, job.model, sample_of(source), machines, job.given.depth)
    plan = Plan(
        job.model,
        site.begin(bank, job.given),
        place,
        frozenset(site.known if source.rows is None else ()),  # else they were left out here
        _is_large(site, place, source),
        job.on_error == "raise",
    )
    coming: Iterable[Row] = ()
    if source.dataset is not None:
        coming = read_all(ray, source.dataset, plan, machines, job.progress)
    wanted = _wanted(coming, source, gone)
    state = site.finish(wanted)
    read = (id for id, text in wanted.texts.items() if (id, text) not in site.known)
    return report_of(str(place), state, tuple(read), perf_counter() - begun, source.skipped)


def _is_large(site: Site, place: Place, source: Source) -> bool:
    """Whether the index will be searched by cells, which are made best beside the codes."""
    if source.characters is None or not isinstance(place, FolderPlace):
        return True
    return site.tokens + source.characters // _TOKEN_CHARACTERS >= FAST_FROM


def _wanted(coming: Iterable[Row], source: Source, gone: Callable[[], Collection[str]]) -> Wanted:
    """What the index shall hold, when all has been read.

    Raises:
        InputError: two documents with one id and two texts.
    """
    rows = [] if source.rows is None else source.rows
    for row in coming:
        if source.rows is None:
            rows.append(row)
    texts: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for place, row in enumerate(rows):
        if row.problem:
            source.skipped.append(Skipped(place, row.id, row.problem))
            continue
        if texts.setdefault(row.id, row.text) != row.text:
            raise InputError(
                f"two documents have the id {row.id!r} and two texts; give each an id of its own "
                "and type the same again: what was read is kept, and nothing else was changed"
            )
        metadata[row.id] = row.metadata
    return Wanted(texts, gone(), metadata)
