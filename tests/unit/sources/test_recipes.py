"""The recipes name topics, fields and converters with which records become touchpoints on the right topic and partition."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.topics import load_topics
from schemas.touchpoint import CATALOGUE, KINDS, MAX_BYTES, Kind, Order
from sources.collector.body import LINES
from sources.collector.collector import Bounds

RECIPES = Path(__file__).parents[3] / "sources" / "recipes"
CONNECTORS = sorted(RECIPES.glob("*.json"))


def config(path: Path) -> dict[str, Any]:
    told = json.loads(path.read_bytes())
    assert set(told) == {"name", "config"}
    found: dict[str, Any] = told["config"]
    return found


@pytest.mark.parametrize("path", CONNECTORS, ids=lambda path: path.name)
def test_a_connector_writes_plain_json_keyed_by_the_user_and_loses_nothing(path: Path) -> None:
    found = config(path)
    assert all(isinstance(value, str) for value in found.values())
    # Kafka Connect's producers partition by murmur2 of the key's bytes, which have to be those of the user id and nothing else.
    assert found["key.converter"].endswith(".StringConverter")
    # Rows become JSON without a schema; what is JSON already must go through as it is, which no converter for JSON lets it.
    if path.stem == "debezium-outbox":
        assert found["value.converter"].endswith(".StringConverter")
        assert "transforms.outbox.table.expand.json.payload" not in found
    else:
        assert (found["value.converter"].endswith(".JsonConverter"), found["value.converter.schemas.enable"]) == (True, "false")
    assert (found["producer.override.acks"], found["producer.override.enable.idempotence"]) == ("all", "true")
    named = found["transforms"].split(",")
    assert {name.split(".")[1] for name in found if name.startswith("transforms.")} == set(named)
    assert not [
        value
        for name, value in found.items()
        if ("password" in name or "user" in name.split(".")) and "secrets:" not in value and "db" in value
    ]


def test_the_view_of_orders_has_the_contracts_fields_and_goes_to_their_topic() -> None:
    found = config(RECIPES / "kafka-connect-jdbc.json")
    assert found["topic.prefix"] == Kind.ORDER.topic
    assert found["topic.prefix"] in load_topics()
    assert found["transforms.key.fields"] == found["transforms.user.field"] == "user_id"
    selects = (RECIPES / "orders_view.sql").read_text().split("UNION ALL")
    assert len(selects) == 2
    for select in selects:
        columns = re.findall(r" AS (\w+)(?:,|\n)", select.partition("AS\nSELECT")[2] or select)
        fields = set(columns) - {found["transforms.own.exclude"]}
        assert {"event_id", "type", "brand", "user_id", "occurred_at", "order_id", "amount"} <= fields <= set(Order.__struct_fields__)
    kinds = re.findall(r"'(\w+)'\s+AS type", "".join(selects))
    assert [CATALOGUE[kind] for kind in kinds] == [Kind.ORDER] * 2
    assert found["incrementing.column.name"] in columns


def test_the_outbox_routes_to_topics_that_there_are() -> None:
    found = config(RECIPES / "debezium-outbox.json")
    table = (RECIPES / "outbox.sql").read_text()
    kinds = re.findall(r"'(\w+)'", table.partition("CHECK")[2])
    pattern = found["transforms.outbox.route.topic.replacement"]
    assert [pattern.replace("${routedByValue}", kind) for kind in kinds] == [kind.topic for kind in KINDS]
    columns = set(re.findall(r"^    (\w+) ", table, re.MULTILINE))
    told = {value for name, value in found.items() if name.startswith("transforms.outbox.table.field.") or name.endswith("route.by.field")}
    assert told == columns


def test_the_files_that_grow_are_posted_within_the_collectors_bounds() -> None:
    told = yaml.safe_load((RECIPES / "vector.yaml").read_text())
    sink = told["sinks"]["collector"]
    assert sink["batch"]["max_events"] <= Bounds().records
    assert sink["batch"]["max_bytes"] <= Bounds().body
    assert sink["request"]["headers"]["Content-Type"] in LINES
    assert sink["uri"].endswith("/v1/touchpoints")
    assert told["sources"]["touchpoints"]["max_line_bytes"] <= MAX_BYTES
