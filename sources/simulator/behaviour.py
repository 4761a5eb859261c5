"""What people do: how often, by the layer they stand on, and through which channels. Numbers to turn, no code to read."""

from __future__ import annotations

from enum import IntEnum

from schemas.touchpoint import RELATIONS


class Action(IntEnum):
    """What a person does next."""

    SEE = 0
    RESPOND = 1
    JOIN = 2
    LEAVE = 3
    BUY = 4
    RETURN = 5


#        see  respond join leave  buy return
USUAL = (
    (900, 70, 12, 0, 18, 0),  # R0
    (560, 330, 50, 0, 60, 0),  # R1
    (300, 430, 130, 0, 140, 0),  # R2
    (230, 400, 60, 40, 270, 0),  # R3
    (260, 430, 60, 30, 150, 70),  # R4
    (260, 430, 40, 25, 195, 50),  # R5
)
"""By stage, how often each action is taken, per mille."""

RUSH_TO_BUY = 4
"""How many times more often people buy while the rush is on: their baskets are full."""

SEEN = {"ad_exposure": 80, "content_view": 20}
RESPONSES = {
    "ad_click": 28,
    "mini_program_visit": 20,
    "search": 14,
    "live_watch": 13,
    "qr_scan": 9,
    "like": 8,
    "comment": 4,
    "share": 4,
}
"""How often each type is chosen, of its action."""

JOINS = tuple(type_ for type_, (_, active) in RELATIONS.items() if active)
LEAVES = tuple(type_ for type_, (_, active) in RELATIONS.items() if not active)
"""Joins and leaves of the same relation stand at the same place."""

CHANNELS: dict[str, dict[str, int]] = {
    "ad_exposure": {"wechat_moments": 8, "douyin": 8, "xiaohongshu": 5, "search_ads": 3, "outdoor": 2, "email": 2, "mail": 1},
    "content_view": {"xiaohongshu": 8, "douyin": 7, "official_account": 5, "live_room": 2},
    "qr_scan": {"store": 6, "outdoor": 3, "mail": 1},
    "ad_click": {"wechat_moments": 5, "douyin": 5, "xiaohongshu": 3, "search_ads": 3, "email": 1},
    "mini_program_visit": {"mini_program": 1},
    "live_watch": {"live_room": 6, "douyin": 4},
    "search": {"tmall": 5, "jd": 3, "search_ads": 2, "xiaohongshu": 2},
    "like": {"xiaohongshu": 4, "douyin": 5},
    "comment": {"xiaohongshu": 4, "douyin": 4, "live_room": 3},
    "share": {"wechat_moments": 4, "mini_program": 2},
    "group_join": {"wecom": 5, "store": 2, "live_room": 1},
    "account_follow": {"official_account": 5, "douyin": 2},
    "contact_add": {"wecom": 4, "store": 3},
    "member_register": {"mini_program": 4, "store": 3, "tmall": 3},
    "group_leave": {"wecom": 1},
    "account_unfollow": {"official_account": 1},
    "contact_remove": {"wecom": 1},
    "member_cancel": {"mini_program": 1},
    "purchase": {"tmall": 8, "jd": 4, "mini_program": 4, "live_room": 3, "store": 3},
    "refund": {"tmall": 4, "jd": 2, "mini_program": 2, "store": 1},
}
"""By type, how often it comes through each channel."""

PRICES = (2_900, 4_900, 5_900, 7_900, 9_900, 12_900, 15_900, 19_900, 25_900, 29_900, 39_900, 59_900, 89_900, 129_900)
"""What one piece costs, in minor units."""

FREE_ORDER = 0.002
"""The share of orders of nothing: samples and gifts."""

REFUND_FIRST = 0.004
"""The share of orders whose refund is told before them."""

PARTIAL_REFUND, BEYOND_PAID_REFUND = 0.45, 0.07
"""The shares of refunds that give back a part, and that ask for more than was paid; the rest are full."""


def laid_out(weights: dict[str, int]) -> list[str]:
    """Every name as often as its weight says."""
    return [name for name, weight in weights.items() for _ in range(weight)]


def actions(rush: bool) -> list[list[Action]]:
    """By stage, a table of actions to pick from."""
    tables = []
    for weights in USUAL:
        rushed = [weight * (RUSH_TO_BUY if rush and action == Action.BUY else 1) for action, weight in enumerate(weights)]
        tables.append([Action(action) for action, weight in enumerate(rushed) for _ in range(weight)])
    return tables
