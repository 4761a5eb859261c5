# ruff: noqa: S608 - fixed text put together from fixed text
"""The queries of `warroom.sales`. Each is fixed text; `{name:Type}` are bound by the server.

What is asked again and again reads tables of sums: by the minute where minutes are told, else by spans of hours with the minutes at both
ends of the period. HEADS_OPENING alone walks through users; what it says of an instant long past does not change, so its reader
keeps it.
"""

from __future__ import annotations

from warroom.spans import MINUTES, SPANS

_BRAND = "brand = {brand:String}"
_START, _END = "{start:DateTime64(3, 'UTC')}", "{end:DateTime64(3, 'UTC')}"
_WITHIN = f"minute >= {_START} AND minute < {_END}"
_LOWEST = "(SELECT toString(layer) FROM current_layers ORDER BY position LIMIT 1)"

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

BY_CELL = f"""
SELECT layer_before AS layer, channel, store_id, sum(s.orders) AS orders, sum(s.gmv) AS gmv, sum(s.refunded) AS refunded,
    uniqMerge(s.buyers) AS buyers
FROM
(
    SELECT layer_before, channel, store_id, orders, gmv, refunded, buyers FROM sales_minutes WHERE {_BRAND} AND {MINUTES}
    UNION ALL
    SELECT layer_before, channel, store_id, orders, gmv, refunded, buyers FROM sales_spans WHERE {_BRAND} AND ({SPANS})
) AS s
GROUP BY layer, channel, store_id
ORDER BY layer, channel, store_id
"""
"""From sales_spans and sales_minutes."""

HEADS_OPENING = f"""
SELECT layer, channel, store_id, toInt64(heads) AS users
FROM
(
    SELECT place, count() AS heads
    FROM
    (
        SELECT argMax(cityHash64(to_layer, channel, store_id), seq) AS place
        FROM transitions
        WHERE {_BRAND} AND effective_at < {_START}
        GROUP BY xxh3(user_id)
    )
    GROUP BY place
) AS standing
INNER JOIN
(
    SELECT cityHash64(t.to_layer, t.channel, t.store_id) AS place, any(toString(t.to_layer)) AS layer, any(toString(t.channel)) AS channel,
        any(toString(t.store_id)) AS store_id
    FROM transitions AS t
    WHERE {_BRAND} AND t.effective_at < {_START}
    GROUP BY place
) AS named USING (place)
ORDER BY layer, channel, store_id
"""
"""From transitions, one group a user: seconds where there are tens of millions. Users and places go by 64-bit hashes, several times as fast
as by their texts; that two of twenty million users share one happens once in a hundred thousand times."""

NEWCOMERS_OPENING = f"""
SELECT {_LOWEST} AS layer, '' AS channel, '' AS store_id, toInt64(sum(n.users)) AS users
FROM new_users AS n
WHERE {_BRAND} AND minute < {_START}
"""
"""From new_users: everybody who had been seen. Who of them never had a transition stands in the lowest layer, without labels."""

_NEWCOMERS = (
    f"SELECT {_LOWEST} AS layer, '' AS channel, '' AS store_id, toInt64(users) AS heads FROM new_users WHERE {_BRAND} AND {_WITHIN}"
)

HEADS_ENTERED = f"""
SELECT layer, channel, store_id, sum(heads) AS users
FROM
(
    SELECT toString(to_layer) AS layer, toString(channel) AS channel, '' AS store_id, toInt64(transitions) AS heads
    FROM
    (
        SELECT to_layer, channel, transitions FROM flow_minutes WHERE {_BRAND} AND {MINUTES}
        UNION ALL
        SELECT to_layer, label AS channel, transitions FROM flow_spans WHERE {_BRAND} AND told_by = 'channel' AND ({SPANS})
    )
    UNION ALL
    {_NEWCOMERS}
)
GROUP BY layer, channel, store_id
HAVING users > 0
ORDER BY layer, channel, store_id
"""
"""From flow_spans, flow_minutes and new_users."""

HEADS_ENTERED_BY_STORE = f"""
SELECT layer, channel, store_id, sum(heads) AS users
FROM
(
    SELECT toString(to_layer) AS layer, toString(channel) AS channel, toString(store_id) AS store_id, toInt64(1) AS heads
    FROM transitions
    WHERE {_BRAND} AND effective_at >= {_START} AND effective_at < {_END}
    UNION ALL
    {_NEWCOMERS}
)
GROUP BY layer, channel, store_id
HAVING users > 0
ORDER BY layer, channel, store_id
"""
"""From transitions by their primary key, since no table of sums has layer, channel and store: for targets that go down to stores."""

AS_OF = """
SELECT toUnixTimestamp64Milli(min(reached))
FROM (SELECT max(watermark) AS reached FROM shards GROUP BY shard HAVING max(version) > 0)
"""
"""From shards: 1970 or nothing while nobody has told a step."""
