"""Writes the dashboards beside this file."""

from __future__ import annotations

from deploy.grafana.dashboards import FOLDER, written

for name, content in written().items():
    (FOLDER / name).write_bytes(content)
