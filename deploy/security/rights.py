"""The least rights of each process, declared once: what Kafka, Redis and ClickHouse have to allow it.

SECURITY.md is printed from it, `rflow rights` prints it in the servers' own words, and tests run every process with exactly this.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from schemas.touchpoint import KINDS

INPUTS = tuple(kind.topic for kind in KINDS)
OUTPUTS = ("transitions", "rollups", "deadletters")
ALL_TOPICS = (*INPUTS, "spend", *OUTPUTS, "alerts", "promotions")

SHARDS, PROMOTIONS, ALERTS, NOTES = "{[0-9]*", "{promotions}:*", "{alerts}:*", "{notes}:*"
LETTERS = "deadletters:purged"
"""What keys are called after the prefix."""


class Process(StrEnum):
    """Who logs in."""

    INIT = "init"
    WORKER = "worker"
    SINK = "sink"
    WARROOM = "warroom"
    ALERTS = "alerts"
    COLLECTOR = "collector"
    SOURCE = "source"
    SUBSCRIBER = "subscriber"
    OPERATOR = "operator"
    RESHARD = "reshard"
    RESTORED = "restored"


class Topics(Struct, frozen=True):
    """Operations on topics, by their names without the prefix. Read, Write and Alter bring Describe with them."""

    names: tuple[str, ...]
    operations: tuple[str, ...]


class Rights(Struct, frozen=True, kw_only=True):
    """What one process may do, and why.

    `run` are the commands of `rflow` that need it; a longer name counts before a shorter one. `groups` are consumer groups with an
    operation, `GROUP` standing for the workers' own; `cluster` are operations on Kafka itself. `keys` are Redis' by how they may be used
    (R, RW) and their name after the prefix. `clickhouse` are privileges, with the tables of the database that they hold for, `system`
    tables of ClickHouse's own that are read.
    """

    why: str
    run: tuple[str, ...] = ()
    topics: tuple[Topics, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()
    cluster: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    clickhouse: tuple[tuple[str, str], ...] = ()
    system: tuple[str, ...] = ()
    queries_a_minute: int = 0


GROUP = "GROUP"
"""Stands for the workers' group."""

_READ, _WRITE, _LOOK = ("Read",), ("Write",), ("Describe",)
_BOTH = ("Read", "Write")

_CONNECTION = ("ping", "hello", "select")
_LOOKS = ("get", "mget", "hget", "hmget", "hgetall", "hvals", "hexists", "hlen", "lrange", "llen", "xrange", "xlen", "zmscore", "zrange")
_STEP = (
    "watch", "unwatch", "multi", "exec", "set", "mset", "hset", "rpush", "ltrim", "unlink", "xadd", "xtrim", "zadd", "zremrangebyscore",
    "wait", "info", "config|get",
)  # fmt: skip
_PROMISES = ("eval", "hset", "hsetnx", "hdel", "xadd", "xdel", "time")
"""The book of promotions."""
_TAKING_ON = ("eval", "hset", "hsetnx", "hdel")
"""Who took on which alert, and silences."""
_TELLING = ("eval", "hset", "hdel", "hincrby", "xadd", "xtrim", "multi", "exec", "sadd", "srem", "smembers", "pexpire")
"""What was judged, told, and to whom."""
_NOTING = ("eval", "zadd", "zcard", "zrem", "zrangebyscore")
NEWER = {"watch": "waitaof", "ping": "client|setinfo"}
"""Commands that Redis knows from 7.2 on, by those beside which they are needed."""
_EXAMINES = ("info", "config|get", "time", "acl|whoami", "acl|dryrun")


def _outside(*groups: str) -> tuple[tuple[str, str], ...]:
    """Groups by whose name a client reads what it is told to, without joining: it asks for their coordinator all the same."""
    return tuple((group, "Describe") for group in groups)


def _all(*commands: tuple[str, ...]) -> tuple[str, ...]:
    """Each of them once."""
    return tuple(dict.fromkeys(one for some in commands for one in some))


