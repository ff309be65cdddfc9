"""The servers that cases run against: PostgreSQL and Kafka, and a proxy before each for the cases that want one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from kafka import KafkaAdminClient

from conftest import fill_directory
from line import People, Servers
from proxy import Proxy
from servers import ROOT, Kafka, Postgres, Startable, free_port, run, wait_until

TEMPLATE = "template_line"
POSTGRES = {"max_replication_slots": "30", "max_wal_senders": "30"}


class World(Startable):
    """One PostgreSQL and one broker. Clients who come to `kafka_proxy` are sent back to it by the broker."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.postgres = self.make_postgres()
        self.kafka = self.make_kafka()
        self.postgres_proxy = Proxy(free_port(), self.postgres.port)

    def make_postgres(self) -> Postgres:
        return Postgres(self.directory / "postgres", settings=POSTGRES)

    def make_kafka(self) -> Kafka | Cluster:
        kafka = Kafka(self.directory / "kafka")
        inner = free_port()
        self.kafka_proxy = Proxy(free_port(), inner)
        kafka.properties["listeners"] += f",PROXIED://127.0.0.1:{inner}"
        kafka.properties["advertised.listeners"] += f",PROXIED://127.0.0.1:{self.kafka_proxy.port}"
        kafka.properties["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        kafka.properties["inter.broker.listener.name"] = "PLAINTEXT"
        return kafka

    def start(self) -> None:
        self.kafka.start(wait=False)
        self.postgres.start()
        self.kafka.wait_ready()
        self.people: People = fill_directory(self.postgres.create_database(TEMPLATE))
        self.postgres.psql("SELECT pg_drop_replication_slot('schedule_service')")

    def servers(self, directory: Path) -> Servers:
        """As a line wants them; it keeps its logs below `directory`."""
        return Servers(self.postgres, self.kafka, TEMPLATE, self.people, directory)  # type: ignore[arg-type]

    def close(self) -> None:
        self.postgres_proxy.close()
        if hasattr(self, "kafka_proxy"):
            self.kafka_proxy.close()
        self.kafka.close()
        self.postgres.close()


class Cluster:
    """Three brokers that hold a copy of everything each, of which two must have what is acknowledged."""

    COPIES = {"default.replication.factor": "3", "min.insync.replicas": "2", "offsets.topic.replication.factor": "3",
              "transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2"}

    def __init__(self, directory: Path) -> None:
        self.brokers = [Kafka(directory / f"kafka-{number}", properties=self.COPIES) for number in (1, 2, 3)]
        self.bootstrap = ",".join(broker.bootstrap for broker in self.brokers)
        voters = [broker.properties["controller.quorum.voters"].partition("@")[2] for broker in self.brokers]
        for number, broker in enumerate(self.brokers, 1):
            broker.cluster = self.brokers[0].cluster
            broker.properties |= {"node.id": str(number), "controller.quorum.voters": ",".join(
                f"{voter}@{address}" for voter, address in enumerate(voters, 1))}

    def start(self, wait: bool = True) -> None:
        for broker in self.brokers:
            broker.start(wait=False)

    def wait_ready(self) -> None:
        for broker in self.brokers:
            broker.wait_ready()

    def wait_whole(self, deadline_s: float = 120) -> None:
        """Waits until every broker has every partition up to date. Raises TimeoutError."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))
        try:
            if not wait_until(lambda: self._is_whole(admin), deadline_s):
                raise TimeoutError(f"the brokers are not in sync within {deadline_s} s")
        finally:
            admin.close()

    @staticmethod
    def _is_whole(admin: KafkaAdminClient) -> bool:
        partitions = [partition for topic in admin.describe_topics() for partition in topic["partitions"]]
        return bool(partitions) and all(len(partition["isr_nodes"]) == 3 for partition in partitions)

    def close(self) -> None:
        for broker in self.brokers:
            broker.close()


class ThreeBrokers(World):
    def make_kafka(self) -> Cluster:
        return Cluster(self.directory)


class Pair(World):
    """Beside PostgreSQL there is room for a standby."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.standby = Postgres(directory / "standby", settings=POSTGRES | {"hot_standby": "on"})

    def close(self) -> None:
        super().close()
        self.standby.close()


class WithPrevious(World):
    """Beside it stands the build of an earlier revision, whose progress records have no headers; it is made of the repository's history."""

    REVISION = "7b63b70"
    TREE = ROOT / "build/previous"
    BINARY = TREE / "build/release/schedule-service"

    @classmethod
    def is_possible(cls) -> bool:
        found = subprocess.run(["git", "cat-file", "-e", f"{cls.REVISION}^{{commit}}"], cwd=ROOT, stderr=subprocess.DEVNULL)
        return found.returncode == 0

    def start(self) -> None:
        self.TREE.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", self.REVISION], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x"], cwd=self.TREE, check=True, input=archive)
        subprocess.run(["make", "-s", "-j2", "build/release/schedule-service"], cwd=self.TREE, check=True)
        super().start()


class SmallDisk(World):
    """PostgreSQL's data is on a disk of its own, of 256 MiB: a tmpfs, which needs root."""

    def make_postgres(self) -> Postgres:
        self.disk = self.directory / "disk"
        return Postgres(self.disk / "postgres", settings=POSTGRES | {"max_wal_size": "64MB", "min_wal_size": "32MB"})

    @staticmethod
    def is_possible() -> bool:
        return os.geteuid() == 0

    def start(self) -> None:
        self.disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=256m,mode=0711", "tmpfs", str(self.disk))
        super().start()

    def close(self) -> None:
        super().close()
        if self.disk.is_mount():
            run("umount", str(self.disk))
