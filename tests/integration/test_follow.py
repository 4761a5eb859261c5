"""The subscriber's helper against a real Kafka: each transition once, from wherever one begins, and nothing missed without a word."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.follow import Batch, OtherLog, RecordsMissed, Subscriber
from schemas.positions import Position
from schemas.subscriber import Filter
from tests.integration.transition_log import TEMPLATE, Log
from tests.servers import wait_until


@pytest.fixture
def log(kafka: str, topic_prefix: str) -> Log:
    return Log(kafka, f"{topic_prefix}transitions")


def gather(subscriber: Subscriber, records: int) -> Batch:
    """So many records, repeats and all, as one batch."""
    whole = Batch(transitions=[], moves={})
    until = time.monotonic() + 30
    while len(whole.transitions) + whole.repeats + whole.unwanted + len(whole.unreadable) < records:
        assert time.monotonic() < until, f"expected {records} records, found {whole}"
        batch = subscriber.read(most=3, seconds=0.2)
        whole.transitions += batch.transitions
        whole.unreadable += batch.unreadable
        whole.repeats += batch.repeats
        whole.unwanted += batch.unwanted
    assert subscriber.read(seconds=0.1).transitions == []
    return whole


def ids(batch: Batch, shard: int) -> list[str]:
    return [one.id for one in batch.transitions if one.shard == shard]


def test_each_transition_is_taken_once_and_in_order_across_restarts(log: Log) -> None:
    log.tell(0, 1, 2, 4)
    log.tell(1, 1)
    with closing(log.follow()) as first:
        found = gather(first, 5)
        stored = dict(first.positions)
    assert ids(found, 0) == ["0:1:0", "0:2:0", "0:2:1", "0:4:0"]
    log.tell(0, 2, 4, 5)  # a worker was killed: its successor tells some steps again
    with closing(log.follow(positions=stored)) as second:
        again = gather(second, 5)
        assert again.repeats == 3
        assert ids(again, 0) == ["0:5:0", "0:5:1"]
        wait_until(lambda: second.read(seconds=0.1) and second.behind() == 0, "the end of the log")


def test_where_a_silent_partition_began_is_among_the_first_moves(log: Log) -> None:
    log.tell(0, 1, 2)
    with closing(log.follow(start="end")) as first:
        moves = first.read(seconds=0.1).moves
        assert {p: (move.before, move.after) for p, move in moves.items()} == {
            0: (None, Position(-1, -1, 3)),
            1: (None, Position(-1, -1, 0)),
        }
        assert first.read(seconds=0.1).moves == {}
    log.tell(0, 4)
    log.tell(1, 2)
    # While nobody followed: a start at the end that was not kept would have missed these.
    with closing(log.follow(positions={p: move.after for p, move in moves.items()}, start="end")) as second:
        assert sorted(one.id for one in gather(second, 3).transitions) == ["0:4:0", "1:2:0", "1:2:1"]


def test_it_starts_at_a_time_of_publishing(log: Log) -> None:
    log.tell(0, 1, 2)
    time.sleep(0.02)
    since = datetime.now(UTC)
    log.tell(0, 4)
    with closing(log.follow(start=since)) as subscriber:
        assert [one.id for one in gather(subscriber, 1).transitions] == ["0:4:0"]


WANTED = [
    (Filter(), ["0:1:0", "0:2:0", "0:2:1"]),
    (Filter(to={"R4"}), ["0:2:1"]),
    (Filter(channels=["shop"], from_=["R1"]), ["0:2:1"]),
    (Filter(kinds={"decay"}), []),
    (Filter(directions={"forward"}, brands={"acme"}), ["0:1:0", "0:2:0", "0:2:1"]),
    (Filter(brands={"other"}), []),
]


def test_what_is_not_wanted_is_counted_and_moves_the_position_all_the_same(log: Log) -> None:
    log.tell(0, 1, 2)
    for wanted, found in WANTED:
        with closing(log.follow(wanted=wanted)) as subscriber:
            batch = gather(subscriber, 3)
            assert [one.id for one in batch.transitions] == found, wanted
            assert batch.unwanted == 3 - len(found)
            assert subscriber.positions[0] == Position(2, 1, 3)


def test_what_is_no_transition_is_passed_over_and_told_and_what_is_new_in_one_no_mistake(log: Log) -> None:
    for value in (None, b"", b"{}", msgspec.json.encode(msgspec.structs.replace(TEMPLATE, shard=1))):
        log.put(0, value)
    later = msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(TEMPLATE, shard=0, version=1, index=0)))
    log.put(0, msgspec.json.encode({**later, "kind": "moved_house", "direction": "sideways", "mood": "good"}))
    with closing(log.follow()) as subscriber:
        batch = gather(subscriber, 5)
        assert [(one.partition, one.offset) for one in batch.unreadable] == [(0, 0), (0, 1), (0, 2), (0, 3)]
        assert "expected a transition of shard 0, found one of shard 1" in batch.unreadable[3].why
        assert [one.kind for one in batch.transitions] == ["moved_house"]
        assert subscriber.positions[0] == Position(1, 0, 5)


def test_a_log_that_has_been_cut_is_told_and_passed_over_only_on_demand(log: Log) -> None:
    log.tell(0, 1, 2, 4, 5)
    admin = AdminClient({**log.kafka})  # held by name until its answer is in
    for deleted in admin.delete_records([TopicPartition(log.topic, 0, 4)]).values():
        assert deleted.result(20).low_watermark == 4
    stored = {0: Position(1, 0, 1)}
    with pytest.raises(
        RecordsMissed, match=r"expected partition 0 of .* to reach back to offset 1, found that it begins at 4: 3 records are gone"
    ):
        log.follow(positions=stored)
    with closing(log.follow(positions=stored, accept_gap=True)) as subscriber:
        assert subscriber.missed == 3
        assert [one.id for one in gather(subscriber, 2).transitions] == ["0:5:0", "0:5:1"]


@pytest.mark.parametrize(
    ("positions", "message"),
    [({0: Position(9, 0, 77)}, "ends at 0: it is not the log that was followed"), ({5: Position(1, 0, 1)}, "to have partition 5, found 2")],
)
def test_another_log_is_refused(log: Log, positions: dict[int, Position], message: str) -> None:
    with pytest.raises(OtherLog, match=message):
        log.follow(positions=positions)


def test_a_topic_that_is_not_there_is_an_error_at_once(kafka: str, topic_prefix: str) -> None:
    with pytest.raises(KafkaException, match="UNKNOWN_TOPIC_OR_PART"):
        Subscriber({"bootstrap.servers": kafka}, topic=f"{topic_prefix}none")


def test_the_partitions_can_be_shared_out_by_hand(log: Log) -> None:
    log.tell(0, 1)
    log.tell(1, 1)
    with closing(log.follow(partitions=[1])) as subscriber:
        assert [one.id for one in gather(subscriber, 1).transitions] == ["1:1:0"]


HELPER = ("schemas.follow", "schemas.positions", "schemas.snapshot", "schemas.subscriber")
ALONE = """
import importlib, sys
allowed = {"msgspec", "confluent_kafka", "typing_extensions", "schemas"} | set(sys.stdlib_module_names)
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} - allowed))
"""


def test_the_helper_needs_msgspec_and_confluent_kafka_alone() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, *HELPER], cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.strip() == "[]"


def test_partitions_that_are_added_are_read_from_their_beginning_at_work_and_at_the_next_start(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schemas.follow._LOOK_S", 0.2)
    log.tell(0, 1)
    with closing(log.follow(start="end")) as first, closing(log.follow(start="end", partitions=[0, 1])) as some:
        before = {p: move.after for p, move in first.read(seconds=0.1).moves.items()}
        log.grow(4)
        log.tell(2, 1, 2)
        log.tell(3, 4)
        assert sorted(one.id for one in gather(first, 4).transitions) == ["2:1:0", "2:2:0", "2:2:1", "3:4:0"]
        assert first.positions[2] == Position(2, 1, 3)
        assert some.read(seconds=0.3).transitions == []
    with closing(log.follow(positions=before, start="end")) as second:
        assert sorted(one.id for one in gather(second, 4).transitions) == ["2:1:0", "2:2:0", "2:2:1", "3:4:0"]
