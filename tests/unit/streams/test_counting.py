"""Rollups: split where they would grow too large, with nothing lost and every part small enough to be published."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from schemas.rollup import MAX_BYTES, OrderRow, Rollup
from schemas.touchpoint import Interaction
from streams.counting import Counts
from streams.meta import Meta

TOTALS = {"applied": 7, "duplicates": 1, "junk": 8, "late": 2, "dead_letters": {"empty": 3}, "forwarded": 4, "ticks": 5, "transitions": 6}
_rollup = msgspec.json.Decoder(Rollup).decode


def touch(n: int, user: int, label: str) -> Interaction:
    return Interaction(event_id=f"e{n}", type="like", brand="山茶", user_id=f"u{user}", occurred_at=n * 60_000, channel=label)


def order(n: int, text: str) -> OrderRow:
    return OrderRow(
        event_id=f"{n}{text}", type="purchase", brand=text, user_id=text, order_id=text, occurred_at=n, amount=n, refunded=0,
        currency="CNY", layer_before="R1", first_seen=0, channel=text, campaign_id=text, store_id=text, guide_id=text,
    )  # fmt: skip


def parts_of(counts: Counts) -> list[Rollup]:
    encoded = counts.rollups(3, 8, 1_000, "5r@1", Meta(offsets=[1, 2, 3, 4]), TOTALS)
    assert all(len(part) <= MAX_BYTES for part in encoded)
    return [_rollup(part) for part in encoded]


def test_a_small_rollup_is_one_record() -> None:
    counts = Counts()
    for n in range(10):
        counts.touch(touch(n, n, "douyin"), n * 60_000, "R0")
    (whole,) = parts_of(counts)
    assert whole.last
    assert whole.index == 0
    assert whole.applied == 7
    assert whole.dead_letters == {"empty": 3}
    assert len(whole.touches) == 10


@pytest.mark.parametrize(
    ("touches", "orders", "text"),
    [(8_000, 0, "渠道" * 60), (0, 4_000, "单" * 120), (3_000, 2_000, "\x01" * 128), (0, 4_000, "\U0001f6d2" * 128), (60, 900, "x")],
)
def test_a_large_one_is_split_and_its_parts_add_up(touches: int, orders: int, text: str) -> None:
    counts = Counts()
    for n in range(touches):
        counts.touch(touch(n, n % 50, f"{text[:120]}{n % 7}"), n * 60_000, "R0")
    for n in range(touches):  # one row of thousands of users
        counts.touch(touch(1, n, "one"), 60_000, "R0")
    counts.new_users.update({(n * 60_000, f"{text[:60]}{n % 3}"): n for n in range(1, touches + 1)})
    counts.orders = [order(n, text) for n in range(orders)]
    counts.junk.update({(n * 60_000, "acme", "like", None if n % 5 == 0 else f"{text[:90]}{n % 5}"): n for n in range(1, touches + 1)})
    parts = parts_of(counts)
    assert [part.index for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {(part.shard, part.version, part.ladder) for part in parts} == {(3, 8, "5r@1")}
    assert sum(row.touchpoints for part in parts for row in part.touches) == 2 * touches
    assert [row for part in parts for row in part.orders] == counts.orders
    found: Counter[tuple[int, str]] = Counter()
    for part in parts:
        found.update({(row.minute, row.brand): row.users for row in part.new_users})
    assert found == counts.new_users
    assert {tuple(row[:4]): row[4] for part in parts for row in map(msgspec.structs.astuple, part.junk_touches)} == counts.junk
    for name in ("applied", "duplicates", "junk", "late", "forwarded", "ticks", "transitions"):
        assert [getattr(part, name) for part in parts] == [0] * (len(parts) - 1) + [TOTALS[name]]
    assert [part.dead_letters for part in parts] == [{}] * (len(parts) - 1) + [{"empty": 3}]
    if touches + orders > 1_000:
        assert len(parts) > 1
