"""A page in headless Chromium, through Playwright; everything the page must not do is noted."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from chromium import CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
PATIENCE = 120_000
"""Milliseconds that a slow machine is given for each step."""


@contextmanager
def browsed(
    address: str, *, size: tuple[int, int] = (1280, 900), dark: bool = False
) -> Iterator[Page]:
    """Open a page; at the end it must have logged nothing and asked nobody but its server."""
    wrong: list[str] = []
    own = address.partition("#")[0]
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(own) else wrong.append(asked.url),
        )
        page.goto(address)
        until(page, "document.title !== 'Ask an index'")
        yield page
        browser.close()
    assert wrong == [], wrong


def until(page: Page, true: str) -> None:
    """Wait until an expression is true; the page's own policy lets it evaluate no text itself."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(true):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {true}")
