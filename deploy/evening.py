"""The demo's promotion: the evening before as its history, then the evening itself, up to sixty times as fast as the clock.

Everything is event time: the evening is the last one that is over, so no touchpoint is ahead of the wall clock, and what the war room calls
now is how far the stream has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from deploy.desk import desk_of
from deploy.progress import Progress
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of, validator_of, wall_clock
from schemas.ladder import Ladder
from schemas.promotion import PhaseName, PlanPoint, Promotion
from schemas.times import from_datetime
from sources.event_time import play
from sources.kafka_log import KafkaLog
from sources.live import send_spend
from sources.producer import ReplayPolicy, replay
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from sources.simulator.drop import parse_drop
from sources.simulator.spend import spend_lines
from warroom.promotions.board import Board
from warroom.promotions.definition import Definition, WrittenPhase, WrittenWindow, first_version
from warroom.promotions.target_like import target_like
from warroom.sales import Sales

BRAND, OTHER = "acme", "nova"
PROMOTION, BEFORE = "acme-tonight", "acme-last-night"
HOURS = 6.0
MIDNIGHT_HOURS = 4.0
GROWTH = 1.5
"""How much more is planned than the evening before: as much as comes more people."""
DROP = "R2>R3@21:30-22:15:0.8"
"""What goes wrong tonight: from half past nine on, for three quarters of an hour, four in five who would have joined do not."""
_USERS, _EVENTS = 5_000, 16_000
_PEAK = 12.0
_BEGINS = time(20)
_WHO = "demo"


class Evening(Struct, frozen=True, kw_only=True):
    """When it begins, on the brand's own clock, and when that is, epoch milliseconds."""

    start: datetime
    begins: int
    ends: int


def last_evening(ladder: Ladder, now: int) -> Evening:
    """The last evening from eight to two that is over at `now`."""
    zone = ZoneInfo(ladder.time_zone)
    start = datetime.combine(datetime.fromtimestamp(now / 1000, zone).date(), _BEGINS)
    while _ms(start + timedelta(hours=HOURS), zone) > now:
        start -= timedelta(days=1)
    return _evening(start, zone)


def evening_before(evening: Evening, ladder: Ladder) -> Evening:
    """The same hours a day earlier."""
    return _evening(evening.start - timedelta(days=1), ZoneInfo(ladder.time_zone))


async def prepare(settings: Settings, evening: Evening, on_stage: Callable[[str], None]) -> Promotion:
    """The evening before, whole, then tonight's promotion after it. Raises what the servers' clients raise."""
    ladder = ladder_of(settings)
    before = evening_before(evening, ladder)
    on_stage("the evening before, as history")
    config = _config(ladder, before, seed=1, grown=1.0)
    with closing(Progress(settings)) as progress, _log(settings) as log:
        done = await replay(
            PromotionDay(config).lines(), log, validator_of(settings), settings.partitions, pace=progress, policy=ReplayPolicy()
        )
        await send_spend(spend_lines(config), log, f"{settings.topic_prefix}spend", settings.partitions)
        await progress.wait(done.ends)
    on_stage("tonight's targets and plan curve, after the evening before")
    return await asyncio.to_thread(_plan, settings, before, evening)


async def run(settings: Settings, evening: Evening, speed: float, on_time: Callable[[int], None]) -> None:
    """The evening, `speed` times as fast as the clock; `on_time` is told how far it has come."""
    config = _config(ladder_of(settings), evening, seed=2, grown=GROWTH, drops=(DROP,))
    with _log(settings) as log:
        await send_spend(spend_lines(config), log, f"{settings.topic_prefix}spend", settings.partitions)
        lines = PromotionDay(config).lines()
        await play(lines, log, settings.partitions, begins=evening.begins, ends=evening.ends, speed=speed, on_time=on_time)


def _plan(settings: Settings, before: Evening, evening: Evening) -> Promotion:
    ladder = ladder_of(settings)
    with desk_of(settings) as desk, Sales(clickhouse_of(settings)) as sales:
        cells = sales.by_cell(BRAND, before.begins, before.ends)
        heads = sales.heads(BRAND, before.begins, before.ends)
        for id_, name, of, growth in ((BEFORE, "昨晚预热 · Last night", before, 1.0), (PROMOTION, "今晚大促 · Tonight", evening, GROWTH)):
            definition = Definition(
                promotion_id=id_,
                brand=BRAND,
                name=name,
                window=WrittenWindow(from_=_written(of.start), to=_written(of.start + timedelta(hours=HOURS))),
                phases=_phases(of.start),
                target=target_like(cells, heads, growth, _WHO),
            )
            plan: tuple[PlanPoint, ...] = ()
            if id_ == PROMOTION:
                like = first_version(definition, ladder, by=_WHO, because="-", now=wall_clock())
                plan = Board(desk, sales, ladder, wall_clock).curve_of(BEFORE, like)
            made = desk.create(definition, by=_WHO, because=f"the evening before x {growth:g}", plan=plan).promotion
    return made


def _phases(start: datetime) -> tuple[WrittenPhase, ...]:
    hours = (0.0, MIDNIGHT_HOURS, HOURS)
    ends = [_written(start + timedelta(hours=one)) for one in hours]
    return (
        WrittenPhase(phase=PhaseName.PRESALE, from_=ends[0], to=ends[1]),
        WrittenPhase(phase=PhaseName.PEAK, from_=ends[1], to=ends[2]),
    )


def _config(ladder: Ladder, evening: Evening, *, seed: int, grown: float, drops: tuple[str, ...] = ()) -> SimulatorConfig:
    return SimulatorConfig(
        ladder,
        seed=seed,
        users=round(_USERS * grown),
        events=round(_EVENTS * grown),
        brands=(BRAND, OTHER),
        start=evening.start,
        hours=HOURS,
        peak=_PEAK,
        late=0.0,  # of an evening at sixty times the clock nothing is late by a plan: what is late was so in reality
        drops=tuple(parse_drop(f"{drop},brand={BRAND}") for drop in drops),
    )


def _log(settings: Settings) -> KafkaLog:
    return KafkaLog(settings.kafka_bootstrap, prefix=settings.topic_prefix, settings=settings.kafka_options())


def _evening(start: datetime, zone: ZoneInfo) -> Evening:
    return Evening(start=start, begins=_ms(start, zone), ends=_ms(start + timedelta(hours=HOURS), zone))


def _ms(local: datetime, zone: ZoneInfo) -> int:
    return from_datetime(local.replace(tzinfo=zone))


def _written(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M}"
