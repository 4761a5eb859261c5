"""Examples for the document, each a value of the struct it stands for: a wrong one would not be built."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.alert import Acknowledgement, Alert, AlertState, Flow, Severity
from schemas.promotion import LayerTarget, Target
from warroom.alerts.silence import Silence
from warroom.alerts.standing import Standing
from warroom.auth.roles import Role
from warroom.beside import Beside
from warroom.figures import Activating, Census, LedgerLine, Scaling
from warroom.lists import Buyer, FlowLine, Member, MoveLine, OrderLine
from warroom.notes import Note
from warroom.promotions.definition import Definition, WrittenWindow
from warroom.web.routes.about import Brands
from warroom.web.routes.alerts import Acknowledge, AlertHistory, Alerts, NewSilence, OpenAlerts, Silences
from warroom.web.routes.exports import Audience, Suppression
from warroom.web.routes.figures import Ledger
from warroom.web.routes.pacing import WhatIfAsked
from warroom.web.routes.promotions import Adjustment, NewPromotion, Replacement
from warroom.web.routes.records import Moves, Orders
from warroom.web.routes.session import Session, SignIn
from warroom.web.routes.timeline import NewNote

_AT = 1_794_355_203_120
_LABELS = {"channel": "wecom", "campaign_id": "d11-teaser", "store_id": "sh-017", "guide_id": ""}
_ORDER = OrderLine(
    at=_AT,
    type="purchase",
    user_id="u000123",
    order_id="o-7781",
    event_id="0192f4c1",
    amount=12_900,
    refunded=0,
    currency="CNY",
    layer_before="R3",
    first_seen=_AT - 86_400_000,
    **_LABELS,
)
_MOVE = MoveLine(
    id="3:1042:7",
    user_id="u000123",
    seq=4,
    from_layer="R1",
    to_layer="R3",
    direction="forward",
    kind="advance",
    occurred_at=_AT,
    effective_at=_AT,
    late=False,
    cause_type="group_join",
    **_LABELS,
)

_VALUES: list[Any] = [
    SignIn(user="ann", password="correct horse battery"),  # noqa: S106 - an example
    Session(name="ann", role=Role.VIEWER, brands=["acme"], by="session"),
    Brands(brands=["acme", "nova"]),
    Census(layers={"R0": 120, "R1": 5_400, "R2": 2_100, "R3": 800, "R4": 310, "R5": 95}, final_before=_AT - _AT % 60_000),
    Ledger(
        items=[LedgerLine(minute=_AT - _AT % 60_000, layer="R3", opening=795, users_in=9, users_out=4, closing=800, provisional=True)],
        next=None,
    ),
    Orders(items=[_ORDER], next=None),
    Moves(items=[_MOVE], next=None),
    Audience(items=[Member(user_id="u000123", layer="R3", since=_AT, channel="wecom", campaign_id="d11-teaser")], next=None),
    Suppression(items=[Buyer(user_id="u000124", bought_at=_AT, orders=2)], next=None),
]
_DEFINITION = Definition(
    promotion_id="d11-2026",
    brand="acme",
    name="Double 11",
    window=WrittenWindow(from_="2026-11-10 20:00", to="2026-11-12 00:00"),
    target=Target(
        owner="lin",
        layers=(
            LayerTarget(layer="R3", headcount=40_000, conversion_rate=0.08, order_value=25_000),
            LayerTarget(layer="R4", headcount=12_000, conversion_rate=0.2, order_value=30_000),
        ),
    ),
)
_VALUES += [
    NewPromotion(definition=_DEFINITION, because="agreed on 1 October"),
    Replacement(definition=_DEFINITION, because="the window was moved"),
    Adjustment(edits=("R3/conversion_rate=9%",), because="the live room converts better than planned"),
    NewNote(text="the anchor fell ill, the live room pauses until 20:45"),
    Note(
        note_id="0123456789abcdef",
        at=_AT - _AT % 60_000,
        text="the anchor fell ill, the live room pauses until 20:45",
        author="lin",
        written_at=_AT,
    ),
    WhatIfAsked(edits=("R3/conversion_rate=9%", "*/R4/headcount=x1.1")),
    Beside(
        promotion_id="d11-2026",
        earlier_id="618-2026",
        begins=_AT - _AT % 60_000,
        earlier_begins=_AT - _AT % 60_000 - 146 * 86_400_000,
        step_minutes=1,
        orders=[41, 38],
        gmv=[1_025_000, 931_000],
        earlier_orders=[22, 25, 24],
        earlier_gmv=[501_000, 577_000, 560_000],
    ),
]
_ALERT = Alert(
    alert_id="acme-flow_drop-R2-R3-29905925",
    brand="acme",
    rule="flow_drop",
    state=AlertState.ACKNOWLEDGED,
    severity=Severity.CRITICAL,
    title={"en": "R2→R3 has dropped by 52% in wecom", "zh": "R2→R3（wecom）流转下降 52%"},
    summary={"en": "At stake: 735 users an hour.", "zh": "每小时影响 735 人。"},
    flow=Flow(from_="R2", to="R3"),
    scope={"channel": "wecom"},
    observed=0.021,
    expected=0.044,
    users_at_stake=735,
    gmv_at_stake=9_547_650,
    since="2026-11-10T16:05:00.000Z",
    at="2026-11-10T16:09:31.007Z",
    version=2,
    acknowledged=Acknowledgement(by="lin", at="2026-11-10T16:09:31.007Z", note="the group's code has expired"),
)
_SILENCED = Silence(
    silence_id="0123456789abcdef",
    brand="acme",
    flow="R2>R3",
    channel="wecom",
    until=_AT + 3_600_000,
    by="lin",
    because="the groups are full until 20:45",
    created_at=_AT,
)
_STANDING = Standing(alert=_ALERT, silence=_SILENCED)
_VALUES += [
    OpenAlerts(items=[_STANDING], more=0, kept=True),
    Alerts(items=[_STANDING], next=None),
    AlertHistory(now=_STANDING, states=[_ALERT]),
    Acknowledge(note="the group's code has expired"),
    _STANDING,
    NewSilence(minutes=60, because="the groups are full until 20:45", flow="R2>R3", channel="wecom"),
    _SILENCED,
    Silences(items=[_SILENCED]),
]
_LISTS: list[Any] = [
    Scaling(split="all", layer="R3", users=800, users_before=640, growth=0.25, new_users=120, known_users=680),
    Activating(split="all", from_layer="R1", to_layer="R3", direction="forward", users=90, transitions=92, users_before=4_500, rate=0.02),
    FlowLine(from_layer="R1", to_layer="R3", users=90, transitions=92),
]

EXAMPLES: dict[Any, Any] = {type(value): msgspec.to_builtins(value) for value in _VALUES}
EXAMPLES |= {list[type(value)]: [msgspec.to_builtins(value)] for value in _LISTS}  # type: ignore[misc]
