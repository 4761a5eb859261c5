-- What the live screen reads: sums per minute, dimension and label, so that a ranking costs as much on a day of a hundred million
-- transitions as on any other; and where each user stands. Each has an inlet of its own, as in 0003. `dimension` is all, channel,
-- campaign, store or guide (of orders also layer: the one the buyer stood in), `label` its value: '' for none, and for all.
-- They hold what is stored from now on: a database of an earlier program has nothing in them of before.
CREATE TABLE IF NOT EXISTS {database}.order_inlet
(
    block UInt64,
    type LowCardinality(String),
    brand LowCardinality(String),
    user_id String,
    occurred_at DateTime64(3, 'UTC'),
    amount Int64,
    refunded Int64,
    layer_before LowCardinality(String),
    first_seen DateTime64(3, 'UTC'),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String)
)
ENGINE = Null;

-- Money in minor units. Refunds are dated at the refund, not at the purchase. A new buyer is one who was first seen in the 24 hours
-- before the purchase.
CREATE TABLE IF NOT EXISTS {database}.order_minutes
(
    block SimpleAggregateFunction(max, UInt64),
    minute DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    dimension LowCardinality(String),
    label LowCardinality(String),
    orders SimpleAggregateFunction(sum, UInt64),
    gmv SimpleAggregateFunction(sum, Int64),
    gmv_new SimpleAggregateFunction(sum, Int64) COMMENT 'of new buyers',
    refunds SimpleAggregateFunction(sum, Int64),
    buyers AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, dimension, minute, label)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.order_minutes_view TO {database}.order_minutes AS
SELECT
    max(i.block) AS block,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.occurred_at), 60000) * 60000, 'UTC') AS minute,
    brand,
    place.1 AS dimension,
    place.2 AS label,
    countIf(type = 'purchase') AS orders,
    sumIf(amount, type = 'purchase') AS gmv,
    sumIf(amount, type = 'purchase' AND first_seen > occurred_at - INTERVAL 24 HOUR) AS gmv_new,
    sum(refunded) AS refunds,
    uniqStateIf(bitShiftRight(xxh3(user_id), 11), type = 'purchase') AS buyers
FROM {database}.order_inlet AS i
ARRAY JOIN [('all', ''), ('layer', toString(layer_before)), ('channel', toString(channel)), ('campaign', toString(campaign_id)),
            ('store', toString(store_id)), ('guide', toString(guide_id))] AS place
GROUP BY minute, brand, dimension, label;

CREATE TABLE IF NOT EXISTS {database}.move_inlet
(
    block UInt64,
    effective_at DateTime64(3, 'UTC'),
    brand LowCardinality(String),
    user_id String,
    direction LowCardinality(String),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.move_minutes
(
    block SimpleAggregateFunction(max, UInt64),
    minute DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    dimension LowCardinality(String),
    label LowCardinality(String),
    direction LowCardinality(String),
    transitions SimpleAggregateFunction(sum, UInt64),
    users AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, dimension, minute, label, direction)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.move_minutes_view TO {database}.move_minutes AS
SELECT
    max(i.block) AS block,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.effective_at), 60000) * 60000, 'UTC') AS minute,
    brand,
    place.1 AS dimension,
    place.2 AS label,
    direction,
    count() AS transitions,
    uniqState(bitShiftRight(xxh3(user_id), 11)) AS users
FROM {database}.move_inlet AS i
ARRAY JOIN [('all', ''), ('channel', toString(channel)), ('campaign', toString(campaign_id)), ('store', toString(store_id)),
            ('guide', toString(guide_id))] AS place
GROUP BY minute, brand, dimension, label, direction;

-- Where every user stands who ever left the lowest layer: their last transition. Read it with argMax(..., seq) by user.
CREATE TABLE IF NOT EXISTS {database}.user_layers
(
    block UInt64,
    brand LowCardinality(String),
    user_id String,
    seq UInt64,
    to_layer LowCardinality(String),
    effective_at DateTime64(3, 'UTC'),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String),
    first_channel LowCardinality(String),
    first_campaign_id LowCardinality(String)
)
ENGINE = ReplacingMergeTree(seq)
ORDER BY (brand, user_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
