"""The events that are measured: a seeded stream of touchpoints in the mix of a promotion day, about 220 bytes each."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from schemas.partition import partition_of
from schemas.touchpoint import Kind

BRAND = "acme"
EVENING_MS = 1_762_862_400_000
"""2025-11-11, 20:00 in Shanghai: the hour that the measured events fill."""
HOUR_MS = 3_600_000

_SHARES = {Kind.EXPOSURE: 0.70, Kind.INTERACTION: 0.20, Kind.MEMBERSHIP: 0.05, Kind.ORDER: 0.05}
_TYPES = {
    Kind.EXPOSURE: ("ad_exposure", "content_view"),
    Kind.INTERACTION: ("ad_click", "qr_scan", "mini_program_visit", "live_watch", "search", "like", "share"),
    Kind.MEMBERSHIP: (*("group_join", "account_follow", "contact_add") * 4, "group_leave", "account_unfollow", "contact_remove"),
}
_ONLINE = (Kind.EXPOSURE, Kind.INTERACTION)
_PUBLIC = ("wechat_moments", "douyin", "xiaohongshu", "tmall", "jd", "outdoor")
_PRIVATE = ("mini_program", "wecom", "official_account", "live_room", "store")
_SHAPES = 4_000
_KNOWN_ORDERS = 4_096
_UNKNOWN = 255


class Event(NamedTuple):
    """A touchpoint as it is produced."""

    kind: Kind
    partition: int
    key: bytes
    value: bytes


class _Shape(NamedTuple):
    """A touchpoint but for its number, user, time and order; `refund` is what an order's refund looks like."""

    kind: Kind
    text: bytes
    refund: bytes


class Load:
    """An endless stream of events over `users` users, drawn evenly; the same seed gives the same stream.

    Every event has a number, its position in the stream, which is the end of its event id. `first` is the number of the first.
    """

    def __init__(self, seed: int, users: int, partitions: int, *, first: int = 0) -> None:
        if partitions >= _UNKNOWN:
            raise ValueError(f"expected fewer than {_UNKNOWN} partitions, found {partitions}")
        self.number = first
        """of the next event"""
        self._random = random.Random(seed)
        self._users = users
        self._partitions = partitions
        self._places = bytearray([_UNKNOWN]) * users
        self._shapes = [_shape(kind, self._random) for kind, share in _SHARES.items() for _ in range(round(share * _SHAPES))]
        self._orders: deque[tuple[int, int, int]] = deque(maxlen=_KNOWN_ORDERS)

    def event(self, at: int) -> Event:
        """The next event, at `at` epoch milliseconds, of any user."""
        return self.event_of(int(self._random.random() * self._users), at)

    def event_of(self, user: int, at: int) -> Event:
        """The next event, of this user; of the buyer of an earlier order if it turns out to be a refund."""
        draw = self._random.random
        shape = self._shapes[int(draw() * _SHAPES)]
        text, tail = shape.text, b""
        if shape.kind is Kind.ORDER:
            if draw() < 0.1 and self._orders:
                text = shape.refund
                bought, user, amount = self._orders[int(draw() * len(self._orders))]
            else:
                bought, amount = self.number, 100 * int(20 + draw() * 480)
                self._orders.append((bought, user, amount))
            tail = b',"order_id":"o%010d","amount":%d' % (bought, amount)
        key = b"u%07d" % user
        value = text % (self.number, key, at, tail)
        self.number += 1
        return Event(shape.kind, self._place(user, key), key, value)

    def _place(self, user: int, key: bytes) -> int:
        place = self._places[user]
        if place == _UNKNOWN:
            place = self._places[user] = partition_of(key.decode(), self._partitions)
        return place


def number_of(event_id: str) -> int:
    """The number of the event with this id."""
    return int(event_id[-12:], 16)


def spread(load: Load, count: int, begin: int = EVENING_MS, span: int = HOUR_MS) -> Iterator[Event]:
    """`count` events of any users, in order of time, evenly over `span` milliseconds from `begin`."""
    for i in range(count):
        yield load.event(begin + i * span // count)


def passes(load: Load, users: int, fewest: int, most: int, begin: int = EVENING_MS - HOUR_MS, span: int = HOUR_MS) -> Iterator[Event]:
    """Between `fewest` and `most` events for each user, as many users with each number, in order of time: pass after pass over those
    who get that many. A refund falls to an earlier buyer, so that very few users get one event more or less."""
    numbers = most - fewest + 1
    total = sum(fewest + user % numbers for user in range(users))
    i = 0
    for done in range(most):
        for user in range(users):
            if fewest + user % numbers > done:
                yield load.event_of(user, begin + i * span // total)
                i += 1


def _shape(kind: Kind, draw: random.Random) -> _Shape:
    types = [draw.choice(_TYPES[kind])] if kind in _TYPES else ["purchase", "refund"]
    labels = f'"campaign_id":"d11-{draw.randrange(12):02d}"'
    if kind in _ONLINE and types != ["qr_scan"]:
        labels += f',"content_id":"c{draw.randrange(1000):03d}","attributes":{{"sku":"A{draw.randrange(100):02d}"}}'
    else:
        labels += f',"store_id":"sh-{draw.randrange(40):03d}","guide_id":"gd-{draw.randrange(200):04d}"'
    if kind is Kind.MEMBERSHIP:
        labels += f',"relation_id":"g{draw.randrange(20):02d}"'
    channel = draw.choice(_PUBLIC if kind in _ONLINE else _PRIVATE)
    texts = [
        '{"event_id":"0192f4c1-7b1a-7c3e-9d52-%012x","type":"' + type_ + f'","brand":"{BRAND}"'
        ',"user_id":"%b","occurred_at":%d,' + f'"channel":"{channel}",{labels}' + "%b}"
        for type_ in types
    ]  # fmt: skip
    return _Shape(kind, texts[0].encode(), texts[-1].encode())
