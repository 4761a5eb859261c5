"""What all requests of a process share: readers, live snapshots, accounts, limits, the audit log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog

from schemas.alert import Alert
from schemas.ladder import Ladder
from streams.ladder import Rules
from warroom.alerts.book import AlertBook
from warroom.auth.accounts import Accounts, AccountsError, AccountsFile, new_accounts
from warroom.auth.audit import AuditLog
from warroom.auth.masking import Mask
from warroom.auth.oidc import Oidc, OidcConfig, guests_only
from warroom.auth.roles import Principal
from warroom.auth.sessions import Sessions
from warroom.auth.throttle import Buckets, LoginThrottle
from warroom.live.live import Live, LiveConfig
from warroom.notes import Notes
from warroom.web.board import WebBoard
from warroom.web.desk import WebDesk
from warroom.web.follow import Follow
from warroom.web.pool import Pool
from warroom.web.problems import Problem
from warroom.web.shared import Shared

log = structlog.get_logger(__name__)

_BRANDS_S = 5.0
_SHARED_S = 2.0
"""For how long figures of a period that many screens ask for are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomConfig:
    """How to serve. `accounts` and `oidc` None: whoever reaches the address is at home, so it has to be a loopback one.

    `event_clock`: the figures' time is that of the events, as in a simulation; changes count from the next minute of it.

    `rate` and `burst` are requests of one principal, a second and at once; `streams` is how many event streams may be open.
    """

    live: LiveConfig
    accounts: Path | None = None
    oidc: OidcConfig | None = None
    audit: Path | None = None
    loopback: bool = True
    event_clock: bool = False
    rate: float = 20.0
    burst: float = 200.0
    streams: int = 1_000
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000


class Room:
    """Made once a process; belongs to its event loop."""

    def __init__(self, config: RoomConfig, ladder: Ladder) -> None:
        if config.accounts is None and config.oidc is None and not config.loopback:
            raise ValueError(
                "expected a file of accounts, or a loopback address, or an OpenID provider: without accounts everybody is an admin"
            )
        self.config = config
        self.ladder = ladder
        self.rules = Rules(ladder)
        self.layers = [layer.id for layer in ladder.layers]
        self.now = config.now
        self.partitions = config.live.partitions
        live = config.live
        self.pool = Pool(live.clickhouse, live.redis)
        self.live = Live(live, ladder, config.now)
        self.follow = Follow(live.kafka, live.topic_prefix, live.partitions)
        self.desk = WebDesk(live.redis, live.kafka, live.topic_prefix, live.partitions, ladder, config.now, event_clock=config.event_clock)
        self.notes = Notes(self.desk.redis, live.redis.prefix)
        self.alerts = AlertBook(self.desk.redis, live.redis.prefix)
        self.alert_changes = 0
        """how often somebody acknowledged or silenced something here: open alerts found before are out of date"""
        self.kept_alerts: dict[str, list[Alert]] = {}
        """open alerts by brand, as ClickHouse said last"""
        self.board = WebBoard(live.clickhouse, self.desk.desk, self.notes, ladder, config.now)
        self.shared: Shared[Any] = Shared(_SHARED_S)
        self.sessions = Sessions()
        self.throttle = LoginThrottle()
        self.limits = Buckets(config.rate, config.burst)
        self.audit = AuditLog(config.audit)
        self.streams = 0
        self._file = None if config.accounts is None else AccountsFile(config.accounts)
        self.oidc = None if config.oidc is None else Oidc(config.oidc)
        self._nobody = new_accounts() if config.oidc is None else guests_only(config.oidc)
        self._brands: frozenset[str] = frozenset()
        self._brands_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether there are no accounts and no provider, and everyone is at home."""
        return self._file is None and self.oidc is None

    def accounts(self) -> Accounts:
        """The accounts as they are now; without a file nobody's. Raises AccountsError, which is told in the log."""
        try:
            return self._nobody if self._file is None else self._file.read()
        except AccountsError as error:
            log.error("the accounts cannot be read", error=str(error))
            raise

    def mask(self) -> Mask:
        """The mask of user ids."""
        return Mask(self.accounts().secret)

    async def brands(self) -> frozenset[str]:
        """Every brand that has users or is named in the ladder."""
        now = time.monotonic()
        if now >= self._brands_until:
            metas = await self.pool.look(lambda states: states.metas(self.partitions))
            self._brands = frozenset(self.ladder.brands) | {brand for meta in metas for brand in meta.census}
            self._brands_until = now + _BRANDS_S
        return self._brands

    async def expect_brand(self, principal: Principal, brand: str) -> None:
        """Raises Problem 404 for a brand that is not there, or not theirs to see: they are not told which."""
        if not principal.sees(brand) or brand not in await self.brands():
            raise Problem(404, "expected a brand that is there and that you may see; /api/v1/brands lists them")

    def open(self) -> None:
        """Begins what goes on beside requests."""
        self.desk.open()

    async def close(self) -> None:
        """Ends everything."""
        await self.live.close()
        if self.oidc is not None:
            await self.oidc.close()
        self.follow.close()
        self.board.close()
        self.desk.close()
        self.pool.close()


Outcome = Literal["done", "refused", "failed"]
