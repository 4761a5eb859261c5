"""The subscriber's rule: what makes `transitions` and `rollups` exactly-once for any reader."""

from __future__ import annotations


class SubscriberRule:
    """Within a partition, drop a record whose (version, index) is not greater than the last one seen.

    Keep `position` with whatever the subscriber stores, in the same transaction, and hand it back after a restart.
    """

    def __init__(self, position: dict[int, tuple[int, int]] | None = None) -> None:
        self.position = dict(position or {})

    def is_new(self, partition: int, version: int, index: int) -> bool:
        """Whether the record is to be taken; if so it becomes the last one seen of its partition."""
        seen = self.position.get(partition)
        if seen is not None and (version, index) <= seen:
            return False
        self.position[partition] = (version, index)
        return True
