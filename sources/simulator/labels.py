"""The labels of touchpoints: channels, campaigns, stores, guides, contents; some with names that are not ASCII, as in life."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from sources.simulator.behaviour import CHANNELS, laid_out

TEASERS: tuple[str | None, ...] = ("d11-teaser", "d11-presale", "种草-小红书", None)
SALES: tuple[str | None, ...] = ("d11-main", "d11-midnight", "双11会场", None)
STORES = (*(f"sh-{n:03d}" for n in range(1, 13)), *(f"bj-{n:03d}" for n in range(1, 9)), "北京西单店", "上海南京路店", "成都太古里店")
GUIDES = (*(f"g-{n:03d}" for n in range(1, 31)), "导购-王芳", "导购-李娜", "导购-陈静")
CONTENTS = (*(f"note-{n:04d}" for n in range(1, 41)), "直播-双11专场", "笔记-秋冬穿搭")

_GUIDED = frozenset({"wecom"})
_CONTENT = frozenset({"content_view", "live_watch", "like", "comment", "share"})


class Labels(NamedTuple):
    """A channel, and all labels as they stand in the line: a piece of JSON that begins with a comma."""

    channel: str
    json: str


class Labeller:
    """Draws labels for touchpoints; everything is written out beforehand, so that a draw is a few picks."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._by_sale = {sale: {type_: _table(type_, SALES if sale else TEASERS) for type_ in CHANNELS} for sale in (False, True)}
        self._stores = [field("store_id", store) for store in STORES]
        self._guides = [field("guide_id", guide) for guide in GUIDES]
        self._contents = [field("content_id", content) for content in CONTENTS]

    def draw(self, type_: str, sale: bool) -> Labels:
        """Labels for a touchpoint of `type_`, before the sale or in it."""
        random = self._random
        table = self._by_sale[sale][type_]
        labels = table[int(random() * len(table))]
        if labels.channel == "store":
            store = int(random() * len(self._stores))
            # Each guide works in one store.
            guide = (store + len(self._stores) * int(random() * 2)) % len(self._guides)
            return Labels("store", labels.json + self._stores[store] + self._guides[guide])
        if labels.channel in _GUIDED:
            return Labels(labels.channel, labels.json + self._guides[int(random() * len(self._guides))])
        if type_ in _CONTENT:
            return Labels(labels.channel, labels.json + self._contents[int(random() * len(self._contents))])
        return labels


def text(value: object) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()


def field(name: str, value: object) -> str:
    """A field as it stands behind others in an object."""
    return f',"{name}":{text(value)}'


def _table(type_: str, campaigns: tuple[str | None, ...]) -> list[Labels]:
    return [
        Labels(channel, field("channel", channel) + (field("campaign_id", campaign) if campaign else ""))
        for channel in laid_out(CHANNELS[type_])
        for campaign in campaigns
    ]
