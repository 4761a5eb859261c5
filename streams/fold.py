"""The ladder as a pure fold: records in, new states and outputs out. No I/O, no clock of its own, no layer's name.

The rules are those of the design's ladder section; `streams.plain` tells them again in the plainest form, and the tests hold this
one against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from schemas.deadletter import DeadLetterHeaders, InvalidRecord, Reason
from schemas.partition import partition_of
from schemas.rollup import OrderRow, TouchPlace
from schemas.times import MINUTE_MS, to_rfc3339
from schemas.touchpoint import KINDS, Kind, Membership, Order, Tick, Touchpoint
from schemas.transition import Cause, FirstTouch, Touch, Transition, TransitionKind
from streams.counting import Counts
from streams.evidence import add_purchase, add_refund, add_touch, change_relation, find_order, note_touch
from streams.headers import mark_of, read_headers
from streams.labels import Labels
from streams.ladder import Brand, Effect, Rule, Rules
from streams.meta import Meta
from streams.outbox import FORWARDED_HEADER, Entry, Forward, Letter, letter_of, portable
from streams.pace import PACE_BITS, PACE_MASK, change_minute, pace_floor
from streams.predicate import lapse_of, layer_at
from streams.replayed import own_place, replay_mark
from streams.state import (
    RING_BYTES,
    OrderEntry,
    State,
    decode_state,
    encode_state,
    event_hash,
    in_ring,
    new_state,
    with_entry,
)
from streams.touches import last_touch, layer_touch, note_layer_touch

LATE_MS = 600_000
"""A touchpoint more than this behind the watermark is late."""

PACED = KINDS.index(Kind.INTERACTION) + 1
"""The topics before this index, exposure and interaction, are those of which a user may send no more than so much a minute."""

_encode_json = msgspec.json.Encoder().encode


class Message(Protocol):
    """What the fold asks of a Kafka record; confluent_kafka's Message is one."""

    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def offset(self) -> int | None: ...
    def headers(self) -> Any: ...


Record = tuple[int, int, int, Touchpoint | Tick | InvalidRecord, Message]
"""(order in the merge, offset, index of the topic in KINDS, what was read, the record itself)"""


