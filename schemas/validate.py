"""From bytes to a valid touchpoint: the one judge of what rflow takes, used by the processor and by every source."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from schemas.deadletter import InvalidRecord, Reason
from schemas.framing import unframed
from schemas.ladder import Ladder
from schemas.times import LAST_MS, from_datetime, to_rfc3339
from schemas.touchpoint import CATALOGUE, MAX_BYTES, STRUCTS, TICK, Kind, Order, Tick, Touchpoint

FUTURE_MS = 300_000
"""How far ahead of the wall clock `occurred_at` may lie."""

MAX_NESTING = 64
"""How deep arrays and objects may nest: a bound of ours, so that every reader judges alike, whatever its own stack."""

_EXPECTED_OBJECT = "expected one JSON object in UTF-8"


class _Named(msgspec.Struct):
    type: msgspec.Raw = msgspec.Raw(b"null")


_tick = msgspec.json.Decoder(Tick)
_named = msgspec.json.Decoder(_Named)
_text = msgspec.json.Decoder(str)

_JSON_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A text that never ends reaches to the end: it must not be looked for again at each quote inside it."""
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class Validator:
    """Decodes and checks records against the contract and a ladder.

    `now` gives the wall clock in epoch milliseconds; `check_future` False lets a simulation of a day to come through.
    """

    def __init__(self, ladder: Ladder, now: Callable[[], int], *, check_future: bool = True) -> None:
        self._now = now
        self._known = 0
        self._check_future = check_future
        self._ladder = ladder
        self._decoders = {kind: msgspec.json.Decoder(struct).decode for kind, struct in STRUCTS.items()}

    def validate(self, kind: Kind, value: bytes | None) -> Touchpoint | Tick:
        """The record of a topic of `kind`, its `occurred_at` in epoch milliseconds. Raises InvalidRecord."""
        if not value:
            raise InvalidRecord(Reason.EMPTY, "expected a JSON object, found no value")
        if len(value) > MAX_BYTES:
            raise InvalidRecord(Reason.TOO_LARGE, f"expected at most {MAX_BYTES} bytes, found {len(value)}")
        value = unframed(value)
        if value.count(b"[") + value.count(b"{") > MAX_NESTING and _nests_too_deep(value):
            raise InvalidRecord(Reason.INVALID_JSON, f"expected brackets that match, at most {MAX_NESTING} levels of them")
        try:
            touchpoint = self._decoders[kind](value)
        except msgspec.ValidationError as error:
            return self._tick_or_invalid(kind, value, error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRecord(Reason.INVALID_JSON, f"{_EXPECTED_OBJECT}: {error}") from None
        found = CATALOGUE.get(touchpoint.type)
        if found is not kind:
            if touchpoint.type == TICK:
                return self._tick(Tick(touchpoint.occurred_at))
            raise _misplaced(touchpoint.type, kind)
        at = touchpoint.occurred_at
        if type(at) is not int:
            at = touchpoint.occurred_at = _millis(at)
        if self._check_future:
            self._refuse_future(at)
        if kind is Kind.ORDER:
            self._refuse_currency(touchpoint)
        return touchpoint

    def _tick_or_invalid(self, kind: Kind, value: bytes, error: msgspec.ValidationError) -> Tick:
        try:
            raw = bytes(_named.decode(value).type)
            name = _text.decode(raw) if raw.startswith(b'"') else ""
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as unreadable:
            raise InvalidRecord(Reason.INVALID_JSON, f"{_EXPECTED_OBJECT}: {unreadable}") from None
        if name == TICK:
            try:
                tick = _tick.decode(value)
            except msgspec.ValidationError as tick_error:
                raise InvalidRecord(Reason.INVALID_FIELD, str(tick_error)) from None
            return self._tick(tick)
        if name and CATALOGUE.get(name) is not kind:
            raise _misplaced(name, kind) from None
        raise InvalidRecord(Reason.INVALID_FIELD, str(error)) from None

    def _tick(self, tick: Tick) -> Tick:
        at = tick.occurred_at
        if type(at) is not int:
            at = tick.occurred_at = _millis(at)
        if self._check_future:
            self._refuse_future(at)
        return tick

    def _refuse_future(self, at: int) -> None:
        # The clock is asked only where its last answer does not settle the matter.
        if at <= self._known + FUTURE_MS:
            return
        now = self._known = self._now()
        if at > now + FUTURE_MS:
            raise InvalidRecord(
                Reason.FUTURE,
                f"expected occurred_at at most 5 minutes after the wall clock ({to_rfc3339(now)}), found {to_rfc3339(at)}",
            )

    def _refuse_currency(self, order: Touchpoint) -> None:
        assert isinstance(order, Order)
        if order.currency is not None:
            expected = self._ladder.currency_of(order.brand)
            if order.currency != expected:
                raise InvalidRecord(
                    Reason.WRONG_CURRENCY, f"expected currency {expected} of brand {order.brand!r}, found {order.currency!r}"
                )


def _nests_too_deep(value: bytes) -> bool:
    """Whether brackets outside of texts nest deeper than MAX_NESTING, or do not match: innermost pairs are taken away, level by level."""
    brackets = _JSON_TEXT.sub(b"", value).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_NESTING):
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets):
            break
        brackets = outer
    return bool(brackets)


def _millis(at: object) -> int:
    assert isinstance(at, datetime)
    try:
        millis = from_datetime(at)
    except OverflowError:
        millis = -1
    if not 0 <= millis <= LAST_MS:
        raise InvalidRecord(Reason.INVALID_FIELD, f"expected occurred_at from 1970 to 2299, found {at}")
    return millis


def _misplaced(name: str, kind: Kind) -> InvalidRecord:
    right = CATALOGUE.get(name)
    if right is None:
        return InvalidRecord(Reason.UNKNOWN_TYPE, f"expected one of the catalogue's types, found {name[:128]!r}")
    return InvalidRecord(Reason.WRONG_TOPIC, f"expected {name!r} on {right.topic}, found it on {kind.topic}")
