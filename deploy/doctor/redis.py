"""Redis: durability, room, the clock, rights, and whether the state is this deployment's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from redis.exceptions import RedisError

from deploy.check import StateReader
from deploy.doctor.finding import Finding, Level, first_line, judged
from deploy.doctor.kafka import MOST_SKEW_S
from deploy.doctor.reach import beyond, logs_in
from deploy.security.rights import RIGHTS, SHARDS, Process
from deploy.settings import Settings
from deploy.wiring import ladder_of
from schemas.ladder_file import LadderError
from streams.errors import StateUnreadable
from streams.meta import Meta

_FORGOTTEN = "what has been published must never be forgotten"
_CONFIG = (
    ("appendonly", "yes", _FORGOTTEN),
    ("appendfsync", "always", _FORGOTTEN),
    ("no-appendfsync-on-rewrite", "no", f"while the file is rewritten nothing would be synced, and {_FORGOTTEN}"),
    ("maxmemory-policy", "noeviction", "an evicted user is a lost user"),
)
_OLDEST = (7, 0)
_FULL = 0.85
_COMMANDS = (("MULTI",), ("EXEC",), ("WATCH", "{}"), ("MSET", "{}", "v"), ("XADD", "{}", "*", "f", "v"), ("EVAL", "return 1", "1", "{}"))
"""Some of each kind that a process may need, on a key of its own."""


def look(settings: Settings, process: Process = Process.WORKER) -> Iterator[Finding]:
    """Never raises for a server that does not answer."""
    with closing(StateReader(settings)) as states:
        try:
            states.ping()
        except (RedisError, OSError) as error:
            yield Finding("redis", Level.WRONG, first_line(error), "see that it runs, can be reached from here, and lets this user in")
            return
        yield Finding("redis", Level.GOOD, "answers")
        for name, expected, why in _CONFIG:
            found = states.config(name)
            # A managed service may not let it be asked; then it is for its own settings to say.
            shown = ", ".join(sorted(found)) or f"not told: see to it that it is {expected}"
            yield judged(f"redis {name}", found <= {expected}, shown, f"set it to {expected}: {why}")
        if settings.redis_replicas:
            count = states.replicas()
            wanted = settings.redis_replicas
            yield judged(
                "redis replicas",
                count >= wanted,
                f"{count} connected",
                f"nothing is published until {wanted} of them have it (RFLOW_REDIS_REPLICAS)",
            )
        for info in states.infos():
            yield from server(info)
        yield clock([at - time.time() for at in states.times()])
        yield from _rights(states, settings, process)
        yield from _state(states, settings)


def server(info: Mapping[str, Any]) -> Iterator[Finding]:
    """What a server says of itself: version, memory, its last writes to disk."""
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2])
    yield judged("redis version", numbers >= _OLDEST, version, "use Redis 7 or Valkey 8, or later: older ones are not tried")
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    yield judged(
        "redis memory",
        not most or used < _FULL * most,
        f"{used / 2**20:,.0f} MiB" + (f" of {most / 2**20:,.0f}" if most else ", no maxmemory"),
        "give it more, or spread the shards over a cluster: when it is full the shards wait (rflow plan says how much is needed)",
        otherwise=Level.RISK,
    )
    written = {name: str(info.get(name, "ok")) for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")}
    failed = [name for name, status in written.items() if status != "ok"]
    yield judged("redis disk", not failed, ", ".join(failed) or "last writes went well", "see its log: the disk is full or failing")


def clock(ahead: list[float]) -> Finding:
    """How far the servers' clocks are from this host's, seconds."""
    worst = max(ahead, key=abs, default=0.0)
    advice = "see that NTP runs there and here"
    return judged("redis clock", abs(worst) <= MOST_SKEW_S, f"{worst:+.2f} s from this host's", advice, otherwise=Level.RISK)


def _rights(states: StateReader, settings: Settings, process: Process) -> Iterator[Finding]:
    """Asks the server itself what it would let this user do; nothing is carried out."""
    wanted, written = RIGHTS[process].commands, [name for mode, name in RIGHTS[process].keys if mode == "RW"]
    key = f"{settings.redis_prefix}:{(written or [SHARDS])[0].replace('[0-9]*', '0}:').replace('*', '')}doctor"
    needed = [command for command in _COMMANDS if command[0].lower() in wanted]
    try:
        refused = [command[0] for command in needed if not states.allows(*(part.replace("{}", key) for part in command))]
        superuser = states.allows("FLUSHALL")
    except RedisError:
        return  # older than ACL DRYRUN, or it does not let this user ask, or a cluster, where no node is the one to ask
    yield judged(
        "redis rights",
        not refused,
        f"may not {', '.join(refused)}" if refused else f"may do all that {process} does",
        f"`rflow rights {process}` prints what gives it",
    )
    if logs_in(settings, "redis") or beyond(settings, "redis"):
        yield judged(
            "redis superuser",
            not superuser,
            "may FLUSHALL" if superuser else "may not FLUSHALL",
            f"give it a user with what `rflow rights {process}` prints alone",
            otherwise=Level.RISK,
        )


def _state(states: StateReader, settings: Settings) -> Iterator[Finding]:
    try:
        metas = [states.meta(shard) for shard in range(settings.partitions)]
    except StateUnreadable as error:
        yield Finding(
            "redis state", Level.WRONG, first_line(error), "use the program that wrote it, or a newer one; or another RFLOW_REDIS_PREFIX"
        )
        return
    beyond = states.meta(settings.partitions).version
    dealt = sorted({meta.partitions for meta in metas if meta.partitions} | ({settings.partitions + 1} if beyond else set()))
    yield judged(
        "redis partitions",
        set(dealt) <= {settings.partitions},
        ", ".join(map(str, dealt)) or "no state yet",
        "set RFLOW_PARTITIONS to what the state was built with: users would be looked for in the wrong shard",
    )
    try:
        yield standing(metas, ladder_of(settings).id)
    except LadderError:
        return  # told of the host


def standing(metas: list[Meta], ladder: str) -> Finding:
    """Whether every shard's users stand on the ladder."""
    found = sorted({f"{meta.moving.ladder} moving to {meta.ladder}" if meta.moving else meta.ladder for meta in metas if meta.ladder})
    name = ladder.partition("@")[0]
    foreign = [one for one in found if one.partition("@")[0] != name]
    advice = (
        f"they are another ladder's: set RFLOW_LADDER, or RFLOW_REDIS_PREFIX, to this deployment's; or move them to {name}: "
        "rflow worker --on-ladder-change recompute"
        if foreign
        else f"workers with {ladder} move the users to a newer version"
    )
    return judged("redis ladder", set(found) <= {ladder}, ", ".join(found) or "no state yet", advice)
