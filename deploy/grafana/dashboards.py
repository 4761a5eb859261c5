"""What each dashboard shows. Expressions are PromQL; what is asked often is recorded in deploy/prometheus/rules/recording.yaml."""

from __future__ import annotations

from pathlib import Path

from deploy.grafana.panels import Dashboard, Panel, Query, to_json

FOLDER = Path(__file__).parent / "dashboards"

_TAKEN = 'rflow_events_total{outcome!~"late|tick"}'
_WHO_COLLECTS = 'on (instance) rflow_process_info{process="collector"}'
_WHO = "on (instance) group_left (process) rflow_process_info"


def _line(title: str, says: str, unit: str, *queries: tuple[str, str], stacked: bool = False, quiet: bool = False) -> Panel:
    return Panel(title=title, says=says, unit=unit, queries=tuple(Query(*query) for query in queries), stacked=stacked, quiet=quiet)


def _number(title: str, says: str, unit: str, expr: str, bad_above: float | None = None) -> Panel:
    return Panel(title=title, says=says, unit=unit, queries=(Query(expr, title),), kind="stat", bad_above=bad_above)


PROCESSOR = Dashboard(
    uid="rflow-processor",
    title="rflow: processor",
    panels=(
        _number("Touchpoints a second", "Taken from Kafka, duplicates and dead letters included.", "ops", f"sum(rate({_TAKEN}[1m]))"),
        _number("Records that wait", "Between what has been applied and the ends of the logs.", "short", "sum(rflow_lag_records)"),
        _number(
            "Shards without a worker",
            "Partitions less the shards that workers hold.",
            "short",
            "max(rflow_partitions) - sum(rflow_shards)",
            1,
        ),
        _number("Shards that wait for a person", "/healthz of the worker says why.", "short", "sum(rflow_shards_stopped)", 1),
        _line(
            "Touchpoints by outcome",
            "What became of records; late ones are counted again as such.",
            "ops",
            ("outcome:rflow_events:rate5m", "{{outcome}}"),
        ),
        _line(
            "Touchpoints by type",
            "Ticks touch no user and are left out.",
            "ops",
            (f"sum by (type) (rate({_TAKEN}[5m]))", "{{type}}"),
            stacked=True,
        ),
        _line("Steps a second", "Each is one transaction in Redis.", "ops", ("sum(rate(rflow_steps_total[5m]))", "steps")),
        _line(
            "Touchpoints a step",
            "Few while little comes in; thousands in a rush.",
            "short",
            (f"sum(rate({_TAKEN}[5m])) / sum(rate(rflow_steps_total[5m]))", "touchpoints"),
        ),
        _line(
            "Step, 99th percentile", "Of the seconds a step spends in each phase.", "s", ("phase:rflow_step_seconds:p99_10m", "{{phase}}")
        ),
        _line(
            "Dead letters a second",
            "Records that could not be processed, by reason.",
            "ops",
            ("sum by (reason) (rate(rflow_dead_letters_total[5m]))", "{{reason}}"),
        ),
        _line(
            "Processor time",
            "Cores, by process.",
            "short",
            (f'rate(process_cpu_seconds_total{{job="rflow"}}[1m]) * {_WHO}', "{{process}} {{instance}}"),
        ),
        _line(
            "Memory",
            "Resident, by process.",
            "bytes",
            (f'process_resident_memory_bytes{{job="rflow"}} * {_WHO}', "{{process}} {{instance}}"),
        ),
        _line(
            "Rare",
            "Each has its entry in the runbook.",
            "short",
            ("sum(increase(rflow_step_conflicts_total[5m]))", "steps thrown away"),
            ("sum(increase(rflow_step_replies_lost_total[5m]))", "replies lost"),
            ("sum(increase(rflow_heads_forced_total[5m]))", "heads forced"),
            ('sum(increase(rflow_spans_total{result="lost"}[5m]))', "spans lost"),
            ("sum(rflow_watchdog_trips_total)", "watchdog"),
            ("sum by (what) (increase(rflow_dropped_evidence_total[5m]))", "dropped {{what}}"),
            quiet=True,
        ),
        _line(
            "Releases",
            "More than one is an upgrade under way.",
            "short",
            ("count by (process, version) (rflow_process_info)", "{{process}} {{version}}"),
            stacked=True,
        ),
    ),
)

