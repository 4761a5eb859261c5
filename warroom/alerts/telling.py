"""What an alert says, in English and Chinese: what dropped, from what to what, what is at stake, since when, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from schemas.alert import Alert
from schemas.times import from_rfc3339
from warroom.alerts.flows import Finding
from warroom.alerts.judged import Judged
from warroom.alerts.level import Fallen
from warroom.alerts.origin import Share
from warroom.pacing import LEVEL, Projection
from warroom.timeline import TargetChange

LANGUAGES = ("en", "zh")
MOST_OF_IT = 0.6
"""From this share on a label accounts for most of a drop, and the alert names it."""


class Stake(Struct, frozen=True, kw_only=True):
    """What an hour of it costs: users that do not move (or leave), and GMV in minor units (None: not known)."""

    users: int
    gmv: int | None


class Change(Struct, frozen=True, kw_only=True):
    """What was changed at `at` (epoch milliseconds), in words by language: a target, a deployment, a planned window."""

    at: int
    text: dict[str, str]


class Words(Struct, frozen=True, kw_only=True):
    """What every text of a brand needs. `link` leads to its view."""

    zone: str
    currency: str
    link: str = ""


class Context(Words, frozen=True, kw_only=True):
    """What a text needs beside the finding. `labels`: the campaigns and stores it comes from; `changes` is what else changed then."""

    stake: Stake
    channels: Sequence[Share] = ()
    labels: Sequence[tuple[str, Sequence[Share]]] = ()
    others: Sequence[str] = ()
    changes: Sequence[Change] = ()


def title(finding: Finding, channel: str | None) -> dict[str, str]:
    """One line."""
    flow = f"{finding.key.from_}→{finding.key.to}"
    percent = f"{abs(finding.change):.0%}"
    down = finding.change < 0
    return {
        "en": f"{flow} has {'dropped' if down else 'risen'} by {percent}{f' in {channel}' if channel else ''}",
        "zh": f"{flow}{f'（{channel}）' if channel else ''}流转{'下降' if down else '上升'} {percent}",
    }


def summary(finding: Finding, context: Context) -> dict[str, str]:
    """What to know before doing anything; a sentence each."""
    en, zh = _rates(finding, context)
    for more in (_sources(context), _labels(context), _certainty(finding), _beside(context)):
        if more is not None:
            en.append(more[0])
            zh.append(more[1])
    return {"en": " ".join(en), "zh": "".join(zh)}


def back(now: Finding, before: Alert, zone: str) -> dict[str, str]:
    """That it is over."""
    since = f"{datetime.fromtimestamp(from_rfc3339(before.since) / 1000, ZoneInfo(zone)):%H:%M}"
    rate = f"{now.now:.1%}"
    return {
        "en": f"Back at {rate}, usually {now.usual:.1%}; it began at {since}.",
        "zh": f"已恢复至 {rate}，平时 {now.usual:.1%}；始于 {since}。",
    }


def _rates(finding: Finding, context: Context) -> tuple[list[str], list[str]]:
    now, usual = finding.now, finding.usual
    since = f"{datetime.fromtimestamp(finding.since / 1000, ZoneInfo(context.zone)):%H:%M}"
    users, gmv = f"{context.stake.users:,}", context.stake.gmv
    worth_en = "" if gmv is None else f" and {grouped(gmv)} {context.currency} of GMV"
    worth_zh = "" if gmv is None else f"、GMV {grouped(gmv)} {context.currency}"
    per = f"{finding.done:,}/{finding.tried:,}"
    return (
        [
            f"Moves over touchpoints: {now:.1%} since {since} ({per}), usually {usual:.1%}.",
            f"At stake: {users} users{worth_en} an hour.",
        ],
        [f"自 {since} 起转化率 {now:.1%}（{per}），平时 {usual:.1%}。", f"每小时影响 {users} 人{worth_zh}。"],
    )


def _sources(context: Context) -> tuple[str, str] | None:
    told = [one for one in context.channels[:3] if one.share >= 0.1]
    if not told:
        return None
    parts = ", ".join(f"{one.label or '-'} {one.share:.0%}" for one in told)
    return f"It comes from {parts}.", f"主要来自 {parts}。"


_DIMENSIONS = {"campaign_id": ("By campaign", "按活动"), "store_id": ("By store", "按门店")}


def _labels(context: Context) -> tuple[str, str] | None:
    en, zh = [], []
    for dimension, found in context.labels:
        told = ", ".join(f"{one.label or '-'} {one.share:.0%}" for one in found[:3] if one.share >= 0.1)
        if told:
            en.append(f"{_DIMENSIONS[dimension][0]}: {told}.")
            zh.append(f"{_DIMENSIONS[dimension][1]}：{told}。")
    return (" ".join(en), "".join(zh)) if en else None


def _certainty(finding: Finding) -> tuple[str, str]:
    chance = f"10^-{min(99, int(finding.surprise))}"
    how_en = "a slow sag; " if finding.by_sag else ""
    how_zh = "缓慢下滑；" if finding.by_sag else ""
    return (
        f"By chance this happens with probability {chance} ({how_en}{finding.minutes} min).",
        f"（{how_zh}{finding.minutes} 分钟）偶然概率 {chance}。",
    )


def _beside(context: Context) -> tuple[str, str] | None:
    en, zh = [], []
    if context.others:
        en.append(f"Also: {', '.join(context.others)}.")
        zh.append(f"同时：{'、'.join(context.others)}。")
    if context.changes:
        en.append(f"Changed then: {'; '.join(one.text['en'] for one in context.changes)}.")
        zh.append(f"当时的变更：{'；'.join(one.text['zh'] for one in context.changes)}。")
    if context.link:
        en.append(context.link)
        zh.append(context.link)
    return (" ".join(en), "".join(zh)) if en else None


def target_changed(change: TargetChange, currency: str) -> dict[str, str]:
    """That a promotion's target was changed, from what to what, and why."""
    figures = f"{grouped(change.gmv_before or 0)} → {grouped(change.gmv_after)} {currency}"
    return {
        "en": f"{change.name}: GMV target {figures} ({change.reason})",
        "zh": f"{change.name}：GMV 目标 {figures}（{change.reason}）",
    }


