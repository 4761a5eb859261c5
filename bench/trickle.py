"""`python -m bench.trickle`: how soon it is told that all of a brand's input has fallen to a trickle, and how often for nothing.

The rule (`warroom.alerts.level`) sees touchpoints alone, so days are of those: Poisson counts by the simulator's curve of traffic and its
shares of topics, at the volumes of `bench.detection`. All input is cut by a share for half an hour, from two minutes past midnight and at
19:00. On `like` days traffic follows the curve; on `unlike` ones it also wanders by 10% from one quarter of an hour to the next, today and
in the earlier promotion each for itself, and today's rush is weaker or stronger than the earlier one (0.4 to 2.5 times) and two minutes
sooner or later. A false alarm is any on a day without a cut. The rule was made on seeds up to 99; told is of others.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import product
from random import Random
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from bench.days import QUARTER, binomial, plain_config, poisson
from bench.detection import EARLIER, MIDNIGHT, RATES, TRAINING, WHEN
from bench.detection_tables import markdown
from schemas.times import MINUTE_MS
from sources.route import route
from sources.simulator.curve import seconds
from sources.simulator.day import PromotionDay
from warroom.alerts.level import Level, level_curve
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import Rules

SHARES = (0.5, 0.75, 0.9)
LASTING = 30
HOURS = 30
WANDERING = 0.1
STRENGTHS = (0.4, 1.0, 2.5)
RUSH = range(MIDNIGHT, MIDNIGHT + 60)
RULE = Rules().pipeline


class Traffic(Struct, frozen=True, kw_only=True):
    """The simulator's: each minute's touchpoints over those of a usual moment, and each topic's share."""

    curve: list[float]
    topics: dict[str, float]

    def day(self, rate: float, random: Random, *, wandering: float = 0.0, strength: float = 1.0, shift: int = 0) -> list[Minute]:
        """A day with `rate` touchpoints a minute at a usual moment, its rush `strength` times the curve's and `shift` minutes later."""
        minutes = []
        drift: dict[int, float] = {}
        for i in range(len(self.curve) + min(shift, 0)):
            j = max(i - shift, 0)
            level = self.curve[j] * (strength if j in RUSH else 1.0) * drift.setdefault(i // QUARTER, random.gauss(1, wandering))
            arrivals = {topic: poisson(random, rate * max(0.0, level) * share) for topic, share in self.topics.items()}
            minutes.append(Minute(at=i * MINUTE_MS, touches={}, arrivals=arrivals, moves={}))
        return minutes


class Seen(Struct, frozen=True, kw_only=True):
    """One day by one rule: false alarms, and the delay of each cut in minutes (None: not found while it lasted)."""

    alarms: int
    delays: dict[tuple[str, float], int | None]


def traffic() -> Traffic:
    """As one day of the simulator has it."""
    config = plain_config(seed=1, events=20_000, users=2_000, hours=HOURS)
    counts: Counter[int] = Counter()
    for second in seconds(plain_config(seed=1, events=150_000, users=15_000, hours=HOURS, start=config.start), Random(1).random):
        counts[(second.times[0] - config.start_ms) // MINUTE_MS] += len(second.times)
    usual = sorted(counts[i] for i in range(HOURS * 60))[HOURS * 30]
    topics = Counter(route(line).kind.topic for line in PromotionDay(config).lines())
    whole = sum(topics.values())
    return Traffic(
        curve=[counts[i] / usual for i in range(HOURS * 60)], topics={topic: count / whole for topic, count in sorted(topics.items())}
    )


def watched(day: Sequence[Minute], earlier: Sequence[Minute], seed: int) -> Seen:
    """A day, and every cut on it for itself."""
    level, alarms, delays = Level(), 0, {}
    level.earlier = level_curve(earlier, day[0].at)
    for i, minute in enumerate(day):
        for when in (one for one, begin in WHEN.items() if begin == i):
            for share in SHARES:
                delays[when, share] = _found(deepcopy(level), day[i : i + LASTING], share, Random(f"cut {seed}"))
        before = level.fallen
        level.add(minute, RULE.trickle_share, RULE.silent_surprise)
        alarms += before is None and level.fallen is not None
    return Seen(alarms=alarms, delays=delays)


def _found(level: Level, minutes: Sequence[Minute], share: float, random: Random) -> int | None:
    for waited, minute in enumerate(minutes, 1):
        left = {topic: binomial(random, count, 1 - share) for topic, count in minute.arrivals.items()}
        level.add(replace(minute, arrivals=left), RULE.trickle_share, RULE.silent_surprise)
        if level.fallen is not None:
            return waited
    return None


def days(made: Traffic, seed: int) -> Iterator[tuple[tuple[str, str], Seen]]:
    """One day of each sort."""
    for (volume, rate), like in product(RATES.items(), (True, False)):
        random = Random(f"trickle {seed} {volume} {like}")
        if like:
            day, earlier = made.day(rate, random), made.day(rate * EARLIER, random)
        else:
            strength, shift = STRENGTHS[seed % len(STRENGTHS)], random.choice((-2, 2))
            day = made.day(rate, random, wandering=WANDERING, strength=strength, shift=shift)
            earlier = made.day(rate * EARLIER, random, wandering=WANDERING)
        yield (volume, "like" if like else "unlike"), watched(day, earlier, seed)


def rows(seen: dict[tuple[str, str], list[Seen]]) -> list[list[str]]:
    """A line for each volume and sort of days: how many cuts were found, and the median delay of those."""
    found = [["volume", "days", "number", *(f"{w}, {s:.0%}" for w, s in product(WHEN, SHARES)), "false alarms"]]
    for (volume, sort), some in seen.items():
        cells = []
        for cut in product(WHEN, SHARES):
            delays = [one.delays[cut] for one in some]
            known = [one for one in delays if one is not None]
            cells.append(f"{len(known)} of {len(delays)}" + (f", {median(known):g} min" if known else ""))
        found.append([volume, sort, f"{len(some)}", *cells, f"{sum(one.alarms for one in some)}"])
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=6, help="days of each sort")
    parser.add_argument("--first", type=int, default=TRAINING.stop, help=f"the first day's seed; up to {TRAINING.stop - 1} for training")
    arguments = parser.parse_args()
    made = traffic()
    seen: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for seed in range(arguments.first, arguments.first + arguments.days):
        for key, one in days(made, seed):
            seen[key].append(one)
        print(f"{seed}: {sum(some[-1].alarms for some in seen.values())} false alarms", flush=True)
    print(markdown(rows(seen)))


if __name__ == "__main__":
    main()
