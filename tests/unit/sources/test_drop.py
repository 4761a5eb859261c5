from __future__ import annotations

import pytest

from sources.simulator.drop import Drop, DropError, parse_drop


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("R2>R3@20:10-20:40:0.5", Drop(2, 3, 1210, 1240, 0.5)),
        (" R5>R4@00:00-24:00:1 ", Drop(5, 4, 0, 1440, 1.0)),
        ("R1>R2@23:50-00:10:.25,channel=douyin", Drop(1, 2, 1430, 10, 0.25, "douyin")),
        ("R1>R2@08:00-09:00:0.9,brand=山茶,channel=tmall", Drop(1, 2, 480, 540, 0.9, "tmall", "山茶")),
    ],
)
def test_a_drop_is_read(text: str, drop: Drop) -> None:
    assert parse_drop(text) == drop


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a drop"),
        ("R2>R3", "expected a drop"),
        ("R2-R3@20:10-20:40:0.5", "expected a drop"),
        ("R2>R3@8:10-20:40:0.5", "expected a drop"),
        ("R2>R3@20:10-20:40:half", "expected a drop"),
        ("R2>R3@20:10-20:40:0.5,channel", "expected a drop"),
        ("R2>R9@20:10-20:40:0.5", "expected layers among R0, R1, R2, R3, R4, R5"),
        ("R2>R2@20:10-20:40:0.5", "expected two different layers"),
        ("R2>R3@20:10-20:10:0.5", "expected two different times"),
        ("R2>R3@20:10-25:00:0.5", "expected times of the day"),
        ("R2>R3@20:60-21:00:0.5", "expected times of the day"),
        ("R2>R3@20:00-24:01:0.5", "expected times of the day"),
        ("R2>R3@20:10-20:40:0", "expected a share above 0"),
        ("R2>R3@20:10-20:40:1.5", "expected a share above 0"),
        ("R2>R3@20:10-20:40:1.5.5", "expected a share above 0"),
        ("R2>R3@20:10-20:40:0.5,store=x", "expected channel=... and brand=... once each"),
        ("R2>R3@20:10-20:40:0.5,brand=x,brand=y", "expected channel=... and brand=... once each"),
    ],
)
def test_what_is_no_drop_is_told_what_was_expected_and_how_a_drop_looks(text: str, expected: str) -> None:
    with pytest.raises(DropError) as raised:
        parse_drop(text)
    assert expected in str(raised.value)
    assert f"found {text!r}" in str(raised.value)
    assert "R2>R3@20:10-20:40:0.5" in str(raised.value)


def test_a_drop_holds_from_its_first_minute_to_before_its_last_also_over_midnight() -> None:
    evening, midnight = parse_drop("R2>R3@20:10-20:40:0.5"), parse_drop("R2>R3@23:50-00:10:0.5")
    assert [evening.holds_at(minute) for minute in (1209, 1210, 1239, 1240)] == [False, True, True, False]
    assert [midnight.holds_at(minute) for minute in (1429, 1430, 0, 9, 10)] == [False, True, True, True, False]
