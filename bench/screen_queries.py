"""How long the screen's queries take over a day of very many transitions and orders.

    python -m bench.screen_queries --transitions 100000000 --orders 20000000 --data FOLDER --write-readme

The records are made by ClickHouse itself, straight into its tables; the tables of sums are filled from them through the sink's own inlets
and columns (`sinks.tables`), with more memory than `rflow up` gives the engine. Then it is started again as `rflow up` runs it. Each query
is the war room's own, asked three times after a first; the slowest counts. The exit status is 0 only if every one stays below a second.
What `--data` keeps is asked again without being made again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from bench.machine import cpu_seconds, describe
from deploy.stack.servers import CLICKHOUSE_MIB, StackConfig
from deploy.stack.supervisor import Stack
from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, MINUTE_MS
from sinks.client import connect
from sinks.config import ClickHouse
from sinks.errors import SinkError
from sinks.migrate import migrate
from sinks.tables import (
    FLOW_SPANS,
    MOVE_SPANS,
    ORDER_SPANS,
    ORDERS,
    PARTS,
    PURCHASE_SPANS,
    SAMPLED_ONE_IN,
    SAMPLES,
    SHOP_FLOW_SPANS,
    TRANSITIONS,
    Table,
)
from warroom.compare import Period, compare_periods
from warroom.drill import Dimension, Drill
from warroom.figures import By
from warroom.lists import Behind, Span
from warroom.live.reader import LiveReader
from warroom.sales import Sales
from warroom.spans import HOUR_MS

BOUND_S = 1.0
BEGIN, END = "<!-- screen: begin -->", "<!-- screen: end -->"
_README = Path(__file__).with_name("README.md")
_BRAND = "acme"
_MIDNIGHT = 1_794_326_400_000
"""2026-11-11 00:00 in Shanghai: the day is all stored, its last minute still running."""
_PARTITIONS = 4
_CHUNKS = 24
_TIMES = 3
_DAY = (_MIDNIGHT, _MIDNIGHT + DAY_MS)
_FILLING_MIB = 10_240
_ONE_BY_ONE = {"max_insert_threads": 1}


class Size(NamedTuple):
    """How much is made, over how many users."""

    transitions: int
    orders: int
    users: int


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds, and the seconds that making it took."""

    size: Size
    seconds: float


class Timed(NamedTuple):
    """A query's first and slowest further time, and the least CPU that ClickHouse took for it, seconds; `refused`: why it has no answer."""

    name: str
    first: float
    slowest: float
    cpu: float
    refused: str = ""


_LABELS = """
    ['tmall', 'jd', 'store', 'mini_program', 'live_room', 'douyin', 'wechat_moments', 'xiaohongshu', 'search_ads', 'wecom', 'email', '']
        [1 + h % 12] AS channel,
    concat('d11-', toString(intDiv(h, 12) % 6)) AS campaign_id,
    if(intDiv(h, 72) % 4 = 0, concat('sh-', toString(intDiv(h, 288) % 40)), '') AS store_id,
    if(intDiv(h, 72) % 4 = 1, concat('g-', toString(intDiv(h, 288) % 200)), '') AS guide_id"""


def _labelled(prefix: str, of: str) -> str:
    """The same labels of another number, by names of their own."""
    text = re.sub(r"\bh\b", of, _LABELS)
    return re.sub(r"AS (\w+)", rf"AS {prefix}_\1", text)


_CYCLE = "['R1', 'R2', 'R3', 'R4', 'R5', 'R4', 'R3', 'R2']"
"""The way that everybody goes round and round, from wherever they come in."""


def _transitions(size: Size, begin: int, count: int) -> str:
    """Every user enters on the day before, and moves on in turn over the day, as often as all together make the number."""
    former = ", ".join(f"if(turn = 0, '', former_{name})" for name in ("channel", "campaign_id", "store_id", "guide_id"))
    return f"""
INSERT INTO transitions (block, shard, version, `index`, brand, user_id, seq, from_layer, to_layer, direction, kind, occurred_at,
    effective_at, detected_at, late, dwell_ms, ladder, cause_type, channel, campaign_id, store_id, guide_id, first_channel,
    first_campaign_id, first_touch_at, former_channel, former_campaign_id, former_store_id, former_guide_id, former_known)
SELECT intDiv(number, 1000000) + 1, number % {_PARTITIONS}, intDiv(number, 2000), number % 2000, '{_BRAND}', {_user("who", size)},
    turn + 1, if(turn = 0, 'R0', {_CYCLE}[1 + (place + turn + 7) % 8]) AS a, {_CYCLE}[1 + (place + turn) % 8] AS b,
    if(a < b, 'forward', 'reverse'), if(a < b, 'advance', 'retract'), at, at, at, false, if(turn = 0, NULL, 1), '5r@1', 'ad_click',
    channel, campaign_id, store_id, guide_id, channel, campaign_id, {_time("who", size)}, {former}, true
FROM
(
    SELECT number, number % {size.users} AS who, intDiv(number, {size.users}) AS turn, cityHash64(who, 2) AS place,
        cityHash64(number, 1) AS h, {_time("number", size)} AS at, {_LABELS},
        cityHash64(toUInt64(greatest(toInt64(number) - {size.users}, 0)), 1) AS g, {_labelled("former", "g")}
    FROM numbers({begin}, {count})
)"""


