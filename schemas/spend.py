"""Spend: what a channel and campaign cost on one day. Read by the ClickHouse sink only."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.ladder import Currency
from schemas.touchpoint import Amount, Id

Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10)]


class Spend(Struct, frozen=True, kw_only=True):
    """The cost of one `day` of the brand's calendar, `amount` in minor units of `currency`.

    A later record with the same `spend_id` replaces the earlier one whole; an amount of 0 takes it back. Key the topic by
    `spend_id`, so that later is well defined.
    """

    spend_id: Id
    brand: Id
    day: Day
    channel: Id | None = None
    campaign_id: Id | None = None
    amount: Amount
    currency: Currency
