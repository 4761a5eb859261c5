"""The gate in front: silent topics, shards that are missing or stand still, sums that are not equal. The pipeline, never a flow."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from bench.days import poisson
from schemas.alert import Alert, AlertState, Severity
from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, from_rfc3339, to_rfc3339
from warroom.alerts.balance import Balance, Unbalanced
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.figures import settled
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import PipelineRule, Planned, Rules
from warroom.alerts.shards import Shards, waiting
from warroom.alerts.sources import Sources

START = from_rfc3339("2026-11-10T12:00:00Z")
LAG = 150.0
MEMBERSHIP = "touchpoints.membership"
WORTH = Worth(by_layer={}, gmv_an_hour=0.0)


def judge() -> Judge:
    return Judge(
        Facts(brand="acme", zone="Asia/Shanghai", currency="CNY"), Flows(shape_of(load_ladder("5r"), "acme")), BrandState(brand="acme")
    )


def minutes(count: int, silent_from: int, level: float = 1.0) -> list[Minute]:
    """Joins come by the topic of memberships; where that is silent, none do."""
    random = Random(5)
    found = []
    for i in range(count):
        joins = 0 if i >= silent_from else poisson(random, 100 * level)
        arrivals = {"touchpoints.interaction": poisson(random, 900 * level), MEMBERSHIP: joins}
        moves = {("R2", "R3"): {"wecom": joins}} if joins else {}
        found.append(Minute(at=START + i * MINUTE_MS, touches={"R2": round(1_000 * level)}, arrivals=arrivals, moves=moves))
    return found


def test_a_topic_that_falls_silent_is_the_pipeline_and_no_flow() -> None:
    """The alarm of the pipeline comes, and that alone, though every join is missing from the first minute on."""
    engine, told = judge(), []
    for i, minute in enumerate(minutes(330, silent_from=300)):
        told += [(i, alert) for alert in engine.gate(engine.silent_sources(Rules()), minute.at, Rules())]
        told += [(i, alert) for alert in engine.judge(minute, Rules(), WORTH, well=engine.state.down is None)]
    ((at, alert),) = told
    assert (alert.rule, alert.state) == ("pipeline_down", AlertState.FIRING)
    assert at <= 304
    assert MEMBERSHIP in alert.summary["en"]


def fed(engine: Judge, minute: Minute, *, quiet: float = 0.0) -> list[Alert]:
    """What is told of a minute and after it, as `Watch` asks."""
    told = engine.judge(minute, Rules(), WORTH, well=engine.state.down is None)
    return told + engine.gate(engine.silent_sources(Rules(), quiet=quiet), minute.at, Rules())


def empty(minute: Minute) -> Minute:
    return Minute(at=minute.at, touches={}, arrivals={}, moves={})


def halved(minute: Minute) -> Minute:
    """Half of the joins are still away."""
    joins = {channel: count // 2 for channel, count in minute.moves["R2", "R3"].items()}
    return replace(minute, moves={("R2", "R3"): joins})


def test_a_brand_of_which_nothing_comes_is_the_pipeline_until_it_is_back_and_no_flow_when_it_comes_back_unevenly() -> None:
    """Others go on, so minutes pass: the alarm comes as late as that of a standstill, ends with the first touchpoint, and flows are judged
    again when that has lasted."""
    engine, told, day = judge(), [], minutes(340, silent_from=340)
    for i, minute in enumerate(day):
        seen = empty(minute) if 300 <= i < 320 else halved(minute) if 320 <= i < 324 else minute
        told += [(i, alert) for alert in fed(engine, seen)]
    assert [(i, alert.rule, alert.state) for i, alert in told] == [
        (302, "pipeline_down", AlertState.FIRING),
        (320, "pipeline_down", AlertState.RESOLVED),
    ]
    assert "nothing comes of this brand" in told[0][1].summary["en"]


def test_when_a_topic_is_back_its_silence_is_held_against_no_flow() -> None:
    engine, told = judge(), []
    for i, minute in enumerate(minutes(400, silent_from=400)):
        silent = replace(minute, arrivals={**minute.arrivals, MEMBERSHIP: 0}, moves={})
        told += [(i, alert.rule) for alert in fed(engine, silent if 300 <= i < 330 else minute)]
    assert [rule for _, rule in told] == ["pipeline_down", "pipeline_down"]
    assert told[1][0] == 330


def test_where_nobody_has_any_input_no_minute_tells_and_the_clock_does() -> None:
    """All shards rest. Of a brand that brings five touchpoints a minute, that is told later."""
    busy, small = judge(), judge()
    for minute, few in zip(minutes(300, silent_from=300), minutes(300, silent_from=300, level=0.005), strict=True):
        assert fed(busy, minute) == fed(small, few) == []
    assert busy.silent_sources(Rules(), quiet=LAG - 1) == small.silent_sources(Rules(), quiet=LAG) == []
    assert busy.silent_sources(Rules(), quiet=LAG) == ["no input for 150 s"]
    assert small.silent_sources(Rules(), quiet=600.0) == ["no input for 600 s"]
    assert busy.silent_sources(Rules(pipeline=PipelineRule(enabled=False)), quiet=LAG) == []
    (down,) = busy.gate(busy.silent_sources(Rules(), quiet=LAG), START, Rules())
    (up,) = busy.gate(busy.silent_sources(Rules()), START, Rules())
    assert (down.state, up.state) == (AlertState.FIRING, AlertState.RESOLVED)
    # what passed in the meantime is judged now: empty minutes, of which later ones tell that it is over, and no flow
    for i, minute in enumerate(minutes(330, silent_from=330)[300:]):
        seen = empty(minute) if i < 20 else halved(minute) if i < 24 else minute
        assert busy.judge(seen, Rules(), WORTH, well=True) == []
        assert busy.silent_sources(Rules(), over=i < 20) == []


def test_a_night_in_which_nothing_came_yesterday_either_is_no_silence() -> None:
    sources = Sources()
    for i in range(2 * 24 * 60):
        night = 2 <= i // 60 % 24 < 7
        sources.add(Minute(at=START + i * MINUTE_MS, touches={}, arrivals={} if night else {MEMBERSHIP: 40}, moves={}))
        assert not (i >= 24 * 60 and sources.gone(LAG))
    for _ in range(4):
        sources.add(Minute(at=0, touches={}, arrivals={}, moves={}))
    assert sources.gone(LAG)


def test_few_records_are_no_silence() -> None:
    engine = judge()
    for minute in minutes(330, silent_from=300, level=0.005):
        assert engine.silent_sources(Rules()) == []
        engine.judge(minute, Rules(), WORTH, well=True)


def test_a_shard_that_stands_still_with_records_waiting_is_told_and_one_that_rests_is_not() -> None:
    shards = Shards()
    for second in range(200):
        stored = {0: (10 + second, START + second * 1000), 1: (7, START), 2: (3, START)}
        shards.look(float(second), stored, waiting([(11 + second, [5]), (7, [5]), (3, [5])], [[6], [9], [6]], stored))
        assert shards.standing(float(second), LAG) == (
            [] if second < LAG else [f"records of shard 1 wait and its figures stand at {to_rfc3339(START)}"]
        )
    shards.look(201.0, {1: (8, START)}, {1})
    assert shards.standing(201.0, LAG) == []


def test_a_shard_without_figures_is_told_if_it_has_records() -> None:
    shards = Shards()
    for second in (0.0, 100.0, 200.0):
        shards.look(second, {0: (5, START)}, waiting([(5, [9]), (0, [-1]), (0, [-1])], [[10], [4], [0]], {0: (5, START)}))
    assert shards.standing(200.0, LAG) == ["records of shard 1 wait and it has no figures yet"]


def rested(waiting_now: set[int], seconds: float = 61.0) -> Shards:
    """Three shards: the second is behind, the third has no figures at all."""
    shards = Shards()
    for now in (0.0, seconds):
        shards.look(now, {0: (5 + int(now), START + HOUR_MS), 1: (7, START)}, waiting_now)
    return shards


STORED = {0: (66, START + HOUR_MS), 1: (7, START)}
CLOCK = START + HOUR_MS + 30_000


def test_a_shard_that_rests_holds_nobody_back_and_the_last_minute_by_the_clock_is_waited_for() -> None:
    assert rested(set()).reached(61.0, STORED, 3, CLOCK) == CLOCK - MINUTE_MS
    assert rested(set()).reached(61.0, STORED, 3, CLOCK + HOUR_MS) == START + HOUR_MS


@pytest.mark.parametrize(
    ("waiting_now", "seconds", "clock", "reached"),
    [
        ({1}, 61.0, CLOCK, START),  # records of the second wait
        ({1, 2}, 61.0, CLOCK, 0),  # of the third too, and it has no figures yet
        (set(), 30.0, CLOCK, START),  # not for long enough
        (set(), 61.0, None, 0),  # events alone tell the time
    ],
)
def test_a_shard_that_is_late_holds_all_back(waiting_now: set[int], seconds: float, clock: int | None, reached: int) -> None:
    assert rested(waiting_now, seconds).reached(seconds, STORED, 3, clock) == reached


def test_without_a_look_nobody_rests_and_where_all_rest_nothing_is_new() -> None:
    assert rested(set()).reached(80.0, STORED, 3, CLOCK) == 0
    still = Shards()
    for now in (0.0, 61.0):
        still.look(now, STORED, set())
    assert still.reached(61.0, STORED, 2, CLOCK + HOUR_MS) == START


def test_what_is_applied_and_not_stored_waits() -> None:
    assert waiting([(5, [9, 3]), (6, [9, 3])], [[10, 4], [10, 4]], {0: (5, 0), 1: (5, 0)}) == {1}
    assert waiting([(5, [9, 3])], [], {0: (5, 0)}) == set()


def test_the_ledger_is_off_only_if_it_is_so_in_every_look() -> None:
    balance = Balance()
    lost = Unbalanced(brand="acme", where="flows by the minute", detail="of 12 transitions of the last day they count 11")
    on_its_way = Unbalanced(brand="", where="shard 2", detail="its last steps tell of 9 transitions, and 8 are stored")
    for look in range(5):
        found = {("acme", lost.where): lost} | ({("", on_its_way.where): on_its_way} if look != 2 else {})
        balance.look(look * 40.0, found)
    assert balance.lasting("acme", LAG) == [f"the ledger is out of balance: {lost.where}: {lost.detail}"]
    assert balance.lasting("nova", LAG) == []
    balance.look(300.0, found)
    assert len(balance.lasting("nova", LAG)) == 1
    balance.look(310.0, {})
    assert balance.lasting("acme", LAG) == []


def test_a_single_look_says_nothing_however_long_ago_it_was() -> None:
    balance = Balance()
    balance.look(0.0, {("", "x"): Unbalanced(brand="", where="x", detail="1 and 2")})
    assert balance.lasting("acme", 1.0) == []


def test_only_whole_minutes_are_weighed() -> None:
    for low in (START, START + 1, START + 59_999):
        assert settled(low) == (START - 5 * MINUTE_MS - DAY_MS, START - 5 * MINUTE_MS)


def test_in_a_planned_window_the_pipeline_is_down_as_planned() -> None:
    window = Planned(from_=to_rfc3339(START), to=to_rfc3339(START + 60 * MINUTE_MS), note="Kafka is moved")
    engine, rules = judge(), Rules(planned=(window,))
    (firing,) = engine.gate(["Kafka does not answer"], START + MINUTE_MS, rules)
    assert firing.scope == {"planned": "true"}
    assert firing.severity is Severity.INFO
    assert "Kafka is moved" in firing.summary["en"]
    (late,) = judge().gate(["Kafka does not answer"], START + 60 * MINUTE_MS, rules)
    assert late.severity is Severity.CRITICAL


def test_with_the_gate_switched_off_silence_is_nobodys_matter() -> None:
    engine, off = judge(), Rules(pipeline=PipelineRule(enabled=False))
    for minute in minutes(310, silent_from=300):
        assert engine.silent_sources(off) == []
        engine.judge(minute, off, WORTH, well=True)
