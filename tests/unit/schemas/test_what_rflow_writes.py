"""A simulated day and what the fold makes of it fit the schemas that strangers rely on."""

from __future__ import annotations

import json

import msgspec
import pytest
from jsonschema import Draft202012Validator

from schemas.deadletter import InvalidRecord
from schemas.ladder_file import SHIPPED, load_ladder
from schemas.touchpoint import KINDS, Tick, Touchpoint
from schemas.validate import Validator
from sources.route import route
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from tests.golden.fold_engine import MemoryShard
from tests.unit.schemas.example_files import schema_of


@pytest.mark.parametrize("name", SHIPPED)
def test_a_simulated_day_fits_the_schemas_on_its_way_in_and_out(name: str) -> None:
    ladder = load_ladder(name)
    validator = Validator(ladder, lambda: 0, check_future=False)
    incoming = {kind: Draft202012Validator(schema_of(kind.topic)) for kind in KINDS}
    events: list[Touchpoint | Tick] = []
    for line in PromotionDay(SimulatorConfig(ladder, users=200, events=1_000)).lines():
        kind = route(line).kind
        try:
            events.append(validator.validate(kind, line))
        except InvalidRecord:  # a simulated day has broken records on purpose
            continue
        incoming[kind].validate(json.loads(line))

    shard = MemoryShard(ladder)
    for start in range(0, len(events), 200):
        shard.step(events[start : start + 200])
    shard.sweep()
    assert shard.transitions
    assert shard.rollups
    for topic, records in (("transitions", shard.transitions), ("rollups", shard.rollups)):
        outgoing = Draft202012Validator(schema_of(topic))
        for record in records:
            outgoing.validate(json.loads(msgspec.json.encode(record)))
