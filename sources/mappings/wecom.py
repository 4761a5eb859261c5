"""WeCom's callbacks about customers: who was added as a contact or removed, who joined a customer group or left it.

They come encrypted (`sources.mappings.wecom_crypt`); here is what is in them, in the form of an application of one's own and in that of a
third party's. A customer's user id is the `external_userid`. Staff in a group's list are passed over: customers' ids alone begin with wm
or wo.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from sources.mappings.mapped import Mapped, MappingError, Owner, short, touchpoint

SYSTEM = "wecom"
CHANNEL = "wecom"

_CONTACTS = {
    "add_external_contact": "contact_add",
    "add_half_external_contact": "contact_add",
    "del_external_contact": "contact_remove",
    "del_follow_user": "contact_remove",
}
"""Added by staff, or without being asked; removed by staff, or by the customer."""
_GROUPS = {"add_member": "group_join", "del_member": "group_leave"}
_CUSTOMERS = ("wm", "wo")


def callback(xml: bytes, owner: Owner) -> Mapped:
    """What a decrypted callback tells. Raises MappingError."""
    root = parse(xml)
    told = {child.tag: (child.text or "").strip() for child in root}
    event, change = told.get("Event") or told.get("InfoType", ""), told.get("ChangeType", "")
    at = told.get("CreateTime") or told.get("TimeStamp", "")
    if not event or not (at.isascii() and at.isdigit() and len(at) <= 11):
        raise MappingError("expected a callback with Event or InfoType, and CreateTime or TimeStamp in seconds since the epoch")
    owner = Owner(owner.brand, owner.channel or CHANNEL)
    if event == "change_external_contact" and change in _CONTACTS:
        return Mapped([_contact(told, _CONTACTS[change], int(at), owner)])
    if event == "change_external_chat" and told.get("UpdateDetail") in _GROUPS:
        return Mapped(list(_members(root, told, _GROUPS[told["UpdateDetail"]], int(at), owner)))
    return Mapped([], [" ".join(part for part in (event, change, told.get("UpdateDetail", "")) if part)[:64]])


def parse(xml: bytes) -> ElementTree.Element:
    """The XML of a callback, which declares nothing of its own. Raises MappingError."""
    try:
        text = xml.decode()  # whatever encoding it claims: another would hide a document type, or be one that Python does not know
        if "<!DOCTYPE" in text:
            raise MappingError("expected XML without a document type")
        return ElementTree.fromstring(text)  # noqa: S314 - it declares no entities
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise MappingError(f"expected XML in UTF-8: {error}") from None


def _contact(told: dict[str, str], kind: str, at: int, owner: Owner) -> bytes:
    """The relation is the contact with this one member of staff, who becomes the guide."""
    user, staff = told.get("ExternalUserID"), told.get("UserID")
    if not user or not staff:
        raise MappingError("expected ExternalUserID and UserID")
    return touchpoint(
        owner,
        SYSTEM,
        (told.get("ChangeType"), user, staff, at),
        type=kind,
        user_id=user,
        occurred_at=at * 1000,
        relation_id=staff,
        guide_id=staff,
        campaign_id=short(told.get("State")),
    )


def _members(root: ElementTree.Element, told: dict[str, str], kind: str, at: int, owner: Owner) -> Iterator[bytes]:
    group = told.get("ChatId")
    if not group:
        raise MappingError("expected ChatId")
    for user in _changed(root):
        identity = (told["UpdateDetail"], group, user, at, told.get("CurMemVer"))
        yield touchpoint(owner, SYSTEM, identity, type=kind, user_id=user, occurred_at=at * 1000, relation_id=group)


def _changed(root: ElementTree.Element) -> list[str]:
    """The customers of MemChangeList: an Item each, in older versions of WeCom one text with commas."""
    found = root.find("MemChangeList")
    if found is None:
        return []
    names = [item.text or "" for item in found.iter("Item")] or (found.text or "").split(",")
    return list(dict.fromkeys(name.strip() for name in names if name.strip().startswith(_CUSTOMERS)))
