"""What must hold of the fold for any stream of touchpoints, however it is cut into steps. Every step encodes and decodes all it touches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ladder import Ladder
from schemas.rollup import OrderRow
from schemas.times import from_rfc3339
from schemas.touchpoint import PURCHASE, Kind, Order, Tick, Touchpoint
from schemas.transition import Transition
from streams.labels import Labels
from streams.pace import paces_told
from streams.plain import Outcome, PlainFold, PlainTransition
from streams.state import State
from tests.golden.cases import ladder_named
from tests.golden.engine import Event, Sweep
from tests.golden.fold_engine import MemoryShard, figures, plain
from tests.unit.streams.oracle import figures_of
from tests.unit.streams.strategies import (
    batches,
    consistent_records,
    crowded_ladders,
    ladders,
    merged_otherwise,
    wild_records,
    with_retries,
    with_sweeps,
)

User = tuple[str, str]
Records = list[Touchpoint | Tick]

few = settings(max_examples=60, deadline=None)


class Run:
    """A shard that has taken everything and swept to the last turn."""

    def __init__(self, ladder: Ladder, steps: Sequence[Sequence[Event]]) -> None:
        self.shard = MemoryShard(ladder)
        for step in steps:
            self._step(step)
        self.shard.sweep()

    def _step(self, events: Sequence[Event]) -> None:
        records: Records = []
        for event in events:
            if isinstance(event, Sweep):
                self.shard.step(records)
                self.shard.sweep()
                records = []
            else:
                records.append(event)
        self.shard.step(records)

    @property
    def transitions(self) -> dict[User, list[PlainTransition]]:
        """Each user's, in order."""
        found: dict[User, list[PlainTransition]] = defaultdict(list)
        for transition in self.shard.transitions:
            found[transition.brand, transition.user_id].append(plain(transition))
        return dict(found)

    def states(self) -> dict[User, Any]:
        """All that must not depend on the order of events, times absolute and labels spelt out."""
        assert self.shard.meta.watermark is not None or not self.shard.roster
        labels = Labels(self.shard.labels)
        return {user: self._state(user[0], state, labels) for user, state in self.shard.users().items()}

    def paces(self) -> dict[tuple[User, Kind], list[tuple[int, int]]]:
        """How many records have counted in which minutes, for each user and log that has any."""
        return {
            (user, kind): list(told.items())
            for user, state in self.shard.users().items()
            for kind, told in zip((Kind.EXPOSURE, Kind.INTERACTION), paces_told(state), strict=True)
            if told
        }

    def _state(self, brand: str, state: State, labels: Labels) -> Any:
        turn = self.shard.rules.brands[brand].calendar.last_turn(self.shard.meta.watermark or 0)
        base, text = state.base, labels.text
        return (
            state.layer,
            max(base + state.clock, turn),  # the sweep writes only users whose layer it changes
            [(base + t[0], base + t[1], [base + at for at in t[3::2]], t[4::2]) if t else () for t in state.touches],
            {(r.kind, r.id): (base + r.at, r.active) for r in state.relations or ()},
            {
                o.id: (None if o.paid is None else base + o.at, o.paid, dict(zip(o.refunds[::2], o.refunds[1::2], strict=True)))
                for o in state.orders or ()
            },
            None if state.first_at is None else (base + state.first_at, text(state.first_channel), text(state.first_campaign)),
            None
            if state.last_at is None
            else (
                base + state.last_at,
                *map(text, (state.last_channel, state.last_campaign, state.last_store, state.last_guide)),
            ),
        )


def _plain(ladder: Ladder, events: Sequence[Event]) -> tuple[PlainFold, list[Outcome], dict[User, list[PlainTransition]]]:
    fold = PlainFold(ladder)
    outcomes: list[Outcome] = []
    transitions: list[PlainTransition] = []
    for event in events:
        if isinstance(event, Sweep):
            transitions += fold.sweep()
        else:
            outcome, found = fold.apply(event)
            outcomes.append(outcome)
            transitions += found
    transitions += fold.sweep()
    by_user: dict[User, list[PlainTransition]] = defaultdict(list)
    for transition in transitions:
        by_user[transition.brand, transition.user_id].append(transition)
    return fold, outcomes, dict(by_user)


