# ruff: noqa: S608 - fixed text put together from fixed text
"""The figures that alerts are judged by, from ClickHouse."""

from __future__ import annotations

from collections import defaultdict

from schemas.times import DAY_MS, MINUTE_MS
from schemas.touchpoint import CATALOGUE, Kind
from sinks.config import ClickHouse
from warroom.alerts.engine import Worth
from warroom.alerts.flows import Shape
from warroom.alerts.minutes import Minute
from warroom.live import queries
from warroom.reader import Reader, bound_period

_AT = "DateTime64(3, 'UTC')"
_WHERE = f"brand = {{brand:String}} AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}"
_MS = "toUnixTimestamp64Milli(t.minute)"

_BRANDS = f"SELECT DISTINCT toString(brand) FROM touch_minutes WHERE minute >= {{start:{_AT}}} ORDER BY 1"
_TOUCHES = f"""
SELECT {_MS}, toString(type), toString(layer_before), sum(t.touchpoints)
FROM touch_minutes AS t WHERE {_WHERE} GROUP BY t.minute, type, layer_before
"""
_MOVES = f"""
SELECT {_MS}, toString(from_layer), toString(to_layer), toString(channel), sum(t.transitions)
FROM flow_minutes AS t WHERE {_WHERE} AND kind IN ('advance', 'retract') GROUP BY t.minute, from_layer, to_layer, channel
"""
_ORDERS = f"SELECT {_MS}, sum(t.orders), sum(t.gmv) FROM order_minutes AS t WHERE {_WHERE} AND dimension = 'all' GROUP BY t.minute"
_SOLD = f"SELECT toString(layer_before), sum(t.orders), sum(t.gmv) FROM sales_minutes AS t WHERE {_WHERE} GROUP BY layer_before"
_CAME = f"""
SELECT toString(to_layer), sum(t.transitions) FROM flow_minutes AS t
WHERE {_WHERE} AND kind IN ('advance', 'retract') GROUP BY to_layer
"""


class AlertReader(Reader):
    """A reader of its own connection. Every method raises StoreAway or StoreError."""

    def __init__(self, config: ClickHouse) -> None:
        super().__init__(config, max_execution_time=10)

    def stored(self) -> dict[int, tuple[int, int]]:
        """Version and watermark of each shard, as far as it is stored."""
        return {row["shard"]: (row["version"], row["watermark"]) for row in self._dicts(queries.STORED, {})}

    def brands(self, since: int) -> list[str]:
        """Brands with touchpoints since then."""
        return [row[0] for row in self._rows(_BRANDS, {"start": bound_period("", since, since)["start"]})]

    def minutes(self, brand: str, start: int, end: int) -> list[Minute]:
        """Every minute of a brand from `start` to before `end`, the empty ones too."""
        bound = bound_period(brand, start, end)
        touches: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        arrivals: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for at, type_, layer, count in self._rows(_TOUCHES, bound):
            kind = CATALOGUE.get(type_)
            if kind is None:
                continue  # a type of a former program
            arrivals[at][kind.topic] += int(count)
            if kind is not Kind.ORDER:
                touches[at][layer] += int(count)
        moves: dict[int, dict[tuple[str, str], dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        for at, from_, to, channel, count in self._rows(_MOVES, bound):
            moves[at][from_, to][channel] = int(count)
        sold = {at: (int(orders), int(gmv)) for at, orders, gmv in self._rows(_ORDERS, bound)}
        return [
            Minute(
                at=at,
                touches=dict(touches.get(at, {})),
                arrivals=dict(arrivals.get(at, {})),
                moves=dict(moves.get(at, {})),
                orders=sold.get(at, (0, 0))[0],
                gmv=sold.get(at, (0, 0))[1],
            )
            for at in range(start, end, MINUTE_MS)
        ]

    def worth(self, brand: str, shape: Shape, end: int) -> Worth:
        """What a user who comes to a layer was worth over the day before: what was sold to those who stood there, over how many came; to a
        layer that orders lead to, an order."""
        bound = bound_period(brand, end - DAY_MS, end)
        sold = {layer: (int(orders), int(gmv)) for layer, orders, gmv in self._rows(_SOLD, bound)}
        came = {layer: int(count) for layer, count in self._rows(_CAME, bound)}
        orders, gmv = (sum(one[i] for one in sold.values()) for i in (0, 1))
        by_layer = {layer: sold.get(layer, (0, 0))[1] / count for layer, count in came.items() if count}
        if orders:
            by_layer |= dict.fromkeys(shape.bought, gmv / orders)
        return Worth(by_layer=by_layer, gmv_an_hour=gmv / 24)
