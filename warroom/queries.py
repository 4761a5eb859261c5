# ruff: noqa: S608 - fixed text put together from fixed text
"""The queries of `warroom.star`. Each is fixed text; `{name:Type}` are bound by the server. An empty brand means all."""

from __future__ import annotations

_VIEW = "brand = {brand:String}, `from` = {start:DateTime64(3, 'UTC')}, `to` = {end:DateTime64(3, 'UTC')}"
_SPLIT_VIEW = _VIEW + ", `by` = {split_by:String}"
_OF_BRAND = "({brand:String} = '' OR brand = {brand:String})"
_LOWEST = "(SELECT layer FROM current_layers ORDER BY position LIMIT 1)"

SCALING = f"SELECT split, layer, users, users_before, growth, new_users, known_users FROM star_scaling({_SPLIT_VIEW})"
ACTIVATING = f"SELECT split, from_layer, to_layer, direction, users, transitions, users_before, rate FROM star_activating({_SPLIT_VIEW})"
RETURNING = (
    "SELECT split, layer, gmv, gmv_share, refunds, orders, buyers, order_value, stood, conversion_rate, repurchase_week,"
    f" repurchase_month, repurchase_quarter, spend, roi, gmv_new, gmv_new_share FROM star_returning({_SPLIT_VIEW})"
)

LAYERS = "SELECT layer FROM current_layers ORDER BY position"

LEDGER = (
    "SELECT toUnixTimestamp64Milli(minute) AS minute, layer, opening, users_in, users_out, closing, provisional"
    f" FROM crowd_ledger({_VIEW}) ORDER BY minute, position, layer"
)

_MOVES = f"""
    SELECT brand, minute, toString(to_layer) AS layer, toInt64(transitions) AS net FROM flow_minutes WHERE {_OF_BRAND}
    UNION ALL
    SELECT brand, minute, toString(from_layer) AS layer, -toInt64(transitions) AS net FROM flow_minutes WHERE {_OF_BRAND}
    UNION ALL
    SELECT brand, minute, toString({_LOWEST}) AS layer, toInt64(users) AS net FROM new_users WHERE {_OF_BRAND}
"""
"""Every change of a layer's headcount: brand, minute, layer, net."""

CENSUS = f"""
SELECT layer, sum(net) AS users
FROM
(
    SELECT layer, net FROM ({_MOVES})
    UNION ALL
    SELECT toString(layer) AS layer, 0 AS net FROM current_layers
)
GROUP BY layer
HAVING users != 0 OR layer IN (SELECT toString(layer) FROM current_layers)
ORDER BY indexOf((SELECT groupArray(layer) FROM current_layers), layer) = 0, indexOf((SELECT groupArray(layer) FROM current_layers), layer)
"""

FINAL_BEFORE = "SELECT toUnixTimestamp64Milli(min(swept)) FROM (SELECT max(swept_to) AS swept FROM shards GROUP BY shard)"

TRANSITIONS = f"SELECT count() FROM transitions WHERE {_OF_BRAND}"

FLOWS = f"""
SELECT from_layer, to_layer, sum(transitions) AS moved
FROM flow_minutes
WHERE {_OF_BRAND}
GROUP BY from_layer, to_layer
HAVING moved > 0
ORDER BY from_layer, to_layer
"""

ORDERS = f"""
SELECT
    countIf(type = 'purchase') AS orders,
    uniqExactIf((brand, user_id), type = 'purchase') AS buyers,
    sumIf(amount, type = 'purchase') AS gmv,
    sum(refunded) AS refunds
FROM orders
WHERE {_OF_BRAND}
"""

STEPS = """
SELECT count() AS steps, sum(applied) AS applied, sum(duplicates) AS duplicates, sum(junk) AS junk, sum(late) AS late,
    sum(arraySum(mapValues(dead_letters))) AS dead_letters, sum(forwarded) AS forwarded, sum(ticks) AS ticks
FROM steps
"""

JUNK = f"""
SELECT channel, type, sum(applied) AS touchpoints, sum(refused) AS junk, junk / (touchpoints + junk) AS share
FROM
(
    SELECT toString(channel) AS channel, toString(type) AS type, touchpoints AS applied, 0 AS refused FROM touch_minutes
    WHERE {_OF_BRAND} AND minute >= {{start:DateTime64(3, 'UTC')}} AND minute < {{end:DateTime64(3, 'UTC')}}
    UNION ALL
    SELECT toString(channel) AS channel, toString(type) AS type, 0 AS applied, records AS refused FROM junk_minutes
    WHERE {_OF_BRAND} AND minute >= {{start:DateTime64(3, 'UTC')}} AND minute < {{end:DateTime64(3, 'UTC')}}
)
GROUP BY channel, type
HAVING junk > 0
ORDER BY junk DESC, channel, type
"""