@few
@given(ladders(), consistent_records(), st.data())
def test_the_final_state_does_not_depend_on_the_order_of_events(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    one = Run(ladder, [records])
    other = Run(ladder, data.draw(batches(data.draw(st.permutations(records)))))
    assert one.states() == other.states()
    assert one.shard.meta.watermark == other.shard.meta.watermark
    assert one.shard.meta.census == other.shard.meta.census
    assert figures(one.shard.rollups) == figures(other.shard.rollups)


@few
@given(ladders(), consistent_records(retries=False), st.data())
def test_records_told_again_change_nothing(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    once = Run(ladder, [records])
    again = Run(ladder, data.draw(batches(data.draw(with_retries(records)))))
    assert again.states() == once.states()
    assert again.transitions == once.transitions
    assert again.shard.meta.census == once.shard.meta.census
    assert figures(again.shard.rollups) == figures(once.shard.rollups)


@few
@given(crowded_ladders(), wild_records(), st.data())
def test_where_steps_are_cut_and_when_is_swept_changes_nothing(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    whole = Run(ladder, [records])
    cut = Run(ladder, data.draw(batches(data.draw(with_sweeps(records)))))
    assert cut.transitions == whole.transitions
    assert cut.states() == whole.states()
    assert cut.paces() == whole.paces()
    assert cut.shard.outcomes == whole.shard.outcomes
    assert figures(cut.shard.rollups) == figures(whole.shard.rollups)
    assert _sums(cut) == _sums(whole)


@few
@given(crowded_ladders(), wild_records(), st.data())
def test_what_is_junk_does_not_depend_on_how_the_logs_are_merged(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    one = Run(ladder, [records])
    other = Run(ladder, data.draw(batches(data.draw(merged_otherwise(records)))))
    assert {key: n for key, n in _sums(one).items() if "junk" in (key, key[0])} == {
        key: n for key, n in _sums(other).items() if "junk" in (key, key[0])
    }
    assert one.paces() == other.paces()


@few
@given(crowded_ladders(), wild_records(), st.data())
def test_a_sweep_may_stop_and_go_on_anywhere_between_records(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    whole = Run(ladder, [records])
    other = MemoryShard(ladder)
    for record in records:
        other.step([record])
        if other.roster and data.draw(st.sampled_from((False, True))):
            begin = data.draw(st.integers(0, len(other.roster) - 1))
            _sweep_some(other, begin, data.draw(st.integers(1, 3)))
    other.sweep()
    swept: dict[User, list[PlainTransition]] = defaultdict(list)
    for transition in other.transitions:
        swept[transition.brand, transition.user_id].append(plain(transition))
    assert swept == whole.transitions
    assert other.meta.census == whole.shard.meta.census


def _sweep_some(shard: MemoryShard, begin: int, count: int) -> None:
    everyone, shard.roster = shard.roster, shard.roster[begin : begin + count]
    shard.sweep()
    shard.roster = everyone


@settings(max_examples=200, deadline=None)
@given(crowded_ladders(), wild_records(), st.data())
def test_the_fold_equals_the_plain_fold_transition_by_transition(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    events = data.draw(with_sweeps(records))
    expected, outcomes, transitions = _plain(ladder, events)
    found = Run(ladder, data.draw(batches(events)))
    assert found.transitions == transitions
    assert found.shard.outcomes == outcomes
    assert figures(found.shard.rollups) == expected.figures()
    assert found.shard.meta.watermark == expected.watermark
    assert found.paces() == {key: list(pace.minutes.items()) for key, pace in expected.paces.items()}
    for user, state in found.shard.users().items():
        assert state.layer == expected.users[user].layer
        assert state.seq == expected.users[user].seq


@few
@given(crowded_ladders(), wild_records(), st.data())
def test_transitions_chain(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    run = Run(ladder, data.draw(batches(data.draw(with_sweeps(records)))))
    rank = [layer.id for layer in ladder.layers].index
    chains: dict[User, list[Transition]] = defaultdict(list)
    for transition in run.shard.transitions:
        chains[transition.brand, transition.user_id].append(transition)
    for chain in chains.values():
        assert [t.seq for t in chain] == list(range(1, len(chain) + 1))
        assert [t.from_ for t in chain] == [ladder.layers[0].id, *(t.to for t in chain[:-1])]
        times = [from_rfc3339(t.effective_at) for t in chain]
        assert times == sorted(times)
        assert [t.dwell_ms for t in chain] == [None, *(b - a for a, b in pairwise(times))]
        assert all((t.direction == "forward") == (rank(t.to) > rank(t.from_)) for t in chain)
        assert all(t.occurred_at == t.effective_at for t in chain if t.kind == "decay")
    layers = {user: ladder.layers[state.layer].id for user, state in run.shard.users().items()}
    assert {user: chain[-1].to for user, chain in chains.items()} == {user: at for user, at in layers.items() if user in chains}
    assert all(at == ladder.layers[0].id for user, at in layers.items() if user not in chains)


@few
@given(ladders(), wild_records(), st.data())
def test_within_a_step_transitions_are_numbered_as_they_are_published(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    run = Run(ladder, data.draw(batches(data.draw(with_sweeps(records)))))
    indexes: dict[int, list[int]] = defaultdict(list)
    for t in run.shard.transitions:
        assert t.id == f"{t.shard}:{t.version}:{t.index}"
        indexes[t.version].append(t.index)
    assert all(found == list(range(len(found))) for found in indexes.values())
    assert list(indexes) == sorted(indexes)


@few
@given(wild_records(), st.data())
def test_without_windows_nothing_decays(records: Records, data: st.DataObject) -> None:
    run = Run(ladder_named("forever"), data.draw(batches(data.draw(with_sweeps(records)))))
    assert not [t for t in run.shard.transitions if t.kind == "decay"]


@few
@given(crowded_ladders(), wild_records(), st.data())
def test_the_census_counts_what_the_states_say(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    run = Run(ladder, data.draw(batches(data.draw(with_sweeps(records)))))
    counted: dict[str, list[int]] = defaultdict(lambda: [0] * len(ladder.layers))
    for (brand, _), state in run.shard.users().items():
        counted[brand][state.layer] += 1
    assert run.shard.meta.census == counted
    assert len(run.shard.roster) == len(set(run.shard.roster)) == len(run.shard.states)


@few
@given(crowded_ladders(), wild_records(), st.data())
def test_rollups_count_every_record_and_every_new_user_once(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    run = Run(ladder, data.draw(batches(records)))
    sums = _sums(run)
    outcomes = Counter(run.shard.outcomes)
    assert sums["applied"] == outcomes[Outcome.APPLIED]
    assert sums["duplicates"] == outcomes[Outcome.DUPLICATE]
    assert sums["junk"] == outcomes[Outcome.JUNK] == sum(n for key, n in sums.items() if key[0] == "junk" and key != "junk")
    assert sums["ticks"] == outcomes[Outcome.TICK]
    assert sum(n for key, n in sums.items() if key[0] == "touch") == outcomes[Outcome.APPLIED]
    assert sum(n for key, n in sums.items() if key[0] == "new") == len(run.shard.roster)
    assert sum(r.late for r in run.shard.rollups) <= outcomes[Outcome.APPLIED]


@few
@given(ladders(), consistent_records(), st.data())
def test_what_rows_say_is_refunded_adds_up_to_what_counts(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    run = Run(ladder, data.draw(batches(records)))
    rows: list[OrderRow] = [row for rollup in run.shard.rollups for row in rollup.orders]
    assert figures(run.shard.rollups) == figures_of(r for r in records if isinstance(r, Touchpoint))
    refunded: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        assert row.refunded >= 0
        refunded[row.brand, row.user_id, row.order_id] += row.refunded
    orders = {(r.brand, r.user_id, r.event_id): r for r in records if isinstance(r, Order)}.values()
    for (brand, user, order_id), total in refunded.items():
        own = [o for o in orders if (o.brand, o.user_id, o.order_id) == (brand, user, order_id)]
        paid = sum(o.amount for o in own if o.type == PURCHASE)
        assert total == min(paid, sum(o.amount for o in own if o.type != PURCHASE))


@few
@given(ladders(), consistent_records(), st.data())
def test_an_order_tells_what_brought_its_buyer_to_their_layer(ladder: Ladder, records: Records, data: st.DataObject) -> None:
    run = Run(ladder, [[event] for event in data.draw(with_sweeps(records))])
    for rollup in run.shard.rollups:
        for row in rollup.orders:
            own = [t for t in run.shard.transitions if (t.brand, t.user_id) == (row.brand, row.user_id)]
            # of the order's own step only decays come before it
            before = [t for t in own if t.version < rollup.version or (t.version == rollup.version and t.cause.event_id is None)]
            told = (row.layer_before, row.layer_channel, row.layer_store_id)
            last = before[-1] if before else None
            assert told == ((last.to, last.touch.channel, last.touch.store_id) if last else (ladder.layers[0].id, None, None))


def _sums(run: Run) -> Counter[Any]:
    """Everything in rollups that must add up to the same, however the steps were cut."""
    found: Counter[Any] = Counter()
    for rollup in run.shard.rollups:
        for touch in rollup.touches:
            key = (touch.minute, touch.brand, touch.type, touch.channel, touch.campaign_id, touch.store_id, touch.layer_before)
            found["touch", *key] += touch.touchpoints
            assert len(set(touch.users)) == len(touch.users) <= touch.touchpoints
        for new in rollup.new_users:
            found["new", new.minute, new.brand] += new.users
        for junk in rollup.junk_touches:
            found["junk", junk.minute, junk.brand, junk.type, junk.channel] += junk.records
        for name in ("applied", "duplicates", "junk", "late", "ticks"):
            found[name] += getattr(rollup, name)
    return found
