"""A subscription, from its YAML file: which transitions, from when on, to whom. Every mistake is told with its line."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from schemas.follow import Start
from schemas.subscriber import Filter
from schemas.transition import TransitionKind
from schemas.yaml_reader import KeyPath, MistakesError, read_yaml

_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_URL = r"^https?://[^\s/?#]+[^\s#]*$"
_PATTERNS = {
    _NAME: "a name (at most 64 small letters, digits, _ or -)",
    _URL: "a URL that begins with https:// or http://",
}

Text = Annotated[str, Meta(min_length=1, max_length=128)]
Path_ = Annotated[str, Meta(min_length=1, max_length=4096)]


class SubscriptionError(ValueError):
    """A subscription that cannot be used; a line `file:line: expected ..., found ...` for each mistake."""


class Wanted(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which transitions; what is left out wants any."""

    brands: tuple[Text, ...] = ()
    from_: tuple[Text, ...] = field(name="from", default=())
    to: tuple[Text, ...] = ()
    kinds: tuple[TransitionKind, ...] = ()
    directions: tuple[Literal["forward", "reverse"], ...] = ()
    channels: tuple[Text, ...] = ()

    def filter(self) -> Filter:
        """The same as the subscriber's helper takes it."""
        return Filter(**{name: frozenset(getattr(self, name)) for name in self.__struct_fields__})

    def layers_beside(self, known: Collection[str]) -> list[str]:
        """Layers that are none of these: a slip of the pen, or those of a former ladder."""
        return sorted({*self.from_, *self.to}.difference(known))


class Webhook(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where transitions are posted to, one a request, `in_flight` at a time and of one user never two.

    What fails is tried again after a random wait of up to `backoff_first` seconds, twice as many each time, `backoff_most` at the most. A
    transition that was refused `attempts` times, while others were taken, becomes a line of the file `dead_letters`.
    """

    url: Annotated[str, Meta(pattern=_URL)]
    secret_file: Path_
    dead_letters: Path_
    timeout: Annotated[float, Meta(ge=0.1, le=300)] = 10.0
    in_flight: Annotated[int, Meta(ge=1, le=1000)] = 32
    attempts: Annotated[int, Meta(ge=1, le=1000)] = 8
    backoff_first: Annotated[float, Meta(ge=0.01, le=60)] = 0.5
    backoff_most: Annotated[float, Meta(ge=0.01, le=3600)] = 60.0


class Subscription(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One subscription. `positions` is the file that remembers how far it is; without one it begins at `start` each time."""

    subscription: Annotated[str, Meta(pattern=_NAME)]
    wanted: Wanted = Wanted()
    start: Text = "end"
    positions: Path_ | None = None
    webhook: Webhook | None = None
    stdout: bool = False

    def begin(self) -> Start:
        """Where partitions without a position begin."""
        return start_of(self.start)


def start_of(text: str) -> Start:
    """`beginning`, `end`, or an instant. Raises ValueError."""
    if text == "beginning":
        return "beginning"
    if text == "end":
        return "end"
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"expected beginning, end, or an RFC 3339 time with an offset in quotes, found {text!r}")
    return at


def load_subscription(path: Path) -> Subscription:
    """The subscription in a file. Raises SubscriptionError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SubscriptionError(f"expected the file of a subscription, found {str(path)!r}: {error}") from None
    return parse_subscription(text, path)


def parse_subscription(text: str, path: Path) -> Subscription:
    """The subscription that `text` describes, its files as seen from `path`. Raises SubscriptionError."""
    try:
        document = read_yaml(text, str(path), Subscription, _PATTERNS)
        if mistakes := [(document.line(at), message) for at, message in _mistakes(document.value)]:
            raise MistakesError(str(path), mistakes)
    except MistakesError as error:
        raise SubscriptionError(str(error)) from None
    return _placed(document.value, path.parent)


def _placed(one: Subscription, folder: Path) -> Subscription:
    """The subscription with its files where they lie as seen from its own."""
    positions = one.positions and str(folder / one.positions)
    webhook = one.webhook
    if webhook is not None:
        secret, letters = str(folder / webhook.secret_file), str(folder / webhook.dead_letters)
        webhook = replace(webhook, secret_file=secret, dead_letters=letters)
    return replace(one, positions=positions, webhook=webhook)


def _mistakes(one: Subscription) -> list[tuple[KeyPath, str]]:
    found: list[tuple[KeyPath, str]] = []
    try:
        start_of(one.start)
    except ValueError as error:
        found.append((("start",), str(error)))
    if (one.webhook is None) != one.stdout:
        both = one.stdout
        found.append((("stdout",) if both else (), f"expected either `webhook` or `stdout: true`, found {'both' if both else 'neither'}"))
    if one.webhook is not None:
        if one.positions is None:
            found.append((("webhook",), "expected `positions`, the file that remembers how far the webhook has been told, found none"))
        if one.webhook.backoff_most < one.webhook.backoff_first:
            most, first = one.webhook.backoff_most, one.webhook.backoff_first
            found.append((("webhook", "backoff_most"), f"expected at least backoff_first, {first:g} seconds, found {most:g}"))
    return found
