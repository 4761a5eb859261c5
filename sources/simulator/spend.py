"""What the simulated day's campaigns cost: about a fifth of what they bring in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

import msgspec

from schemas.spend import Spend
from sources.simulator.behaviour import CHANNELS
from sources.simulator.config import SimulatorConfig
from sources.simulator.labels import SALES, TEASERS

_A_TOUCHPOINT = 900
"""Cost per touchpoint of any kind, in minor units."""


def spend_lines(config: SimulatorConfig) -> Iterator[bytes]:
    """One spend record per brand, day, paid channel and campaign, as JSON lines without their line break."""
    random = Random(f"spend {config.seed}").random
    days = _days(config)
    channels = CHANNELS["ad_exposure"]
    for brand, share in zip(config.brands, config.brand_shares, strict=True):
        budget = config.events * _A_TOUCHPOINT * share / len(days)
        for i, day in enumerate(days):
            campaigns = [name for name in (SALES if day >= config.sale_day else TEASERS) if name is not None]
            for channel, weight in channels.items():
                for campaign in campaigns:
                    amount = budget * weight / sum(channels.values()) / len(campaigns) * (0.8 + 0.4 * random())
                    yield msgspec.json.encode(
                        Spend(
                            spend_id=f"{config.seed}-{i}-{channel}-{campaign}-{brand}"[:128],
                            brand=brand,
                            day=day.isoformat(),
                            channel=channel,
                            campaign_id=campaign,
                            amount=round(amount),
                            currency=config.ladder.currency_of(brand),
                        )
                    )


def _days(config: SimulatorConfig) -> list[date]:
    last = config.start + timedelta(seconds=config.seconds - 1)
    return [config.start.date() + timedelta(days=i) for i in range((last.date() - config.start.date()).days + 1)]
