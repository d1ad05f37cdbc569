"""What a folder leaves out by its .gitignore files, and a caller by patterns of the same form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

from s3_retriever.errors import InputError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FILE = ".gitignore"


class Ignored:
    """The .gitignore files of a folder, of those below it, and of those above to its repository.

    A deeper file decides before a higher one, and in a file the last line that matches.
    """

    def __init__(self, root: Path) -> None:
        self._specs: dict[Path, GitIgnoreSpec] = {}
        for folder in _up_to_repository(root):
            self.enter(folder)

    def enter(self, folder: Path) -> None:
        """Read the file of a folder, if it has one; one that cannot be read is none."""
        try:
            lines = (folder / _FILE).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return
        self._specs[folder] = patterns(lines, f"{folder / _FILE}")

    def __call__(self, path: Path, is_folder: bool = False) -> bool:
        """Whether a path is left out."""
        for folder in path.parents:
            spec = self._specs.get(folder)
            if spec is not None:
                name = path.relative_to(folder).as_posix() + "/" * is_folder
                verdict = spec.check_file(name).include
                if verdict is not None:
                    return bool(verdict)
        return False


def _up_to_repository(root: Path) -> Iterator[Path]:
    """A folder and those above it, as far as that of its repository if it lies in one."""
    above = [root, *root.parents]
    repository = next((folder for folder in above if (folder / ".git").exists()), root)
    yield from reversed(above[: above.index(repository) + 1])


def patterns(lines: Iterable[str], where: str) -> GitIgnoreSpec:
    """Compile patterns of the form of .gitignore.

    Raises:
        InputError: one that is wrong.
    """
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise InputError(f"{where} has a wrong pattern: {first_line(error)}") from error
