"""What becomes of users when the ladder changes: every one as the new ladder says of what was kept, one transition each, no more."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.ladder import BrandOverride, Condition, Evidence, Ladder, Layer
from schemas.times import DAY_MS, from_rfc3339, to_rfc3339
from schemas.touchpoint import CATALOGUE, STRUCTS, Kind, Tick, Touchpoint
from schemas.transition import Transition, TransitionKind
from schemas.validate import FUTURE_MS
from streams.errors import LadderChanged, StateUnreadable
from streams.ladder import Rules
from streams.meta import Meta, Moving
from streams.plain import PlainFold
from streams.recompute import Passage, encode_rules, passage_of
from tests.golden.cases import ladder_named
from tests.golden.fold_engine import MemoryShard
from tests.unit.streams.strategies import consistent_records

Records = list[Touchpoint | Tick]
AT = from_rfc3339("2026-03-01T12:00:00+08:00")
FIVE = ladder_named("5r")


def relaid(ladder: Ladder, *, layers: str | None = None, version: int = 2, **parts: Any) -> Ladder:
    """The ladder as its next version, with only these of its layers, in this order."""
    by_id = {layer.id: layer for layer in ladder.layers}
    kept = tuple(by_id[name] for name in layers.split()) if layers else ladder.layers
    return replace(ladder, version=version, **{"layers": kept, **parts})


def with_conditions(ladder: Ladder, **any_: tuple[Condition, ...]) -> tuple[Layer, ...]:
    return tuple(replace(layer, any=any_.get(layer.id, layer.any)) for layer in ladder.layers)


def need(evidence: str, count: int = 1, days: int | None = None) -> Condition:
    return Condition(evidence=evidence, count=count, window_days=days)


RELAID = {
    "as it is": relaid(FIVE),
    "without R2": relaid(FIVE, layers="R0 R1 R3 R4 R5"),
    "without the highest": relaid(FIVE, layers="R0 R1 R2 R3 R4"),
    "in another order": relaid(FIVE, layers="R0 R3 R1 R2 R5 R4"),
    "a layer between": replace(
        relaid(FIVE),
        layers=(*FIVE.layers[:3], Layer(id="Both", name={}, any=(need("relation", 2), need("respond", 1, 30))), *FIVE.layers[3:]),
    ),
    "windows": replace(
        relaid(FIVE), layers=with_conditions(FIVE, R1=(need("reach", 1, 14),), R2=(need("respond", 1, 365),), R4=(need("order"),))
    ),
    "slots in another order": replace(relaid(FIVE), evidence=dict(reversed(FIVE.evidence.items()))),
    "slots renamed": replace(
        relaid(FIVE),
        evidence={
            "relation": FIVE.evidence["relation"],
            "seen": FIVE.evidence["reach"],
            "x": FIVE.evidence["respond"],
            "o": FIVE.evidence["order"],
        },
        layers=with_conditions(FIVE, R1=(need("seen", 1, 90),), R2=(need("x", 1, 90),), R4=(need("o", 1, 365),), R5=(need("o", 2, 365),)),
    ),
    "relations by kind": replace(
        relaid(FIVE), evidence={**FIVE.evidence, "relation": Evidence(topic=Kind.MEMBERSHIP, types=("contact_add", "contact_remove"))}
    ),
    "another turn": replace(relaid(FIVE), turn="13:00", brands={"zeta": BrandOverride(time_zone="America/New_York")}),
    "brands": ladder_named("brands"),
    "forever": ladder_named("forever"),
}
"""Ladders whose evidence the 5R ladder keeps in full: the states must be exact."""


def moved(records: Records, old: Ladder, new: Ladder, most: int = 1_000) -> MemoryShard:
    shard = MemoryShard(old)
    shard.step(records)
    shard.recompute(new, most)
    return shard


def plain(records: Records, ladder: Ladder) -> PlainFold:
    fold = PlainFold(ladder)
    for record in records:
        fold.apply(record)
    return fold


def chains(shard: MemoryShard) -> dict[tuple[str, str], list[Transition]]:
    found: dict[tuple[str, str], list[Transition]] = defaultdict(list)
    for transition in shard.transitions:
        found[transition.brand, transition.user_id].append(transition)
    return found


def census(shard: MemoryShard) -> dict[str, list[int]]:
    counted: dict[str, list[int]] = defaultdict(lambda: [0] * len(shard.rules.layers))
    for (brand, _), state in shard.users().items():
        counted[brand][state.layer] += 1
    return dict(counted)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(RELAID)), consistent_records(), consistent_records(max_size=12), st.integers(1, 3))
def test_every_user_stands_where_the_new_ladder_says(name: str, records: Records, later: Records, most: int) -> None:
    new = RELAID[name]
    shard = moved(records, FIVE, new, most)
    assert shard.meta.partial == {}
    assert shard.meta.moving is None
    assert (shard.meta.ladder, shard.meta.layers) == (new.id, [layer.id for layer in new.layers])
    expected = plain(records, new)
    for (brand, user), state in shard.users().items():
        assert new.layers[state.layer].id == expected.layer_at(brand, user, state.base + _clock(shard, brand, state.clock, state.base))
    assert shard.meta.census == census(shard)

    # And goes on under it.
    shard.step(later)
    shard.sweep()
    expected = plain([*records, *later], new)
    for (brand, user), state in shard.users().items():
        turn = shard.rules.brands[brand].calendar.last_turn(shard.meta.watermark or 0)
        assert new.layers[state.layer].id == expected.layer_at(brand, user, max(state.base + state.clock, turn))
    assert shard.meta.census == census(shard)
    _assert_chained(shard)


def _clock(shard: MemoryShard, brand: str, clock: int, base: int) -> int:
    """Where the sweep under the old ladder has left the clock of a user who was not written."""
    assert shard.meta.swept_to is not None
    return max(clock, Rules(FIVE).brands[brand].calendar.last_turn(shard.meta.swept_to) - base)


def _assert_chained(shard: MemoryShard) -> None:
    for chain in chains(shard).values():
        assert [t.seq for t in chain] == list(range(1, len(chain) + 1))
        assert [t.from_ for t in chain] == ["R0", *(t.to for t in chain[:-1])]
        times = [t.effective_at for t in chain]
        assert times == sorted(times)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(RELAID)), consistent_records(), st.integers(1, 4))
def test_who_stands_elsewhere_has_one_transition_and_nobody_else_has_any(name: str, records: Records, most: int) -> None:
    before = MemoryShard(FIVE)
    before.step(records)
    before.sweep()
    shard = moved(records, FIVE, RELAID[name], most)
    found = {user: [t for t in chain if t.kind is TransitionKind.RECOMPUTE] for user, chain in chains(shard).items()}
    swept = shard.meta.swept_to
    for user, state in shard.users().items():
        was, now = FIVE.layers[before.users()[user].layer].id, shard.rules.layers[state.layer]
        assert [(t.from_, t.to) for t in found.get(user, [])] == ([(was, now)] if was != now else [])
        for t in found.get(user, []):
            assert t.occurred_at == t.effective_at
            assert from_rfc3339(t.effective_at) == state.base + state.clock >= (swept or 0) - DAY_MS
            assert (t.cause.event_id, t.cause.type, t.cause.at, t.late, t.ladder) == (None, None, None, False, RELAID[name].id)


@settings(max_examples=15, deadline=None)
@given(consistent_records())
def test_there_and_back_everybody_stands_where_they_stood(records: Records) -> None:
    shard = moved(records, FIVE, RELAID["windows"])
    shard.recompute(relaid(FIVE, version=3), 2)
    once = MemoryShard(FIVE)
    once.step(records)
    once.sweep()
    assert {user: state.layer for user, state in shard.users().items()} == {user: state.layer for user, state in once.users().items()}
    assert shard.meta.census == once.meta.census


# --- single users -----------------------------------------------------------------------------------------------------------------
def touch(n: int, type_: str = "ad_exposure", *, day: float = 0, **own: Any) -> Touchpoint:
    at = AT + int(day * DAY_MS)
    return STRUCTS[CATALOGUE[type_]](event_id=f"e{n}", type=type_, brand="acme", user_id="u1", occurred_at=at, **own)


def test_a_layer_that_is_no_more_is_left_by_its_own_name() -> None:
    records: Records = [touch(1), touch(2, "like", day=1)]
    shard = moved(records, FIVE, RELAID["without R2"])
    last = shard.transitions[-1]
    assert (last.from_, last.to, last.direction, last.kind.value, last.seq) == ("R2", "R1", "reverse", "recompute", 3)
    assert last.dwell_ms == 0
    assert (last.touch.channel, last.first_touch.at) == (None, shard.transitions[0].first_touch.at)
    up = relaid(FIVE, layers="R0 R1 R3 R4 R5")
    up = replace(up, layers=with_conditions(up, R3=(need("respond", 1, 90),)))
    last = moved(records, FIVE, up).transitions[-1]
    assert (last.from_, last.to, last.direction) == ("R2", "R3", "forward")


def test_while_users_move_the_census_counts_the_layers_that_they_leave() -> None:
    records: Records = [touch(1, "like"), replace(touch(2, "like"), user_id="u2"), replace(touch(3), user_id="u3")]
    shard = MemoryShard(FIVE)
    shard.step(records)
    passage = Passage(shard.rules, Rules(RELAID["without R2"]))
    assert passage.layers == ("R0", "R1", "R2", "R3", "R4", "R5")
    shard.meta.layers = list(shard.rules.layers)
    assert [shard.meta.census["acme"][i] for i in (1, 2)] == [1, 2]
    shard.recompute(RELAID["without R2"], 2)
    assert shard.meta.layers == ["R0", "R1", "R3", "R4", "R5"]
    assert shard.meta.census == {"acme": [2, 1, 0, 0, 0]}


def test_a_brand_without_its_own_rules_follows_the_ladder_and_one_with_them_does_not() -> None:
    new = replace(RELAID["windows"], brands={"acme": BrandOverride(layers={"R1": FIVE.layers[1].any})})
    records: Records = [touch(1), replace(touch(2), brand="zeta"), Tick(occurred_at=AT + 20 * DAY_MS)]
    shard = moved(records, FIVE, new)
    assert {user[0]: shard.rules.layers[state.layer] for user, state in shard.users().items()} == {"acme": "R1", "zeta": "R0"}


def test_another_turn_takes_no_clock_back() -> None:
    """The old turn was at 04:00; by the new one, at 02:00, the user's clock might have stood two hours earlier."""
    shard = moved([touch(1), Tick(occurred_at=AT + 5 * DAY_MS)], FIVE, relaid(FIVE, turn="02:00"))
    assert [t.kind.value for t in shard.transitions] == ["advance"]
    shard.step([touch(2, "like", day=1)])
    assert shard.transitions[-1].effective_at == to_rfc3339(AT + 5 * DAY_MS - 8 * 3_600_000)


