"""Takes the README's screenshots: `python -m tests.browser.screenshots`; with a folder, of every view in every size and language."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from schemas.alert import Acknowledgement, AlertState, Severity
from tests.browser.browser import LAPTOP, PHONE, WALL, WALL_4K, chromium, context_of, settled, sign_in
from tests.browser.world import BRAND, EMPTY_BRAND, NOW, PROMOTION, World, screen_world
from tests.servers import wait_until
from tests.workers import ROOT

SIZES = {"wall": WALL, "wall4k": WALL_4K, "laptop": LAPTOP, "phone": PHONE}
PAGES = ("/", "/flows", "/channels", "/alerts")


def drawn(page: Page) -> None:
    """Wait until all is drawn; a transition takes less than a second."""
    settled(page)
    page.wait_for_timeout(2_000)


def signed_in(browser: Browser, world: World, size: tuple[int, int]) -> Page:
    """A page of a browser of its own, an admin's."""
    context = context_of(browser, world.url, size)
    sign_in(context, world.url, "ada")
    return context.new_page()


def alerted(world: World) -> None:
    """Two alerts that are open, one of them taken on, and one that is over."""
    world.alert("pictured-1")
    taken = Acknowledgement(by="lin", at=NOW, note="库存已补")
    title = {"en": "R3→R4 has dropped by 18%", "zh": "R3→R4 流转下降 18%"}
    stake: dict[str, Any] = {"users_at_stake": 42, "gmv_at_stake": 1_280_000, "severity": Severity.WARNING, "title": title}
    world.alert(
        "pictured-2", "tmall", state=AlertState.ACKNOWLEDGED, version=2, acknowledged=taken, observed=0.081, expected=0.099, **stake
    )
    world.alert("pictured-3", "douyin", state=AlertState.RESOLVED, version=3, severity=Severity.INFO)
    wait_until(lambda: world.rows("SELECT count() FROM alerts") == [(3,)], "the alerts", 60)


def take(browser: Browser, world: World, folder: Path) -> None:
    """Every view in every size, in both languages, with data and without."""
    alerted(world)
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
    """The two of the README, with something on the timeline, and alerts."""
    alerted(world)
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
