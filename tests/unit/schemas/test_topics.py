"""Each topic is agreed in one file."""

from __future__ import annotations

import pytest

from schemas import alert, promotion, rollup, transition
from schemas.generate import RECORDS
from schemas.rollup import MAX_BYTES as ROLLUP_BYTES
from schemas.topics import Topic
from schemas.touchpoint import KINDS, MAX_BYTES
from tests.unit.schemas.example_files import SCHEMAS, TOPICS

EVERY = pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.topic)


def test_every_topic_of_the_design_is_there() -> None:
    read = [kind.topic for kind in KINDS] + ["spend"]
    assert set(TOPICS) == {*read, "transitions", "rollups", "alerts", "deadletters", "promotions"} == set(RECORDS)
    assert [name for name, topic in TOPICS.items() if topic.direction == "in"] == sorted(read)


@EVERY
def test_a_file_is_named_after_its_topic(topic: Topic) -> None:
    assert (SCHEMAS / "topics" / f"{topic.topic}.yaml").is_file()
    assert topic.schema == f"json/{topic.topic}.v{topic.version}.schema.json"
    assert (SCHEMAS / topic.schema).is_file()


@EVERY
def test_a_topic_takes_what_is_written_to_it(topic: Topic) -> None:
    assert topic.max_message_bytes > max(MAX_BYTES, ROLLUP_BYTES)
    assert topic.max_message_bytes <= TOPICS["deadletters"].max_message_bytes


@EVERY
def test_what_cannot_be_processed_goes_to_a_topic_that_exists(topic: Topic) -> None:
    assert (topic.dead_letter_topic is not None) == (topic.topic in {kind.topic for kind in KINDS})
    assert topic.dead_letter_topic in (None, "deadletters")


def test_promotions_are_kept_for_ever_and_the_rest_for_its_time() -> None:
    assert TOPICS["promotions"].config() == {
        "cleanup.policy": "compact",
        "retention.ms": "-1",
        "max.message.bytes": "1048588",
        "message.timestamp.type": "LogAppendTime",
        "min.compaction.lag.ms": "604800000",
    }
    assert TOPICS["transitions"].config() == {
        "cleanup.policy": "delete",
        "retention.ms": "2592000000",
        "max.message.bytes": "1048588",
        "message.timestamp.type": "LogAppendTime",
    }


def test_the_types_of_cloud_events_are_those_in_the_code() -> None:
    told = {topic.topic: topic.ce_type for topic in TOPICS.values() if topic.ce_type is not None}
    assert told == {
        "transitions": transition.CE_TYPE,
        "rollups": rollup.CE_TYPE,
        "alerts": alert.CE_TYPE,
        "promotions": promotion.CE_TYPE,
        "deadletters": "rflow.deadletter.v1",
    }
    assert {topic.topic for topic in TOPICS.values() if topic.direction != "in"} == set(told)
