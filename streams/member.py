"""The member of the consumer group: when it takes a connection to Kafka for dead.

A dead connection must be noticed, and the coordinator found again over another, while the group still waits for the member. aiokafka has
one timeout for all requests, which would have to be longer than that: a join is answered once all others have joined.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from schemas.kafka_client import LOGIN, Login
from streams.member_auth import member_auth

_ANSWER_S = 2.0
"""Beyond what it waits for itself, an answer of the group's coordinator takes no longer."""
_LEAST_S = 1.0


def patience(session_timeout: float) -> float:
    """Seconds after which a request without an answer means a dead connection: the heartbeat's, then that for the coordinator, fit into a
    session with room to spare."""
    return max(_LEAST_S, session_timeout / 3)


class GroupMember(AIOKafkaConsumer):  # type: ignore[misc]
    """A member that takes a connection for dead after `patience(session_timeout)`; times in seconds. It logs in as librdkafka does with
    `kafka`. Further options as for aiokafka."""

    def __init__(
        self, *, session_timeout: float, rebalance_timeout: float, kafka: dict[str, Any], client: dict[str, Any], **options: Any
    ) -> None:
        client = {**client, **member_auth(kafka)}
        request_timeout_ms = int(patience(session_timeout) * 1000)
        super().__init__(
            session_timeout_ms=int(session_timeout * 1000),
            rebalance_timeout_ms=int(rebalance_timeout * 1000),
            request_timeout_ms=request_timeout_ms,
            **client,
            **options,
        )
        # Whether others are still there takes the broker that long to say.
        together = max(session_timeout, rebalance_timeout) + _ANSWER_S
        self._client = _Client(together, request_timeout_ms=request_timeout_ms, **client)
        login: Login | None = kafka.get(LOGIN)
        if login is not None:
            login.keep(self._client)


class _Client(AIOKafkaClient):  # type: ignore[misc]
    """A client that waits longer for the answers that wait for other members."""

    def __init__(self, together: float, *, request_timeout_ms: int, **options: Any) -> None:
        super().__init__(request_timeout_ms=request_timeout_ms, **options)
        self._alone_s = request_timeout_ms / 1000
        self._together_s = together

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Logs in with these whenever it connects from now on."""
        self._sasl_plain_username, self._sasl_plain_password = username, password

    async def send(self, node_id: Any, request: Any, *, group: int = ConnectionGroup.DEFAULT) -> Any:
        connection = await self._get_conn(node_id, group=group)
        if connection is not None:
            # Read when the request is sent, without a turn of the event loop in between.
            connection._request_timeout = self._together_s if isinstance(request, JoinGroupRequest | SyncGroupRequest) else self._alone_s
        return await super().send(node_id, request, group=group)
