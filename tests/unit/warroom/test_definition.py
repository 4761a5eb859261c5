"""A promotion as people write it becomes the record that others read, or they are told why not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.ladder_file import load_ladder
from schemas.promotion import Promotion
from warroom.promotions.definition import TEMPLATE, Definition, convert_definition, first_version, minute_text, read_definition
from warroom.promotions.errors import PromotionInvalid

LADDER = load_ladder("5r")


def written(**given: Any) -> Definition:
    return msgspec.structs.replace(read_definition(TEMPLATE, "template"), **given)


def made(definition: Definition, by: str = "chen", because: str = "first plan") -> Promotion:
    return first_version(definition, LADDER, by=by, because=because, now=0)


def test_the_template_is_a_promotion() -> None:
    found = made(written())
    assert (found.version, found.promotion_id, found.changed_at) == (1, "acme-d11-2026", "1970-01-01T00:00:00.000Z")
    assert (found.window.from_, found.effective_from, found.minutes) == ("2026-11-10T12:00:00.000Z", "2026-11-10T12:00:00.000Z", 1680)
    assert [phase.from_ for phase in found.phases] == ["2026-11-10T12:00:00.000Z", "2026-11-10T16:00:00.000Z"]
    assert found.target.gmv == 256_000_000 + 295_200_000 + 30_600_000
    assert found.share_at(found.window.from_ms + 240 * 60_000) == 0.15


def test_json_values_are_a_promotion_too() -> None:
    assert convert_definition(msgspec.json.decode(msgspec.json.encode(written()))) == written()
    with pytest.raises(PromotionInvalid, match=r"\$\.target\.parts"):
        convert_definition({**msgspec.to_builtins(written()), "target": {"owner": "x", "parts": 3}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-11", "2026-11-10T16:00:00.000Z"),
        ("2026-11-11 08:30", "2026-11-11T00:30:00.000Z"),
        ("2026-11-11T08:30+09:00", "2026-11-10T23:30:00.000Z"),
        ("2026-11-11T08:30:00Z", "2026-11-11T08:30:00.000Z"),
    ],
)
def test_times_are_the_brands(text: str, expected: str) -> None:
    assert minute_text(text, "Asia/Shanghai") == expected


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("brand: acme", "brand: 3", r"f\.yaml:3: expected a text of 1 to 128 characters, found the number 3"),
        ("brand: acme", "brnad: acme", r"f\.yaml:3: .*brnad"),
        ('from: "2026-11-10 20:00", to: "2026-11-12 00:00"', "from: monday, to: tuesday", r"f\.yaml:5: .*a time in quotes"),
        ("conversion_rate: 0.02", "conversion_rate: 2", r"f\.yaml:19: expected a number from 0 to 1, found the number 2"),
        ("channel: tmall", "channel: store", "expected parts that cover different channels or stores"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(line: str, instead: str, message: str) -> None:
    with pytest.raises(PromotionInvalid, match=message):
        read_definition(TEMPLATE.replace(line, instead, 1), "f.yaml")


@pytest.mark.parametrize(
    ("text", "instead", "message"),
    [
        ("layer: R2", "layer: R9", "expected layers of R0, R1, R2, R3, R4, R5 for tmall, found R9"),
        ("minute: 1680", "minute: 1681", "share 1 at minute 1680"),
        ('from: "2026-11-10 20:00", to: "2026-11-12 00:00"', 'from: "2026-11-13 20:00", to: "2026-11-12 00:00"', "`to` after `from`"),
        ('to: "2026-11-12 00:00"', 'to: "2026-11-12 00:00:30"', "a whole minute"),
        ('to: "2026-11-12 00:00"', 'to: "2026-11-31 00:00"', "expected a time such as"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, instead: str, message: str) -> None:
    with pytest.raises(PromotionInvalid, match=message):
        made(read_definition(TEMPLATE.replace(text, instead, 1), "f.yaml"))


def test_who_and_why_are_told() -> None:
    with pytest.raises(PromotionInvalid, match="who makes the change and why"):
        made(written(), because=" ")
    with pytest.raises(PromotionInvalid, match="length"):
        made(written(), by="")
