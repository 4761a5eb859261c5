from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from schemas.deadletter import InvalidRecord, Reason
from schemas.ladder_file import load_ladder
from schemas.spend import Spend
from schemas.touchpoint import CATALOGUE, Order, Touchpoint
from sources.errors import SourceError
from sources.route import route
from sources.simulator.config import BREAKABLE, SimulatorConfig
from sources.simulator.curve import at_base_rate
from sources.simulator.day import PromotionDay
from sources.simulator.drop import parse_drop
from sources.simulator.spend import spend_lines
from sources.simulator.tally import Tally
from tests.unit.sources.ladder5r import Ladder5R
from tests.unit.sources.touchpoints import VALIDATOR

LADDER = load_ladder("5r")
CLEAN: dict[str, Any] = {"late": 0, "broken": 0, "retries": 0}
MINUTE = 60_000


def config(**changes: Any) -> SimulatorConfig:
    return SimulatorConfig(LADDER, **{"users": 3_000, "events": 30_000, **changes})


def simulate(**changes: Any) -> tuple[list[bytes], Tally]:
    day = PromotionDay(config(**changes))
    return list(day.lines()), day.tally


def read(line: bytes) -> Touchpoint:
    touchpoint = VALIDATOR.validate(route(line).kind, line)
    assert isinstance(touchpoint, Touchpoint)
    return touchpoint


def time_of(touchpoint: Touchpoint) -> int:
    assert isinstance(touchpoint.occurred_at, int)
    return touchpoint.occurred_at


