"""Records become rows in the order of their table's columns; what cannot be read is told."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import msgspec
import pytest
import xxhash

from schemas.ladder_file import load_ladder
from schemas.promotion import Promotion
from schemas.rollup import JunkCount, NewUsers, OrderRow, Rollup, TouchCount, TouchPlace
from schemas.times import from_rfc3339
from sinks.blocks import TableBlock, fill
from sinks.decision import Stream
from sinks.rows import BadRecord, Decoder, Record
from sinks.tables import (
    ALERTS,
    CELL_SPANS,
    FLOW_MINUTES,
    FLOW_SPANS,
    HEAD_SPANS,
    JUNK_MINUTES,
    MOVE_MINUTES,
    MOVE_SAMPLE,
    MOVE_SPANS,
    NEW_USERS,
    ORDER_MINUTES,
    ORDER_SPANS,
    ORDERS,
    PROMOTIONS,
    PURCHASE_SPANS,
    SHARDS,
    SHOP_FLOW_SPANS,
    SPEND,
    STEPS,
    TABLES,
    TOUCH_MINUTES,
    TRANSITIONS,
    USER_LAYERS,
)
from tests.unit.schemas.example_files import SCHEMAS

DECODER = Decoder(load_ladder("5r"))
TRANSITION: dict[str, Any] = {
    "id": "3:1042:7",
    "shard": 3,
    "version": 1042,
    "index": 7,
    "brand": "acme",
    "user_id": "u000123",
    "seq": 4,
    "from": "R1",
    "to": "R3",
    "direction": "forward",
    "kind": "advance",
    "occurred_at": "2026-11-11T00:00:03.120Z",
    "effective_at": "2026-11-11T00:00:03.121Z",
    "detected_at": "2026-11-11T00:00:04.000Z",
    "late": False,
    "dwell_ms": 86_400_000,
    "ladder": "5r@1",
    "cause": {"event_id": "e", "type": "group_join", "topic": "touchpoints.membership", "partition": 3, "offset": 991},
    "touch": {"channel": "wecom", "campaign_id": None, "store_id": "sh-017", "guide_id": None},
    "first_touch": {"channel": "douyin", "campaign_id": "d11", "at": "1970-01-01T00:00:01.000Z"},
    "added_later": True,
}
SPENT = {"spend_id": "s1", "brand": "acme", "day": "2026-11-11", "channel": "douyin", "amount": 5, "currency": "CNY"}


def rollup(version: int = 8, index: int = 0, *, last: bool = True) -> bytes:
    return msgspec.json.encode(
        Rollup(
            shard=3,
            version=version,
            index=index,
            last=last,
            ladder="5r@1",
            detected_at=5,
            watermark=None,
            swept_to=60_000,
            touches=[TouchCount(60_000, "acme", "like", None, "c", None, "R0", 2, [2**53 - 1, 7])],
            new_users=[NewUsers(0, "acme", 2)],
            orders=[
                OrderRow(
                    event_id="e1",
                    type="purchase",
                    brand="acme",
                    user_id="u",
                    order_id="o",
                    occurred_at=6,
                    amount=100,
                    refunded=0,
                    currency="CNY",
                    layer_before="R1",
                    first_seen=1,
                    store_id="s",
                    layer_channel="wecom",
                    first_touch=TouchPlace(at=1, channel="douyin"),
                )
            ],
            junk_touches=[JunkCount(60_000, "acme", "like", None, 37)],
            offsets={"touchpoints.order": 4},
            applied=1,
            duplicates=2,
            junk=37,
            late=3,
            dead_letters={"future": 4},
            forwarded=5,
            ticks=6,
            transitions=0,
        )
    )


def decode(stream: Stream, value: bytes, partition: int = 3, offset: int = 9) -> Record:
    return DECODER.decode(stream, partition, offset, value)


def named(block: TableBlock, row: int = 0) -> dict[str, Any]:
    return {name: column[row] for name, column in zip(block.table.column_names, block.columns, strict=True)}


def by_table(block: int, *records: Record) -> dict[str, TableBlock]:
    return {table_block.table.name: table_block for table_block in fill(block, records)}


def test_a_transition_fills_its_table_and_the_flows() -> None:
    record = decode(Stream.TRANSITIONS, json.dumps(TRANSITION).encode())
    assert (record.offset, record.version, record.index, record.size) == (9, 1042, 7, 1)
    tables = by_table(12, record)
    sums = (FLOW_MINUTES, FLOW_SPANS, MOVE_MINUTES, MOVE_SPANS, SHOP_FLOW_SPANS, HEAD_SPANS, MOVE_SAMPLE)
    assert list(tables) == [part.name for part in (TRANSITIONS, *sums, USER_LAYERS)]
    row = named(tables[TRANSITIONS.name])
    assert row["block"] == 12
    assert (row["from_layer"], row["to_layer"], row["kind"], row["seq"]) == ("R1", "R3", "advance", 4)
    assert (row["occurred_at"], row["effective_at"]) == (1_794_355_203_120, 1_794_355_203_121)
    assert (row["channel"], row["campaign_id"], row["store_id"], row["cause_at"]) == ("wecom", "", "sh-017", None)
    assert (row["first_touch_at"], row["first_channel"], row["cause_offset"]) == (1000, "douyin", 991)
    for part in (*sums, USER_LAYERS):
        assert named(tables[part.name]) == {name: row[name] for name in part.column_names}


def test_what_the_user_left_is_known_of_the_first_and_where_the_record_tells_it() -> None:
    def row(**other: Any) -> dict[str, Any]:
        record = decode(Stream.TRANSITIONS, json.dumps({**TRANSITION, **other}).encode())
        return named(by_table(1, record)[HEAD_SPANS.name])

    assert (row()["former_known"], row(seq=1)["former_known"]) == (False, True)
    told = row(former_touch={"channel": "douyin", "campaign_id": None, "store_id": None, "guide_id": "g"})
    assert [told[f"former_{name}"] for name in ("known", "channel", "campaign_id", "store_id", "guide_id")] == [True, "douyin", "", "", "g"]


def test_the_sample_takes_one_user_in_sixteen() -> None:
    users = [f"u{number}" for number in range(2_000)]
    records = [decode(Stream.TRANSITIONS, json.dumps({**TRANSITION, "user_id": user}).encode()) for user in users]
    taken = by_table(1, *records)[MOVE_SAMPLE.name]
    expected = [user for user in users if xxhash.xxh3_64_intdigest(user.encode()) % 16 == 0]
    assert list(taken.columns[taken.table.column_names.index("user_id")]) == expected
    assert 90 < taken.rows < 160


def test_a_rollup_fills_its_tables() -> None:
    tables = by_table(1, decode(Stream.ROLLUPS, rollup()))
    assert list(tables) == [
        NEW_USERS.name,
        TOUCH_MINUTES.name,
        ORDERS.name,
        ORDER_MINUTES.name,
        ORDER_SPANS.name,
        CELL_SPANS.name,
        PURCHASE_SPANS.name,
        JUNK_MINUTES.name,
        STEPS.name,
        SHARDS.name,
    ]
    touch = named(tables[TOUCH_MINUTES.name])
    assert (touch["channel"], touch["campaign_id"], touch["touchpoints"], touch["users"]) == ("", "c", 2, [2**53 - 1, 7])
    order = named(tables[ORDERS.name])
    assert (order["shard"], order["version"], order["order_id"], order["store_id"]) == (3, 8, "o", "s")
    for part in (ORDER_MINUTES, ORDER_SPANS, CELL_SPANS, PURCHASE_SPANS):
        assert named(tables[part.name]) == {name: order[name] for name in part.column_names}
    assert (order["first_touch_at"], order["first_channel"], order["last_touch_at"], order["last_channel"]) == (1, "douyin", None, "")
    assert (order["layer_channel"], order["layer_store_id"]) == ("wecom", "")
    assert named(tables[JUNK_MINUTES.name]) == {
        "block": 1, "minute": 60_000, "brand": "acme", "type": "like", "channel": "", "records": 37,
    }  # fmt: skip
    step = named(tables[STEPS.name])
    assert (step["watermark"], step["swept_to"], step["junk"], step["dead_letters"], step["ticks"]) == (None, 60_000, 37, {"future": 4}, 6)
    assert named(tables[SHARDS.name]) == {"block": 1, "shard": 3, "version": 8, "watermark": 0, "swept_to": 60_000}


def test_counts_that_are_no_rows_come_with_the_last_part() -> None:
    part, last = decode(Stream.ROLLUPS, rollup(index=0, last=False)), decode(Stream.ROLLUPS, rollup(index=1))
    assert STEPS.name not in part.rows
    assert not part.whole
    assert by_table(1, part, last)[STEPS.name].rows == 1


def test_a_shard_is_as_far_as_its_last_step() -> None:
    shards = by_table(1, decode(Stream.ROLLUPS, rollup(8)), decode(Stream.ROLLUPS, rollup(9)))[SHARDS.name]
    assert (shards.rows, named(shards)["version"]) == (1, 9)


def test_spend_may_come_in_a_schema_registrys_frame() -> None:
    plain = json.dumps(SPENT).encode()
    framed = b"\0" + (7).to_bytes(4, "big") + plain
    assert DECODER.decode(Stream.SPEND, 0, 5, framed) == DECODER.decode(Stream.SPEND, 0, 5, plain)


def test_a_day_of_spend_begins_in_the_brands_time_zone() -> None:
    block = by_table(2, decode(Stream.SPEND, json.dumps(SPENT).encode()), decode(Stream.SPEND, json.dumps(SPENT).encode()))[SPEND.name]
    row = named(block)
    assert (row["day"], row["begins_at"]) == (date(2026, 11, 11), 1_794_326_400_000)
    assert (row["channel"], row["campaign_id"]) == ("douyin", "")
    assert row["revision"] < named(block, 1)["revision"] < 3 << 20


def test_a_version_of_a_promotion_is_stored_whole_with_who_and_why() -> None:
    value = (SCHEMAS / "examples" / "promotions" / "valid" / "target_changed_while_running.json").read_bytes()
    told = json.loads(value)
    row = named(by_table(4, decode(Stream.PROMOTIONS, value, partition=0))[PROMOTIONS.name])
    assert {name: row[name] for name in ("promotion_id", "version", "brand", "changed_by", "reason")} == {
        name: told[name] for name in ("promotion_id", "version", "brand", "changed_by", "reason")
    }
    assert row["effective_from"] == from_rfc3339(told["effective_from"])
    assert (row["window_from"], row["window_to"]) == (from_rfc3339(told["window"]["from"]), from_rfc3339(told["window"]["to"]))
    assert row["target_gmv"] == msgspec.json.decode(value, type=Promotion).target.gmv
    assert json.loads(row["record"]) == told


def test_a_state_of_an_alert_is_stored_whole_with_who_has_taken_it_on() -> None:
    value = (SCHEMAS / "examples" / "alerts" / "valid" / "acknowledged.json").read_bytes()
    told = json.loads(value)
    row = named(by_table(4, decode(Stream.ALERTS, value, partition=0))[ALERTS.name])
    same = ("alert_id", "version", "brand", "rule", "state", "severity", "users_at_stake", "gmv_at_stake")
    assert {name: row[name] for name in same} == {name: told[name] for name in same}
    assert (row["from_layer"], row["to_layer"], row["channel"], row["acknowledged_by"]) == ("R2", "R3", "wecom", "lin")
    assert (row["since"], row["at"]) == (from_rfc3339(told["since"]), from_rfc3339(told["at"]))
    assert json.loads(row["record"]) == told


@pytest.mark.parametrize(
    ("stream", "value", "reason"),
    [
        (Stream.ROLLUPS, b"", "truncated"),
        (Stream.ROLLUPS, b"{}", "missing required field"),
        (Stream.TRANSITIONS, b"\xff", "malformed"),
        (Stream.TRANSITIONS, json.dumps({**TRANSITION, "shard": 2}).encode(), "shard 3"),
        (Stream.TRANSITIONS, json.dumps({**TRANSITION, "effective_at": "yesterday"}).encode(), "Invalid isoformat"),
        (Stream.TRANSITIONS, json.dumps({**TRANSITION, "effective_at": "2026-11-11T00:00:00"}).encode(), "offset"),
        (Stream.SPEND, json.dumps({**SPENT, "day": "2026-02-30"}).encode(), "day"),
        (Stream.SPEND, json.dumps({**SPENT, "day": "1969-12-31"}).encode(), "1970"),
        (Stream.SPEND, json.dumps({**SPENT, "day": "2300-01-01"}).encode(), "2299"),
        (Stream.SPEND, json.dumps({**SPENT, "amount": -1}).encode(), "amount"),
        (Stream.PROMOTIONS, b"", "truncated"),
        (Stream.PROMOTIONS, b"{}", "missing required field"),
        (Stream.ALERTS, b"{}", "missing required field"),
        (Stream.SPEND, b'{"x":' + b"[" * 100_000, "recursion"),
        (Stream.SPEND, json.dumps({**SPENT, "day": "0001-01-01"}).encode(), "1970"),
    ],
)
def test_what_cannot_be_read_is_told(stream: Stream, value: bytes, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        decode(stream, value)


def test_tokens_are_unique_to_table_block_and_attempt() -> None:
    blocks = [*fill(1, [decode(Stream.ROLLUPS, rollup())]), *fill(2, [decode(Stream.ROLLUPS, rollup())])]
    tokens = [block.token(number, attempt) for block in blocks for number in (1, 2) for attempt in (1, 2)]
    assert len(set(tokens)) == len({block.table for block in blocks}) * 4


def test_columns_and_types_of_every_table_agree() -> None:
    for table in TABLES:
        assert len(table.column_names) == len(table.column_types)
        assert len(set(table.column_names)) == len(table.column_names)
