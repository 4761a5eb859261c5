"""Who sends a request: told by a bearer token, or by a signature over its time and body in the form of Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.signature import TOLERANCE_SECONDS, is_signed
from schemas.tokens import hash_token
from sources.collector.problem import Problem, too_many
from sources.collector.sources_file import Source, SourcesFile

_BEARER = b"bearer "
_MOST_KEPT = 300_000
"""Signatures remembered at a time: those of five minutes at a thousand signed requests a second."""

_LONGEST_ID, _LONGEST_STAMP = 256, 12

Headers = Mapping[bytes, bytes]


class SeenSignatures:
    """What signed requests were taken lately, by source, id and timestamp. One of them again is a replay, told by who overheard the first.

    Each is kept for as long as its timestamp can pass for recent; none is forgotten before. Other processes do not know of them: there a
    replay is taken once more, to become duplicates by their event ids.
    """

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most = most
        self._kept: dict[bytes, float] = {}

    def add(self, request: bytes, now: float) -> None:
        """Remembers one from now on. Raises Problem for one that is there already, or for which there is no room."""
        self._forget_old(now)
        if request in self._kept:
            raise Problem(409, "this request, signature and all, has been taken before: sign each anew, a retry too")
        if len(self._kept) >= self._most:
            raise too_many(1.0, "too many signed requests within five minutes")
        self._kept[request] = now

    def remove(self, request: bytes) -> None:
        """Forgets one whose request has not been taken: it may come again as it is."""
        self._kept.pop(request, None)

    def _forget_old(self, now: float) -> None:
        while self._kept:
            first = next(iter(self._kept))
            if now - self._kept[first] <= 2 * TOLERANCE_SECONDS:
                return
            del self._kept[first]


def source_by_token(sources: SourcesFile, headers: Headers, name: str | None) -> Source | None:
    """Whose token a request carries, None if it carries none. `name` is the source that its path names, if it does. Raises Problem."""
    said = headers.get(b"authorization", b"")
    if said[: len(_BEARER)].lower() != _BEARER:
        return None
    found = sources.with_token(hash_token(said[len(_BEARER) :].strip().decode("latin-1")))
    if found is None or name not in (None, found.name):
        raise unknown()
    return found


def check_signature(source: Source, headers: Headers, body: bytes, now: float) -> bytes:
    """What tells a request that `source` has signed lately from all others. Raises Problem."""
    id_, stamp, signatures = (headers.get(name, b"") for name in (b"webhook-id", b"webhook-timestamp", b"webhook-signature"))
    if not 0 < len(id_) <= _LONGEST_ID or not stamp.isdigit() or len(stamp) > _LONGEST_STAMP:
        raise Problem(401, "expected webhook-id, webhook-timestamp and webhook-signature as Standard Webhooks has them")
    matches = [is_signed(key, id_, stamp, signatures, body) for key in source.keys]
    if not any(matches):
        raise Problem(401, "expected a signature of this source's secret over webhook-id, webhook-timestamp and body")
    if abs(now - int(stamp)) > TOLERANCE_SECONDS:
        raise Problem(401, f"expected a webhook-timestamp within {TOLERANCE_SECONDS} s of now, {int(now)}, found {int(stamp)}")
    return b"%b.%b.%b" % (source.name.encode(), id_, stamp)


def unknown() -> Problem:
    """Neither whether there is such a source nor what was wrong is told to who is none."""
    return Problem(401, "expected the token of a source, or its name in the path and its signature", {b"www-authenticate": b"Bearer"})
