-- Exposures and interactions beyond what one user may have in a minute: they were counted and not folded, and stand in no other figure.
-- Rows of a minute merge over time: always read them with sum().
CREATE TABLE IF NOT EXISTS {database}.junk_minutes
(
    block SimpleAggregateFunction(max, UInt64),
    minute DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    type LowCardinality(String),
    channel LowCardinality(String),
    records SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minute, type, channel)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
