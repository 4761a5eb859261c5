"""Figures narrowed to labels, periods held against each other, and the timeline, over a day that went through a real worker and sink."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from schemas.rollup import OrderRow
from schemas.times import DAY_MS, MINUTE_MS, from_rfc3339, to_rfc3339
from schemas.transition import Transition
from tests.asgi import Client
from tests.integration.test_warroom_promotions import definition
from tests.integration.warroom_world import BRAND, LADDER, Day
from warroom import notes
from warroom.web.app import make_app

ACME = f"/api/v1/brands/{BRAND}"


@pytest.fixture
async def client(day: Day) -> AsyncIterator[Client]:
    app = make_app(day.room(), LADDER)
    yield Client(app)
    await app.state.room.close()


@pytest.fixture
def whole(day: Day) -> str:
    return span(day.watermark - 3 * DAY_MS, day.watermark + DAY_MS)


def span(start: int, end: int, prefix: str = "") -> str:
    return f"{prefix}from={to_rfc3339(start)}&{prefix}to={to_rfc3339(end)}"


def sold(orders: Iterable[OrderRow], of: str) -> dict[str, tuple[int, int, int, int]]:
    """By label: orders, buyers, GMV, GMV of new buyers."""
    found: dict[str, list[OrderRow]] = {}
    for order in orders:
        if order.type == "purchase":
            found.setdefault(getattr(order, of) or "", []).append(order)
    return {
        label: (
            len(rows),
            len({row.user_id for row in rows}),
            sum(row.amount for row in rows),
            sum(row.amount for row in rows if row.first_seen > row.occurred_at - DAY_MS),
        )
        for label, rows in found.items()
    }


def told(lines: list[dict[str, Any]]) -> dict[str, tuple[int, int, int, int]]:
    return {one["label"]: (one["orders"], one["buyers"], one["gmv"], one["gmv_new"]) for one in lines if one["orders"]}


@pytest.mark.parametrize(
    ("by", "of"), [("channel", "channel"), ("campaign", "campaign_id"), ("store", "store_id"), ("layer", "layer_before")]
)
async def test_what_each_label_sold_is_what_the_topics_say(day: Day, client: Client, whole: str, by: str, of: str) -> None:
    lines = (await client.get(f"{ACME}/labels?{whole}&by={by}&limit=1000")).json()
    assert told(lines) == sold(day.orders, of)
    assert {one["labels"] for one in lines} == {len(lines)}
    assert [one["gmv"] for one in lines] == sorted((one["gmv"] for one in lines), reverse=True)
    if by != "layer":
        movers = {(getattr(move.touch, of) or "", move.direction, move.user_id) for move in day.moves if move.touch}
        counted = Counter((label, direction) for label, direction, _ in movers)
        assert Counter({(one["label"], "forward"): one["users_forward"] for one in lines if one["users_forward"]}) == Counter(
            {key: n for key, n in counted.items() if key[1] == "forward"}
        )
    short = (await client.get(f"{ACME}/labels?{whole}&by={by}&limit=1")).json()
    assert short == lines[:1]


async def test_a_channel_is_made_of_its_stores_and_layers(day: Day, client: Client, whole: str) -> None:
    channel, store = Counter((o.channel, o.store_id) for o in day.orders if o.channel and o.store_id).most_common(1)[0][0]
    inside = [order for order in day.orders if order.channel == channel]
    for by, of in (("store", "store_id"), ("layer", "layer_before"), ("campaign", "campaign_id")):
        assert told((await client.get(f"{ACME}/labels?{whole}&by={by}&channel={channel}&limit=1000")).json()) == sold(inside, of)
    both = [order for order in inside if order.store_id == store]
    one = (await client.get(f"{ACME}/labels?{whole}&by=channel&channel={channel}&store_id={store}")).json()
    assert told(one) == sold(both, "channel")

    def moved(moves: Iterable[Transition]) -> Counter[tuple[str, str]]:
        return Counter((move.from_, move.to) for move in moves)

    for query, chosen in (
        (f"store_id={store}", [m for m in day.moves if m.touch and m.touch.store_id == store]),
        (f"channel={channel}", [m for m in day.moves if m.touch and m.touch.channel == channel]),
    ):
        flows = (await client.get(f"{ACME}/flows?{whole}&{query}")).json()
        assert {(one["from_layer"], one["to_layer"]): one["transitions"] for one in flows} == moved(chosen)
    orders = (await client.get(f"{ACME}/orders?{whole}&store_id={store}&limit=1000")).json()["items"]
    assert len(orders) == sum(1 for order in day.orders if order.store_id == store)


async def test_steps_add_up_to_their_label(day: Day, client: Client, whole: str) -> None:
    channel = Counter(order.channel for order in day.orders).most_common(1)[0][0]
    line = next(one for one in (await client.get(f"{ACME}/labels?{whole}&by=channel")).json() if one["label"] == channel)
    steps = (await client.get(f"{ACME}/steps?{whole}&by=channel&label={channel}&step=7")).json()
    assert (sum(steps["orders"]), sum(steps["gmv"]), sum(steps["gmv_new"])) == (line["orders"], line["gmv"], line["gmv_new"])
    brand = (await client.get(f"{ACME}/steps?{whole}&step=60")).json()
    assert sum(brand["moves_forward"]) + sum(brand["moves_reverse"]) == len(day.moves)
    far = await client.get(f"{ACME}/steps?{span(day.watermark - 300 * DAY_MS, day.watermark)}")
    assert (far.status, "50000 steps at most" in far.detail) == (400, True)


async def test_a_comparison_is_two_star_queries(day: Day, client: Client) -> None:
    end = day.watermark - day.watermark % MINUTE_MS
    now, then = (end - 3_600_000, end), (end - 7_200_000, end - 3_600_000)
    found = (await client.get(f"{ACME}/compare?{span(*now)}&against_from={to_rfc3339(then[0])}&by=channel")).json()
    assert (found["period"], found["against"]) == tuple({"begins": begin, "ends": stop} for begin, stop in (now, then))
    assert found["same_length"]
    backwards = await client.get(f"{ACME}/compare?{span(*now)}&{span(then[1], then[0], 'against_')}")
    assert (backwards.status, "query.against_to: expected a time after `against_from`" in backwards.detail) == (400, True)
    names = ("split", "layer", "from_layer", "to_layer", "direction")
    for table in ("scaling", "triangulating", "activating", "returning"):
        sides = [
            {
                tuple(row[n] for n in names if n in row): row
                for row in (await client.get(f"{ACME}/star/{table}?{span(*one)}&by=channel")).json()
            }
            for one in (now, then)
        ]
        assert {tuple(line["of"].values()) for line in found[table]} == sides[0].keys() | sides[1].keys()
        for line in found[table]:
            mine, theirs = (side.get(tuple(line["of"].values()), {}) for side in sides)
            for name, change in line["figures"].items():
                a, b = mine.get(name), theirs.get(name)
                assert (change["value"], change["against"]) == (a, b)
                assert change["absolute"] == (None if a is None or b is None else pytest.approx(a - b))
                assert change["relative"] == (None if change["absolute"] is None or not b else pytest.approx((a - b) / abs(b)))
    assert any(change["relative"] for line in found["returning"] for change in line["figures"].values())


async def test_the_timeline_holds_changes_and_notes(day: Day, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    start = day.watermark - day.watermark % MINUTE_MS
    window = {"from": to_rfc3339(start), "to": to_rfc3339(start + DAY_MS)}
    home = {"sec-fetch-site": "same-origin"}
    made = {"definition": {**definition("lined"), "window": window}, "because": "agreed"}
    assert (await client.ask("POST", "/api/v1/promotions", made, home)).status == 201
    change = {"edits": ["*/headcount=x2"], "because": "more came", "effective_from": to_rfc3339(start + 10 * MINUTE_MS)}
    assert (await client.ask("PATCH", "/api/v1/promotions/lined", change, home | {"if-match": '"1"'})).status == 200
    body = {"text": "<b>the anchor fell ill</b>", "at": to_rfc3339(start + 5 * MINUTE_MS)}
    note = await client.ask("POST", f"{ACME}/notes", body, home)
    assert (note.status, note.json()["author"], note.json()["at"]) == (201, "local", start + 5 * MINUTE_MS)
    target = f"{ACME}/timeline?{span(start, start + 60 * MINUTE_MS)}"
    items = [item for item in (await client.get(target)).json()["items"] if item.get("promotion_id") in (None, "lined")]
    assert [(item["kind"], item["at"]) for item in items] == [
        ("target", start),
        ("note", start + 5 * MINUTE_MS),
        ("target", start + 10 * MINUTE_MS),
    ]
    assert (items[1]["text"], items[2]["reason"], items[0]["gmv_before"]) == (body["text"], "more came", None)
    assert items[2]["gmv_after"] == 2 * items[2]["gmv_before"] == 2 * items[0]["gmv_after"]
    monkeypatch.setattr(notes, "MOST", 1)
    full = await client.ask("POST", f"{ACME}/notes", body, home)
    assert (full.status, "expected 1 notes of a brand at most" in full.detail) == (409, True)
    taken = f"{ACME}/notes/{note.json()['note_id']}"
    assert [(await client.ask("DELETE", taken, headers=home)).status for _ in range(2)] == [204, 404]
    assert "note" not in {item["kind"] for item in (await client.get(target)).json()["items"]}
    assert (await client.ask("POST", f"{ACME}/notes", {"text": " "}, home)).status == 422
    assert from_rfc3339(body["at"]) == items[1]["at"]
