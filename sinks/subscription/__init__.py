"""Transitions handed on to a service that does not read Kafka: to its webhook, or as lines to a program."""
