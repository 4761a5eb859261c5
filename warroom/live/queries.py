# ruff: noqa: S608 - fixed text put together from fixed text
"""The queries of the live snapshot: of aggregated tables only, each fixed text with bound values."""

from __future__ import annotations

from warroom import spans

_AT = "DateTime64(3, 'UTC')"
_BRAND = "brand = {brand:String}"

STORED = """
SELECT shard, max(version) AS version, toUnixTimestamp64Milli(max(watermark)) AS watermark,
    toUnixTimestamp64Milli(max(swept_to)) AS swept_to
FROM shards GROUP BY shard ORDER BY shard
"""

FLOWS = f"""
SELECT
    toString(from_layer) AS from_layer, toString(to_layer) AS to_layer,
    uniqMergeIf(users, minute >= {{short:{_AT}}}) AS users_short, sumIf(transitions, minute >= {{short:{_AT}}}) AS moves_short,
    uniqMergeIf(users, minute >= {{middle:{_AT}}}) AS users_middle, sumIf(transitions, minute >= {{middle:{_AT}}}) AS moves_middle,
    uniqMerge(users) AS users_long, sum(f.transitions) AS moves_long
FROM flow_minutes AS f
WHERE {_BRAND} AND minute >= {{long:{_AT}}} AND minute < {{end:{_AT}}}
GROUP BY from_layer, to_layer
"""

USUAL = f"""
SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, sum(f.transitions) AS transitions,
    toUnixTimestamp64Milli(min(minute)) AS earliest
FROM flow_minutes AS f
WHERE {_BRAND} AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}
GROUP BY from_layer, to_layer
"""

MINUTES = f"""
SELECT toUnixTimestamp64Milli(minute) AS minute, sum(orders) AS orders, sum(gmv) AS gmv, sum(gmv_new) AS gmv_new,
    sum(refunds) AS refunds, sum(buyers) AS buyers, sum(new_users) AS new_users, sum(touches) AS touches,
    sum(forward) AS forward, sum(reverse) AS reverse
FROM
(
    SELECT minute, sum(o.orders) AS orders, sum(o.gmv) AS gmv, sum(o.gmv_new) AS gmv_new, sum(o.refunds) AS refunds,
        uniqMerge(o.buyers) AS buyers, 0 AS new_users, 0 AS touches, 0 AS forward, 0 AS reverse
    FROM order_minutes AS o
    WHERE {_BRAND} AND dimension = 'all' AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}} GROUP BY minute
    UNION ALL
    SELECT minute, 0, 0, 0, 0, 0, sum(users), 0, 0, 0
    FROM new_users WHERE {_BRAND} AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}} GROUP BY minute
    UNION ALL
    SELECT minute, 0, 0, 0, 0, 0, 0, sum(touchpoints), 0, 0
    FROM touch_minutes WHERE {_BRAND} AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}} GROUP BY minute
    UNION ALL
    SELECT minute, 0, 0, 0, 0, 0, 0, 0, sumIf(transitions, direction = 'forward'), sumIf(transitions, direction = 'reverse')
    FROM move_minutes WHERE {_BRAND} AND dimension = 'all' AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}} GROUP BY minute
)
GROUP BY minute
"""

RANKINGS = f"""
SELECT dimension, label, sum(forward) AS users_forward, sum(reverse) AS users_reverse, sum(orders) AS orders, sum(buyers) AS buyers,
    sum(gmv) AS gmv, sum(gmv_new) AS gmv_new
FROM
(
    SELECT toString(dimension) AS dimension, toString(label) AS label, uniqMergeIf(users, direction = 'forward') AS forward,
        uniqMergeIf(users, direction = 'reverse') AS reverse, 0 AS orders, 0 AS buyers, 0 AS gmv, 0 AS gmv_new
    FROM move_minutes
    WHERE {_BRAND} AND dimension IN ('channel', 'campaign', 'store', 'guide') AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}
    GROUP BY dimension, label
    UNION ALL
    SELECT toString(dimension) AS dimension, toString(label) AS label, 0, 0, sum(o.orders), uniqMerge(o.buyers), sum(o.gmv), sum(o.gmv_new)
    FROM order_minutes AS o
    WHERE {_BRAND} AND dimension IN ('channel', 'campaign', 'store', 'guide') AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}
    GROUP BY dimension, label
)
GROUP BY dimension, label
ORDER BY gmv DESC, users_forward DESC, label
LIMIT {{most:UInt32}} BY dimension
"""

TODAY = f"""
SELECT what, label, sum(a) AS orders, sum(b) AS buyers, sum(c) AS gmv, sum(d) AS gmv_new, sum(e) AS refunds
FROM
(
    SELECT toString(dimension) AS what, toString(label) AS label, sum(o.orders) AS a, uniqMerge(o.buyers) AS b, sum(o.gmv) AS c,
        sum(o.gmv_new) AS d, sum(o.refunds) AS e
    FROM
    (
        SELECT dimension, label, orders, buyers, gmv, gmv_new, refunds FROM order_minutes
        WHERE {_BRAND} AND dimension IN ('all', 'layer') AND {spans.MINUTES}
        UNION ALL
        SELECT dimension, label, orders, buyers, gmv, gmv_new, refunds FROM order_spans
        WHERE {_BRAND} AND dimension IN ('all', 'layer') AND ({spans.SPANS})
    ) AS o
    GROUP BY what, label
    UNION ALL
    -- without distinct buyers, which nobody is shown by channel
    SELECT 'channel', toString(label), sum(o.orders), 0, sum(o.gmv), sum(o.gmv_new), sum(o.refunds)
    FROM
    (
        SELECT label, orders, gmv, gmv_new, refunds FROM order_minutes WHERE {_BRAND} AND dimension = 'channel' AND {spans.MINUTES}
        UNION ALL
        SELECT label, orders, gmv, gmv_new, refunds FROM order_spans WHERE {_BRAND} AND dimension = 'channel' AND ({spans.SPANS})
    ) AS o
    GROUP BY label
    UNION ALL
    SELECT 'moves', '', sumIf(transitions, direction = 'forward'), sumIf(transitions, direction = 'reverse'), 0, 0, 0
    FROM move_minutes WHERE {_BRAND} AND dimension = 'all' AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}
    UNION ALL
    SELECT 'new_users', '', sum(users), 0, 0, 0, 0
    FROM new_users WHERE {_BRAND} AND minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}
    UNION ALL
    SELECT 'spend', toString(channel), 0, 0, sum(amount), 0, 0
    FROM spend FINAL
    WHERE {_BRAND} AND begins_at >= {{start:{_AT}}} AND begins_at < {{end:{_AT}}} GROUP BY channel
)
GROUP BY what, label
ORDER BY what, label
"""
"""Of 'moves' `orders` are transitions forward and `buyers` those in reverse; of 'new_users' `orders` are users; of spend `gmv` is it."""