DEAD_LETTERS = """
SELECT reason, sum(letters) AS found
FROM steps
ARRAY JOIN mapKeys(dead_letters) AS reason, mapValues(dead_letters) AS letters
GROUP BY reason
ORDER BY reason
"""

STORED = """
SELECT shard, max(version), toUnixTimestamp64Milli(max(watermark)), toUnixTimestamp64Milli(max(swept_to))
FROM shards
GROUP BY shard
ORDER BY shard
"""

STORED_OFFSETS = """
SELECT toString(stream), partition, end_offset
FROM sink_blocks FINAL
WHERE state = 'intent' AND block = (SELECT max(block) FROM sink_blocks WHERE state = 'done')
ORDER BY stream, partition
"""

HISTORY = """
SELECT id, seq, from_layer, to_layer, direction, kind, toUnixTimestamp64Milli(t.occurred_at) AS occurred_at,
    toUnixTimestamp64Milli(t.effective_at) AS effective_at, late, cause_type, cause_event_id, channel, campaign_id, store_id, guide_id
FROM transitions AS t
WHERE brand = {brand:String} AND user_id = {user_id:String}
ORDER BY seq DESC
LIMIT {limit:UInt32}
"""

NEGATIVE_CLOSINGS = f"""
SELECT brand, layer, toUnixTimestamp64Milli(minute), closing
FROM
(
    SELECT brand, layer, minute, sum(sum(net)) OVER (PARTITION BY brand, layer ORDER BY minute) AS closing
    FROM ({_MOVES})
    GROUP BY brand, layer, minute
)
WHERE closing < 0
ORDER BY brand, layer, minute
LIMIT 100
"""

CLOSINGS_AGAINST_USERS = f"""
SELECT brand, layer, sum(closed) AS closing, sum(standing) AS users
FROM
(
    SELECT brand, layer, net AS closed, 0 AS standing FROM ({_MOVES})
    UNION ALL
    -- users stand where their last transition led
    SELECT brand, layer, 0 AS closed, 1 AS standing
    FROM (SELECT brand, toString(argMax(to_layer, seq)) AS layer FROM transitions WHERE {_OF_BRAND} GROUP BY brand, user_id)
    UNION ALL
    -- who never had one stands in the lowest layer
    SELECT brand, toString({_LOWEST}) AS layer, 0 AS closed, toInt64(sum(seen)) - toInt64(sum(moved)) AS standing
    FROM
    (
        SELECT brand, users AS seen, 0 AS moved FROM new_users WHERE {_OF_BRAND}
        UNION ALL
        SELECT brand, 0 AS seen, uniqExact(user_id) AS moved FROM transitions WHERE {_OF_BRAND} GROUP BY brand
    )
    GROUP BY brand
)
GROUP BY brand, layer
HAVING closing != users
ORDER BY brand, layer
"""

BROKEN_CHAINS = f"""
SELECT brand, user_id, toString(chain)
FROM
(
    SELECT brand, user_id, arraySort(groupArray((seq, toString(from_layer), toString(to_layer)))) AS chain
    FROM transitions
    WHERE {_OF_BRAND}
    GROUP BY brand, user_id
)
WHERE NOT arrayAll(i -> chain[i].1 = chain[i - 1].1 + 1 AND chain[i].2 = chain[i - 1].3, range(2, length(chain) + 1))
ORDER BY brand, user_id
LIMIT 100
"""

TRANSITIONS_AGAINST_STEPS = """
SELECT shard, sum(told) AS expected, sum(stored) AS found
FROM
(
    SELECT shard, sum(transitions) AS told, 0 AS stored FROM steps GROUP BY shard
    UNION ALL
    SELECT shard, 0 AS told, count() AS stored FROM transitions GROUP BY shard
)
GROUP BY shard
HAVING expected != found
ORDER BY shard
"""

FLOWS_AGAINST_TRANSITIONS = f"""
SELECT brand, sum(stored) AS transitions, sum(flowed) AS flows
FROM
(
    SELECT brand, 1 AS stored, 0 AS flowed FROM transitions WHERE {_OF_BRAND}
    UNION ALL
    SELECT brand, 0 AS stored, f.transitions AS flowed FROM flow_minutes AS f WHERE {_OF_BRAND}
)
GROUP BY brand
HAVING transitions != flows
ORDER BY brand
"""
