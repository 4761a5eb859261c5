# ruff: noqa: S608 - fixed text put together from fixed text
"""The queries of `warroom.sold`, by the dimension to split by: of orders, and of spend. Each is fixed text; values are bound."""

from __future__ import annotations

from warroom.figures import By
from warroom.spans import MINUTES, SPANS

_START, _END = "{start:DateTime64(3, 'UTC')}", "{end:DateTime64(3, 'UTC')}"
_BRAND = "brand = {brand:String}"
_BOUGHT = f"{_BRAND} AND type = 'purchase'"
_PERIOD = f"{_BOUGHT} AND o.occurred_at >= {_START} AND o.occurred_at < {_END}"
_LABELS = {By.CHANNEL: "channel", By.CAMPAIGN: "campaign_id", By.STORE: "store_id", By.GUIDE: "guide_id"}
_SPLITS = {By.ALL: "'all'", **{by: f"toString({label})" for by, label in _LABELS.items()}}
_GROUPED = {By.ALL: "", **{by: f"{label}, " for by, label in _LABELS.items()}}

SUMS = {
    by: f"""
SELECT {split} AS split, toString(layer_before) AS layer, count() AS orders, sum(o.amount) AS gmv,
    sumIf(o.amount, first_seen >= {_START} AND first_seen < {_END}) AS gmv_new
FROM orders AS o
WHERE {_PERIOD}
GROUP BY {_GROUPED[by]}layer_before
"""
    for by, split in _SPLITS.items()
}

PURCHASES = f"SELECT sum(orders) FROM order_spans WHERE {_BRAND} AND dimension = 'all' AND {SPANS}"
"""How many purchases a period of whole hours has."""


def _from_sums(by: By) -> str:
    label = _LABELS.get(by, "''")
    edges = MINUTES.replace("minute ", "o.occurred_at ")
    return f"""
SELECT split, layer, sum(bought) AS orders, sum(paid) AS gmv, uniqMerge(people) AS buyers, grouping(layer) = 1 AS is_total
FROM
(
    SELECT toString({label}) AS split, toString(layer_before) AS layer, count() AS bought, sum(o.amount) AS paid,
        uniqState(bitShiftRight(person, 11)) AS people
    FROM orders AS o
    WHERE {_BOUGHT} AND {edges}
    GROUP BY split, layer
    UNION ALL
    SELECT toString(label) AS split, toString(layer_before) AS layer, s.orders AS bought, s.gmv AS paid, s.buyers AS people
    FROM purchase_spans AS s
    WHERE {_BRAND} AND dimension = {{split_by:String}} AND s.orders > 0 AND {SPANS}
)
GROUP BY GROUPING SETS ((split, layer), (split))
"""


SUMS_OF_SPANS = {by: _from_sums(by) for by in _SPLITS}
"""The same but for `gmv_new`, and distinct buyers to within half a percent or so; with the total of every split (`is_total`)."""

GMV_NEW = {
    by: f"""
SELECT {split} AS split, toString(layer_before) AS layer, sum(o.amount) AS gmv_new
FROM orders AS o
WHERE {_PERIOD} AND first_seen >= {_START}
GROUP BY {_GROUPED[by]}layer_before
"""
    for by, split in _SPLITS.items()
}
"""What was paid by users first seen within the period."""

_GIVEN_BACK = f"SELECT order_hash, sum(refunded) AS returned FROM orders WHERE {_BRAND} AND refunded != 0 GROUP BY order_hash"

REFUNDS = {
    by: f"""
SELECT split, layer, sum(returned) AS refunds
FROM
(
    SELECT {split} AS split, toString(layer_before) AS layer, order_hash
    FROM orders AS o
    WHERE {_PERIOD} AND order_hash IN (SELECT order_hash FROM orders WHERE {_BRAND} AND refunded != 0)
) AS purchase
INNER JOIN ({_GIVEN_BACK}) AS refund USING (order_hash)
GROUP BY split, layer
"""
    for by, split in _SPLITS.items()
}
"""What has been refunded until now of the orders bought in the period."""

BUYERS = {
    by: f"""
SELECT split, in_week, in_month, in_quarter, layers, count() AS users
FROM
(
    SELECT
        {split} AS split,
        toUInt8(least(countIf(o.occurred_at >= {_END} - INTERVAL 7 DAY), 2)) AS in_week,
        toUInt8(least(countIf(o.occurred_at >= {_END} - INTERVAL 30 DAY), 2)) AS in_month,
        toUInt8(least(countIf(o.occurred_at >= {_END} - INTERVAL 90 DAY), 2)) AS in_quarter,
        groupBitOr(if(o.occurred_at >= {_START}, bitShiftLeft(toUInt32(1), number), toUInt32(0))) AS layers
    FROM
    (
        SELECT user_id, occurred_at, channel, campaign_id, store_id, guide_id,
            transform(toString(layer_before), {{names:Array(String)}}, {{numbers:Array(UInt8)}}, toUInt8(31)) AS number
        FROM orders
        WHERE {_BOUGHT} AND occurred_at >= least({_START}, {_END} - INTERVAL 90 DAY) AND occurred_at < {_END}
            AND person % {{one_in:UInt32}} = 0
    ) AS o
    GROUP BY {_GROUPED[by]}user_id
)
GROUP BY split, in_week, in_month, in_quarter, layers
"""
    for by, split in _SPLITS.items()
}
"""Buyers of the period or the 90 days before its end by what they did: 0, 1 or 2 (two or more) purchases in the last 7, 30 and 90 days, and
the layers they stood in when they bought within the period, a bit each. One user in `one_in`."""

SPEND: dict[By, str] = {
    by: f"""
SELECT {split} AS split, sum(amount) AS cost
FROM spend FINAL
WHERE brand = {{brand:String}} AND begins_at >= {_START} AND begins_at < {_END}
GROUP BY split
"""
    for by, split in _SPLITS.items()
    if by in (By.ALL, By.CHANNEL, By.CAMPAIGN)
}