RIGHTS: dict[Process, Rights] = {
    Process.INIT: Rights(
        why="makes topics and tables; runs once, and after each upgrade",
        run=("init",),
        topics=(Topics(ALL_TOPICS, ("Create", "Describe")),),
        clickhouse=(
            ("CREATE DATABASE", "*"), ("CREATE TABLE", "*"), ("CREATE VIEW", "*"), ("DROP VIEW", "*"), ("DROP TABLE", "*"),
            ("ALTER", "*"), ("SELECT", "*"), ("INSERT", "*"),
        ),
        system=("tables",),
    ),
    Process.WORKER: Rights(
        why="applies touchpoints to users; forwards those that a producer put on the wrong partition",
        run=("worker",),
        topics=(Topics((*INPUTS, *OUTPUTS), _BOTH),),
        groups=((GROUP, "Read"), *_outside("rflow-reader", "rflow-inspector")),
        commands=(*_CONNECTION, *_LOOKS, *_STEP),
        keys=(("RW", SHARDS),),
    ),
    Process.SINK: Rights(
        why="stores what the topics tell",
        run=("sink",),
        topics=(Topics(("transitions", "rollups", "spend", "promotions", "alerts"), _READ),),
        groups=_outside(f"{GROUP}-sink"),
        clickhouse=(("SELECT", "*"), ("INSERT", "*")),
        system=("tables",),
    ),
    Process.WARROOM: Rights(
        why="shows figures and users; changes promotions; keeps who took on which alert, silences and notes",
        run=("warroom",),
        topics=(Topics(INPUTS, _LOOK), Topics(("transitions",), _READ), Topics(("promotions",), _BOTH)),
        groups=_outside("rflow-warroom", "rflow-promotions", "rflow-snapshot", "rflow-inspector"),
        commands=_all(_CONNECTION, _LOOKS, _PROMISES, _TAKING_ON, _NOTING),
        keys=(("R", SHARDS), ("RW", PROMOTIONS), ("RW", ALERTS), ("RW", NOTES)),
        clickhouse=(("SELECT", "*"),),
        queries_a_minute=6_000,
    ),
    Process.ALERTS: Rights(
        why="judges flows, tells alerts",
        run=("alerts",),
        topics=(Topics(INPUTS, _LOOK), Topics(("alerts",), _WRITE)),
        commands=_all(_CONNECTION, _LOOKS, _TELLING, ("zrangebyscore",)),
        keys=(("R", SHARDS), ("RW", ALERTS), ("R", NOTES)),
        clickhouse=(("SELECT", "*"),),
        queries_a_minute=600,
    ),
    Process.COLLECTOR: Rights(
        why="takes touchpoints over HTTP and writes them",
        run=("collect",),
        topics=(Topics(INPUTS, _WRITE),),
    ),
    Process.SOURCE: Rights(
        why="writes touchpoints: a producer of yours",
        run=("simulate",),
        topics=(Topics(INPUTS, _WRITE),),
    ),
    Process.SUBSCRIBER: Rights(
        why="follows transitions: a subscriber of yours",
        run=("subscribe",),
        topics=(Topics(("transitions",), _READ),),
        groups=_outside("rflow-subscriber"),
    ),
    Process.OPERATOR: Rights(
        why="a person's commands",
        run=("doctor", "check", "census", "user", "star", "report", "snapshot", "tail", "dlq", "promotion", "alerts test"),
        topics=(
            Topics(ALL_TOPICS, ("Read", "DescribeConfigs")),
            Topics((*INPUTS, "promotions"), _WRITE),
        ),
        groups=_outside(
            GROUP, f"{GROUP}-sink", "rflow-check", "rflow-dlq", "rflow-tail", "rflow-promotions", "rflow-snapshot", "rflow-inspector"
        ),
        cluster=("Describe", "DescribeConfigs"),
        commands=_all(_CONNECTION, _LOOKS, _PROMISES, _EXAMINES, ("zrangebyscore", "rpush", "lrem")),
        keys=(("R", SHARDS), ("RW", PROMOTIONS), ("R", NOTES), ("RW", LETTERS)),
        clickhouse=(("SELECT", "*"),),
        system=("tables", "disks", "settings", "time_zones"),
    ),
    Process.RESHARD: Rights(
        why="adds partitions and deals users to new shards, while no worker runs",
        run=("reshard",),
        topics=(Topics((*INPUTS, *OUTPUTS), _BOTH), Topics(ALL_TOPICS, ("Alter",))),
        groups=_outside(GROUP, "rflow-inspector"),
        commands=(*_CONNECTION, *_LOOKS, *_STEP),
        keys=(("RW", SHARDS),),
    ),
    Process.RESTORED: Rights(
        why="makes what has been restored from backups fit what was published since, while no worker and no sink runs",
        run=("restored",),
        topics=(Topics((*INPUTS, "spend"), _LOOK), Topics((*OUTPUTS, "alerts"), _READ), Topics(("promotions",), _BOTH)),
        groups=_outside(GROUP, f"{GROUP}-sink", "rflow-inspector", "rflow-promotions"),
        commands=_all(_CONNECTION, _LOOKS, _STEP, _PROMISES, ("hincrby",)),
        keys=(("RW", SHARDS), ("RW", PROMOTIONS), ("RW", ALERTS)),
        clickhouse=(("SELECT", "*"), ("INSERT", "*")),
        system=("tables",),
    ),
}  # fmt: skip
NOBODY = ("demo", "up", "replay", "plan", "rights", "collect token", "warroom user", "warroom token", "alerts eval")
"""Commands that ask none of the three for anything, or those alone that they have brought up themselves."""
