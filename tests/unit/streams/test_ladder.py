"""The ladder compiled: what each type does, per brand, and keys that can be read back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.ladder_file import load_ladder
from schemas.touchpoint import CATALOGUE, RELATIONS
from streams.ladder import Effect, Rules
from streams.predicate import NEVER
from streams.state import new_state
from tests.golden.cases import ladder_named

RULES = Rules(load_ladder("5r"))


@given(st.text(min_size=1, max_size=20), st.sampled_from(["", ":", "%", "%3A", "%25", "%253A"]))
def test_a_brands_key_holds_no_colon_and_leads_back_to_the_brand(name: str, spice: str) -> None:
    for brand in (name + spice, spice + name):
        key = RULES.brands[brand].key
        assert ":" not in key
        assert RULES.brand_of_key(key) is RULES.brands[brand]


def test_every_type_has_a_rule_and_only_what_takes_back_is_a_reversal() -> None:
    assert RULES.types.keys() == CATALOGUE.keys()
    reversals = {name for name, rule in RULES.types.items() if rule.reversal}
    assert reversals == {"refund", *(name for name, (_, active) in RELATIONS.items() if not active)}
    assert {name for name, rule in RULES.types.items() if rule.effect is Effect.RELATION} == set(RELATIONS)


def test_a_layer_from_which_a_brand_takes_all_conditions_never_holds() -> None:
    rules = Rules(ladder_named("brands"))
    state = new_state(0, len(rules.slots))
    respond = rules.layers.index("R2")
    assert rules.brands["zeta"].until[respond](state) == NEVER
    assert [respond in layers for slot in rules.brands["zeta"].above for layers in slot] == [False] * 24


def test_the_shards_last_turn_is_the_latest_of_any_brands() -> None:
    rules = Rules(ladder_named("brands"))
    turns = {brand: rules.brands[brand].calendar.last_turn(1_780_000_000_000) for brand in ("acme", "liberty", "evening")}
    assert len(set(turns.values())) == 3
    assert rules.last_turn(1_780_000_000_000) == max(turns.values())


def test_a_brand_that_the_ladder_does_not_name_goes_by_the_ladders_own_rules() -> None:
    named, plain = ladder_named("brands"), load_ladder("5r")
    stranger = Rules(named).brands["never-heard-of"]
    assert "never-heard-of" not in named.brands
    assert named.conditions(stranger.name) == tuple(layer.any for layer in named.layers) == plain.conditions("acme")
    assert (stranger.currency, named.calendar(stranger.name)) == (named.currency, (named.time_zone, named.turn))
