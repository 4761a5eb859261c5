"""From rows to the snapshot. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from schemas.times import MINUTE_MS
from warroom.live.freshness import Freshness
from warroom.live.reader import SERIES_MINUTES, WINDOWS, Figures, Row
from warroom.live.snapshot import AsOf, Flow, FlowWindow, LayerSales, Minutes, Ranked, Rankings, Rung, Snapshot, Spent, Today

_SIZES = ("short", "middle", "long")
_COLUMNS = ("orders", "gmv", "gmv_new", "refunds", "buyers", "new_users", "touches")


class BrandFacts(Struct, frozen=True, kw_only=True):
    """What is known of a brand beside its figures: the ladder's layers, lowest first, and who stands on each now."""

    brand: str
    currency: str
    time_zone: str
    layers: Sequence[str]
    headcount: Mapping[str, int]
    watermark: int
    day: int


def assemble(facts: BrandFacts, figures: Figures, as_of: AsOf, freshness: Freshness, sequence: int) -> Snapshot:
    """The snapshot of a brand."""
    minutes = _minutes(figures)
    new_users = {size: sum(minutes.new_users[-window:]) for size, window in zip(_SIZES, WINDOWS, strict=True)}
    return Snapshot(
        brand=facts.brand,
        sequence=sequence,
        currency=facts.currency,
        time_zone=facts.time_zone,
        as_of=as_of,
        freshness=freshness,
        users=sum(facts.headcount.values()),
        ladder=_ladder(facts, figures, new_users["long"]),
        flows=[_window(facts, figures, i, new_users[size]) for i, size in enumerate(_SIZES)],
        minutes=minutes,
        today=_today(facts, figures.today),
        rankings=_rankings(figures.rankings),
    )


def _ladder(facts: BrandFacts, figures: Figures, new_users: int) -> list[Rung]:
    total = sum(facts.headcount.values())
    crowd = total - facts.headcount.get(facts.layers[0], 0)
    rungs = []
    for layer in facts.layers:
        users = facts.headcount.get(layer, 0)
        lowest = layer == facts.layers[0]
        entered = _entered(figures.flows, layer, "moves_long") + (new_users if lowest else 0)
        left = _left(figures.flows, layer, "moves_long")
        rungs.append(
            Rung(
                layer=layer,
                users=users,
                share=_over(users, total),
                crowd_share=None if lowest else _over(users, crowd),
                entered=entered,
                left=left,
                change=entered - left,
            )
        )
    return rungs


def _entered(flows: Iterable[Row], layer: str, column: str) -> int:
    return sum(row[column] for row in flows if row["to_layer"] == layer)


def _left(flows: Iterable[Row], layer: str, column: str) -> int:
    return sum(row[column] for row in flows if row["from_layer"] == layer)


def _window(facts: BrandFacts, figures: Figures, number: int, new_users: int) -> FlowWindow:
    size, minutes = _SIZES[number], WINDOWS[number]
    begins = figures.end - minutes * MINUTE_MS
    column = f"moves_{size}"
    now = {(row["from_layer"], row["to_layer"]): row for row in figures.flows}
    usual = {(row["from_layer"], row["to_layer"]): row["transitions"] for row in figures.usual}
    scale = _scale(figures, facts.watermark - begins)
    flows = []
    for cell in sorted(now.keys() | usual.keys(), key=lambda cell: (_place(facts, cell[0]), _place(facts, cell[1]))):
        left, entered = cell
        row = now.get(cell)
        moved = row[column] if row else 0
        users = row[f"users_{size}"] if row else 0
        stood = facts.headcount.get(left, 0) - _entered(figures.flows, left, column) + _left(figures.flows, left, column)
        if left == facts.layers[0]:
            stood -= new_users
        # Redis is a step ahead of ClickHouse, so a layer that all have left may come out a little below nothing
        stood = max(0, stood)
        expected = None if scale is None else usual.get(cell, 0) * scale
        flows.append(
            Flow(
                from_layer=left,
                to_layer=entered,
                direction="forward" if _place(facts, entered) > _place(facts, left) else "reverse",
                users=users,
                transitions=moved,
                rate=_over(users, stood),
                usual=None if expected is None else round(expected, 3),
                usual_rate=None if expected is None else _over(expected, stood),
                against_usual=None if expected is None else _over(moved, expected),
            )
        )
    return FlowWindow(minutes=minutes, begins=begins, ends=figures.end, flows=flows)


