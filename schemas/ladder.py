"""The ladder: the layers of a crowd-asset model and the evidence that puts a user on each. Plain values, no file, no clock.

`schemas.ladder_file` reads one from YAML; `streams.ladder` compiles one for the fold.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.touchpoint import Kind

Name = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")]
TurnTime = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$", max_length=3)]  # Python's `$` lets a line end pass
JunkAbove = Annotated[int, Meta(ge=1, le=4_000)]


class Evidence(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the touchpoints of a `topic` say of a user: all its types, or only `types`."""

    topic: Kind
    types: tuple[str, ...] | None = None


class Condition(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Holds while at least `count` pieces of `evidence` are younger than `window_days` (None: for ever)."""

    evidence: Name
    count: Annotated[int, Meta(ge=1, le=64)] = 1
    window_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None


class Layer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rung: a user stands on the highest layer of which any condition holds; the lowest layer has none."""

    id: Name
    name: dict[str, str]
    any: tuple[Condition, ...] = ()


class Channel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A channel as operators read it: its label per language, whose domain it is, and where it is."""

    label: dict[str, str]
    domain: Literal["public", "private"]
    place: Literal["online", "offline"]


class BrandOverride(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a brand differs from the ladder's defaults; `layers` gives the conditions of single layers by id."""

    time_zone: str | None = None
    turn: TurnTime | None = None
    currency: Currency | None = None
    junk_above: JunkAbove | None = None
    channels: dict[str, Channel] = {}
    layers: dict[str, tuple[Condition, ...]] = {}


class Ladder(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole ladder of a deployment. `turn` is the daily instant of housekeeping in the brand's `time_zone`; what one user's exposures,
    or interactions, of one minute have beyond `junk_above` is junk."""

    ladder: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    version: Annotated[int, Meta(ge=1)]
    time_zone: str = "Asia/Shanghai"
    turn: TurnTime = "04:00"
    currency: Currency = "CNY"
    junk_above: JunkAbove = 600
    evidence: dict[Name, Evidence]
    layers: tuple[Layer, ...]
    channels: dict[str, Channel] = {}
    brands: dict[str, BrandOverride] = {}

    @property
    def id(self) -> str:
        """`5r@1`: name and version, as transitions carry it."""
        return f"{self.ladder}@{self.version}"

    def conditions(self, brand: str) -> tuple[tuple[Condition, ...], ...]:
        """The conditions of every layer, lowest first, as they hold for `brand`."""
        override = self.brands.get(brand)
        overridden = override.layers if override else {}
        return tuple(overridden.get(layer.id, layer.any) for layer in self.layers)

    def calendar(self, brand: str) -> tuple[str, str]:
        """The time zone and the turn of `brand`."""
        override = self.brands.get(brand)
        if override is None:
            return self.time_zone, self.turn
        return override.time_zone or self.time_zone, override.turn or self.turn

    def currency_of(self, brand: str) -> str:
        """The one currency in which `brand` takes orders."""
        override = self.brands.get(brand)
        return (override.currency if override else None) or self.currency

    def junk_above_of(self, brand: str) -> int:
        """How many exposures, and how many interactions, one user of `brand` may have in a minute."""
        override = self.brands.get(brand)
        return (override.junk_above if override else None) or self.junk_above

    def channels_of(self, brand: str) -> dict[str, Channel]:
        """The channels of `brand` by id: the ladder's, its own over them."""
        override = self.brands.get(brand)
        return {**self.channels, **override.channels} if override else self.channels
