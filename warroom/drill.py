# ruff: noqa: S608 - fixed text put together from fixed text
"""Figures of a brand narrowed to labels: what each channel, campaign, store, guide or layer sold and moved, and one of them by minute.

Without labels to keep to, sums per span, minute and label are read, so a whole day costs as little as an hour. With some, the
records of the period are: a table of sums for every combination would be as long as they are. Of very many transitions those of a
sample of users are (`warroom.sample`).
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from schemas.times import MINUTE_MS
from warroom.lists import Lists, Span
from warroom.reader import datetime64
from warroom.spans import MINUTES, SPANS

_AT = "DateTime64(3, 'UTC')"
_WITHIN = f"brand = {{brand:String}} AND {{of}} >= {{start:{_AT}}} AND {{of}} < {{end:{_AT}}}"
_KEPT = """
        AND ({channel:String} = '' OR channel = {channel:String}) AND ({campaign_id:String} = '' OR campaign_id = {campaign_id:String})
        AND ({store_id:String} = '' OR store_id = {store_id:String}) AND ({guide_id:String} = '' OR guide_id = {guide_id:String})"""
_LABEL = """multiIf({by:String} = 'channel', toString(channel), {by:String} = 'campaign', toString(campaign_id),
            {by:String} = 'store', toString(store_id), {by:String} = 'guide', toString(guide_id), """
_LABELLED = "brand = {brand:String} AND dimension = {by:String}"
_PERSON = "bitShiftRight(xxh3(user_id), 11)"


def _lines(moves: str, sold: str) -> str:
    return f"""
SELECT label, sum(line_orders) AS orders, sum(line_buyers) AS buyers, sum(line_gmv) AS gmv, sum(line_gmv_new) AS gmv_new,
    sum(line_refunds) AS refunds, sum(line_forward) AS users_forward, sum(line_reverse) AS users_reverse, sum(line_spend) AS spend,
    count() OVER () AS labels
FROM
(
    {sold}
    UNION ALL
    {moves}
    UNION ALL
    SELECT multiIf({{by:String}} = 'channel', toString(channel), {{by:String}} = 'campaign', toString(campaign_id), '') AS label,
        0, 0, 0, 0, 0, 0, 0, sum(amount) AS line_spend
    FROM spend FINAL
    WHERE brand = {{brand:String}} AND begins_at >= {{start:{_AT}}} AND begins_at < {{end:{_AT}}}
        AND {{by:String}} IN ('channel', 'campaign') AND {{store_id:String}} = '' AND {{guide_id:String}} = ''
        AND ({{channel:String}} = '' OR channel = {{channel:String}})
        AND ({{campaign_id:String}} = '' OR campaign_id = {{campaign_id:String}})
    GROUP BY label
)
GROUP BY label
ORDER BY gmv DESC, users_forward DESC, label
LIMIT {{limit:UInt32}}
"""


_FROM_SUMS = _lines(
    sold=f"""SELECT toString(label) AS label, sum(o.orders) AS line_orders, uniqMerge(o.buyers) AS line_buyers, sum(o.gmv) AS line_gmv,
        sum(o.gmv_new) AS line_gmv_new, sum(o.refunds) AS line_refunds, 0 AS line_forward, 0 AS line_reverse, 0 AS line_spend
    FROM
    (
        SELECT label, orders, buyers, gmv, gmv_new, refunds FROM order_minutes WHERE {_LABELLED} AND {MINUTES}
        UNION ALL
        SELECT label, orders, buyers, gmv, gmv_new, refunds FROM order_spans WHERE {_LABELLED} AND ({SPANS})
    ) AS o
    GROUP BY label""",
    moves=f"""SELECT toString(label) AS label, 0, 0, 0, 0, 0, uniqMergeIf(users, direction = 'forward'),
        uniqMergeIf(users, direction = 'reverse'), 0
    FROM
    (
        SELECT label, direction, users FROM move_minutes WHERE {_LABELLED} AND {MINUTES}
        UNION ALL
        SELECT label, direction, users FROM move_spans WHERE {_LABELLED} AND ({SPANS})
    )
    GROUP BY label""",
)
_SOLD_OF_RECORDS = f"""SELECT {_LABEL} toString(layer_before)) AS label, countIf(type = 'purchase') AS line_orders,
        uniqIf(bitShiftRight(person, 11), type = 'purchase') AS line_buyers, sumIf(amount, type = 'purchase') AS line_gmv,
        sumIf(amount, type = 'purchase' AND first_seen > o.occurred_at - INTERVAL 24 HOUR) AS line_gmv_new, sum(refunded) AS line_refunds,
        0 AS line_forward, 0 AS line_reverse, 0 AS line_spend
    FROM orders AS o
    WHERE {_WITHIN.replace("{of}", "o.occurred_at")}{_KEPT}
    GROUP BY label"""
_FROM_RECORDS = _lines(
    sold=_SOLD_OF_RECORDS,
    moves=f"""SELECT {_LABEL} '') AS label, 0, 0, 0, 0, 0, uniqIf({_PERSON}, direction = 'forward'),
        uniqIf({_PERSON}, direction = 'reverse'), 0
    FROM transitions AS t
    WHERE {_WITHIN.replace("{of}", "t.effective_at")} AND {{by:String}} != 'layer'{_KEPT}
    GROUP BY label""",
)
_FROM_SAMPLE = _lines(
    sold=_SOLD_OF_RECORDS,
    moves=f"""SELECT {_LABEL} '') AS label, 0, 0, 0, 0, 0, uniqIf(person, direction = 'forward') * {{one_in:UInt32}},
        uniqIf(person, direction = 'reverse') * {{one_in:UInt32}}, 0
    FROM move_sample AS t
    WHERE {_WITHIN.replace("{of}", "t.effective_at")} AND rank >= {{rank:UInt8}} AND {{by:String}} != 'layer'{_KEPT}
    GROUP BY label""",
)

_STEPS = f"""
SELECT intDiv(toUnixTimestamp64Milli(minute) - {{first:Int64}}, {{step:Int64}}) AS number, sum(line_orders) AS orders, sum(line_gmv) AS gmv,
    sum(line_gmv_new) AS gmv_new, sum(line_refunds) AS refunds, sum(line_forward) AS moves_forward, sum(line_reverse) AS moves_reverse
