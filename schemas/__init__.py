"""The contract: what travels on every topic, and the ladder that gives it meaning."""