def pace_title(name: str, short: float) -> dict[str, str]:
    """One line: by what fraction of its target a promotion will fall short."""
    return {"en": f"{name} will miss its target by {short:.0%}", "zh": f"{name} 预计低于目标 {short:.0%}"}


def pace_summary(projection: Projection, target: float, due: float, chance: float, words: Words) -> dict[str, str]:
    """Where it will end, in which range, and how likely the target still is."""
    end, low, high, wanted, actual = (f"{grouped(round(x))} {words.currency}" for x in (*_ends(projection), target, projection.actual))
    en = [
        f"Projected end {end}, in {LEVEL:.0%} of cases {low} to {high}; the target is {wanted}.",
        f"{due:.0%} of the plan is due, {actual} are reached. The chance of the target is {chance:.1%}.",
    ]
    zh = f"预计最终 {end}（{LEVEL:.0%} 区间 {low} 至 {high}），目标 {wanted}。计划应达 {due:.0%}，已达 {actual}。达成概率 {chance:.1%}。"
    return _with_link(" ".join(en), zh, words)


def spend_title(label: str, fewer: float) -> dict[str, str]:
    """One line: by what fraction fewer orders a label's spend brings."""
    return {"en": f"Spend on {label} brings {fewer:.0%} fewer orders", "zh": f"{label} 投放带来的订单减少 {fewer:.0%}"}


def spend_summary(orders: int, expected: float, spent: int, chance: float, words: Words) -> dict[str, str]:
    """What the money brought, and what it usually brings."""
    money = f"{grouped(spent)} {words.currency}"
    shown = f"{expected:,.0f}"
    en = f"{orders:,} orders for {money}; the same money usually brings {shown}. By chance this happens with probability {chance:.1g}."
    zh = f"花费 {money} 带来 {orders:,} 单，同样花费通常带来 {shown} 单。偶然概率 {chance:.1g}。"
    return _with_link(en, zh, words)


_COUNTS = {"orders": "订单", "joins": "入群关注", "exposures": "曝光"}


def count_title(name: str, fewer: float) -> dict[str, str]:
    """One line: by what fraction a count is below what everything else lets expect."""
    return {"en": f"{name.capitalize()} down {fewer:.0%}", "zh": f"{_COUNTS[name]}减少 {fewer:.0%}"}


def count_summary(name: str, judged: Judged, minutes: int, words: Words) -> dict[str, str]:
    """How many came, and how many the brand's other touchpoints let expect."""
    came, due = f"{judged.observed:,.0f}", f"{judged.expected:,.0f}"
    en = f"{came} {name} in {minutes} minutes, where everything else that comes lets at least {due} expect."
    zh = f"{minutes} 分钟内{_COUNTS[name]} {came}，按其他触点至少应有 {due}。"
    return _with_link(f"{en} By chance this happens with probability {judged.chance:.1g}.", f"{zh}偶然概率 {judged.chance:.1g}。", words)


def level_title(fallen: Fallen) -> dict[str, str]:
    """One line: what is left of all that comes."""
    left = f"{fallen.came / fallen.usual:.0%}"
    return {
        "en": f"What comes in has fallen to {left} of what is usual: flows are not judged",
        "zh": f"进量降至平常的 {left}：暂停流转判断",
    }


def level_summary(fallen: Fallen, zone: str, planned: Sequence[str] = ()) -> dict[str, str]:
    """From what to what, since when, and by which topics if not by all alike."""
    since = f"{datetime.fromtimestamp(fallen.since / 1000, ZoneInfo(zone)):%H:%M}"
    came, usual = f"{fallen.came:,.0f}", f"{fallen.usual:,.0f}"
    topics = [f"{topic} {left:.0%}" for topic, left in fallen.topics]
    notes = "".join(f"; {one}" for one in planned)
    which_en = f"what is left: {', '.join(topics)}" if topics else "every kind alike"
    which_zh = f"仅剩 {'、'.join(topics)}" if topics else "各类触点均减少"
    en = f"{came} touchpoints a minute since {since}, usually at least {usual}; {which_en}"
    zh = f"自 {since} 起每分钟触点 {came}，平常至少 {usual}；{which_zh}"
    return {
        "en": f"{en}{notes}. Are all collectors, connectors and feeds at work?",
        "zh": f"{zh}{notes}。请检查采集器、连接器与各数据源是否全部在运行。",
    }


def _ends(projection: Projection) -> tuple[float, float, float]:
    return projection.end, projection.low, projection.high


def _with_link(en: str, zh: str, words: Words) -> dict[str, str]:
    return {"en": f"{en} {words.link}".rstrip(), "zh": f"{zh}{words.link}"}


def grouped(minor: int) -> str:
    """An amount in minor units, in whole ones with thousands apart."""
    return f"{minor / 100:,.0f}"
