"""The screen in a real browser, over a war room as a process: what is shown, in which size, and what is said when figures stand still."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browser import LAPTOP, LAYOUT, PHONE, WALL, WALL_4K, Seen, chromium, context_of, settled, sign_in
from tests.browser.world import BRAND, EMPTY_BRAND, PASSWORD, PROMOTION, World, screen_world
from warroom import wording

PAGES = ("/", "/flows", "/channels")
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with screen_world(tmp_path_factory.mktemp("screen")) as made:
        yield made


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


def value(page: Page, selector: str) -> float:
    """The figure behind what is written, as the page got it."""
    told = page.locator(selector).first.get_attribute("data-value")
    assert told is not None
    return float(told)


def test_who_signs_in_comes_to_the_page_asked_for(open_page: Open, seen: Seen) -> None:
    page = open_page(f"/flows?brand={BRAND}", who=None)
    page.get_by_label("用户名").fill("olga")
    page.get_by_label("密码").fill("not the password")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_have_text("用户名或密码不对。")
    assert page.context.cookies() == []
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()
    settled(page)
    assert "/flows" in page.url
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_role("button", name="登录")).to_be_visible()
    # the browser itself tells of what was refused
    assert all("401" in complaint for complaint in seen.complaints)
    seen.complaints.clear()


@pytest.mark.parametrize(("size", "paths"), [(WALL, ["/wall"]), (WALL_4K, ["/wall"]), (LAPTOP, PAGES), (PHONE, PAGES)], ids=str)
def test_every_view_fits_its_screen_with_data_and_with_none(open_page: Open, size: tuple[int, int], paths: list[str]) -> None:
    page = open_page(f"{paths[0]}?brand={BRAND}", who="ada", size=size)
    for language in ("zh", "en"):
        for path in paths:
            for brand in (BRAND, EMPTY_BRAND):
                page.goto(f"{path}?brand={brand}&language={language}")
                settled(page)
                found: dict[str, Any] = page.evaluate(LAYOUT)
                where = f"{path} {brand} {language}"
                assert (found["overlaps"], found["outside"], found["cut"], found["keys"]) == ([], [], [], []), where
                assert found["wide"] <= 0, where
                if path == "/wall":
                    assert found["high"] <= 0, where
                    assert found["small"] == [], where


def test_figures_are_those_of_an_independent_query(open_page: Open, world: World) -> None:
    page = open_page(f"/?brand={BRAND}&promotion={PROMOTION}")
    settled(page)
    begin, end = "2025-11-10 12:00:00", "2025-11-11 16:00:00"
    of_window = f"brand = '{BRAND}' AND type = 'purchase' AND occurred_at >= '{begin}' AND occurred_at < '{end}'"
    ((gmv, orders, buyers),) = world.rows(f"SELECT sum(amount), count(), uniqExact(user_id) FROM orders WHERE {of_window}")
    assert orders > 50
    # progress counts whole minutes: the running one comes with the next
    ((running_gmv, running_orders),) = world.rows(
        f"SELECT sum(amount), count() FROM orders WHERE {of_window} AND occurred_at >= (SELECT toStartOfMinute(max(watermark)) FROM shards)"
    )
    assert value(page, "[data-figure=gmv] .tile-value") == gmv - running_gmv
    assert value(page, "[data-figure=orders] .tile-value") == orders - running_orders
    assert value(page, "[data-figure=buyers] .tile-value") <= buyers
    assert value(page, "[data-figure=order_value] .tile-value") == pytest.approx((gmv - running_gmv) / (orders - running_orders))
    written = page.locator("[data-figure=gmv] .tile-value").inner_text()
    assert written == wording.money(gmv - running_gmv, "CNY", "zh")
    layers = dict(world.rows(f"SELECT layer, uniqExact(user_id) FROM (SELECT user_id, argMax(to_layer, seq) AS layer FROM transitions"
                             f" WHERE brand = '{BRAND}' GROUP BY user_id) GROUP BY layer"))  # fmt: skip
    shown = {layer: value(page, f"[data-layer={layer}] .rung-users") for layer in layers}
    assert shown == layers
    page.goto(f"/flows?brand={BRAND}")
    settled(page)
    since = "(SELECT toStartOfMinute(max(watermark)) + INTERVAL 1 MINUTE - INTERVAL 1 HOUR FROM shards)"
    moves = world.rows(f"SELECT concat(from_layer, '>', to_layer), uniqExact(user_id) FROM transitions WHERE brand = '{BRAND}'"
                       f" AND effective_at >= {since} GROUP BY 1")  # fmt: skip
    assert len(moves) > 5
    for flow, users in moves:
        assert value(page, f'[data-flow="{flow}"]') == users, flow


def test_figures_are_written_as_the_server_writes_them(open_page: Open, world: World) -> None:
    page = open_page("/signin", who=None)
    base = page.locator("link[rel=stylesheet]").first.get_attribute("href").split("/css/")[0]  # type: ignore[union-attr]
    amounts = [0, 1, 50, 99, 100, 4_150, 9_999, 10_000, 123_456, 892_100, 999_949, 99_999_949, 99_999_950, 12_345_678_901, 1e12, -4_150]
    counts = [0, 7, 999, 9_000, 9_999, 10_000, 10_499, 12_345, 12_500, 99_949, 99_950, 999_499, 99_995_000, 123_456_789, -9_000, 3.4]
    shares = [None, 0, 0.0001, 0.0042, 0.00994, 0.00996, 0.061, 0.5, 1, 1.234, 33.0]
    script = """async ([base, amounts, counts, shares]) => {
      const f = await import(`${base}/js/format.js`);
      const written = (l) => [amounts.map((a) => f.money(a, 'CNY', l)), counts.map((c) => f.count(c, l)), shares.map((s) => f.rate(s))];
      return ['zh', 'en'].map(written);
    }"""
    for language, found in zip(("zh", "en"), page.evaluate(script, [base, amounts, counts, shares]), strict=True):
        assert found[0] == [wording.money(amount, "CNY", language) for amount in amounts]  # type: ignore[arg-type]
        assert found[1] == [wording.count(number, language) for number in counts]  # type: ignore[arg-type]
        assert found[2] == [wording.rate(share) for share in shares]
    zones = """async (base) => {
      const f = await import(`${base}/js/format.js`);
      const [shown, typed] = ['Asia/Shanghai', 'America/New_York'];
      return [f.dayTime(1794355203120, shown), f.time(1794355203120, shown), f.withOffset('2026-11-11T08:00', shown),
        f.withOffset('2026-03-08T03:30', typed)];
    }"""
    assert page.evaluate(zones, base) == ["11-11 08:00", "08:00:03", "2026-11-11T00:00:00.000Z", "2026-03-08T07:30:00.000Z"]


def test_both_languages_have_every_text(open_page: Open) -> None:
    page = open_page("/signin", who=None)
    base = page.locator("link[rel=stylesheet]").first.get_attribute("href").split("/css/")[0]  # type: ignore[union-attr]
    zh, en = page.evaluate("async (base) => Object.values((await import(`${base}/js/i18n.js`)).dictionaries)", base)
    assert zh.keys() == en.keys()
    assert not [key for key in zh if not zh[key].strip() or not en[key].strip()]
    # the same values are filled in
    places = re.compile(r"\{\w+\}")
    assert not [key for key in zh if sorted(places.findall(zh[key])) != sorted(places.findall(en[key]))]
    han = re.compile(r"[\u4e00-\u9fff]")
    assert [key for key in en if han.search(en[key])] == ["toggle.language"]


def test_language_and_colours_change_at_once_and_stay(open_page: Open) -> None:
    page = open_page(f"/?brand={BRAND}")
    settled(page)
    root = page.locator("html")
    assert (root.get_attribute("lang"), root.get_attribute("data-up")) == ("zh-CN", "red")
    page.locator("[data-toggle=language]").click()
    expect(page.get_by_role("heading", name="Pacing")).to_be_visible()
    assert (root.get_attribute("lang"), root.get_attribute("data-up")) == ("en", "green")
    page.locator("[data-toggle=up]").click()
    page.locator("[data-toggle=theme]").click()
    page.reload()
    settled(page)
    assert [root.get_attribute(name) for name in ("lang", "data-up", "data-theme")] == ["en", "red", "dark"]


def test_every_figure_says_what_it_counts_to_mouse_and_keyboard(open_page: Open) -> None:
    page = open_page(f"/wall?brand={BRAND}", size=WALL)
    settled(page)
    figures = page.locator(".fig")
    assert figures.count() > 20
    bare = page.evaluate(
        "[...document.querySelectorAll('.fig')].filter((e) => !e.dataset.tip || e.tabIndex || !e.getAttribute('aria-label')).length"
    )
    assert bare == 0
    page.locator("[data-figure=gmv] .tile-value").hover()
    expect(page.get_by_role("tooltip")).to_contain_text("支付金额合计")
    page.locator("[data-figure=orders] .tile-value").focus()
    expect(page.get_by_role("tooltip")).to_contain_text("支付订单数")
    expect(page.get_by_role("tooltip")).to_contain_text("11-10 20:00")
    page.keyboard.press("Escape")
    expect(page.get_by_role("tooltip")).to_be_hidden()


def test_the_first_paint_comes_within_a_second(open_page: Open) -> None:
    page = open_page(f"/wall?brand={BRAND}", size=WALL)
    settled(page)
    page.reload()
    settled(page)
    (painted,) = page.evaluate("performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)")
    assert painted < 1_000


def test_standstill_is_told_with_its_reason_and_gone_afterwards(open_page: Open, world: World) -> None:
    page = open_page(f"/wall?brand={BRAND}", size=WALL)
    world.feed(5)
    settled(page)
    banner = page.get_by_role("alert")

    def stands(reason: str, stop: Callable[[], Any], go_on: Callable[[], Any], feeds: bool) -> None:
        stop()
        if feeds:
            world.feed(5)
        expect(page.locator(f"[data-banner={reason}]")).to_be_visible(timeout=10_000)
        go_on()
        expect(banner).to_have_count(0, timeout=10_000)

    def frozen(process: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
        return lambda: process.send_signal(signal.SIGSTOP), lambda: process.send_signal(signal.SIGCONT)

    stands("worker_down", *frozen(world.worker.process), feeds=True)
    stands("sink_behind", *frozen(world.sink.process), feeds=True)
    stands("clickhouse_away", world.servers["clickhouse"].freeze, world.servers["clickhouse"].thaw, feeds=False)
    stands("link_broken", *frozen(world.warroom.process), feeds=False)
