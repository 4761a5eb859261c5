"""A new ladder for a shard that has users: whether it may be, and what becomes of each of them. Pure.

A shard's users move from one ladder to the next in resumable steps, in the order of the roster. Every one is first brought to the last
turn under the old ladder, by its sweep; then each is evaluated under the new one, at their own clock, from the evidence kept. No record is
taken until all are through, so nobody is judged by two ladders at one time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
from msgspec.structs import replace

from schemas.ladder import BrandOverride, Evidence, Ladder
from schemas.touchpoint import CATALOGUE, Kind
from schemas.validate import FUTURE_MS
from streams.errors import LadderChanged, StateUnreadable
from streams.fold import Fold
from streams.ladder import Rules
from streams.meta import Meta, Moving
from streams.pace import PACES
from streams.predicate import layer_at
from streams.state import encode_state

_decode = msgspec.json.Decoder(Ladder).decode
_RULES = tuple(name for name in Ladder.__struct_fields__ if name not in ("ladder", "version", "channels"))


def rules_of(ladder: Ladder) -> Ladder:
    """What of a ladder decides where users stand: all but names and channels, which may change under the same version."""
    brands = {name: replace(own, channels={}) for name, own in sorted(ladder.brands.items())}
    return replace(
        ladder,
        layers=tuple(replace(layer, name={}) for layer in ladder.layers),
        channels={},
        brands={name: own for name, own in brands.items() if own != BrandOverride()},
    )


def encode_rules(ladder: Ladder) -> bytes:
    """A ladder's rules as a shard keeps them."""
    return msgspec.json.encode(rules_of(ladder))


class Passage:
    """The way from an old ladder to a new one. `layers` are the new one's, and among them those that only the old one has, each
    right above the layer above which it stood: so every move is forward or reverse by its place there."""

    def __init__(self, old: Rules, new: Rules) -> None:
        self.old, self.new = old, new
        self.layers = _joint(old.layers, new.layers)
        self.rules = Rules(new.ladder, layers=self.layers)
        self._old_places = [self.layers.index(layer) for layer in old.layers]
        self._new_places = [self.layers.index(layer) for layer in new.layers]
        self._sources = [_source(name, evidence, old.ladder) for name, evidence in new.ladder.evidence.items()]

    def step(self, fold: Fold, keys: Sequence[str], *, last: bool) -> Moving:
        """Moves the users `keys`, the next of the roster; `last` where they are its last. `fold` has `rules` and the users' states.
        Returns how far all steps together have come."""
        meta = fold.meta
        if meta.moving is None:
            self._begin(meta)
        moving = meta.moving
        assert moving is not None
        self._move(fold, keys, moving)
        moving.index += len(keys)
        if last:
            self._end(meta)
        return moving

    def _begin(self, meta: Meta) -> None:
        meta.moving = Moving(ladder=self.old.id)
        meta.ladder = self.new.id
        meta.layers = list(self.layers)
        meta.census = {brand: self._widened(counts) for brand, counts in meta.census.items()}
        meta.partial = self._partial(meta)

    def _end(self, meta: Meta) -> None:
        meta.moving = None
        meta.layers = list(self.new.layers)
        meta.census = {brand: [counts[place] for place in self._new_places] for brand, counts in meta.census.items()}

    def _widened(self, counts: Sequence[int]) -> list[int]:
        found = [0] * len(self.layers)
        for place, users in zip(self._old_places, counts, strict=True):
            found[place] = users
        return found

    def _move(self, fold: Fold, keys: Sequence[str], moving: Moving) -> None:
        swept_to = fold.meta.swept_to
        for key in keys:
            state = fold.states[key]
            if state is None:
                continue
            stored = encode_state(state)
            brand_key, _, user_id = key.partition(":")
            old, new = self.old.brand_of_key(brand_key), self.new.brand_of_key(brand_key)
            # 1. The evidence, as the new ladder keeps it.
            state.touches, short = self._carried(state.touches, new.keep)
            moving.short += short
            # 2. The clock: the sweep has left it where it was, with nothing to decay before the turn.
            clock = state.clock if swept_to is None else max(state.clock, old.calendar.last_turn(swept_to) - state.base)
            if self.old.ladder.calendar(new.name) != self.new.ladder.calendar(new.name):
                state.clock = clock  # the new calendar's turns would not lead there
            # 3. The layer.
            after = layer_at(state, new.until, clock, len(new.until))
            state.layer, place = self._old_places[state.layer], self._new_places[after]
            if state.layer != place:
                state.clock = clock
                fold.recompute(state, new, user_id, place)
                moving.moved += 1
            state.layer = after
            if encode_state(state) != stored:
                fold.changed[key] = state

    def _carried(self, touches: Sequence[list[int] | None], keep: Sequence[int]) -> tuple[list[list[int] | None], bool]:
        """A user's touches in the new ladder's slots, and whether fewer pieces of any were kept than it asks for."""
        found = [None if source is None else _kept(touches[source], most) for (source, _), most in zip(self._sources, keep, strict=True)]
        return found, any(_is_short(touch, most) for touch, most in zip(found, keep, strict=True))

    def _partial(self, meta: Meta) -> dict[str, int]:
        """The evidence that was not kept as the new ladder asks for, and the evidence and paces of which another part was junk, with the
        time up to which that shows."""
        if meta.watermark is None:
            return {}
        # A touchpoint may lie a little ahead of the watermark.
        now = meta.watermark + FUTURE_MS
        junk_differs = any(self.new.brands[name].junk_above != self.old.brands[name].junk_above for name in self._named())
        paces = PACES.values()
        found = dict.fromkeys(paces, now) if junk_differs else {name: at for name, at in meta.partial.items() if name in paces}
        for slot, (name, (source, exact)) in enumerate(zip(self.new.slots, self._sources, strict=True)):
            judged = junk_differs and self.new.ladder.evidence[name].topic in PACES
            if judged or not exact or (source is not None and self._asks_for_more(slot, source)):
                found[name] = now
            elif source is not None and (since := meta.partial.get(self.old.slots[source])) is not None:
                found[name] = since
        return found

    def _asks_for_more(self, slot: int, source: int) -> bool:
        return any(self.new.brands[name].keep[slot] > self.old.brands[name].keep[source] for name in self._named())

    def _named(self) -> set[str]:
        """The brands with rules of their own, and "" for all others."""
        return {"", *self.old.ladder.brands, *self.new.ladder.brands}


