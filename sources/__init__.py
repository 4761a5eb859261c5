"""Where touchpoints come from: recorded data sets, files, the simulator; and the producers that bring them to Kafka."""
