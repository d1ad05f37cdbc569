"""What is asked of many machines, and what is said of it when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.config import AnswerConfig, ScanConfig
from s3_retriever.distributed.machines import Machines
from s3_retriever.engine.opening import Given
from s3_retriever.engine.resolve import loaded_bank
from s3_retriever.engine.settings import search_config
from s3_retriever.errors import InputError
from s3_retriever.fitting.depth import checked_depth
from s3_retriever.storage.catalogue import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3_retriever.documents import Skipped
    from s3_retriever.engine.intake import OnError
    from s3_retriever.engine.store import State
    from s3_retriever.reading.clock import ScanReport


@dataclass(frozen=True, kw_only=True)
class Job:
    """How documents are read; see `build`.

    Attributes:
        model: Name or path, the same on all machines; None for the embedded default.
        given: Bank and settings.
        machines: What is asked of the cluster.
        address: Of the cluster.
        progress: Show the bars of Ray Data.
        on_error: What becomes of documents that cannot be indexed.
    """

    model: str | None = None
    given: Given = field(default_factory=Given)
    machines: Machines = field(default_factory=Machines)
    address: str | None = None
    progress: bool = True
    on_error: OnError = "raise"


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What a build did.

    Attributes:
        output: Where the index lies.
        read: Ids of the documents that were new or changed.
        documents: How many the index has.
        characters: Of all texts.
        tokens: Of all texts.
        bytes_per_token: Of the codes, as they are stored.
        seconds: Wall-clock time of this build.
        scan: Of all scans of the index; its seconds are the sum over all workers.
        skipped: What was left out.
    """

    output: str
    read: tuple[str, ...]
    documents: int
    characters: int
    tokens: int
    bytes_per_token: float
    seconds: float
    scan: ScanReport
    skipped: tuple[Skipped, ...] = ()

    def __str__(self) -> str:
        return (
            f"read {len(self.read):,} of {self.documents:,} documents into {self.output} in "
            f"{self.seconds:,.1f} s; {self.tokens:,} tokens of {self.bytes_per_token:.0f} bytes, "
            f"which took the workers {self.scan.seconds:,.1f} s together"
        )


def named_model(model: str | PathLike[str] | None) -> str | None:
    """A model as all workers are told of it.

    Args:
        model: Its name or path; a path that is here is given whole.

    Raises:
        InputError: it is neither.
    """
    if model is None:
        return None
    if not isinstance(model, str | PathLike):
        raise InputError(
            f"model must be a name or a path, which each worker loads, not {type(model).__name__}"
        )
    name = fspath(model)
    return str(Path(name).absolute()) if Path(name).exists() else name


def checked(given: Given) -> Given:
    """What was asked for, with the bank loaded.

    Raises:
        InputError: a setting that is none.
        BankError: the folder holds no bank, or a damaged one.
    """
    ScanConfig.of(given.scan)
    AnswerConfig.of(given.answer)
    search_config(given.search, {})
    checked_depth(given.depth, given.bank)
    return given if given.bank is None else replace(given, bank=loaded_bank(given.bank))


def report_of(
    output: str, state: State, read: tuple[str, ...], seconds: float, skipped: Iterable[Skipped]
) -> BuildReport:
    """What is said of an index when a build of it is done.

    Args:
        output: Where it lies.
        state: What it holds.
        read: As for `BuildReport`.
        seconds: Likewise.
        skipped: Likewise.
    """
    contents = state.saved.version.contents if state.saved else Contents({}, {}, {}, ())
    segments = contents.segments.values()
    return BuildReport(
        output=output,
        read=read,
        documents=len(contents.entries),
        characters=sum(entry.characters for entry in contents.entries),
        tokens=sum(entry.rows for entry in contents.entries),
        bytes_per_token=sum(s.size for s in segments) / max(1, sum(s.rows for s in segments)),
        seconds=seconds,
        scan=state.report,
        skipped=tuple(skipped),
    )
