"""What other systems post, and the collector's side of how they say who they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

from schemas.tokens import hash_token
from sources.collector.access import unknown
from sources.collector.body import BodyError, BodyTooLarge
from sources.collector.problem import Problem
from sources.collector.sources_file import Source, SourcesFile
from sources.mappings.mapped import Mapped, MappingError
from sources.mappings.orders import order_event
from sources.mappings.tencent_ads import actions, forwarded
from sources.mappings.wecom import callback, parse
from sources.mappings.wecom_crypt import CryptError

KEY = "key"
"""The parameter of a monitoring link that carries a source's token."""
_MOST_PARAMETERS = 100


@contextmanager
def told_as_problem() -> Iterator[None]:
    """Payloads that are not what they have to be, told to who sent them."""
    try:
        yield
    except BodyTooLarge as error:
        raise Problem(413, str(error)) from None
    except (BodyError, MappingError) as error:
        raise Problem(400, str(error)) from None


def order_of(source: Source, body: bytes) -> Mapped:
    """What an order system tells. Raises MappingError."""
    return order_event(body, source.owner())


def actions_of(source: Source, body: bytes) -> Mapped:
    """What is reported to Tencent Ads. Raises MappingError."""
    return actions(body, source.owner(), source.user_field)


def clicked(sources: SourcesFile, name: str | None, query: bytes) -> tuple[Source, dict[str, str]]:
    """Whose monitoring link was asked for, and with what. Raises Problem."""
    parameters = _parameters(query)
    found = sources.with_token(hash_token(parameters.pop(KEY, "")))
    if found is None or name not in (None, found.name):
        raise unknown()
    return found, parameters


def forwarded_by(source: Source, parameters: dict[str, str]) -> Mapped:
    """What Tencent Ads forwards. Raises Problem."""
    with told_as_problem():
        return forwarded(parameters, source.owner(), source.user_field)


def echoed(source: Source, query: bytes) -> bytes:
    """What WeCom wants to hear: the text that it has encrypted. Raises Problem."""
    return _opened(source, query, _parameters(query).get("echostr", ""))


def wecom_told(source: Source, query: bytes, body: bytes) -> Mapped:
    """What a callback of WeCom tells. Raises Problem."""
    with told_as_problem():
        return callback(_opened(source, query, parse(body).findtext("Encrypt") or ""), source.owner())


def _opened(source: Source, query: bytes, encrypted: str) -> bytes:
    assert source.crypt is not None
    told = _parameters(query)
    try:
        return source.crypt.opened(told.get("msg_signature", ""), told.get("timestamp", ""), told.get("nonce", ""), encrypted)
    except CryptError as error:
        raise Problem(401, str(error)) from None


def _parameters(query: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))
    except ValueError:
        raise Problem(400, f"expected at most {_MOST_PARAMETERS} parameters") from None
