"""What can go wrong in the ClickHouse sink. Each says what was expected, what was found and what to do."""

from __future__ import annotations


class SinkError(Exception):
    """The sink cannot go on; the message says why."""


class StoreError(SinkError):
    """ClickHouse refuses a statement and will refuse it again."""


class StoreAway(SinkError):
    """ClickHouse does not answer, or not now: try again later. Whether the statement was carried out is not known."""


class LogGap(SinkError):
    """Records that were published are not in the log any more, or never got there."""


class LogStale(SinkError):
    """The log is not the one that was stored from: it ends before what is stored, or tells another story."""


class Stopped(Exception):
    """The sink was told to stop. Not an error: what is unfinished is settled at the next start."""
