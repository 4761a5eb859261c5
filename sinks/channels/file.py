"""The file that says which channels there are. It holds keys and secrets: keep it as you keep passwords."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from schemas.yaml_reader import MistakesError, read_yaml
from sinks.channels.delivery import Channel
from sinks.channels.mail import Mail
from sinks.channels.robots import DingTalk, Feishu, WeCom
from sinks.channels.services import Alertmanager, Webhook

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class Written(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One channel. `secret` signs (robots and webhooks); `from` and `to` are e-mail's; `language` is that of the texts."""

    name: Name
    kind: Literal["wecom", "feishu", "dingtalk", "alertmanager", "webhook", "mail"]
    url: Annotated[str, Meta(min_length=1, max_length=2_000)]
    secret: str = ""
    language: Literal["zh", "en"] = "zh"
    sender: str = field(default="", name="from")
    to: tuple[str, ...] = ()


class Channels(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file."""

    channels: tuple[Written, ...]


class ChannelsError(ValueError):
    """A file of channels that cannot be used: a line for each mistake, none with a secret."""


def load_channels(path: Path) -> list[Channel]:
    """The channels of a file. Raises ChannelsError."""
    try:
        document = read_yaml(path.read_text(encoding="utf-8"), str(path), Channels)
    except OSError as error:
        raise ChannelsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ChannelsError(f"{path}: expected UTF-8 text: {error.reason} at byte {error.start}") from None
    except MistakesError as error:
        raise ChannelsError(str(error)) from None
    written = document.value.channels
    found = [
        f"{path}:{document.line(('channels', i))}: {what}"
        for i, one in enumerate(written)
        for what in _mistakes(one, [other.name for other in written[:i]])
    ]
    if found:
        raise ChannelsError("\n".join(found))
    return [_made(one) for one in written]


def _mistakes(one: Written, before: list[str]) -> list[str]:
    schemes = ("smtp://", "smtps://") if one.kind == "mail" else ("http://", "https://")
    said = (
        (one.name in (*before, "alerts"), f"expected a name of its own, found {one.name!r} again"),
        (not one.url.startswith(schemes), f"expected an url that begins with {' or '.join(schemes)}"),
        (one.kind == "webhook" and not one.secret, "expected a `secret`: a webhook is signed"),
        (one.kind == "mail" and not (one.sender and one.to), "expected `from` and `to`: who writes to whom"),
    )
    return [what for wrong, what in said if wrong]


def _made(one: Written) -> Channel:
    match one.kind:
        case "wecom":
            return WeCom(one.name, one.url, language=one.language)
        case "feishu":
            return Feishu(one.name, one.url, one.secret, one.language)
        case "dingtalk":
            return DingTalk(one.name, one.url, one.secret, one.language)
        case "alertmanager":
            return Alertmanager(one.name, one.url, one.language)
        case "webhook":
            return Webhook(one.name, one.url, one.secret)
        case "mail":
            return Mail(one.name, one.url, one.sender, one.to, one.language)