def _user(number: str, size: Size) -> str:
    return f"concat('u', leftPad(toString(({number} * 7919) % {size.users}), 9, '0'))"


def _time(number: str, size: Size) -> str:
    """Who comes in comes on the day before, evenly; the rest of the transitions follow one another over the day."""
    before = f"{_DAY[0] - DAY_MS} + intDiv({number} * {DAY_MS}, {size.users})"
    within = f"{_DAY[0]} + intDiv((toInt64({number}) - {size.users}) * {DAY_MS}, {size.transitions - size.users})"
    return f"fromUnixTimestamp64Milli(toInt64(if({number} < {size.users}, {before}, {within})), 'UTC')"


def _orders(size: Size, begin: int, count: int) -> str:
    """Evenly over the day, by users at random; one record in fifty gives back some of the order before it."""
    return f"""
INSERT INTO orders (block, shard, version, event_id, type, brand, user_id, order_id, occurred_at, amount, refunded, currency, layer_before,
    first_seen, channel, campaign_id, store_id, guide_id, layer_channel, layer_store_id)
SELECT intDiv(number, 1000000) + 1, number % {_PARTITIONS}, intDiv(number, 2000), toString(number),
    if(h % 50 = 7, 'refund', 'purchase'), '{_BRAND}', concat('u', leftPad(toString(cityHash64(bought) % {size.users}), 9, '0')),
    concat('o', toString(bought)), at, 1000 + h % 40000, if(h % 50 = 7, 1000, 0), 'CNY',
    ['R1', 'R2', 'R3', 'R4', 'R5'][1 + cityHash64(number, 3) % 5], at - toIntervalHour(h % 60), channel, campaign_id, store_id, guide_id,
    layer_channel, layer_store_id
FROM
(
    SELECT number, cityHash64(number, 4) AS h, toUInt64(number - (h % 50 = 7 AND number > 0)) AS bought,
        fromUnixTimestamp64Milli(toInt64({_MIDNIGHT} + intDiv(number * {DAY_MS}, {size.orders})), 'UTC') AS at, {_LABELS},
        cityHash64(number, 5) AS g, {_labelled("layer", "g")}
    FROM numbers({begin}, {count})
)"""


def _rest() -> Iterator[str]:
    """What is small, or told per minute: newcomers, touchpoints, spend, how far all is stored."""
    minute = f"fromUnixTimestamp64Milli(toInt64({_MIDNIGHT} + number * {MINUTE_MS}), 'UTC')"
    yield f"""INSERT INTO new_users (block, minute, brand, users)
        SELECT 1, minute, '{_BRAND}', sum(transitions) FROM flow_minutes WHERE from_layer = 'R0' GROUP BY minute"""
    for part in range(12):
        yield f"""INSERT INTO touch_inlet (block, minute, brand, type, channel, campaign_id, store_id, layer_before, touchpoints, users)
            SELECT 1, {minute}, '{_BRAND}', concat('type-', toString(kind)), concat('channel-', toString(c)),
                concat('d11-', toString(c % 6)), '', concat('R', toString(kind % 6)), 40,
                arrayMap(i -> bitShiftRight(cityHash64(number, kind, c, i), 11), range(20))
            FROM numbers({part * 120}, 120) ARRAY JOIN range(13) AS kind ARRAY JOIN range(12) AS c"""
    yield f"""INSERT INTO spend (block, revision, spend_id, brand, day, begins_at, channel, campaign_id, amount, currency)
        SELECT 1, 1, toString(number), '{_BRAND}', '2026-11-11', {minute.replace(f"number * {MINUTE_MS}", "0")},
            concat('channel-', toString(number % 12)), concat('d11-', toString(number % 6)), 100000, 'CNY' FROM numbers(72)"""
    yield f"""INSERT INTO shards (block, shard, version, watermark)
        SELECT 1, number, 1000000, fromUnixTimestamp64Milli(toInt64({_DAY[1] - 1}), 'UTC') FROM numbers({_PARTITIONS})"""


