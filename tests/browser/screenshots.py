"""Takes the README's screenshots: `python -m tests.browser.screenshots`; with a folder, of every view in every size and language."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.browser.browser import LAPTOP, PHONE, WALL, WALL_4K, chromium, context_of, settled, sign_in
from tests.browser.world import BRAND, EMPTY_BRAND, PROMOTION, World, screen_world
from tests.workers import ROOT

SIZES = {"wall": WALL, "wall4k": WALL_4K, "laptop": LAPTOP, "phone": PHONE}
PAGES = ("/", "/flows", "/channels")


def drawn(page: Page) -> None:
    """Wait until all is drawn; a transition takes less than a second."""
    settled(page)
    page.wait_for_timeout(2_000)


def signed_in(browser: Browser, world: World, size: tuple[int, int]) -> Page:
    """A page of a browser of its own, an admin's."""
    context = context_of(browser, world.url, size)
    sign_in(context, world.url, "ada")
    return context.new_page()


def take(browser: Browser, world: World, folder: Path) -> None:
    """Every view in every size, in both languages, with data and without."""
    for name, size in SIZES.items():
        pages = ["/wall"] if name.startswith("wall") else PAGES
        for language, theme in (("zh", "dark"), ("en", "light")):
            page = signed_in(browser, world, size)
            for path in pages:
                for brand in (BRAND, EMPTY_BRAND) if language == "zh" else (BRAND,):
                    page.goto(f"{path}?brand={brand}&language={language}&theme={'dark' if name.startswith('wall') else theme}")
                    drawn(page)
                    kind = "" if brand == BRAND else "-empty"
                    page.screenshot(path=folder / f"{name}-{path.strip('/') or 'overview'}-{language}{kind}.png", full_page=name == "phone")
            page.context.close()


def readme(browser: Browser, world: World) -> None:
    """The two of the README, with something on the timeline."""
    promotion = f"/api/v1/promotions/{PROMOTION}"
    change = {"edits": ["R4/conversion_rate=x1.05"], "because": "直播间加场", "effective_from": "2025-11-10T16:20:00.000Z"}
    for name, path, size in (("wall", "/wall", (1536, 864)), ("laptop", "/", SIZES["laptop"])):
        page = signed_in(browser, world, size)
        if name == "wall":
            asks = page.context.request
            asks.patch(promotion, data=change, headers={"Origin": world.url, "If-Match": '"1"'})
            note = {"text": "0 点爆发：支付正常", "at": "2025-11-10T16:02:00.000Z"}
            asks.post(f"/api/v1/brands/{BRAND}/notes", data=note, headers={"Origin": world.url})
        page.goto(f"{path}?brand={BRAND}&promotion={PROMOTION}&language=zh")
        drawn(page)
        page.screenshot(path=ROOT / "docs" / f"{name}.png")
        page.context.close()


def main() -> None:
    """Brings up a war room, and takes them."""
    with tempfile.TemporaryDirectory() as folder, screen_world(Path(folder), events=40_000) as world, chromium() as browser:
        if len(sys.argv) > 1:
            take(browser, world, Path(sys.argv[1]))
        else:
            (ROOT / "docs").mkdir(exist_ok=True)
            readme(browser, world)


if __name__ == "__main__":
    main()
