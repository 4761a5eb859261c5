"""The screen in a real browser, over a war room as a process: what is shown, in which size, and what is said when figures stand still."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from deploy.desk import desk_of
from schemas.alert import Alert, AlertState, Severity
from tests.browser.browser import LAPTOP, PHONE, WALL, WALL_4K, Open, Seen, assert_fits, serious_faults, settled
from tests.browser.world import BRAND, EARLIER, EMPTY_BRAND, PASSWORD, PROMOTION, World, definition_of, newest, on_topic, process_of, until
from tests.servers import wait_until
from warroom import wording
from warroom.targets import cells

CELL = "R4"


def value(page: Page, selector: str) -> float:
    """The figure behind what is written, as the page got it."""
    told = page.locator(selector).first.get_attribute("data-value")
    assert told is not None
    return float(told)


def shows(page: Page, selector: str, figure: int) -> None:
    """Wait until a figure is this: what is on the page at first may be a snapshot of a moment ago."""
    expect(page.locator(selector).first).to_have_attribute("data-value", str(figure))


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
    page.get_by_label("用户名").fill("olga")
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()
    settled(page)
    page.context.clear_cookies()  # as when the session ends
    expect(page.get_by_role("button", name="登录")).to_be_visible(timeout=10_000)
    seen.forgive("401")


@pytest.mark.parametrize("size", [WALL, WALL_4K], ids=str)
def test_the_wall_fits_with_data_and_with_none(open_page: Open, size: tuple[int, int]) -> None:
    page = open_page(f"/wall?brand={BRAND}&promotion={PROMOTION}", size=size)
    for brand in (BRAND, EMPTY_BRAND):
        page.goto(f"/wall?brand={brand}&language=zh")
        assert_fits(page, f"{brand} zh", wall=True)
        page.locator("[data-toggle=language]").click()
        assert_fits(page, f"{brand} en", wall=True)


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=str)
@pytest.mark.parametrize("brand", [BRAND, EMPTY_BRAND])
def test_every_page_fits_with_data_and_with_none(open_page: Open, size: tuple[int, int], brand: str) -> None:
    page = open_page(f"/?brand={brand}", who="ada", size=size)
    settled(page)
    pages = page.locator("nav a")
    links = [pages.nth(i) for i in range(pages.count())]
    if brand == BRAND:
        links += [page.locator("nav a[href^='/channels']"), page.locator("[data-panel=channels] td a").first]
    for link in links:
        link.click()
        for _ in ("one language", "the other"):
            assert_fits(page, page.url)
            page.locator("[data-toggle=language]").click()


def test_figures_are_those_of_an_independent_query(open_page: Open, world: World) -> None:
    page = open_page(f"/?brand={BRAND}&promotion={PROMOTION}")
    world.until_stored()
    page.reload()
    settled(page)
    begin, end = "2025-11-10 12:00:00", "2025-11-11 16:00:00"
    of_window = f"brand = '{BRAND}' AND type = 'purchase' AND occurred_at >= '{begin}' AND occurred_at < '{end}'"
    ((gmv, orders, buyers),) = world.rows(f"SELECT sum(amount), count(), uniqExact(user_id) FROM orders WHERE {of_window}")
    assert orders > 50
    # progress counts whole minutes: the running one comes with the next
    ((running_gmv, running_orders),) = world.rows(
        f"SELECT sum(amount), count() FROM orders WHERE {of_window} AND occurred_at >= (SELECT toStartOfMinute(max(watermark)) FROM shards)"
    )
    shows(page, "[data-figure=gmv] .tile-value", gmv - running_gmv)
    shows(page, "[data-figure=orders] .tile-value", orders - running_orders)
    assert value(page, "[data-figure=buyers] .tile-value") <= buyers
    assert value(page, "[data-figure=order_value] .tile-value") == pytest.approx((gmv - running_gmv) / (orders - running_orders))
    written = page.locator("[data-figure=gmv] .tile-value").inner_text()
    assert written == wording.money(gmv - running_gmv, "CNY", "zh")
    layers = dict(world.rows(f"SELECT layer, uniqExact(user_id) FROM (SELECT user_id, argMax(to_layer, seq) AS layer FROM transitions"
                             f" WHERE brand = '{BRAND}' GROUP BY user_id) GROUP BY layer"))  # fmt: skip
    assert len(layers) == 6
    for layer, users in layers.items():
        shows(page, f"[data-layer={layer}] .rung-users", users)
    page.goto(f"/flows?brand={BRAND}")
    settled(page)
    since = "(SELECT toStartOfMinute(max(watermark)) + INTERVAL 1 MINUTE - INTERVAL 1 HOUR FROM shards)"
    moves = world.rows(f"SELECT concat(from_layer, '>', to_layer), uniqExact(user_id) FROM transitions WHERE brand = '{BRAND}'"
                       f" AND effective_at >= {since} GROUP BY 1")  # fmt: skip
    assert len(moves) > 5
    for flow, users in moves:
        shows(page, f'[data-flow="{flow}"]', users)


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


def test_who_may_see_no_brand_is_told_how_to_begin(open_page: Open) -> None:
    page = open_page("/", who="nina")
    expect(page.get_by_text("还没有品牌")).to_be_visible()


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


def begin_adjusting(page: Page, value: str) -> None:
    page.get_by_role("button", name="调整目标").click()
    page.locator(f"[data-edit='{CELL}/headcount']").fill(value)
    page.get_by_label("原因").fill("直播间加场")
    assert_fits(page, "adjusting")


def test_a_target_adjusted_in_the_browser_is_on_the_topic_at_once_and_the_plan_moves(open_page: Open, world: World) -> None:
    page, other = (open_page(f"/promotions?brand={BRAND}&promotion={PROMOTION}", who=who) for who in ("olga", "vera"))
    for one in (page, other):
        settled(one)
    before = on_topic(world)
    target = float(page.locator("[data-figure=gmv] .tile-target").get_attribute("data-target") or 0)
    assert target == before[-1].target.gmv
    expect(other.get_by_role("button", name="调整目标")).to_have_count(0)  # a viewer looks

    begin_adjusting(page, "5000")
    page.get_by_role("button", name="试算").click()
    expect(page.locator("[data-what-if]")).to_contain_text(CELL)
    assert len(on_topic(world)) == len(before)  # nothing is saved
    page.get_by_role("button", name="保存").click()
    began = time.monotonic()
    wait_until(lambda: len(on_topic(world)) > len(before), "the change to be on the topic", 10)
    took = time.monotonic() - began
    saved = on_topic(world)[-1]
    assert (saved.changed_by, saved.reason) == ("olga", "直播间加场")
    assert took < 5, took  # on an idle machine below one

    # It counts from its minute on: once the day has come there the plan has moved, also on the other's screen.
    world.write(until(world, saved.effective_ms + 120_000))
    for one in (page, other):
        expect(one.locator("[data-figure=gmv] .tile-target")).to_have_attribute("data-target", str(saved.target.gmv), timeout=15_000)
        expect(one.locator("[data-panel=versions]")).to_contain_text("直播间加场")
    assert saved.target.gmv > target
    lines = page.evaluate(f"fetch('/api/v1/promotions/{PROMOTION}/pacing').then((answer) => answer.json())")
    assert lines["gmv"]["planned"][-1] == saved.target.gmv > lines["gmv"]["original"][-1] == target


def test_of_two_operators_the_second_sees_both_versions_and_loses_nothing(open_page: Open, world: World, seen: Seen) -> None:
    first, second = (open_page(f"/promotions?brand={BRAND}&promotion={PROMOTION}", who=who) for who in ("olga", "omar"))
    for page, value in ((first, "6000"), (second, "7000")):
        settled(page)
        begin_adjusting(page, value)
    second.locator("[data-edit='R5/conversion_rate']").fill("51.5")
    first.get_by_role("button", name="保存").click()
    expect(first.locator("[data-panel=adjust]")).to_have_count(0)
    expect(second.get_by_role("status")).to_contain_text("olga")
    second.get_by_role("button", name="保存").click()
    conflict = second.get_by_role("alertdialog")
    for told in ("7,000", "6,000", "51.5%"):
        expect(conflict).to_contain_text(told)
    assert on_topic(world)[-1].changed_by == "olga"
    second.get_by_role("button", name="在对方版本上继续我的修改").click()
    expect(second.locator(f"[data-edit='{CELL}/headcount']")).to_have_value("7000")
    second.get_by_role("button", name="保存").click()
    expect(second.locator("[data-panel=adjust]")).to_have_count(0)
    last = on_topic(world)[-1]
    rows = {cell.path: factors for cell, factors in cells(last.target).items()}
    assert (last.changed_by, rows[CELL].headcount, rows["R5"].conversion_rate) == ("omar", 7_000, 0.515)
    seen.forgive("412")


def test_name_window_phases_and_plan_are_changed_on_the_screen_and_the_second_loses_nothing(
    open_page: Open, world: World, seen: Seen, tmp_path: Path
) -> None:
    with desk_of(world.deployment.settings) as desk:
        made = desk.versions(PROMOTION)[0]
        desk.create(definition_of(made, "w11", [("presale", "2025-11-10 20:00", "2025-11-12 00:00")]), by="li", because="first")
    first, second = (open_page(f"/promotions?brand={BRAND}&promotion=w11", who=who) for who in ("olga", "omar"))
    for page in (first, second):
        settled(page)
        page.get_by_role("button", name="改名称、时间、计划").click()
        page.get_by_label("原因").fill("延长一天")
    form = first.locator("[data-panel=restate]")
    form.locator("[name=name]").fill("双11 延长")
    form.locator("[name=to]").fill("2025-11-13T00:00")
    expect(form.locator("[data-phase='0/to']")).to_have_value("2025-11-13T00:00")  # it ended with the window
    first.get_by_role("button", name="保存").click()
    expect(first.get_by_role("button", name="双11 延长")).to_be_visible()

    second.locator("[data-phase='0/from']").fill("2025-11-10T21:00")
    second.get_by_role("button", name="保存").click()
    conflict = second.get_by_role("alertdialog")
    for told in ("olga", "延长一天", "双11 延长", "2025-11-13 00:00", "预售期 11-10 21:00–11-12 00:00"):
        expect(conflict).to_contain_text(told)
    assert newest(world, "w11").version == 2
    second.get_by_role("button", name="在对方版本上继续我的修改").click()
    second.get_by_role("button", name="保存").click()
    expect(second.locator("[data-panel=restate]")).to_have_count(0)
    last = newest(world, "w11")
    assert (last.version, last.changed_by, last.name, last.window.to) == (3, "omar", "双11 延长", "2025-11-12T16:00:00.000Z")
    assert [(phase.from_, phase.to) for phase in last.phases] == [("2025-11-10T13:00:00.000Z", "2025-11-11T16:00:00.000Z")]

    expect(first.locator("[data-panel=versions]")).to_contain_text("omar")
    first.get_by_role("button", name="改名称、时间、计划").click()
    first.get_by_label("计划曲线").select_option("file")
    first.get_by_label("原因").fill("财务给的曲线")
    for rows, wrong in (("0,0\n240,half\n3120,1", "line 3: expected a whole minute"), ("0,0\n240,0.4\n3120,1", "")):
        file = tmp_path / f"plan{bool(wrong)}.csv"
        file.write_text(f"minute,share\n{rows}\n")
        first.locator("[name=plan_upload]").set_input_files(file)
        expect(first.locator("[name=plan_file]")).to_have_value(file.read_text())
        first.get_by_role("button", name="保存").click()
        if wrong:
            expect(form.get_by_role("alert")).to_contain_text(wrong)
    expect(form).to_have_count(0)
    assert [(point.minute, point.share) for point in newest(world, "w11").plan] == [(0, 0.0), (240, 0.4), (3120, 1.0)]
    for status in ("412", "400"):
        seen.forgive(status)


def test_a_promotion_is_made_in_the_browser_with_the_curve_of_an_earlier_one(open_page: Open, world: World) -> None:
    page = open_page(f"/promotions?brand={BRAND}&promotion={PROMOTION}")
    settled(page)
    page.get_by_role("button", name="新建大促").click()
    form = page.locator("[data-panel=create]")
    written = {
        "promotion_id": "d12-2025",
        "name": "双12",
        "from": "2025-12-11T20:00",
        "peak": "2025-12-12T00:00",
        "to": "2025-12-13T00:00",
        "because": "年终",
    }
    for name, text in written.items():
        form.locator(f"[name={name}]").fill(text)
    form.get_by_label("复制目标自").select_option(PROMOTION)
    form.get_by_label("人数倍数").fill("2")
    form.get_by_role("button", name="复制", exact=True).click()
    form.get_by_label("计划曲线").select_option("like")
    form.locator("select[name=like]").select_option(EARLIER)
    form.get_by_role("button", name="创建大促").click()
    expect(page.locator("[data-panel=versions]")).to_contain_text("年终")
    made, like = newest(world, "d12-2025"), newest(world, PROMOTION)
    heads = {cell.path: 2 * factors.headcount for cell, factors in cells(like.target).items()}
    assert {cell.path: factors.headcount for cell, factors in cells(made.target).items()} == heads
    assert len(made.plan) > 20
    assert made.plan[-1].minute == made.minutes
    assert [(phase.phase, phase.from_) for phase in made.phases] == [
        ("teaser", "2025-12-11T12:00:00.000Z"),
        ("peak", "2025-12-11T16:00:00.000Z"),
    ]


def test_a_note_a_user_and_the_audit_log_are_seen_by_those_who_may(open_page: Open, world: World) -> None:
    page = open_page(f"/timeline?brand={BRAND}&promotion={PROMOTION}", who="ada")
    settled(page)
    expect(page.locator("input[type=datetime-local]")).to_have_value(re.compile("^2025-11-1[01]T"))  # the events' time, not the wall's
    page.get_by_label("内容").fill("主播换人 <b>不是标签</b>")
    page.get_by_role("button", name="写下").click()
    expect(page.locator("[data-panel=timeline]")).to_contain_text("主播换人 <b>不是标签</b>")
    world.until_stored()
    ((user, layer, moves),) = world.rows(
        f"SELECT user_id, argMax(to_layer, seq), count() FROM transitions WHERE brand = '{BRAND}' GROUP BY user_id ORDER BY 3 DESC LIMIT 1"
    )
    page.goto(f"/users?brand={BRAND}&user={user}")
    expect(page.locator(".facts")).to_contain_text(layer)
    expect(page.locator("tbody tr", has_text="→")).to_have_count(moves)
    page.goto(f"/audit?brand={BRAND}")
    expect(page.get_by_text("write note")).to_be_visible()
    viewer = open_page(f"/audit?brand={BRAND}", who="vera")
    settled(viewer)
    assert viewer.locator("nav a").all_inner_texts() == ["总览", "流转", "渠道", "大促", "对比", "告警", "时间线"]


def told_of(world: World, alert_id: str) -> list[Alert]:
    """What the topic says of an alert."""
    told = [msgspec.json.decode(message.value() or b"", type=Alert) for message in world.deployment.read("alerts")]
    return [one for one in told if one.alert_id == alert_id]


def test_an_alert_on_the_topic_is_on_the_wall_within_ten_seconds_and_taken_on_in_the_browser(open_page: Open, world: World) -> None:
    judging = process_of(world.deployment, "alerts")
    wall = open_page(f"/wall?brand={BRAND}&promotion={PROMOTION}", who="vera", size=WALL)
    settled(wall)
    expect(wall.locator("[data-panel=alerts]")).to_contain_text("没有告警")

    # 1. On the topic, on the wall: what dropped, from what to what, since when, what is at stake.
    fired = world.alert("seen")
    shown = wall.locator("[data-alert=seen]")
    expect(shown).to_be_visible(timeout=10_000)
    for told in (fired.title["zh"], "严重", "4.4% → 2.1%", "735 人/时", "¥9.5万/时", "自 00:28", "待确认"):
        expect(shown).to_contain_text(told)
    expect(wall.locator("[data-pressing=seen]")).to_contain_text(fired.title["zh"])
    world.alert("long", "x" * 128, severity=Severity.WARNING)
    expect(wall.locator("[data-alert=long]")).to_be_visible(timeout=10_000)
    found: dict[str, str] = {}
    for size in (WALL, WALL_4K):
        wall.set_viewport_size({"width": size[0], "height": size[1]})
        for _ in ("zh", "en"):
            assert_fits(wall, f"alerts {size}", wall=True)
            wall.locator("[data-toggle=language]").click()
    found |= serious_faults(wall)

    # 2. The link of a message leads to it: an operator takes it on, a viewer only looks.
    page = open_page(f"/alerts?brand={BRAND}&alert=seen", who="olga")
    settled(page)
    expect(page.locator("[data-panel=alert-history]")).to_contain_text("进行中")
    for size in (LAPTOP, PHONE):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        assert_fits(page, f"/alerts {size}")
    found |= serious_faults(page)
    assert found == {}
    card = page.locator("[data-alert=seen]")
    card.get_by_label("备注").fill("群码过期 <b>")
    card.get_by_role("button", name="我来处理").click()
    for one in (page, wall):
        expect(one.locator("[data-alert=seen]")).to_contain_text("olga 处理中", timeout=10_000)
    viewer = open_page(f"/alerts?brand={BRAND}", who="vera")
    expect(viewer.locator("[data-alert=long]")).to_be_visible()
    expect(viewer.get_by_role("button", name="我来处理")).to_have_count(0)

    # 3. The engine tells it on the topic, as the next version, and it is stored with the history.
    wait_until(lambda: len(told_of(world, "seen")) == 2, "the acknowledgement on the topic", 60)
    taken = told_of(world, "seen")[-1]
    assert taken.acknowledged is not None
    assert (taken.state, taken.version, taken.acknowledged.by, taken.acknowledged.note) == ("acknowledged", 2, "olga", "群码过期 <b>")
    expect(page.locator("[data-panel=alert-history]")).to_contain_text("olga: 群码过期 <b>", timeout=20_000)
    assert judging.stop() == 0

    # 4. A silence is made, shown at the alert, and ended.
    form = page.locator("[data-form=silence]")
    form.get_by_label("渠道").select_option("wecom")
    form.get_by_label("原因").fill("已知")
    form.get_by_role("button", name="静默").click()
    expect(page.locator("[data-alert=seen]")).to_contain_text("已静默")
    page.get_by_role("button", name="提前结束").click()
    expect(page.locator("[data-panel=silences]")).to_contain_text("olga 提前结束")

    # 5. Over: gone from the wall, kept on the timeline.
    for alert_id, version in (("seen", 3), ("long", 2)):
        world.alert(alert_id, state=AlertState.RESOLVED, version=version)
    expect(wall.locator("[data-panel=alerts]")).to_contain_text("没有告警", timeout=15_000)
    page.goto(f"/timeline?brand={BRAND}&promotion={PROMOTION}")
    expect(page.locator("[data-panel=timeline]")).to_contain_text(fired.title["zh"])


def test_axe_finds_no_serious_fault(open_page: Open) -> None:
    page = open_page("/signin", who="ada")
    found: dict[str, str] = {}
    for path, theme in (
        ("/wall", "dark"),
        ("/", "light"),
        ("/flows", "dark"),
        ("/promotions", "light"),
        ("/compare", "dark"),
        ("/signin", "dark"),
    ):
        page.goto(f"{path}?brand={BRAND}&theme={theme}")
        if path != "/signin":
            settled(page)
        found |= serious_faults(page)
    assert found == {}


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
