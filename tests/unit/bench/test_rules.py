"""The idiomatic version does the same task: the layers of 5R."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.rules import DAY_MS, apply, layer_of, new_user


def after(*events: dict[str, Any]) -> dict[str, Any]:
    user = new_user()
    for event in events:
        apply(user, SimpleNamespace(**{"occurred_at": 1_000, **event}))
    return user


BUY = {"type": "purchase", "order_id": "a", "amount": 5}
CASES: list[tuple[list[dict[str, Any]], str]] = [
    ([], "R0"),
    ([{"type": "ad_exposure"}], "R1"),
    ([{"type": "ad_exposure"}, {"type": "qr_scan"}], "R2"),
    ([{"type": "group_join", "relation_id": "g"}], "R3"),
    ([{"type": "qr_scan"}, {"type": "group_join", "relation_id": "g"}, {"type": "group_leave", "relation_id": "g"}], "R2"),
    ([BUY], "R4"),
    ([BUY, {**BUY, "order_id": "b"}], "R5"),
    ([BUY, {**BUY, "type": "refund"}], "R0"),
]


@pytest.mark.parametrize(("events", "layer"), CASES)
def test_layer(events: list[dict[str, Any]], layer: str) -> None:
    assert after(*events)["layer"] == layer


def test_evidence_lapses() -> None:
    user = after({"type": "ad_exposure"}, {"type": "qr_scan", "occurred_at": DAY_MS})
    assert [layer_of(user, at) for at in (90 * DAY_MS, 91 * DAY_MS)] == ["R2", "R0"]
