"""Worker processes on a real Kafka: they share shards, lose each other, meet broken and misplaced records, and leave on request."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import orjson
import pytest

from schemas.deadletter import Reason
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.times import to_rfc3339
from schemas.touchpoint import KINDS, Touchpoint
from schemas.transition import TransitionKind
from schemas.validate import FUTURE_MS, Validator
from sources.route import route
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from streams.outbox import FORWARDED_HEADER
from streams.plain import PlainFold
from tests.workers import ROOT, Deployment, Told, Worker, Written, assert_chained, headers_of

LADDER = load_ladder("5r")
T0 = time.time_ns() // 1_000_000 - 60_000
ANY_PARTITION = -1
"""where the producer's partitioner puts it: librdkafka's default is not Java's"""
STRICT: dict[str, Any] = {"intake": "strict", "clock": "event"}


@pytest.fixture
def deployment(tmp_path: Path, kafka: str, redis_url: str, topic_prefix: str, key_prefix: str) -> Iterator[Deployment]:
    with Deployment(tmp_path, kafka, redis_url, topic_prefix, key_prefix, session_timeout=3.0) as made:
        yield made.create_topics()


def in_order(events: int) -> list[bytes]:
    config = SimulatorConfig(LADDER, events=events, users=events // 6, seed=3, late=0, broken=0, retries=0, double_orders=0, text_times=0)
    return list(PromotionDay(config).lines())


def plain_transitions(lines: Sequence[bytes]) -> dict[tuple[str, str], list[Any]]:
    """What one event at a time gives of lines in order of time, at equal times as topics go."""
    judge, fold = Validator(LADDER, lambda: time.time_ns() // 1_000_000), PlainFold(LADDER)
    records = [(route(line).kind, judge.validate(route(line).kind, line)) for line in lines]
    found: dict[tuple[str, str], list[Any]] = {}
    ordered = sorted(records, key=lambda r: (r[1].occurred_at, KINDS.index(r[0])))
    transitions = [t for _, record in ordered for t in fold.apply(record)[1]] + fold.sweep()
    for t in transitions:
        found.setdefault((t.brand, t.user_id), []).append((t.seq, t.from_, t.to, t.kind, to_rfc3339(t.effective_at), t.cause_type, t.late))
    return found


def told_transitions(told: Told) -> dict[tuple[str, str], list[Any]]:
    return {
        user: [(t.seq, t.from_, t.to, t.kind.value, t.effective_at, t.cause.type, t.late) for t in chain]
        for user, chain in told.by_user().items()
    }


def assert_nothing_differs(deployment: Deployment) -> None:
    recomputed = deployment.recompute()
    assert recomputed.differences == []
    assert recomputed.missing == 0


def test_workers_share_shards_and_come_and_go_without_a_trace(deployment: Deployment) -> None:
    lines = in_order(9_000)
    everyone = set(range(4))
    one, two = deployment.start(**STRICT), deployment.start(**STRICT)
    deployment.until(
        lambda: one.running() | two.running() == everyone and not one.running() & two.running() and one.running() and two.running(),
        "two workers to share the shards",
    )
    done = deployment.replay(lines[:3_000], slice_records=300)
    deployment.until_applied(done.ends)

    three = deployment.start(**STRICT)
    done = deployment.replay(lines[3_000:6_000], slice_records=300)
    deployment.until(
        lambda: all(worker.running() for worker in (one, two, three)) and len(one.running() | two.running() | three.running()) == 4,
        "a third worker to get its share",
    )
    deployment.until_applied(done.ends)

    two.kill()
    killed = time.monotonic()
    done = deployment.replay(lines[6_000:], slice_records=300)
    deployment.until(lambda: one.running() | three.running() == everyone, "the shards of the killed worker to move on", 30)
    assert time.monotonic() - killed < 15
    deployment.until_applied(done.ends)

    assert three.stop() == 0, three.tail()
    deployment.until(lambda: one.running() == everyone, "the shards of the worker that left to move on", 20)
    began = time.monotonic()
    assert one.stop() == 0, one.tail()
    assert time.monotonic() - began < 10

    told = deployment.told()
    assert_chained(told, "R0")
    assert told_transitions(told) == plain_transitions(lines)
    assert sum(rollup.applied for rollup in told.rollups) == len(lines)
    assert_nothing_differs(deployment)


def test_a_worker_killed_at_work_and_its_heir_tell_the_same_story(deployment: Deployment) -> None:
    lines = in_order(12_000)
    done = deployment.replay(lines, slice_records=400)
    first = deployment.start(**STRICT)
    deployment.until(lambda: any(meta.version for meta in deployment.metas()), "a first step")
    first.kill()
    heir = deployment.start(**STRICT)
    deployment.until_applied(done.ends)
    assert heir.stop() == 0, heir.tail()
    told = deployment.told()
    assert_chained(told, "R0")
    assert told_transitions(told) == plain_transitions(lines)
    assert_nothing_differs(deployment)


def touchpoint(n: int, type_: str, user: str, **fields: Any) -> bytes:
    return orjson.dumps({"event_id": f"e{n}", "type": type_, "brand": "acme", "user_id": user, "occurred_at": T0 + n, **fields})


def place(user: str) -> int:
    return partition_of(user, 4)


def a_wrong_place(user: str) -> int:
    return (place(user) + 1) % 4


Broken = tuple[Reason, str, int, bytes | None, bytes | None, list[tuple[str, bytes]] | None]


def broken_records() -> list[Broken]:
    """(reason, topic, partition, key, value, headers) of one broken record for every reason there is, and some extreme ones."""
    order, interaction = "touchpoints.order", "touchpoints.interaction"
    far = orjson.dumps({"event_id": "x", "type": "like", "brand": "acme", "user_id": "u", "occurred_at": 8_200_000_000_000})
    found: list[Broken] = [
        (Reason.EMPTY, order, 0, b"k", None, None),
        (Reason.EMPTY, order, 1, None, b"", None),
        (Reason.TOO_LARGE, order, 2, b"k", b'{"a":"' + b"x" * 70_000 + b'"}', [("trace", b"1")]),
        (Reason.TOO_LARGE, order, 2, b"k" * 100_000, b"y" * 900_000, None),
        (Reason.INVALID_JSON, interaction, 3, b"\xff\x00", b"\xff\xfe{", None),
        (Reason.INVALID_JSON, interaction, 3, b"", b"[" * 5_000, None),
        (Reason.INVALID_FIELD, order, 0, b"u", touchpoint(1, "purchase", "u", order_id="o", amount=-1), None),
        (Reason.UNKNOWN_TYPE, interaction, 1, b"u", touchpoint(1, "telepathy", "u"), None),
        (Reason.WRONG_TOPIC, interaction, 2, b"u", touchpoint(1, "purchase", "u", order_id="o", amount=1), None),
        (Reason.FUTURE, interaction, 0, b"u", far, None),
        (Reason.WRONG_CURRENCY, order, 3, b"u", touchpoint(1, "purchase", "u", order_id="o", amount=1, currency="XTS"), None),
        (
            Reason.MISROUTED,
            interaction,
            a_wrong_place("lost"),
            b"lost",
            touchpoint(1, "like", "lost"),
            [(FORWARDED_HEADER, b"3:7"), ("trace", b"")],
        ),
    ]
    assert {reason for reason, *_ in found} == set(Reason)
    return found


def test_every_kind_of_broken_record_is_a_dead_letter_byte_for_byte_and_the_good_ones_beside_it_count(deployment: Deployment) -> None:
    good = [("touchpoints.interaction", place(f"u{n}"), b"k", touchpoint(n, "like", f"u{n}"), None) for n in range(200)]
    bad = broken_records()
    mixed = good[:100] + [record[1:] for record in bad] + good[100:]
    worker = deployment.start()
    ends = deployment.produce(mixed)
    deployment.until_applied(ends)
    told = deployment.told()
    found = Counter(
        (headers["reason"].decode(), headers["topic"].decode(), int(headers["partition"]), letter.key(), letter.value())
        for letter in told.letters
        for headers in [headers_of(letter)]
    )
    # Kafka's client reports an empty key or value as bytes, a missing one as None: both come back as they were.
    assert found == Counter((reason.value, topic, partition, _kept(key), value) for reason, topic, partition, key, value, _ in bad)
    for letter in told.letters:
        headers = headers_of(letter)
        assert headers["detail"]
        assert headers["attempts"] == b"1"
        assert headers["ce_type"] == b"rflow.deadletter.v1"
        assert letter.partition() == int(headers["partition"])
    assert sum(rollup.applied for rollup in told.rollups) == len(good)
    assert sum((Counter(rollup.dead_letters) for rollup in told.rollups), Counter()) == Counter(reason.value for reason, *_ in bad)
    assert [t.kind for t in told.transitions].count(TransitionKind.ADVANCE) == len(good)
    assert worker.metric("rflow_dead_letters_total") == len(bad)
    assert worker.stop() == 0, worker.tail()
    assert_nothing_differs(deployment)


def _kept(key: bytes | None) -> bytes | None:
    return key if key is None else key[:65_536]


def test_records_on_wrong_partitions_reach_their_users_shard_once_whatever_is_killed(deployment: Deployment) -> None:
    lines = in_order(4_000)
    records = []
    for line in lines:
        told = route(line)
        assert told.key is not None
        records.append((told.kind.topic, ANY_PARTITION, told.key, line, [("trace", b"t")]))
    deployment.produce(records)
    placed = [(message.partition(), message.key() or b"") for kind in KINDS for message in deployment.read(kind.topic)]
    assert [partition for partition, _ in placed] == [crc32(key) % 4 for _, key in placed], "librdkafka's partitioner is another one now"
    wrong = sum(partition != partition_of(key.decode(), 4) for partition, key in placed)
    assert wrong > 2_000
    for point in ("step.before_publish:3", "publish.inside_entry:5", "step.after_publish:4", "publish.acknowledged:6", "step.after_exec:3"):
        assert deployment.start(crash_point=point, group=point).wait() == -9
    # Two that send to each other, one of which is killed.
    worker, killed = deployment.start(group="last"), deployment.start(group="last", crash_point="step.before_publish:2")

    def all_applied() -> bool:
        return sum(rollup.applied + rollup.duplicates for rollup in deployment.told().rollups) >= len(lines)

    deployment.until(all_applied, "all records to be applied")
    killed.kill()
    assert worker.stop() == 0, worker.tail()
    told_at_last = deployment.told()
    assert sum(rollup.applied for rollup in told_at_last.rollups) == len(lines)
    assert sum(rollup.forwarded for rollup in told_at_last.rollups) == wrong
    assert not told_at_last.letters
    assert_chained(told_at_last, "R0")
    assert_nothing_differs(deployment)
    judge, fold = Validator(LADDER, lambda: time.time_ns() // 1_000_000), PlainFold(LADDER)
    for line in lines:
        record = judge.validate(route(line).kind, line)
        assert isinstance(record, Touchpoint)
        fold.apply(record)
    assert len(deployment.users()) == len(fold.users)
    rows = [row for rollup in told_at_last.rollups for row in rollup.orders]
    assert sum(row.amount for row in rows if row.type == "purchase") == fold.figures().gmv
    assert sum(row.refunded for row in rows) == fold.figures().refunds


def test_health_readiness_and_metrics(deployment: Deployment) -> None:
    worker = deployment.start()
    deployment.until(lambda: worker.get("/readyz")[0] == 200, "the worker to be ready")
    status, body = worker.get("/healthz")
    assert status == 200
    told = msgspec.json.decode(body)
    assert told["detail"]["state"] == "ready"
    assert set(told["detail"]["shards"]) == {"0", "1", "2", "3"}
    deployment.until_applied(deployment.produce([("touchpoints.interaction", place("ann"), b"ann", touchpoint(0, "like", "ann"), None)]))
    assert worker.metric("rflow_events_total", outcome="applied", type="like") == 1
    assert worker.metric("rflow_transitions_total", to="R2") == 1
    deployment.until(lambda: worker.metric("rflow_users", layer="R2") == 1, "the users by layer to be told")
    deployment.until(lambda: worker.metric("rflow_lag_records") == 0, "the lag to be told")
    assert worker.get("/nothing")[0] == 404
    assert worker.stop() == 0, worker.tail()
    assert not list(ROOT.glob(f"{deployment.settings.group}*")), "a worker left something in its working directory"


def test_a_record_refused_as_of_the_future_is_no_difference_when_its_time_has_come(deployment: Deployment) -> None:
    worker = deployment.start()
    deployment.until(lambda: worker.running() == {0, 1, 2, 3}, "the worker to be at work")
    now = time.time_ns() // 1_000_000
    records: list[Written] = []
    for n, (user, at) in enumerate((("ann", now + FUTURE_MS + 3_000), ("bob", now))):
        value = orjson.dumps({"event_id": f"e{n}", "type": "like", "brand": "acme", "user_id": user, "occurred_at": at})
        records.append(("touchpoints.interaction", place(user), user.encode(), value, None))
    deployment.until_applied(deployment.produce(records))
    assert [headers_of(letter)["reason"] for letter in deployment.told().letters] == [b"future"]
    deployment.until(lambda: time.time_ns() // 1_000_000 > now + 3_500, "what was too early to be early enough")
    assert_nothing_differs(deployment)
    assert set(deployment.users()) == {(place("bob"), "acme:bob")}
    assert worker.stop() == 0, worker.tail()


def test_figures_of_a_shard_that_has_moved_on_are_told_no_longer(deployment: Deployment) -> None:
    one = deployment.start()
    deployment.until_applied(deployment.produce([("touchpoints.interaction", n, None, touchpoint(n, "tick", ""), None) for n in range(4)]))
    deployment.until(lambda: _lag_shards(one) == {0, 1, 2, 3}, "the lag of all shards to be told")
    two = deployment.start()
    deployment.until(
        lambda: one.running() and two.running() and _lag_shards(one) == one.running(), "only the lag of what it holds to be told"
    )


def _lag_shards(worker: Worker) -> set[int]:
    lines = worker.get("/metrics")[1].decode().splitlines()
    return {int(line.split('shard="')[1].split('"')[0]) for line in lines if line.startswith(("rflow_lag_records{", "rflow_lag_seconds{"))}
