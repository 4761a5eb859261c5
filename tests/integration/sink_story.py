"""A made-up history of a few shards, as the publisher writes it: rollups and transitions, with entries told again after a crash."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import xxhash

from schemas.alert import Alert, AlertState, Severity
from schemas.rollup import JunkCount, NewUsers, OrderRow, Rollup, TouchCount, TouchPlace
from schemas.times import DAY_MS, MINUTE_MS, to_rfc3339
from schemas.transition import Cause, FirstTouch, Touch, Transition, TransitionKind

LAYERS = ("R0", "R1", "R2", "R3", "R4", "R5")
START = 1_794_355_200_000
ALERT_STATES = (AlertState.FIRING, AlertState.UPDATED, AlertState.RESOLVED)
CHANNELS = (None, "douyin", "tmall", "store")


@dataclass
class Entry:
    """What one step publishes to one partition, and what is told of alerts meanwhile."""

    transitions: list[bytes] = field(default_factory=list)
    rollups: list[bytes] = field(default_factory=list)
    alerts: list[bytes] = field(default_factory=list)


@dataclass
class _User:
    id: str
    layer: int = 0
    seq: int = 0
    first: TouchPlace | None = None
    moved_by: Touch | None = None


class Shard:
    """Tells the steps of one shard; the same seed tells the same story."""

    def __init__(self, shard: int, seed: int = 1, brand: str = "acme") -> None:
        self._shard = shard
        self._brand = brand
        self._random = random.Random(seed * 1000 + shard)
        self._users: list[_User] = []
        self._version = 0
        self._now = START

    def steps(self, count: int, events: int = 10, parts: int = 1) -> list[Entry]:
        """The next `count` entries of about `events` records each, every rollup in `parts` parts."""
        return [self._step(events, parts) for _ in range(count)]

    def _step(self, events: int, parts: int) -> Entry:
        self._version += 1
        entry = Entry(alerts=self._alerts())
        touches: list[TouchCount] = []
        new_users: list[NewUsers] = []
        orders: list[OrderRow] = []
        junk: list[JunkCount] = []
        for _ in range(self._random.randint(0, events)):
            self._now += self._random.randint(0, 90_000)
            minute = self._now - self._now % MINUTE_MS
            user = self._someone()
            if user.first is None:
                user.first = TouchPlace(at=self._now, channel=self._random.choice(CHANNELS))
                new_users.append(NewUsers(minute, self._brand, 1))
            channel = self._random.choice(CHANNELS)
            before = LAYERS[user.layer]
            touches.append(TouchCount(minute, self._brand, "ad_click", channel, None, "s1", before, 1, [user_hash(user.id)]))
            if self._random.random() < 0.2:
                junk.append(JunkCount(minute, self._brand, "ad_click", channel, self._random.randint(1, 900)))
            if self._random.random() < 0.3:
                orders.append(self._order(user, before, channel))
            to = self._random.randrange(len(LAYERS))
            if to != user.layer:
                entry.transitions.append(self._transition(user, to, len(entry.transitions), channel))
        entry.rollups = self._rollups(parts, touches, new_users, orders, junk, len(entry.transitions))
        return entry

    def _alerts(self) -> list[bytes]:
        """A state of an alert with every tenth step."""
        state, at = ALERT_STATES[self._version // 10 % 3], to_rfc3339(self._now)
        told = Alert(
            alert_id=f"{self._brand}-flow_drop-{self._shard}-{self._version // 30}",
            brand=self._brand,
            rule="flow_drop",
            state=state,
            severity=Severity.WARNING,
            title={"en": "R2→R3 has dropped by 50%"},
            summary={"en": "At stake: 120 users an hour."},
            users_at_stake=120 + self._version,
            since=at,
            at=at,
            version=self._version % 30 // 10 + 1,
        )
        return [msgspec.json.encode(told)] if self._version % 10 == 0 else []

    def _someone(self) -> _User:
        if not self._users or self._random.random() < 0.4:
            self._users.append(_User(f"u{self._shard}-{len(self._users)}"))
        return self._random.choice(self._users)

    def _order(self, user: _User, before: str, channel: str | None) -> OrderRow:
        order = self._random.randint(1, 10**9)
        return OrderRow(
            event_id=f"e{order}",
            type="purchase",
            brand=self._brand,
            user_id=user.id,
            order_id=f"o{order}",
            occurred_at=self._now,
            amount=self._random.randint(0, 10_000),
            refunded=0,
            currency="CNY",
            layer_before=before,
            first_seen=user.first.at if user.first else self._now,
            channel=channel,
            first_touch=user.first,
        )

    def _transition(self, user: _User, to: int, index: int, channel: str | None) -> bytes:
        user.seq += 1
        at = to_rfc3339(self._now)
        first = user.first
        transition = Transition(
            id=f"{self._shard}:{self._version}:{index}",
            shard=self._shard,
            version=self._version,
            index=index,
            brand=self._brand,
            user_id=user.id,
            seq=user.seq,
            from_=LAYERS[user.layer],
            to=LAYERS[to],
            direction="forward" if to > user.layer else "reverse",
            kind=TransitionKind.ADVANCE if to > user.layer else TransitionKind.RETRACT,
            occurred_at=at,
            effective_at=at,
            detected_at=at,
            late=False,
            dwell_ms=None if user.seq == 1 else 1000,
            ladder="5r@1",
            cause=Cause(event_id="e", type="ad_click", topic="touchpoints.interaction", partition=self._shard, offset=index),
            touch=Touch(channel=channel, store_id="s1"),
            first_touch=FirstTouch(channel=first.channel, at=to_rfc3339(first.at)) if first else FirstTouch(),
            former_touch=user.moved_by,
        )
        user.layer, user.moved_by = to, transition.touch
        return msgspec.json.encode(transition)

    def _rollups(
        self, parts: int, touches: list[TouchCount], new_users: list[NewUsers], orders: list[OrderRow], junk: list[JunkCount], moves: int
    ) -> list[bytes]:
        told = []
        for index in range(parts):
            last = index == parts - 1
            rollup = Rollup(
                shard=self._shard,
                version=self._version,
                index=index,
                last=last,
                ladder="5r@1",
                detected_at=self._now,
                watermark=self._now,
                swept_to=self._now - self._now % DAY_MS,
                touches=touches[index::parts],
                new_users=new_users if last else [],
                orders=orders[index::parts],
                junk_touches=junk[index::parts],
                offsets={"touchpoints.exposure": -1, "touchpoints.interaction": self._version},
                applied=len(touches) if last else 0,
                duplicates=1 if last else 0,
                junk=sum(row.records for row in junk) if last else 0,
                late=0,
                dead_letters={},
                forwarded=0,
                ticks=0,
                transitions=moves if last else 0,
            )
            told.append(msgspec.json.encode(rollup))
        return told


def user_hash(user_id: str) -> int:
    """A user's hash as rollups carry it."""
    return xxhash.xxh3_64_intdigest(user_id.encode()) >> 11


def told_again(entries: list[Entry], seed: int = 7) -> list[Entry]:
    """The entries as a log that saw crashes holds them: now and then the last few come a second time, sometimes after half an entry."""
    chance = random.Random(seed)
    log: list[Entry] = []
    for i, entry in enumerate(entries):
        log.append(entry)
        if chance.random() < 0.2:
            half = len(entry.transitions) // 2
            if chance.random() < 0.5 and i + 1 < len(entries):
                after = entries[i + 1]
                log.append(Entry(after.transitions[:half], after.rollups[: len(after.rollups) // 2]))
            log += entries[max(0, i - 3) : i + 1]
    return log
