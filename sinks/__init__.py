"""Where output ends: ClickHouse, the dead letters' desk, alert channels, webhooks."""