def test_of_a_larger_count_only_what_was_kept_counts_and_it_is_said() -> None:
    """Of several exposures the ladder before keeps the first and the last."""
    four = replace(ladder_named("four_exposures"), ladder="5r", version=2)
    records: Records = [touch(n, day=n) for n in range(4)]
    shard = moved(records, FIVE, four)
    state = shard.users()["acme", "u1"]
    assert state.touches[0] is not None
    assert state.touches[0][:3] == [0, 3 * DAY_MS, 4]
    assert state.touches[0][3::2] == [0, 3 * DAY_MS]
    assert shard.rules.layers[state.layer] == "R1"
    assert shard.meta.partial == {"reach": AT + 3 * DAY_MS + FUTURE_MS}
    # Two more make four that are known.
    shard.step([touch(4, day=4), touch(5, day=5)])
    assert shard.transitions[-1].to == "R2"


def test_of_a_smaller_count_nothing_is_missing() -> None:
    four = ladder_named("four_exposures")
    two = replace(four, version=2, layers=with_conditions(four, R2=(need("reach", 2, 30),)))
    shard = moved([touch(n, day=n) for n in range(5)], four, two)
    state = shard.users()["acme", "u1"]
    assert state.touches[0] is not None
    assert state.touches[0][3::2] == [3 * DAY_MS, 4 * DAY_MS]
    assert shard.meta.partial == {}
    back = replace(four, version=3)
    shard.recompute(back, 10)
    assert shard.meta.partial == {"reach": AT + 4 * DAY_MS + FUTURE_MS}


