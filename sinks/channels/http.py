"""One request and what its answer means, for all channels that speak HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from sinks.channels.delivery import Doubtful, Refused, TryLater

_SECONDS = 10.0


def post(url: str, body: bytes, headers: Mapping[str, str] | None = None, *, seconds: float = _SECONDS) -> Any:
    """POST JSON and give the answer's JSON (None if it is none). Raises TryLater, Refused or Doubtful.

    No error names the address: it may hold a key.
    """
    try:
        answer = httpx.post(url, content=body, headers={"Content-Type": "application/json", **(headers or {})}, timeout=seconds)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise TryLater(f"no connection: {type(error).__name__}") from None
    except httpx.HTTPError as error:
        raise Doubtful(f"no answer: {type(error).__name__}") from None
    except httpx.InvalidURL:
        raise Refused("expected an http:// or https:// address") from None
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.status_code >= 500:
        raise TryLater(f"status {answer.status_code}", _wait(answer))
    if answer.status_code >= 300:
        raise Refused(f"status {answer.status_code}: {answer.text[:200]}")
    try:
        return answer.json()
    except ValueError:
        return None


def _wait(answer: httpx.Response) -> float:
    told = answer.headers.get("Retry-After", "")
    return min(float(told), 600.0) if told.isdigit() else 10.0
