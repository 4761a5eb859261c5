"""Days to detect drops on: the simulator's day folded offline into minute figures, and days drawn in its likeness at any volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from schemas.ladder import Ladder
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS
from schemas.touchpoint import CATALOGUE, PURCHASE, Kind, Tick, Touchpoint
from schemas.validate import Validator
from sources.route import route
from sources.simulator.config import SimulatorConfig
from sources.simulator.curve import seconds
from sources.simulator.day import PromotionDay
from streams.plain import PlainFold
from warroom.alerts.flows import shape_of
from warroom.alerts.minutes import Minute

BRAND = "acme"
WAVERING = 0.03
"""By how much a flow's rate wanders from one quarter of an hour to the next (relative standard deviation), as people do."""
QUARTER = 15
"""Minutes."""
Pair = tuple[str, str]


def plain_config(**given: object) -> SimulatorConfig:
    """A day of one brand without late, broken or repeated records."""
    nothing = dict.fromkeys(("late", "broken", "retries", "double_orders", "text_times"), 0.0)
    return SimulatorConfig(load_ladder("5r"), brands=(BRAND,), **{**nothing, **given})  # type: ignore[arg-type]


@dataclass
class _Sums:
    touches: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    arrivals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    moves: dict[Pair, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    orders: int = 0
    gmv: int = 0

    def minute(self, at: int) -> Minute:
        moves = {pair: dict(channels) for pair, channels in self.moves.items()}
        return Minute(at=at, touches=dict(self.touches), arrivals=dict(self.arrivals), moves=moves, orders=self.orders, gmv=self.gmv)


def folded(lines: Iterable[bytes], ladder: Ladder) -> list[Minute]:
    """The minutes of touchpoints in order of time, by the plain fold; every minute from the first to the last."""
    validator = Validator(ladder, lambda: 0, check_future=False)
    fold = PlainFold(ladder)
    standing: dict[tuple[str, str], str] = {}
    sums: dict[int, _Sums] = defaultdict(_Sums)
    lowest = ladder.layers[0].id
    for line in lines:
        record = validator.validate(route(line).kind, line)
        if isinstance(record, Tick):
            continue
        _count(sums, fold, record, standing, lowest)
    return [sums[at].minute(at) for at in range(min(sums), max(sums) + MINUTE_MS, MINUTE_MS)]


def _count(sums: dict[int, _Sums], fold: PlainFold, record: Touchpoint, standing: dict[tuple[str, str], str], lowest: str) -> None:
    kind, key = CATALOGUE[record.type], (record.brand, record.user_id)
    assert isinstance(record.occurred_at, int)
    of_minute = sums[record.occurred_at - record.occurred_at % MINUTE_MS]
    before = standing.get(key, lowest)
    _, transitions = fold.apply(record)
    of_minute.arrivals[kind.topic] += 1
    if kind is not Kind.ORDER:
        of_minute.touches[before] += 1
    elif record.type == PURCHASE:
        of_minute.orders += 1
        of_minute.gmv += getattr(record, "amount", 0)
    for one in transitions:
        standing[key] = one.to
        if one.kind in ("advance", "retract"):
            of_minute.moves[one.from_, one.to][record.channel or ""] += 1


class Dent(Struct, frozen=True, kw_only=True):
    """A seeded drop: from minute `begin` of the day on, for `minutes`, a flow comes by `share` less often, in all channels or in one."""

    pair: Pair
    begin: int
    minutes: int
    share: float
    channel: str | None = None

    def cut(self, day: Sequence[Minute], seed: int) -> list[Minute]:
        """The minutes of a day in which it holds, with what it takes away taken away: each move stays with probability 1 - share."""
        random = Random(f"dent {seed}")
        return [self._thinned(minute, random) for minute in day[self.begin : self.begin + self.minutes]]

    def _thinned(self, minute: Minute, random: Random) -> Minute:
        kept = {
            channel: binomial(random, count, 1 - self.share) if self.channel in (None, channel) else count
            for channel, count in minute.moves.get(self.pair, {}).items()
        }
        return replace(minute, moves={**minute.moves, self.pair: kept})


COUNTED: dict[str, Callable[[Minute], int]] = {
    "orders": lambda minute: minute.orders,
    "joins": lambda minute: minute.arrivals.get(Kind.MEMBERSHIP.topic, 0),
    "exposures": lambda minute: minute.arrivals.get(Kind.EXPOSURE.topic, 0),
}
"""What is counted of a minute, by name."""


class Lack(Struct, frozen=True, kw_only=True):
    """A seeded drop of a count of COUNTED, while the flows go on as they do: what moved nobody stays away."""

    count: str
    begin: int
    minutes: int
    share: float

    def cut(self, day: Sequence[Minute], seed: int) -> list[Minute]:
        """The minutes of a day in which it holds, with what it takes away taken away."""
        random = Random(f"lack {seed}")
        return [self._thinned(minute, random) for minute in day[self.begin : self.begin + self.minutes]]

    def _thinned(self, minute: Minute, random: Random) -> Minute:
        count = COUNTED[self.count](minute)
        kept = binomial(random, count, 1 - self.share)
        if self.count == "orders":
            return replace(minute, orders=kept, gmv=minute.gmv * kept // max(1, count))
        topic = {"joins": Kind.MEMBERSHIP, "exposures": Kind.EXPOSURE}[self.count].topic
        return replace(minute, arrivals={**minute.arrivals, topic: kept})


class Mould:
    """What days are drawn from: how often each move follows a touchpoint, by layer and channel, as one folded day of the simulator has it
    (moves into layers that are bought in the rush apart from the rest: in the rush people buy more, and do nothing else otherwise); the
    layers' shares hour by hour; and the simulator's own curve of traffic."""

    def __init__(self, config: SimulatorConfig, minutes: Sequence[Minute]) -> None:
        self.bought = shape_of(config.ladder, BRAND).bought
        self.start = config.start_ms
        self._config = config
        self.rush = self._rush()
        self._touches: dict[bool, dict[str, int]] = {True: defaultdict(int), False: defaultdict(int)}
        self._moves: dict[bool, dict[tuple[Pair, str], int]] = {True: defaultdict(int), False: defaultdict(int)}
        self._hours: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._arrivals: dict[str, int] = defaultdict(int)
        for one in minutes:
            self._learn(one, (one.at - self.start) // MINUTE_MS)
        known = sorted({*self._moves[True], *self._moves[False]})
        self._rates = {rush: {one: self._rate(*one, rush) for one in known} for rush in (True, False)}
        self.gmv = sum(one.gmv for one in minutes) / max(1, sum(one.orders for one in minutes))
        self._orders = {rush: self._ordered(minutes, rush) for rush in (True, False)}

    def _rate(self, pair: Pair, channel: str, rush: bool) -> float:
        apart = pair[1] in self.bought
        when = (rush,) if apart else (True, False)
        tried = sum(self._touches[one][pair[0]] for one in when)
        return sum(self._moves[one][pair, channel] for one in when) / max(1, tried)

    def _ordered(self, minutes: Sequence[Minute], rush: bool) -> float:
        known = [one for one in minutes if ((one.at - self.start) // MINUTE_MS in self.rush) is rush]
        return sum(one.orders for one in known) / max(1, sum(sum(one.arrivals.values()) for one in known))

    def _rush(self) -> set[int]:
        """Minutes of the day, from its start, in which the rush is on."""
        return {(second.times[0] - self.start) // MINUTE_MS for second in seconds(self._config, Random(1).random) if second.rush}

    def _learn(self, minute: Minute, number: int) -> None:
        rush = number in self.rush
        for layer, count in minute.touches.items():
            self._touches[rush][layer] += count
            self._hours[number // 60][layer] += count
        for pair, channels in minute.moves.items():
            for channel, count in channels.items():
                self._moves[rush][pair, channel] += count
        for topic, count in minute.arrivals.items():
            self._arrivals[topic] += count

    def curve(self) -> list[float]:
        """Each minute's traffic over that of a usual moment."""
        counts: dict[int, int] = defaultdict(int)
        for second in seconds(self._config, Random(1).random):
            counts[(second.times[0] - self.start) // MINUTE_MS] += len(second.times)
        quiet = sorted(counts[i] for i in range(round(self._config.hours * 60)))
        usual = quiet[len(quiet) // 2]
        return [counts[i] / usual for i in range(round(self._config.hours * 60))]

    def day(self, curve: Sequence[float], rate: float, seed: int, *, wavering: float = WAVERING, tilt: float = 0.0) -> list[Minute]:
        """A day with `rate` touchpoints a minute at a usual moment. `wavering`: each flow's rate itself wanders by so much within a quarter
        of an hour (relative standard deviation), as people do and a binomial does not. `tilt`: the rates of the whole day are off those
        of the mould by so much, each flow's by itself, and its rush is stronger or weaker by so much, each flow's by `wavering` besides:
        another promotion."""
        random = Random(f"day {seed}")
        pairs = sorted({pair for pair, _ in self._rates[False]})
        tilted = {False: {pair: random.gauss(1, tilt) for pair in pairs}}
        tilted[True] = dict(tilted[False])
        if tilt:
            rush = random.gauss(1, tilt)
            tilted[True] |= {pair: tilted[False][pair] * rush * random.gauss(1, wavering) for pair in pairs if pair[1] in self.bought}
        drift: dict[tuple[int, Pair], float] = {}
        return [self._minute(i, level * rate, random, tilted[i in self.rush], drift, wavering) for i, level in enumerate(curve)]

    def _minute(
        self, i: int, level: float, random: Random, tilted: dict[Pair, float], drift: dict[tuple[int, Pair], float], wavering: float
    ) -> Minute:
        rush = i in self.rush
        hour = self._hours[i // 60]
        total = sum(hour.values()) or 1
        touches = {layer: poisson(random, level * count / total) for layer, count in hour.items()}
        shares = {
            (pair, channel): rate * tilted[pair] * drift.setdefault((i // QUARTER, pair), random.gauss(1, wavering))
            for (pair, channel), rate in self._rates[rush].items()
        }
        moves = self._moved(random, touches, shares)
        orders = poisson(random, level * self._orders[rush])
        whole = sum(self._arrivals.values())
        arrivals = {topic: poisson(random, level * count / whole) for topic, count in self._arrivals.items()}
        return Minute(
            at=self.start + i * MINUTE_MS, touches=touches, arrivals=arrivals, moves=moves, orders=orders, gmv=int(orders * self.gmv)
        )

    def _moved(self, random: Random, touches: dict[str, int], shares: dict[tuple[Pair, str], float]) -> dict[Pair, dict[str, int]]:
        """Who moves. A touchpoint moves its user once: each kind of move draws from what the others left; moves by orders do not."""
        whole: dict[str, float] = defaultdict(float)
        for (pair, _), share in shares.items():
            if pair[1] not in self.bought:
                whole[pair[0]] += share
        moves: dict[Pair, dict[str, int]] = defaultdict(dict)
        left, rest = dict(touches), {layer: max(1.0, total) for layer, total in whole.items()}
        for (pair, channel), share in shares.items():
            if pair[1] in self.bought:
                done = poisson(random, touches.get(pair[0], 0) * share)
            else:
                done = binomial(random, left.get(pair[0], 0), share / max(share, rest[pair[0]]))
                left[pair[0]] = left.get(pair[0], 0) - done
                rest[pair[0]] -= share
            if done:
                moves[pair][channel] = done
        return dict(moves)


def poisson(random: Random, mean: float) -> int:
    """A Poisson count; above 60 by the normal distribution, which it then is close to."""
    if mean > 60:
        return max(0, round(random.gauss(mean, mean**0.5)))
    limit, product, count = 2.718281828459045**-mean, random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


def binomial(random: Random, tried: int, share: float) -> int:
    """A binomial count; by the normal distribution where it is close to one."""
    share = min(max(share, 0.0), 1.0)
    spread = tried * share * (1 - share)
    if spread > 60:
        return min(tried, max(0, round(random.gauss(tried * share, spread**0.5))))
    if share < 0.05 and tried > 100:
        return min(tried, poisson(random, tried * share))
    return sum(random.random() < share for _ in range(tried))


def mould(seed: int = 1, events: int = 150_000, hours: float = 30, start: datetime = datetime(2025, 11, 10, 18)) -> Mould:
    """The mould of one folded day of the simulator."""
    config = plain_config(seed=seed, events=events, users=events // 10, hours=hours, start=start)
    return Mould(config, folded(PromotionDay(config).lines(), config.ladder))
