"""Rights in the servers' own words: ACLs of Kafka, rules of Redis' ACL users, ClickHouse's statements."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from deploy.security.rights import GROUP, NEWER, RIGHTS, Process, Rights


class Names(Struct, frozen=True, kw_only=True):
    """What a deployment's things are called. Process P logs in as `user` + P."""

    user: str = "rflow-"
    topic_prefix: str = ""
    group: str = "rflow"
    redis_prefix: str = "rflow"
    redis: tuple[int, int] = (7, 2)
    """its version: what one before 7.2 does not know it would refuse"""
    cluster: bool = False
    database: str = "rflow"


class KafkaRight(Struct, frozen=True):
    """One operation on one resource, in the words of kafka-acls: kind Topic, Group or Cluster."""

    kind: str
    name: str
    operation: str

    def command(self, principal: str) -> str:
        """The kafka-acls arguments that give it."""
        what = "--cluster" if self.kind == "Cluster" else f"--{self.kind.lower()} {self.name}"
        return f"--add --allow-principal User:{principal} --operation {self.operation} {what}"


def kafka_rights(rights: Rights, names: Names) -> Iterator[KafkaRight]:
    """All rights on topics, groups and the cluster."""
    for topics in rights.topics:
        for name in topics.names:
            for operation in topics.operations:
                yield KafkaRight("Topic", names.topic_prefix + name, operation)
    for group, operation in rights.groups:
        yield KafkaRight("Group", group.replace(GROUP, names.group), operation)
    for operation in rights.cluster:
        yield KafkaRight("Cluster", "kafka-cluster", operation)


def redis_rules(rights: Rights, names: Names) -> str:
    """The rules of an ACL user, without its password; empty for one that Redis need not know."""
    if not rights.commands:
        return ""
    own = [f"%{mode}~{names.redis_prefix}:{name}" for mode, name in rights.keys]
    of_cluster = ("cluster|slots", "cluster|shards", "cluster|nodes", "command", "readonly", "asking") if names.cluster else ()
    newer = [command for beside, command in NEWER.items() if beside in rights.commands and names.redis >= (7, 2)]
    return " ".join(["resetkeys", "resetchannels", "-@all", *own, *(f"+{one}" for one in (*rights.commands, *newer, *of_cluster))])


def clickhouse_grants(rights: Rights, names: Names, grantee: str) -> Iterator[str]:
    """What is granted to a role or user."""
    for privilege, table in rights.clickhouse:
        yield f"GRANT {privilege} ON {names.database}.{table} TO {grantee}"
    for table in rights.system:
        yield f"GRANT SELECT ON system.{table} TO {grantee}"


def kafka_commands(process: Process, names: Names) -> Iterator[str]:
    """Lines for a shell; `$ACLS` is kafka-acls with how to reach the brokers."""
    for right in kafka_rights(RIGHTS[process], names):
        yield f"$ACLS {right.command(names.user + process)}"


def redis_line(process: Process, names: Names) -> Iterator[str]:
    """The user's line of an ACL file, where `#SHA256` is to become the SHA-256 of its password."""
    if rules := redis_rules(RIGHTS[process], names):
        yield f"user {names.user}{process} on #SHA256 {rules}"


def clickhouse_statements(process: Process, names: Names) -> Iterator[str]:
    """The role with its grants and quota, and the user that has it; `SHA256` is to become the SHA-256 of its password."""
    rights = RIGHTS[process]
    if not rights.clickhouse:
        return
    user, role = f"`{names.user}{process}`", f"`{names.user}{process}-role`"
    yield f"CREATE ROLE IF NOT EXISTS {role}"
    yield from clickhouse_grants(rights, names, role)
    yield f"CREATE USER IF NOT EXISTS {user} IDENTIFIED WITH sha256_hash BY 'SHA256' DEFAULT ROLE {role}"
    yield f"GRANT {role} TO {user}"
    if rights.queries_a_minute:
        yield f"CREATE QUOTA IF NOT EXISTS {role} FOR INTERVAL 1 minute MAX queries = {rights.queries_a_minute} TO {role}"