FROM
(
    SELECT minute, o.orders AS line_orders, o.gmv AS line_gmv, o.gmv_new AS line_gmv_new, o.refunds AS line_refunds,
        0 AS line_forward, 0 AS line_reverse
    FROM order_minutes AS o
    WHERE dimension = {{by:String}} AND label = {{label:String}} AND {_WITHIN.replace("{of}", "minute")}
    UNION ALL
    SELECT minute, 0, 0, 0, 0, if(direction = 'forward', m.transitions, 0), if(direction = 'reverse', m.transitions, 0)
    FROM move_minutes AS m
    WHERE dimension = {{by:String}} AND label = {{label:String}} AND {_WITHIN.replace("{of}", "minute")}
)
GROUP BY number
ORDER BY number
"""


_LOST = f"""
SELECT toString(from_layer) AS from_layer, toString(to_layer) AS to_layer, toString(kind) AS kind, toString(channel) AS channel,
    uniqMerge(users) AS users, sum(f.transitions) AS transitions
FROM flow_minutes AS f
WHERE {_WITHIN.replace("{of}", "minute")}
    AND indexOf((SELECT groupArray(toString(layer)) FROM current_layers), toString(to_layer))
        < indexOf((SELECT groupArray(toString(layer)) FROM current_layers), toString(from_layer))
GROUP BY from_layer, to_layer, kind, channel
ORDER BY users DESC, from_layer, to_layer, kind, channel
"""

_QUALITY = f"""
SELECT sum(s.applied) AS applied, sum(s.duplicates) AS duplicates, sum(s.late) AS late,
    sumMap(mapKeys(s.dead_letters), mapValues(s.dead_letters)).1 AS reasons,
    sumMap(mapKeys(s.dead_letters), mapValues(s.dead_letters)).2 AS letters
