# ruff: noqa: S608 - fixed text put together from fixed text
"""The figures that alerts are judged by, from ClickHouse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from schemas.promotion import Promotion
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.touchpoint import CATALOGUE, Kind
from sinks.config import ClickHouse
from warroom.alerts.balance import Unbalanced
from warroom.alerts.engine import Worth
from warroom.alerts.flows import Shape
from warroom.alerts.minutes import Key, Minute
from warroom.alerts.money import SpendDay
from warroom.alerts.origin import Split
from warroom.live import queries
from warroom.reader import Reader, bound_period, datetime64

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
_SOLD = f"SELECT toString(label), sum(t.orders), sum(t.gmv) FROM order_minutes AS t WHERE {_WHERE} AND dimension = 'layer' GROUP BY label"
_CAME = f"""
SELECT toString(to_layer), sum(t.transitions) FROM flow_minutes AS t
WHERE {_WHERE} AND kind IN ('advance', 'retract') GROUP BY to_layer
"""
_PROMOTIONS = "SELECT record FROM promotions FINAL WHERE brand = {brand:String} ORDER BY promotion_id, version"
_SPLIT = f"""
SELECT place.1, place.2, countIf(t.effective_at < {{since:{_AT}}}), countIf(t.effective_at >= {{since:{_AT}}})
FROM transitions AS t
ARRAY JOIN [('campaign_id', toString(campaign_id)), ('store_id', toString(store_id))] AS place
WHERE brand = {{brand:String}} AND t.effective_at >= {{start:{_AT}}} AND t.effective_at < {{end:{_AT}}} AND kind IN ('advance', 'retract')
    AND from_layer = {{from_layer:String}} AND to_layer = {{to_layer:String}} AND ({{whole:Bool}} OR channel = {{channel:String}})
GROUP BY place.1, place.2
"""
_GMV = f"""
SELECT {_MS}, sum(t.gmv) FROM order_minutes AS t WHERE {_WHERE} AND dimension = 'all' GROUP BY t.minute
"""
_SPEND = f"""
SELECT toUnixTimestamp64Milli(begins_at) AS begins, toString(channel), toString(campaign_id), sum(amount)
FROM spend FINAL WHERE brand = {{brand:String}} AND begins_at >= {{start:{_AT}}} AND begins_at < {{end:{_AT}}}
GROUP BY begins, channel, campaign_id
"""
_ORDERS_BY_DAY = f"""
SELECT arrayCount(b -> b <= {_MS}, {{begins:Array(Int64)}}) AS day, toString(dimension), toString(label), sum(t.orders)
FROM order_minutes AS t WHERE {_WHERE} AND dimension IN ('channel', 'campaign') GROUP BY day, dimension, label
"""
# What is told of complete steps alone: `shards` is the last table that a block fills.
_STEPS = """
SELECT shard, sum(told), sum(there)
FROM
(
    SELECT shard, version, transitions AS told, 0 AS there FROM steps
    UNION ALL
    SELECT shard, version, 0 AS told, 1 AS there FROM transitions
)
WHERE version <= {versions:Array(UInt64)}[shard + 1] AND version + {steps:UInt64} > {versions:Array(UInt64)}[shard + 1]
GROUP BY shard HAVING sum(told) != sum(there)
"""
_FLOWS = f"""
SELECT toString(brand), sum(told), sum(there)
FROM
(
    SELECT brand, 1 AS told, 0 AS there FROM transitions WHERE effective_at >= {{start:{_AT}}} AND effective_at < {{end:{_AT}}}
    UNION ALL
    SELECT brand, 0 AS told, f.transitions AS there FROM flow_minutes AS f WHERE minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}
)
GROUP BY brand HAVING sum(told) != sum(there)
"""
_STEPS_LOOKED_AT = 5_000
_SETTLED_MS = 5 * MINUTE_MS
_SPLIT_BEFORE_MS = 6 * HOUR_MS
_DIMENSIONS = {"channel": "channel", "campaign": "campaign_id"}


def settled(low: int) -> tuple[int, int]:
    """The whole minutes of the last day that figures stored up to `low` no longer change."""
    end = low - _SETTLED_MS - low % MINUTE_MS
    return end - DAY_MS, end


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

    def promotions(self, brand: str) -> list[list[Promotion]]:
        """All versions of each of a brand's promotions, oldest first."""
        found: dict[str, list[Promotion]] = defaultdict(list)
        for (record,) in self._rows(_PROMOTIONS, {"brand": brand}):
            version = msgspec.json.decode(record, type=Promotion)
            found[version.promotion_id].append(version)
        return list(found.values())

    def split(self, brand: str, key: Key, since: int, end: int) -> Split:
        """A flow's moves by campaign and by store: in the hours before `since`, and from then to before `end`."""
        bound = {
            **bound_period(brand, since - _SPLIT_BEFORE_MS, end),
            "since": datetime64(since),
            "from_layer": key.from_,
            "to_layer": key.to,
            "whole": key.channel is None,
            "channel": key.channel or "",
        }
        found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for dimension, label, before, now in self._rows(_SPLIT, bound):
            found[dimension][label] = (int(before), int(now))
        return found

    def gmv(self, brand: str, start: int, end: int) -> list[float]:
        """GMV of every minute from `start` to before `end`, minor units."""
        sold = {at: float(gmv) for at, gmv in self._rows(_GMV, bound_period(brand, start, end))}
        return [sold.get(at, 0.0) for at in range(start, end, MINUTE_MS)]

    def spend(self, brand: str, start: int, end: int) -> list[SpendDay]:
        """What each channel and campaign cost on the days that begin in the period, and the orders it brought up to its end."""
        spent: dict[tuple[str, str, int], int] = defaultdict(int)
        for begins, channel, campaign, amount in self._rows(_SPEND, bound_period(brand, start, end)):
            spent["channel", channel, begins] += int(amount)
            spent["campaign", campaign, begins] += int(amount)
        begins_at = sorted({begins for *_, begins in spent})
        if not begins_at:
            return []
        bound = {**bound_period(brand, begins_at[0], end), "begins": begins_at}
        brought = {
            (dimension, label, begins_at[day - 1]): int(orders) for day, dimension, label, orders in self._rows(_ORDERS_BY_DAY, bound)
        }
        return [
            SpendDay(dimension=_DIMENSIONS[place[0]], label=place[1], begins_at=place[2], spend=amount, orders=brought.get(place, 0))
            for place, amount in sorted(spent.items())
        ]

    def unbalanced(self, stored: Mapping[int, tuple[int, int]], low: int) -> dict[tuple[str, str], Unbalanced]:
        """What ought to be equal and is not: transitions and those that the last steps tell of, by shard; transitions of the last day and
        flows by the minute, by brand."""
        versions = [stored[shard][0] if shard in stored else 0 for shard in range(max(stored, default=-1) + 1)]
        found = [
            Unbalanced(brand="", where=f"shard {shard}", detail=f"its last steps tell of {told} transitions, and {there} are stored")
            for shard, told, there in self._rows(_STEPS, {"versions": versions, "steps": _STEPS_LOOKED_AT})
        ]
        found += [
            Unbalanced(brand=brand, where="flows by the minute", detail=f"of {told} transitions of the last day they count {there}")
            for brand, told, there in self._rows(_FLOWS, bound_period("", *settled(low)))
        ]
        return {(one.brand, one.where): one for one in found}

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
