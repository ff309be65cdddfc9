"""A line under fault: replicas of the service, clients at HTTP and Kafka, and at the end the audit."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaAdminClient

from clients import HttpClient, KafkaClient
from ledger import PUBLISHED, Report, Topic, audit, wait_quiet
from line import Line
from load import Load
from servers import Service, Webhooks, wait_until
from world import World

OWNERS = 200
HTTP_CLIENTS = 2
DEADLINE_S = 180.0  # of whatever a healthy line does within seconds: other work may hold the processors
MEMORY_MAX_KIB = 64 * 1024
LEFT_IN_SLOT = """
    SELECT count(*) FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL, 'proto_version', '1',
                                                             'publication_names', 'schedule_service', 'messages', 'true')
     WHERE get_byte(data, 0) = ascii('M') AND position('schedule-service'::bytea IN data) > 0
       AND position('schedule-service.drain'::bytea IN data) = 0"""


class Rig(Line):
    """A line in a world. `random` is the case's, `faults` how many were injected."""

    def __init__(self, world: World, seed: int, binary: Path, through: tuple[str, ...] = ()) -> None:
        super().__init__(world.servers(world.directory))
        self.world, self.binary = world, binary
        self.seed, self.random = seed, random.Random(seed)
        self.faults = self.peak_kib = 0
        self.memory_max_kib = MEMORY_MAX_KIB
        self.kafka_client: KafkaClient | None = None
        self.http_clients: list[HttpClient] = []
        self.senders: list[Webhooks] = []
        if "postgres" in through:
            self.env["DATABASE_URL"] = self.database_url.replace(f":{world.postgres.port}/", f":{world.postgres_proxy.port}/")
        if "kafka" in through:
            self.env["KAFKA_BROKERS"] = f"127.0.0.1:{world.kafka_proxy.port}"

    def start(self, wait: bool = True, **env: str) -> Service:
        replica = Service(self.binary, self.env | env, self.directory / f"service-{len(self.replicas)}.log")
        self.replicas.append(replica)
        replica.start(wait)
        return replica

    def start_all(self) -> None:
        """All replicas that there were, which are stopped, until they answer."""
        for replica in self.replicas:
            replica.start(wait=False)
        for replica in self.replicas:
            replica.wait_ready(DEADLINE_S)

    # ---- load

    @contextmanager
    def under_load(self, rate: int, owners: list[int] | None = None, http_owners: list[int] | None = None, **shares: float) -> Iterator[None]:
        """Clients at HTTP and Kafka, until the end of the block. They write for these owners, or for new ones."""
        seed = self.seed + len(self._loads)
        events = Topic(self.place.bootstrap, self.place.events, self.place.part and self.place.part.partition)
        load = Load(self.people.org, owners or self.make_owners(OWNERS), seed, events, **shares)
        self._loads.append(load)
        self.kafka_client = KafkaClient(self.place.bootstrap, self.place.commands, load, rate)
        clients = [HttpClient(self._urls, self.schedules_path(owner), self.people.admin_key, self.seed + owner)
                 for owner in http_owners or self.make_owners(HTTP_CLIENTS)]
        self.http_clients += clients
        for client in (self.kafka_client, *clients):
            client.start()
        try:
            yield
        except BaseException:
            for client in (self.kafka_client, *clients):
                client.stopping.set()
            raise
        for client in (self.kafka_client, *clients):
            client.stop()

    def _urls(self) -> list[str]:
        return [replica.url for replica in self.replicas]

    @property
    def written(self) -> int:
        """HTTP writes that were answered until now."""
        return sum(client.written for client in self.http_clients)

    def until(self, is_true: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Raises TimeoutError, or what ended a client."""

        def broken() -> list[Exception]:
            clients = (self.kafka_client, *self.http_clients)
            return [client.error for client in clients if client and client.error]

        if not wait_until(lambda: bool(broken()) or is_true(), deadline_s):
            raise TimeoutError(f"not within {deadline_s:g} s: {what}")
        if errors := broken():
            raise errors[0]

    def wait_writes(self, count: int) -> None:
        """Waits until so many more writes are answered: the line has recovered."""
        before = self.written
        self.until(lambda: self.written >= before + count, "HTTP writes are answered")

    def wait_commands(self, count: int) -> None:
        """Waits until so many more commands are completed."""
        sql = "SELECT coalesce(sum(next_offset), 0) FROM command_offsets"
        before = self.sql(sql)[0][0]
        self.until(lambda: self.sql(sql)[0][0] >= before + count, "commands are completed")

    def wait_events(self) -> None:
        """Waits until whatever is committed now is published."""
        position = self.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
        self.until(lambda: bool(self.sql(PUBLISHED, self.place.slot, position, position)), "the relay has published it")

    def wait_final(self) -> None:
        """Waits until the slot has confirmed what is committed now: without new commits there are no more transactions of Kafka for some seconds."""
        position = self.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
        sql = "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots WHERE slot_name = %s"
        self.until(lambda: self.sql(sql, position, self.place.slot)[0][0], "the slot has confirmed it")

    def confirmed(self) -> str | None:
        """Up to where the relay has confirmed the slot; None when there is no slot."""
        rows = self.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s", self.place.slot)
        return str(rows[0][0]) if rows else None

    def pause(self, least_s: float, most_s: float) -> None:
        """Some load between two faults."""
        time.sleep(self.random.uniform(least_s, most_s))

    def count_log(self, text: str) -> int:
        return self.log().count(text)

    # ---- replicas

    def active_relay(self) -> Service | None:
        for replica in self.replicas:
            text = self.http.get(f"{replica.url}/metrics", timeout=10).text
            if "\nschedule_relay_active 1" in text:
                return replica
        return None

    def kill_one(self) -> None:
        """Kills one with -9 and starts it again at once."""
        victim = self.random.choice(self.replicas)
        if not victim.is_running():
            raise victim.error("ended by itself")
        self.sample()
        victim.kill9()
        victim.start(wait=False)
        self.faults += 1

    def sample(self) -> None:
        """Notes the most memory that a replica, or a sender of webhooks, ever had."""
        for replica in (*self.replicas, *self.senders):
            try:
                status = Path(f"/proc/{replica.pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError, AssertionError):
                continue
            peak = re.search(r"VmHWM:\s+(\d+) kB", status)
            if peak and status.startswith("Name:\tschedule"):  # not what is about to become it
                self.peak_kib = max(self.peak_kib, int(peak[1]))

    # ---- the end

    def complete(self) -> Report:
        """Waits until all is quiet, stops the replicas and audits what they left."""
        for replica in self.replicas:
            if not replica.is_running():
                raise replica.error("ended by itself")
            replica.wait_ready(DEADLINE_S)
        wait_quiet(self.place, DEADLINE_S)
        self.sample()
        for replica in self.replicas:
            self.stop(replica)
        for client in self.http_clients:
            self.answers.created += client.answers.created
            self.answers.updated += client.answers.updated
            self.answers.deleted += client.answers.deleted
            self.answers.missing |= client.answers.missing
            self.answers.unknown += client.answers.unknown
        report = audit(self.place, self.answers)
        self._check_relay(report)
        self.check_memory(report)
        return report

    def _check_relay(self, report: Report) -> None:
        """The slot holds nothing that is to be published, and the progress topic tells nothing beyond it."""
        if left := self.sql(LEFT_IN_SLOT, self.place.slot)[0][0]:
            report.fault(f"{left} records are still in the slot")
        progress = self.topic(self.env["PROGRESS_TOPIC"]).read_to_end()[-1].value or b""
        if not self.sql("SELECT %s::pg_lsn <= %s::pg_lsn", progress.decode(), self.confirmed())[0][0]:
            report.fault(f"the progress is {progress.decode()}, the slot's only {self.confirmed()}")

    @property
    def has_sanitizers(self) -> bool:
        """What is freed stays with them for a while: memory says nothing."""
        return "asan" in self.binary.parts

    def check_memory(self, report: Report) -> None:
        if self.peak_kib > self.memory_max_kib and not self.has_sanitizers:
            report.fault(f"a replica took {self.peak_kib // 1024} MiB; the limit is {self.memory_max_kib // 1024}")

    def abandon(self) -> None:
        """Also deletes the topics, so that a broker comes back as fast in the last case as in the first."""
        for sender in self.senders:
            sender.close()
        super().abandon()
        admin = KafkaAdminClient(bootstrap_servers=self.place.bootstrap.split(","))
        admin.delete_topics([topic for name, topic in self.env.items() if name.endswith("_TOPIC")])
        admin.close()


class Watcher(threading.Thread):
    """Samples memory, and tells how it goes every few seconds."""

    def __init__(self, rig: Rig, every_s: float) -> None:
        super().__init__(daemon=True)
        self.rig, self.every_s = rig, every_s
        self.stopping = threading.Event()

    def run(self) -> None:
        begin = time.monotonic()
        due = begin + self.every_s
        while not self.stopping.wait(0.2):
            self.rig.sample()
            if time.monotonic() >= due:
                due += self.every_s
                sent = self.rig.kafka_client.sent if self.rig.kafka_client else 0
                print(f"      {time.monotonic() - begin:4.0f} s: {self.rig.faults} faults, {sent} commands sent, "
                      f"{self.rig.written} writes answered, peak {self.rig.peak_kib / 1024:.1f} MiB", flush=True)

    def stop(self) -> None:
        self.stopping.set()
        self.join()
