"""Named places at which a test ends the process as `kill -9` would: between any two steps whose order is the point.

The composition root may arm one of them at start-up. Unarmed, passing one costs a comparison.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum


class CrashPoint(StrEnum):
    """Every place, in the order of the data's way; those of an insert are passed once a table, the sink's others once a block or start."""

    TAKEOVER_BEFORE_OUTBOX = "takeover.before_outbox"
    """the shard has been read, nothing of its outbox published"""
    TAKEOVER_AFTER_OUTBOX = "takeover.after_outbox"
    """all the outbox held has been handed to the producer"""
    STEP_AFTER_READ = "step.after_read"
    """the users of the step have been read, nothing folded"""
    STEP_BEFORE_EXEC = "step.before_exec"
    """the step is folded, nothing of it sent to Redis"""
    STEP_AFTER_EXEC = "step.after_exec"
    """Redis has answered, the answer has not been looked at"""
    STEP_BEFORE_PUBLISH = "step.before_publish"
    """the step is applied, nothing of it published"""
    PUBLISH_INSIDE_ENTRY = "publish.inside_entry"
    """the first record of an entry has been handed to the producer, the second not"""
    STEP_AFTER_PUBLISH = "step.after_publish"
    """all of the step has been handed to the producer, nothing acknowledged"""
    PUBLISH_ACKNOWLEDGED = "publish.acknowledged"
    """all of an entry has been acknowledged, the outbox not trimmed"""
    SINK_INSIDE_MIGRATE = "sink.inside_migrate"
    """one more statement that sets the database up has been carried out"""
    SINK_AFTER_MIGRATE = "sink.after_migrate"
    """the tables are there, nothing has been read back"""
    SINK_AFTER_LOAD = "sink.after_load"
    """what is stored has been read back, nothing consumed"""
    SINK_BEFORE_INTENT = "sink.before_intent"
    """a block has been planned, ClickHouse knows nothing of it"""
    SINK_AFTER_INTENT = "sink.after_intent"
    """the intent has been written, not read back"""
    SINK_AFTER_AGREEMENT = "sink.after_agreement"
    """the intent has been read back, no row of the block is stored"""
    SINK_BEFORE_INSERT = "sink.before_insert"
    """a table has been looked at where need be, its rows of the block are not stored"""
    SINK_AFTER_INSERT = "sink.after_insert"
    """one more table holds its rows of the block, which has not been looked at"""
    SINK_BEFORE_DONE = "sink.before_done"
    """all rows of the block are stored, it is not marked done"""
    SINK_AFTER_DONE = "sink.after_done"
    """the block is done, Kafka's committed offset is behind"""
    SINK_AFTER_COMMIT = "sink.after_commit"
    """the offsets were committed for the lag tools"""
    PROMOTION_BEFORE_SAVE = "promotion.before_save"
    """a promotion's next version is made, Redis knows nothing of it"""
    PROMOTION_SAVED = "promotion.saved"
    """the version is saved, nothing of it published"""
    PROMOTION_PUBLISHED = "promotion.published"
    """Kafka has acknowledged it, the outbox has not been trimmed"""


_armed: str | None = None
_left = 0
_signal = signal.SIGKILL


def arm(name: str, nth: int = 1, *, freeze: bool = False) -> None:
    """From now on the `nth` passing of `name` kills this process, or lets it stand still there until SIGCONT (`freeze`).

    Raises ValueError for a name that is not a crash point.
    """
    global _armed, _left, _signal
    if nth < 1:
        raise ValueError(f"expected the passing to crash at to be at least 1, found {nth}")
    _armed, _left, _signal = CrashPoint(name).value, nth, signal.SIGSTOP if freeze else signal.SIGKILL


def crash_point(name: str) -> None:
    """Passes by, unless it is the armed place and time: then the process ends here, with nothing cleaned up, or stands still."""
    global _left
    if _armed is None or name != _armed:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), _signal)
