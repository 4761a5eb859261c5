-- Sums per minute of event time. Rows of a minute merge over time: always read them with sum(), uniqMerge().
CREATE TABLE IF NOT EXISTS {database}.new_users
(
    block SimpleAggregateFunction(max, UInt64),
    minute DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    users SimpleAggregateFunction(sum, UInt64) COMMENT 'seen for the first time, dated at their starting clock'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minute)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- The inlets hold nothing: what is inserted goes through their view into the table behind. Each table of sums has an inlet of its
-- own, so that each can be settled by itself.
CREATE TABLE IF NOT EXISTS {database}.flow_inlet
(
    block UInt64,
    effective_at DateTime64(3, 'UTC'),
    brand LowCardinality(String),
    user_id String,
    from_layer LowCardinality(String),
    to_layer LowCardinality(String),
    kind LowCardinality(String),
    channel LowCardinality(String),
    campaign_id LowCardinality(String)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.flow_minutes
(
    block SimpleAggregateFunction(max, UInt64),
    minute DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    from_layer LowCardinality(String),
    to_layer LowCardinality(String),
    kind LowCardinality(String),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    transitions SimpleAggregateFunction(sum, UInt64),
    users AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minute, from_layer, to_layer, kind, channel, campaign_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.flow_minutes_view TO {database}.flow_minutes AS
SELECT
    max(i.block) AS block,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.effective_at), 60000) * 60000, 'UTC') AS minute,
    brand, from_layer, to_layer, kind, channel, campaign_id,
    count() AS transitions,
    uniqState(bitShiftRight(xxh3(user_id), 11)) AS users
FROM {database}.flow_inlet AS i
GROUP BY minute, brand, from_layer, to_layer, kind, channel, campaign_id;

CREATE TABLE IF NOT EXISTS {database}.touch_inlet
(
    block UInt64,
    minute DateTime64(3, 'UTC'),
    brand LowCardinality(String),
    type LowCardinality(String),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    layer_before LowCardinality(String),
    touchpoints UInt64,
    users Array(UInt64)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.touch_minutes
(
    block SimpleAggregateFunction(max, UInt64),
    minute DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    type LowCardinality(String),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    layer_before LowCardinality(String),
    touchpoints SimpleAggregateFunction(sum, UInt64),
    users AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minute, type, channel, campaign_id, store_id, layer_before)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.touch_minutes_view TO {database}.touch_minutes AS
SELECT
    max(i.block) AS block,
    minute, brand, type, channel, campaign_id, store_id, layer_before,
    sum(i.touchpoints) AS touchpoints,
    uniqArrayState(i.users) AS users
FROM {database}.touch_inlet AS i
GROUP BY minute, brand, type, channel, campaign_id, store_id, layer_before;
