# ruff: noqa: S608 - fixed text put together from fixed text
"""The queries of `warroom.sold`, by the dimension to split by: of everybody's orders or of those of a sample of users, and of spend. Each
is fixed text; values are bound.

Buyers are told apart by the hash of their id, buyers under a label by one hash of both. It has 64 bits: that any two of two million are
alike has odds of one to nine million.
"""

from __future__ import annotations

from warroom.figures import By
from warroom.spans import MINUTES, SPANS

_START, _END = "{start:DateTime64(3, 'UTC')}", "{end:DateTime64(3, 'UTC')}"
_BRAND = "brand = {brand:String}"
_LABELS = {By.CHANNEL: "channel", By.CAMPAIGN: "campaign_id", By.STORE: "store_id", By.GUIDE: "guide_id"}
_SPLITS = {By.ALL: "'all'", **{by: f"toString({label})" for by, label in _LABELS.items()}}
_GROUPED = {By.ALL: "", **{by: f"{label}, " for by, label in _LABELS.items()}}
_ORDERS = {False: f"orders AS o WHERE {_BRAND}", True: f"order_sample AS o WHERE {_BRAND} AND rank >= {{rank:UInt8}}"}
"""Everybody's orders, or those of a sample of users."""
_BOUGHT = {sampled: f"{orders} AND type = 'purchase'" for sampled, orders in _ORDERS.items()}
_PERIOD = f"o.occurred_at >= {_START} AND o.occurred_at < {_END}"
_QUARTER = f"o.occurred_at >= least({_START}, {_END} - INTERVAL 90 DAY) AND o.occurred_at < {_END}"

SUMS = {
    (by, sampled): f"""
SELECT {split} AS split, toString(layer_before) AS layer, count() AS orders, sum(o.amount) AS gmv,
    sumIf(o.amount, first_seen >= {_START} AND first_seen < {_END}) AS gmv_new
FROM {bought} AND {_PERIOD}
GROUP BY {_GROUPED[by]}layer_before
"""
    for by, split in _SPLITS.items()
    for sampled, bought in _BOUGHT.items()
}

PURCHASES = f"SELECT sum(orders) FROM order_spans WHERE {_BRAND} AND dimension = 'all' AND {SPANS}"
"""How many purchases a period of whole hours has."""


def _from_sums(by: By, with_buyers: bool) -> str:
    label = _LABELS.get(by, "''")
    edges = MINUTES.replace("minute ", "o.occurred_at ")
    merged, state, stored = ("uniqMerge(people)", "uniqState(bitShiftRight(person, 11))", "s.buyers") if with_buyers else ("0",) * 3
    return f"""
SELECT split, layer, sum(bought) AS orders, sum(paid) AS gmv, {merged} AS buyers, grouping(layer) = 1 AS is_total
FROM
(
    SELECT toString({label}) AS split, toString(layer_before) AS layer, count() AS bought, sum(o.amount) AS paid, {state} AS people
    FROM {_BOUGHT[False]} AND {edges}
    GROUP BY split, layer
    UNION ALL
    SELECT toString(label) AS split, toString(layer_before) AS layer, s.orders AS bought, s.gmv AS paid, {stored} AS people
    FROM purchase_spans AS s
    WHERE {_BRAND} AND dimension = {{split_by:String}} AND s.orders > 0 AND {SPANS}
)
GROUP BY GROUPING SETS ((split, layer), (split))
"""


SUMS_OF_SPANS = {(by, with_buyers): _from_sums(by, with_buyers) for by in _SPLITS for with_buyers in (False, True)}
"""The same of everybody, but for `gmv_new`; with the total of every split (`is_total`). Distinct buyers to within half a percent or so, or
not (0)."""


def _refunds(by: By, orders: str) -> str:
    back = f"{orders} AND o.refunded != 0"
    return f"""
SELECT split, layer, sum(returned) AS refunds
FROM
(
    SELECT {_SPLITS[by]} AS split, toString(layer_before) AS layer, order_hash
    FROM {orders} AND type = 'purchase' AND {_PERIOD} AND order_hash IN (SELECT order_hash FROM {back})
) AS purchase
INNER JOIN (SELECT order_hash, sum(o.refunded) AS returned FROM {back} GROUP BY order_hash) AS refund USING (order_hash)
GROUP BY split, layer
"""


REFUNDS = {(by, sampled): _refunds(by, orders) for by in _SPLITS for sampled, orders in _ORDERS.items()}
"""What has been refunded until now of the orders bought in the period."""


def _buyers(by: By, bought: str) -> str:
    hashed = f"xxh3({_LABELS[by]})" if by in _LABELS else "toUInt64(0)"
    labels = f"SELECT DISTINCT {_SPLITS[by]} AS split, {hashed} AS hashed FROM {bought} AND {_QUARTER}"
    return f"""
SELECT split, in_week, in_month, in_quarter, layers, users
FROM
(
    SELECT label AS hashed, in_week, in_month, in_quarter, layers, count() AS users
    FROM
    (
        SELECT
            max(hashed) AS label,
            toUInt8(least(countIf(at >= {_END} - INTERVAL 7 DAY), 2)) AS in_week,
            toUInt8(least(countIf(at >= {_END} - INTERVAL 30 DAY), 2)) AS in_month,
            toUInt8(least(countIf(at >= {_END} - INTERVAL 90 DAY), 2)) AS in_quarter,
            groupBitOr(if(at >= {_START}, bitShiftLeft(toUInt32(1), number), toUInt32(0))) AS layers
        FROM
        (
            SELECT bitXor(person, hashed) AS one, {hashed} AS hashed, o.occurred_at AS at,
                transform(toString(layer_before), {{names:Array(String)}}, {{numbers:Array(UInt8)}}, toUInt8(31)) AS number
            FROM {bought} AND {_QUARTER}
        )
        GROUP BY one
    )
    GROUP BY label, in_week, in_month, in_quarter, layers
) AS buyers
INNER JOIN ({labels}) AS labels USING (hashed)
"""


BUYERS = {(by, sampled): _buyers(by, bought) for by in _SPLITS for sampled, bought in _BOUGHT.items()}
"""Buyers of the period or the 90 days before its end by what they did: 0, 1 or 2 (two or more) purchases in the last 7, 30 and 90 days, and
the layers they stood in when they bought within the period, a bit each."""

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
