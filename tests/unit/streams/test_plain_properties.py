"""What must hold of the plain fold for any stream of touchpoints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.ladder import Ladder
from schemas.times import MINUTE_MS
from schemas.touchpoint import CATALOGUE, RELATIONS, Kind, Tick, Touchpoint
from streams.plain import Outcome, PlainFold, PlainTransition
from tests.golden.cases import ladder_named
from tests.golden.engine import Event, Sweep
from tests.unit.streams.oracle import figures_of, layer_of
from tests.unit.streams.strategies import consistent_records, crowded_ladders, instants, ladders, wild_records, with_retries, with_sweeps

User = tuple[str, str]
Records = list[Touchpoint | Tick]


def _run(ladder: Ladder, events: Sequence[Event]) -> tuple[PlainFold, dict[User, list[PlainTransition]]]:
    """The fold after the events and a last sweep, and each user's transitions."""
    fold = PlainFold(ladder)
    found: list[PlainTransition] = []
    for event in events:
        found += fold.sweep() if isinstance(event, Sweep) else fold.apply(event)[1]
    found += fold.sweep()
    by_user: dict[User, list[PlainTransition]] = defaultdict(list)
    for transition in found:
        by_user[transition.brand, transition.user_id].append(transition)
    return fold, by_user


def _state(fold: PlainFold) -> dict[User, Any]:
    """All that must not depend on the order of events."""
    return {
        key: (user.layer, user.clock, e.touches, e.relations, e.orders, e.first_touch, e.last_touch)
        for key, user in fold.users.items()
        for e in [user.evidence]
    }


def _touchpoints(records: Records) -> list[Touchpoint]:
    return [record for record in records if isinstance(record, Touchpoint)]


def _at(record: Touchpoint | Tick) -> int:
    assert isinstance(record.occurred_at, int)
    return record.occurred_at


