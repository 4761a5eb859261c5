"""The plain fold: the ladder's rules read one event at a time, for clarity and not for speed.

`rflow check` recomputes users from the topics with it, and the tests hold the processor's own fold against it; the two share
no code beyond `schemas`. Pure: no I/O, no wall clock; the order of the calls is the order in which records were taken.

What the rules leave open is decided here so:

- A transition that an event brings is `advance` where the user rises and `retract` where the user falls, whatever the type:
  an order of 0 that pushes an older one out of the bound can lower.
- A decay is never `late`: its time is its deadline, and whether the sweep or an event found it must not show.
- A record whose event id has left the ring is taken: it moves the clock and enters the ring, though retold unchanged it
  brings no new evidence.
- An event id is known per user: two users may share one.
- What is junk is found before what is a duplicate: a record told again uses up its user's minute like any other.
- A minute is counted as long as no two others have been told of since: what is older begins anew when it is told of again.
- A decay that ends several layers at one instant is one transition; its cause is that of the layer the user stood on.
- Evidence from only some membership types is an active relation whose latest change is of such a type; leaves always end.
- Figures count each purchase and refund when it is taken; that an order's bound later drops it does not uncount it.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from schemas.ladder import Condition, Ladder
from schemas.times import DAY_MS, MINUTE_MS
from schemas.touchpoint import CATALOGUE, PURCHASE, Kind, Order, Tick, Touchpoint
from streams.plain_evidence import PlainEvidence, millis
from streams.plain_turns import last_turn

LATE_MS = 10 * MINUTE_MS
"""An event further than this behind the watermark is late."""

RING = 16
"""How many of a user's latest event ids are remembered against duplicates."""

UserKey = tuple[str, str]
Touch = tuple[str | None, str | None, str | None, str | None]
FirstTouch = tuple[str | None, str | None, int | None]


class Outcome(StrEnum):
    """What became of a record."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    JUNK = "junk"
    TICK = "tick"


class PlainTransition(Struct, frozen=True, kw_only=True):
    """One change of layer of one user; times in epoch milliseconds.

    `cause_type` is the event's type, of a decay the evidence's name; `cause_at` the event's time, of a decay the time of the
    piece that lapsed. `touch` is (channel, campaign, store, guide) of the causing event, of a decay those of the user's last
    touch. `first_touch` is (channel, campaign, time) of the earliest touch known by then. `seq` counts from 1. `former_touch` is the
    `touch` of the user's transition before, None for the first.
    """

    brand: str
    user_id: str
    seq: int
    from_: str
    to: str
    kind: Literal["advance", "retract", "decay"]
    occurred_at: int
    effective_at: int
    late: bool
    dwell_ms: int | None
    cause_type: str
    cause_at: int
    touch: Touch
    first_touch: FirstTouch
    former_touch: Touch | None = None


class PlainFigures(Struct):
    """Money of the purchases that were not duplicates, in minor units; `gmv` is before refunds."""

    purchases: int = 0
    buyers: int = 0
    gmv: int = 0
    refunds: int = 0


class PlainPace(Struct):
    """How many records of one topic have counted in the two minutes that a user's records last fell into, the later told of last."""

    minutes: dict[int, int] = {}

    def takes(self, minute: int, most: int) -> bool:
        """Counts one more record of a minute, unless it has its `most`."""
        counted = self.minutes.get(minute, 0)
        if counted >= most:
            return False
        others = [(other, n) for other, n in self.minutes.items() if other != minute]
        self.minutes = dict([*others[-1:], (minute, counted + 1)])
        return True


class PlainUser:
    """One user: `layer` is the index of the layer at `clock`, `seq` the number of transitions so far, `moved_at` and
    `moved_by` the latest's time and touch."""

    def __init__(self, evidence: PlainEvidence, clock: int) -> None:
        self.evidence = evidence
        self.clock = clock
        self.layer = 0
        self.seq = 0
        self.moved_at: int | None = None
        self.moved_by: Touch | None = None
        self.ring: deque[str] = deque(maxlen=RING)

    def has_taken(self, record: Touchpoint) -> bool:
        """Whether the record is a duplicate: by its event id, or by the order that a purchase names."""
        if record.event_id in self.ring:
            return True
        return isinstance(record, Order) and record.type == PURCHASE and self.evidence.has_bought(record.order_id)


