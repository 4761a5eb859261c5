"""Lines to feed sources with, and the validator that judges them."""

from __future__ import annotations

import json

from schemas.ladder_file import load_ladder
from schemas.validate import Validator

NOW = 1_800_000_000_000
"""The wall clock of the tests, in epoch milliseconds: early in 2027."""


VALIDATOR = Validator(load_ladder("5r"), lambda: NOW)


def touchpoint(at: object, user: object = "u1", type_: str = "ad_exposure", **more: object) -> bytes:
    fields = {"event_id": f"{type_}-{user}-{at}", "type": type_, "brand": "acme", "user_id": user, "occurred_at": at}
    return json.dumps(fields | more, ensure_ascii=False).encode()


def tick(at: object) -> bytes:
    return json.dumps({"type": "tick", "occurred_at": at}).encode()