def test_evidence_of_other_types_goes_on_from_what_its_name_kept_and_a_new_one_begins_empty() -> None:
    new = replace(
        relaid(FIVE),
        evidence={
            **FIVE.evidence,
            "respond": Evidence(topic=Kind.INTERACTION, types=("qr_scan",)),
            "liked": Evidence(topic=Kind.INTERACTION, types=("like",)),
        },
        layers=with_conditions(FIVE, R3=(need("liked"),)),
    )
    shard = moved([touch(1, "like")], FIVE, new)
    assert shard.rules.layers[shard.users()["acme", "u1"].layer] == "R2"
    assert set(shard.meta.partial) == {"respond", "liked"}
    shard.step([touch(2, "like")])
    assert shard.rules.layers[shard.users()["acme", "u1"].layer] == "R3"
    # What is said of evidence goes with it through the next change.
    since = dict(shard.meta.partial)
    shard.recompute(replace(new, version=3), 10)
    assert shard.meta.partial == since


# --- whether it may be ------------------------------------------------------------------------------------------------------------
def asked(stands_on: Ladder, mine: Ladder, *, any_ladder: bool = False, **meta: Any) -> Passage | None:
    known = {stands_on.id: encode_rules(stands_on)}
    return passage_of(3, Meta(ladder=stands_on.id, census={"acme": [1]}, **meta), known, Rules(mine), any_ladder=any_ladder)


