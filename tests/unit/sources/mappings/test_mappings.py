"""What other systems tell becomes touchpoints that the processor takes, the same ones however often it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.deadletter import InvalidRecord
from schemas.ladder_file import load_ladder
from schemas.validate import Validator
from sources.mappings.mapped import Mapped, MappingError, Owner
from sources.mappings.orders import order_event
from sources.mappings.tencent_ads import actions, forwarded
from sources.mappings.wecom import callback
from sources.route import route

EXAMPLES = Path(__file__).parents[4] / "sources" / "mappings" / "examples"
PAYLOADS = sorted(path for path in EXAMPLES.rglob("*.*") if not path.name.endswith(".expected.json"))
OWNER = Owner("acme", "wechat_moments")
VALIDATOR = Validator(load_ladder("5r"), lambda: 0, check_future=False)


def clicks(body: bytes, owner: Owner) -> Mapped:
    return forwarded(dict(parse_qsl(body.decode(errors="replace").strip(), keep_blank_values=True)), owner)


def mapping_of(path: Path) -> Callable[[bytes, Owner], Mapped]:
    if path.suffix == ".query":
        return clicks
    return {"tencent-ads": actions, "orders": order_event, "wecom": callback}[path.parent.name]


def judged(mapped: Mapped) -> list[Any]:
    """The touchpoints, each taken by the processor's own judge."""
    return [VALIDATOR.validate(route(one).kind, one) for one in mapped.touchpoints]


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_examples_become_what_stands_beside_them(path: Path) -> None:
    found = mapping_of(path)(path.read_bytes(), OWNER)
    told = [json.loads(one) for one in found.touchpoints]
    ids = [one.pop("event_id") for one in told]
    expected = json.loads(path.with_name(f"{path.stem}.expected.json").read_bytes())
    assert {"touchpoints": told, "unmapped": found.unmapped} == expected
    assert len(set(ids)) == len(ids) == len(judged(found))
    again = mapping_of(path)(path.read_bytes(), OWNER)
    assert again == found


def test_every_event_of_the_examples_has_an_id_of_its_own() -> None:
    ids = [json.loads(one)["event_id"] for path in PAYLOADS for one in mapping_of(path)(path.read_bytes(), OWNER).touchpoints]
    assert len(ids) == len(set(ids)) > 8


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=200)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
SECONDS = st.integers(0, 9_000_000_000)


@given(
    parameters=st.fixed_dictionaries(
        {"click_id": IDS, "wechat_openid": IDS}, optional=dict.fromkeys(("adgroup_id", "ad_id", "campaign_id", "muid"), TEXT)
    ),
    at=SECONDS,
)
def test_any_click_becomes_one_valid_touchpoint(parameters: dict[str, str], at: int) -> None:
    found = forwarded({**parameters, "click_time": str(at)}, OWNER)
    if any(part.startswith("__") and part.endswith("__") for part in (parameters["click_id"], parameters["wechat_openid"])):
        return  # a macro that Tencent did not know
    (one,) = judged(found)
    assert (one.type, one.user_id, one.occurred_at) == ("ad_click", parameters["wechat_openid"], at * 1000)
    assert forwarded({**parameters, "click_time": str(at), "muid": "other"}, OWNER).touchpoints == found.touchpoints


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "action_type": st.sampled_from(["PURCHASE", "REGISTER", "FOLLOW", "VIEW_CONTENT", "CUSTOM"]),
                "action_time": SECONDS,
                "user_id": st.fixed_dictionaries({"wechat_openid": IDS}),
            },
            optional={"outer_action_id": IDS},
        ),
        max_size=8,
    )
)
def test_any_actions_become_valid_touchpoints_and_none_is_lost(told: list[dict[str, Any]]) -> None:
    body = json.dumps({"actions": [{**one, "action_param": {"value": 100}} for one in told]}).encode()
    found = actions(body, OWNER)
    assert len(judged(found)) + len(found.unmapped) == len(told)


