-- Rows as the topics carry them. `block` is the sink's block they came in. An empty label means that the record had none.
-- Not partitioned, on purpose: a block becomes one part of a table, so it is there whole or not at all.
CREATE TABLE IF NOT EXISTS {database}.transitions
(
    block UInt64 CODEC(Delta, ZSTD),
    id String ALIAS concat(toString(shard), ':', toString(version), ':', toString(`index`)),
    shard UInt32,
    version UInt64,
    `index` UInt32,
    brand LowCardinality(String),
    user_id String,
    seq UInt64,
    from_layer LowCardinality(String),
    to_layer LowCardinality(String),
    direction LowCardinality(String),
    kind LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    effective_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    detected_at DateTime64(3, 'UTC'),
    late Bool,
    dwell_ms Nullable(Int64),
    ladder LowCardinality(String),
    cause_event_id String,
    cause_type LowCardinality(String),
    cause_topic LowCardinality(String),
    cause_partition Nullable(UInt32),
    cause_offset Nullable(Int64),
    cause_at Nullable(DateTime64(3, 'UTC')),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String),
    first_channel LowCardinality(String),
    first_campaign_id LowCardinality(String),
    first_touch_at Nullable(DateTime64(3, 'UTC')),
    INDEX user_id user_id TYPE bloom_filter GRANULARITY 2,
    INDEX block block TYPE minmax GRANULARITY 16
)
ENGINE = MergeTree
ORDER BY (brand, effective_at, user_id, seq)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- Purchases and refunds that were applied. Amounts in minor units. The sum of `refunded` over an order's rows is what was refunded.
CREATE TABLE IF NOT EXISTS {database}.orders
(
    block UInt64 CODEC(Delta, ZSTD),
    shard UInt32,
    version UInt64,
    event_id String,
    type LowCardinality(String),
    brand LowCardinality(String),
    user_id String,
    order_id String,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    amount Int64,
    refunded Int64,
    currency LowCardinality(String),
    layer_before LowCardinality(String),
    first_seen DateTime64(3, 'UTC'),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String),
    first_touch_at Nullable(DateTime64(3, 'UTC')),
    first_channel LowCardinality(String),
    first_campaign_id LowCardinality(String),
    first_store_id LowCardinality(String),
    first_guide_id LowCardinality(String),
    last_touch_at Nullable(DateTime64(3, 'UTC')),
    last_channel LowCardinality(String),
    last_campaign_id LowCardinality(String),
    last_store_id LowCardinality(String),
    last_guide_id LowCardinality(String),
    INDEX user_id user_id TYPE bloom_filter GRANULARITY 2,
    INDEX block block TYPE minmax GRANULARITY 16
)
ENGINE = MergeTree
ORDER BY (brand, occurred_at, user_id, order_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- One row a step of a shard. Counts are of input records.
CREATE TABLE IF NOT EXISTS {database}.steps
(
    block UInt64 CODEC(Delta, ZSTD),
    shard UInt32,
    version UInt64,
    ladder LowCardinality(String),
    detected_at DateTime64(3, 'UTC'),
    watermark Nullable(DateTime64(3, 'UTC')),
    swept_to Nullable(DateTime64(3, 'UTC')) COMMENT 'the turn up to which every clock has been moved',
    offsets Map(LowCardinality(String), Int64) COMMENT 'applied offset by input topic, -1 for none',
    applied UInt64,
    duplicates UInt64,
    junk UInt64,
    late UInt64,
    dead_letters Map(LowCardinality(String), UInt64) COMMENT 'by reason',
    forwarded UInt64,
    ticks UInt64,
    transitions UInt64 COMMENT 'how many the step has'
)
ENGINE = MergeTree
ORDER BY (shard, version)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- What channels and campaigns cost. A later record with the same spend_id replaces the earlier: read it with FINAL.
CREATE TABLE IF NOT EXISTS {database}.spend
(
    block UInt64,
    revision UInt64 COMMENT 'grows with the order of arrival',
    spend_id String,
    brand LowCardinality(String),
    day Date32 COMMENT 'of the brand''s calendar',
    begins_at DateTime64(3, 'UTC') COMMENT 'when that day begins',
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    amount Int64 COMMENT 'minor units',
    currency LowCardinality(String)
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY spend_id
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
