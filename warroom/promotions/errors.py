"""What can go wrong at the promotions' desk. Each says what was expected, what was found and what to do."""

from __future__ import annotations

from schemas.promotion import Promotion


class PromotionError(Exception):
    """A change that was not made, or a promotion that cannot be shown; the message says why."""


class PromotionInvalid(PromotionError):
    """What is asked for is no promotion."""


class PromotionUnknown(PromotionError):
    """There is no promotion of that name."""

    def __init__(self, promotion_id: str, known: list[str]) -> None:
        super().__init__(f"expected a promotion that exists ({', '.join(known) or 'there is none yet'}), found {promotion_id!r}")


class PromotionExists(PromotionError):
    """A promotion of that name is there already."""

    def __init__(self, found: Promotion) -> None:
        self.found = found
        super().__init__(
            f"{found.promotion_id} exists: version {found.version}, made by {found.changed_by} at {found.changed_at}; adjust it, or choose "
            "another promotion_id"
        )


class PromotionConflict(PromotionError):
    """Somebody else changed the promotion first; nothing was saved."""

    def __init__(self, expected: int, found: Promotion) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"{found.promotion_id}: expected version {expected}, found version {found.version}, made by {found.changed_by} at "
            f"{found.changed_at} because {found.reason!r}; nothing was saved: look at it, then say it again with version {found.version}"
        )


class DeskAway(PromotionError):
    """Redis or Kafka does not answer: try again later."""
