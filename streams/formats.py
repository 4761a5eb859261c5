"""In which form a shard's keys in Redis are written: users' states, meta, labels, outbox.

The number grows with a change that an earlier release would misread. A release reads its own form and every one before it
(`tests/released` keeps what each has written); what a later one has written it refuses, because whatever it left out or took for something
else would be lost with its first step.
"""

from __future__ import annotations

from streams.errors import StateTooNew

FORMAT = 1
"""The form that this release writes."""


def refuse_newer(found: int) -> None:
    """Raises StateTooNew if a shard's keys are in a form later than FORMAT."""
    if found > FORMAT:
        raise StateTooNew(
            f"expected what the shard keeps in form {FORMAT} or an earlier one, as this release knows them, found form {found}: a later "
            "release has worked on it. Run that one again; the way back to this one is a backup from before it (deploy/OPERATING.md)"
        )
