"""Rules are read again when their file changes: what is valid takes effect, what is not leaves the old ones, and says so."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from warroom.alerts.reload import RulesFile
from warroom.alerts.rules import Rules, RulesError


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "alerts.yaml"
    made.write_text("version: 3\ndrop:\n  clear_minutes: 5\n", encoding="utf-8")
    return made


def test_a_valid_change_takes_effect_and_its_version_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = RulesFile(path)
    assert (file.rules.version, file.rules.drop.clear_minutes) == (3, 5)
    path.write_text("version: 4\ndrop:\n  clear_minutes: 9\n", encoding="utf-8")
    with caplog.at_level(logging.INFO, logger="rflow.alerts"):
        file.look()
    assert (file.rules.version, file.rules.drop.clear_minutes) == (4, 9)
    assert metric("rflow_alert_rules_version") == 4
    assert "alert rules: version 4 is in force" in caplog.text


def test_an_invalid_change_leaves_the_old_rules_and_is_told_once_with_its_line(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, refused = RulesFile(path), metric("rflow_alert_rules_refused_total")
    path.write_text("version: 5\ndrop:\n  clear_minutes: soon\n", encoding="utf-8")
    with caplog.at_level(logging.INFO, logger="rflow.alerts"):
        for _ in range(3):
            file.look()
    assert (file.rules.version, file.rules.drop.clear_minutes) == (3, 5)
    assert metric("rflow_alert_rules_version") == 3
    assert metric("rflow_alert_rules_refused_total") == refused + 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "alerts.yaml:3" in record.getMessage()
    path.write_text("version: 6\n", encoding="utf-8")
    file.look()
    assert file.rules == Rules(version=6)


def test_a_file_that_goes_and_comes_back_as_another_of_the_same_size_and_time(path: Path) -> None:
    file, stat = RulesFile(path), path.stat()
    path.unlink()
    file.look()
    assert file.rules.version == 3
    other = path.with_suffix(".new")
    other.write_text("version: 7\ndrop:\n  clear_minutes: 5\n", encoding="utf-8")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.rename(path)
    file.look()
    assert file.rules.version == 7


def test_at_first_a_file_must_be_usable_and_without_one_the_defaults_hold(path: Path) -> None:
    path.write_text("version: none\n", encoding="utf-8")
    with pytest.raises(RulesError, match=r"alerts.yaml:1"):
        RulesFile(path)
    file = RulesFile(None)
    file.look()
    assert file.rules == Rules()
