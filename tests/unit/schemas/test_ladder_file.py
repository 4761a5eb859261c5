"""A ladder file with a mistake is refused with the line, what was expected and what was found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.ladder_file import SHIPPED, LadderError, load_ladder, parse_ladder

LADDER = """\
ladder: own
version: 3
time_zone: Europe/Berlin
turn: "05:30"
currency: EUR
evidence:
  reach: {topic: exposure}
  scan:
    topic: interaction
    types: [qr_scan, ad_click]
  order: {topic: order}
layers:
  - id: OUT
    name: {en: Outside}
  - id: SEEN
    name: {en: Seen, de: Gesehen}
    any: [{evidence: reach, window_days: 30}]
  - id: BUYER
    name: {en: Buyer}
    any:
      - {evidence: order, count: 2}
      - evidence: scan
        count: 3
        window_days: 7
channels:
  store:
    label: {en: Store}
    domain: private
    place: offline
brands:
  acme.de:
    turn: "06:00"
    layers:
      SEEN: [{evidence: scan}]
"""

KEYS = "ladder, version, time_zone, turn, currency, junk_above, evidence, layers, channels, brands"
TOP = "a mapping with ladder, version, evidence, layers (optional: time_zone, turn, currency, junk_above, channels, brands)"
NAME = "a name (a letter, then at most 31 letters, digits or _)"
TIME = 'a time of day in quotes such as "04:00"'
EXPOSURES = "ad_exposure, content_view"
JOINS = "group_join, account_follow, contact_add, member_register"

WHOLE = [
    ("empty", "", f"1: expected {TOP}, found an empty file"),
    ("only a comment", "# nothing yet\n", f"1: expected {TOP}, found an empty file"),
    ("null", "\n~\n", f"2: expected {TOP}, found nothing"),
    ("a list", "\n- ladder: own\n", f"2: expected {TOP}, found a list"),
    ("a text", "ladder\n", f"1: expected {TOP}, found 'ladder'"),
    ("a number", "5\n", f"1: expected {TOP}, found the number 5"),
    ("not closed", "ladder: [a,\n", "2: expected YAML, found a mistake of syntax: expected the node content, but found '<stream end>'"),
    ("two colons", "version: 1\nladder: a: b\n", "2: expected YAML, found a mistake of syntax: mapping values are not allowed here"),
    ("a tab", "evidence:\n\treach: {}\n", r"2: expected YAML, found a mistake of syntax: found character '\t' that cannot start any token"),
    ("unknown alias", "ladder: own\nversion: *v\n", "2: expected YAML, found a mistake of syntax: found undefined alias 'v'"),
    ("two documents", f"{LADDER}---\na: 1\n", "35: expected YAML, found a mistake of syntax: but found another document"),
    ("a zero byte", "ladder: own\nversion: \0\n", r"2: expected YAML, found the character '\x00'"),
    ("nested without end", "[" * 5000, f"1: expected {TOP}, found lists or mappings nested too deeply"),
    ("merge of a list", "<<: [1]\n", "1: expected YAML, found a mistake of syntax: expected a mapping for merging, but found scalar"),
]

CHANGED = [
    # --- the types of single values -------------------------------------------------------------------------------
    ("version: 3", "version: 0", "2: expected a whole number of at least 1, found the number 0"),
    ("version: 3", "version: '3'", "2: expected a whole number of at least 1, found '3'"),
    ("version: 3", "version: 3.0", "2: expected a whole number of at least 1, found the number 3.0"),
    ("version: 3", "version: true", "2: expected a whole number of at least 1, found the truth value true"),
    ("version: 3", "version:", "2: expected a whole number of at least 1, found nothing"),
    ("version: 3", "version: !!int x", "2: expected a whole number of at least 1, found the number x"),
    ("version: 3", "version: !own 3", "2: expected a whole number of at least 1, found '3'"),
    ("ladder: own", "ladder: My Own", "1: expected a name (at most 32 small letters, digits, _ or -), found 'My Own'"),
    ("Europe/Berlin", "[Europe, Berlin]", "3: expected a text, found a list"),
    ("Europe/Berlin", "2026-02-30", "3: expected a text, found the date 2026-02-30 (a text only in quotes)"),
    ('turn: "05:30"', "turn: 5:30", f"4: expected {TIME}, found the number 5:30 (a text only in quotes)"),
    ('turn: "05:30"', 'turn: "24:00"', f"4: expected {TIME}, found '24:00'"),
    ("currency: EUR", "currency: no", "5: expected a currency code such as CNY, found the truth value no (a text only in quotes)"),
    ("currency: EUR", "currency: €", "5: expected a currency code such as CNY, found '€'"),
    ("topic: exposure", "topic: exposur", "7: expected one of exposure, interaction, membership, order, found 'exposur'"),
    ("types: [qr_scan, ad_click]", "types: qr_scan", "10: expected a list, found 'qr_scan'"),
    ("types: [qr_scan, ad_click]", "types: [qr_scan, 5]", "10: expected a text, found the number 5 (a text only in quotes)"),
    ("{topic: order}", "order", "11: expected a mapping with topic (optional: types), found 'order'"),
    ("{topic: order}", "", "11: expected a mapping with topic (optional: types), found nothing"),
    ("id: OUT", "id: 0UT", f"13: expected {NAME}, found '0UT'"),
    ("id: OUT", "id: " + "x" * 80, f"13: expected {NAME}, found '{'x' * 60}...'"),
    ("{en: Outside}", "Outside", "14: expected a mapping, found 'Outside'"),
    ("{en: Outside}", "{en: 404}", "14: expected a text, found the number 404 (a text only in quotes)"),
    ("{en: Outside}", "{no: Utenfor}", "14: expected a text as key, found the truth value no (a text only in quotes)"),
    ("window_days: 30", "window_days: 0", "17: expected a whole number from 1 to 36500, found the number 0"),
    ("        count: 3", "        count: 65", "23: expected a whole number from 1 to 64, found the number 65"),
    ("        count: 3", "        count:", "23: expected a whole number from 1 to 64, found nothing"),
    ("domain: private", "domain: privat", "28: expected one of private, public, found 'privat'"),
    ('turn: "06:00"', 'turn: "6:00"', f"32: expected {TIME}, found '6:00'"),
    ("currency: EUR", "currency: EUR\njunk_above: 0", "6: expected a whole number from 1 to 4000, found the number 0"),
    ('turn: "06:00"', "junk_above: 4001", "32: expected a whole number from 1 to 4000, found the number 4001"),
    # --- keys -----------------------------------------------------------------------------------------------------
    ("version: 3\n", "", "1: expected `version`, a whole number of at least 1, found none"),
    ("{topic: exposure}", "{}", "7: expected `topic`, one of exposure, interaction, membership, order, found none"),
    ("    place: offline\n", "", "26: expected `place`, one of offline, online, found none"),
    ("  - id: SEEN\n    name: {en: Seen, de: Gesehen}", "  - id: SEEN", "15: expected `name`, a mapping, found none"),
    ("currency: EUR", "currencies: EUR", f"5: expected one of {KEYS}, found the unknown key 'currencies'"),
    ("        count: 3", "        counts: 3", "23: expected one of evidence, count, window_days, found the unknown key 'counts'"),
    ("    label: {en: Store}", "    label: {en: Store}\n    colour: red",
        "28: expected one of label, domain, place, found the unknown key 'colour'"),
    ("currency: EUR", "currency: EUR\nversion: 4", "6: expected each key once, found 'version' again (first on line 2)"),
    ("  order: {topic: order}", "  order: {topic: order}\n  reach: {topic: order}",
        "12: expected each key once, found 'reach' again (first on line 7)"),
    ("        window_days: 7", "        window_days: 7\n        count: 4",
        "25: expected each key once, found 'count' again (first on line 23)"),
    ("  store:", "  618:", "26: expected a text as key, found the number 618 (a text only in quotes)"),
    ("  store:", "  [a, b]:", "26: expected a text as key, found a list"),
    # --- what does not make sense ---------------------------------------------------------------------------------
    ("Europe/Berlin", "Berlin", "3: expected an IANA time zone such as Asia/Shanghai, found 'Berlin'"),
    ("Europe/Berlin", "../etc/passwd", "3: expected an IANA time zone such as Asia/Shanghai, found '../etc/passwd'"),
    ("Europe/Berlin", "''", "3: expected an IANA time zone such as Asia/Shanghai, found ''"),
    ("{topic: exposure}", "{topic: exposure, types: []}", f"7: expected at least one of {EXPOSURES}, found none"),
    ("{topic: exposure}", "{topic: exposure, types: [search]}", f"7: expected one of {EXPOSURES}, found 'search'"),
    ("{topic: order}", "{topic: order, types: [refund]}",
        "11: expected at least one of purchase, found only what takes evidence back"),
    ("{topic: order}", "{topic: membership, types: [group_leave, member_cancel]}",
        f"11: expected at least one of {JOINS}, found only what takes evidence back"),
    ("{topic: exposure}", "{topic: interaction}", "8: expected each type to carry one evidence, found types shared with 'reach'"),
    ("id: SEEN", "id: OUT", "15: expected an id of its own, found 'OUT' again\n"
        "x.yaml:34: expected one of OUT, BUYER, found 'SEEN'"),
    ("    name: {en: Outside}", "    name: {en: Outside}\n    any: [{evidence: reach}]",
        "15: expected no condition for the lowest layer, found 1: it holds when no other does"),
    ("    any: [{evidence: reach, window_days: 30}]\n", "", "15: expected at least one condition under `any` of SEEN, found none"),
    ("evidence: reach", "evidence: reached", "17: expected one of reach, scan, order, found 'reached'"),
    ("      - evidence: scan", "      - evidence: scans", "22: expected one of reach, scan, order, found 'scans'"),
    ('turn: "06:00"', "time_zone: Mars/Base", "32: expected an IANA time zone such as Asia/Shanghai, found 'Mars/Base'"),
    ("      SEEN:", "      OUT:", "34: expected one of SEEN, BUYER, found 'OUT'"),
    ("[{evidence: scan}]", "[{evidence: scan}, {evidence: x}]", "34: expected one of reach, scan, order, found 'x'"),
]  # fmt: skip


def mistakes(text: str) -> str:
    with pytest.raises(LadderError) as caught:
        parse_ladder(text, "x.yaml")
    return str(caught.value)


def test_the_ladder_of_this_test_is_right() -> None:
    ladder = parse_ladder(LADDER, "x.yaml")
    assert ladder.id == "own@3"
    assert ladder.calendar("acme.de") == ("Europe/Berlin", "06:00")
    assert [len(conditions) for conditions in ladder.conditions("acme.de")] == [0, 1, 2]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_a_file_that_is_no_ladder_is_refused(text: str, expected: str) -> None:
    first = mistakes(text).splitlines()[0]
    assert first == f"x.yaml:{expected}"


@pytest.mark.parametrize(("old", "new", "expected"), CHANGED, ids=[f"{new.strip()!r:.50}" for _, new, _ in CHANGED])
def test_a_mistake_is_told_with_its_line(old: str, new: str, expected: str) -> None:
    assert LADDER.count(old) == 1
    assert mistakes(LADDER.replace(old, new)) == f"x.yaml:{expected}"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    text = LADDER
    for old, new in (
        ("version: 3", "version: x"),
        ("topic: exposure", "topic: x"),
        ("place: offline", "plaice: offline"),
        ("count: 2", "count: 0"),
    ):
        text = text.replace(old, new)
    assert mistakes(text).splitlines() == [
        "x.yaml:2: expected a whole number of at least 1, found 'x'",
        "x.yaml:7: expected one of exposure, interaction, membership, order, found 'x'",
        "x.yaml:21: expected a whole number from 1 to 64, found the number 0",
        "x.yaml:26: expected `place`, one of offline, online, found none",
        "x.yaml:29: expected one of label, domain, place, found the unknown key 'plaice'",
    ]


def test_all_that_makes_no_sense_is_told_at_once() -> None:
    text = LADDER.replace("Europe/Berlin", "Berlin").replace("evidence: reach,", "evidence: x,").replace("      SEEN:", "      R9:")
    assert [int(line.split(":")[1]) for line in mistakes(text).splitlines()] == [3, 17, 34]


def test_a_ladder_of_one_layer_is_refused() -> None:
    text = re.sub(r"  - id: SEEN.*(?=channels:)", "", LADDER, flags=re.DOTALL)
    assert mistakes(text).splitlines()[0] == "x.yaml:12: expected at least two layers, found 1"


def test_what_an_anchor_names_is_told_once_where_it_stands() -> None:
    text = LADDER.replace("label: {en: Store}", "label: &shop {en: 5}")
    text = text.replace("brands:\n", "  kiosk: {label: *shop, domain: public, place: offline}\nbrands:\n")
    assert mistakes(text) == "x.yaml:27: expected a text, found the number 5 (a text only in quotes)"


def test_channels_may_share_what_they_have_in_common() -> None:
    text = LADDER.replace("  store:\n", "  store: &shop\n").replace("brands:\n", "  kiosk: {<<: *shop, label: {en: Kiosk}}\nbrands:\n")
    channels = parse_ladder(text, "x.yaml").channels
    assert channels["kiosk"].label == {"en": "Kiosk"}
    assert channels["kiosk"].place == "offline"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_ladder_is_found_by_name(name: str) -> None:
    assert load_ladder(name).id == f"{name}@1"


def test_a_ladder_is_found_by_path(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(LADDER, encoding="utf-8")
    assert load_ladder(str(file)).id == "own@3"
    file.write_text(LADDER.replace("version: 3", "version: x"), encoding="utf-8")
    with pytest.raises(LadderError, match=re.escape(f"{file}:2: expected a whole number")):
        load_ladder(str(file))


@pytest.mark.parametrize("name", ["5R", "missing.yaml", ".", ""])
def test_a_ladder_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(LadderError, match=f"expected one of 5r, aipl or a readable ladder file, found {re.escape(repr(name))}"):
        load_ladder(name)


def test_a_ladder_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_bytes(LADDER.replace("Outside", "圈外").encode("gb18030"))
    with pytest.raises(LadderError, match="readable ladder file"):
        load_ladder(str(file))
