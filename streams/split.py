"""More shards: one shard's users, dealt to it and to new ones, exactly once, whenever it is cut short and run again.

With M partitions instead of N, M a multiple of N, the users of shard p of N belong to those shards of M that leave the remainder p, so no
two shards deal to the same one. Piece after piece of the roster goes over: each new shard takes its users in one transaction, then the old
one lets them go in another. How far that has come stands in both metas, so a piece is never taken twice, and a user is always somewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct

from schemas.partition import partition_of
from schemas.touchpoint import KINDS
from streams.durability import Durability
from streams.errors import LadderChanged, PartitionsChanged, ShardStopped
from streams.fold import Fold
from streams.labels import Labels
from streams.ladder import Rules
from streams.meta import Meta, Origin, Splitting
from streams.outbox import Entry
from streams.state import decode_state
from streams.store import ShardStore

PIECE = 2_000
"""Users of the roster looked at in one go."""


class SplitConfig(Struct, frozen=True, kw_only=True):
    """From how many shards to how many, and how many replicas of Redis must have what was written before it is built upon.

    Raises PartitionsChanged where the second is no multiple of the first.
    """

    before: int
    after: int
    replicas: int = 0
    replica_timeout: float = 1.0

    def __post_init__(self) -> None:
        if self.after <= self.before or self.after % self.before:
            raise PartitionsChanged(
                f"expected a multiple of the {self.before} partitions that there are, such as {2 * self.before}, found {self.after}: "
                "only then do the users of a shard go to shards of their own"
            )

    def targets(self, shard: int) -> range:
        """The shards to which users of `shard` go that do not stay."""
        return range(shard + self.before, self.after, self.before)


class _Side:
    """One shard while users are dealt: its store and its meta as last written."""

    def __init__(self, shard: int, config: SplitConfig, store: ShardStore) -> None:
        self.shard = shard
        self.store = store
        self.meta = Meta()
        self.labels: list[str] = []
        self.ladders: dict[str, bytes] = {}
        self.outbox: list[Entry] = []
        self._durability = Durability(store, shard, config.replicas, config.replica_timeout)

    async def load(self) -> None:
        loaded = await self.store.load()
        self.meta, self.outbox, self.ladders = loaded.meta, loaded.outbox, loaded.ladders
        self.labels = [text for text in loaded.labels if text is not None]
        await self._durability.look()

    async def watch(self, users: int = 0) -> list[str]:
        """From here until the write the shard is watched; the first `users` of its roster. Raises Conflict if it has moved."""
        _, names = await self.store.read(self.meta.token, [], (0, users - 1) if users else None)
        return names

    async def settled(self) -> None:
        """Returns once what was written last would survive."""
        while self._durability.asks and not await self._durability.reached():
            pass


class Split:
    """The dealing of one shard's users. `look` and `fence` at all shards, publish what their `outbox` holds, `settle` and `deal`, in this
    order; from any point on it can be begun again.

    `token` names this run, `now` is the wall clock in epoch milliseconds. Every call raises RedisError, OSError or TimeoutError where Redis
    does not answer, ShardStopped where the shard cannot be split, Conflict where somebody else moves it.
    """

    def __init__(
        self, shard: int, config: SplitConfig, rules: Rules, store: Callable[[int], ShardStore], now: Callable[[], int], token: str
    ) -> None:
        self.shard = shard
        self._config = config
        self._rules = rules
        self._now = now
        self._token = token
        self._writes = 0
        self._old = _Side(shard, config, store(shard))
        self._new = [_Side(target, config, store(target)) for target in config.targets(shard)]

    async def close(self) -> None:
        """Closes the connections."""
        for side in (self._old, *self._new):
            await side.store.close()

    # --- 1. no worker takes a step any more ---------------------------------------------------------------------------------------------
    async def look(self) -> Meta:
        """Reads the shard, and those that its users go to; its meta."""
        for side in (self._old, *self._new):
            await side.load()
        self._refuse_what_cannot_be_split()
        return self._old.meta

    async def users(self) -> int:
        """How many users the shard has."""
        return await self._old.store.roster_length()

    @property
    def is_done(self) -> bool:
        """Whether its users have been dealt already."""
        return self._old.meta.partitions == self._config.after and self._old.meta.splitting is None

    async def fence(self) -> None:
        """Keeps all workers off the shard."""
        meta, config = self._old.meta, self._config
        if meta.splitting is not None:
            return
        await self._old.watch()
        meta.partitions, meta.splitting = config.after, Splitting(before=config.before)
        meta.layers = meta.layers or list(self._rules.layers)
        # A sweep does no harm to whom it has reached already: it begins anew, with another roster.
        meta.sweeping, meta.roster_index = None, 0
        await self._write(self._old)
        await self._old.settled()

    def _refuse_what_cannot_be_split(self) -> None:
        meta, config = self._old.meta, self._config
        if self.is_done:
            return
        if meta.splitting is not None and (meta.splitting.before, meta.partitions) != (config.before, config.after):
            raise ShardStopped(
                f"shard {self.shard}: expected the users to be dealt from {meta.splitting.before} to {meta.partitions} shards, as begun, "
                f"found {config.before} to {config.after}: that has to end first"
            )
        if meta.splitting is None and meta.partitions not in (0, config.before):
            raise PartitionsChanged(
                f"shard {self.shard}: expected {meta.partitions} partitions, with which its state was built, found {config.before}"
            )
        if meta.moving is not None or meta.ladder not in ("", self._rules.id):
            raise LadderChanged(
                f"shard {self.shard}: expected all of its users on {self._rules.id}, found them on {meta.ladder}"
                f"{', being moved' if meta.moving else ''}: let the workers bring them there first"
            )
        for side in self._new:
            if side.meta.version and not any(origin.shard == self.shard for origin in side.meta.origins):
                raise ShardStopped(f"shard {side.shard}: expected no such shard in Redis yet, found one at version {side.meta.version}")

    # --- 2. all that it has said is published -------------------------------------------------------------------------------------------
    @property
    def outbox(self) -> list[Entry]:
        """What has to be published, in order, before `settle`."""
        return [] if self._is_settled else self._old.outbox

    async def settle(self, ends: Sequence[int]) -> None:
        """After all shards' outboxes have been published: `ends` are the ends of this one's logs, in the order of KINDS."""
        if self._is_settled:
            return
        old, meta = self._old, self._old.meta
        left = await old.store.roster_length()
        await old.watch()
        assert meta.splitting is not None
        meta.splitting.left, meta.placed_to = left, list(ends)
        await self._write(old, trim_to=meta.version)
        await old.settled()

    @property
    def _is_settled(self) -> bool:
        return self._old.meta.splitting is None or self._old.meta.splitting.left is not None

    # --- 3. its users go where they belong ----------------------------------------------------------------------------------------------
    async def deal(self, on_dealt: Callable[[int], None] = lambda _: None) -> None:
        """Deals the users; `on_dealt` is told how many have been looked at, again and again."""
        for side in self._new:
            if side.meta.partitions == 0:
                await self._begin(side)
        while left := self._left:
            names = await self._old.watch(min(left, PIECE))
            await self._piece(names, left - len(names))
            on_dealt(len(names))
        for side in self._new:
            if side.meta.splitting is not None:
                await self._end(side)
        await self._end(self._old)

    @property
    def _left(self) -> int:
        splitting = self._old.meta.splitting
        return 0 if splitting is None else splitting.left or 0

    async def _begin(self, side: _Side) -> None:
        """A new shard, without users: it knows what the old one knows but of its logs."""
        old = self._old.meta
        meta = side.meta = old.copy()
        none = [-1] * len(KINDS)
        meta.version, meta.token, meta.offsets, meta.reached = 0, "", list(none), list(none)
        meta.census, meta.senders, meta.placed_to = {}, {}, []
        meta.origins = [*old.origins, Origin(shard=self.shard, partitions=self._config.before, offsets=old.offsets)]
        await side.watch()
        await self._write(side, labels=self._old.labels, ladders=self._old.ladders)

    async def _piece(self, names: list[str], left: int) -> None:
        """The first of the roster: into the new shards, then out of the old one. `left` is how many remain to be looked at then."""
        old = self._old
        found: defaultdict[int, list[str]] = defaultdict(list)
        for name in names:
            found[partition_of(name.partition(":")[2], self._config.after)].append(name)
        kept = found.pop(self.shard, [])
        gone = [name for taken in found.values() for name in taken]
        states = dict(zip(gone, await old.store.read_more(gone) if gone else [], strict=True))
        for side in self._new:
            splitting = side.meta.splitting
            if (taken := found.get(side.shard)) and splitting is not None and splitting.left is not None and splitting.left > left:
                await side.watch()
                splitting.left = left
                there = {name: state for name in taken if (state := states[name]) is not None}
                self._count(side.meta, there, 1)
                await self._write(side, states=there, roster=taken)
                await side.settled()
        assert old.meta.splitting is not None
        old.meta.splitting.left = left
        self._count(old.meta, {name: state for name, state in states.items() if state is not None}, -1)
        old.meta.token = self._next_token()
        await old.store.let_go(old.meta, kept, gone)

    def _count(self, meta: Meta, states: dict[str, bytes], sign: int) -> None:
        for name, state in states.items():
            brand = self._rules.brand_of_key(name.partition(":")[0]).name
            meta.census.setdefault(brand, [0] * len(meta.layers))[decode_state(state).layer] += sign

    async def _end(self, side: _Side) -> None:
        """The shard's last write of the split is a step, so that whoever follows the shards hears of it."""
        await side.watch()
        meta = side.meta
        meta.splitting = None
        fold = Fold(self._rules, Labels([]), meta, {}, shard=side.shard, partitions=self._config.after, now=self._now())
        meta.ladder = meta.ladder or self._rules.id
        _, entry = fold.finish()
        await self._write(side, entry=entry)
        await side.settled()

    async def _write(
        self,
        side: _Side,
        *,
        states: dict[str, bytes] | None = None,
        roster: list[str] | None = None,
        labels: list[str] | None = None,
        ladders: dict[str, bytes] | None = None,
        entry: Entry | None = None,
        trim_to: int = 0,
    ) -> None:
        side.meta.token = self._next_token()
        await side.store.write(side.meta, states or {}, roster or [], labels or [], entry, trim_to, ladders or {})

    def _next_token(self) -> str:
        self._writes += 1
        return f"{self._token}:{self._writes}"
