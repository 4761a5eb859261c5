"""Hands transitions to a webhook: many at a time, of one user one after the other, none forgotten.

A batch of the log counts as done when each of its transitions has been taken or lies among the dead letters; positions are kept in the
order of the batches. After a crash what was not yet counted is told again, under the same id. What waits is bounded: `offer` waits when
there is too much of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from schemas.follow import Batch
from schemas.positions import Position
from schemas.subscriber import Received
from sinks.subscription.breaker import Breaker
from sinks.subscription.config import Webhook
from sinks.subscription.webhook import Answer, Fate
from streams import metrics

log = structlog.get_logger(__name__)

MOST_WAITING = 5_000
_LONGEST_AFTER_S = 600.0

Post = Callable[[Received], Awaitable[Answer]]
"""Tells one transition once."""
Bury = Callable[[Received, int, str], None]
"""Writes a dead letter: the transition, how often it was told in vain, and why. On the disk when it returns."""
Keep = Callable[[Mapping[int, Position]], None]
"""Stores positions."""


@dataclass
class _Part:
    """A batch on its way: how many of its transitions are not done, and where it leads."""

    left: int
    after: dict[int, Position]


@dataclass
class _Parcel:
    """A transition on its way. `counted` are the failures that speak against it, and not against the receiver."""

    one: Received
    part: _Part
    told: int = 0
    counted: int = 0
    taken_before: int = 0


class Dispatcher:
    """For one event loop. `positions` are those from which reading began."""

    def __init__(
        self,
        name: str,
        webhook: Webhook,
        post: Post,
        bury: Bury,
        keep: Keep,
        positions: Mapping[int, Position],
        breaker: Breaker | None = None,
    ) -> None:
        self._name = name
        self._webhook = webhook
        self._post, self._bury, self._keep = post, bury, keep
        self._breaker = breaker or Breaker()
        self._turns = asyncio.Semaphore(webhook.in_flight)
        self._parts: deque[_Part] = deque()
        self._users: dict[tuple[str, str], deque[_Parcel]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._positions = dict(positions)
        self._waiting = 0
        self._taken = 0
        self._room = asyncio.Event()
        self._room.set()
        self._failed: BaseException | None = None

    @property
    def waiting(self) -> int:
        """Transitions that are not done."""
        return self._waiting

    async def offer(self, batch: Batch) -> None:
        """Takes a batch on its way; waits while too much is. Raises as `check` does: a full disk, say."""
        part = _Part(len(batch.transitions), {partition: move.after for partition, move in batch.moves.items()})
        self._parts.append(part)
        for one in batch.transitions:
            self._waiting += 1
            queue = self._users.setdefault((one.brand, one.user_id), deque())
            queue.append(_Parcel(one, part))
            if len(queue) == 1:
                task = asyncio.create_task(self._tell((one.brand, one.user_id), queue))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
        self._advance()
        if self._waiting >= MOST_WAITING:
            self._room.clear()
        await self._room.wait()
        self.check()

    def check(self) -> None:
        """Raises what made going on impossible."""
        if self._failed is not None:
            raise self._failed

    async def drain(self, seconds: float) -> bool:
        """Gives what is on its way so many seconds; whether all of it was done. What was not is told again after the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        return self._waiting == 0

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = error
            self._room.set()

    async def _tell(self, user: tuple[str, str], queue: deque[_Parcel]) -> None:
        """Tells a user's transitions, one after the other."""
        while queue:
            parcel = queue[0]
            wait = await self._attempt(parcel)
            while wait is not None:
                await asyncio.sleep(wait)
                wait = await self._attempt(parcel)
            queue.popleft()
            if not queue:
                del self._users[user]
            self._done(parcel)

    async def _attempt(self, parcel: _Parcel) -> float | None:
        """Tells it once: seconds until the next attempt, None when it is done."""
        async with self._turns:
            if (pause := self._breaker.wait(time.monotonic())) > 0:
                return pause * random.uniform(1.0, 1.2)
            began = time.monotonic()
            try:
                answer = await self._post(parcel.one)
            except asyncio.CancelledError:
                self._breaker.gave_up()
                raise
            metrics.SUBSCRIPTION_SECONDS.observe(time.monotonic() - began)
        metrics.SUBSCRIPTION_REQUESTS.labels(self._name, answer.fate.value).inc()
        parcel.told += 1
        return self._weigh(parcel, answer)

    def _weigh(self, parcel: _Parcel, answer: Answer) -> float | None:
        if answer.fate is not Fate.FAILED:
            self._breaker.succeeded()
            metrics.SUBSCRIPTION_PAUSED.labels(self._name).set(0)
            if answer.fate is Fate.REFUSED:
                self._give_up(parcel, answer.why)
            else:
                self._taken += 1
            return None
        if self._breaker.failed(time.monotonic()):
            log.warning("the webhook does not take anything: telling it less often", subscription=self._name, why=answer.why)
            metrics.SUBSCRIPTION_PAUSED.labels(self._name).set(1)
        # Whether it is this one or the receiver that fails is seen by whether others are taken meanwhile.
        if parcel.told == 1 or self._taken > parcel.taken_before:
            parcel.counted += 1
        parcel.taken_before = self._taken
        if parcel.counted >= self._webhook.attempts:
            self._give_up(parcel, answer.why)
            return None
        longest = min(self._webhook.backoff_most, self._webhook.backoff_first * 2.0 ** min(parcel.told, 30))
        return max(random.uniform(0, longest), min(answer.after, _LONGEST_AFTER_S))

    def _give_up(self, parcel: _Parcel, why: str) -> None:
        self._bury(parcel.one, parcel.told, why)
        metrics.SUBSCRIPTION_DEAD_LETTERS.labels(self._name).inc()
        log.warning("a transition was not taken: it lies among the dead letters", subscription=self._name, id=parcel.one.id, why=why)

    def _done(self, parcel: _Parcel) -> None:
        parcel.part.left -= 1
        self._waiting -= 1
        if self._waiting < MOST_WAITING:
            self._room.set()
        self._advance()

    def _advance(self) -> None:
        """Stores where the batches lead that are done, and all before them."""
        moved = False
        while self._parts and self._parts[0].left == 0:
            self._positions |= self._parts.popleft().after
            moved = True
        if moved:
            self._keep(self._positions)