SHARDS = Dashboard(
    uid="rflow-shards",
    title="rflow: shards",
    panels=(
        _line("Records that wait", "By shard.", "short", ("shard:rflow_lag_records:sum", "{{shard}}")),
        _line(
            "Watermark's age", "Wall clock less the latest time that a shard has seen.", "s", ("shard:rflow_lag_seconds:max", "{{shard}}")
        ),
        _line(
            "Watermark",
            "The event time that each shard has reached.",
            "dateTimeAsIso",
            ("max by (shard) (rflow_watermark_seconds) * 1000", "{{shard}}"),
        ),
        _line("Steps a second", "By shard.", "ops", ("sum by (shard) (rate(rflow_steps_total[5m]))", "{{shard}}")),
        _line(
            "Outbox",
            "Entries that Kafka has not acknowledged; from 16 on steps wait.",
            "short",
            ("max by (shard) (rflow_outbox_entries)", "{{shard}}"),
        ),
        _line(
            "Shards held",
            "By worker.",
            "short",
            ('rflow_shards and on (instance) rflow_process_info{process="worker"}', "{{instance}}"),
            stacked=True,
        ),
        _line(
            "Steps thrown away",
            "Somebody else had moved the shard: a rebalance, or two groups on one Redis.",
            "short",
            ("sum by (shard) (increase(rflow_step_conflicts_total[5m]))", "{{shard}}"),
            quiet=True,
        ),
        _line(
            "Users moved to a new ladder",
            "After a change of its version.",
            "ops",
            ("sum by (outcome) (rate(rflow_recomputed_users_total[5m]))", "{{outcome}}"),
            ("sum(increase(rflow_recomputed_short_total[5m]))", "too little kept"),
            quiet=True,
        ),
        _line(
            "Losses that were accepted",
            "By --on-gap and --on-rewind.",
            "short",
            ("sum by (shard, topic) (rflow_gap_records_total)", "gap {{topic}} {{shard}}"),
            ("sum by (shard) (rflow_rewinds_total)", "rewinds {{shard}}"),
            ("sum by (shard) (rflow_rewound_versions_total)", "versions {{shard}}"),
            quiet=True,
        ),
    ),
)

SINK = Dashboard(
    uid="rflow-sink",
    title="rflow: sink",
    panels=(
        _number("Age of figures", "Of the oldest record fetched and not yet stored.", "s", "max(rflow_sink_lag_seconds)", 60),
        _number("Records that wait", "Between what is stored and the ends of the logs.", "short", "sum(rflow_sink_lag_records)"),
        _number(
            "ClickHouse answers",
            "1, or 0 while the sink waits for it.",
            "short",
            'min(rflow_sink_clickhouse_up and on (instance) rflow_process_info{process="sink"})',
        ),
        _number("Rows a second", "Into all tables.", "ops", "sum(rate(rflow_sink_rows_total[1m]))"),
        _line("Rows a second", "By table.", "ops", ("sum by (table) (rate(rflow_sink_rows_total[5m]))", "{{table}}"), stacked=True),
        _line("Records that wait", "By stream.", "short", ("stream:rflow_sink_lag_records:sum", "{{stream}}")),
        _line(
            "Block, 99th percentile",
            "Seconds from the intent row to the confirmed block.",
            "s",
            ("job:rflow_sink_block_seconds:p99_10m", "p99"),
        ),
        _line("Blocks a second", "By stream.", "ops", ("sum by (stream) (rate(rflow_sink_blocks_total[5m]))", "{{stream}}")),
        _line(
            "Failed requests",
            "To ClickHouse, repeated until they are answered.",
            "short",
            ("sum(increase(rflow_sink_errors_total[5m]))", "failed"),
        ),
        _line(
            "Repeats dropped",
            "By the subscriber's rule, after a worker has told again; forgotten ones, after a restore.",
            "short",
            ("sum by (stream) (increase(rflow_sink_records_repeated_total[5m]))", "{{stream}}"),
            ("sum by (stream) (increase(rflow_sink_forgotten_records_total[5m]))", "forgotten {{stream}}"),
            quiet=True,
        ),
        _line(
            "Losses and strangers",
            "Gaps that were accepted, records that cannot be read.",
            "short",
            ("sum by (stream) (rflow_sink_gaps_total)", "gaps {{stream}}"),
            ("sum by (stream) (rflow_sink_bad_records_total)", "unreadable {{stream}}"),
            quiet=True,
        ),
    ),
)

