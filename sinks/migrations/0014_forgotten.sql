-- Steps that were published and that a Redis restored from a backup does not know: it tells them again under new versions, so the sink
-- passes over them. Written by `rflow restored`, read whenever the sink begins.
CREATE TABLE IF NOT EXISTS {database}.forgotten
(
    shard UInt32,
    above UInt64 COMMENT 'the version that Redis was restored to',
    up_to UInt64 COMMENT 'the last version that had been published',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (shard, above)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
