"""Dashboards as values, and the JSON that Grafana reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import orjson
from msgspec import Struct

_COLUMNS = 24
_SIZES = {"stat": (6, 4), "timeseries": (12, 8)}
"""Width of 24 and height in Grafana's units, by kind of panel."""
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Query(Struct, frozen=True):
    """A PromQL expression and what its lines are called."""

    expr: str
    legend: str


class Panel(Struct, frozen=True, kw_only=True):
    """One panel. `unit` is one of Grafana's; `quiet`: empty as long as all is well."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Literal["timeseries", "stat"] = "timeseries"
    stacked: bool = False
    quiet: bool = False
    bad_above: float | None = None
    """a stat is red from here on"""


class Dashboard(Struct, frozen=True, kw_only=True):
    """One page; `by_brand`: it has a choice of brands, `$brand`."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    by_brand: bool = False


def metrics_of(expression: str) -> set[str]:
    """The names of the metrics in an expression, as far as they begin as those of rflow, Redis and processes do."""
    without_text = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:\w+:)?(?:rflow|redis|process)_\w+(?::\w+)?", without_text)) - {"process_info"}


def to_json(dashboard: Dashboard) -> bytes:
    """The file that Grafana is provisioned with: one panel a line, so that a change shows as one."""
    head = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["rflow"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["rflow"], "title": "rflow", "asDropdown": True, "keepTime": True}],
        "templating": {"list": list(_variables(dashboard))},
    }
    lines = [f"  {_text(name)}: {_text(value)}," for name, value in head.items()]
    panels = ",\n".join(f"    {_text(panel)}" for panel in _laid_out(dashboard.panels))
    return "\n".join(["{", *lines, '  "panels": [', panels, "  ]", "}", ""]).encode()


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


def _variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus", "current": {}}
    if dashboard.by_brand:
        asked = "label_values(rflow_users, brand)"
        yield {
            "name": "brand",
            "type": "query",
            "label": "Brand",
            "datasource": _SOURCE,
            "query": {"query": asked, "refId": "brand"},
            "definition": asked,
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "current": {"text": "All", "value": "$__all"},
        }


def _laid_out(panels: tuple[Panel, ...]) -> Iterator[dict[str, Any]]:
    """From left to right; a new row where one does not fit beside the last, or is of another height."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        width, own_height = _SIZES[panel.kind]
        if x + width > _COLUMNS or own_height != height:
            x, y, height = 0, y + height, own_height
        yield {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": own_height}, **_drawn(panel)}
        x += width


def _drawn(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_above is not None:
        steps.append({"color": "red", "value": panel.bad_above})
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none"}
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 30 if panel.stacked else 5, "showPoints": "never", "stacking": stacking}
        options: dict[str, Any] = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    if panel.quiet:
        defaults["noValue"] = "none"
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": query.expr, "legendFormat": query.legend}
            for i, query in enumerate(panel.queries)
        ],
    }
