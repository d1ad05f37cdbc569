"""Whatever interrupts a save, the folder holds the old index or the new one, whole."""

import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.numpy import load_file

import s3_retriever.storage as package
from failing_calls import CALLS, disk_full, intercepted, interrupt
from index_samples import (
    HEADER,
    SampleTables,
    check_tables,
    expected,
    loaded,
    sample,
    samples,
    segment_files,
)
from s3_retriever.errors import IndexFileError
from s3_retriever.storage import catalogue, files, index_info, save_index, verify_index
from s3_retriever.storage import save as storage_save

pytestmark = pytest.mark.slow

SMALL_AND_QUICK = [
    (storage_save, "SEGMENT_ROWS", 53),
    (catalogue, "SYNCHRONOUS", "OFF"),
    (files.os, "fsync", lambda descriptor: None),
]
OLD = [*samples(8), sample("changed", 30, 100)]
NEW = [*samples(8)[5:], sample("changed", 40, 101), sample("new", 60, 102), sample("more", 5, 103)]
NEW_HEADER = {"model": "another"}
OLD_BANK = {f"bank-{'0' * 16}/bank.json": b"old", f"bank-{'0' * 16}/sae_0/cfg.json": b"old too"}
NEW_BANK = {f"bank-{'1' * 16}/bank.json": b"new", f"bank-{'1' * 16}/sae_0/cfg.json": b"new too"}


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    """Several segments; and no waiting for the disk, as no real power cut is survived here."""
    for owner, name, value in SMALL_AND_QUICK:
        monkeypatch.setattr(owner, name, value)


@pytest.fixture(params=["new folder", "existing index"])
def template(request, tmp_path):
    """A folder to start from: none, the old index, whose segments the new one compacts, or an
    index without documents that has lost its folder of segments, as in a version control system.
    """
    folder = tmp_path / "template"
    if request.param == "existing index":
        save_old(folder)
    elif request.param == "empty index":
        save_index(folder, documents=[], header=HEADER)
        (folder / "segments").rmdir()
    return folder


def copy_of(template, folder):
    shutil.rmtree(folder, ignore_errors=True)
    if template.exists():
        shutil.copytree(template, folder)
    return folder


def save_old(folder):
    maker = SampleTables("old")
    save_index(folder, documents=OLD, header=HEADER, attached=OLD_BANK, maker=maker)


def save_new(folder):
    """Also makes other tables for what stays, and merges what was added bit by bit."""
    maker = SampleTables("new")
    save_index(
        folder,
        documents=NEW,
        header=NEW_HEADER,
        attached=NEW_BANK,
        maker=maker,
        compact=True,
    )


