"""The engine on days drawn by hand: one alert for one drop, what it says, when it ends, and what holds it back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec
import pytest

from bench.days import binomial
from schemas.alert import Alert, AlertState, Severity
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS, from_rfc3339, to_rfc3339
from warroom.alerts.engine import BrandState, Facts, Judge, Worth, severity_of
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.minutes import Key, Minute
from warroom.alerts.origin import Split, origins, shares
from warroom.alerts.rules import Planned, Rules
from warroom.alerts.telling import Change, Stake

START = from_rfc3339("2026-11-10T12:00:00Z")
SHAPE = shape_of(load_ladder("5r"), "acme")
WORTH = Worth(by_layer={"R3": 5_000.0, "R4": 20_000.0}, gmv_an_hour=50_000_000.0)
FACTS = Facts(
    brand="acme",
    zone="Asia/Shanghai",
    currency="CNY",
    link="https://room/acme",
    changes=(Change(at=START + 300 * MINUTE_MS, text={"en": "target x1.2", "zh": "target x1.2"}),),
)
CHANNELS = {"wecom": 0.05, "store": 0.04, "mini_program": 0.04}
Keeps = Callable[[int, str, str], float]
"""What remains of a flow in a minute: by number, flow as `R2>R3`, channel."""


def all_of_it(_minute: int, _flow: str, _channel: str) -> float:
    return 1.0


def minutes(count: int, keeps: Keeps = all_of_it, level: Callable[[int], float] = lambda _: 1.0, seed: int = 1) -> list[Minute]:
    random = Random(seed)
    found = []
    for i in range(count):
        touches = {layer: round(1_000 * level(i)) for layer in ("R1", "R2", "R3")}
        flows = {("R2", "R3"): CHANNELS, ("R3", "R4"): {"tmall": 0.2}, ("R2", "R4"): {"tmall": 0.1}, ("R3", "R1"): {"wecom": 0.02}}
        moves = {
            pair: {c: binomial(random, touches[pair[0]], rate * keeps(i, f"{pair[0]}>{pair[1]}", c)) for c, rate in channels.items()}
            for pair, channels in flows.items()
        }
        found.append(Minute(at=START + i * MINUTE_MS, touches=touches, arrivals={}, moves=moves))
    return found


def judge(state: BrandState | None = None) -> Judge:
    return Judge(FACTS, Flows(SHAPE), state or BrandState(brand="acme"))


def test_where_it_comes_from_is_told_by_campaign_and_store_too() -> None:
    asked: list[tuple[Key, int, int]] = []

    def splitter(key: Key, since: int, end: int) -> Split:
        asked.append((key, since, end))
        count = (end - since) // MINUTE_MS
        return {
            "campaign_id": {"teaser": (6_000, 0), "always-on": (12_000, 25 * count)},
            "store_id": {"sh-1": (500, 13 * count), "sh-2": (500, 12 * count)},
        }

    engine = Judge(FACTS, Flows(SHAPE), BrandState(brand="acme"), splitter)
    day = minutes(310, half("R2>R3", 300, 310, "wecom"))
    firing = next(alert for one in day for alert in engine.judge(one, Rules(), WORTH, well=True))
    (key, since, end), *_ = asked
    assert key == Key("R2", "R3", "wecom")
    assert to_rfc3339(since) == firing.since
    assert to_rfc3339(end) == firing.at
    assert firing.scope == {"channel": "wecom", "campaign_id": "teaser"}
    assert "By campaign: teaser" in firing.summary["en"]
    assert "按活动：teaser" in firing.summary["zh"]
    assert "By store" not in firing.summary["en"]  # everywhere alike: no store accounts for it


def test_a_label_that_misses_no_more_than_its_part_says_nothing() -> None:
    assert [(one.label, round(one.share, 2)) for one in origins({"a": (100, 20), "b": (300, 300)}, 400)] == [("a", 1.0)]
    assert origins({"a": (100, 50), "b": (300, 150)}, 400) == []
    assert origins({}, 400) == origins({"a": (0, 5)}, 400) == []


def run(given: list[Minute], rules: Rules | None = None, well: Callable[[int], bool] = lambda _: True) -> list[tuple[int, Alert]]:
    engine = judge()
    return [(i, alert) for i, one in enumerate(given) for alert in engine.judge(one, rules or Rules(), WORTH, well=well(i))]


def half(pair: str, begin: int, end: int, channel: str | None = None, left: float = 0.5) -> Keeps:
    return lambda i, flow, c: left if flow == pair and begin <= i < end and channel in (None, c) else 1.0


def test_a_drop_in_one_channel_is_one_alert_that_names_it_and_ends_with_it() -> None:
    told = run(minutes(420, half("R2>R3", 300, 330, "wecom")))
    assert [alert.state for _, alert in told if alert.state is not AlertState.UPDATED] == [AlertState.FIRING, AlertState.RESOLVED]
    (at, firing), (over, resolved) = told[0], told[-1]
    assert 300 <= at <= 303
    assert 330 <= over <= 340
    assert firing.flow is not None
    assert (firing.flow.from_, firing.flow.to, firing.scope) == ("R2", "R3", {"channel": "wecom"})
    assert resolved.alert_id == firing.alert_id
    assert [alert.version for _, alert in told] == list(range(1, len(told) + 1))
    assert firing.observed is not None
    assert firing.expected is not None
    # what alarms in its first minute is what chance makes deeper than the half that it is
    assert 0.1 < firing.observed / firing.expected < 0.8
    # 1,000 touchpoints a minute, of which 5% usually join by wecom: half of 3,000 an hour
    assert firing.users_at_stake == pytest.approx(1_500, rel=0.6)
    assert firing.gmv_at_stake == pytest.approx((firing.users_at_stake or 0) * 5_000, rel=0.01)


def test_the_text_says_what_to_do_with_it_in_both_languages() -> None:
    (_, firing), *_ = run(minutes(320, half("R2>R3", 300, 320, "wecom")))
    for language in ("en", "zh"):
        whole = firing.title[language] + firing.summary[language]
        for part in ("R2→R3", "wecom", "01:0", "CNY", "10^-", "https://room/acme", "target x1.2"):
            assert part in whole, (language, part, whole)
    assert msgspec.json.decode(msgspec.json.encode(firing), type=Alert) == firing


@pytest.mark.parametrize("seed", range(2))
def test_a_day_without_a_drop_alarms_nobody_nor_does_a_rush(seed: int) -> None:
    assert run(minutes(700, level=lambda i: 40.0 if 360 <= i < 375 else 1.0, seed=seed)) == []


def test_a_drop_into_one_layer_is_told_once_with_the_flows_that_share_it() -> None:
    def keeps(i: int, flow: str, _channel: str) -> float:
        return 0.3 if flow in ("R3>R4", "R2>R4") and 300 <= i < 340 else 1.0

    told = run(minutes(420, keeps))
    assert len({alert.alert_id for _, alert in told}) == 1
    assert told[-1][1].state is AlertState.RESOLVED


def test_leaves_that_rise_are_a_reverse_flow() -> None:
    (_, firing), *_ = run(minutes(330, lambda i, flow, _: 4.0 if flow == "R3>R1" and i >= 300 else 1.0))
    assert (firing.rule, firing.flow and firing.flow.to) == ("reverse_flow_rise", "R1")
    assert "risen" in firing.title["en"]


def test_while_the_pipeline_is_down_and_just_after_no_flow_alarms() -> None:
    dropped = half("R2>R3", 300, 320, left=0.0)
    assert all(at >= 325 for at, _ in run(minutes(345, dropped), well=lambda i: not 295 <= i < 320))
    assert run(minutes(318, dropped), well=lambda i: i < 295) == []
    assert run(minutes(318, dropped)) != []


def test_what_begins_in_a_planned_window_is_told_as_planned() -> None:
    window = Planned(from_=to_rfc3339(START + 290 * MINUTE_MS), to=to_rfc3339(START + 350 * MINUTE_MS), note="the WeCom form is replaced")
    (_, firing), *_ = run(minutes(320, half("R2>R3", 300, 320)), Rules(planned=(window,)))
    assert firing.scope["planned"] == "true"
    assert firing.severity is Severity.INFO
    assert "the WeCom form is replaced" in firing.summary["en"]


def test_state_survives_a_restart_at_any_minute_with_nothing_doubled_or_lost() -> None:
    day = minutes(360, half("R2>R3", 300, 320, "wecom"))
    whole = [alert for _, alert in run(day)]
    for cut in (301, 303, 322):
        first = judge()
        told = [alert for one in day[:cut] for alert in first.judge(one, Rules(), WORTH, well=True)]
        kept = msgspec.json.decode(msgspec.json.encode(first.state), type=BrandState)
        second = judge(kept)
        for one in day[:cut]:
            assert second.judge(one, Rules(), WORTH, well=True) == []  # read again, judged once
        told += [alert for one in day[cut:] for alert in second.judge(one, Rules(), WORTH, well=True)]
        states = [(alert.alert_id, alert.version, alert.state) for alert in told if alert.state is not AlertState.UPDATED]
        assert [state for *_, state in states] == [AlertState.FIRING, AlertState.RESOLVED], cut
        assert len({(alert.alert_id, alert.version) for alert in told}) == len(told), cut
        assert told[0] == whole[0], cut


def test_severity_follows_the_money() -> None:
    rule = Rules().severity
    gmv = [50_000, 1_000_000, 6_000_000]
    assert [severity_of(Stake(users=1, gmv=one), WORTH, rule) for one in gmv] == [Severity.INFO, Severity.WARNING, Severity.CRITICAL]
    assert severity_of(Stake(users=1, gmv=None), WORTH, rule) is Severity.INFO


def test_shares_are_of_what_is_missing() -> None:
    assert [(one.label, round(one.share, 2)) for one in shares({"a": 30.0, "b": 10.0, "c": -5.0})] == [("a", 0.75), ("b", 0.25)]
    assert shares({"a": -1.0}) == []
