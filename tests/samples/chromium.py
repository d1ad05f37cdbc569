"""Chromium without a window, for what people look at."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=5000",
)

with_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def dom(page: str, folder: Path, size: tuple[int, int] = (1300, 1600)) -> str:
    """The page after its scripts have run."""
    return _run(page, folder, size, "--dump-dom").decode()


def screenshot(page: str, folder: Path, size: tuple[int, int] = (1300, 1600)) -> Path:
    """A picture of the page."""
    shot = folder / "shot.png"
    _run(page, folder, size, f"--screenshot={shot}")
    return shot


def _run(page: str, folder: Path, size: tuple[int, int], what: str) -> bytes:
    place = folder / "page.html"
    place.write_text(page, encoding="utf-8")
    window = f"--window-size={size[0]},{size[1]}"
    user = f"--user-data-dir={folder / 'user'}"
    done = subprocess.run(
        [str(CHROMIUM), *FLAGS, user, window, what, place.as_uri()],
        capture_output=True,
        timeout=1500,
        check=True,
    )
    return done.stdout
