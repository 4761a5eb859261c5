"""Figures as operators read them, in Chinese and English. Money comes in minor units, rates as fractions."""

from __future__ import annotations

from math import inf
from typing import Literal

Language = Literal["zh", "en"]

_SIGNS = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}
_UNITS: dict[Language, tuple[tuple[float, str, int, float], ...]] = {
    "zh": ((1, "", 0, 10_000), (1e4, "万", 1, 10_000), (1e8, "亿", 2, inf)),
    "en": ((1, "", 0, 10_000), (1e3, "K", 1, 1_000), (1e6, "M", 2, 1_000), (1e9, "B", 2, inf)),
}
"""A unit, its name, its decimals, and how many of it (as shown) are told in the next."""


def money(minor: float, currency: str = "CNY", language: Language = "zh") -> str:
    """`¥8,921`, `¥12.3万`, `¥1.23亿`; in English `¥8,921`, `¥12.3K`, `¥1.23M`; small change `¥41.50`."""
    amount = abs(round(minor)) / 100
    shown = f"{amount:.2f}" if amount < 100 and amount != int(amount) else _scaled(amount, language)
    return f"{'-' if round(minor) < 0 else ''}{_SIGNS.get(currency, f'{currency} ')}{shown}"


def count(number: float, language: Language = "zh") -> str:
    """`9,000`, `12.3万`, `1.23亿`; in English `9,000`, `12.3K`, `1.23M`."""
    return f"{'-' if round(number) < 0 else ''}{_scaled(abs(number), language)}"


def rate(share: float | None) -> str:
    """`6.1%`, `0.42%`; a dash where nothing divides."""
    if share is None:
        return "–"
    digits = 1 if share == 0 or round(abs(share) * 100, 2) >= 1 else 2
    return f"{share * 100:.{digits}f}%"


def whole_rate(share: float) -> str:
    """`62%`."""
    return f"{share * 100:.0f}%"


def _scaled(value: float, language: Language) -> str:
    size, name, digits, _ = next(unit for unit in _UNITS[language] if round(value / unit[0], unit[2]) < unit[3])
    return f"{value / size:,.{digits}f}{name}"
