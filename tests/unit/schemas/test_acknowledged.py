"""An acknowledgement is believed only where the record lies behind the one before."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_INVALID, Message

from schemas.acknowledged import Offsets


def record(offset: int, partition: int = 0) -> Message:
    return Message(topic="transitions", partition=partition, offset=offset)


def test_records_that_lie_one_behind_the_other_are_believed() -> None:
    offsets = Offsets()
    assert [offsets.wrong(record(offset)) for offset in (0, 1, 7)] == [None] * 3
    assert offsets.wrong(record(0, partition=1)) is None


@pytest.mark.parametrize(("offset", "told"), [(7, "7"), (6, "6"), (0, "0"), (-1, "None"), (OFFSET_INVALID, "None")])
def test_what_was_taken_for_a_repeat_is_no_proof(offset: int, told: str) -> None:
    offsets = Offsets()
    assert offsets.wrong(record(7)) is None
    assert offsets.wrong(record(offset)) == f"transitions [0]: expected an offset above 7, the broker acknowledged {told}"
    assert offsets.wrong(record(8)) is None
