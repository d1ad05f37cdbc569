"""An object store for tests: a folder behind fsspec, that can be full or kill who writes."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem


class Bucket(LocalFileSystem):
    """A file system that several processes see, with accidents.

    Args:
        room: Bytes that a file may have at most; None for any.
        kills_once: A file that is made by the first process that writes a segment, which dies over
            the half of it; None for no such thing.
    """

    protocol = "bucket"
    cachable = False

    def __init__(self, room: int | None = None, kills_once: str | None = None, **rest: Any) -> None:
        super().__init__(auto_mkdir=True, **rest)
        self.room, self.kills_once = room, kills_once

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **rest: Any) -> None:
        if self.room is not None and len(value) > self.room:
            raise OSError(errno.EDQUOT, "the bucket is full")
        if self.kills_once is not None and "/segments/" in path:
            try:
                Path(self.kills_once).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).write_bytes(value[: len(value) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        super().pipe_file(path, value, mode=mode, **rest)
