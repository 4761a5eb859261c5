"""An order system's webhook: an order that was paid, or a refund of it.

Amounts are decimal texts in whole units of money, such as "129.00".
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.touchpoint import MAX_AMOUNT
from sources.mappings.mapped import Mapped, MappingError, Owner, short, touchpoint

SYSTEM = "orders"
_MINOR = Decimal(100)

Instant = Annotated[datetime, Meta(tz=True)]


class Order(Struct, kw_only=True):
    """The order. `buyer_id` is the brand's own id of the customer, or the WeChat openid: whatever its other touchpoints have."""

    order_id: str
    buyer_id: str
    paid_at: Instant
    total: str
    currency: str | None = None
    channel: str | None = None
    campaign_id: str | None = None
    store_id: str | None = None
    guide_id: str | None = None


class Refund(Struct, kw_only=True):
    """What was paid back of it, whole or in part; each refund has an id of its own."""

    refund_id: str
    amount: str
    refunded_at: Instant


class Paid(Struct, tag_field="event", tag="order.paid", kw_only=True):
    """An order was paid."""

    order: Order


class Refunded(Struct, tag_field="event", tag="order.refunded", kw_only=True):
    """An order was refunded."""

    order: Order
    refund: Refund


class _Named(Struct):
    event: str


KNOWN: tuple[Literal["order.paid", "order.refunded"], ...] = ("order.paid", "order.refunded")
_decode = msgspec.json.Decoder(Paid | Refunded).decode
_named = msgspec.json.Decoder(_Named).decode


def order_event(body: bytes, owner: Owner) -> Mapped:
    """What a body tells: one touchpoint, none for an event that is neither of the two. Raises MappingError."""
    try:
        if (name := _named(body).event) not in KNOWN:
            return Mapped([], [name[:64]])
        found = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MappingError(f"expected an order.paid or order.refunded: {error}") from None
    if isinstance(found, Paid):
        return Mapped([_touchpoint(owner, found.order, "purchase", found.order.paid_at, _minor(found.order.total))])
    refund = found.refund
    return Mapped([_touchpoint(owner, found.order, "refund", refund.refunded_at, _minor(refund.amount), refund.refund_id)])


def _touchpoint(owner: Owner, order: Order, kind: str, at: datetime, amount: int, refund_id: str | None = None) -> bytes:
    return touchpoint(
        owner,
        SYSTEM,
        (kind, order.order_id, refund_id),
        type=kind,
        user_id=order.buyer_id,
        occurred_at=at.isoformat(),
        order_id=order.order_id,
        amount=amount,
        currency=order.currency,
        channel=short(order.channel) or owner.channel,
        campaign_id=short(order.campaign_id),
        store_id=short(order.store_id),
        guide_id=short(order.guide_id),
    )


def _minor(text: str) -> int:
    """An amount in minor units. Raises MappingError for what is not exactly one."""
    try:
        amount = Decimal(text) * _MINOR if len(text) <= 20 else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or not 0 <= amount <= MAX_AMOUNT or amount != amount.to_integral_value():
        raise MappingError(f'expected an amount such as "129.00", found {text[:40]!r}')
    return int(amount)
