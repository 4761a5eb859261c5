"""A Kafka and a Redis that speak TLS and know who may do what.

Each keeps a door on the loopback without TLS for the test itself, which makes users and rights through it; no process of rflow is told
where that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import redis
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from deploy.stack.kafka import default_cache, format_kafka, kafka_jars, kafka_server
from deploy.stack.ports import free_port
from tests.chaos.proxy import Loop, Proxy
from tests.secured.certificates import Authority
from tests.secured.issuer import AUDIENCE, Issuer
from tests.servers import Server, Servers, add_listeners, join_cluster

_LISTENER = """
listener.name.{name}.ssl.keystore.type=PEM
listener.name.{name}.ssl.keystore.location={keystore}
listener.name.{name}.ssl.truststore.type=PEM
listener.name.{name}.ssl.truststore.location={truststore}
"""
_SECURED = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,OAUTHBEARER
listener.name.mutual.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/
listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,OAUTHBEARER
listener.name.secured.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secured.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secured.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.secured.oauthbearer.sasl.server.callback.handler.class=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.secured.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={keys_url}
listener.name.secured.oauthbearer.sasl.oauthbearer.expected.audience={audience}
listener.name.secured.oauthbearer.sasl.oauthbearer.expected.issuer={issuer}
"""
_ITERATIONS = 4096


class SecuredKafka:
    """A broker with a SASL listener (SCRAM and OAUTHBEARER) and one for client certificates, and no rights but those
    `allow`ed. `proxy`, before the former, can cut connections."""

    def __init__(self, servers: Servers, folder: Path, authority: Authority, issuer: Issuer, loop: Loop) -> None:
        behind = free_port()
        self.proxy = Proxy(loop, free_port(), ("127.0.0.1", behind))
        self.sasl, self.mutual = self.proxy.address, f"127.0.0.1:{free_port()}"
        authority.sign("broker")
        port, data = free_port(), folder / "kafka"
        jars = kafka_jars(default_cache())
        format_kafka(data, port, free_port(), jars)
        own = {"SECURED": ("SASL_SSL", f"127.0.0.1:{behind}", self.sasl), "MUTUAL": ("SSL", self.mutual, self.mutual)}
        add_listeners(data / "server.properties", own)
        with (data / "server.properties").open("a") as file:
            for name in own:
                file.write(_LISTENER.format(name=name.lower(), keystore=authority.both("broker"), truststore=authority.ca))
            file.write(_SECURED.format(keys_url=issuer.keys_url, issuer=issuer.issuer, audience=AUDIENCE))
        spec = kafka_server(data, port, jars)
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={issuer.keys_url}"
        # On a busy machine it has been seen to take two minutes.
        spec = replace(spec, env={**spec.env, "JAVA_TOOL_OPTIONS": f"-XX:TieredStopAtLevel=1 {allowed}"}, ready_timeout=300.0)
        self.server: Server = servers.started(folder, spec, f"127.0.0.1:{port}")
        self.admin = AdminClient({"bootstrap.servers": self.server.address, "log_level": 2})

    def user(self, name: str, password: str) -> None:
        """Gives a user this password, in the stead of an earlier one."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        made = UserScramCredentialUpsertion(name, info, password.encode())
        for done in self.admin.alter_user_scram_credentials([made]).values():
            done.result(200)

    def forget(self, name: str) -> None:
        """Takes a user's password away."""
        for done in self.admin.alter_user_scram_credentials([UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512)]).values():
            done.result(200)

    def allow(self, bindings: Iterable[AclBinding]) -> None:
        """Gives rights."""
        for done in self.admin.create_acls(list(bindings)).values():
            done.result(200)

    @contextmanager
    def without(self, binding: AclBinding) -> Iterator[None]:
        """Takes one right away for a while."""
        one = binding
        wanted = AclBindingFilter(
            one.restype, one.name, one.resource_pattern_type, one.principal, one.host, one.operation, one.permission_type
        )
        for done in self.admin.delete_acls([wanted]).values():
            assert len(list(done.result(200))) == 1
        try:
            yield
        finally:
            self.allow([binding])


def secured_redis(servers: Servers, authority: Authority) -> tuple[Server, str]:
    """A Redis with a TLS port, and that port's address; its users are made through the door."""
    port = free_port()
    return servers.redis(kind="redis-server", **_tls(authority, port)), f"rediss://127.0.0.1:{port}/0"


def secured_cluster(servers: Servers, authority: Authority, masters: int = 3) -> tuple[list[Server], str]:
    """Masters that speak TLS to clients and to each other, and the address of the first; their users are made through the doors."""
    ports = [(free_port(), free_port()) for _ in range(masters)]
    nodes = []
    for port, bus in ports:
        own = {"tls_cluster": "yes", "cluster_enabled": "yes", "cluster_port": str(bus), "cluster_node_timeout": "3000"}
        nodes.append(servers.redis(kind="redis-server", **_tls(authority, port), **own))
    join_cluster([redis.Redis.from_url(node.address) for node in nodes], ("127.0.0.1", *ports[0]))
    return nodes, f"rediss://127.0.0.1:{ports[0][0]}/0"


def _tls(authority: Authority, port: int) -> dict[str, str]:
    certificate, key = authority.sign("redis")
    files = {"tls_cert_file": str(certificate), "tls_key_file": str(key), "tls_ca_cert_file": str(authority.ca)}
    return {"tls_port": str(port), "tls_auth_clients": "no", **files}


def redis_user(door: str, name: str, rules: str) -> None:
    """Makes or changes an ACL user."""
    with redis.Redis.from_url(door) as client:
        client.execute_command("ACL", "SETUSER", name, *rules.split())
