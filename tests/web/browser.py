"""The real browser of the page's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")


@contextmanager
def fresh_page(browser: Any, width: int, height: int) -> Iterator[Any]:
    """A page in which nothing moves by itself; at its end no script has failed."""
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert wrong == []


def tab_to(page: Any, selector: str, most: int = 300) -> None:
    """Press Tab until something has the focus; where nobody gets by keyboard, this fails."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => Boolean(document.activeElement?.matches(selector))", selector):
            return
    raise AssertionError(f"{most} times Tab do not lead to {selector}")


def has_focus(page: Any) -> bool:
    """Whether anything but the page as a whole has the focus: else the keyboard begins at the top again."""
    return bool(page.evaluate("document.activeElement !== null && document.activeElement !== document.body"))
