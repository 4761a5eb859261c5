"""Grafana's dashboards, generated: `python -m deploy.grafana` writes them."""
