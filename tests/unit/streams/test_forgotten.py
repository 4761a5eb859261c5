"""Which step follows which, where some are forgotten."""

from __future__ import annotations

import pytest

from streams.forgotten import Forgotten, next_version


@pytest.mark.parametrize(
    ("version", "forgotten", "follows"),
    [
        (5, [], 6),
        (5, [Forgotten(5, 9)], 10),
        (4, [Forgotten(5, 9)], 5),
        (7, [Forgotten(5, 9)], 10),
        (9, [Forgotten(5, 9)], 10),
        (0, [Forgotten(0, 3)], 4),
        (5, [Forgotten(9, 12), Forgotten(5, 9)], 13),
        (5, [Forgotten(10, 12), Forgotten(5, 9)], 10),
        (5, [Forgotten(5, 9), Forgotten(7, 12)], 13),
    ],
)
def test_the_step_that_follows_is_the_next_that_is_not_forgotten(version: int, forgotten: list[Forgotten], follows: int) -> None:
    assert next_version(version, forgotten) == follows


def test_it_has_its_last_step_and_not_the_one_above_which_it_begins() -> None:
    assert [version for version in range(12) if Forgotten(5, 9).has(version)] == [6, 7, 8, 9]
