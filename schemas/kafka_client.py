"""Kafka's clients as every process makes them: confluent-kafka's own, which can be told a new password while they live.

Who makes one imports it from here. The configuration is librdkafka's; under `LOGIN` it may carry a `Login`, whose password may change.
Needs confluent-kafka alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import WeakSet

import confluent_kafka
import confluent_kafka.admin
from confluent_kafka import Message

log = logging.getLogger("rflow.kafka")

LOGIN = "rflow.login"
"""The key under which a configuration carries its Login; librdkafka knows nothing of it."""
_LOOK_S = 1.0
_STAND_BACK_S = 5.0


class TakesLogin(Protocol):
    """A client that authenticates with the newest user and password whenever it connects."""

    def set_sasl_credentials(self, username: str, password: str) -> Any: ...


class Login:
    """A SASL user whose password may change: whoever keeps this is told the new one within a second. Connections that stand are left alone.

    `password` tells the one in force, and may be asked from any thread.
    """

    def __init__(self, user: str, password: Callable[[], str]) -> None:
        self.user = user
        self._password = password
        self._told = password()
        self._clients: WeakSet[TakesLogin] = WeakSet()
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Login({self.user!r})"

    def options(self) -> dict[str, str]:
        """What a client begins with, in librdkafka's words."""
        return {"sasl.username": self.user, "sasl.password": self._told}

    def keep(self, client: TakesLogin) -> None:
        """From now on, until `forget` or its end, this client is told of every change."""
        with self._lock:
            self._clients.add(client)
            client.set_sasl_credentials(self.user, self._told)
            if self._watch is None:
                self._watch = threading.Thread(target=self._run, name="kafka-login", daemon=True)
                self._watch.start()

    def forget(self, client: TakesLogin) -> None:
        """To be called before a client is closed: one that is being closed must not be told."""
        with self._lock:
            self._clients.discard(client)

    def look(self) -> bool:
        """Tells the clients if the password has changed; whether it has."""
        with self._lock:
            password = self._password()
            if password == self._told:
                return False
            self._told = password
            for client in list(self._clients):
                try:
                    client.set_sasl_credentials(self.user, password)
                except RuntimeError:  # closed in another way than by its `close`
                    self._clients.discard(client)
        log.info("Kafka's password has changed; it holds from the next connection on")
        return True

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_S):
            self.look()


def _split(config: Mapping[str, Any]) -> tuple[dict[str, Any], Login | None]:
    login = config.get(LOGIN)
    own = {name: value for name, value in config.items() if name != LOGIN}
    return ({**own, **login.options()} if login else own), login


class Producer(confluent_kafka.Producer):
    """A producer."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        options, self._login = _split(config)
        super().__init__(options)
        if self._login is not None:
            self._login.keep(self)

    def close(self, *args: Any) -> Any:
        """Ends it; a timeout in seconds may be given."""
        if self._login is not None:
            self._login.forget(self)
        return super().close(*args)


class Consumer(confluent_kafka.Consumer):
    """A consumer. It does one thing at a time, and lets nobody in between two reads that follow each other without a pause: so who reads
    stands back while it is told a new password."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._told: threading.Event | None = None
        options, self._login = _split(config)
        super().__init__(options)
        if self._login is not None:
            self._login.keep(self)

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """From the next connection on."""
        told = self._told = threading.Event()
        try:
            super().set_sasl_credentials(username, password)
        finally:
            self._told = None
            told.set()

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        """As confluent-kafka's."""
        self._stand_back()
        return super().consume(num_messages, timeout)

    def poll(self, timeout: float = -1) -> Message | None:
        """As confluent-kafka's."""
        self._stand_back()
        return super().poll(timeout)

    def _stand_back(self) -> None:
        if (told := self._told) is not None:
            told.wait(_STAND_BACK_S)

    def close(self) -> None:
        """Leaves the group, if there is one, and ends."""
        if self._login is not None:
            self._login.forget(self)
        super().close()


class AdminClient(confluent_kafka.admin.AdminClient):
    """An administrator."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        options, login = _split(config)
        super().__init__(options)
        if login is not None:
            login.keep(self)
