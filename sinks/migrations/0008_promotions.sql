-- Every version of every promotion, with who and why. A version told again replaces itself: read it with FINAL.
CREATE TABLE IF NOT EXISTS {database}.promotions
(
    block UInt64,
    promotion_id String,
    version UInt32,
    brand LowCardinality(String),
    name String,
    changed_by String,
    changed_at DateTime64(3, 'UTC'),
    reason String,
    effective_from DateTime64(3, 'UTC') COMMENT 'the minute from which the version counts',
    window_from DateTime64(3, 'UTC'),
    window_to DateTime64(3, 'UTC') COMMENT 'excluded',
    target_gmv Int64 COMMENT 'of the whole tree, minor units',
    record String COMMENT 'the version whole, as the topic carries it'
)
ENGINE = ReplacingMergeTree
ORDER BY (promotion_id, version)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- What was sold per minute of event time, layer, channel and store together: what the cells of a target tree are held against.
CREATE TABLE IF NOT EXISTS {database}.sales_inlet
(
    block UInt64,
    type LowCardinality(String),
    brand LowCardinality(String),
    user_id String,
    occurred_at DateTime64(3, 'UTC'),
    amount Int64,
    refunded Int64,
    layer_before LowCardinality(String),
    channel LowCardinality(String),
    store_id LowCardinality(String)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.sales_minutes
(
    block SimpleAggregateFunction(max, UInt64),
    minute DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    layer_before LowCardinality(String),
    channel LowCardinality(String),
    store_id LowCardinality(String),
    orders SimpleAggregateFunction(sum, UInt64) COMMENT 'purchases',
    gmv SimpleAggregateFunction(sum, Int64) COMMENT 'what they paid before refunds, minor units',
    refunded SimpleAggregateFunction(sum, Int64) COMMENT 'dated and labelled as the record that changed it',
    buyers AggregateFunction(uniq, UInt64) COMMENT 'of the purchases: of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minute, layer_before, channel, store_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.sales_minutes_view TO {database}.sales_minutes AS
SELECT
    max(i.block) AS block,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.occurred_at), 60000) * 60000, 'UTC') AS minute,
    brand, layer_before, channel, store_id,
    countIf(i.type = 'purchase') AS orders,
    sumIf(i.amount, i.type = 'purchase') AS gmv,
    sum(i.refunded) AS refunded,
    uniqStateIf(bitShiftRight(xxh3(i.user_id), 11), i.type = 'purchase') AS buyers
FROM {database}.sales_inlet AS i
GROUP BY minute, brand, layer_before, channel, store_id;
