"""Grafana's dashboards are those that the generator writes, ask for metrics that exist, and leave none of them out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram

from deploy.grafana.dashboards import DASHBOARDS, FOLDER, written
from deploy.grafana.panels import Dashboard, metrics_of
from streams import metrics
from tests.unit.test_runbook import METRICS, RECORDED

KNOWN = METRICS | {f"{name}_bucket" for name in METRICS} | set(RECORDED)
EXPRESSIONS = sorted({query.expr for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries})
UNITS = {"short", "ops", "s", "bytes", "percentunit", "dateTimeAsIso"}


def test_the_files_are_what_the_generator_writes() -> None:
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == written(), "run: python -m deploy.grafana"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_ask_for_metrics_that_exist(expression: str) -> None:
    asked = metrics_of(expression)
    assert asked
    assert not {name for name in asked if "rflow_" in name and name not in KNOWN}


def test_every_metric_is_drawn_somewhere() -> None:
    drawn = " ".join([*EXPRESSIONS, *(RECORDED[name] for expression in EXPRESSIONS for name in metrics_of(expression) & set(RECORDED))])
    assert not {name for name in METRICS if not re.search(rf"\b{name}(?:_bucket)?\b", drawn)}


def test_what_is_recorded_is_read() -> None:
    from tests.unit.test_runbook import ALARMS

    asked = " ".join([*EXPRESSIONS, *(rule["expr"] for rule in ALARMS.values())])
    assert not {name for name in RECORDED if name not in asked}


def test_labels_in_legends_are_those_of_some_metric() -> None:
    labels = {label for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram) for label in metric._labelnames}
    legends = " ".join(query.legend for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries)
    assert set(re.findall(r"{{(\w+)}}", legends)) <= labels | {"instance"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_a_dashboard_is_as_grafana_wants_it(dashboard: Dashboard) -> None:
    told: dict[str, Any] = json.loads((FOLDER / f"{dashboard.uid}.json").read_text())
    assert re.fullmatch(r"[a-z-]{1,40}", told["uid"])
    panels = told["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["type"] in ("timeseries", "stat")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        place = panel["gridPos"]
        assert 0 <= place["x"] <= 24 - place["w"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    assert ("$brand" in json.dumps(panels)) == dashboard.by_brand == any(one["name"] == "brand" for one in told["templating"]["list"])
