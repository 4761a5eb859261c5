"""Kafka, Redis and ClickHouse as a company has them: TLS, users with passwords that change, and no right that was not given."""