KAFKA = Dashboard(
    uid="rflow-kafka-lag",
    title="rflow: Kafka lag",
    panels=(
        _number("Waiting for workers", "Records of all input topics.", "short", "sum(rflow_lag_records)"),
        _number("Waiting for the sink", "Records of all output topics.", "short", "sum(rflow_sink_lag_records)"),
        _number(
            "Until caught up",
            "What waits over what is taken a second, if nothing more came in.",
            "s",
            f"sum(rflow_lag_records) / clamp_min(sum(rate({_TAKEN}[5m])), 1)",
        ),
        _number("Not acknowledged", "Outbox entries of all shards.", "short", "sum(max by (shard) (rflow_outbox_entries))"),
        _line("Waiting for workers", "By topic.", "short", ("topic:rflow_lag_records:sum", "{{topic}}"), stacked=True),
        _line(
            "Waiting for workers",
            "By shard: one far above the others is a shard in trouble, or a hot key.",
            "short",
            ("shard:rflow_lag_records:sum", "{{shard}}"),
        ),
        _line(
            "Waiting for the sink",
            "By stream and partition.",
            "short",
            ("sum by (stream, partition) (rflow_sink_lag_records)", "{{stream}} {{partition}}"),
            stacked=True,
        ),
        _line(
            "Waiting for subscriptions",
            "Records not yet read, and transitions that a webhook has not taken.",
            "short",
            ("sum by (subscription) (rflow_subscription_lag_records)", "{{subscription}} unread"),
            ("sum by (subscription) (rflow_subscription_waiting)", "{{subscription}} not taken"),
            quiet=True,
        ),
        _line(
            "Strangers' records",
            "On output topics, passed over.",
            "short",
            ("sum by (topic) (rflow_foreign_records_total)", "{{topic}}"),
            quiet=True,
        ),
    ),
)

REDIS = Dashboard(
    uid="rflow-redis",
    title="rflow: Redis",
    panels=(
        _number("Answers", "Servers that redis_exporter reaches.", "short", "sum(redis_up)"),
        _number("Memory", "Used by all servers.", "bytes", "sum(redis_memory_used_bytes)"),
        _number(
            "Bytes a user", "Memory over users, the server's own included.", "bytes", "sum(redis_memory_used_bytes) / sum(rflow_users)"
        ),
        _number("Durable", "1: what Redis answers is on its disk.", "short", "min(rflow_redis_durable)"),
        _line(
            "Memory",
            "Against what it may use; 0: as much as there is.",
            "bytes",
            ("redis_memory_used_bytes", "used {{instance}}"),
            ("redis_memory_max_bytes", "allowed {{instance}}"),
        ),
        _line("Commands a second", "", "ops", ("rate(redis_commands_processed_total[1m])", "{{instance}}")),
        _line(
            "Step in Redis, 99th percentile",
            "Reading states, and applying the step with its fsync.",
            "s",
            ('phase:rflow_step_seconds:p99_10m{phase=~"read|apply"}', "{{phase}}"),
        ),
        _line(
            "Append-only file", "Its size; it is rewritten when it has doubled.", "bytes", ("redis_aof_current_size_bytes", "{{instance}}")
        ),
        _line("Clients", "", "short", ("redis_connected_clients", "{{instance}}")),
        _line("Replicas", "Connected to each server.", "short", ("redis_connected_slaves", "{{instance}}")),
        _line(
            "Rare",
            "Evicted keys are lost users; the rest is settled by itself.",
            "short",
            ("sum(redis_evicted_keys_total)", "evicted"),
            ("sum(1 - redis_aof_last_write_status)", "failed to write"),
            ("sum(increase(rflow_step_replies_lost_total[5m]))", "replies lost"),
            ("sum(increase(rflow_replica_waits_total[5m]))", "waits for replicas"),
        ),
    ),
)