@pytest.fixture(scope="module")
def clean() -> tuple[list[Touchpoint], Tally]:
    lines, tally = simulate(**CLEAN)
    return [read(line) for line in lines], tally


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    digest = hashlib.sha256(b"\n".join(simulate()[0])).hexdigest()
    program = (
        "import hashlib; from tests.unit.sources.test_simulator import simulate;"
        "print(hashlib.sha256(b'\\n'.join(simulate()[0])).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.check_output([sys.executable, "-c", program], env=environment, text=True).strip() == digest
    assert simulate(seed=2)[0] != simulate()[0]


def test_a_clean_day_is_in_order_of_time_and_every_line_is_valid(clean: tuple[list[Touchpoint], Tally]) -> None:
    touchpoints, tally = clean
    times = [time_of(touchpoint) for touchpoint in touchpoints]
    assert times == sorted(times)
    assert len(touchpoints) == tally.lines == 30_000
    assert config().start_ms <= times[0] <= times[-1] < config().start_ms + 30 * 3_600_000
    assert len({touchpoint.event_id for touchpoint in touchpoints}) == 30_000


def test_every_type_and_every_flow_occurs(clean: tuple[list[Touchpoint], Tally]) -> None:
    touchpoints, tally = clean
    assert {touchpoint.type for touchpoint in touchpoints} == set(CATALOGUE)
    assert {"R0>R1", "R1>R2", "R2>R3", "R3>R4", "R4>R5", "R5>R4", "R3>R2", "R0>R4", "R1>R4", "R4>R2"} <= set(tally.flows)
    assert {touchpoint.brand for touchpoint in touchpoints} == {"acme", "nova", "山茶"}
    assert any(not touchpoint.user_id.isascii() for touchpoint in touchpoints)
    assert any(touchpoint.store_id and not touchpoint.store_id.isascii() for touchpoint in touchpoints)
    assert {touchpoint.channel for touchpoint in touchpoints} == set(LADDER.channels)


def test_the_tally_says_what_a_processor_finds(clean: tuple[list[Touchpoint], Tally]) -> None:
    touchpoints, tally = clean
    ladder = Ladder5R()
    for touchpoint in touchpoints:
        ladder.apply(touchpoint)
    assert ladder.flows == tally.flows
    orders: Counter[str] = Counter()
    gmv: Counter[str] = Counter()
    for (brand, _), person in ladder.people.items():
        orders[brand] += len(person.paid)
        gmv[brand] += sum(person.paid.values())
    assert (+orders, +gmv) == (tally.orders, tally.gmv)
    purchases = sum(touchpoint.type == "purchase" for touchpoint in touchpoints)
    assert purchases == tally.orders.total() + tally.double_orders
    assert tally.lines == tally.touchpoints + tally.double_orders


def test_refunds_are_partial_full_beyond_what_was_paid_and_before_their_purchase(clean: tuple[list[Touchpoint], Tally]) -> None:
    paid: dict[str, int] = {}
    ways: Counter[str] = Counter()
    for order in (touchpoint for touchpoint in clean[0] if isinstance(touchpoint, Order)):
        if order.type == "purchase":
            paid.setdefault(order.order_id, order.amount)
        elif order.order_id not in paid:
            ways["before"] += 1
        else:
            ways["beyond" if order.amount > paid[order.order_id] else "full" if order.amount == paid[order.order_id] else "partial"] += 1
    assert min(ways[way] for way in ("before", "beyond", "full", "partial")) > 5
    assert 0 in paid.values()


def test_the_rush_comes_at_midnight_within_seconds_and_as_high_as_asked() -> None:
    day = at_base_rate(config(hours=12, **CLEAN), rate=1)
    midnight = config().start_ms + 6 * 3_600_000
    seconds = Counter((time_of(read(line)) - midnight) // 1000 for line in PromotionDay(day).lines())
    assert seconds.total() == day.events
    assert sum(seconds[second] for second in range(2, 12)) / 10 == pytest.approx(56, rel=0.1)
    assert sum(seconds[second] for second in range(-10, 0)) / 10 < 10
    # Early in the evening it is as busy as that evening's rhythm says, about twice the day's mean.
    assert 1 < sum(seconds[second] for second in range(-18_000, -14_400)) / 3600 < 3


def test_without_a_peak_there_is_no_rush() -> None:
    flat, _ = simulate(hours=12, peak=1, **CLEAN)
    minutes = Counter(time_of(read(line)) // MINUTE for line in flat)
    assert max(minutes.values()) < 4 * 30_000 / 720


def test_late_broken_and_repeated_lines_come_as_often_as_asked_and_are_counted() -> None:
    lines, tally = simulate(late=0.02, broken=0.05, retries=0.03, double_orders=0.1)
    assert len(lines) == tally.lines == 30_000
    assert tally.lines == tally.touchpoints + tally.broken.total() + tally.retries + tally.double_orders
    reasons: Counter[str] = Counter()
    known: dict[str, bytes] = {}
    highest = late = repeats = 0
    for line in lines:
        try:
            touchpoint = read(line)
        except InvalidRecord as invalid:
            reasons[invalid.reason.value] += 1
            continue
        late += time_of(touchpoint) < highest - 10 * MINUTE
        highest = max(highest, time_of(touchpoint))
        repeats += touchpoint.event_id in known
        assert known.setdefault(touchpoint.event_id, line) == line
    assert reasons == tally.broken
    assert set(reasons) == {reason.value for reason in BREAKABLE}
    assert late == pytest.approx(tally.late - tally.broken.total() * 0.02, rel=0.1)
    # A line told again while its first telling is still held back as late is the first then; either way one is a repeat.
    assert repeats == tally.retries
    for share, count in ((0.02, tally.late), (0.05, tally.broken.total()), (0.03, tally.retries)):
        assert count == pytest.approx(30_000 * share, rel=0.15)
    assert tally.double_orders == pytest.approx(tally.orders.total() * 0.1, rel=0.2)


def test_retries_come_soon_after() -> None:
    lines, _ = simulate(retries=0.05, late=0, broken=0)
    first: dict[bytes, int] = {}
    distances = [i - first[line] for i, line in enumerate(lines) if first.setdefault(line, i) != i]
    assert distances
    assert max(distances) <= 60


def test_a_reason_that_is_left_out_does_not_come() -> None:
    _, tally = simulate(broken=0.05, broken_reasons=(Reason.INVALID_JSON,))
    assert set(tally.broken) == {"invalid_json"}


Steps = list[tuple[int, str, str | None, str]]


def steps(*drops: str) -> Steps:
    """The steps people make on the evening before the sale."""
    lines, _ = simulate(events=40_000, users=10_000, hours=3, drops=tuple(map(parse_drop, drops)), **CLEAN)
    ladder = Ladder5R()
    for line in lines:
        ladder.apply(read(line))
    return ladder.steps


def in_the_drop(steps: Steps, step: str, channel: str | None = None, brand: str | None = None) -> int:
    """How often a step is made from 20:10 to 20:40."""
    begin = config().start_ms + 130 * MINUTE
    return sum(
        begin <= at < begin + 30 * MINUTE and made == step and brand in (None, in_brand) and channel in (None, through)
        for at, in_brand, through, made in steps
    )


def test_a_drop_takes_its_share_of_one_flow_at_its_time_and_of_nothing_else() -> None:
    usual = steps()
    often = in_the_drop(usual, "R1>R2")
    assert often > 400
    for share in (0.5, 1.0):
        dropped = steps(f"R1>R2@20:10-20:40:{share}")
        assert in_the_drop(dropped, "R1>R2") == pytest.approx(often * (1 - share), rel=0.15)
        assert in_the_drop(dropped, "R0>R1") == pytest.approx(in_the_drop(usual, "R0>R1"), rel=0.2)
        before = [sum(step[3] == "R1>R2" for step in some) - in_the_drop(some, "R1>R2") for some in (usual, dropped)]
        assert before[1] == pytest.approx(before[0], rel=0.1)


def test_a_drop_can_be_of_one_channel_and_brand() -> None:
    dropped = steps("R1>R2@20:10-20:40:1,channel=mini_program,brand=acme")
    assert in_the_drop(dropped, "R1>R2", "mini_program", "acme") == 0
    assert in_the_drop(dropped, "R1>R2", "mini_program", "nova") > 5
    assert in_the_drop(dropped, "R1>R2", "store", "acme") > 5


def test_a_drop_that_lets_nobody_do_anything_gives_fewer_lines() -> None:
    drops = tuple(parse_drop(f"R0>R{layer}@00:00-24:00:1") for layer in (1, 2, 3, 4))
    lines, tally = simulate(users=3, events=100, drops=drops, **CLEAN)
    assert len(lines) == tally.lines < 100
    assert not tally.flows


@pytest.mark.parametrize("events", [0, 1, 7, 1000])
@pytest.mark.parametrize("hours", [0.01, 1, 48])
def test_there_are_as_many_lines_as_asked_for(events: int, hours: float) -> None:
    lines, _ = simulate(events=events, hours=hours, users=3)
    assert len(lines) == events


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"users": 2}, "one user a brand"),
        ({"brands": ()}, "at least one brand"),
        ({"brands": ("a", "a")}, "each brand once"),
        ({"brands": ("",)}, "1 to 128 characters"),
        ({"start": datetime.fromisoformat("2025-11-10T18:00:00+08:00")}, "a start without an offset"),
        ({"hours": 0}, "from a second to 31 days"),
        ({"peak": 0.5}, "a peak of 1 to 1000"),
        ({"late": 1.5}, "shares from 0 to 1"),
        ({"broken": 0.6, "retries": 0.6}, "some sound lines"),
        ({"events": -1}, "no negative number"),
        ({"broken_reasons": (Reason.EMPTY,)}, "ways to break a line among"),
        ({"broken_reasons": ()}, "ways to break a line among"),
    ],
)
def test_a_day_that_cannot_be_is_refused_with_what_was_expected(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(SourceError, match=expected):
        config(**changes)


def test_the_sale_begins_at_the_first_midnight_from_the_start_on() -> None:
    assert config().sale_day == date(2025, 11, 11)
    assert config(start=datetime(2025, 11, 11)).sale_day == date(2025, 11, 11)
    lines, _ = simulate(start=datetime(2025, 11, 11), hours=1, **CLEAN)
    assert {json.loads(line).get("campaign_id") for line in lines} == {"d11-main", "d11-midnight", "双11会场", None}


def test_spend_is_told_for_every_campaign_and_adds_up_to_about_its_budget() -> None:
    records = [msgspec.json.decode(line, type=Spend) for line in spend_lines(config())]
    assert len({record.spend_id for record in records}) == len(records) == 3 * 2 * 7 * 3
    assert {record.day for record in records} == {"2025-11-10", "2025-11-11"}
    assert {record.currency for record in records} == {"CNY"}
    assert sum(record.amount for record in records) == pytest.approx(30_000 * 900, rel=0.1)
    assert list(spend_lines(config())) == list(spend_lines(config()))


def test_times_of_equal_value_are_rare_enough_to_slice(clean: tuple[list[Touchpoint], Tally]) -> None:
    same = sum(a.occurred_at == b.occurred_at for a, b in pairwise(clean[0]))
    assert same < 300