def _place(facts: BrandFacts, layer: str) -> int:
    """Layers of a former ladder come behind those of the one in force."""
    return list(facts.layers).index(layer) if layer in facts.layers else len(facts.layers)


def _scale(figures: Figures, span: int) -> float | None:
    """What part of the earlier day a span of `span` ms is, None without an earlier day of at least an hour."""
    if not figures.usual:
        return None
    ends = figures.end - WINDOWS[-1] * MINUTE_MS
    known = ends - min(row["earliest"] for row in figures.usual)
    return None if known < WINDOWS[-1] * MINUTE_MS else max(span, 1) / known


def _minutes(figures: Figures) -> Minutes:
    begins = figures.end - SERIES_MINUTES * MINUTE_MS
    rows = {(row["minute"] - begins) // MINUTE_MS: row for row in figures.minutes}

    def column(name: str) -> list[int]:
        return [int(rows[i][name]) if i in rows else 0 for i in range(SERIES_MINUTES)]

    columns = {name: column(name) for name in _COLUMNS}
    return Minutes(begins=begins, **columns, moves_forward=column("forward"), moves_reverse=column("reverse"))


def _rankings(rows: list[Row]) -> Rankings:
    def ranked(dimension: str) -> list[Ranked]:
        return [Ranked(**{name: row[name] for name in Ranked.__struct_fields__}) for row in rows if row["dimension"] == dimension]

    return Rankings(
        minutes=WINDOWS[-1], channels=ranked("channel"), campaigns=ranked("campaign"), stores=ranked("store"), guides=ranked("guide")
    )


_NOTHING: Row = {"orders": 0, "buyers": 0, "gmv": 0, "gmv_new": 0, "refunds": 0}


def _today(facts: BrandFacts, rows: list[Row]) -> Today:
    told = {(row["what"], row["label"]): row for row in rows}
    whole, moves = told.get(("all", ""), _NOTHING), told.get(("moves", ""), _NOTHING)
    spent = {row["label"]: row["gmv"] for row in rows if row["what"] == "spend"}
    sold = {row["label"]: row["gmv"] for row in rows if row["what"] == "channel"}
    layers = {row["label"]: row for row in rows if row["what"] == "layer"}
    spend = sum(spent.values())
    return Today(
        begins=facts.day,
        orders=whole["orders"],
        buyers=whole["buyers"],
        gmv=whole["gmv"],
        refunds=whole["refunds"],
        order_value=_over(whole["gmv"], whole["orders"]),
        gmv_new=whole["gmv_new"],
        gmv_new_share=_over(whole["gmv_new"], whole["gmv"]),
        new_users=told.get(("new_users", ""), _NOTHING)["orders"],
        moves_forward=moves["orders"],
        moves_reverse=moves["buyers"],
        spend=spend,
        roi=_over(whole["gmv"], spend),
        layers=[
            LayerSales(layer=layer, **{name: layers.get(layer, _NOTHING)[name] for name in ("orders", "buyers", "gmv")})
            for layer in [*facts.layers, *sorted(layers.keys() - set(facts.layers))]
        ],
        channels=[
            Spent(channel=name, spend=spent.get(name, 0), gmv=sold.get(name, 0), roi=_over(sold.get(name, 0), spent.get(name, 0)))
            for name in sorted(spent.keys() | sold.keys(), key=lambda name: (-sold.get(name, 0), name))
        ],
    )


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole else None
