"""Writes the rules as a resource of Prometheus' operator."""

from __future__ import annotations

from deploy.prometheus.resource import TARGET, rules_resource

TARGET.write_text(rules_resource(), encoding="utf-8")
