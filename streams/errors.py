"""The errors of the processor. Each message says what was expected, what was found and what to do."""

from __future__ import annotations


class RflowError(Exception):
    """The root of all errors that the processor raises on purpose."""


class ShardStopped(RflowError):
    """A shard cannot go on without an operator's decision; the other shards of the worker do."""


class LogGap(ShardStopped):
    """The log no longer reaches back to the record after the applied offset."""


class StaleLog(ShardStopped):
    """The log ends before the applied offset, or its topic is another one than the state was built from."""


class StaleStore(ShardStopped):
    """An output partition carries a higher version than Redis knows: Redis has forgotten what was published."""


class StoreEvicts(ShardStopped):
    """Redis drops keys where memory is short."""


class LadderChanged(ShardStopped):
    """The shard's state was built with another ladder than the one given."""


class SplitUnfinished(ShardStopped):
    """The shard's users are being dealt to more shards, and not all have been."""


class StateUnreadable(ShardStopped):
    """A value in Redis is not what this release wrote."""


class StateTooNew(StateUnreadable):
    """A later release has written the shard, in a form that this one does not know."""


class PartitionsChanged(RflowError):
    """A topic, or the state, has another number of partitions than was told."""


class Conflict(RflowError):
    """Someone else moved the shard between the read and the write of a step; the step was thrown away."""


class PublisherClosed(RflowError):
    """The producer met a fatal error and has been closed; nothing later was sent."""
