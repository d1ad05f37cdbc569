"""File and database calls of a save that are made to fail."""

import errno
import os
import sqlite3
from contextlib import contextmanager

from s3_retriever.storage import files

CALLS = [
    "make_folder",
    "create",
    "append",
    "write",
    "sync",
    "sync_folder",
    "replace",
    "remove",
    "remove_folder",
    "lock",
    "connect",
    "execute",
    "execute_many",
]
DATABASE_CALLS = {"connect", "execute", "execute_many"}


@contextmanager
def intercepted(call):
    """Send every file and database call through ``call(name, function, arguments)``."""
    real = {name: getattr(files, name) for name in CALLS}

    def through(name):
        return lambda *arguments: call(name, real[name], arguments)

    try:
        for name in CALLS:
            setattr(files, name, through(name))
        yield
    finally:
        for name in CALLS:
            setattr(files, name, real[name])


def failing_at(number, failure):
    """Let the calls before one of a number through, and fail at that."""
    left = [number]

    def call(name, function, arguments):
        left[0] -= 1
        if left[0] == -1:
            raise failure(name)
        return function(*arguments)

    return call


def disk_full(name):
    if name in DATABASE_CALLS:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        return error
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(name):
    return KeyboardInterrupt()
