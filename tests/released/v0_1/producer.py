"""A producer of touchpoints, to be copied. It needs confluent-kafka alone.

    python examples/producer.py --bootstrap localhost:9092 --brand acme --users 10

Each user sees an advertisement, scans a code, joins a group and buys. What the fields mean: schemas/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

SETTINGS: dict[str, Any] = {
    "enable.idempotence": True,  # retries neither double nor reorder records
    "partitioner": "murmur2_random",  # the partition of the key that Java clients choose too: where rflow looks for the user
    "linger.ms": 20,
}

JOURNEY: list[tuple[str, str, dict[str, Any]]] = [
    ("touchpoints.exposure", "ad_exposure", {"channel": "wechat_moments", "campaign_id": "d11-teaser"}),
    ("touchpoints.interaction", "qr_scan", {"channel": "store", "store_id": "sh-017"}),
    ("touchpoints.membership", "group_join", {"channel": "wecom", "relation_id": "group-sh-017"}),
    ("touchpoints.order", "purchase", {"channel": "mini_program", "amount": 12_900, "currency": "CNY"}),
]


def journey(brand: str, user_id: str, now_ms: int) -> list[tuple[str, dict[str, Any]]]:
    """The touchpoints of one user, a second apart up to now, each with its topic."""
    found = []
    for i, (topic, type_, more) in enumerate(JOURNEY):
        event = {
            "event_id": str(uuid.uuid4()),  # drawn once, when the event happens: whoever sends it again keeps it
            "type": type_,
            "brand": brand,
            "user_id": user_id,
            "occurred_at": now_ms - 1000 * (len(JOURNEY) - 1 - i),
            **more,
        }
        if type_ == "purchase":
            event["order_id"] = f"o-{event['event_id']}"
        found.append((topic, event))
    return found


def main() -> int:
    """Sends the journeys; 0 only if the broker has acknowledged every record."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap", default="localhost:9092")
    options.add_argument("--brand", default="acme")
    options.add_argument("--users", type=int, default=10)
    options.add_argument("--topic-prefix", default="", help="what a deployment puts before the names of its topics")
    chosen = options.parse_args()

    producer = Producer({"bootstrap.servers": chosen.bootstrap, **SETTINGS})
    failed = 0

    def delivered(error: KafkaError | None, message: Message) -> None:
        nonlocal failed
        if error is not None:
            failed += 1
            print(f"not delivered to {message.topic()}: {error}", file=sys.stderr)

    sent = 0
    for user in range(chosen.users):
        for topic, event in journey(chosen.brand, f"u{user:06}", time.time_ns() // 1_000_000):
            value = json.dumps(event, ensure_ascii=False).encode()
            producer.produce(chosen.topic_prefix + topic, key=event["user_id"], value=value, on_delivery=delivered)
            sent += 1
        producer.poll(0)
    left = producer.flush(30)
    print(f"{sent - failed - left} of {sent} touchpoints acknowledged")
    return 0 if failed + left == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
