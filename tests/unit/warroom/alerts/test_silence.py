"""Which alerts a silence holds back: its brand's, and of those what it names, until it ends."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from schemas.alert import Alert
from warroom.alerts.silence import Silence, silence_of

EXAMPLES = Path(__file__).parents[4] / "schemas" / "examples" / "alerts" / "valid"
FIRING = msgspec.json.decode((EXAMPLES / "firing.json").read_bytes(), type=Alert)
NOW = 1_794_355_200_000
ALL = Silence(silence_id="all", brand="acme", until=NOW + 60_000, by="ann", because="known")


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ({}, True),
        ({"brand": "nova"}, False),
        ({"rule": "flow_drop"}, True),
        ({"rule": "pipeline_down"}, False),
        ({"flow": "R2>R3"}, True),
        ({"flow": "R3>R4"}, False),
        ({"channel": "wecom"}, True),
        ({"channel": "tmall"}, False),
        ({"flow": "R2>R3", "channel": "tmall"}, False),
        ({"until": NOW}, False),
    ],
)
def test_what_it_names_must_match(given: dict[str, object], held: bool) -> None:
    assert (silence_of([replace(ALL, **given)], FIRING, NOW) is not None) is held


def test_of_several_the_one_that_ends_last_counts() -> None:
    longer = replace(ALL, silence_id="longer", until=NOW + 120_000)
    assert silence_of([ALL, longer, replace(ALL, until=NOW - 1)], FIRING, NOW) == longer


def test_a_silence_of_a_flow_leaves_alerts_without_one_alone() -> None:
    assert silence_of([replace(ALL, flow="R2>R3")], replace(FIRING, flow=None), NOW) is None