def fill(client: Client, size: Size) -> float:
    """Makes everything; returns the seconds it took."""
    began = time.monotonic()
    for number in range(_CHUNKS):
        for make, count in ((_transitions, size.transitions), (_orders, size.orders)):
            first = number * count // _CHUNKS
            client.command(make(size, first, (number + 1) * count // _CHUNKS - first))
        print(f"{number + 1} of {_CHUNKS} parts of the records made after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for number in range(2 * 24):
        for source, part in PARTS:
            hour = _DAY[0] + (number - 24) * HOUR_MS
            client.command(_copied(source, part, (hour, hour + HOUR_MS)), settings=_ONE_BY_ONE)
        print(f"{number + 1} of 48 hours summed after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for statement in _rest():
        client.command(statement)
    for table in (FLOW_SPANS, MOVE_SPANS, SHOP_FLOW_SPANS, ORDER_SPANS, PURCHASE_SPANS):
        client.command(f"OPTIMIZE TABLE {table.name} FINAL")  # as they are an hour later, by their own setting
    while client.query("SELECT count() FROM system.merges").result_rows[0][0]:
        time.sleep(1)
    return time.monotonic() - began


def _copied(source: Table, part: Table, span: tuple[int, int]) -> str:
    """A stretch of a table into another that takes some of its columns, as the sink's blocks go."""
    at = "occurred_at" if source is ORDERS else "effective_at"
    assert source in (ORDERS, TRANSITIONS)
    begin, end = (f"fromUnixTimestamp64Milli(toInt64({one}), 'UTC')" for one in span)
    names = ", ".join(f"`{name}`" for name in part.column_names)
    kept = f"brand = '{_BRAND}' AND {at} >= {begin} AND {at} < {end}"
    if part in SAMPLES:
        kept += f" AND xxh3(user_id) % {SAMPLED_ONE_IN} = 0"
    return f"INSERT INTO {part.inlet} ({names}) SELECT {names} FROM {source.name} WHERE {kept}"


def questions(config: ClickHouse) -> Iterator[tuple[str, Callable[[], object]]]:
    """(name, the query): what the snapshot, the promotion's lines, the drill-down, the lists and the comparison ask."""
    live, sales, drill = LiveReader(config), Sales(config), Drill(config, seconds=600)
    day = Span(brand=_BRAND, start=_DAY[0], end=_DAY[1])
    hour = Span(brand=_BRAND, start=_DAY[1] - 3_600_000, end=_DAY[1])
    for name, ask in live.questions(_BRAND, _DAY[1] - 1, _DAY[0]).items():
        if name != "usual":
            yield f"snapshot: {name}", ask
    yield "snapshot: usual, of the whole day", live.questions(_BRAND, _DAY[1] + HOUR_MS - 1, _DAY[1])["usual"]
    yield "promotion: sales by minute, whole day", lambda: sales.by_minute(_BRAND, *_DAY)
    yield "promotion: sales by cell, whole day", lambda: sales.by_cell(_BRAND, *_DAY)
    for stores, with_stores in ((False, ""), (True, ", with stores")):
        yield f"promotion: heads entered{with_stores}, whole day", partial(sales.heads_entered, _BRAND, *_DAY, by_store=stores)
    yield "promotion: heads at the beginning", lambda: Sales(config).heads_at(_BRAND, _DAY[0] + DAY_MS // 2)
    yield "promotion: how far sales are stored", sales.as_of
    yield "flows, last hour", lambda: drill.flow_lines(hour)
    yield "flows, whole day", lambda: drill.flow_lines(day)
    for of in ({"channel": "tmall"}, {"store_id": "sh-7"}, {"channel": "tmall", "store_id": "sh-7"}):
        told = " and ".join(name.removesuffix("_id") for name in of)
        yield f"flows of a {told}, whole day", partial(drill.flow_lines, replace(day, **of))
    for by in (Dimension.CHANNEL, Dimension.STORE):
        for span, length in ((hour, "last hour"), (day, "whole day")):
            yield f"what each {by} sold and moved, {length}", partial(drill.label_lines, span, by, 100)
    yield "a channel by the minute, whole day", lambda: drill.label_steps(day, Dimension.CHANNEL, "tmall", 1)
    for span, length in ((hour, "last hour"), (day, "whole day")):
        of_channel, of_store = replace(span, channel="tmall"), replace(span, store_id="sh-7")
        yield f"the stores of a channel, {length}", partial(drill.label_lines, of_channel, Dimension.STORE, 100)
        yield f"the layers of a store, {length}", partial(drill.label_lines, of_store, Dimension.LAYER, 100)
    yield "orders, a page", lambda: drill.order_lines(day, 100, Behind())
    yield "transitions, a page", lambda: drill.move_lines(day, "", "", 100, Behind())
    yield "census", lambda: drill.census(_BRAND)
    today, before = Period(begins=_DAY[0], ends=_DAY[1]), Period(begins=_DAY[0] - DAY_MS, ends=_DAY[0])
    noon = _DAY[0] + DAY_MS // 2
    halves = (replace(today, begins=noon), replace(today, ends=noon))
    for pair, told in (((today, before), "the day with the day before"), (halves, "its second half with its first")):
        for split in By:
            yield f"compare {told}{'' if split == By.ALL else f', by {split}'}", partial(compare_periods, drill, _BRAND, *pair, split)


def measure(config: ClickHouse, pid: int) -> list[Timed]:
    """Every query: once, then three times more."""
    found = []
    for name, ask in questions(config):
        times, cpus, refused = [], [], ""
        for _ in range(_TIMES + 1):
            began, used = time.monotonic(), cpu_seconds(pid)
            try:
                ask()
            except SinkError as error:
                refused = str(error)
            times.append(time.monotonic() - began)
            cpus.append(cpu_seconds(pid) - used)
        found.append(Timed(name, times[0], max(times[1:]), min(cpus), refused))
        print(f"{times[0]:7.3f} {found[-1].slowest:7.3f} {found[-1].cpu:7.2f}  {name} {refused}", file=sys.stderr, flush=True)
    return found


def markdown(size: Size, found: list[Timed], seconds: float, disk: float) -> str:
    """The table as it stands in the README."""
    machine = describe()
    lines = [
        f"{size.transitions:,} transitions and {size.orders:,} orders of {size.users:,} users, {disk:.1f} GB, made in"
        f" {seconds / 60:.0f} minutes: every user came in on the day before, all else is of one day. The machine's load was"
        f" {os.getloadavg()[1]:.1f}. {machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB; ClickHouse's engine as"
        " `rflow up` runs it.",
        "",
        "| query | first, s | slowest of three, s | CPU, s |",
        "| --- | --- | --- | --- |",
        *(f"| {one.name}{' (refused)' if one.refused else ''} | {one.first:.3f} | {one.slowest:.3f} | {one.cpu:.2f} |" for one in found),
    ]
    return "\n".join(lines)


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


async def run(size: Size, folder: Path) -> tuple[list[Timed], str]:
    """A database in `folder`, filled unless it has been with as much, and asked. Raises ValueError if it was filled with another size, or
    not to the end."""
    told = folder / "filled.json"
    known = msgspec.json.decode(told.read_bytes(), type=Filled) if told.exists() else None
    if known is not None and known.size != size:
        raise ValueError(f"expected {size} in {folder}, found {known.size}: name another folder")
    if known is None and (folder / "clickhouse").exists():
        raise ValueError(f"expected a whole database in {folder}, found one that was not filled to the end: remove it")

    def filled(config: ClickHouse) -> None:
        migrate(config, load_ladder("5r"), _PARTITIONS)
        with closing(connect(config, config.database)) as client:
            told.write_bytes(msgspec.json.encode(Filled(size=size, seconds=fill(client, size))))

    if known is None:
        async with _clickhouse(folder, _FILLING_MIB) as stack:
            await asyncio.to_thread(filled, _config(stack))
    async with _clickhouse(folder) as stack:
        found = await asyncio.to_thread(measure, _config(stack), stack.pid("clickhouse") or 0)
        disk = await asyncio.to_thread(_bytes_in, folder) / 1e9
    return found, markdown(size, found, msgspec.json.decode(told.read_bytes(), type=Filled).seconds, disk)


def _clickhouse(folder: Path, mib: int = CLICKHOUSE_MIB) -> Stack:
    return Stack(StackConfig(data=folder, servers=frozenset({"clickhouse"}), clickhouse_mib=mib))


def _config(stack: Stack) -> ClickHouse:
    return ClickHouse(url=stack.clickhouse_url, database="screen", timeout=3_600)


def main() -> None:
    """Measures, prints, and writes the README's table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transitions", type=int, default=10_000_000)
    parser.add_argument("--orders", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, help="default: a fifth of the transitions")
    parser.add_argument("--data", type=Path, help="keep the database in this folder, and take it from there; default: a new one, not kept")
    parser.add_argument("--write-readme", action="store_true", help="put the table into bench/README.md")
    options = parser.parse_args()
    size = Size(options.transitions, options.orders, options.users or options.transitions // 5)
    with tempfile.TemporaryDirectory(prefix="rflow-screen-") as folder:
        found, text = asyncio.run(run(size, options.data or Path(folder)))
    print(text)
    if options.write_readme:
        before, _, rest = _README.read_text(encoding="utf-8").partition(BEGIN)
        _README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    slow = [one.name for one in found if one.refused or one.slowest >= BOUND_S]
    if slow:
        print(f"above {BOUND_S:g} s, or refused: {', '.join(slow)}", file=sys.stderr)
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
