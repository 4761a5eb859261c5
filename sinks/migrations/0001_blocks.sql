-- The sink's log of blocks: see sinks/decision.py. Read back by the highest block; a ring of 1024 slots, so that it cleans itself.
CREATE TABLE IF NOT EXISTS {database}.sink_blocks
(
    slot UInt16 COMMENT 'block modulo 1024',
    state Enum8('intent' = 1, 'done' = 2),
    stream LowCardinality(String) COMMENT 'transitions, rollups, spend; empty in the mark of a block that is done',
    partition UInt32,
    block UInt64,
    start_offset Int64 COMMENT 'first offset of the range',
    start_version Int64 COMMENT 'last record before the range, -1 for none',
    start_index Int64,
    start_whole Bool COMMENT 'whether that record ended its step',
    end_offset Int64 COMMENT 'first offset behind the range',
    end_version Int64,
    end_index Int64,
    end_whole Bool,
    records UInt64 COMMENT 'records of the range that are not repeats',
    sink String COMMENT 'who wrote it',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(block)
ORDER BY (slot, state, stream, partition)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- One row a shard: how far it is stored. Filled with every shard there is when the database is set up.
CREATE TABLE IF NOT EXISTS {database}.shards
(
    block SimpleAggregateFunction(max, UInt64),
    shard UInt32,
    version SimpleAggregateFunction(max, UInt64) COMMENT 'the last step stored',
    watermark SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT '1970 for none',
    swept_to SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'the turn up to which every clock has been moved, 1970 for none'
)
ENGINE = AggregatingMergeTree
ORDER BY shard
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- The layers of every ladder that was ever deployed, lowest first; the one installed last is in force.
CREATE TABLE IF NOT EXISTS {database}.layers
(
    ladder LowCardinality(String),
    position UInt8,
    layer LowCardinality(String),
    names Map(String, String) COMMENT 'language to name',
    installed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(installed_at)
ORDER BY (ladder, position);

CREATE VIEW IF NOT EXISTS {database}.current_layers AS
SELECT position, layer, names
FROM {database}.layers FINAL
WHERE installed_at = (SELECT max(installed_at) FROM {database}.layers)
ORDER BY position;
