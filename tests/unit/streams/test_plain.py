"""The plain fold's questions and edges that are no rule of the ladder."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, from_datetime
from schemas.touchpoint import Exposure, Order, Tick
from streams.plain import Outcome, PlainFigures, PlainFold

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
T0 = from_datetime(NOON)


def _exposure(at: int | datetime = T0, **values: str) -> Exposure:
    return Exposure(**({"event_id": "e1", "type": "ad_exposure", "brand": "acme", "user_id": "ann"} | values), occurred_at=at)  # type: ignore[arg-type]


def _purchase(brand: str, user_id: str, order_id: str, amount: int) -> Order:
    return Order(event_id=order_id, type="purchase", brand=brand, user_id=user_id, occurred_at=T0, order_id=order_id, amount=amount)


def test_outcomes() -> None:
    fold = PlainFold(load_ladder("5r"))
    assert [fold.apply(record)[0] for record in (_exposure(), _exposure(), Tick(occurred_at=T0))] == [
        Outcome.APPLIED,
        Outcome.DUPLICATE,
        Outcome.TICK,
    ]


def test_layer_at_looks_ahead_without_moving_the_user() -> None:
    fold = PlainFold(load_ladder("5r"))
    fold.apply(_exposure())
    assert fold.layer_at("acme", "ann", T0 + 90 * DAY_MS - 1) == "R1"
    assert fold.layer_at("acme", "ann", T0 + 90 * DAY_MS) == "R0"
    assert fold.users["acme", "ann"].layer == 1


def test_a_stranger_stands_on_the_lowest_layer() -> None:
    assert PlainFold(load_ladder("aipl")).layer_at("acme", "nobody", T0) == "O"


def test_a_watermark_given_at_the_start_counts_as_heard() -> None:
    fold = PlainFold(load_ladder("5r"), watermark=T0 + 100 * DAY_MS)
    _, transitions = fold.apply(_exposure())
    assert transitions == []
    assert fold.watermark == T0 + 100 * DAY_MS


def test_times_need_not_have_been_normalised() -> None:
    fold = PlainFold(load_ladder("5r"))
    _, (transition,) = fold.apply(_exposure(NOON))
    assert transition.effective_at == fold.watermark == T0


def test_figures_by_brand_and_over_all() -> None:
    fold = PlainFold(load_ladder("5r"))
    for record in (_purchase("acme", "ann", "o1", 100), _purchase("acme", "ann", "o2", 0), _purchase("zeta", "ann", "o1", 30)):
        fold.apply(record)
    assert fold.figures("acme") == PlainFigures(purchases=2, buyers=1, gmv=100)
    assert fold.figures() == PlainFigures(purchases=3, buyers=2, gmv=130)
    assert fold.figures("nobody") == PlainFigures()
