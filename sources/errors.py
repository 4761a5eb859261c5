"""What can go wrong at a source. Every message says what was expected, what was found and, where it helps, what to do."""

from __future__ import annotations


class SourceError(Exception):
    """A source that cannot be used as it is."""


class MissingExtra(SourceError):
    """A recorded data set whose package is not installed."""

    def __init__(self, source: str, package: str) -> None:
        super().__init__(f"{source} needs the package {package}, which is not installed; install the extra: pip install 'rflow[data]'")


class UnreadableSource(SourceError):
    """A file that cannot be opened, decompressed or understood."""


class DeliveryFailed(SourceError):
    """Kafka did not take a record."""
