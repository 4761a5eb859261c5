"""What ClickHouse holds, in a form in which two runs of the same input can be compared; and whether it adds up by itself."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from deploy.check import StateReader, census_of, recompute
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of
from schemas.times import MINUTE_MS
from sinks.config import ClickHouse
from tests.chaos.inputs import Input
from tests.integration.sink_world import SUMS, query
from tests.workers import Deployment
from warroom.figures import By
from warroom.star import Star

_ROWS = {
    "transitions": "* EXCEPT (block, version, index, detected_at)",
    "orders": "* EXCEPT (block, version)",
}
_SUMS = {name: text for name, text in SUMS.items() if name != "shards"} | {
    "shards": "SELECT shard, max(watermark), max(swept_to) FROM shards GROUP BY shard",
    "steps": "SELECT shard, sum(applied), sum(duplicates), sum(junk), sum(late), sum(forwarded), sumMap(dead_letters) FROM steps"
    " GROUP BY shard",
}
_GAPS = (
    "SELECT shard, count(), uniqExact(version), max(version) FROM steps GROUP BY shard"
    " HAVING count() != max(version) OR uniqExact(version) != max(version)"
)

Figures = dict[str, Counter[str]]
"""By table or view, how often it has each row."""


def figures(clickhouse: ClickHouse, begin: int, end: int) -> Figures:
    """All rows and sums, the crowd ledger, and the STAR tables of the second half of the time from `begin` to `end`."""
    selects = {name: f"SELECT {columns} FROM {name}" for name, columns in _ROWS.items()} | _SUMS
    found = {name: Counter(str(row) for row in query(clickhouse, text)) for name, text in selects.items()}
    begin, middle, after = (at - at % MINUTE_MS for at in (begin, (begin + end) // 2, end + MINUTE_MS))
    with Star(clickhouse) as star:
        for (brand,) in query(clickhouse, "SELECT DISTINCT brand FROM new_users ORDER BY brand"):
            found[f"crowd_ledger {brand}"] = Counter(map(str, star.ledger(brand, begin, after)))
            for by in (By.ALL, By.CHANNEL):
                for name, view in (
                    ("scaling", star.scaling),
                    ("triangulating", star.triangulating),
                    ("activating", star.activating),
                    ("returning", star.returning),
                ):
                    found[f"star_{name} {brand} by {by.value}"] = Counter(map(str, view(brand, middle, after, by)))
    return found


def differing(found: Figures, expected: Figures) -> list[str]:
    """Every row that one run has oftener than the other."""
    told = []
    for name in dict.fromkeys([*expected, *found]):
        ours, theirs = found.get(name, Counter()), expected.get(name, Counter())
        told += [f"{name}: expected {theirs[row]} times, found {ours[row]} times: {row}" for row in (ours - theirs) | (theirs - ours)]
    return told


def gaps(clickhouse: ClickHouse) -> list[str]:
    """Shards whose steps are not all there once."""
    return [f"steps of shard {row[0]}: {row[1]} rows, {row[2]} versions, the last {row[3]}" for row in query(clickhouse, _GAPS)]


def faults_of(deployment: Deployment, given: Input) -> list[str]:
    """What does not add up by itself: users against a plain recomputation, the ledger, the census, the money, the count of records."""
    settings: Settings = deployment.settings
    recomputed = recompute(settings)
    told = [f"recomputation: {difference}" for difference in recomputed.differences]
    if recomputed.missing:
        told.append(f"recomputation: {recomputed.missing} records are missing")
    with closing(StateReader(settings)) as states, Star(clickhouse_of(settings)) as star:
        told += [f"ledger: {violation}" for violation in star.ledger_balances()]
        in_redis: Counter[str] = Counter()
        for layers in census_of(states, settings, ladder_of(settings)).values():
            in_redis.update(layers)
        orders, steps = star.orders(), star.steps()
        sides = {
            "census": (dict(in_redis), star.census().layers),
            "orders": (orders.orders, recomputed.purchases),
            "gmv": (orders.gmv, recomputed.gmv),
            "refunds": (orders.refunds, recomputed.refunds),
            "buyers": (orders.buyers, recomputed.buyers),
            "records": (steps.applied + steps.duplicates + steps.junk + steps.dead_letters, given.events),
            "dead letters": (star.dead_letters(), dict(given.invalid)),
        }
    return told + [f"{name}: found {a}, expected {b}" for name, (a, b) in sides.items() if a != b]
