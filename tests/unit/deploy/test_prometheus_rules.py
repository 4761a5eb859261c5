"""Prometheus' own `promtool` holds every alert against series: quiet, firing with these labels, and over."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yaml"))
CASES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("alert_cases.yaml").read_text())
ALERTS: dict[str, dict[str, Any]] = {}
FILES: dict[str, list[Path]] = {}
for _file in RULES:
    for _rule in (rule for group in yaml.safe_load(_file.read_text())["groups"] for rule in group["rules"] if "alert" in rule):
        ALERTS[_rule["alert"]] = _rule
        FILES.setdefault(_rule["alert"], [_file.with_name("recording.yaml"), _file])
RUNBOOK = "https://runbook.example.com"


def run(*command: object) -> None:
    told = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr


def promtool(*arguments: object) -> None:
    run("promtool", *arguments)


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)
    promtool("check", "config", "--lint=all", "--lint-fatal", ROOT / "deploy" / "prometheus" / "prometheus.yml")


def test_amtool_takes_the_configuration_of_alertmanager() -> None:
    run("amtool", "check-config", ROOT / "deploy" / "prometheus" / "alertmanager.yml")


def test_alerts_that_keep_others_quiet_and_those_that_are_kept_quiet_exist() -> None:
    told = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alertmanager.yml").read_text())
    named = {name for rule in told["inhibit_rules"] for name in re.findall(r"Rflow\w+", str(rule))}
    assert named <= set(ALERTS)
    assert named


def test_every_alert_has_its_case() -> None:
    assert set(CASES) == set(ALERTS)


def _at(time: str, alert: str, labels: dict[str, str] | None) -> dict[str, Any]:
    expected = {"alertname": alert, "alertstate": "firing", "severity": ALERTS[alert]["labels"]["severity"], **(labels or {})}
    name = f"ALERTS{{{', '.join(f'{label}={value!r}' for label, value in expected.items())}}}".replace("'", '"')
    samples = [] if labels is None else [{"labels": name, "value": 1}]
    return {"expr": f'ALERTS{{alertname="{alert}", alertstate="firing"}}', "eval_time": time, "exp_samples": samples}


def _tests(file: Path, rules: list[Path], tests: list[dict[str, Any]]) -> Path:
    file.write_text(yaml.safe_dump({"rule_files": [str(path) for path in rules], "evaluation_interval": "1m", "tests": tests}))
    return file


def _test(alert: str) -> dict[str, Any]:
    series = [{"series": name, "values": values} for name, values in CASES[alert]["series"].items()]
    return {"name": alert, "interval": "1m", "input_series": series}


def test_every_alert_fires_when_it_should_and_at_no_other_time(tmp_path: Path) -> None:
    files = []
    for rules in {pair[1]: pair for pair in FILES.values()}.values():
        tests = [
            _test(alert)
            | {
                "promql_expr_test": [
                    _at(time, alert, labels) for time, labels in [*dict.fromkeys(case["quiet"]).items(), *case["firing"].items()]
                ]
            }
            for alert, case in CASES.items()
            if FILES[alert] == rules
        ]
        files.append(_tests(tmp_path / rules[1].name, rules, tests))
    promtool("test", "rules", *files)


def test_an_alert_tells_what_it_is_about_and_where_to_read_on(tmp_path: Path) -> None:
    alert = "RflowShardBehind"
    expected = {
        "exp_labels": {"severity": "critical", "shard": "1"},
        "exp_annotations": {
            "summary": "shard 1 is behind by 10 records",
            "runbook_url": f"{RUNBOOK}/RUNBOOK_ALARMS.md#rflowshardbehind",
        },
    }
    told = [{"eval_time": "12m", "alertname": alert, "exp_alerts": [expected]}]
    test = _test(alert) | {"external_labels": {"runbook": RUNBOOK}, "alert_rule_test": told}
    promtool("test", "rules", _tests(tmp_path / "alerts.yaml", FILES[alert], [test]))


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_what_an_alert_says_of_its_labels_it_has(alert: str) -> None:
    told = set(re.findall(r"\$labels\.(\w+)", ALERTS[alert]["annotations"]["summary"]))
    assert told <= {label for labels in CASES[alert]["firing"].values() for label in labels}
