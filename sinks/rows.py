"""From a record's bytes to the rows it puts into the tables. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Alert
from schemas.framing import unframed
from schemas.ladder import Ladder
from schemas.promotion import Promotion
from schemas.rollup import OrderRow, Rollup, TouchPlace
from schemas.spend import Spend
from schemas.times import from_datetime, from_rfc3339
from schemas.transition import Touch, Transition
from sinks.decision import Stream
from sinks.tables import ALERTS, JUNK_MINUTES, NEW_USERS, ORDERS, PROMOTIONS, SPEND, STEPS, TOUCH_MINUTES, TRANSITIONS

Row = tuple[Any, ...]


class Record(msgspec.Struct, gc=False):
    """A record of a lane, decoded: its place in the lane and the rows it becomes, by the name of the table.

    `whole` says that it ends its step; of a transition that cannot be told.
    """

    offset: int
    version: int
    index: int
    whole: bool
    rows: dict[str, list[Row]]
    size: int
    """how many rows"""
    transitions: int = 0
    """of the record that ends a step: how many transitions the step has"""


class BadRecord(ValueError):
    """The bytes are no record of this topic; the message says why."""


class Decoder:
    """Decodes the records of every stream; `ladder` tells the brands' calendars."""

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._rollup = msgspec.json.Decoder(Rollup)
        self._transition = msgspec.json.Decoder(Transition)
        self._spend = msgspec.json.Decoder(Spend)
        self._promotion = msgspec.json.Decoder(Promotion)
        self._alert = msgspec.json.Decoder(Alert)
        self._by_stream: dict[Stream, Callable[[int, int, bytes], Record]] = {
            Stream.ROLLUPS: self._of_rollup,
            Stream.TRANSITIONS: self._of_transition,
            Stream.SPEND: self._of_spend,
            Stream.PROMOTIONS: self._of_promotion,
            Stream.ALERTS: self._of_alert,
        }

    def decode(self, stream: Stream, partition: int, offset: int, value: bytes | None) -> Record:
        """The record at `offset`. Raises BadRecord."""
        try:
            return self._by_stream[stream](partition, offset, value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
            raise BadRecord(str(error)) from None

    def _of_rollup(self, partition: int, offset: int, value: bytes) -> Record:
        rollup = self._rollup.decode(value)
        _expect_shard(rollup.shard, partition)
        rows: dict[str, list[Row]] = {}
        if rollup.touches:
            rows[TOUCH_MINUTES.name] = [
                (t.minute, t.brand, t.type, t.channel or "", t.campaign_id or "", t.store_id or "", t.layer_before, t.touchpoints, t.users)
                for t in rollup.touches
            ]
        if rollup.new_users:
            rows[NEW_USERS.name] = [(n.minute, n.brand, n.users) for n in rollup.new_users]
        if rollup.orders:
            rows[ORDERS.name] = [_order_row(rollup, order) for order in rollup.orders]
        if rollup.junk_touches:
            rows[JUNK_MINUTES.name] = [(j.minute, j.brand, j.type, j.channel or "", j.records) for j in rollup.junk_touches]
        if rollup.last:
            rows[STEPS.name] = [_step_row(rollup)]
        size = sum(len(of_table) for of_table in rows.values())
        return Record(offset, rollup.version, rollup.index, rollup.last, rows, size, rollup.transitions)

    def _of_transition(self, partition: int, offset: int, value: bytes) -> Record:
        transition = self._transition.decode(value)
        _expect_shard(transition.shard, partition)
        rows = {TRANSITIONS.name: [_transition_row(transition)]}
        return Record(offset, transition.version, transition.index, True, rows, 1)

    def _of_spend(self, partition: int, offset: int, value: bytes) -> Record:
        spend = self._spend.decode(unframed(value))
        day = date.fromisoformat(spend.day)
        if not 1970 <= day.year <= 2299:
            raise BadRecord(f"expected a day from 1970 to 2299, found {spend.day}")
        zone = ZoneInfo(self._ladder.calendar(spend.brand)[0])
        begins_at = from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone))
        row = (spend.spend_id, spend.brand, day, begins_at, spend.channel or "", spend.campaign_id or "", spend.amount, spend.currency)
        return Record(offset, 0, 0, True, {SPEND.name: [row]}, 1)

    def _of_promotion(self, partition: int, offset: int, value: bytes) -> Record:
        row = _promotion_row(self._promotion.decode(value), value)
        return Record(offset, 0, 0, True, {PROMOTIONS.name: [row]}, 1)

    def _of_alert(self, partition: int, offset: int, value: bytes) -> Record:
        row = _alert_row(self._alert.decode(value), value)
        return Record(offset, 0, 0, True, {ALERTS.name: [row]}, 1)