class Fold:
    """Folds the records of one step of one shard into `meta` and `states`, which it owns until the step is over.

    `states` maps user keys (`BRAND:USER`) to the stored bytes, None for users without state. `now` is the wall clock that
    `detected_at` tells and, in live mode, the watermark does not pass (`cap`). `replayed` are the replays of dead letters that the shard is
    known to have taken.
    """

    def __init__(
        self,
        rules: Rules,
        labels: Labels,
        meta: Meta,
        states: Mapping[str, bytes | None],
        *,
        shard: int,
        partitions: int,
        now: int,
        cap: bool = False,
        replayed: frozenset[str] = frozenset(),
    ) -> None:
        self.meta = meta
        self.counts = Counts()
        self.newcomers: list[str] = []
        self.flows: Counter[tuple[str, str, str, str]] = Counter()
        """transitions by (brand, from, to, kind)"""
        self.reasons: Counter[str] = Counter()
        """dead letters by reason"""
        self.replays: dict[str, None] = {}
        """the replays of dead letters taken, in order"""
        self._replayed = replayed
        self._rules = rules
        self._labels = labels
        self.states = {key: None if stored is None else decode_state(stored) for key, stored in states.items()}
        self.changed: dict[str, State] = {}
        self._shard = shard
        self._partitions = partitions
        self._now = now
        self._cap = cap
        self._detected_at = to_rfc3339(now)
        self._version = meta.version + 1
        self._transitions: list[tuple[bytes, bytes]] = []
        self._letters: list[Letter] = []
        self._forwards: list[Forward] = []

    # --- records ------------------------------------------------------------------------------------------------------------------
    def take(self, record: Record, key: str) -> None:
        """One record, in the order of the merge, and its user's key. Its offset is applied whatever becomes of it."""
        _, offset, topic, item, message = record
        meta = self.meta
        if offset <= meta.offsets[topic]:
            return
        meta.offsets[topic] = offset
        if isinstance(item, Touchpoint):
            self._touchpoint(item, key, topic, offset, message)
        elif isinstance(item, Tick):
            at = int(item.occurred_at)  # type: ignore[arg-type]
            meta.reached[topic] = max(meta.reached[topic], at)
            self.advance(at)
            self.counts.ticks += 1
        else:
            self._letter(topic, offset, message, item.reason, item.detail)

    def advance(self, at: int) -> None:
        """Moves the watermark to `at`; never back and, in live mode, never beyond the wall clock."""
        if self._cap and at > self._now:
            at = self._now
        if self.meta.watermark is None or at > self.meta.watermark:
            self.meta.watermark = at

    def _touchpoint(  # noqa: C901
        self, touchpoint: Touchpoint, key: str, topic: int, offset: int, message: Message
    ) -> None:
        # Calls are dear in this loop: the way of a known user's everyday touchpoint is told in one piece.
        headers = read_headers(message)
        if headers:
            if not self._is_first_forward(topic, headers):
                self.counts.repeated_forwards += 1
                return
            if not self._is_first_replay(headers):
                self.counts.duplicates[touchpoint.type] += 1
                return
        # 1. The user. Who has a state here is on the right partition; only newcomers' places need to be computed.
        state = self.states[key]
        if state is None and (right := partition_of(touchpoint.user_id, self._partitions)) != self._shard:
            self._misplaced(touchpoint, topic, offset, message, headers, right)
            return
        # 2. The watermark.
        at: int = touchpoint.occurred_at  # type: ignore[assignment]
        meta = self.meta
        if at - 1 > meta.reached[topic]:
            meta.reached[topic] = at - 1
        watermark = meta.watermark
        if watermark is None or at > watermark:
            self.advance(at)
            watermark = meta.watermark
            assert watermark is not None
        # 3. The pace. It is told by this log alone, in its own order: what is a duplicate depends on how the logs were merged, and what
        # is junk must not.
        brand = self._rules.brands[touchpoint.brand]
        if topic < PACED and state is not None:
            pace = state.interactions if topic else state.exposures
            minute = at // MINUTE_MS - state.base // MINUTE_MS
            if pace is None or pace >> PACE_BITS != minute:
                pace = change_minute(state, topic, pace, minute, brand.junk_above)
            if pace & PACE_MASK >= brand.junk_above:
                self.counts.junk[at - at % MINUTE_MS, touchpoint.brand, touchpoint.type, touchpoint.channel] += 1
                return
            if topic:
                state.interactions = pace + 1
            else:
                state.exposures = pace + 1
        # 4. Duplicates change nothing else.
        rule = self._rules.types[touchpoint.type]
        digest = event_hash(touchpoint.event_id.encode())
        entry = digest[:RING_BYTES]
        order = None
        if state is not None:
            if isinstance(touchpoint, Order):
                order = find_order(state, touchpoint.order_id)
            bought = rule.effect is Effect.PURCHASE and order is not None and order.paid is not None
            if bought or (entry in state.ring and in_ring(state.ring, entry)):
                self.counts.duplicates[touchpoint.type] += 1
                if topic < PACED:
                    self.changed[key] = state
                return
        # 5. The clock.
        turn = brand.calendar.last_turn(watermark)
        to = at if at > turn else turn  # noqa: FURB136 - a call less
        if state is None:
            state = self._newcomer(key, brand, to, topic, at)
        elif (clock := to - state.base) > state.clock:
            if state.layer and brand.until[state.layer](state) <= clock:
                self._decay(state, brand, touchpoint.user_id, clock)
            state.clock = clock
        # 6. The evidence, and where it leads.
        before = state.layer
        self.counts.touch(touchpoint, at, self._rules.layers[before])
        late = at < watermark - LATE_MS
        if late:
            self.counts.late[touchpoint.type] += 1
        after = self._add(state, rule, brand, touchpoint, order, at - state.base, digest)
        state.ring = with_entry(state.ring, entry)
        self.changed[key] = state
        if after != before:
            self._move_to(after, state, rule, brand, touchpoint, at - state.base, offset, late=late)

    def _newcomer(self, key: str, brand: Brand, clock: int, topic: int, at: int) -> State:
        state = self.states[key] = new_state(clock, len(self._rules.slots))
        if topic == 0:
            state.exposures = pace_floor(at, clock) + 1
        elif topic < PACED:
            state.interactions = pace_floor(at, clock) + 1
        self.newcomers.append(key)
        self._users(brand.name)[0] += 1
        self.counts.new_users[clock - clock % MINUTE_MS, brand.name] += 1
        return state

    def _add(self, state: State, rule: Rule, brand: Brand, touchpoint: Touchpoint, order: OrderEntry | None, at: int, digest: bytes) -> int:
        """Adds the evidence, at `at` after the state's base; the layer in which it leaves the user at the clock."""
        if not rule.reversal:
            note_touch(state, at, self._labels, touchpoint)
        effect = rule.effect
        if effect is Effect.TOUCH:
            slot, keep = rule.slot, brand.keep[rule.slot]
            add_touch(state, slot, at, int.from_bytes(digest, "big") if keep > 1 else 0, keep)
            # One more touch can only lead up, and only to layers that ask for it.
            for layer in brand.above[slot][state.layer]:
                if brand.until[layer](state) > state.clock:
                    return layer
            return state.layer
        if effect is Effect.NOTHING:
            return state.layer
        if effect is Effect.RELATION:
            assert isinstance(touchpoint, Membership)
            dropped = change_relation(state, rule.relation, touchpoint.relation_id, at, rule.active)
            if dropped:
                self.counts.dropped["relations"] += dropped
        else:
            assert isinstance(touchpoint, Order)
            self._order(state, rule, brand, touchpoint, order, at, digest)
        return layer_at(state, brand.until, state.clock, len(brand.until))

    def _move_to(
        self, after: int, state: State, rule: Rule, brand: Brand, touchpoint: Touchpoint, at: int, offset: int, *, late: bool
    ) -> None:
        """The transition that a touchpoint brings."""
        before = state.layer
        kind = TransitionKind.ADVANCE if after > before else TransitionKind.RETRACT
        cause = Cause(event_id=touchpoint.event_id, type=touchpoint.type, topic=rule.kind.topic, partition=self._shard, offset=offset)
        touch = Touch(
            channel=touchpoint.channel,
            campaign_id=touchpoint.campaign_id,
            store_id=touchpoint.store_id,
            guide_id=touchpoint.guide_id,
        )
        self._transition(state, brand, touchpoint.user_id, after, kind, at, state.clock, cause, touch, late=late)

    def _order(self, state: State, rule: Rule, brand: Brand, touchpoint: Order, order: OrderEntry | None, at: int, digest: bytes) -> None:
        dropped_refunds = 0
        if rule.effect is Effect.PURCHASE:
            refunded, dropped = add_purchase(state, order, touchpoint.order_id, at, touchpoint.amount)
        else:
            number = int.from_bytes(digest, "big")
            refunded, dropped, dropped_refunds = add_refund(state, order, touchpoint.order_id, at, number, touchpoint.amount)
        if dropped:
            self.counts.dropped["orders"] += dropped
        if dropped_refunds:
            self.counts.dropped["refunds"] += dropped_refunds
        text = self._labels.text
        brought_by = layer_touch(state, self._labels) or Touch()
        self.counts.orders.append(
            OrderRow(
                event_id=touchpoint.event_id,
                type=touchpoint.type,
                brand=touchpoint.brand,
                user_id=touchpoint.user_id,
                order_id=touchpoint.order_id,
                occurred_at=at + state.base,
                amount=touchpoint.amount,
                refunded=refunded,
                currency=brand.currency,
                layer_before=self._rules.layers[state.layer],
                first_seen=state.base,
                channel=touchpoint.channel,
                campaign_id=touchpoint.campaign_id,
                store_id=touchpoint.store_id,
                guide_id=touchpoint.guide_id,
                first_touch=None
                if state.first_at is None
                else TouchPlace(at=state.first_at + state.base, channel=text(state.first_channel), campaign_id=text(state.first_campaign)),
                last_touch=None
                if state.last_at is None
                else TouchPlace(
                    at=state.last_at + state.base,
                    channel=text(state.last_channel),
                    campaign_id=text(state.last_campaign),
                    store_id=text(state.last_store),
                    guide_id=text(state.last_guide),
                ),
                layer_channel=brought_by.channel,
                layer_store_id=brought_by.store_id,
            )
        )

    # --- the clock ----------------------------------------------------------------------------------------------------------------
    def sweep(self, keys: list[str], turn: int) -> None:
        """Moves the clocks of these users to their brand's last turn at or before `turn`; only users whose layer changes are written,
        since the next touchpoint or sweep would move the clock of the others to the same place."""
        for key in keys:
            state = self.states[key]
            if state is None:
                continue
            brand_key, _, user_id = key.partition(":")
            brand = self._rules.brand_of_key(brand_key)
            clock, seq = brand.calendar.last_turn(turn) - state.base, state.seq
            if clock > state.clock:
                self._decay(state, brand, user_id, clock)
                state.clock = clock
            if state.seq != seq:
                self.changed[key] = state

    def _decay(self, state: State, brand: Brand, user_id: str, clock: int) -> None:
        """Applies every decay whose deadline has come by `clock`, each at its own deadline."""
        while state.layer and (deadline := brand.until[state.layer](state)) <= clock:
            lapse = lapse_of(state, brand.needs[state.layer])
            to = layer_at(state, brand.until, deadline, state.layer)
            cause = Cause(type=lapse.evidence, at=to_rfc3339(lapse.at + state.base))
            self._transition(
                state, brand, user_id, to, TransitionKind.DECAY, deadline, deadline, cause, last_touch(state, self._labels), late=False
            )

    def recompute(self, state: State, brand: Brand, user_id: str, to: int) -> None:
        """A new ladder puts the user on another layer, at their clock: nothing that happened is the cause."""
        clock = state.clock
        self._transition(
            state, brand, user_id, to, TransitionKind.RECOMPUTE, clock, clock, Cause(), last_touch(state, self._labels), late=False
        )

    # --- outputs ------------------------------------------------------------------------------------------------------------------
    def _transition(
        self,
        state: State,
        brand: Brand,
        user_id: str,
        to: int,
        kind: TransitionKind,
        occurred: int,
        effective: int,
        cause: Cause,
        touch: Touch,
        *,
        late: bool,
    ) -> None:
        layers, base, index = self._rules.layers, state.base, len(self._transitions)
        came_from, former_touch = state.layer, layer_touch(state, self._labels)
        state.seq += 1
        state.layer = to
        dwell = None if state.since is None else effective - state.since
        state.since = effective
        note_layer_touch(state, self._labels, touch)
        users = self._users(brand.name)
        users[came_from] -= 1
        users[to] += 1
        self.flows[brand.name, layers[came_from], layers[to], kind.value] += 1
        effective_at = to_rfc3339(effective + base)
        transition = Transition(
            id=f"{self._shard}:{self._version}:{index}",
            shard=self._shard,
            version=self._version,
            index=index,
            brand=brand.name,
            user_id=user_id,
            seq=state.seq,
            from_=layers[came_from],
            to=layers[to],
            direction="forward" if to > came_from else "reverse",
            kind=kind,
            occurred_at=effective_at if occurred == effective else to_rfc3339(occurred + base),
            effective_at=effective_at,
            detected_at=self._detected_at,
            late=late,
            dwell_ms=dwell,
            ladder=self._rules.id,
            cause=cause,
            touch=touch,
            first_touch=FirstTouch(
                channel=self._labels.text(state.first_channel),
                campaign_id=self._labels.text(state.first_campaign),
                at=None if state.first_at is None else to_rfc3339(state.first_at + base),
            ),
            former_touch=former_touch,
        )
        self._transitions.append((user_id.encode(), _encode_json(transition)))

    def _users(self, brand: str) -> list[int]:
        users = self.meta.census.get(brand)
        if users is None:
            users = self.meta.census[brand] = [0] * len(self._rules.layers)
        return users

    def _is_first_forward(self, topic: int, headers: list[tuple[str, bytes | None]]) -> bool:
        """Whether a record is to be taken: not forwarded at all, or forwarded and not seen before from its sender."""
        mark = mark_of(headers, self._partitions)
        if mark is None:
            return True
        sender, at = mark
        name = f"{topic}:{sender}"
        if at <= self.meta.senders.get(name, -1):
            return False
        self.meta.senders[name] = at
        return True

    def _is_first_replay(self, headers: list[tuple[str, bytes | None]]) -> bool:
        """Whether a record is to be taken: no replay of a dead letter, or the first one of it."""
        place = own_place(headers, self._shard)
        if place is None:
            return True
        if place in self._replayed or place in self.replays:
            self.counts.replays["repeated"] += 1
            return False
        self.replays[place] = None
        self.counts.replays["taken"] += 1
        return True

    def _misplaced(
        self, touchpoint: Touchpoint, topic: int, offset: int, message: Message, headers: list[tuple[str, bytes | None]], right: int
    ) -> None:
        placed_to = self.meta.placed_to
        if placed_to and offset < placed_to[topic]:
            # Forwarded when there were fewer shards, if it was: once more, under a mark of this shard's.
            headers = [header for header in headers if header[0] != FORWARDED_HEADER]
        if any(name == FORWARDED_HEADER for name, _ in headers):
            detail = f"expected partition {right} of {self._partitions} for its user, found it on {self._shard} after it had been forwarded"
            self._letter(topic, offset, message, Reason.MISROUTED, detail)
            return
        value = message.value()
        assert value is not None
        self._forwards.append(Forward(KINDS[topic].topic, right, touchpoint.user_id.encode(), value, portable(headers), offset))
        self.counts.forwarded[touchpoint.type] += 1

    def _letter(self, topic: int, offset: int, message: Message, reason: Reason, detail: str) -> None:
        headers = read_headers(message)
        mark = replay_mark(headers)
        if mark is not None:
            self.counts.replays["refused"] += 1
        told = DeadLetterHeaders(
            topic=KINDS[topic].topic,
            partition=self._shard,
            offset=offset,
            reason=reason,
            detail=detail[:1024],
            first_seen=mark.first_seen if mark else self._detected_at,
            attempts=mark.attempt if mark else 1,
            replay_of=own_place(headers, self._shard),
        )
        self._letters.append(letter_of(message.key(), message.value(), told))
        self.reasons[reason.value] += 1

    # --- the end of the step ------------------------------------------------------------------------------------------------------
    def finish(self) -> tuple[dict[str, bytes], Entry]:
        """The states to be written by user key, and the outputs; the version in `meta` is then the step's own."""
        self.meta.version = self._version
        entry = Entry(
            shard=self._shard,
            version=self._version,
            detected_at=self._now,
            transitions=self._transitions,
            rollups=self.counts.rollups(self._shard, self._version, self._now, self._rules.id, self.meta, self._totals()),
            letters=self._letters,
            forwards=self._forwards,
        )
        return {key: encode_state(state) for key, state in self.changed.items()}, entry

    def _totals(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "applied": sum(counts.applied().values()),
            "duplicates": counts.duplicates.total(),
            "junk": counts.junk.total(),
            "late": counts.late.total(),
            "dead_letters": dict(self.reasons),
            "forwarded": counts.forwarded.total(),
            "ticks": counts.ticks,
            "transitions": len(self._transitions),
        }
