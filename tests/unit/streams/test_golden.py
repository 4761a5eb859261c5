"""Every golden case, on every ladder it names, by every fold there is."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from schemas.ladder_file import SHIPPED
from streams.plain import Outcome, PlainTransition
from tests.golden.cases import Case, all_cases, ladder_named
from tests.golden.engine import Engine, PlainEngine
from tests.golden.fold_engine import FoldEngine
from tests.golden.notation import Move

ENGINES: dict[str, Engine] = {"plain": PlainEngine(), "fold": FoldEngine(batch=1), "fold in batches": FoldEngine(batch=7)}
"""The folds held to the golden cases; a new one is a line here."""

CASES = all_cases()


def _runs() -> list[Any]:
    return [
        pytest.param(case, ladder, engine, id=f"{engine}-{ladder}-{case.file}: {case.title}")
        for engine in ENGINES
        for case in CASES
        for ladder in case.expected
    ]


@pytest.mark.parametrize(("case", "ladder", "engine"), _runs())
def test_case_ends_as_told(case: Case, ladder: str, engine: str) -> None:
    result = ENGINES[engine].run(ladder_named(ladder), case.events)
    expected = case.expected[ladder]

    found: dict[tuple[str, str], list[PlainTransition]] = defaultdict(list)
    for transition in result.transitions:
        found[transition.brand, transition.user_id].append(transition)
    told: dict[tuple[str, str], list[Move]] = defaultdict(list)
    for move in expected.moves:
        told[move.brand, move.user].append(move)

    assert set(found) == set(told)
    for user, moves in told.items():
        assert [_seen_as(m, t) for m, t in zip(moves, found[user], strict=False)] == moves
        assert len(found[user]) == len(moves)
        assert [t.seq for t in found[user]] == list(range(1, len(moves) + 1))
    assert result.layers == expected.layers
    assert result.outcomes.count(Outcome.DUPLICATE) == case.duplicates
    assert result.outcomes.count(Outcome.JUNK) == case.junk
    assert result.figures == case.money


def _seen_as(told: Move, found: PlainTransition) -> Move:
    """The transition found, in the terms of what the case tells: what it leaves open is left open."""
    return Move(
        from_=found.from_,
        to=found.to,
        kind=found.kind,
        effective_at=found.effective_at,
        occurred_at=found.occurred_at,
        user=found.user_id,
        brand=found.brand,
        late=found.late,
        dwell_ms=found.dwell_ms,
        cause_type=None if told.cause_type is None else found.cause_type,
        cause_at=None if told.cause_at is None else found.cause_at,
        touch=None if told.touch is None else found.touch,
        first_touch=None if told.first_touch is None else found.first_touch,  # type: ignore[arg-type]
    )


def test_each_case_has_a_title_of_its_own() -> None:
    titles = [case.title for case in CASES]
    assert sorted(titles) == sorted(set(titles))


def test_each_case_speaks_of_both_shipped_ladders_or_of_a_variant() -> None:
    incomplete = [c.title for c in CASES if not (set(SHIPPED) <= set(c.expected) or set(c.expected) - set(SHIPPED))]
    assert incomplete == []


@pytest.mark.parametrize("ladder", SHIPPED)
def test_the_cases_reach_every_layer_and_leave_it(ladder: str) -> None:
    moves = [move for case in CASES if ladder in case.expected for move in case.expected[ladder].moves]
    layers = {layer.id for layer in ladder_named(ladder).layers}
    assert {move.to for move in moves} == layers
    assert {move.from_ for move in moves} == layers
