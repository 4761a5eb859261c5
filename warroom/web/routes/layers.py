"""Every user's layer, for another service to begin with before it follows the transitions. On record, as every export."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import IO

from confluent_kafka import KafkaException
from starlette.responses import Response, StreamingResponse

from streams.errors import LadderChanged
from warroom.layer_snapshot import LayerSnapshot, SnapshotConfig, SnapshotUnfinished
from warroom.web.call import CallOf
from warroom.web.parameters import Brand
from warroom.web.problems import Problem
from warroom.web.room import Room

MEDIA_TYPE = "application/x-ndjson"
_PATIENCE_S = 20.0
_IN_MEMORY = 1 << 20
_PIECE = 1 << 16

_taking = threading.Lock()
"""A process takes one at a time: it reads every user of the brand's shards."""


async def layers(call: CallOf, brand: Brand) -> Response:
    """A snapshot of all users' layers, as `rflow snapshot` writes it (schemas/README.md): JSON lines, each shard at one version."""
    call.audit("export layers", brand)
    file = await call.room.pool.do(lambda: _taken(call.room, brand))
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": 'attachment; filename="layers.jsonl"'}
    return StreamingResponse(_pieces(file), headers=headers, media_type=MEDIA_TYPE)


def _taken(room: Room, brand: str) -> IO[bytes]:
    if not _taking.acquire(blocking=False):
        raise Problem(503, "another snapshot is being taken here: try again when it is done", headers={"Retry-After": "10"})
    live = room.config.live
    file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it is closed when it has been sent
    try:
        config = SnapshotConfig(
            redis=live.redis,
            kafka=dict(live.kafka),
            topic_prefix=live.topic_prefix,
            partitions=live.partitions,
            ladder=room.ladder,
            patience=_PATIENCE_S,
        )
        with closing(LayerSnapshot(config)) as taking:
            taking.write(file.write, brand)
        file.seek(0)
    except (LadderChanged, SnapshotUnfinished) as error:
        file.close()
        raise Problem(503, f"no snapshot can be taken now: {error}", headers={"Retry-After": "30"}) from None
    except KafkaException:
        file.close()
        raise Problem(503, "Kafka does not answer in time: try again", headers={"Retry-After": "2"}) from None
    except BaseException:
        file.close()
        raise
    finally:
        _taking.release()
    return file


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
