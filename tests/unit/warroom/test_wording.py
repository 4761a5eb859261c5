"""Figures read as operators write them."""

from __future__ import annotations

import pytest

from warroom import wording


@pytest.mark.parametrize(
    ("minor", "zh", "en"),
    [
        (0, "¥0", "¥0"),
        (4_150, "¥41.50", "¥41.50"),
        (4_100, "¥41", "¥41"),
        (892_140, "¥8,921", "¥8,921"),
        (999_949, "¥9,999", "¥9,999"),
        (999_960, "¥1.0万", "¥10.0K"),
        (12_345_600, "¥12.3万", "¥123.5K"),
        (12_345_678_900, "¥1.23亿", "¥123.46M"),
        (999_994_900_000, "¥100.00亿", "¥9.999B".replace("9.999", "10.00")),
        (99_994_000_000, "¥10.00亿", "¥999.94M"),
        (9_999_400_000, "¥9,999.4万", "¥99.99M"),
        (9_999_960_000, "¥1.00亿", "¥100.00M"),
        (-12_345_600, "-¥12.3万", "-¥123.5K"),
        (-0.4, "¥0", "¥0"),
    ],
)
def test_money(minor: float, zh: str, en: str) -> None:
    assert (wording.money(minor), wording.money(minor, language="en")) == (zh, en)


def test_money_names_a_currency_without_a_sign() -> None:
    assert wording.money(12_345_600, "HKD") == "HKD 12.3万"
    assert wording.money(12_345_600, "USD", "en") == "$123.5K"


@pytest.mark.parametrize(
    ("number", "zh", "en"), [(9_000, "9,000", "9,000"), (90_000, "9.0万", "90.0K"), (123_456_789, "1.23亿", "123.46M")]
)
def test_counts(number: int, zh: str, en: str) -> None:
    assert (wording.count(number), wording.count(number, "en")) == (zh, en)


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "–"), (0.0, "0.0%"), (0.061, "6.1%"), (0.0042, "0.42%"), (0.009999, "1.0%"), (1.5, "150.0%"), (-0.02, "-2.0%")],
)
def test_rates(share: float | None, shown: str) -> None:
    assert wording.rate(share) == shown


def test_a_share_of_a_gap_is_a_whole_percentage() -> None:
    assert wording.whole_rate(0.619) == "62%"