@given(ladders(), consistent_records(), st.data())
def test_the_final_state_does_not_depend_on_the_order_of_events(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    one, _ = _run(ladder, records)
    other, _ = _run(ladder, data.draw(st.permutations(records)))
    assert _state(one) == _state(other)
    assert one.figures() == other.figures()
    assert one.watermark == other.watermark


@given(ladders(), consistent_records(retries=False), st.data())
def test_records_told_again_change_nothing(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    once, transitions = _run(ladder, records)
    again, same = _run(ladder, data.draw(with_retries(records)))
    assert _state(again) == _state(once)
    assert same == transitions
    assert again.figures() == once.figures()


@given(crowded_ladders(), wild_records(), st.data())
def test_it_does_not_matter_how_far_the_sweep_has_come(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    fold, transitions = _run(ladder, records)
    swept, same = _run(ladder, data.draw(with_sweeps(records)))
    assert same == transitions
    assert _state(swept) == _state(fold)


@given(crowded_ladders(), wild_records(), st.data())
def test_transitions_chain(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    fold, transitions = _run(ladder, data.draw(with_sweeps(records)))
    rank = [layer.id for layer in ladder.layers].index
    for key, chain in transitions.items():
        assert [t.seq for t in chain] == list(range(1, len(chain) + 1))
        assert [t.from_ for t in chain] == [ladder.layers[0].id, *(t.to for t in chain[:-1])]
        assert ladder.layers[fold.users[key].layer].id == chain[-1].to
        assert fold.users[key].seq == len(chain)
        assert [t.dwell_ms for t in chain] == [None, *(b.effective_at - a.effective_at for a, b in pairwise(chain))]
        assert all(t.dwell_ms is None or t.dwell_ms >= 0 for t in chain)
        for t in chain:
            assert (rank(t.to) > rank(t.from_)) == (t.kind == "advance")
            assert t.occurred_at == t.effective_at if t.kind == "decay" else t.occurred_at <= t.effective_at
            assert t.effective_at <= fold.users[key].clock
    for key, user in fold.users.items():
        assert user.seq == len(transitions.get(key, []))


@given(wild_records(), st.data())
def test_without_windows_nothing_decays(records: Records, data: st.DataObject) -> None:
    _, transitions = _run(ladder_named("forever"), data.draw(with_sweeps(records)))
    assert not [t for chain in transitions.values() for t in chain if t.kind == "decay"]


@given(ladders(), consistent_records())
def test_after_each_record_the_layer_is_what_the_set_of_evidence_gives_at_the_clock(ladder: Ladder, records: Records) -> None:
    fold = PlainFold(ladder)
    histories: dict[User, list[Touchpoint]] = defaultdict(list)
    for record in records:
        fold.apply(record)
        if isinstance(record, Touchpoint):
            key = record.brand, record.user_id
            histories[key].append(record)
            user = fold.users[key]
            assert ladder.layers[user.layer].id == layer_of(ladder, key[0], histories[key], user.clock)
    fold.sweep()
    for (brand, user_id), user in fold.users.items():
        assert ladder.layers[user.layer].id == layer_of(ladder, brand, histories[brand, user_id], user.clock)


@given(ladders(), consistent_records(), instants())
def test_the_layer_at_any_later_time_is_what_the_set_of_evidence_gives(ladder: Ladder, records: Records, later: int) -> None:
    fold, _ = _run(ladder, records)
    for brand, user_id in fold.users:
        history = [t for t in _touchpoints(records) if (t.brand, t.user_id) == (brand, user_id)]
        t = max(later, *map(_at, history))
        assert fold.layer_at(brand, user_id, t) == layer_of(ladder, brand, history, t)


@given(ladders(), consistent_records())
def test_events_in_order_of_time_give_the_true_history(ladder: Ladder, records: Records) -> None:
    """At any instant the last transition in effect leads to the layer that what had happened by then gives."""
    records = sorted(records, key=_at)
    fold, transitions = _run(ladder, records)
    for (brand, user_id), user in fold.users.items():
        history = [t for t in _touchpoints(records) if (t.brand, t.user_id) == (brand, user_id)]
        chain = transitions.get((brand, user_id), [])
        edges = {_at(t) for t in history} | {t.effective_at for t in chain} | {user.clock}
        for t in sorted({edge + shift for edge in edges for shift in (-1, 0, 1)}):
            if t <= user.clock:
                told = [ladder.layers[0].id, *(tr.to for tr in chain if tr.effective_at <= t)][-1]
                assert told == layer_of(ladder, brand, [h for h in history if _at(h) <= t], t)


@given(ladders(), consistent_records())
def test_first_and_last_touch_are_the_earliest_and_latest_that_take_nothing_back(ladder: Ladder, records: Records) -> None:
    fold, _ = _run(ladder, records)
    touches: dict[User, list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
    for t in _touchpoints(records):
        if t.type != "refund" and RELATIONS.get(t.type, ("", True))[1]:
            labels = tuple(label or "" for label in (t.channel, t.campaign_id, t.store_id, t.guide_id))
            touches[t.brand, t.user_id].append((_at(t), labels))
    for key, user in fold.users.items():
        first, last = user.evidence.first_touch, user.evidence.last_touch
        earliest = min(((at, labels[:2]) for at, labels in touches[key]), default=None)
        assert ((first.at, first.labels[:2]) if first else None) == earliest
        assert ((last.at, last.labels) if last else None) == max(touches[key], default=None)


@given(ladders(), consistent_records())
def test_money_is_that_of_the_distinct_orders(ladder: Ladder, records: Records) -> None:
    fold, _ = _run(ladder, records)
    assert fold.figures() == figures_of(_touchpoints(records))


@given(ladders(), wild_records())
def test_late_is_more_than_ten_minutes_behind_the_watermark(ladder: Ladder, records: Records) -> None:
    fold = PlainFold(ladder)
    highest = 0
    for record in records:
        _, found = fold.apply(record)
        highest = max(highest, _at(record))
        assert fold.watermark == highest
        assert all(t.late == (t.kind != "decay" and t.occurred_at < highest - 600_000) for t in found)


@given(crowded_ladders(), wild_records())
def test_of_a_minute_told_in_order_of_time_all_beyond_the_bound_is_junk(ladder: Ladder, records: Records) -> None:
    fold = PlainFold(ladder)
    told, junk = Counter[Any](), Counter[Any]()
    for record in sorted(records, key=_at):
        outcome, _ = fold.apply(record)
        if isinstance(record, Touchpoint):
            minute = record.brand, record.user_id, CATALOGUE[record.type], _at(record) // MINUTE_MS
            told[minute] += 1
            junk[minute] += outcome is Outcome.JUNK
    for minute, records_told in told.items():
        beyond = max(0, records_told - ladder.junk_above_of(minute[0]))
        assert junk[minute] == (beyond if minute[2] in (Kind.EXPOSURE, Kind.INTERACTION) else 0)


@given(crowded_ladders(), wild_records())
def test_junk_changes_nothing_but_the_watermark(ladder: Ladder, records: Records) -> None:
    """Without the junk, its times told by ticks instead, all is the same."""
    fold, heard = PlainFold(ladder), list[Event]()
    for record in records:
        junk = fold.apply(record)[0] is Outcome.JUNK
        heard.append(Tick(occurred_at=record.occurred_at) if junk else record)
    expected, transitions = _run(ladder, records)
    found, same = _run(ladder, heard)
    assert same == transitions
    assert _state(found) == _state(expected)
    assert found.figures() == expected.figures()
