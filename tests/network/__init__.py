"""Several hosts: brokers, a Redis Cluster, workers, ClickHouse and the sink, each in a network namespace with an address of its own."""
