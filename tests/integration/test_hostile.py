"""Hostile records on every topic of a real Kafka: each broken one a dead letter, each sound one counted, nobody stopped."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import orjson
import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.deadletter import Reason
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.spend import Spend
from schemas.touchpoint import MAX_BYTES, Kind, Order, Tick, Touchpoint
from schemas.validate import Validator
from streams.headers import read_headers
from streams.outbox import FORWARDED_HEADER, MAX_DEAD_LETTER_BYTES, MAX_KEY_BYTES
from tests.hostile import unreadable_header
from tests.hostile.corpus import cases, text
from tests.integration.sink_config import config
from tests.integration.sink_world import query, sink_process
from tests.servers import create_topics, wait_until
from tests.workers import Deployment, Told, Worker, Written, assert_chained, headers_of

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
KEYS = (None, b"", b"k", b"\xff\x00\xfe", "键".encode(), b"k" * 100_000)
MISPLACED = 9
"""Of so many sound records one lies on a wrong partition."""
MOST_MEMORY = 900_000_000
"""Bytes that a worker may ever take, whatever it is sent."""

Headers = list[tuple[str, Any]] | None
HEADERS: tuple[Headers, ...] = (
    None,
    [("trace", b"1")],
    [("", b""), ("", b"")],
    [("trace", None), ("ключ", b"\xff\x00")],
    [(f"h{n}", b"x") for n in range(1_000)],
    [("large", b"x" * 40_000)],
    [("larger", b"x" * 90_000)],
    [("rflow_forwarded ", b"1:1"), ("RFLOW_FORWARDED", b"1:1")],
)
"""What travels beside records. (A sound record that carries a mark which is none is taken for one that was never forwarded.)"""

NO_MARKS = (b"", b"junk", b"1:1:1", b"9:1", b"-1:1", b"a:b", b"\xff", None)


class Placed(NamedTuple):
    """A record where it is written, and what it is to become: a dead letter, or (reason None) what the validator says."""

    kind: Kind
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: Reason | None
    item: Touchpoint | Tick | None

    @property
    def written(self) -> Written:
        return self.kind.topic, self.partition, self.key, self.value, self.headers

    @property
    def letter(self) -> tuple[str, str, int, bytes | None, bytes | None]:
        assert self.reason is not None
        key = None if self.key is None else self.key[:MAX_KEY_BYTES]
        return self.reason.value, self.kind.topic, self.partition, key, None if self.value is None else self.value[:MAX_DEAD_LETTER_BYTES]


@pytest.fixture
def deployment(tmp_path: Path, kafka: str, redis_url: str, topic_prefix: str, key_prefix: str) -> Iterator[Deployment]:
    with Deployment(tmp_path, kafka, redis_url, topic_prefix, key_prefix, session_timeout=6.0) as made:
        yield made.create_topics()


def corpus(now: int) -> list[Placed]:
    """Every case, its key and headers taken in turn; now and then a sound record on a wrong partition, and a mark that is none."""
    judge = Validator(load_ladder("5r"), lambda: now)
    found = []
    for i, case in enumerate(cases(now)):
        item = None if case.reason else judge.validate(case.kind, case.value)
        headers = HEADERS[i % len(HEADERS)]
        if isinstance(item, Touchpoint):
            partition = partition_of(item.user_id, 4)
            if i % MISPLACED == 0:
                partition = (partition + 1) % 4
            elif i % 5 == 0:
                headers = [*(headers or ()), (FORWARDED_HEADER, NO_MARKS[i // 5 % len(NO_MARKS)])]
        else:
            partition = crc32(case.name.encode()) % 4
        found.append(Placed(case.kind, partition, KEYS[i % len(KEYS)], case.value, headers, case.reason, item))
    lost = text(Kind.ORDER, "lost", now - 60_000)
    wrong = (partition_of("u-lost", 4) + 1) % 4
    found.append(Placed(Kind.ORDER, wrong, b"u-lost", lost, [(FORWARDED_HEADER, b"3:7")], Reason.MISROUTED, None))
    return found


def bombs() -> list[tuple[str, list[Placed]]]:
    """(codec, one batch): small on the wire, a thousand times as large once unpacked."""
    heavy = b"[" * (MAX_BYTES + 1)
    return [
        ("gzip", [Placed(Kind.EXPOSURE, 0, b"b", bytes(30_000_000), None, Reason.TOO_LARGE, None)]),
        ("zstd", [Placed(Kind.MEMBERSHIP, 1, None, b" " * 30_000_000, None, Reason.TOO_LARGE, None)]),
        ("lz4", [Placed(Kind.ORDER, 2, None, b"{" * 10_000_000, None, Reason.TOO_LARGE, None)]),
        ("gzip", [Placed(Kind.INTERACTION, 3, None, heavy, None, Reason.TOO_LARGE, None) for _ in range(300)]),
        ("zstd", [Placed(Kind.ORDER, 3, None, b"[" * MAX_BYTES, None, Reason.INVALID_JSON, None) for _ in range(300)]),
        ("gzip", [Placed(Kind.ORDER, 0, None, b"", None, Reason.EMPTY, None) for _ in range(20_000)]),
    ]


def produce(deployment: Deployment, records: list[Placed], bombs: list[tuple[str, list[Placed]]]) -> dict[tuple[str, int], int]:
    """Each fifth of the records in batches of another codec; each bomb in one batch."""
    ends: dict[tuple[str, int], int] = {}
    for i, codec in enumerate(CODECS):
        ends |= deployment.produce([record.written for record in records[i :: len(CODECS)]], **{"compression.type": codec, "linger.ms": 50})
    for codec, batch in bombs:
        huge = {"compression.type": codec, "message.max.bytes": 100_000_000, "batch.size": 100_000_000, "linger.ms": 500}
        ends |= deployment.produce([record.written for record in batch], **huge)
    return ends


def produce_unreadable(deployment: Deployment, now: int) -> list[Placed]:
    """A record at home and one astray, and a broken one, each with a header that nobody can read."""
    found = []
    for user, astray in (("unreadable", 0), ("unreadable, astray", 1)):
        value, partition = text(Kind.MEMBERSHIP, user, now - 60_000), (partition_of(f"u-{user}", 4) + astray) % 4
        item = Validator(load_ladder("5r"), lambda: now).validate(Kind.MEMBERSHIP, value)
        found.append(Placed(Kind.MEMBERSHIP, partition, None, value, None, None, item))
    found.append(Placed(Kind.MEMBERSHIP, 0, None, b"{}", None, Reason.INVALID_FIELD, None))
    for record in found:
        unreadable_header.send(deployment.bootstrap, deployment.topic(record.kind.topic), record.partition, record.value or b"")
    return found


def letters_of(told: Told) -> Counter[Any]:
    return Counter(
        (headers["reason"].decode(), headers["topic"].decode(), int(headers["partition"]), letter.key(), letter.value())
        for letter in told.letters
        for headers in [headers_of(letter)]
    )


def peak_memory(worker: Worker) -> int:
    """The most bytes that a worker has held in memory."""
    status = Path(f"/proc/{worker.process.pid}/status")
    if not status.exists():
        return int(psutil.Process(worker.process.pid).memory_info().rss)
    return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))) * 1024


def test_hostile_records_are_dead_letters_byte_for_byte_and_the_good_ones_beside_them_count(
    deployment: Deployment, clickhouse_url: str, database: str
) -> None:
    now = time.time_ns() // 1_000_000
    records, packed = corpus(now), bombs()
    records += produce_unreadable(deployment, now)
    bad = [record for record in [*records, *(record for _, batch in packed for record in batch)] if record.reason is not None]
    good = [record.item for record in records if isinstance(record.item, Touchpoint)]
    worker = deployment.start()
    ends = produce(deployment, records[:-3], packed)
    applied = len(good) - 1  # one is told twice
    deployment.until(lambda: worker.metric("rflow_events_total", outcome="applied") >= applied, "the good ones to count")
    deployment.until_applied(ends)

    told = deployment.told()
    assert letters_of(told) == Counter(record.letter for record in bad)
    assert_cut_ones_tell_what_they_were(told, bad)
    assert_chained(told, "R0")
    sums: Counter[str] = Counter()
    for rollup in told.rollups:
        sums.update({name: getattr(rollup, name) for name in ("applied", "duplicates", "ticks", "forwarded")})
    misplaced = sum(isinstance(record.item, Touchpoint) and record.partition != partition_of(record.item.user_id, 4) for record in records)
    assert misplaced > 10
    assert sums == Counter(applied=applied, duplicates=1, ticks=3, forwarded=misplaced)
    assert peak_memory(worker) < MOST_MEMORY
    assert worker.get("/healthz")[0] == 200
    assert worker.stop() == 0, worker.tail()
    recomputed = deployment.recompute()
    assert recomputed.differences == []
    assert {(brand, user) for brand, user in told_users(deployment)} == {(item.brand, item.user_id) for item in good}
    assert_clickhouse_has_them(deployment, clickhouse_url, database, told, good)


def told_users(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for _, key in deployment.users():
        brand, _, user = key.partition(":")
        yield deployment.rules.brand_of_key(brand).name, user


def assert_cut_ones_tell_what_they_were(told: Told, bad: Sequence[Placed]) -> None:
    values = [record.value for record in bad if record.value is not None and len(record.value) > MAX_DEAD_LETTER_BYTES]
    headers = [headers_of(letter) for letter in told.letters]
    found = {told["sha256"].decode(): int(told["cut_from_bytes"]) for told in headers if "sha256" in told}
    assert found == {hashlib.sha256(value).hexdigest(): len(value) for value in values}


SPEND = {"spend_id": "s", "brand": "acme", "day": "2026-11-11", "amount": 7, "currency": "CNY", "channel": "a\x00{}:b"}
BAD_SPEND: dict[str, bytes | None] = {
    "tombstone": None,
    "empty": b"",
    "framed": b"\x00\x00\x00\x00\x07{}",
    "year 0": orjson.dumps({**SPEND, "day": "0000-01-01"}),
    "year 9999": orjson.dumps({**SPEND, "day": "9999-12-31"}),
    "no such day": orjson.dumps({**SPEND, "day": "2026-02-30"}),
    "a line after the day": orjson.dumps({**SPEND, "day": "2026-11-11\n"}),
    "a line after the currency": orjson.dumps({**SPEND, "currency": "CNY\n"}),
    "2^64": orjson.dumps({**SPEND, "amount": 2**64 - 1}),
    "-1": orjson.dumps({**SPEND, "amount": -1}),
    "nested": b"[" * 60_000,
    "surrogate": orjson.dumps(SPEND)[:-1] + rb',"spend_id":"\ud800"}',
}
GOOD_SPEND = [
    {**SPEND, "spend_id": "x" * 128, "day": "1970-01-01"},
    {**SPEND, "spend_id": "\x00", "day": "2299-12-31", "amount": 10**15},
    {**SPEND, "spend_id": "'); DROP TABLE spend; --"},
]


def assert_clickhouse_has_them(deployment: Deployment, url: str, database: str, told: Told, good: Sequence[Touchpoint]) -> None:
    """The sink takes all that the worker told and the spend that is sound, and ends with the same figures."""
    spend = [*BAD_SPEND.values(), *map(orjson.dumps, GOOD_SPEND), *BAD_SPEND.values()]
    deployment.produce(("spend", i % 4, None, value, None) for i, value in enumerate(spend))
    settings = config(deployment.bootstrap, deployment.settings.topic_prefix, url, database, block_rows=5_000)
    stored = "SELECT (SELECT count() FROM transitions), (SELECT uniqExact(shard, version) FROM steps), (SELECT count() FROM spend)"
    wanted = [(len(told.transitions), len({(r.shard, r.version) for r in told.rollups}), len(GOOD_SPEND))]

    def is_stored() -> bool:
        try:
            return query(settings.clickhouse, stored) == wanted
        except Exception:
            return False

    with sink_process(settings) as sink:
        wait_until(lambda: sink.poll() is not None or is_stored(), "the sink to store it", 40)
        assert sink.poll() is None, sink.communicate()[1]
    ask = settings.clickhouse
    orders = [o for o in _distinct(good) if isinstance(o, Order)]
    assert Counter(query(ask, "SELECT brand, user_id, event_id, order_id, type, amount FROM orders")) == Counter(
        (o.brand, o.user_id, o.event_id, o.order_id, o.type, o.amount) for o in orders
    )
    assert Counter(query(ask, "SELECT brand, user_id, seq, to_layer, channel, cause_event_id FROM transitions")) == Counter(
        (t.brand, t.user_id, t.seq, t.to, t.touch.channel or "", t.cause.event_id or "") for t in told.transitions
    )
    touched = Counter({(t.brand, t.type, t.channel or "", t.campaign_id or "", t.store_id or ""): 0 for t in good})
    for brand, type_, channel, campaign, store, n in query(
        ask, "SELECT brand, type, channel, campaign_id, store_id, sum(touchpoints) FROM touch_minutes GROUP BY ALL"
    ):
        touched[brand, type_, channel, campaign, store] += n
    expected = Counter((t.brand, t.type, t.channel or "", t.campaign_id or "", t.store_id or "") for t in _distinct(good))
    assert touched == expected
    refused = dict(
        query(ask, "SELECT reason, sum(n) FROM (SELECT arrayJoin(dead_letters) AS d, d.1 AS reason, d.2 AS n FROM steps) GROUP BY reason")
    )
    assert refused == Counter(headers_of(letter)["reason"].decode() for letter in told.letters)
    assert sorted(query(ask, "SELECT spend_id, toString(day), amount, channel FROM spend")) == sorted(
        (s.spend_id, s.day, s.amount, s.channel) for s in msgspec.convert(GOOD_SPEND, list[Spend])
    )


def _distinct(good: Sequence[Touchpoint]) -> list[Touchpoint]:
    return list({(t.brand, t.user_id, t.event_id, t.type): t for t in good}.values())


class Still:
    """A record that can be read."""

    def headers(self) -> list[tuple[str, bytes]]:
        return [("a", b"1")]


def test_a_header_that_cannot_be_read_is_none_however_often_it_is_asked_for(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}unreadable"
    create_topics(kafka, [topic], 1)
    for _ in range(3):
        unreadable_header.send(kafka, topic, 0, b"value")
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(3, 20)
        for _ in range(100):
            assert read_headers(Still()) == [("a", b"1")]  # until the interpreter takes short cuts
        assert [read_headers(message) for message in messages for _ in range(3)] == [[]] * 9
        assert [message.value() for message in messages] == [b"value"] * 3
    finally:
        consumer.close()