def attached(folder):
    """What of the two banks is there, whole or not."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.glob("bank-*/**/*")
        if path.is_file() and path.suffix == ".json"
    }


def check_whole(folder, template, *, saved=None):
    """The folder loads as old or new, and the next save leaves nothing behind."""
    for path in folder.glob("segments/*.safetensors"):
        load_file(path)
    if (folder / "catalogue.sqlite").exists():
        state = loaded(folder)
        assert verify_index(folder).problems == ()
        check_tables(folder, "new" if state[0] == NEW_HEADER else "old")
    else:
        state = None
    old = loaded(template) if template.exists() else None
    new = expected(NEW, NEW_HEADER)
    assert state in (old, new)
    if state == new:
        assert NEW_BANK.items() <= attached(folder).items()
    elif template.exists() and attached(template):
        assert OLD_BANK.items() <= attached(folder).items()
    if saved is not None:
        assert (state == new) is saved
    save_new(folder)
    assert loaded(folder) == new
    assert len(segment_files(folder)) == 2 * index_info(folder).segments
    assert attached(folder) == NEW_BANK
    names = {"catalogue.sqlite", "segments", "lock", f"bank-{'1' * 16}"}
    assert {path.name for path in folder.iterdir()} == names
    return state == new


def names_of_calls(template, folder):
    names = []

    def record(name, function, arguments):
        names.append(name)
        return function(*arguments)

    copy_of(template, folder)
    with intercepted(record):
        save_new(folder)
    assert set(CALLS) - set(names) <= {"make_folder", "remove", "remove_folder", "replace"}
    return names


@pytest.mark.parametrize("when", ["before", "after", "half way"])
@pytest.mark.parametrize("failure", [disk_full, interrupt])
def test_every_call_fails_in_turn(template, tmp_path, failure, when):
    folder = tmp_path / "index"
    outcomes = []
    for at, called in enumerate(names_of_calls(template, folder)):
        if when == "half way" and called != "write":
            continue
        copy_of(template, folder)
        left = [at]

        def fail(name, function, arguments, left=left):
            left[0] -= 1
            if left[0] != -1:
                return function(*arguments)
            if when == "half way":
                file, data = arguments
                function(file, data[: len(data) // 2])
                file.flush()
            elif when == "after":
                function(*arguments)
            raise failure(name)

        try:
            with intercepted(fail):
                save_new(folder)
            saved = True
        except IndexFileError as error:
            assert failure is disk_full
            assert any(words in str(error) for words in ("free some space", "check the disk"))
            saved = None
        except KeyboardInterrupt:
            assert failure is interrupt
            saved = None
        outcomes.append(check_whole(folder, template, saved=saved))
    assert set(outcomes) == ({False} if when == "half way" else {False, True})
    assert outcomes == sorted(outcomes)


def test_a_failed_save_leaves_no_files_behind(template, tmp_path):
    folder = tmp_path / "index"
    names_of_calls(template, folder)
    copy_of(template, folder)
    before = {path for path in folder.rglob("*") if path.is_file()}

    def fail(name, function, arguments):
        if name == "execute" and arguments[1] == "COMMIT":
            raise disk_full(name)
        if name == "execute" and arguments[1].startswith("INSERT INTO seal"):
            raise disk_full(name)
        return function(*arguments)

    with intercepted(fail), pytest.raises(IndexFileError):
        save_new(folder)
    assert {path for path in folder.rglob("*") if path.is_file()} == before | {folder / "lock"}


class PowerCut(BaseException):
    """The machine is off: nothing that the program does from here on has any effect."""


class Disk:
    """A disk that forgets, when the power is cut, all that was not synced."""

    def __init__(self, stop):
        self.stop = stop
        self.unsynced = set()
        self.undo = {}

    def call(self, name, function, arguments):
        if self.stop == 0:
            raise PowerCut
        self.stop -= 1
        before = getattr(self, name, None)
        if before:
            before(*arguments)
        return function(*arguments)

    def make_folder(self, path):
        for folder in (path, *path.parents):
            if not folder.exists():
                self._undone(folder, lambda folder=folder: shutil.rmtree(folder, True))

    def create(self, path):
        self.unsynced.add(path)
        self._undone(path, lambda: path.unlink(missing_ok=True))

    def append(self, path, data):
        if not path.exists():
            self._undone(path, lambda: path.unlink(missing_ok=True))

    def sync(self, file):
        self.unsynced.discard(Path(file.name))

    def replace(self, source, target):
        if source in self.unsynced:
            self.unsynced.add(target)
        self._undone(target, lambda: target.exists() and target.rename(source))

    def sync_folder(self, path):
        self.undo.pop(path, None)

    def cut(self):
        for path in self.unsynced:
            if path.exists():
                os.truncate(path, 0)
        for actions in self.undo.values():
            for action in reversed(actions):
                action()

    def _undone(self, path, action):
        self.undo.setdefault(path.parent, []).append(action)


@pytest.mark.parametrize("template", ["new folder", "existing index", "empty index"], indirect=True)
def test_the_power_is_cut_at_every_call(template, tmp_path):
    folder = tmp_path / "index"
    outcomes = []
    for stop in range(len(names_of_calls(template, folder)) + 1):
        copy_of(template, folder)
        disk = Disk(stop)
        try:
            with intercepted(disk.call):
                save_new(folder)
        except PowerCut:
            pass
        disk.cut()
        outcomes.append(check_whole(folder, template))
    assert set(outcomes) == {False, True}
    assert outcomes == sorted(outcomes)


def test_an_interrupt_at_every_line(template, tmp_path):
    folder, home = tmp_path / "index", str(Path(package.__file__).parent)
    outcomes, at, interrupted = set(), 0, True
    while interrupted:
        copy_of(template, folder)
        left = [at]

        def trace(frame, event, argument, left=left):
            if not frame.f_code.co_filename.startswith(home):
                return None
            if event == "line":
                left[0] -= 1
                if left[0] == -1:
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        try:
            sys.settrace(trace)
            save_new(folder)
            interrupted = False
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        gc.collect(1)  # an interrupt between a block and its exit leaves closing to the collector
        outcomes.add(check_whole(folder, template))
        at += 43
    assert at > 700
    assert outcomes == {False, True}


@contextmanager
def file_size_limit(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_the_system_refuses_to_write_more(template, tmp_path):
    """Writes fail for real, inside SQLite too."""
    folder = tmp_path / "index"
    outcomes = []
    for size in [0, 100, 512, 1000, 2000, *range(4096, 80000, 8192)]:
        copy_of(template, folder)
        try:
            with file_size_limit(size):
                save_new(folder)
            saved = True
        except IndexFileError as error:
            assert "untouched" in str(error)
            saved = False
        outcomes.append(check_whole(folder, template, saved=saved))
    assert set(outcomes) == {False, True}
    assert outcomes == sorted(outcomes)


def run_python(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, **options)


KILL_EVERYWHERE = """
import os, resource, signal, sys
from pathlib import Path
import test_index_crash as crash

