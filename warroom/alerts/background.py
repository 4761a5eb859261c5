"""What is known of a brand beside its minutes: its promotions, an earlier one's curve, what was changed lately, spend."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace as _with
from redis.exceptions import RedisError

from schemas.promotion import Promotion
from schemas.times import DAY_MS, HOUR_MS
from sinks.errors import SinkError
from warroom.alerts import money, telling
from warroom.alerts.engine import Judge
from warroom.alerts.flows import curve_of
from warroom.alerts.lasting import Stands
from warroom.alerts.level import level_curve
from warroom.alerts.minutes import Key, Minute
from warroom.alerts.origin import Split
from warroom.alerts.rules import Rules
from warroom.notes import Notes
from warroom.pacing import same_clock
from warroom.timeline import target_changes

log = logging.getLogger("rflow.alerts")

_LOOK_SECONDS = 60.0
_CHANGES_MS = 2 * HOUR_MS
_AHEAD_MS = 12 * HOUR_MS
"""How far an earlier promotion's curve is read ahead; it is read again when half of that is used up."""
_SPEND_MS = 28 * DAY_MS
_BEFORE_MS = 12 * HOUR_MS
"""So long before a promotion its evening counts to it."""


class Sources(Protocol):
    """Where figures come from (`figures.AlertReader`). All raise StoreAway or StoreError."""

    def minutes(self, brand: str, start: int, end: int) -> list[Minute]:
        """Every minute from `start` to before `end`."""

    def promotions(self, brand: str) -> list[list[Promotion]]:
        """All versions of each promotion, oldest first."""

    def gmv(self, brand: str, start: int, end: int) -> list[float]:
        """GMV of every minute."""

    def spend(self, brand: str, start: int, end: int) -> list[money.SpendDay]:
        """What each channel and campaign cost and brought."""


class Splits(Protocol):
    """Where the split of a flow comes from (`figures.AlertReader`)."""

    def split(self, brand: str, key: Key, since: int, end: int) -> Split:
        """A flow's moves by campaign and by store."""


class _Read(NamedTuple):
    until: float
    promotions: list[list[Promotion]]


class Background:
    """Of every brand, read now and then. Not safe for several threads. Without `notes` changes are told without them."""

    def __init__(self, notes: Notes | None = None) -> None:
        self._notes = notes
        self._read: dict[str, _Read] = {}
        self._curves: dict[str, tuple[str, int]] = {}

    def refresh(self, reader: Sources, judge: Judge, now: float, at: int) -> None:
        """Bring what a judge knows up to `at` (epoch milliseconds). `now` is in seconds of a clock that never runs backwards.

        Raises StoreAway or StoreError."""
        brand = judge.facts.brand
        if brand in self._read and now < self._read[brand].until:
            return
        promotions = reader.promotions(brand)
        self._read[brand] = _Read(now + _LOOK_SECONDS, promotions)
        judge.facts = _with(judge.facts, changes=tuple(self._changes(judge, promotions, at)))
        self._curve(reader, judge, promotions, at)

    def stands(self, reader: Sources, judge: Judge, rules: Rules, at: int) -> list[Stands]:
        """How a brand's promotions and spend stand at a whole minute. Raises StoreAway or StoreError."""
        facts = judge.facts
        words = telling.Words(zone=facts.zone, currency=facts.currency, link=facts.link)
        found: list[Stands] = []
        for versions in self._read[facts.brand].promotions if rules.pace.enabled else ():
            window = versions[-1].window
            if window.from_ms < at <= window.to_ms:
                one = money.pace(versions, reader.gmv(facts.brand, window.from_ms, at), at, rules.pace, words)
                found += [] if one is None else [one]
        if rules.spend.enabled:
            found += money.spend(reader.spend(facts.brand, at - _SPEND_MS, at), at, rules.spend, words)
        return found

    def _changes(self, judge: Judge, promotions: Sequence[Sequence[Promotion]], at: int) -> list[telling.Change]:
        begin, end = at - _CHANGES_MS, at + HOUR_MS
        currency = judge.facts.currency
        found = [
            telling.Change(at=one.at, text=telling.target_changed(one, currency))
            for versions in promotions
            for one in target_changes(versions)
            if one.gmv_before is not None and begin <= one.at < end
        ]
        try:
            notes = [] if self._notes is None else self._notes.between(judge.facts.brand, begin, end)
        except (RedisError, OSError) as error:
            log.warning("alerts of %s: notes cannot be read, alerts go without them: %s", judge.facts.brand, error)
            notes = []
        return found + [telling.Change(at=one.at, text=dict.fromkeys(telling.LANGUAGES, f"{one.text} ({one.author})")) for one in notes]

    def _curve(self, reader: Sources, judge: Judge, promotions: Sequence[Sequence[Promotion]], at: int) -> None:
        pair = earlier_of([versions[-1] for versions in promotions], at)
        if pair is None:
            judge.flows.earlier = judge.level.earlier = None
            return
        now, before = pair
        brand = judge.facts.brand
        known, ends = self._curves.get(brand, ("", 0))
        if judge.flows.earlier is not None and known == before.promotion_id and ends - at > _AHEAD_MS // 2:
            return
        begin, end = at - DAY_MS, at + _AHEAD_MS
        shift = at - same_clock(at, now.window.from_ms, before.window.from_ms)
        minutes = reader.minutes(brand, begin - shift, end - shift)
        judge.flows.earlier = curve_of(judge.flows.shape, minutes, begin)
        judge.level.earlier = level_curve(minutes, begin)
        self._curves[brand] = (before.promotion_id, end)
        log.info("alerts of %s: the curve of promotion %s is a baseline of %s", brand, before.promotion_id, now.promotion_id)


def splitter(reader: Splits, brand: str, key: Key, since: int, end: int) -> Split:
    """Where a flow comes from. An alert does not wait for it."""
    try:
        return reader.split(brand, key, since, end)
    except SinkError as error:
        log.warning("alerts of %s: where a drop comes from cannot be told: %s", brand, str(error).partition("\n")[0][:300])
        return {}


def earlier_of(promotions: Sequence[Promotion], at: int) -> tuple[Promotion, Promotion] | None:
    """The promotion that runs at an instant or begins within twelve hours, and the last one that was over before it began."""
    running = [one for one in promotions if one.window.from_ms - _BEFORE_MS <= at < one.window.to_ms]
    now = max(running, key=lambda one: one.window.from_ms, default=None)
    if now is None:
        return None
    over = [one for one in promotions if one.window.to_ms <= now.window.from_ms]
    before = max(over, key=lambda one: one.window.to_ms, default=None)
    return None if before is None else (now, before)
