"""The measured events are what the bench says of them."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from bench.load import EVENING_MS, HOUR_MS, Load, number_of, passes, spread
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.touchpoint import Kind, Touchpoint
from schemas.validate import Validator

PARTITIONS = 4


def decoded(value: bytes) -> Touchpoint:
    return msgspec.json.decode(value, type=Touchpoint)


def test_the_mix_and_the_size_are_those_stated() -> None:
    events = list(spread(Load(1, 1_000, PARTITIONS), 40_000))
    kinds = Counter(event.kind for event in events)
    assert kinds[Kind.EXPOSURE] / len(events) == pytest.approx(0.70, abs=0.01)
    assert kinds[Kind.INTERACTION] / len(events) == pytest.approx(0.20, abs=0.01)
    assert kinds[Kind.MEMBERSHIP] / len(events) == pytest.approx(0.05, abs=0.005)
    assert kinds[Kind.ORDER] / len(events) == pytest.approx(0.05, abs=0.005)
    assert sum(len(event.value) for event in events) / len(events) == pytest.approx(220, abs=15)


def test_every_event_is_valid_and_lies_on_its_users_partition_in_order_of_time() -> None:
    validator = Validator(load_ladder("5r"), lambda: EVENING_MS + HOUR_MS)
    latest = 0
    for event in spread(Load(2, 500, PARTITIONS), 5_000):
        touchpoint = validator.validate(event.kind, event.value)
        assert isinstance(touchpoint, Touchpoint)
        assert event.key == touchpoint.user_id.encode()
        assert event.partition == partition_of(touchpoint.user_id, PARTITIONS)
        assert isinstance(touchpoint.occurred_at, int)
        assert latest <= touchpoint.occurred_at < EVENING_MS + HOUR_MS
        latest = touchpoint.occurred_at


def test_the_same_seed_gives_the_same_events_and_every_event_its_own_number() -> None:
    first, second = (list(spread(Load(3, 100, PARTITIONS, first=1 << 32), 2_000)) for _ in range(2))
    assert first == second
    assert [number_of(decoded(event.value).event_id) for event in first] == list(range(1 << 32, (1 << 32) + 2_000))


def test_a_refund_names_an_order_of_the_same_user() -> None:
    class Bought(msgspec.Struct):
        type: str
        user_id: str
        order_id: str
        amount: int

    orders = [msgspec.json.decode(e.value, type=Bought) for e in spread(Load(4, 300, PARTITIONS), 20_000) if e.kind is Kind.ORDER]
    bought = {order.order_id: order for order in orders if order.type == "purchase"}
    refunds = [order for order in orders if order.type == "refund"]
    assert len(refunds) > 20
    for refund in refunds:
        assert (bought[refund.order_id].user_id, bought[refund.order_id].amount) == (refund.user_id, refund.amount)


def test_passes_give_every_user_its_number_of_events() -> None:
    events = list(passes(Load(5, 900, PARTITIONS), 900, 1, 3))
    counts = Counter(event.key for event in events)
    assert len(events) == 300 * (1 + 2 + 3)
    assert abs(Counter(counts.values())[2] - 300) < 30  # refunds go to earlier buyers
    times = [decoded(event.value).occurred_at for event in events]
    assert times == sorted(times)


def test_more_partitions_than_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 255"):
        Load(1, 10, 255)