_FLOWS = 'brand_from_to:rflow_transitions:rate5m{brand=~"$brand"}'

BUSINESS = Dashboard(
    uid="rflow-business",
    title="rflow: business",
    by_brand=True,
    panels=(
        _number("Users", "On any layer above the lowest, or once there.", "short", 'sum(brand_layer:rflow_users:sum{brand=~"$brand"})'),
        _number("Changes of layer a minute", "", "short", f"60 * sum({_FLOWS})"),
        _number(
            "Orders a minute",
            "Of all brands, repeats left out.",
            "short",
            '60 * sum(rate(rflow_events_total{type="purchase", outcome="applied"}[5m]))',
        ),
        _number("Touchpoints a minute", "Of all brands.", "short", f"60 * sum(rate({_TAKEN}[5m]))"),
        _line("Users by layer", "", "short", ('sum by (layer) (brand_layer:rflow_users:sum{brand=~"$brand"})', "{{layer}}"), stacked=True),
        _line("Flows a minute", "From layer to layer.", "short", (f"60 * sum by (from, to) ({_FLOWS})", "{{from}} → {{to}}")),
        _line(
            "Changes a minute by kind",
            "Forward ones advance; retracts, decays and erasures lead down.",
            "short",
            ('60 * sum by (kind) (rate(rflow_transitions_total{brand=~"$brand"}[5m]))', "{{kind}}"),
            stacked=True,
        ),
        _line(
            "Touchpoints a minute by type",
            "Of all brands.",
            "short",
            (f"60 * sum by (type) (rate({_TAKEN}[5m]))", "{{type}}"),
            stacked=True,
        ),
        _line(
            "Share that comes late",
            "More than ten minutes behind the watermark.",
            "percentunit",
            (f'sum(rate(rflow_events_total{{outcome="late"}}[5m])) / sum(rate({_TAKEN}[5m]))', "late"),
            quiet=True,
        ),
        _line(
            "Junk a minute",
            "Records beyond what a user may have in a minute, by channel.",
            "short",
            ("60 * sum by (channel) (rate(rflow_junk_total[5m]))", "{{channel}}"),
            quiet=True,
        ),
        _line(
            "Alerts told",
            "By rule and state, in an hour.",
            "short",
            ("sum by (rule, state) (increase(rflow_alerts_total[1h]))", "{{rule}} {{state}}"),
            quiet=True,
        ),
        _line(
            "Replayed dead letters",
            "By what became of them.",
            "short",
            ("sum by (outcome) (increase(rflow_replays_total[5m]))", "{{outcome}}"),
            quiet=True,
        ),
    ),
)