for change in crash.SMALL_AND_QUICK:
    setattr(*change)
template, home = Path(sys.argv[1]), Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def run(folder, prepare):
    child = os.fork()
    if child == 0:
        try:
            with crash.intercepted(prepare()):
                crash.save_new(folder)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]

def at_call(number):
    def prepare():
        left = [number]
        def call(name, function, arguments):
            left[0] -= 1
            if left[0] == -1:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)
        return call
    return prepare

def at_size(size):
    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return lambda name, function, arguments: function(*arguments)
    return prepare

runs = [("call", number, at_call(number), signal.SIGKILL) for number in range(int(sys.argv[3]))]
sizes = [0, 600, 3000, *range(4096, 40000, 8192)]
runs += [("size", size, at_size(size), signal.SIGXFSZ) for size in sizes]
for name, number, prepare, deadly in runs:
    folder = crash.copy_of(template, home / f"{name}-{number}")
    status = run(folder, prepare)
    assert os.WTERMSIG(status) == deadly, (name, number, status)
"""


def test_a_process_is_killed_at_every_call_and_inside_sqlite(template, tmp_path):
    calls = len(names_of_calls(template, tmp_path / "index"))
    home = tmp_path / "killed"
    home.mkdir()
    process = run_python(KILL_EVERYWHERE, template, home, calls, stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    outcomes = {}
    for folder in home.iterdir():
        outcomes[folder.name] = check_whole(folder, template)
    assert set(outcomes.values()) == {False, True}
    assert not any(saved for name, saved in outcomes.items() if name.startswith("size"))


SAVE_FOR_EVER = """
import sys
import test_index_crash as crash
from s3_retriever.storage import save_index

for change in crash.SMALL_AND_QUICK:
    setattr(*change)
print("ready", flush=True)
while True:
    crash.save_new(sys.argv[1])
    crash.save_old(sys.argv[1])
"""


def test_a_process_is_killed_at_any_time(tmp_path):
    template, folder = tmp_path / "template", tmp_path / "index"
    save_old(template)
    copy_of(template, folder)
    for milliseconds in (2, 9, 17):
        process = run_python(SAVE_FOR_EVER, folder, stdout=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n"
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
        process.stdout.close()
        check_whole(folder, template)
