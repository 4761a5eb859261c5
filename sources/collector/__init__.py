"""The HTTP collector: touchpoints posted by programs that speak no Kafka, acknowledged when Kafka has acknowledged them."""
