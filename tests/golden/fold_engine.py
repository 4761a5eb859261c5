"""The fast fold as a golden engine: steps over states that are stored and read back as bytes between any two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal, cast

import msgspec

from schemas.ladder import Ladder
from schemas.rollup import OrderRow, Rollup
from schemas.times import from_rfc3339
from schemas.touchpoint import CATALOGUE, KINDS, PURCHASE, Tick, Touchpoint
from schemas.transition import Touch, Transition
from streams.fold import Fold, Record
from streams.labels import Labels
from streams.ladder import Rules
from streams.meta import Meta
from streams.outbox import Entry
from streams.plain import Outcome, PlainFigures, PlainTransition
from streams.recompute import Passage
from streams.state import State, decode_state
from tests.golden.engine import Event, Result, Sweep

_transition = msgspec.json.Decoder(Transition).decode
_rollup = msgspec.json.Decoder(Rollup).decode
NOW = from_rfc3339("2026-11-22T00:00:00Z")


class StillMessage:
    """A Kafka record that holds still."""

    def __init__(self, offset: int, value: bytes = b"", headers: list[tuple[str, bytes]] | None = None) -> None:
        self._offset, self._value, self._headers = offset, value, headers

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes | None:
        return self._value

    def offset(self) -> int | None:
        return self._offset

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers


class MemoryShard:
    """One shard of one partition whose Redis is a dictionary; every step encodes and decodes all it touches."""

    def __init__(self, ladder: Ladder) -> None:
        self.rules = Rules(ladder)
        self.meta = Meta()
        self.labels: list[str] = []
        self.states: dict[str, bytes] = {}
        self.roster: list[str] = []
        self.transitions: list[Transition] = []
        self.rollups: list[Rollup] = []
        self.entries: list[Entry] = []
        self.outcomes: list[Outcome] = []
        self._offsets = dict.fromkeys(range(len(KINDS)), -1)

    def step(self, events: Sequence[Touchpoint | Tick]) -> None:
        """One step over these events."""
        records = [self._record(event) for event in events]
        keys = [self._key(event) for event in events]
        labels = Labels(self.labels)
        fold = self._fold(labels, keys)
        for record, key in zip(records, keys, strict=True):
            duplicates, junk = fold.counts.duplicates.total(), fold.counts.junk.total()
            fold.take(record, key)
            if fold.counts.junk.total() > junk:
                self.outcomes.append(Outcome.JUNK)
                continue
            is_duplicate = fold.counts.duplicates.total() > duplicates
            self.outcomes.append(Outcome.TICK if not key else Outcome.DUPLICATE if is_duplicate else Outcome.APPLIED)
        self._finish(fold, labels)

    def resume(self, meta: Meta) -> None:
        """Goes on where another shard of this meta stood."""
        self.meta = meta
        self._offsets = dict(enumerate(meta.offsets))

    def sweep(self) -> None:
        """A step that moves every clock to the last turn."""
        if self.meta.watermark is None:
            return
        labels = Labels(self.labels)
        fold = self._fold(labels, self.roster)
        fold.sweep(self.roster, self.rules.last_turn(self.meta.watermark))
        self._finish(fold, labels)

    def recompute(self, ladder: Ladder, most: int) -> None:
        """Steps that move every user to another ladder, at most `most` users each."""
        self.sweep()
        self.meta.layers = list(self.rules.layers)
        self.meta.ladder = self.rules.id
        if self.meta.watermark is not None:
            self.meta.swept_to = self.rules.last_turn(self.meta.watermark)
        passage = Passage(self.rules, Rules(ladder))
        index, more = 0, True
        while more:
            keys = self.roster[index : index + most]
            index, more = index + len(keys), len(keys) == most
            stored = {key: self.states.get(key) for key in keys}
            labels = Labels(self.labels)
            fold = Fold(passage.rules, labels, self.meta.copy(), stored, shard=0, partitions=1, now=NOW)
            passage.step(fold, keys, last=not more)
            self._finish(fold, labels)
        self.rules = passage.new

    def users(self) -> dict[tuple[str, str], State]:
        """Every user ever seen."""
        found = {}
        for key in self.roster:
            brand, _, user = key.partition(":")
            found[self.rules.brand_of_key(brand).name, user] = decode_state(self.states[key])
        return found

    def _key(self, event: Touchpoint | Tick) -> str:
        return f"{self.rules.brands[event.brand].key}:{event.user_id}" if isinstance(event, Touchpoint) else ""

    def _record(self, event: Touchpoint | Tick) -> Record:
        kind = KINDS.index(CATALOGUE[event.type]) if isinstance(event, Touchpoint) else 0
        self._offsets[kind] += 1
        assert not isinstance(event.occurred_at, datetime)
        return (event.occurred_at, self._offsets[kind], kind, event, StillMessage(self._offsets[kind]))

    def _fold(self, labels: Labels, keys: Sequence[str]) -> Fold:
        stored = {key: self.states.get(key) for key in keys}
        return Fold(self.rules, labels, self.meta.copy(), stored, shard=0, partitions=1, now=NOW)

    def _finish(self, fold: Fold, labels: Labels) -> None:
        states, entry = fold.finish()
        self.states.update(states)
        self.labels += labels.take_added()
        self.roster += fold.newcomers
        self.meta = fold.meta
        self.entries.append(entry)
        self.transitions += [_transition(value) for _, value in entry.transitions]
        self.rollups += [_rollup(value) for value in entry.rollups]


class FoldEngine:
    """The fast fold, `batch` events a step."""

    def __init__(self, batch: int) -> None:
        self._batch = batch

    def run(self, ladder: Ladder, events: Sequence[Event]) -> Result:
        shard = MemoryShard(ladder)
        for part in _runs(events, self._batch):
            if part is None:
                shard.sweep()
            else:
                shard.step(part)
        layers = {user: shard.rules.layers[state.layer] for user, state in shard.users().items()}
        return Result([plain(t) for t in shard.transitions], layers, shard.outcomes, figures(shard.rollups))


def _runs(events: Sequence[Event], batch: int) -> Iterator[list[Touchpoint | Tick] | None]:
    run: list[Touchpoint | Tick] = []
    for event in events:
        if isinstance(event, Sweep):
            if run:
                yield run
            yield None
            run = []
            continue
        run.append(event)
        if len(run) == batch:
            yield run
            run = []
    if run:
        yield run


def plain(t: Transition) -> PlainTransition:
    """A published transition in the plain fold's terms."""
    effective, occurred = from_rfc3339(t.effective_at), from_rfc3339(t.occurred_at)
    first = t.first_touch
    return PlainTransition(
        brand=t.brand,
        user_id=t.user_id,
        seq=t.seq,
        from_=t.from_,
        to=t.to,
        kind=cast(Literal["advance", "retract", "decay"], t.kind.value),
        occurred_at=occurred,
        effective_at=effective,
        late=t.late,
        dwell_ms=t.dwell_ms,
        cause_type=t.cause.type or "",
        cause_at=occurred if t.cause.at is None else from_rfc3339(t.cause.at),
        touch=_labels(t.touch),
        first_touch=(first.channel, first.campaign_id, None if first.at is None else from_rfc3339(first.at)),
        former_touch=None if t.former_touch is None else _labels(t.former_touch),
    )


def _labels(touch: Touch) -> tuple[str | None, str | None, str | None, str | None]:
    return (touch.channel, touch.campaign_id, touch.store_id, touch.guide_id)


def figures(rollups: Sequence[Rollup]) -> PlainFigures:
    """The money that rollups tell of."""
    rows: list[OrderRow] = [row for rollup in rollups for row in rollup.orders]
    purchases = [row for row in rows if row.type == PURCHASE]
    refunds: dict[str, int] = defaultdict(int)
    for row in rows:
        refunds[row.brand] += row.refunded
    return PlainFigures(
        purchases=len(purchases),
        buyers=len({(row.brand, row.user_id) for row in purchases}),
        gmv=sum(row.amount for row in purchases),
        refunds=sum(refunds.values()),
    )
