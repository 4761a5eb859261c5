"""In which form a shard's keys in Redis are written: users' states, meta, labels, outbox.

The number grows with a change that an earlier release would misread or, by leaving out what it does not know, undo. A release reads every
form up to KNOWN (`tests/released` keeps what each has written) and refuses a later one. A new form is read by one release and written
by the next: so that while workers are replaced one by one, those of before can take back a shard that the new ones have stepped, and the
way back to the release before stays open.
"""

from __future__ import annotations

from streams.errors import StateTooNew

KNOWN = 1
"""The latest form that this release reads."""
FORMAT = 1
"""The form that it writes."""


def refuse_newer(found: int) -> None:
    """Raises StateTooNew if a shard's keys are in a form later than KNOWN."""
    if found > KNOWN:
        raise StateTooNew(
            f"expected what the shard keeps in form {KNOWN} or an earlier one, as this release knows them, found form {found}: a later "
            "release has worked on it. Run that one again; the way back to this one is a backup from before it (deploy/OPERATING.md)"
        )
