"""Group robots: WeCom, Feishu, DingTalk. Their limits: 20 messages a minute for WeCom and DingTalk, 100 for Feishu (5 a second)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote_plus

import orjson

from schemas.alert import Alert
from sinks.channels.delivery import Refused, TryLater
from sinks.channels.http import post
from sinks.channels.words import headline, whole

_WECOM_BYTES = 4_000
"""A markdown message holds 4,096 bytes."""
_OTHER_BYTES = 18_000
"""Feishu and DingTalk take 20 KB a request."""
_OVER_LIMIT_SECONDS = 60.0


class Robot:
    """What the three share. `now` is the time in seconds since the epoch."""

    batch = 10
    may_repeat = False
    a_minute: int | None = 20

    def __init__(self, name: str, url: str, secret: str = "", language: str = "zh", now: Callable[[], float] = time.time) -> None:
        self.name = name
        self._url = url
        self._secret = secret
        self._language = language
        self._now = now

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Raises TryLater, Refused or Doubtful."""
        url, body = self.request(alerts)
        answer = post(url, orjson.dumps(body))
        code, why = self.answered(answer if isinstance(answer, dict) else {})
        if code == 0:
            return
        if code in self.over_limit:
            raise TryLater(f"over its limit: {why}", _OVER_LIMIT_SECONDS)
        raise Refused(f"code {code}: {why}")

    over_limit: frozenset[int] = frozenset()

    def request(self, alerts: Sequence[Alert]) -> tuple[str, dict[str, Any]]:
        """Address and body."""
        raise NotImplementedError

    def answered(self, answer: dict[str, Any]) -> tuple[int, str]:
        """The code, 0 if it was taken, and what was said."""
        return int(answer.get("errcode", -1)), str(answer.get("errmsg", "no code"))[:200]


class WeCom(Robot):
    """A WeCom group robot; the key in its address is all it asks for."""

    over_limit = frozenset({45009})

    def request(self, alerts: Sequence[Alert]) -> tuple[str, dict[str, Any]]:
        """Markdown."""
        return self._url, {"msgtype": "markdown", "markdown": {"content": whole(alerts, self._language, _WECOM_BYTES)}}


class DingTalk(Robot):
    """A DingTalk group robot. With a secret each address carries the time in milliseconds and the HMAC-SHA256, keyed with the secret, of
    the time, a line end and the secret."""

    over_limit = frozenset({130101, 410100, 90030})

    def request(self, alerts: Sequence[Alert]) -> tuple[str, dict[str, Any]]:
        """Markdown, with the first headline as its title."""
        text = whole(alerts, self._language, _OTHER_BYTES)
        body = {"msgtype": "markdown", "markdown": {"title": headline(alerts[0], self._language), "text": text.replace("\n", "\n\n")}}
        if not self._secret:
            return self._url, body
        at = str(round(self._now() * 1000))
        sign = quote_plus(_signed(self._secret, f"{at}\n{self._secret}"))
        return f"{self._url}{'&' if '?' in self._url else '?'}timestamp={at}&sign={sign}", body


class Feishu(Robot):
    """A Feishu (Lark) group robot. With a secret each body carries the time in seconds and the HMAC-SHA256 of nothing, keyed with the time,
    a line end and the secret."""

    a_minute: int | None = 100
    over_limit = frozenset({9499, 11232})

    def request(self, alerts: Sequence[Alert]) -> tuple[str, dict[str, Any]]:
        """Text."""
        body: dict[str, Any] = {"msg_type": "text", "content": {"text": whole(alerts, self._language, _OTHER_BYTES)}}
        if self._secret:
            at = str(round(self._now()))
            body |= {"timestamp": at, "sign": _signed(f"{at}\n{self._secret}", "")}
        return self._url, body

    def answered(self, answer: dict[str, Any]) -> tuple[int, str]:
        """Feishu's `code`, or the older `StatusCode`."""
        return int(answer.get("code", answer.get("StatusCode", -1))), str(answer.get("msg", "no code"))[:200]


def _signed(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()