WARROOM = Dashboard(
    uid="rflow-warroom",
    title="rflow: war room, alerts, subscriptions",
    panels=(
        _number("Viewers", "Open streams of the live snapshot.", "short", "sum(rflow_warroom_viewers)"),
        _number(
            "Snapshot, 90th percentile", "Seconds to compute those that are watched.", "s", "job:rflow_warroom_tick_seconds:p90_10m", 2
        ),
        _number("Snapshot", "Its size, as it goes to every viewer.", "bytes", "max(rflow_warroom_snapshot_bytes)"),
        _number("Requests a second", "", "ops", "sum(status:rflow_warroom_requests:rate5m)"),
        _line("Requests a second", "By status.", "ops", ("status:rflow_warroom_requests:rate5m", "{{status}}"), stacked=True),
        _line(
            "Queries a second",
            "To ClickHouse, for the snapshot or on request.",
            "ops",
            ("sum by (kind) (rate(rflow_warroom_queries_total[5m]))", "{{kind}}"),
        ),
        _line(
            "Turned away",
            "Requests beyond what a process answers, followers that are too slow.",
            "short",
            ("sum(increase(rflow_warroom_requests_refused_busy_total[5m]))", "busy"),
            ("sum(increase(rflow_warroom_subscribers_left_behind_total[5m]))", "left behind"),
        ),
        _line(
            "Alerts by channel",
            "What came of them; files of rules that could not be used; the version of those in force.",
            "short",
            ("sum by (channel, outcome) (increase(rflow_alert_messages_total[1h]))", "{{channel}} {{outcome}}"),
            ("sum(increase(rflow_alert_rules_refused_total[1h]))", "rules refused"),
            ("max(rflow_alert_rules_version)", "rules, version"),
        ),
        _line(
            "Subscriptions: transitions a second",
            "By what is made of them.",
            "ops",
            ("sum by (subscription, outcome) (rate(rflow_subscription_transitions_total[5m]))", "{{subscription}} {{outcome}}"),
            quiet=True,
        ),
        _line(
            "Subscriptions: requests a second",
            "By what became of them.",
            "ops",
            ("sum by (subscription, fate) (rate(rflow_subscription_requests_total[5m]))", "{{subscription}} {{fate}}"),
            quiet=True,
        ),
        _line(
            "Subscriptions: request, 99th percentile",
            "Seconds until a webhook has answered.",
            "s",
            ("histogram_quantile(0.99, sum by (le) (rate(rflow_subscription_request_seconds_bucket[5m])))", "p99"),
            quiet=True,
        ),
        _line(
            "Subscriptions: not told",
            "Dead letters, records that were missed, webhooks that take nothing (1).",
            "short",
            ("sum by (subscription) (rflow_subscription_dead_letters_total)", "{{subscription}} dead letters"),
            ("sum by (subscription) (rflow_subscription_missed_records_total)", "{{subscription}} missed"),
            ("max by (subscription) (rflow_subscription_paused)", "{{subscription}} paused"),
            quiet=True,
        ),
    ),
)

COLLECTOR = Dashboard(
    uid="rflow-collector",
    title="rflow: collector",
    panels=(
        _number("Records held", "Handed to Kafka and not yet acknowledged.", "short", "sum(rflow_collect_in_flight_records)"),
        _number("Bytes held", "Of bodies whose answer is not yet known.", "bytes", "sum(rflow_collect_held_bytes)"),
        _number("Files of sources refused", "In the last hour.", "short", "sum(increase(rflow_collect_sources_refused_total[1h]))", 1),
        _line(
            "Kafka",
            "1 while it acknowledges what this collector sends.",
            "short",
            (f"rflow_collect_kafka_up and {_WHO_COLLECTS}", "{{instance}}"),
            quiet=True,
        ),
        _line(
            "Records a second",
            "By what became of them.",
            "ops",
            ("sum by (outcome) (rate(rflow_collect_records_total[5m]))", "{{outcome}}"),
            stacked=True,
            quiet=True,
        ),
        _line(
            "Records a second, by source",
            "Refused ones included.",
            "ops",
            ("sum by (source) (rate(rflow_collect_records_total[5m]))", "{{source}}"),
            quiet=True,
        ),
        _line(
            "Requests a second",
            "By endpoint and status.",
            "ops",
            ("sum by (endpoint, status) (rate(rflow_collect_requests_total[5m]))", "{{endpoint}} {{status}}"),
            stacked=True,
            quiet=True,
        ),
        _line(
            "Request, 50th and 99th percentile",
            "Kafka's acknowledgement included.",
            "s",
            ("histogram_quantile(0.5, sum by (le) (rate(rflow_collect_request_seconds_bucket[5m])))", "p50"),
            ("histogram_quantile(0.99, sum by (le) (rate(rflow_collect_request_seconds_bucket[5m])))", "p99"),
            quiet=True,
        ),
    ),
)

DASHBOARDS = (PROCESSOR, SHARDS, SINK, KAFKA, REDIS, BUSINESS, WARROOM, COLLECTOR)


def written() -> dict[str, bytes]:
    """Every file of the folder, by name."""
    return {f"{dashboard.uid}.json": to_json(dashboard) for dashboard in DASHBOARDS}
