# ruff: noqa: S608 - fixed text put together from fixed text
"""The queries of `warroom.crowd`, by the dimension to split by: headcounts and flows out of sums, and one walk over the period's own
transitions, or over those of a sample of users. Each is fixed text; values are bound.
"""

from __future__ import annotations

from warroom.figures import By
from warroom.spans import ALL_SPANS, MINUTES, SPANS

_BRAND = "brand = {brand:String}"
_START, _END = "{start:DateTime64(3, 'UTC')}", "{end:DateTime64(3, 'UTC')}"
_PERIOD = f"{_BRAND} AND effective_at >= {_START} AND effective_at < {_END}"
_LOWEST = "(SELECT toString(layer) FROM current_layers ORDER BY position LIMIT 1)"
_COLUMNS = {By.CHANNEL: "channel", By.CAMPAIGN: "campaign_id", By.STORE: "store_id", By.GUIDE: "guide_id"}


def _seen(split: str) -> str:
    return f"SELECT '{split}' AS split, {_LOWEST} AS layer, toInt64(sum(users)) AS net FROM new_users WHERE {_BRAND} AND minute < {_END}"


_MOVED = f"""
    SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, transitions FROM flow_minutes
    WHERE {_BRAND} AND {MINUTES}
    UNION ALL
    SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, transitions FROM flow_spans
    WHERE {_BRAND} AND told_by = 'all' AND ({SPANS})
"""

MOVED = f"SELECT from_layer, to_layer, sum(transitions) FROM ({_MOVED}) GROUP BY from_layer, to_layer"
"""Transitions of a period by the layers left and entered."""

HEADS = f"""
SELECT split, layer, sum(net) AS users
FROM
(
    SELECT 'all' AS split, move.1 AS layer, move.2 * toInt64(transitions) AS net FROM ({_MOVED})
    ARRAY JOIN [(to_layer, 1), (from_layer, -1)] AS move
    UNION ALL
    {_seen("all")}
)
GROUP BY split, layer
HAVING users != 0
"""
"""Who stands where at the end of a period that begins with the first record."""

HEADS_BY_LABEL = f"""
SELECT split, layer, sum(net) AS users
FROM
(
    SELECT toString(label) AS split, toString(layer) AS layer, toInt64(entered) - toInt64(gone) AS net FROM head_spans
    WHERE {_BRAND} AND dimension = {{split_by:String}} AND {ALL_SPANS}
    UNION ALL
    {_seen("")}
)
GROUP BY split, layer
HAVING users != 0
"""
"""The same, by the label of the touch that brought them there."""

UNTOLD = f"SELECT sum(entered) != sum(gone) FROM head_spans WHERE {_BRAND} AND minutes = 480 AND dimension = 'unknown'"
"""Whether there are transitions of which it is not known under which labels the user had stood: then head_spans tells no headcounts."""

_USERS = {
    False: f"FROM transitions WHERE {_PERIOD}",
    True: f"FROM move_sample WHERE {_PERIOD} AND rank >= {{rank:UInt8}}",
}
"""Whose moves are walked through: everybody's, or of a sample's."""


def _movers(bits: int, by: By, sampled: bool) -> str:
    split = f"argMax(toString({_COLUMNS[by]}), seq)" if by in _COLUMNS else "''"
    sets = "GROUPING SETS ((first, last, is_new, moves), (split, last, is_new))" if by in _COLUMNS else "first, last, is_new, moves"
    return f"""
SELECT {"split, " if by in _COLUMNS else ""}first, last, is_new, moves, count() AS users
FROM
(
    SELECT
        {split} AS split,
        min(seq * 256 + left_layer) AS earliest,
        max(seq * 256 + entered_layer) AS latest,
        max(if(isNull(first_touch_at), 0, seq * 2 + (first_touch_at >= {_START}))) AS touched,
        groupBitOr(bitShiftLeft(toUInt{bits}(1), left_layer * {{layers:UInt16}} + entered_layer)) AS moves,
        earliest % 256 AS first,
        latest % 256 AS last,
        if(touched = 0, intDiv(earliest, 256) = 1, touched % 2 = 1) AS is_new
    FROM
    (
        SELECT {"person" if sampled else "xxh3(user_id)"} AS user, seq, first_touch_at, channel, campaign_id, store_id, guide_id,
            transform(toString(from_layer), {{names:Array(String)}}, {{numbers:Array(UInt8)}}, toUInt8(255)) AS left_layer,
            transform(toString(to_layer), {{names:Array(String)}}, {{numbers:Array(UInt8)}}, toUInt8(255)) AS entered_layer
        {_USERS[sampled]}
    )
    GROUP BY user
)
GROUP BY {sets}
"""


