"""Tencent Ads: the clicks and impressions that it forwards, and the actions that are reported to it.

Monitoring links (监测链接) are asked for with GET; Tencent fills in the macros that the link names. Needed are `click_id=__CLICK_ID__`,
`click_time=__CLICK_TIME__` (impressions: `impression_time=__IMPRESSION_TIME__`), and who it was: `wechat_openid=__WECHAT_OPENID__`, or what
else `user` names. `adgroup_id=__ADGROUP_ID__` or `campaign_id=__CAMPAIGN_ID__` becomes the campaign, `ad_id=__AD_ID__` or
`dynamic_creative_id=__DYNAMIC_CREATIVE_ID__` the content. A macro that comes as it is was not known to Tencent; an empty value, not of this
click.

Actions (`user_actions/add`) are what a brand's own server reports to Tencent; the same body, posted here too, is mapped. Amounts: fen.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.times import LAST_MS
from sources.mappings.mapped import Mapped, MappingError, Owner, short, touchpoint

SYSTEM = "tencent-ads"
USER = "wechat_openid"
"""The field of a link, or of an action's `user_id`, that tells who it was."""

_MACRO = re.compile(r"__[A-Z0-9_]+__")
_TYPES = {
    "AD_IMPRESSION": "ad_exposure",
    "VIEW_CONTENT": "content_view",
    "AD_CLICK": "ad_click",
    "SCANCODE": "qr_scan",
    "LIVE_STREAM": "live_watch",
    "FOLLOW": "account_follow",
    "REGISTER": "member_register",
    "PURCHASE": "purchase",
}
"""Actions that are touchpoints. Groups and contacts (ADD_GROUP, ADD_WECHAT) are told by WeCom itself, with who left them again."""


class Action(Struct, kw_only=True):
    """One action, as far as it is read. `action_time` is in seconds since the epoch."""

    action_type: str
    action_time: Annotated[int, Meta(ge=0, le=LAST_MS // 1000)]
    outer_action_id: str | None = None
    user_id: dict[str, object] = {}
    action_param: dict[str, object] = {}
    trace: dict[str, object] = {}


class Actions(Struct):
    """The body."""

    actions: Annotated[list[Action], Meta(max_length=50)]


_decode = msgspec.json.Decoder(Actions).decode


def forwarded(parameters: dict[str, str], owner: Owner, user: str = USER) -> Mapped:
    """What a monitoring link was asked for with. Raises MappingError."""
    told = {name: value for name, value in parameters.items() if value and not _MACRO.fullmatch(value)}
    kind, at = ("ad_click", told.get("click_time")) if "click_time" in told else ("ad_exposure", told.get("impression_time"))
    if "click_id" not in told or at is None:
        raise MappingError("expected click_id, and click_time or impression_time")
    if not (at.isascii() and at.isdigit() and len(at) <= 11):
        raise MappingError(f"expected click_time and impression_time in seconds since the epoch, found {at[:40]!r}")
    if user not in told:
        return Mapped([], [f"{kind} without {user}"])
    campaign = told.get("adgroup_id") or told.get("campaign_id")
    content = told.get("dynamic_creative_id") or told.get("ad_id")
    made = touchpoint(
        owner,
        SYSTEM,
        (kind, told["click_id"], at),
        type=kind,
        user_id=told[user],
        occurred_at=int(at) * 1000,
        campaign_id=short(campaign),
        content_id=short(content),
    )
    return Mapped([made])


def actions(body: bytes, owner: Owner, user: str = USER) -> Mapped:
    """The actions of a body of `user_actions/add`. Raises MappingError."""
    try:
        found = _decode(body).actions
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MappingError(f"expected the body of user_actions/add: {error}") from None
    made: list[bytes] = []
    unmapped: list[str] = []
    for one in found:
        kind, who = _TYPES.get(one.action_type), one.user_id.get(user)
        if kind is None:
            unmapped.append(one.action_type[:64])
        elif not isinstance(who, str) or not who:
            unmapped.append(f"{one.action_type} without {user}")
        elif kind == "purchase" and one.outer_action_id is None:
            unmapped.append("PURCHASE without outer_action_id")
        else:
            made.append(_action(one, kind, who, owner))
    return Mapped(made, unmapped)


def _action(one: Action, kind: str, who: str, owner: Owner) -> bytes:
    click = one.trace.get("click_id")
    return touchpoint(
        owner,
        SYSTEM,
        (kind, one.outer_action_id or (one.action_time, who, click)),
        type=kind,
        user_id=who,
        occurred_at=one.action_time * 1000,
        relation_id=_relation(one, kind, owner),
        order_id=short(one.outer_action_id) if kind == "purchase" else None,
        amount=one.action_param.get("value") if kind == "purchase" else None,
    )


def _relation(one: Action, kind: str, owner: Owner) -> str | None:
    """An account is that of the app it was followed in; a membership is of the brand's one club."""
    if kind == "account_follow":
        app = one.user_id.get("wechat_app_id")
        return short(app) if isinstance(app, str) and app else owner.brand
    return owner.brand if kind == "member_register" else None
