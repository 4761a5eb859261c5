"""librdkafka's in-process mock cluster, through the library that confluent-kafka brings along.

The wheel's Python layer only knows `test.mock.num.brokers`, and with that topics of four partitions and 5 MB of log each. The C
functions are exported, so they are called here: topics with any number of partitions, the controller, the coordinators. It is an
experimental interface of librdkafka; everything used of it is in this file and in `mock_retention.py`.
"""

from __future__ import annotations

import ctypes
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int, c_int16, c_int32, c_size_t, c_void_p

import confluent_kafka.cimpl

from deploy.stack.errors import MissingProgramError

_PRODUCER = 0
_SIGNATURES: dict[str, tuple[list[object], object]] = {
    "rd_kafka_conf_new": ([], c_void_p),
    "rd_kafka_conf_set": ([c_void_p, c_char_p, c_char_p, c_char_p, c_size_t], c_int),
    "rd_kafka_new": ([c_int, c_void_p, c_char_p, c_size_t], c_void_p),
    "rd_kafka_err2str": ([c_int], c_char_p),
    "rd_kafka_mock_cluster_new": ([c_void_p, c_int], c_void_p),
    "rd_kafka_mock_cluster_bootstraps": ([c_void_p], c_char_p),
    "rd_kafka_mock_topic_create": ([c_void_p, c_char_p, c_int, c_int], c_int),
    "rd_kafka_mock_partition_set_leader": ([c_void_p, c_char_p, c_int32, c_int32], c_int),
    "rd_kafka_mock_broker_set_host_port": ([c_void_p, c_int32, c_char_p, c_int], None),
    "rd_kafka_mock_set_controller_id": ([c_void_p, c_int32], c_int),
    "rd_kafka_mock_coordinator_set": ([c_void_p, c_char_p, c_char_p, c_int32], c_int),
    "rd_kafka_mock_set_apiversion": ([c_void_p, c_int16, c_int16, c_int16], c_int),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": ([c_void_p, c_int32], None),
}


class MockCluster:
    """A Kafka cluster in memory that listens on loopback ports until this process ends.

    Its brokers are numbered from 1; `brokers` has their addresses in that order.
    """

    def __init__(self, brokers: int) -> None:
        self._lib = _library()
        error = ctypes.create_string_buffer(512)
        conf = self._lib.rd_kafka_conf_new()
        # The handle is only there to own the cluster; at the default level it warns that it has no broker to connect to.
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"4", error, len(error))
        handle = self._lib.rd_kafka_new(_PRODUCER, conf, error, len(error))
        if not handle:
            raise OSError(f"librdkafka did not start: {error.value.decode()}")
        self._cluster = self._lib.rd_kafka_mock_cluster_new(handle, brokers)
        if not self._cluster:
            raise OSError("librdkafka's mock cluster did not start")
        addresses: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self.brokers = addresses.split(",")

    def create_topic(self, name: str, partitions: int, leader: int) -> None:
        """Create a topic that does not exist yet, all its partitions led by one broker."""
        self._must("rd_kafka_mock_topic_create", name.encode(), partitions, 1)
        for partition in range(partitions):
            self._must("rd_kafka_mock_partition_set_leader", name.encode(), partition, leader)

    def advertise(self, broker: int, host: str, port: int) -> None:
        """Have clients told this address for the broker, whatever it listens on."""
        self._lib.rd_kafka_mock_broker_set_host_port(self._cluster, broker, host.encode(), port)

    def set_controller(self, broker: int) -> None:
        """Name the controller. Without one AdminClient.describe_topics, and so a topic's id, times out."""
        self._must("rd_kafka_mock_set_controller_id", broker)

    def coordinate(self, group: str, broker: int) -> None:
        """Make the broker the group's coordinator. Other groups are dealt out by a hash of their name."""
        self._must("rd_kafka_mock_coordinator_set", b"group", group.encode(), broker)

    def limit_api(self, api_key: int, lowest: int, highest: int) -> None:
        """Have clients told that only these versions of a request are spoken."""
        self._must("rd_kafka_mock_set_apiversion", api_key, lowest, highest)

    def initial_rebalance_delay(self, ms: int) -> None:
        """How long a group that was empty waits for a second member (of groups without a coordinator of ours)."""
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ms)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Keep the cluster's thread from dozing off while it is being set up.

        It serves its commands before it clears its alarm, so a command that comes in between lies there until the thread wakes by
        itself, a second later. Any traffic wakes it, too.
        """
        host, _, port = self.brokers[0].partition(":")
        done = threading.Event()

        def knock() -> None:
            while not done.wait(0.005):
                socket.create_connection((host, int(port))).close()

        knocking = threading.Thread(target=knock, daemon=True)
        knocking.start()
        try:
            yield
        finally:
            done.set()
            knocking.join()

    def _must(self, function: str, *arguments: object) -> None:
        code = getattr(self._lib, function)(self._cluster, *arguments)
        if code:
            raise OSError(f"{function}{arguments}: {self._lib.rd_kafka_err2str(code).decode()}")


def _library() -> ctypes.CDLL:
    """librdkafka as confluent-kafka's extension module has it loaded: a symbol is searched in what a library depends on, too."""
    library = ctypes.CDLL(confluent_kafka.cimpl.__file__)
    for name, (arguments, result) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            version = confluent_kafka.libversion()[0]
            raise MissingProgramError(
                f"librdkafka {version} has no {name}, which the in-memory broker needs: install the confluent-kafka wheel, 2.16 or later"
            ) from None
        function.argtypes, function.restype = arguments, result
    return library
