"""What rflow costs: throughput, memory, latency and scaling, measured on real Kafka and Redis."""
