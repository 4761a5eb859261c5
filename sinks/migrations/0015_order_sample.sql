-- All orders of one user in sixteen, in few columns, as move_sample has their transitions: what a share of very many orders is estimated
-- from. `rank` as there. In place of three walks over all of a period's orders.
CREATE TABLE IF NOT EXISTS {database}.order_sample
(
    block UInt64 CODEC(Delta, ZSTD),
    type LowCardinality(String),
    brand LowCardinality(String),
    user_id String EPHEMERAL,
    order_id String EPHEMERAL,
    person UInt64 DEFAULT xxh3(user_id),
    order_hash UInt64 DEFAULT xxh3(concat(user_id, '\0', order_id)),
    rank UInt8 DEFAULT arraySum(arrayMap(d -> person % d = 0, [32, 64, 128, 256, 512, 1024])),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    amount Int64,
    refunded Int64,
    layer_before LowCardinality(String),
    first_seen DateTime64(3, 'UTC'),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String),
    INDEX block block TYPE minmax GRANULARITY 16
)
ENGINE = MergeTree
ORDER BY (brand, rank, occurred_at, person, order_hash)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
