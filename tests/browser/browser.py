"""A real browser before the screen: pages that are signed in, and what a script can see of their layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.world import PASSWORD

Open = Callable[..., Page]
"""Opens a page in a browser of its own: path, who is signed in (None: nobody), size, language."""
CHROMIUM = "/usr/bin/chromium"
WALL, WALL_4K, LAPTOP, PHONE = (1920, 1080), (3840, 2160), (1440, 900), (390, 844)
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS / 2)

LAYOUT = Path(__file__).with_name("layout.js").read_text()
"""What a script can see of a page's layout."""


@dataclass
class Seen:
    """What a browser complained of, and whom it asked."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self, context: BrowserContext) -> None:
        """Note all that happens in a context."""
        context.on("console", lambda message: self._complain(message.type, message.text, message.page))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))

    def forgive(self, status: str) -> None:
        """Forget what the browser itself tells of an answer with this status, which there must have been."""
        told = [complaint for complaint in self.complaints if f"status of {status}" in complaint]
        assert told, self.complaints
        self.complaints = [complaint for complaint in self.complaints if complaint not in told]

    def _complain(self, kind: str, text: str, page: Page | None) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{page.url if page else ''}: {text}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        try:
            yield browser
        finally:
            browser.close()


def context_of(browser: Browser, url: str, size: tuple[int, int], *, locale: str = "zh-CN") -> BrowserContext:
    """A browser of its own: no cookies, no settings."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, base_url=url, locale=locale)
    context.set_default_timeout(PATIENCE_MS)
    return context


def sign_in(context: BrowserContext, url: str, who: str) -> None:
    """Sign in without the page for it."""
    answer = context.request.post("/api/v1/session", data={"user": who, "password": PASSWORD}, headers={"Origin": url})
    assert answer.ok, answer.text()


def settled(page: Page) -> None:
    """Wait until figures are shown as live, and every chart is drawn."""
    page.locator(".fresh[data-level=live]").wait_for()
    expect(page.locator(".pending")).to_have_count(0)
    if page.locator(".chart").count():
        page.locator(".chart canvas").first.wait_for()


def assert_fits(page: Page, where: str, *, wall: bool = False) -> None:
    """Nothing overlaps, sticks out, is cut off, untranslated or unexplained; a wall does not scroll, and no text is too small for four
    metres."""
    settled(page)
    found: dict[str, Any] = page.evaluate(LAYOUT)
    assert (found["overlaps"], found["outside"], found["cut"], found["keys"]) == ([], [], [], []), where
    assert found["bare"] == [], f"{where}: figures that do not say what they count, and over which window"
    assert found["wide"] <= 0, where
    if wall:
        assert (found["high"], found["small"]) == (0, []), where


def serious_faults(page: Page) -> dict[str, str]:
    """What axe finds, by page and rule."""
    told = Axe().run(page).response
    assert len(told["passes"]) > 10
    serious = [one for one in told["violations"] if one["impact"] in ("serious", "critical")]
    return {f"{page.url} {one['id']}": one["nodes"][0]["html"][:200] for one in serious}