def passage_of(shard: int, meta: Meta, ladders: Mapping[str, bytes], rules: Rules, *, any_ladder: bool) -> Passage | None:
    """The passage that this shard's users have to go through next, None if they stand on the ladder of `rules`. `ladders` are the rules
    that the shard has known, by id; `any_ladder` lets an older version or another ladder pass too.

    Raises LadderChanged where the users cannot be moved, or only at an operator's word.
    """
    mine, known = rules_of(rules.ladder), _decoded(shard, ladders)
    if (same := known.get(rules.id)) is not None and (parts := _differing(same, mine)):
        raise LadderChanged(
            f"shard {shard}: expected the rules that it has known as {rules.id}, found others ({', '.join(parts)}): "
            "a change of the rules needs a higher version"
        )
    if meta.ladder in ("", rules.id) and meta.moving is None:
        return None
    present, former = known.get(meta.ladder), known.get(meta.moving.ladder if meta.moving else meta.ladder)
    if present is None or former is None:
        raise LadderChanged(
            f"shard {shard}: expected ladder {meta.ladder}, whose rules Redis does not hold, found {rules.id}: its users cannot be moved"
        )
    if meta.ladder != rules.id:
        is_newer = present.ladder == mine.ladder and present.version < mine.version
        if not is_newer and not any_ladder:
            raise LadderChanged(
                f"shard {shard}: expected ladder {meta.ladder}, on which its users stand, or a newer version of it, found {rules.id}: "
                "--on-ladder-change recompute moves them all the same"
            )
        _refuse_impossible(shard, present, mine, meta)
    if meta.moving is None:
        return Passage(Rules(present), rules)
    # What was begun is ended first, whoever began it.
    return Passage(Rules(former), rules if meta.ladder == rules.id else Rules(present))


def _refuse_impossible(shard: int, old: Ladder, new: Ladder, meta: Meta) -> None:
    if old.layers[0].id != new.layers[0].id:
        raise LadderChanged(
            f"shard {shard}: expected the lowest layer of {new.id} to be {old.layers[0].id}, as in {old.id}, found {new.layers[0].id}: "
            "users without a transition stand there, and the ledger begins there. What people call a layer is its `name`"
        )
    for brand in meta.census:
        if old.currency_of(brand) != new.currency_of(brand):
            raise LadderChanged(
                f"shard {shard}: expected {new.id} to leave brand {brand} its currency {old.currency_of(brand)}, found "
                f"{new.currency_of(brand)}: the orders kept cannot be converted"
            )


def _decoded(shard: int, ladders: Mapping[str, bytes]) -> dict[str, Ladder]:
    try:
        return {name: _decode(stored) for name, stored in ladders.items()}
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StateUnreadable(f"shard {shard}: expected the rules of its ladders as this release writes them, found: {error}") from None


def _differing(one: Ladder, other: Ladder) -> list[str]:
    """The parts in which two ladders' rules differ; the order of the evidence is one, since states hold it by number."""
    found = [part for part in _RULES if getattr(one, part) != getattr(other, part)]
    if not found and list(one.evidence) != list(other.evidence):
        found.append("the order of evidence")
    return found


def _joint(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    layers = list(new)
    for below, layer in pairwise(old):
        if layer not in layers:
            layers.insert(layers.index(below) + 1, layer)
    return tuple(layers)


def _source(name: str, evidence: Evidence, old: Ladder) -> tuple[int | None, bool]:
    """The old slot whose pieces an evidence goes on from, None for none, and whether these are exactly its own."""
    if evidence.topic in (Kind.MEMBERSHIP, Kind.ORDER):
        return None, True  # relations and orders are kept as such, whatever asks for them
    types = _types(evidence)
    for slot, other in enumerate(old.evidence.values()):
        if _types(other) == types:
            return slot, True
    same = old.evidence.get(name)
    if same is not None and same.topic is evidence.topic:
        return list(old.evidence).index(name), False
    return None, False


def _types(evidence: Evidence) -> frozenset[str]:
    every = (type_ for type_, kind in CATALOGUE.items() if kind is evidence.topic)
    return frozenset(every if evidence.types is None else evidence.types)


def _kept(touch: list[int] | None, keep: int) -> list[int] | None:
    """What is known of an evidence's pieces where `keep` of them are to be known: the latest of those kept, and the first."""
    if not touch or keep == 1:
        return touch[:3] if touch else None
    first, last, count, *pairs = touch
    if not pairs:
        pairs = [last, 0]
    if first < pairs[0]:
        pairs = [first, 0, *pairs]
    return [first, last, count, *pairs[-2 * keep :]]


def _is_short(touch: list[int] | None, keep: int) -> bool:
    """Whether there may have been more pieces, up to `keep`, than are known."""
    if touch is None or keep == 1:
        return False
    known = (len(touch) - 3) // 2
    return known < keep and known < touch[2]
