"""`rflow check`: every user recomputed from the topics with the plain fold and held against Redis and ClickHouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from deploy.inputs import InputReader
from deploy.settings import Settings
from deploy.wiring import ladder_of, redis_of, wall_clock
from schemas.deadletter import InvalidRecord
from schemas.ladder import Ladder
from schemas.partition import partition_of
from schemas.times import MINUTE_MS
from schemas.touchpoint import Tick
from schemas.validate import Validator
from streams.headers import Mark, mark_of, read_headers
from streams.ladder import RELATION_KINDS, Brand, Rules
from streams.meta import Meta, Origin
from streams.pace import PACES, paces_told
from streams.plain import Outcome, PlainFold, PlainUser, UserKey
from streams.replayed import own_place
from streams.state import State
from warroom.states import States, require_ladder


class Difference(Struct, frozen=True, kw_only=True):
    """Where Redis does not say what the topics say of a user."""

    brand: str
    user_id: str
    what: str
    redis: Any
    topics: Any


class Recomputed(Struct, kw_only=True):
    """What the topics say. `missing` counts records that the logs no longer hold: without them nothing can be compared.

    `unproven` counts users of whom Redis and the topics know different evidence or paces, but only from before the ladder changed: what an
    earlier ladder did not keep, or took for junk, a new one cannot go by, nor leave out what that one took.
    """

    users: int = 0
    events: int = 0
    duplicates: int = 0
    junk: dict[str, int] = {}
    """by channel, empty for none"""
    purchases: int = 0
    gmv: int = 0
    refunds: int = 0
    buyers: int = 0
    missing: int = 0
    unproven: int = 0
    layers: dict[str, dict[str, int]] = {}
    differences: list[Difference] = []


class StateReader(States):
    """The deployment's Redis."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(redis_of(settings))


def census_of(states: StateReader, settings: Settings, ladder: Ladder) -> dict[str, dict[str, int]]:
    """Users per brand and layer as Redis counts them: every layer of `ladder`, and those of a shard that stands on another one."""
    total: dict[str, Counter[str]] = {}
    for shard in range(settings.partitions):
        meta = states.meta(shard)
        for brand, counts in meta.census.items():
            by_layer = total.setdefault(brand, Counter({layer.id: 0 for layer in ladder.layers}))
            for layer, n in zip(meta.layers, counts, strict=True):
                by_layer[layer] += n
    return {brand: dict(counts) for brand, counts in sorted(total.items())}


def recompute(settings: Settings, on_read: Callable[[int], None] = lambda _: None) -> Recomputed:
    """Reads every input topic up to what has been applied and compares every user.

    Raises LadderChanged where users do not stand on the ladder of `settings`, or not all of them yet.
    """
    ladder = ladder_of(settings)
    # A record that was valid when it was taken may lie ahead of no later wall clock.
    reader = InputReader(settings.kafka_client(), settings.topic_prefix, Validator(ladder, wall_clock, check_future=settings.future_check))
    states = StateReader(settings)
    done = Recomputed()
    try:
        for shard in range(settings.partitions):
            _shard(shard, settings, ladder, reader, states, done, on_read)
    finally:
        reader.close()
        states.close()
    return done


def _shard(
    shard: int,
    settings: Settings,
    ladder: Ladder,
    reader: InputReader,
    states: StateReader,
    done: Recomputed,
    on_read: Callable[[int], None],
) -> None:
    meta = states.meta(shard)
    require_ladder(shard, meta, ladder)
    fold = PlainFold(ladder)
    missing = reader.missing(shard)
    done.missing += missing
    # Where its users were before they were dealt to more shards, and then its own logs.
    for origin in meta.origins:
        missing += reader.missing(origin.shard)
        _records(shard, settings.partitions, origin, fold, reader, done, on_read)
    _records(
        shard, settings.partitions, Origin(shard=shard, partitions=settings.partitions, offsets=meta.offsets), fold, reader, done, on_read
    )
    if not missing:
        compare(fold, states.users(shard), shard, meta, Rules(ladder), done)
    figures = fold.figures()
    done.purchases += figures.purchases
    done.gmv += figures.gmv
    done.refunds += figures.refunds
    done.buyers += figures.buyers


def _records(
    shard: int, partitions: int, place: Origin, fold: PlainFold, reader: InputReader, done: Recomputed, on_read: Callable[[int], None]
) -> None:
    """Folds what the users of `shard`, one of `partitions`, have in the logs of a place, in the order in which it was taken there."""
    seen_forwards: set[tuple[int, Mark]] = set()
    seen_replays: set[str] = set()
    refused = reader.refused(place.shard)
    for topic, item, message in reader.records(place.shard, place.offsets, on_read):
        if isinstance(item, InvalidRecord) or (topic, message.offset()) in refused:
            continue
        if not isinstance(item, Tick):
            if partition_of(item.user_id, partitions) != shard or partition_of(item.user_id, place.partitions) != place.shard:
                continue
            headers = read_headers(message)
            if (mark := mark_of(headers, partitions)) is not None:
                if (topic, mark) in seen_forwards:
                    continue
                seen_forwards.add((topic, mark))
            done.events += 1
            replay = own_place(headers, place.shard)
            if replay in seen_replays:
                done.duplicates += 1
                continue
            if replay is not None:
                seen_replays.add(replay)
        outcome, _ = fold.apply(item)
        done.duplicates += outcome is Outcome.DUPLICATE
        if outcome is Outcome.JUNK and not isinstance(item, Tick):
            done.junk[item.channel or ""] = done.junk.get(item.channel or "", 0) + 1