FROM steps AS s
WHERE s.watermark >= {{start:{_AT}}} AND s.watermark < {{end:{_AT}}}
"""


class Dimension(StrEnum):
    """What lines are told apart by; `layer` is the one that buyers stood in."""

    CHANNEL = "channel"
    CAMPAIGN = "campaign"
    STORE = "store"
    GUIDE = "guide"
    LAYER = "layer"


class LabelLine(Struct, frozen=True, kw_only=True):
    """What a label sold and moved in a period; `label` is empty for what carries none. Money in minor units.

    Buyers and users moved are distinct, of many an estimate within half a percent or so (users moved, with labels to keep to in a period of
    very many transitions: within what `warroom.sample` says); new buyers were first seen in the 24 hours before
    the purchase. By layer nobody is told as moved; `spend` is known of channels and campaigns alone.
    """

    label: str
    orders: int
    buyers: int
    gmv: int
    gmv_new: int
    refunds: int
    users_forward: int
    users_reverse: int
    spend: int
    labels: int
    """how many labels there are in all"""


class Steps(Struct, frozen=True, kw_only=True):
    """One label in steps of `step_minutes` from `begins` (epoch milliseconds), column by column; moves are transitions."""

    begins: int
    step_minutes: int
    orders: list[int]
    gmv: list[int]
    gmv_new: list[int]
    refunds: list[int]
    moves_forward: list[int]
    moves_reverse: list[int]


class LostLine(Struct, frozen=True, kw_only=True):
    """Who went down from a layer to another, why (`kind` as transitions have it) and by which channel; empty: none."""

    from_layer: str
    to_layer: str
    kind: str
    channel: str
    users: int
    transitions: int


class Quality(Struct, frozen=True, kw_only=True):
    """Records of all brands taken while event time stood in a period: how many counted, were repeats, came late, were dead letters."""

    applied: int
    duplicates: int
    late: int
    dead_letters: dict[str, int]


class Drill(Lists):
    """Lists, and figures narrowed to labels. Every method raises StoreAway or StoreError."""

    def label_lines(self, span: Span, by: Dimension, limit: int) -> list[LabelLine]:
        """What each label sold and moved in the span, the best by GMV first."""
        bound = {**span.bound(), "by": by.value, "limit": limit}
        if not span.is_narrowed:
            return self._structs(LabelLine, _FROM_SUMS, bound)
        sample = self._sample(span)
        return self._structs(LabelLine, _FROM_SAMPLE if sample.is_partial else _FROM_RECORDS, {**bound, **sample._asdict()})

    def label_steps(self, span: Span, by: Dimension | None, label: str, step_minutes: int) -> Steps:
        """One label (`by` None: the whole brand) step by step; the labels of the span count for nothing."""
        step = step_minutes * MINUTE_MS
        bound = {**span.bound(), "by": by.value if by else "all", "label": label, "first": span.start, "step": step}
        rows = {row["number"]: row for row in self._dicts(_STEPS, bound)}
        numbers = range(-(-(span.end - span.start) // step))

        def column(name: str) -> list[int]:
            return [int(rows[number][name]) if number in rows else 0 for number in numbers]

        columns = {name: column(name) for name in ("orders", "gmv", "gmv_new", "refunds", "moves_forward", "moves_reverse")}
        return Steps(begins=span.start, step_minutes=step_minutes, **columns)

    def lost_lines(self, span: Span) -> list[LostLine]:
        """Who went down, most first; the labels of the span count for nothing."""
        return self._structs(LostLine, _LOST, span.bound())

    def quality(self, start: int, end: int) -> Quality:
        """How the records were that were taken while event time stood between `start` and `end`."""
        row = self._dicts(_QUALITY, {"start": datetime64(start), "end": datetime64(end)})[0]
        letters = dict(zip(row.pop("reasons"), row.pop("letters"), strict=True))
        return Quality(**row, dead_letters={reason: count for reason, count in letters.items() if count})
