"""Buyers of an hour are told to its minutes by their orders: at its end they are what they are."""

from __future__ import annotations

from warroom.sales import buyers_by_minute


def test_buyers_so_far_are_those_of_the_spans_at_their_ends_and_follow_the_orders_between() -> None:
    spans = [(55, 3), (58, 4), (60, 104), (120, 104), (180, 110)]
    orders = [(55, 5), (58, 1), (60, 30), (90, 90), (119, 30), (121, 2), (180, 0), (181, 9)]
    assert buyers_by_minute(orders, spans) == [3, 4, 24, 84, 104, 104, 104, 110]


def test_a_span_without_orders_has_no_buyers() -> None:
    assert buyers_by_minute([(60, 0), (61, 0)], [(60, 0)]) == [0, 0]
    assert buyers_by_minute([], []) == []
