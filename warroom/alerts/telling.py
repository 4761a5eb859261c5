"""What an alert says, in English and Chinese: what dropped, from what to what, what is at stake, since when, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from schemas.alert import Alert
from schemas.times import from_rfc3339
from warroom.alerts.flows import Finding, Share

MOST_OF_IT = 0.6
"""From this share on a label accounts for most of a drop, and the alert names it."""


class Stake(Struct, frozen=True, kw_only=True):
    """What an hour of it costs: users that do not move (or leave), and GMV in minor units (None: not known)."""

    users: int
    gmv: int | None


class Context(Struct, frozen=True, kw_only=True):
    """What a text needs beside the finding. `changes` is what else changed then; `link` leads to the view."""

    zone: str
    currency: str
    stake: Stake
    channels: Sequence[Share] = ()
    others: Sequence[str] = ()
    changes: Sequence[str] = ()
    link: str = ""


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
    for more in (_sources(context), _certainty(finding), _beside(context)):
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
        en.append(f"Changed then: {'; '.join(context.changes)}.")
        zh.append(f"当时的变更：{'；'.join(context.changes)}。")
    if context.link:
        en.append(context.link)
        zh.append(context.link)
    return (" ".join(en), "".join(zh)) if en else None


def grouped(minor: int) -> str:
    """An amount in minor units, in whole ones with thousands apart."""
    return f"{minor / 100:,.0f}"
