"""What people do: someone is drawn, acts as those on their layer do, and stands where that puts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from schemas.touchpoint import PURCHASE, REFUND, RELATIONS
from sources.simulator import behaviour
from sources.simulator.behaviour import JOINS, LEAVES, Action
from sources.simulator.config import SimulatorConfig
from sources.simulator.crowd import RELATION, RESPONDED, SEEN, Crowd, LastOrder, Standing
from sources.simulator.curve import Second
from sources.simulator.drop import STAGES
from sources.simulator.labels import Labeller, Labels, field
from sources.simulator.orders import Till
from sources.simulator.tally import Tally
from sources.simulator.writer import Writer

Telling = Callable[[int], bytes]
"""Gives the line of something, told at the time it is given (epoch milliseconds)."""

_TRIES = 20
_GROUPS = 40
_SKEW = 1.5
"""How much busier the busiest are: people are drawn as the power of an even draw."""


class Deed(NamedTuple):
    """What someone of a brand is about to do, and where they would then stand. Orders have `order`, refunds `amount` also."""

    brand: int
    person: int
    type: str
    standing: Standing
    order: LastOrder | None = None
    amount: int = 0


class People:
    """The crowds of all brands. `soon` is called with what is to be told a few lines later."""

    def __init__(
        self, config: SimulatorConfig, random: Callable[[], float], writer: Writer, tally: Tally, soon: Callable[[Telling], None]
    ) -> None:
        self._random = random
        self._writer = writer
        self._tally = tally
        self._soon = soon
        self._names = config.brands
        self._double_orders = config.double_orders
        self._labels = Labeller(random)
        self._till = Till(config.seed, [config.ladder.currency_of(brand) for brand in config.brands], random)
        self._actions = {rush: behaviour.actions(rush) for rush in (False, True)}
        self._seen = behaviour.laid_out(behaviour.SEEN)
        self._responses = behaviour.laid_out(behaviour.RESPONSES)
        self._crowds, self._drawn = _crowds(config)

    def someone(self) -> tuple[int, int]:
        """A brand and one of its people."""
        brand = self._drawn[int(self._random() * len(self._drawn))]
        return brand, int(self._random() ** _SKEW * self._crowds[brand].size)

    def act(self, at: int, second: Second) -> bytes | None:
        """The line of what someone does at `at`; None where the drops that hold let nobody act."""
        for _ in range(_TRIES):
            brand, person = self.someone()
            before = self._crowds[brand].standing(person)
            table = self._actions[second.rush][before.stage]
            deed = self._deed(table[int(self._random() * len(table))], brand, person, before)
            labels = self._labels.draw(deed.type, second.sale)
            if not (second.drops and self._held_back(deed, before.stage, labels.channel, second)):
                return self._do(deed, labels, at)
        return None

    def sound_purchase(self, at: int) -> bytes:
        """The line of a purchase that nobody made, for someone to break."""
        brand, person = self.someone()
        return self._writer.line(PURCHASE, brand, person, at, self._till.fields(brand, self._till.order().order_id, 100))

    def _deed(self, action: Action, brand: int, person: int, now: Standing) -> Deed:
        """What the action comes to for this person: who has nothing to leave or to return responds instead."""
        if action == Action.SEE:
            return Deed(brand, person, self._pick(self._seen), Standing(now.evidence | SEEN, now.paid))
        if action == Action.BUY:
            bought = self._till.order()
            return Deed(brand, person, PURCHASE, Standing(now.evidence, now.paid + (bought.amount > 0)), bought)
        if action in (Action.JOIN, Action.LEAVE):
            relation = int(self._random() * len(JOINS))
            bit = RELATION << relation
            if bool(now.evidence & bit) == (action == Action.LEAVE):
                types = LEAVES if action == Action.LEAVE else JOINS
                return Deed(brand, person, types[relation], Standing(now.evidence ^ bit, now.paid))
        if action == Action.RETURN and (order := self._crowds[brand].last_order.get(person)) is not None:
            amount = self._till.refund(order)
            undone = order.refunded + amount >= order.amount
            return Deed(brand, person, REFUND, Standing(now.evidence, now.paid - undone), order, amount)
        return Deed(brand, person, self._pick(self._responses), Standing(now.evidence | RESPONDED, now.paid))

    def _pick(self, table: list[str]) -> str:
        return table[int(self._random() * len(table))]

    def _held_back(self, deed: Deed, stage: int, channel: str, second: Second) -> bool:
        return any(
            drop.source == stage
            and drop.target == deed.standing.stage
            and drop.concerns(self._names[deed.brand], channel)
            and self._random() < drop.share
            for drop in second.drops
        )

    def _do(self, deed: Deed, labels: Labels, at: int) -> bytes:
        if deed.order is None:
            self._move(deed)
            return self._write(deed, at, labels.json + self._relation(deed))
        if deed.type == PURCHASE:
            if self._random() < behaviour.REFUND_FIRST and deed.order.amount:
                return self._refund_first(deed, labels, at)
            return self._buy(deed, labels, at)
        self._move(deed)
        deed.order.refunded += deed.amount
        if deed.order.refunded >= deed.order.amount:
            del self._crowds[deed.brand].last_order[deed.person]
        return self._write(deed, at, labels.json + self._till.fields(deed.brand, deed.order.order_id, deed.amount))

    def _buy(self, deed: Deed, labels: Labels, at: int) -> bytes:
        brand, order = deed.brand, deed.order
        assert order is not None
        self._move(deed)
        if order.amount > order.refunded:
            self._crowds[brand].last_order[deed.person] = order
        self._tally.orders[self._names[brand]] += 1
        self._tally.gmv[self._names[brand]] += order.amount
        fields = labels.json + self._till.fields(brand, order.order_id, order.amount)
        if self._double_orders and self._random() < self._double_orders:
            self._soon(lambda later: self._buy_again(deed, fields, later))
        return self._write(deed, at, fields)

    def _buy_again(self, deed: Deed, fields: str, at: int) -> bytes:
        """The same order under another event id, as from an impatient thumb."""
        self._tally.double_orders += 1
        return self._writer.line(PURCHASE, deed.brand, deed.person, at, fields)

    def _refund_first(self, deed: Deed, labels: Labels, at: int) -> bytes:
        """A refund whose purchase is told only after it, as when two systems tell their part."""
        order = deed.order
        assert order is not None
        order.refunded = order.amount if self._random() < 0.5 else max(1, order.amount // 2)
        self._soon(lambda later: self._buy_late(deed, labels, later))
        refund = deed._replace(type=REFUND)
        fields = self._till.fields(deed.brand, order.order_id, order.refunded)
        return self._write(refund, at, self._labels.draw(REFUND, sale=True).json + fields)

    def _buy_late(self, deed: Deed, labels: Labels, at: int) -> bytes:
        order = deed.order
        assert order is not None
        # They may have done other things meanwhile.
        now = self._crowds[deed.brand].standing(deed.person)
        counts = order.amount > order.refunded
        return self._buy(deed._replace(standing=Standing(now.evidence, now.paid + counts)), labels, at)

    def _move(self, deed: Deed) -> None:
        crowd = self._crowds[deed.brand]
        before, after = crowd.standing(deed.person).stage, deed.standing.stage
        if before != after:
            self._tally.flows[f"{STAGES[before]}>{STAGES[after]}"] += 1
        crowd.move(deed.person, deed.standing)

    def _write(self, deed: Deed, at: int, rest: str) -> bytes:
        return self._writer.touchpoint(deed.type, deed.brand, deed.person, at, rest)

    def _relation(self, deed: Deed) -> str:
        """Which group, account, contact or club: for each person always the same, so that they leave what they have joined."""
        if deed.type not in RELATIONS:
            return ""
        kind, _ = RELATIONS[deed.type]
        many = kind in ("group", "contact")
        return field("relation_id", f"{kind}-{deed.person % _GROUPS:03d}" if many else f"{kind}-{self._names[deed.brand]}"[:128])


def _crowds(config: SimulatorConfig) -> tuple[list[Crowd], list[int]]:
    """The crowds, and a table to draw brands from: each brand has half as many people as the one before, and as much to do."""
    sizes = [max(1, int(config.users * share)) for share in config.brand_shares]
    drawn = [brand for brand, share in enumerate(config.brand_shares) for _ in range(max(1, round(128 * share)))]
    return [Crowd(size) for size in sizes], drawn
