"""Who rflow is to Kafka, Redis and ClickHouse, and what it needs the right to do there."""
