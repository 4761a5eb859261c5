"""The file of rules: defaults without one, every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from warroom.alerts.rules import (
    CountRule,
    FlowRule,
    PaceRule,
    PipelineRule,
    Rules,
    RulesError,
    SeverityRule,
    SpendRule,
    load_rules,
    read_rules,
)


def test_what_a_file_leaves_out_is_as_by_default() -> None:
    assert read_rules("version: 2\n", "alerts.yaml") == Rules(version=2)
    assert read_rules("drop:\n  false_alarms: 2\n", "alerts.yaml").drop.false_alarms == 2


def test_the_example_shows_every_rule_with_its_default() -> None:
    text = (Path(__file__).parents[4] / "examples" / "alerts.yaml").read_text(encoding="utf-8")
    assert read_rules(text, "alerts.yaml") == Rules()
    for part in (Rules, FlowRule, PaceRule, SpendRule, CountRule, PipelineRule, SeverityRule):
        for name in (field.encode_name for field in msgspec.structs.fields(part)):
            assert f"{name}:" in text, name
    window = text.replace("planned: []", "planned:").replace("#  - from", "  - from").replace("#    ", "    ")
    (planned,) = read_rules(window, "alerts.yaml").planned
    assert (planned.note, planned.brand) == ("the WeCom form is replaced", "acme")


def test_every_mistake_is_told_with_its_line() -> None:
    text = """version: 0
drop:
  false_alarms: soon
  least_chance: 1
severity:
  warning_share: 0.5
"""
    with pytest.raises(RulesError) as error:
        read_rules(text, "alerts.yaml")
    lines = str(error.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["alerts.yaml:1", "alerts.yaml:3", "alerts.yaml:4"]
    assert "the unknown key 'least_chance'" in lines[2]


def test_what_contradicts_itself_is_told_too() -> None:
    text = """severity:
  warning_share: 0.5
planned:
  - from: "2026-11-11T01:00:00.000Z"
    to: "2026-11-11T00:00:00.000Z"
    note: the form is replaced
"""
    with pytest.raises(RulesError) as error:
        read_rules(text, "alerts.yaml")
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == ["alerts.yaml:1", "alerts.yaml:5"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="cannot be read"):
        load_rules(tmp_path / "alerts.yaml")
