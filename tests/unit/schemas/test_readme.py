"""The page about the contract leaves nothing out."""

from __future__ import annotations

import re

from schemas.deadletter import Reason
from schemas.touchpoint import CATALOGUE, KINDS, MAX_BYTES
from tests.unit.schemas.example_files import SCHEMAS, TOPICS

README = (SCHEMAS / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, str]:
    """The rows of the first table under a heading, by their first cell."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {cells[0].strip("` "): line for line in section.splitlines() if (cells := line.split("|")[1:]) and line.startswith("| `")}


def test_every_topic_has_a_row_with_its_direction_and_key() -> None:
    table = rows("Topics")
    assert set(table) == set(TOPICS)
    for name, row in table.items():
        _, direction, _, key = (cell.strip(" `") for cell in row.strip("|").split("|"))
        assert direction.split(",")[0] == TOPICS[name].direction
        assert key == TOPICS[name].key


def test_every_type_stands_in_the_row_of_its_topic() -> None:
    for kind in KINDS:
        named = re.findall(r"`([a-z_]+)`", rows("Topics")[kind.topic])
        assert [name for name in named if name != "user_id"] == [type_ for type_, its in CATALOGUE.items() if its is kind]


def test_every_reason_has_a_row() -> None:
    assert set(rows("Dead letters")) == set(Reason)


def test_the_limits_are_those_of_the_code() -> None:
    assert f"at most {MAX_BYTES:,} bytes" in README
    days = {topic.retention_days for topic in TOPICS.values() if topic.direction == "out"}
    assert days == {30}
    assert "kept for 30 days" in README


def test_every_file_it_links_to_exists() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (SCHEMAS / link).exists(), link
