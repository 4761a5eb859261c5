# ruff: noqa: S608 - fixed text put together from fixed text
"""The queries of `warroom.sales`. Each is fixed text; `{name:Type}` are bound by the server.

All read tables of sums: by the minute where minutes are told, else by spans of hours with the minutes at both ends of the period.
"""

from __future__ import annotations

from warroom.spans import ALL_SPANS, MINUTES, SPANS

_BRAND = "brand = {brand:String}"
_START, _END = "{start:DateTime64(3, 'UTC')}", "{end:DateTime64(3, 'UTC')}"
_WITHIN = f"minute >= {_START} AND minute < {_END}"
_LOWEST = "(SELECT toString(layer) FROM current_layers ORDER BY position LIMIT 1)"
_SEEN = f"(SELECT toInt64(sum(users)) FROM new_users WHERE {_BRAND} AND minute < {_END})"

ORDERED = f"""
SELECT sum(told) FROM
(
    SELECT o.orders AS told FROM order_minutes AS o WHERE {_BRAND} AND dimension = 'all' AND {MINUTES}
    UNION ALL
    SELECT s.orders AS told FROM order_spans AS s WHERE {_BRAND} AND dimension = 'all' AND {SPANS}
)
"""
"""How many orders a period has."""

BY_MINUTE = f"""
SELECT toUnixTimestamp64Milli(minute) AS minute, orders, gmv, refunded, uniqMerge(people) OVER (ORDER BY minute) AS buyers_so_far
FROM
(
    SELECT o.minute AS minute, sum(o.orders) AS orders, sum(o.gmv) AS gmv, sum(o.refunds) AS refunded, uniqMergeState(o.buyers) AS people
    FROM order_minutes AS o
    WHERE {_BRAND} AND dimension = 'all' AND {_WITHIN}
    GROUP BY minute
)
ORDER BY minute
"""
"""From order_minutes. A minute without orders has no row."""

SOLD_BY_MINUTE = f"""
SELECT toUnixTimestamp64Milli(o.minute) AS minute, sum(o.orders) AS orders, sum(o.gmv) AS gmv, sum(o.refunds) AS refunded
FROM order_minutes AS o
WHERE {_BRAND} AND dimension = 'all' AND o.minute >= {_START} AND o.minute < {_END}
GROUP BY o.minute
ORDER BY o.minute
"""
"""The same without the buyers."""

BUYERS_BY_SPAN = f"""
SELECT toUnixTimestamp64Milli(at) AS begins, uniqMerge(people) OVER (ORDER BY at) AS buyers_so_far
FROM
(
    SELECT o.minute AS at, uniqMergeState(o.buyers) AS people FROM order_minutes AS o
    WHERE {_BRAND} AND dimension = 'all' AND {MINUTES.replace("minute ", "o.minute ")}
    GROUP BY at
    UNION ALL
    SELECT s.begins AS at, uniqMergeState(s.buyers) AS people FROM order_spans AS s
    WHERE {_BRAND} AND dimension = 'all' AND minutes = 60 AND s.begins >= {{hours_from:DateTime64(3, 'UTC')}}
        AND s.begins < {{hours_to:DateTime64(3, 'UTC')}}
    GROUP BY at
)
ORDER BY begins
"""
"""Distinct buyers up to the end of each whole hour of a period and of each minute before and after these, by when it begins."""

BY_CELL = f"""
SELECT layer_before AS layer, channel, store_id, sum(s.orders) AS orders, sum(s.gmv) AS gmv, sum(s.refunded) AS refunded
FROM cell_spans AS s
WHERE {_BRAND} AND {ALL_SPANS}
GROUP BY layer, channel, store_id
ORDER BY layer, channel, store_id
"""
"""From cell_spans, where an order's channel and store are those that brought its buyer to the layer."""

UNTOLD = f"SELECT sum(entered) != sum(gone) FROM head_spans WHERE {_BRAND} AND minutes = 480 AND dimension = 'unknown'"
"""Whether there are transitions of which it is not known under which labels the user had stood: then head_spans tells no headcounts."""

HEADS_OPENING = f"""
SELECT toString(layer) AS layer, toString(label) AS channel, toString(store_id) AS store_id,
    toInt64(sum(entered)) - toInt64(sum(gone)) + if(layer = {_LOWEST} AND channel = '' AND store_id = '', {_SEEN}, 0) AS users
FROM
(
    SELECT label, store_id, layer, entered, gone FROM head_spans WHERE {_BRAND} AND dimension = 'place' AND {ALL_SPANS}
    UNION ALL
    SELECT '', '', {_LOWEST}, 0, 0
)
GROUP BY layer, channel, store_id
HAVING users != 0
ORDER BY layer, channel, store_id
"""
"""From head_spans and new_users, of a period that begins with the first record: who stands where at its end."""

HEADS_OPENING_OF_RECORDS = f"""
SELECT layer, channel, store_id, toInt64(heads) AS users
FROM
(
    SELECT place, count() AS heads
    FROM
    (
        SELECT argMax(cityHash64(to_layer, channel, store_id), seq) AS place
        FROM transitions
        WHERE {_BRAND} AND effective_at < {_END}
        GROUP BY xxh3(user_id)
    )
    GROUP BY place
) AS standing
INNER JOIN
(
    SELECT cityHash64(t.to_layer, t.channel, t.store_id) AS place, any(toString(t.to_layer)) AS layer, any(toString(t.channel)) AS channel,
        any(toString(t.store_id)) AS store_id
    FROM transitions AS t
    WHERE {_BRAND} AND t.effective_at < {_END}
    GROUP BY place
) AS named USING (place)
ORDER BY layer, channel, store_id
"""
"""The same of who ever moved, from transitions, one group a user: seconds where there are tens of millions. Users and places go by 64-bit
hashes, several times as fast as by their texts; that two of twenty million users share one happens once in a hundred thousand times."""

NEWCOMERS_OPENING = f"""
SELECT {_LOWEST} AS layer, '' AS channel, '' AS store_id, toInt64(sum(n.users)) AS users
FROM new_users AS n
WHERE {_BRAND} AND minute < {_END}
"""
"""From new_users: everybody who had been seen. Who of them never had a transition stands in the lowest layer, without labels."""

HEADS_ENTERED = f"""
SELECT layer, channel, store_id, sum(heads) AS users
FROM
(
    SELECT toString(layer) AS layer, toString(label) AS channel, toString(store_id) AS store_id, toInt64(entered) AS heads
    FROM head_spans
    WHERE {_BRAND} AND dimension = {{dimension:String}} AND {ALL_SPANS}
    UNION ALL
    SELECT {_LOWEST} AS layer, '' AS channel, '' AS store_id, toInt64(users) AS heads FROM new_users WHERE {_BRAND} AND {_WITHIN}
)
GROUP BY layer, channel, store_id
HAVING users > 0
ORDER BY layer, channel, store_id
"""
"""From head_spans and new_users; dimension `channel` without stores, `place` with."""

AS_OF = """
SELECT toUnixTimestamp64Milli(min(reached))
FROM (SELECT max(watermark) AS reached FROM shards GROUP BY shard HAVING max(version) > 0)
"""
"""From shards: 1970 or nothing while nobody has told a step."""