@given(order_id=IDS, buyer_id=IDS, cents=st.integers(0, 10**15), zone=st.sampled_from(["Z", "+08:00"]), refund=st.none() | IDS, labels=TEXT)
def test_any_order_becomes_one_valid_touchpoint_of_its_exact_amount(
    order_id: str, buyer_id: str, cents: int, zone: str, refund: str | None, labels: str
) -> None:
    amount, at = f"{cents // 100}.{cents % 100:02d}", f"2026-11-11T00:00:03{zone}"
    order = {"order_id": order_id, "buyer_id": buyer_id, "paid_at": at, "total": amount, "campaign_id": labels, "store_id": labels}
    told: dict[str, Any] = {"event": "order.paid", "order": order}
    if refund is not None:
        told = {"event": "order.refunded", "order": order, "refund": {"refund_id": refund, "amount": amount, "refunded_at": at}}
    (one,) = judged(order_event(json.dumps(told).encode(), OWNER))
    assert (one.order_id, one.user_id, one.amount, one.type) == (order_id, buyer_id, cents, "refund" if refund else "purchase")


CONTACT = """<xml><Event>change_external_contact</Event><ChangeType>{}</ChangeType><CreateTime>{}</CreateTime>
<UserID>{}</UserID><ExternalUserID>{}</ExternalUserID><State>{}</State></xml>"""
NAMES = st.from_regex(r"\A[A-Za-z0-9_.@-]{1,64}\Z")


@given(
    change=st.sampled_from(["add_external_contact", "add_half_external_contact", "del_external_contact", "del_follow_user"]),
    at=SECONDS,
    staff=NAMES,
    user=NAMES,
    state=st.text("abc &<>é渠", max_size=150),
)
def test_any_contact_becomes_one_valid_touchpoint(change: str, at: int, staff: str, user: str, state: str) -> None:
    xml = CONTACT.format(change, at, staff, user, escape(state)).encode()
    (one,) = judged(callback(xml, OWNER))
    assert (one.type, one.user_id, one.relation_id) == ("contact_add" if "add" in change else "contact_remove", user, staff)
    assert callback(xml, OWNER) == callback(xml, OWNER)


@pytest.mark.parametrize("mapping", [clicks, actions, order_event, callback])
@given(
    body=st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_what_is_no_payload_is_refused_with_words(mapping: Callable[[bytes, Owner], Mapped], body: bytes) -> None:
    with suppress(MappingError):
        assert judged(mapping(body, OWNER)) == []


def test_numbers_beyond_what_a_record_holds_are_refused() -> None:
    action = {"action_type": "PURCHASE", "action_time": 1, "outer_action_id": "o", "user_id": {"wechat_openid": "u"}}
    with pytest.raises(MappingError, match="expected"):
        actions(json.dumps({"actions": [{**action, "action_time": 10**30}]}).encode(), OWNER)
    with pytest.raises((MappingError, InvalidRecord), match="xpected"):
        judged(actions(json.dumps({"actions": [{**action, "action_param": {"value": 10**30}}]}).encode(), OWNER))


@pytest.mark.parametrize("amount", ["", "1.001", "-1", "1e400", "NaN", "Infinity", "12,90", "a" * 30, "¥1"])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    order = {"order_id": "o", "buyer_id": "u", "paid_at": "2026-11-11T00:00:03Z", "total": amount}
    with pytest.raises(MappingError, match=r'expected an amount such as "129.00"'):
        order_event(json.dumps({"event": "order.paid", "order": order}).encode(), OWNER)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-7", "nope", "hex_codec"])
def test_xml_that_declares_entities_is_refused_in_whatever_encoding_it_claims_to_be(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [<!ENTITY a "b">]><xml><Event>&a;</Event></xml>'
    with pytest.raises(MappingError, match="expected XML"):
        callback(text.encode("utf-16" if encoding == "utf-16" else "utf-8"), OWNER)
    with pytest.raises(MappingError, match="expected"):
        callback(f'<?xml version="1.0" encoding="{encoding}"?><xml/>'.encode(), OWNER)
