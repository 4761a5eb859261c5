"""Figures, times and labels as one report writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from schemas.times import from_rfc3339
from warroom import wording
from warroom.markup import Html, Part, tag
from warroom.report.facts import Facts
from warroom.report.words import Words


class Shown:
    """Of one report: its language, currency, time zone, and what its channels and layers are called."""

    def __init__(self, facts: Facts, words: Words) -> None:
        self.words = words
        self._language = words.language
        self._currency = facts.progress.currency
        self._zone = ZoneInfo(facts.zone)
        self._channels = facts.ladder.channels_of(facts.promotion.brand)
        self._layers = {layer.id: layer.name.get(words.language, "") for layer in facts.ladder.layers}

    def money(self, minor: float | None) -> str:
        """`¥12.3万`."""
        return "–" if minor is None else wording.money(minor, self._currency, self._language)

    def signed_money(self, minor: float) -> str:
        """With its sign, also a plus."""
        return f"+{self.money(minor)}" if minor > 0 else self.money(minor)

    def count(self, number: float | None) -> str:
        """`12.3万`."""
        return "–" if number is None else wording.count(number, self._language)

    def rate(self, share: float | None) -> str:
        """`6.1%`."""
        return wording.rate(share)

    def signed_rate(self, share: float | None) -> str:
        """`+6.1%`."""
        return "–" if share is None else f"{'+' if share > 0 else ''}{wording.rate(share)}"

    def time(self, at: int | str) -> str:
        """`2026-11-11 20:00`."""
        return f"{self._at(at):%Y-%m-%d %H:%M}"

    def short_time(self, at: int) -> str:
        """`11-11 20:00`."""
        return f"{self._at(at):%m-%d %H:%M}"

    def channel(self, label: str) -> str:
        """What a channel is called."""
        known = self._channels.get(label)
        return (known.label.get(self._language, label) if known else label) or self.words("none")

    def layer(self, layer: str) -> str:
        """`R3 Resonate`."""
        name = self._layers.get(layer, "")
        return f"{layer} {name}" if name and name != layer else layer

    def _at(self, at: int | str) -> datetime:
        ms = from_rfc3339(at) if isinstance(at, str) else at
        return datetime.fromtimestamp(ms / 1000, self._zone)


def table(columns: list[Part], rows: list[list[Any]], numbers: int | None = None, *, class_: str | None = None) -> Html:
    """A table whose columns from `numbers` on are figures."""

    def cells(name: str, row: list[Any]) -> list[Html]:
        return [tag(name, cell, class_="n" if numbers is not None and i >= numbers else None) for i, cell in enumerate(row)]

    head = tag("thead", tag("tr", cells("th", columns)))
    return tag("table", head, tag("tbody", [tag("tr", cells("td", row)) for row in rows]), class_=class_)


def section(title: str, *parts: Part) -> Html:
    """A part of the report under its title."""
    return tag("section", tag("h2", title), *parts)


def note(text: str) -> Html:
    """A line in small print."""
    return tag("p", text, class_="note")