BITS = (64, 128, 256)
"""How many pairs of layers there may be."""

MOVERS = {(bits, by, sampled): _movers(bits, by, sampled) for bits in BITS for by in By for sampled in _USERS}
"""Users by what they did in a period. Of the user's last transition that tells it, whether they were first touched within the period; of
users of whom none does, whether the period has their first (seq 1). By a label also (with `moves` 0) by that of their last transition."""

FLOWS_OF_RECORDS = {
    by: f"""
SELECT toString({column}) AS split, toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, uniqExact(xxh3(user_id)) AS users,
    count() AS transitions
FROM transitions WHERE {_PERIOD}
GROUP BY split, from_layer, to_layer
"""
    for by, column in _COLUMNS.items()
}
"""Flows of a period by label, users to the last one, told apart by the hash of their id as in `warroom.sold_queries`."""


def _transitions(by: By) -> str:
    """Transitions of a period by label, from sums."""
    minutes, spans, column = "flow_minutes", "flow_spans", _COLUMNS[by]
    edges = f"SELECT {column} AS split, from_layer, to_layer, transitions FROM {minutes} WHERE {_BRAND} AND {MINUTES}"
    if by in (By.STORE, By.GUIDE):
        spans = "shop_flow_spans"
        rows = MINUTES.replace("minute ", "effective_at ")
        edges = f"SELECT {column} AS split, from_layer, to_layer, 1 AS transitions FROM transitions WHERE {_BRAND} AND {rows}"
    return f"""{edges}
    UNION ALL
    SELECT label AS split, from_layer, to_layer, transitions FROM {spans}
    WHERE {_BRAND} AND told_by = {{split_by:String}} AND ({SPANS})"""


FLOWS = f"""
SELECT 'all' AS split, toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, uniqMerge(users) AS users,
    sum(f.transitions) AS transitions
FROM
(
    SELECT from_layer, to_layer, users, transitions FROM flow_minutes WHERE {_BRAND} AND {MINUTES}
    UNION ALL
    SELECT from_layer, to_layer, users, transitions FROM flow_spans WHERE {_BRAND} AND told_by = 'all' AND ({SPANS})
) AS f
GROUP BY from_layer, to_layer
"""
"""Flows of the whole brand from sums, users to within half a percent or so."""

FLOWS_OF_SAMPLE = {
    by: f"""
SELECT toString(split) AS split, toString(from_layer) AS from_layer, toString(to_layer) AS to_layer,
    least(sum(people) * {{one_in:UInt32}}, sum(moves)) AS users, sum(moves) AS transitions
FROM
(
    SELECT split, from_layer, to_layer, 0 AS people, sum(s.transitions) AS moves FROM ({_transitions(by)}) AS s
    GROUP BY split, from_layer, to_layer
    UNION ALL
    SELECT {column} AS split, from_layer, to_layer, uniq(person) AS people, 0 AS moves {_USERS[True]}
    GROUP BY split, from_layer, to_layer
)
GROUP BY split, from_layer, to_layer
HAVING transitions > 0
"""
    for by, column in _COLUMNS.items()
}
"""Flows by label, transitions from sums, users from those of a sample."""
