"""Prometheus' rules; `python -m deploy.prometheus` writes them as Kubernetes' operator wants them."""