class PlainFold:
    """Users under a ladder, and the watermark they share. `users` keeps them in order of first sight."""

    def __init__(self, ladder: Ladder, *, watermark: int | None = None) -> None:
        self.ladder = ladder
        self.watermark = watermark
        self.users: dict[UserKey, PlainUser] = {}
        self.paces: dict[tuple[UserKey, Kind], PlainPace] = {}
        self._figures: dict[str, PlainFigures] = {}
        self._buyers: set[UserKey] = set()
        self._conditions: dict[str, tuple[tuple[Condition, ...], ...]] = {}
        layers = [layer.any for layer in ladder.layers] + [own for brand in ladder.brands.values() for own in brand.layers.values()]
        self._most = max((condition.count for layer in layers for condition in layer), default=1)

    def apply(self, record: Touchpoint | Tick) -> tuple[Outcome, list[PlainTransition]]:
        """Take one valid record; the transitions it brings, in order, first the decays that were due before it."""
        # 1. Every record moves the watermark, a duplicate and a tick too.
        at = millis(record.occurred_at)
        watermark = self.watermark = at if self.watermark is None else max(self.watermark, at)
        if isinstance(record, Tick):
            return Outcome.TICK, []

        # 2. What is more than the user may have in a minute changes nothing else.
        key = record.brand, record.user_id
        if self._is_junk(key, CATALOGUE[record.type], at):
            return Outcome.JUNK, []

        # 3. Nor does a duplicate.
        user = self.users.get(key)
        if user is not None and user.has_taken(record):
            return Outcome.DUPLICATE, []

        # 4. The clock moves, and what lapses until then decays.
        now = max(at, last_turn(*self.ladder.calendar(record.brand), watermark))
        if user is None:
            user = self.users[key] = PlainUser(PlainEvidence(self.ladder.evidence, self._most), now)
        transitions = self._move_clock(key, user, now)

        # 5. The evidence is added.
        self._take(key, user, record)

        # 6. The user is evaluated at the clock.
        layer = self._layer(record.brand, user.evidence, user.clock)
        if layer != user.layer:
            transition = self._transition(
                key,
                user,
                to=layer,
                kind="advance" if layer > user.layer else "retract",
                occurred_at=at,
                effective_at=user.clock,
                late=at < watermark - LATE_MS,
                cause=(record.type, at),
                touch=(record.channel, record.campaign_id, record.store_id, record.guide_id),
            )
            transitions.append(transition)
        return Outcome.APPLIED, transitions

    def sweep(self) -> list[PlainTransition]:
        """Move every user's clock to the last turn of its brand; the decays found, user by user in order of first sight."""
        if self.watermark is None:
            return []
        found: list[PlainTransition] = []
        for key, user in self.users.items():
            found += self._move_clock(key, user, last_turn(*self.ladder.calendar(key[0]), self.watermark))
        return found

    def layer_at(self, brand: str, user: str, t: int) -> str:
        """The layer that the user's evidence gives at `t`, which is not before the latest of it; the lowest for a stranger."""
        known = self.users.get((brand, user))
        return self.ladder.layers[self._layer(brand, known.evidence, t) if known else 0].id

    def figures(self, brand: str | None = None) -> PlainFigures:
        """The money of one brand, or of all brands together. A buyer of two brands is two users."""
        if brand is not None:
            return self._figures.get(brand, PlainFigures())
        every = self._figures.values()
        return PlainFigures(
            purchases=sum(f.purchases for f in every),
            buyers=sum(f.buyers for f in every),
            gmv=sum(f.gmv for f in every),
            refunds=sum(f.refunds for f in every),
        )

    def _is_junk(self, key: UserKey, kind: Kind, at: int) -> bool:
        """Whether this exposure or interaction is one too many in its user's minute of that topic."""
        if kind not in (Kind.EXPOSURE, Kind.INTERACTION):
            return False
        pace = self.paces.setdefault((key, kind), PlainPace())
        return not pace.takes(at // MINUTE_MS, self.ladder.junk_above_of(key[0]))

    def _conditions_of(self, brand: str) -> tuple[tuple[Condition, ...], ...]:
        if brand not in self._conditions:
            self._conditions[brand] = self.ladder.conditions(brand)
        return self._conditions[brand]

    def _layer(self, brand: str, evidence: PlainEvidence, at: int) -> int:
        """The index of the highest layer of which any condition holds at `at`."""
        layers = self._conditions_of(brand)
        holding = (i for i in reversed(range(len(layers))) if any(evidence.holds(c, at) for c in layers[i]))
        return next(holding, 0)

    def _move_clock(self, key: UserKey, user: PlainUser, to: int) -> list[PlainTransition]:
        """Move the clock to `to` unless it is there or beyond, applying each decay on the way at its own deadline."""
        found: list[PlainTransition] = []
        while (lapse := self._next_lapse(key[0], user)) is not None and lapse[0] <= to:
            deadline, evidence, piece = lapse
            found.append(self._decay(key, user, deadline, cause=(evidence, piece)))
        user.clock = max(user.clock, to)
        return found

    def _next_lapse(self, brand: str, user: PlainUser) -> tuple[int, str, int] | None:
        """When the user's layer lapses, and by which evidence and piece of it; None if it never does.

        A layer stands until the last of its conditions falls; of conditions that fall together the ladder's first is named.
        """
        latest: tuple[int, str, int] | None = None
        for condition in self._conditions_of(brand)[user.layer]:
            piece = user.evidence.breaking_piece(condition)
            if piece is None:
                continue
            if condition.window_days is None:
                return None
            deadline = piece + condition.window_days * DAY_MS
            if latest is None or deadline > latest[0]:
                latest = deadline, condition.evidence, piece
        return latest

    def _decay(self, key: UserKey, user: PlainUser, deadline: int, *, cause: tuple[str, int]) -> PlainTransition:
        last = user.evidence.last_touch
        return self._transition(
            key,
            user,
            to=self._layer(key[0], user.evidence, deadline),
            kind="decay",
            occurred_at=deadline,
            effective_at=deadline,
            late=False,
            cause=cause,
            touch=(last.channel, last.campaign, last.store, last.guide) if last else (None, None, None, None),
        )

    def _transition(
        self,
        key: UserKey,
        user: PlainUser,
        *,
        to: int,
        kind: Literal["advance", "retract", "decay"],
        occurred_at: int,
        effective_at: int,
        late: bool,
        cause: tuple[str, int],
        touch: Touch,
    ) -> PlainTransition:
        """Put the user on layer `to`, and the record of it."""
        first = user.evidence.first_touch
        transition = PlainTransition(
            brand=key[0],
            user_id=key[1],
            seq=user.seq + 1,
            from_=self.ladder.layers[user.layer].id,
            to=self.ladder.layers[to].id,
            kind=kind,
            occurred_at=occurred_at,
            effective_at=effective_at,
            late=late,
            dwell_ms=None if user.moved_at is None else effective_at - user.moved_at,
            cause_type=cause[0],
            cause_at=cause[1],
            touch=touch,
            first_touch=(first.channel, first.campaign, first.at) if first else (None, None, None),
            former_touch=user.moved_by,
        )
        user.layer, user.seq, user.moved_at, user.moved_by = to, transition.seq, effective_at, touch
        return transition

    def _take(self, key: UserKey, user: PlainUser, record: Touchpoint) -> None:
        """Add the record to the ring, to the evidence and to the figures of its brand."""
        user.ring.append(record.event_id)
        if not isinstance(record, Order):
            user.evidence.add(record)
            return
        before = user.evidence.refunded(record.order_id)
        user.evidence.add(record)
        figures = self._figures.setdefault(key[0], PlainFigures())
        figures.refunds += user.evidence.refunded(record.order_id) - before
        if record.type == PURCHASE:
            figures.purchases += 1
            figures.gmv += record.amount
            if key not in self._buyers:
                self._buyers.add(key)
                figures.buyers += 1
