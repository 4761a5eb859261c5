"""The STAR tables, from sums and one walk over the period's transitions, are those of the views, which walk over every user's history."""

from __future__ import annotations

from contextlib import closing
from random import Random
from typing import Any

import pytest
from msgspec.structs import astuple

from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, MINUTE_MS
from sinks.client import connect
from sinks.config import ClickHouse
from sinks.migrate import migrate, migrations
from sinks.tables import PARTS
from warroom.figures import By
from warroom.queries import _SPLIT_VIEW, SCALING
from warroom.star import Star, _period

BEGIN = 1_794_326_400_000
LAYERS = ["R0", "R1", "R2", "R3", "R4", "R5"]
PERIODS = [(0, 4320), (700, 2003)]
TABLES = {
    "triangulating": "SELECT split, layer, users, users_before, share, share_before, crowd_share, growth FROM star_triangulating({})",
    "activating": "SELECT split, from_layer, to_layer, direction, users, transitions, users_before, rate FROM star_activating({})",
    "returning": "SELECT split, layer, gmv, gmv_share, refunds, orders, buyers, order_value, stood, conversion_rate, repurchase_week,"
    " repurchase_month, repurchase_quarter, spend, roi, gmv_new, gmv_new_share FROM returning_before({})",
}
MOVE = ["brand", "user_id", "seq", "from_layer", "to_layer", "direction", "effective_at", "channel", "campaign_id", "first_touch_at"]
SALE = ["type", "brand", "user_id", "order_id", "occurred_at", "amount", "refunded", "layer_before", "first_seen", "channel"]


def story(random: Random, layers: list[str]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Newcomers, transitions and orders of 60 users who go up and down over three days; some are erased and come again, some are found to
    have been touched earlier, some never leave the lowest layer."""
    seen, moves, orders = [], [], []
    for number in range(60):
        user, at, layer = f"u{number}", random.randrange(4300), layers[0]
        first: int | None = at
        seen.append((BEGIN + at * MINUTE_MS, "acme", 1))
        for seq in range(1, random.choice((1, 2, 4, 12))):
            erased = layer != layers[0] and random.random() < 0.15
            to = layers[0] if erased else random.choice([one for one in layers if one != layer])
            first = None if erased else at if first is None else first - random.choice((0, 0, 0, 900))
            when = BEGIN + at * MINUTE_MS + random.randrange(60_000)
            touched = None if first is None else BEGIN + first * MINUTE_MS
            direction = "forward" if to > layer else "reverse"
            moves.append(("acme", user, seq, layer, to, direction, when, random.choice("abc"), random.choice(["", "x"]), touched))
            layer, at = to, at + random.choice((0, 1, 20, 400, 1500))
            if random.random() < 0.5:
                order = (
                    "acme",
                    user,
                    f"o{user}-{seq}",
                    when,
                    random.randrange(500),
                    0,
                    layer,
                    BEGIN + random.randrange(4000) * MINUTE_MS,
                    "a",
                )
                orders.append(("purchase", *order))
                if random.random() < 0.3:
                    orders.append(("refund", *order[:3], when + DAY_MS, 7, 7, *order[6:]))
    return seen, moves, orders


def store(config: ClickHouse, random: Random, layers: list[str]) -> None:
    migrate(config, load_ladder("5r"), 1)
    seen, moves, orders = story(random, layers)
    with closing(connect(config, config.database)) as client:
        client.insert("new_users", seen, column_names=["minute", "brand", "users"])
        client.insert("transitions", moves, column_names=MOVE)
        client.insert("orders", orders, column_names=SALE)
        client.insert(
            "spend", [("s", "acme", BEGIN + DAY_MS, "a", 70)], column_names=["spend_id", "brand", "begins_at", "channel", "amount"]
        )
        for source, part in PARTS:
            names = ", ".join(part.column_names)
            client.command(f"INSERT INTO {part.inlet} ({names}) SELECT {names} FROM {source.name}")
        # the view as it was first shipped
        text = next(one for one in migrations()[4].statements(config.database) if ".star_returning AS" in one)
        client.command(text.replace(".star_returning AS", ".returning_before AS"))


@pytest.mark.parametrize("layers", [LAYERS, ["R0", "R1", "old", "R4"]], ids=["the ladder's layers", "one of a former ladder"])
def test_tables_are_those_of_the_views(clickhouse_url: str, database: str, layers: list[str]) -> None:
    config = ClickHouse(url=clickhouse_url, database=database)
    store(config, Random(11), layers)
    with Star(config) as star:
        for first, last in PERIODS:
            start, end = BEGIN + first * MINUTE_MS, BEGIN + last * MINUTE_MS
            assert told(star, start, end, By.ALL) == views(star, start, end, By.ALL)
        assert told(star, start, end, By.CHANNEL) == views(star, start, end, By.CHANNEL)
        found = star.tables("acme", start, end)
        each = (star.scaling, star.triangulating, star.activating, star.returning)
        assert [table("acme", start, end) for table in each] == [getattr(found, table.__name__) for table in each]
        assert (star.crowd("acme", BEGIN, BEGIN + DAY_MS) is None) == ("old" in layers)


def told(star: Star, start: int, end: int, by: By) -> dict[str, list[Any]]:
    found = star.tables("acme", start, end, by)
    return {name: [astuple(row) for row in getattr(found, name)] for name in ("scaling", *TABLES)}


def views(star: Star, start: int, end: int, by: By) -> dict[str, list[Any]]:
    texts = {"scaling": SCALING, **{name: text.format(_SPLIT_VIEW) for name, text in TABLES.items()}}
    return {name: [tuple(row) for row in star._rows(text, _period("acme", start, end, by))] for name, text in texts.items()}