def _expect_shard(shard: int, partition: int) -> None:
    if shard != partition:
        raise BadRecord(f"expected a record of shard {partition} on partition {partition}, found shard {shard}")


def _order_row(rollup: Rollup, order: OrderRow) -> Row:
    return (
        rollup.shard,
        rollup.version,
        order.event_id,
        order.type,
        order.brand,
        order.user_id,
        order.order_id,
        order.occurred_at,
        order.amount,
        order.refunded,
        order.currency,
        order.layer_before,
        order.first_seen,
        order.channel or "",
        order.campaign_id or "",
        order.store_id or "",
        order.guide_id or "",
        *_place(order.first_touch),
        *_place(order.last_touch),
        order.layer_channel or "",
        order.layer_store_id or "",
    )


def _place(place: TouchPlace | None) -> Row:
    if place is None:
        return (None, "", "", "", "")
    return (place.at, place.channel or "", place.campaign_id or "", place.store_id or "", place.guide_id or "")


def _step_row(rollup: Rollup) -> Row:
    return (
        rollup.shard,
        rollup.version,
        rollup.ladder,
        rollup.detected_at,
        rollup.watermark,
        rollup.swept_to,
        rollup.offsets,
        rollup.applied,
        rollup.duplicates,
        rollup.junk,
        rollup.late,
        rollup.dead_letters,
        rollup.forwarded,
        rollup.ticks,
        rollup.transitions,
    )


def _promotion_row(p: Promotion, record: bytes) -> Row:
    return (
        p.promotion_id,
        p.version,
        p.brand,
        p.name,
        p.changed_by,
        from_rfc3339(p.changed_at),
        p.reason,
        from_rfc3339(p.effective_from),
        p.window.from_ms,
        p.window.to_ms,
        p.target.gmv,
        record.decode(),
    )


def _alert_row(a: Alert, record: bytes) -> Row:
    return (
        a.brand,
        a.alert_id,
        a.version,
        a.rule,
        a.state.value,
        a.severity.value,
        "" if a.flow is None else a.flow.from_,
        "" if a.flow is None else a.flow.to,
        a.scope.get("channel", ""),
        from_rfc3339(a.since),
        from_rfc3339(a.at),
        a.users_at_stake,
        a.gmv_at_stake,
        "" if a.acknowledged is None else a.acknowledged.by,
        record.decode(),
    )


def _transition_row(t: Transition) -> Row:
    cause, touch, first = t.cause, t.touch, t.first_touch
    return (
        t.shard,
        t.version,
        t.index,
        t.brand,
        t.user_id,
        t.seq,
        t.from_,
        t.to,
        t.direction,
        t.kind.value,
        from_rfc3339(t.occurred_at),
        from_rfc3339(t.effective_at),
        from_rfc3339(t.detected_at),
        t.late,
        t.dwell_ms,
        t.ladder,
        cause.event_id or "",
        cause.type or "",
        cause.topic or "",
        cause.partition,
        cause.offset,
        None if cause.at is None else from_rfc3339(cause.at),
        *_labels(touch),
        first.channel or "",
        first.campaign_id or "",
        None if first.at is None else from_rfc3339(first.at),
        *_labels(t.former_touch or Touch()),
        t.seq == 1 or t.former_touch is not None,
    )


def _labels(touch: Touch) -> Row:
    return (touch.channel or "", touch.campaign_id or "", touch.store_id or "", touch.guide_id or "")
