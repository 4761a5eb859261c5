"""`rflow check`: every user recomputed from the topics with the plain fold and held against Redis and ClickHouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message
from msgspec import Struct

from deploy.inputs import InputReader
from deploy.settings import Settings
from deploy.wiring import ladder_of, redis_of, wall_clock
from schemas.deadletter import InvalidRecord
from schemas.ladder import Ladder
from schemas.partition import partition_of
from schemas.touchpoint import Tick, Touchpoint
from schemas.validate import FUTURE_MS, Validator
from streams.ladder import RELATION_KINDS, Rules
from streams.meta import Meta
from streams.outbox import FORWARDED_HEADER
from streams.plain import Outcome, PlainFold, PlainUser
from streams.state import State
from warroom.states import States


class Difference(Struct, frozen=True, kw_only=True):
    """Where Redis does not say what the topics say of a user."""

    brand: str
    user_id: str
    what: str
    redis: Any
    topics: Any


class Recomputed(Struct, kw_only=True):
    """What the topics say. `missing` counts records that the logs no longer hold: without them nothing can be compared."""

    users: int = 0
    events: int = 0
    duplicates: int = 0
    purchases: int = 0
    gmv: int = 0
    refunds: int = 0
    buyers: int = 0
    missing: int = 0
    layers: dict[str, dict[str, int]] = {}
    differences: list[Difference] = []


class StateReader(States):
    """The deployment's Redis."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(redis_of(settings))


def census_of(states: StateReader, settings: Settings, ladder: Ladder) -> dict[str, dict[str, int]]:
    """Users per brand and layer as Redis counts them."""
    total: dict[str, Counter[str]] = {}
    for shard in range(settings.partitions):
        for brand, counts in states.meta(shard).census.items():
            by_layer = total.setdefault(brand, Counter({layer.id: 0 for layer in ladder.layers}))
            for layer, n in zip(ladder.layers, counts, strict=True):
                by_layer[layer.id] += n
    return {brand: dict(counts) for brand, counts in sorted(total.items())}


def recompute(settings: Settings, on_read: Callable[[int], None] = lambda _: None) -> Recomputed:
    """Reads every input topic up to what has been applied and compares every user."""
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
    missing = reader.missing(shard)
    done.missing += missing
    meta = states.meta(shard)
    fold = PlainFold(ladder)
    seen_forwards: set[tuple[int, bytes]] = set()
    refused: set[tuple[int, int]] | None = None
    for topic, item, message in reader.records(shard, meta.offsets, on_read):
        if isinstance(item, InvalidRecord):
            continue
        if _was_ahead(item, message):
            # It may have been refused for it, or have been taken late enough.
            refused = reader.refused(shard) if refused is None else refused
            if (topic, message.offset()) in refused:
                continue
        if not isinstance(item, Tick):
            if partition_of(item.user_id, settings.partitions) != shard:
                continue
            mark = next((value for name, value in dict(message.headers() or ()).items() if name == FORWARDED_HEADER), None)
            if isinstance(mark, bytes):
                if (topic, mark) in seen_forwards:
                    continue
                seen_forwards.add((topic, mark))
            done.events += 1
        outcome, _ = fold.apply(item)
        done.duplicates += outcome is Outcome.DUPLICATE
    if not missing:
        _compare(fold, states, shard, Rules(ladder), done)
    figures = fold.figures()
    done.purchases += figures.purchases
    done.gmv += figures.gmv
    done.refunds += figures.refunds
    done.buyers += figures.buyers


def _was_ahead(item: Touchpoint | Tick, message: Message) -> bool:
    """Whether a record, valid by now, lay in the future when the broker took it."""
    kind, stamp = message.timestamp()
    return kind != TIMESTAMP_NOT_AVAILABLE and isinstance(item.occurred_at, int) and item.occurred_at > stamp + FUTURE_MS


def _compare(fold: PlainFold, states: StateReader, shard: int, rules: Rules, done: Recomputed) -> None:
    """Holds every user against Redis, at the clock that Redis has."""
    found: set[tuple[str, str]] = set()
    for key, state in states.users(shard):
        brand_key, _, user = key.partition(":")
        brand = rules.brand_of_key(brand_key).name
        found.add((brand, user))
        done.users += 1
        plain = fold.users.get((brand, user))
        if state is None or plain is None:
            there = ["no state" if state is None else "a user", "a user" if plain else "no such user"]
            done.differences.append(Difference(brand=brand, user_id=user, what="user", redis=there[0], topics=there[1]))
            continue
        layer = fold.layer_at(brand, user, state.base + state.clock)
        counts = done.layers.setdefault(brand, dict.fromkeys(rules.layers, 0))
        counts[layer] += 1
        for what, in_redis, in_topics in _sides(state, plain, rules, layer):
            if in_redis != in_topics:
                done.differences.append(Difference(brand=brand, user_id=user, what=what, redis=in_redis, topics=in_topics))
    for brand, user in fold.users.keys() - found:
        done.differences.append(Difference(brand=brand, user_id=user, what="user", redis="not in the roster", topics="a user"))
    _compare_census(states.meta(shard), shard, rules, done)


def _compare_census(meta: Meta, shard: int, rules: Rules, done: Recomputed) -> None:
    """The census counts what the states say; it is compared once all shards are in."""
    for brand, counts in meta.census.items():
        total = done.layers.setdefault(brand, dict.fromkeys(rules.layers, 0))
        for layer, n in zip(rules.layers, counts, strict=True):
            total.setdefault(f"census:{layer}", 0)
            total[f"census:{layer}"] += n


def _sides(state: State, plain: PlainUser, rules: Rules, layer: str) -> Iterator[tuple[str, Any, Any]]:
    """(what, Redis' side, the topics' side) of everything that does not depend on the order of the records."""
    yield "layer", rules.layers[state.layer], layer
    for slot, name in enumerate(rules.slots):
        times = plain.evidence.times(name) if name in plain.evidence.touches else []
        touch = state.touches[slot]
        yield f"{name}: latest", state.base + touch[1] if touch else None, max(times, default=None)
    orders = {order.id: (order.paid, order.refunded) for order in state.orders or ()}
    yield (
        "orders",
        orders,
        {name: (o.paid if o.bought_at is not None else None, o.refunded) for name, o in plain.evidence.orders.items()},
    )
    relations = {(RELATION_KINDS[r.kind], r.id): (state.base + r.at, r.active) for r in state.relations or ()}
    yield "relations", relations, {key: (r.at, r.active) for key, r in plain.evidence.relations.items()}
