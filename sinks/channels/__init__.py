"""Where alerts go: Alertmanager, group robots, e-mail, webhooks. Each stands for itself."""
