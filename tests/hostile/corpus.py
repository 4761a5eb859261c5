"""Hostile records: what a broken, careless or malicious producer writes, and what each of them must become.

A case is the value of one record, the topic it is written to, and the `reason` it is a dead letter for; None where it is odd but
valid and must count. Large values are made, not kept. What a fuzzer has found stays here as a case.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lz4.frame  # type: ignore[import-untyped]
import msgspec
import orjson

from schemas.deadletter import Reason
from schemas.times import LAST_MS
from schemas.touchpoint import KINDS, MAX_AMOUNT, MAX_BYTES, Kind
from schemas.validate import FUTURE_MS, MAX_NESTING

BRAND = "hostile"
TYPES = {Kind.EXPOSURE: "ad_exposure", Kind.INTERACTION: "like", Kind.MEMBERSHIP: "group_join", Kind.ORDER: "purchase"}
GONE = object()
"""A field with this value is left out."""


@dataclass(frozen=True)
class Case:
    """One record. `name` is its own among all cases."""

    name: str
    kind: Kind
    value: bytes | None
    reason: Reason | None

    def __str__(self) -> str:
        return self.name


def cases(now: int) -> list[Case]:
    """All cases, dated a minute before `now`, the wall clock in epoch milliseconds; what is of the future lies after it."""
    makers = (_empty, _large, _foreign, _syntax, _encodings, _nesting, _numbers, _instants, _fields, _misplaced, _identities, _odd)
    found = [case for make in makers for case in make(now - 60_000)]
    assert len({case.name for case in found}) == len(found)
    return found


def fields(kind: Kind, name: str, at: int, **changes: Any) -> dict[str, Any]:
    """The fields of a valid record of a user of its own, changed as told."""
    own: dict[Kind, dict[str, Any]] = {Kind.MEMBERSHIP: {"relation_id": "r1"}, Kind.ORDER: {"order_id": f"o-{name}", "amount": 100}}
    valid = {"event_id": f"e-{name}", "type": TYPES[kind], "brand": BRAND, "user_id": f"u-{name}", "occurred_at": at, **own.get(kind, {})}
    return {field: value for field, value in {**valid, **changes}.items() if value is not GONE}


def text(kind: Kind, name: str, at: int, **changes: Any) -> bytes:
    """The same as JSON."""
    return orjson.dumps(fields(kind, name, at, **changes))


def _with(kind: Kind, name: str, at: int, field: str, raw: bytes) -> bytes:
    """A valid record with one more field, its value as told, byte for byte. Of a name given twice the last counts."""
    return text(kind, name, at)[:-1] + b',"%s":%s}' % (field.encode(), raw)


def _empty(at: int) -> Iterator[Case]:
    for kind in KINDS:
        yield Case(f"tombstone on {kind}", kind, None, Reason.EMPTY)
        yield Case(f"empty value on {kind}", kind, b"", Reason.EMPTY)


def _large(at: int) -> Iterator[Case]:
    whole = text(Kind.EXPOSURE, "64 KiB", at)
    yield Case("64 KiB, padded", Kind.EXPOSURE, whole.ljust(MAX_BYTES), None)
    yield Case("64 KiB and a byte, padded", Kind.EXPOSURE, whole.ljust(MAX_BYTES + 1), Reason.TOO_LARGE)
    yield Case("64 KiB and a byte of blanks", Kind.ORDER, b" " * (MAX_BYTES + 1), Reason.TOO_LARGE)
    yield Case("900 KB of zeros", Kind.MEMBERSHIP, bytes(900_000), Reason.TOO_LARGE)
    yield Case("900 KB of brackets", Kind.INTERACTION, b"[" * 900_000, Reason.TOO_LARGE)
    many = {f"attribute {n}": n for n in range(2_400)}
    yield Case("thousands of attributes", Kind.INTERACTION, text(Kind.INTERACTION, "attributes", at, attributes=many), None)


def _foreign(at: int) -> Iterator[Case]:
    """Sound records as other tools frame, pack or write them."""
    kind = Kind.ORDER
    record = fields(kind, "foreign", at)
    value = orjson.dumps(record)
    framed = {
        "schema registry, Protobuf": b"\x00" + (7).to_bytes(4, "big") + b"\x00" + b"\x0a\x07foreign\x12\x08purchase",
        "schema registry, Avro": b"\x00" + (7).to_bytes(4, "big") + b"\x0eforeign\x10purchase\xc8\x01",
        "schema registry, of the later framing by GUID": b"\x01" + bytes(range(16)) + value,
        "schema registry, nothing but the frame": b"\x00\x00\x00\x00\x07",
        "schema registry, a frame too short": b"\x00\x00\x07",
        "schema registry, framed twice": 2 * (b"\x00" + (7).to_bytes(4, "big")) + value,
        "schema registry, a list": b"\x00" + (7).to_bytes(4, "big") + b"[" + value + b"]",
        "gzip": gzip.compress(value, mtime=0),
        "zlib": zlib.compress(value),
        "xz": lzma.compress(value),
        "lz4": lz4.frame.compress(value),
        "snappy, as Java frames it": b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01" + value,
        "zstd magic": b"\x28\xb5\x2f\xfd" + value,
        "gzip bomb, packed by the producer": gzip.compress(bytes(40_000_000), mtime=0),
        "MessagePack": msgspec.msgpack.encode(record),
        "JSON in a JSON text": orjson.dumps(value.decode()),
        "base64": b"eyJldmVudF9pZCI6ICIxIn0=",
        "JSON lines": value + b"\n" + value,
        "two objects": value + value,
        "length before it": len(value).to_bytes(4, "big") + value,
        "NUL after it": value + b"\x00",
        "record separator before it": b"\x1e" + value,
        "XML": b'<?xml version="1.0"?><touchpoint type="purchase"/>',
        "form": b"event_id=1&type=purchase",
        "YAML": b"event_id: 1\ntype: purchase\n",
        "Java serialisation": b"\xac\xed\x00\x05sr\x00\x0ejava.util.Date",
        "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
        "HTTP": b"POST / HTTP/1.1\r\n\r\n" + value,
        "Redis protocol": b"*1\r\n$8\r\nFLUSHALL\r\n",
    }
    yield Case("framed: schema registry, JSON Schema", kind, b"\x00" + (7).to_bytes(4, "big") + value, None)
    tick = b'{"type": "tick", "occurred_at": %d}' % at
    yield Case("framed: schema registry, a tick", kind, b"\x00\xff\xff\xff\xff" + tick, None)
    for name, framed_value in framed.items():
        yield Case(f"framed: {name}", kind, framed_value, Reason.INVALID_JSON)
    yield Case("framed: Debezium's envelope", kind, orjson.dumps({"schema": {}, "payload": record}), Reason.INVALID_FIELD)
    yield Case("framed: CloudEvents' envelope", kind, orjson.dumps({"type": "purchase", "data": record}), Reason.INVALID_FIELD)


def _syntax(at: int) -> Iterator[Case]:
    kind = Kind.INTERACTION
    value = text(kind, "syntax", at)
    wrong = {
        "blanks": b"   \r\n\t",
        "null": b"null",
        "true": b"true",
        "a number": b"12",
        "a text": b'"like"',
        "a list": b"[" + value + b"]",
        "an empty list": b"[]",
        "one brace": b"{",
        "cut in a text": value[:30],
        "cut before its end": value[:-1],
        "a brace too many": value + b"}",
        "a comma too many": value[:-1] + b",}",
        "no comma": value.replace(b",", b" ", 1),
        "no colon": value.replace(b":", b" ", 1),
        "single quotes": value.replace(b'"', b"'"),
        "names without quotes": value.replace(b'"type"', b"type"),
        "a comment": value[:-1] + b"/* */}",
        "a line end in a text": value.replace(b"u-syntax", b"u-\nsyntax"),
        "a NUL in a text": value.replace(b"u-syntax", b"u-\x00syntax"),
        "an unknown escape": value.replace(b"u-syntax", b"u-\\xsyntax"),
        "a cut escape": value.replace(b"u-syntax", b"u-\\u12"),
        "a name that is a number": b'{1:2,"type":"like"}',
        "control characters between fields": value.replace(b",", b"\x0b,", 1),
        "a blank that is none of JSON's": value.replace(b",", b"\xc2\xa0,", 1),
    }
    for name, bad in wrong.items():
        reason = Reason.INVALID_JSON
        yield Case(f"syntax: {name}", kind, bad, reason)
    yield Case("syntax: no fields", kind, b"{}", Reason.INVALID_FIELD)


def _encodings(at: int) -> Iterator[Case]:
    kind = Kind.MEMBERSHIP
    value = text(kind, "encoding", at, user_id="用户-encoding")
    plain = value.decode()
    wrong = {
        "byte order mark": b"\xef\xbb\xbf" + value,
        "UTF-16, big end first": plain.encode("utf-16-be"),
        "UTF-16 with its mark": plain.encode("utf-16"),
        "UTF-32": plain.encode("utf-32"),
        "GBK": plain.encode("gbk"),
        "Latin-1": value.replace("用户".encode(), b"caf\xe9"),
        "cut inside a character": value.replace("用户".encode(), "用".encode()[:2]),
        "a byte that begins nothing": value.replace("用户".encode(), b"\x80"),
        "an overlong NUL": value.replace("用户".encode(), b"\xc0\x80"),
        "beyond U+10FFFF": value.replace("用户".encode(), b"\xf4\x90\x80\x80"),
        "a surrogate in UTF-8": value.replace("用户".encode(), b"\xed\xa0\x80"),
        "two surrogates in UTF-8": value.replace("用户".encode(), b"\xed\xa0\xbd\xed\xb8\x80"),
        "UTF-7": plain.encode("utf-7").replace(b'"', b"+ACI-"),
    }
    for name, bad in wrong.items():
        yield Case(f"encoding: {name}", kind, bad, Reason.INVALID_JSON)
    for field in ("user_id", "event_id", "brand", "type", "channel", "relation_id", "occurred_at"):
        for name, escape in (("high", rb"\ud83d"), ("low", rb"\ude00"), ("turned", rb"\ude00\ud83d"), ("high twice", rb"\ud83d\ud83d")):
            bad = _with(kind, "surrogate", at, field, b'"' + escape + b'"')
            yield Case(f"lone surrogate, {name}, in {field}", kind, bad, Reason.INVALID_JSON)
    nested = b'{"a":"\\udc80"}'
    yield Case("lone surrogate in attributes", kind, _with(kind, "surrogate", at, "attributes", nested), Reason.INVALID_JSON)
    paired = _with(kind, "pair", at, "user_id", rb'"u-\ud83d\ude00"')
    yield Case("a surrogate pair in escapes", kind, paired, None)


def _nesting(at: int) -> Iterator[Case]:
    kind = Kind.EXPOSURE
    inside = MAX_NESTING - 2  # the record itself and its attributes are two

    def nested(name: str, levels: int, begin: bytes = b"[", end: bytes = b"]", core: bytes = b"") -> bytes:
        return _with(kind, name, at, "attributes", b'{"a":' + begin * levels + core + end * levels + b"}")

    yield Case("nested as deep as may be", kind, nested("deep", inside), None)
    yield Case("nested one too deep", kind, nested("deeper", inside + 1), Reason.INVALID_JSON)
    yield Case("objects nested too deep", kind, nested("objects", inside + 1, b'{"a":', b"}", b"1"), Reason.INVALID_JSON)
    yield Case("nested too deep in a field unknown", kind, _with(kind, "x", at, "x", b"[" * 64 + b"]" * 64), Reason.INVALID_JSON)
    yield Case("a thousand brackets", kind, b"[" * 1_000 + b"]" * 1_000, Reason.INVALID_JSON)
    yield Case("brackets alone", kind, b"[" * MAX_BYTES, Reason.INVALID_JSON)
    yield Case("braces alone", kind, b'{"a":' * 13_000, Reason.INVALID_JSON)
    yield Case("brackets inside a text", kind, text(kind, "inside", at, attributes={"a": "[{" * 500}), None)
    yield Case("brackets behind an escaped quote", kind, text(kind, "escaped", at, attributes={"a": '\\"' + "[" * 500}), None)
    yield Case("many lists side by side", kind, text(kind, "beside", at, attributes={"a": [[]] * 5_000}), None)
    # A text that never ends, with thousands of places at which a text could begin.
    yield Case("an endless text of escaped quotes", kind, b"[" * 65 + b'"' + b'\\"' * 32_700, Reason.INVALID_JSON)
    yield Case("the same, cut in its last escape", kind, b"[" * 65 + b'"' + b'\\"' * 32_700 + b"\\", Reason.INVALID_JSON)
    yield Case("quotes alone", kind, b"[" * 65 + b'"' * 65_471, Reason.INVALID_JSON)
    yield Case("backslashes alone", kind, b"[" * 65 + b'"' + b"\\" * 65_470, Reason.INVALID_JSON)


def _numbers(at: int) -> Iterator[Case]:
    kind = Kind.ORDER
    json_has_none = {"NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "hexadecimal": b"0x10", "a leading zero": b"007"}
    json_has_none |= {
        "a plus": b"+1",
        "no digit before the point": b".5",
        "none after it": b"1.",
        "no exponent": b"1e",
        "two signs": b"--1",
    }
    for name, raw in json_has_none.items():
        for field in ("amount", "attributes", "x"):
            value = raw if field != "attributes" else b'{"a":' + raw + b"}"
            yield Case(f"{name} in {field}", kind, _with(kind, "number", at, field, value), Reason.INVALID_JSON)
    digits = b"9" * 5_000
    wrong = {
        "-1": b"-1",
        "a fraction": b"1.5",
        "a whole fraction": b"1.0",
        "an exponent": b"1e2",
        "1e400": b"1e400",
        "one too much": b"%d" % (MAX_AMOUNT + 1),
        "2^63": b"%d" % 2**63,
        "2^64": b"%d" % 2**64,
        "-2^64": b"-%d" % 2**64,
        "5,000 digits": digits,
        "5,000 decimals": b"0." + digits,
        "a text": b'"100"',
        "null": b"null",
        "true": b"true",
        "a list": b"[100]",
        "an object": b'{"value":100}',
    }
    for name, raw in wrong.items():
        yield Case(f"amount {name}", kind, _with(kind, "amount", at, "amount", raw), Reason.INVALID_FIELD)
    for name, raw in (("1e400", b"1e400"), ("5,000 digits", digits), ("60,000 digits", b"9" * 60_000)):
        yield Case(f"{name} in attributes", kind, _with(kind, "attribute", at, "attributes", b'{"a":%s}' % raw), Reason.INVALID_FIELD)
    yield Case("5,000 digits for a type", kind, _with(kind, "digits", at, "type", digits), Reason.INVALID_FIELD)
    for name, raw in (("0", b"0"), ("-0", b"-0"), ("the most", b"%d" % MAX_AMOUNT)):
        yield Case(f"amount {name}", kind, _with(kind, f"amount {name}", at, "amount", raw), None)
    fine = b'{"big":%d,"small":5e-324,"long":0.%s,"most":1.7976931348623157e308}' % (2**63, b"1" * 700)
    yield Case("numbers at every bound in attributes", kind, _with(kind, "bounds", at, "attributes", fine), None)


def _instants(at: int) -> Iterator[Case]:
    kind = Kind.INTERACTION
    wrong: dict[str, bytes] = {
        "-1": b"-1",
        "a fraction": b"1794355203120.5",
        "an exponent": b"1.794355203120e12",
        "after the last": b"%d" % (LAST_MS + 1),
        "in nanoseconds": b"1794355203120000000",
        "2^63": b"%d" % 2**63,
        "2^64": b"%d" % 2**64,
        "400 digits": b"9" * 400,
        "5,000 digits": b"9" * 5_000,
        "null": b"null",
        "false": b"false",
        "a list": b"[]",
        "an object": b'{"$date":1794355203120}',
        "an empty text": b'""',
        "digits in a text": b'"1794355203120"',
        "a day": b'"2026-11-11"',
        "no offset": b'"2026-11-11T00:00:00"',
        "year 0": b'"0000-01-01T00:00:00Z"',
        "year 1": b'"0001-01-01T00:00:00+23:59"',
        "year 9999": b'"9999-12-31T23:59:59-23:59"',
        "year 10000": b'"10000-01-01T00:00:00Z"',
        "year 2300": b'"2300-01-01T00:00:00Z"',
        "1969": b'"1969-12-31T23:59:59.999Z"',
        "no such day": b'"2026-02-30T00:00:00Z"',
        "a leap second": b'"2026-12-31T23:59:60Z"',
        "an offset of a day": b'"2026-11-11T00:00:00+24:00"',
        "a zone's name": b'"2026-11-11T00:00:00 Asia/Shanghai"',
        "digits that are not ASCII": '"２０２６-11-11T00:00:00Z"'.encode(),
        "a text of 60,000": b'"' + b"2" * 60_000 + b'"',
    }
    for name, raw in wrong.items():
        yield Case(f"occurred_at {name}", kind, _with(kind, "instant", at, "occurred_at", raw), Reason.INVALID_FIELD)
        tick = b'{"type":"tick","occurred_at":%s}' % raw
        yield Case(f"tick at {name}", kind, tick, Reason.INVALID_FIELD)
    now = at + 60_000
    for name, late in (("a minute too far ahead", now + FUTURE_MS + 60_000), ("the last there is", LAST_MS)):
        yield Case(f"occurred_at {name}", kind, text(kind, "future", late), Reason.FUTURE)
        yield Case(f"tick at {name}", kind, b'{"type":"tick","occurred_at":%d}' % late, Reason.FUTURE)
    yield Case("a tick without time", kind, b'{"type":"tick"}', Reason.INVALID_FIELD)
    yield Case("occurred_at 0", kind, text(kind, "epoch", 0), None)
    yield Case("occurred_at -0", kind, _with(kind, "minus zero", at, "occurred_at", b"-0"), None)
    yield Case("occurred_at 1", kind, text(kind, "epoch+1", 1), None)
    yield Case("occurred_at in 1970, by its offset", kind, _with(kind, "1970", at, "occurred_at", b'"1969-12-31T23:59:59-00:01"'), None)
    yield Case("occurred_at in small letters", kind, _with(kind, "small", at, "occurred_at", b'"2025-01-01t00:00:00z"'), None)
    yield Case("occurred_at to the nanosecond", kind, _with(kind, "ns", at, "occurred_at", b'"2025-01-01T00:00:00.123456789Z"'), None)


def _fields(at: int) -> Iterator[Case]:
    for kind in KINDS:
        required = [field for field in fields(kind, "", at) if field != "type"]
        for field in required:
            yield Case(f"{kind}: {field} missing", kind, text(kind, "field", at, **{field: GONE}), Reason.INVALID_FIELD)
            yield Case(f"{kind}: {field} null", kind, text(kind, "field", at, **{field: None}), Reason.INVALID_FIELD)
    kind = Kind.MEMBERSHIP
    ids = ("event_id", "brand", "user_id", "relation_id", "channel", "campaign_id", "store_id", "guide_id", "content_id")
    for field in ids:
        wrong: dict[str, Any] = {"empty": "", "a number": 7, "true": True, "a list": ["u"], "an object": {"id": "u"}}
        wrong |= {"of 129 characters": "x" * 129, "of 129 characters beyond the BMP": "😀" * 129, "of 60,000": "x" * 60_000}
        for name, value in wrong.items():
            yield Case(f"{field} {name}", kind, text(kind, "id", at, **{field: value}), Reason.INVALID_FIELD)
    for name, attributes in (("a list", []), ("a text", "{}"), ("a number", 1)):
        yield Case(f"attributes {name}", kind, text(kind, "attributes", at, attributes=attributes), Reason.INVALID_FIELD)
    for name, type_ in (("null", None), ("empty", ""), ("a number", 7), ("a list", ["group_join"]), ("an object", {}), ("missing", GONE)):
        yield Case(f"type {name}", kind, text(kind, "type", at, type=type_), Reason.INVALID_FIELD)


def _misplaced(at: int) -> Iterator[Case]:
    kind = Kind.ORDER
    unknown = (
        "telepathy",
        "PURCHASE",
        "purchase ",
        " purchase",
        "purchase\x00",
        "рurchase",
        "purchase\n",
        "x" * 128,
        "x" * 129,
        "x" * 60_000,
    )
    for name in (*unknown, "TICK", "tick ", "__class__", "touchpoints.order", "{}", "*"):
        short = name if len(name) < 20 else f"of {len(name)} characters"
        yield Case(f"type {short!r}", kind, text(kind, "type", at, type=name), Reason.UNKNOWN_TYPE)
    for other in KINDS:
        for own in KINDS:
            if own is not other:
                yield Case(f"{own} on {other}", other, text(own, "misplaced", at), Reason.WRONG_TOPIC)
    for currency in ("XTS", "cny", "CNY ", "￥", "CNY\x00", "x" * 128):
        short = currency if len(currency) < 20 else "of 128 characters"
        yield Case(f"currency {short!r}", kind, text(kind, "currency", at, currency=currency), Reason.WRONG_CURRENCY)
    yield Case("currency empty", kind, text(kind, "currency", at, currency=""), Reason.INVALID_FIELD)


IDENTITIES = {
    "braces": "{}",
    "a hash tag": "{0}",
    "two hash tags": "{1}{2}",
    "braces turned": "}{",
    "an open brace": "{",
    "colons": "::a:b:",
    "percent": "%",
    "an escape": "%3A",
    "an escape's escape": "%253A%25",
    "a blank": " ",
    "a NUL": "\x00",
    "a NUL inside": "a\x00b",
    "every control character": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "line ends": "a\r\nb\nc\rd\u2028e\u2029f\x85g",
    "tabs": "\t\\t\v",
    "a Redis command": "x\r\n*1\r\n$8\r\nFLUSHALL\r\n",
    "an inline Redis command": "FLUSHALL",
    "SQL": "'; DROP TABLE transitions; -- ",
    "SQL's quotes": "\\'\\\"`",
    "ClickHouse's parameter": "{brand:String}",
    "a null of ClickHouse": "\\N",
    "a null of others": "null",
    "a path": "../../../etc/passwd",
    "a shell": "$(reboot) `reboot` ; reboot & ",
    "a format": "%s%n{0.__class__}${jndi:ldap://x}",
    "markup": "<script>alert(1)</script>&amp;",
    "quotes": "\"'“”",
    "backslashes": "\\\\u0000\\",
    "a byte order mark": "\ufeff",
    "nothing to be seen": "\u200b\u200d\u2060",
    "from right to left": "\u202eabc\u202c",
    "no characters": "\uffff\ufffe\ufdd0",
    "the last character": "\U0010ffff",
    "beyond the BMP": "😀👨‍👩‍👧‍👦𝕏",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "other digits": "１２３",
    "128 characters": "x" * 128,
    "128 characters beyond the BMP": "\U0001f600" * 128,
    "128 NULs": "\x00" * 128,
    "128 colons": ":" * 128,
    "a number": "12",
    "a large number": "9" * 60,
    "not a number": "NaN",
    "the empty list": "[]",
}
"""Names of users, brands and labels that would break what joins, splits, prints or interprets them."""


def _identities(at: int) -> Iterator[Case]:
    for i, (name, text_) in enumerate(IDENTITIES.items()):
        kind = KINDS[i % len(KINDS)]
        yield Case(f"user: {name}", kind, text(kind, f"user {i}", at, user_id=text_), None)
        labels = dict.fromkeys(("channel", "campaign_id", "store_id", "guide_id", "content_id"), text_)
        yield Case(f"brand and labels: {name}", kind, text(kind, f"brand {i}", at, brand=text_, **labels), None)
        order = text(Kind.ORDER, f"order {i}", at, event_id=text_, order_id=text_)
        yield Case(f"event and order: {name}", Kind.ORDER, order, None)
    # Joined by a colon these would be one user.
    for brand, user in (("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("a%253Ab", "c"), ("a:", "b:c"), ("a", ":b:c")):
        yield Case(f"brand {brand} of user {user}", Kind.ORDER, text(Kind.ORDER, f"{brand}-{user}", at, brand=brand, user_id=user), None)


def _odd(at: int) -> Iterator[Case]:
    """Odd, and valid all the same."""
    kind = Kind.ORDER
    value = text(kind, "odd", at)
    yield Case("blanks around everything", kind, text(kind, "blanks", at).replace(b",", b" \r\n,\t ").replace(b":", b" : "), None)
    yield Case("names in escapes", kind, text(kind, "escapes", at).replace(b'"type"', rb'"\u0074yp\u0065"'), None)
    yield Case("a type in escapes", kind, text(kind, "type", at).replace(b"purchase", rb"\u0070urchase"), None)
    yield Case("a name twice, the last counts", kind, _with(kind, "twice", at, "user_id", b'"u-twice, the last"'), None)
    yield Case("a name twice, the first wrong", kind, b'{"user_id":"",' + text(kind, "first wrong", at)[1:], Reason.INVALID_FIELD)
    yield Case("a type twice, the last unknown", kind, _with(kind, "x", at, "type", b'"telepathy"'), Reason.UNKNOWN_TYPE)
    yield Case("a tick that was a purchase", kind, _with(kind, "x", at, "type", b'"tick"'), None)
    yield Case("a tick with everything else", kind, b'{"type":"tick","user_id":[],"occurred_at":%d}' % at, None)
    yield Case("nothing optional", kind, text(kind, "bare", at), None)
    nulls = dict.fromkeys(("channel", "campaign_id", "store_id", "guide_id", "content_id", "attributes", "currency"))
    yield Case("everything optional null", kind, text(kind, "nulls", at, **nulls), None)
    yield Case("an empty name", kind, _with(kind, "no name", at, "", b"1"), None)
    yield Case("names of Python", kind, text(kind, "python", at, __class__="x", __dict__={}, self=1), None)
    yield Case("told twice", kind, value, None)
    yield Case("told twice, again", kind, value, None)
    yield Case("a refund before its purchase", kind, text(kind, "early", at, type="refund", order_id="o-early", amount=MAX_AMOUNT), None)
    yield Case("its purchase", kind, text(kind, "early purchase", at, user_id="u-early", order_id="o-early", amount=MAX_AMOUNT), None)
    yield Case("leaving what was never joined", Kind.MEMBERSHIP, text(Kind.MEMBERSHIP, "leave", at, type="group_leave"), None)
