"""The 5R rules as a first version of them is written: a dictionary a user, no concern for late or repeated events beyond the obvious."""

from __future__ import annotations

from typing import Any, Protocol

DAY_MS = 86_400_000
LAYERS = ("R0", "R1", "R2", "R3", "R4", "R5")
_EXPOSURES = {"ad_exposure", "content_view"}
_JOINS = {"group_join": "group", "account_follow": "account", "contact_add": "contact", "member_register": "member"}
_LEAVES = {"group_leave": "group", "account_unfollow": "account", "contact_remove": "contact", "member_cancel": "member"}


class Touched(Protocol):
    """What the rules ask of an event."""

    type: str
    occurred_at: Any


def new_user() -> dict[str, Any]:
    """Somebody nobody has heard of."""
    return {"layer": "R0", "seq": 0, "reach": 0, "respond": 0, "relations": [], "orders": {}}


def apply(user: dict[str, Any], event: Touched) -> None:
    """Adds what the event says to the user and finds the layer anew."""
    at, type_ = event.occurred_at, event.type
    if type_ in _EXPOSURES:
        user["reach"] = max(user["reach"], at)
    elif type_ in _JOINS:
        relation = f"{_JOINS[type_]}:{getattr(event, 'relation_id', None)}"
        if relation not in user["relations"]:
            user["relations"].append(relation)
    elif type_ in _LEAVES:
        relation = f"{_LEAVES[type_]}:{getattr(event, 'relation_id', None)}"
        if relation in user["relations"]:
            user["relations"].remove(relation)
    elif type_ in ("purchase", "refund"):
        sign = 1 if type_ == "purchase" else -1
        order = user["orders"].setdefault(getattr(event, "order_id", ""), [at, 0])
        order[1] += sign * getattr(event, "amount", 0)
    else:
        user["respond"] = max(user["respond"], at)
    layer = layer_of(user, at)
    if layer != user["layer"]:
        user["layer"] = layer
        user["seq"] += 1


def layer_of(user: dict[str, Any], at: int) -> str:
    """The highest layer whose condition holds at a time."""
    bought = sum(1 for when, paid in user["orders"].values() if paid > 0 and at < when + 365 * DAY_MS)
    if bought >= 2:
        return "R5"
    if bought == 1:
        return "R4"
    if user["relations"]:
        return "R3"
    if user["respond"] and at < user["respond"] + 90 * DAY_MS:
        return "R2"
    if user["reach"] and at < user["reach"] + 90 * DAY_MS:
        return "R1"
    return "R0"
