"""The rules as a PrometheusRule, for clusters in which Prometheus' operator runs."""

from __future__ import annotations

from pathlib import Path

import yaml

_RULES = Path(__file__).parent / "rules"
TARGET = Path(__file__).parents[1] / "kubernetes" / "components" / "monitoring" / "rules.yaml"
_HEAD = "# Written by `python -m deploy.prometheus` out of deploy/prometheus/rules: change those.\n"


def rules_resource() -> str:
    """The file, whole."""
    groups = [group for file in sorted(_RULES.glob("*.yaml")) for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "rflow"},
        "spec": {"groups": groups},
    }
    return _HEAD + yaml.safe_dump(resource, sort_keys=False, width=1000)