def compare(fold: PlainFold, users: Iterable[tuple[str, State | None]], shard: int, meta: Meta, rules: Rules, done: Recomputed) -> None:
    """Holds every user of a shard against their state in Redis, by its key, at the clock that Redis has; what differs goes into `done`."""
    found: set[tuple[str, str]] = set()
    standing: dict[str, Counter[str]] = {}
    for key, state in users:
        brand_key, _, user = key.partition(":")
        brand = rules.brand_of_key(brand_key)
        found.add((brand.name, user))
        done.users += 1
        plain = fold.users.get((brand.name, user))
        if state is not None:
            standing.setdefault(brand.name, Counter())[rules.layers[state.layer]] += 1
        if state is None or plain is None:
            there = ["no state" if state is None else "a user", "a user" if plain else "no such user"]
            done.differences.append(Difference(brand=brand.name, user_id=user, what="user", redis=there[0], topics=there[1]))
            continue
        layer = fold.layer_at(brand.name, user, state.base + state.clock)
        counts = done.layers.setdefault(brand.name, dict.fromkeys(rules.layers, 0))
        counts[layer] += 1
        paces = list(_paces(state, fold, (brand.name, user)))
        sides = [*_sides(state, plain, rules, brand, layer), *paces]
        differing = [side for side in sides if side[1] != side[2]]
        if differing and (unproven := _unproven(state, plain, rules, brand, meta.partial) | _unproven_paces(paces, meta.partial)):
            done.unproven += 1
            differing = [side for side in differing if side[0] not in unproven]
        done.differences += [Difference(brand=brand.name, user_id=user, what=what, redis=a, topics=b) for what, a, b in differing]
    for brand_name, user in fold.users.keys() - found:
        done.differences.append(Difference(brand=brand_name, user_id=user, what="user", redis="not in the roster", topics="a user"))
    done.differences += _census_differences(meta, shard, standing)


def _census_differences(meta: Meta, shard: int, standing: dict[str, Counter[str]]) -> list[Difference]:
    """Where a shard's census does not count what its users' states say."""
    counted = {brand: dict(zip(meta.layers, counts, strict=True)) for brand, counts in meta.census.items()}
    return [
        Difference(brand=brand, user_id="", what=f"census of shard {shard}, {layer}", redis=n, topics=m)
        for brand in sorted(counted.keys() | standing.keys())
        for layer in meta.layers
        if (n := counted.get(brand, {}).get(layer, 0)) != (m := standing.get(brand, Counter())[layer])
    ]


def _paces(state: State, fold: PlainFold, user: UserKey) -> Iterator[tuple[str, list[tuple[int, int]], list[tuple[int, int]]]]:
    """(what, Redis' side, the topics' side) of the user's pace, which is a matter of each log alone."""
    for (kind, name), in_redis in zip(PACES.items(), paces_told(state), strict=True):
        told = fold.paces.get((user, kind))
        yield name, list(in_redis.items()), list(told.minutes.items()) if told else []


def _unproven_paces(paces: list[tuple[str, list[tuple[int, int]], list[tuple[int, int]]]], partial: dict[str, int]) -> set[str]:
    """Which paces say nothing: those that differ only in minutes that began before the ladder had its bound of junk."""
    found: set[str] = set()
    for name, in_redis, in_topics in paces:
        since = partial.get(name)
        if since is None or in_redis == in_topics:
            continue
        newer = [[(minute, n) for minute, n in side if minute * MINUTE_MS > since] for side in (in_redis, in_topics)]
        if newer[0] == newer[1]:
            found.add(name)
    return found


def _unproven(state: State, plain: PlainUser, rules: Rules, brand: Brand, partial: dict[str, int]) -> set[str]:
    """Which sides say nothing: those of evidence that differs only up to when the ladder began to ask for it, and with them the layer."""
    found: set[str] = set()
    for slot, name in enumerate(rules.slots):
        since = partial.get(name)
        if since is None:
            continue
        in_redis, in_topics = _pieces(state, plain, slot, name, brand.keep[slot])
        newer = [[at for at in pieces if at > since] for pieces in (in_redis, in_topics)]
        if in_redis != in_topics and newer[0] == newer[1]:
            found |= {name, "layer"}
    return found


def _pieces(state: State, plain: PlainUser, slot: int, name: str, keep: int) -> tuple[list[int], list[int]]:
    """The times of the latest `keep` pieces of an evidence as Redis and as the topics have them."""
    touch = state.touches[slot]
    kept = [] if not touch else [touch[1]] if keep == 1 else touch[3::2]
    told = plain.evidence.times(name) if name in plain.evidence.touches else []
    return [state.base + at for at in kept], told[-keep:]


def _sides(state: State, plain: PlainUser, rules: Rules, brand: Brand, layer: str) -> Iterator[tuple[str, Any, Any]]:
    """(what, Redis' side, the topics' side) of everything that does not depend on the order of the records."""
    yield "layer", rules.layers[state.layer], layer
    for slot, name in enumerate(rules.slots):
        yield name, *_pieces(state, plain, slot, name, brand.keep[slot])
    orders = {order.id: (order.paid, order.refunded) for order in state.orders or ()}
    yield (
        "orders",
        orders,
        {name: (o.paid if o.bought_at is not None else None, o.refunded) for name, o in plain.evidence.orders.items()},
    )
    relations = {(RELATION_KINDS[r.kind], r.id): (state.base + r.at, r.active) for r in state.relations or ()}
    yield "relations", relations, {key: (r.at, r.active) for key, r in plain.evidence.relations.items()}