def test_a_newer_version_is_taken_and_the_same_needs_nothing() -> None:
    assert asked(FIVE, FIVE) is None
    assert asked(FIVE, relaid(FIVE)) is not None
    assert passage_of(0, Meta(), {}, Rules(FIVE), any_ladder=False) is None


def test_names_and_channels_may_change_under_the_same_version() -> None:
    other = replace(FIVE, channels={}, layers=tuple(replace(layer, name={"en": layer.id}) for layer in FIVE.layers))
    assert asked(FIVE, other) is None


@pytest.mark.parametrize(
    ("mine", "part"),
    [
        (replace(FIVE, turn="05:00"), "(turn)"),
        (replace(RELAID["windows"], version=1), "(layers)"),
        (replace(FIVE, brands={"acme": BrandOverride(turn="05:00")}), "(brands)"),
        (replace(RELAID["slots in another order"], version=1), "(the order of evidence)"),
    ],
)
def test_other_rules_under_the_same_version_are_refused(mine: Ladder, part: str) -> None:
    for any_ladder in (False, True):
        with pytest.raises(LadderChanged) as caught:
            asked(FIVE, mine, any_ladder=any_ladder)
        assert "shard 3" in str(caught.value)
        assert part in str(caught.value)


def test_an_older_version_and_another_ladder_need_an_operators_word() -> None:
    for stands_on, mine in ((relaid(FIVE), FIVE), (FIVE, ladder_named("forever"))):
        with pytest.raises(LadderChanged, match=f"expected ladder {stands_on.id}.*found {mine.id}.*--on-ladder-change recompute"):
            asked(stands_on, mine)
        assert asked(stands_on, mine, any_ladder=True) is not None


def test_what_cannot_be_done_right_is_refused_whatever_the_word() -> None:
    with pytest.raises(LadderChanged, match="expected the lowest layer of aipl@1 to be R0, as in 5r@1, found O"):
        asked(FIVE, ladder_named("aipl"), any_ladder=True)
    with pytest.raises(LadderChanged, match="expected 5r@2 to leave brand acme its currency CNY, found EUR"):
        asked(FIVE, relaid(FIVE, currency="EUR"))
    assert asked(FIVE, relaid(FIVE, brands={"new": BrandOverride(currency="EUR")})) is not None


def test_what_was_begun_is_ended_first_also_by_a_worker_with_a_still_newer_ladder() -> None:
    second, third = relaid(FIVE), relaid(FIVE, version=3)
    known = {ladder.id: encode_rules(ladder) for ladder in (FIVE, second)}
    meta = Meta(ladder=second.id, moving=Moving(ladder=FIVE.id, index=7))
    for mine in (second, third):
        passage = passage_of(0, meta, known, Rules(mine), any_ladder=False)
        assert passage is not None
        assert (passage.old.id, passage.new.id) == (FIVE.id, second.id)
    with pytest.raises(LadderChanged, match="expected ladder 5r@2"):
        passage_of(0, meta, known, Rules(FIVE), any_ladder=False)


def test_without_the_rules_that_users_stand_on_nothing_is_guessed() -> None:
    with pytest.raises(LadderChanged, match="expected ladder 5r@1, whose rules Redis does not hold"):
        passage_of(0, Meta(ladder="5r@1"), {}, Rules(relaid(FIVE)), any_ladder=True)
    assert passage_of(0, Meta(ladder="5r@1"), {}, Rules(FIVE), any_ladder=False) is None
    with pytest.raises(StateUnreadable, match="expected the rules of its ladders as this release writes them"):
        passage_of(0, Meta(ladder="5r@1"), {"5r@1": b"{}"}, Rules(FIVE), any_ladder=False)
