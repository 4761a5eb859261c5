"""The world that the screen's tests look at, and pages in browsers of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import orjson
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.browser import LAPTOP, Open, Seen, chromium, context_of, sign_in
from tests.browser.world import World, screen_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with screen_world(tmp_path_factory.mktemp("screen")) as made:
        made.write(labelled_by_a_stranger(itertools.islice(made.coming, 400)))
        made.until_stored()
        yield made


def labelled_by_a_stranger(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Labels as long as they may be, and such as would be markup: dear enough to lead every ranking."""
    long, markup = "x" * 128, "<img src=x onerror=document.title=1>"
    for i, line in enumerate(lines):
        told = orjson.loads(line)
        if told["type"] == "purchase":
            label = (long, markup)[i % 2]
            told |= {"amount": 9_999_900, "channel": label, "campaign_id": label, "store_id": label, "guide_id": label}
        yield orjson.dumps(told)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Of the module, not of the session: while it lives no asynchronous test can run.
    with chromium() as made:
        yield made


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def open_page(world: World, browser: Browser, seen: Seen) -> Iterator[Open]:
    """Opens pages, each in a browser of its own; none of them may complain or ask anybody but the war room."""
    contexts = []

    def opened(path: str, who: str | None = "olga", size: tuple[int, int] = LAPTOP, locale: str = "zh-CN") -> Page:
        world.feed(1)  # a minute without events would be a standstill
        context = context_of(browser, world.url, size, locale=locale)
        contexts.append(context)
        if who is not None:
            sign_in(context, world.url, who)
        seen.watch(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen.complaints == []
    assert seen.hosts <= {"127.0.0.1"}
