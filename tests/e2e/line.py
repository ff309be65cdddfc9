"""One line under test: a database, topics and the service between them, used only from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import TopicPartition

import ledger
from ledger import Message, Place, Topic, query
from load import Load, produce
from stack import EXAMPLE  # noqa: E402
from servers import ROOT, Kafka, Postgres, Service, admin, run, wait_until
from wire import CREATE, EVENT_OF, JSON_HEADERS, REJECTED, as_protobuf, decode_event, decode_rejected

BINARY = Path(os.environ.get("SERVICE_BINARY", ROOT / "build/asan/schedule-service")).resolve()
PARTITIONS = 4
MINIMAL = {"name": "Minimal", "timeZone": "UTC", "isDefault": False}
SANITIZER = re.compile(r"Sanitizer|runtime error:|WARNING: ThreadSanitizer")


@dataclass(frozen=True)
class People:
    """Ids and API keys of the directory that every line begins with."""

    org: int
    admin: int
    admin_key: str
    member: int
    member_key: str
    owner_key: str
    other_org: int
    other_admin_key: str
    other_member: int
    stranger: int
    stranger_key: str
    expired_key: str
    revoked_key: str


@dataclass(frozen=True)
class Servers:
    """What all lines of a run share."""

    postgres: Postgres
    kafka: Kafka
    template: str
    people: People
    directory: Path


class Line:
    """Made with a database of its own and topics of its own; `start` runs a replica of the service. `close` ends all and
    fails if a replica did not end with status 0 or left a sanitizer's report."""

    def __init__(self, servers: Servers, **env: str) -> None:
        name = f"line-{uuid.uuid4().hex[:8]}"
        self.servers, self.people = servers, servers.people
        self.directory = servers.directory / name
        self.database_url = self._create_database(name)
        slot = name.replace("-", "_")
        self.place = Place(self.database_url, servers.kafka.bootstrap, f"{name}.commands", f"{name}.events", f"{name}.dlq",
                           slot)
        self.env = {
            "DATABASE_URL": self.database_url, "KAFKA_BROKERS": servers.kafka.bootstrap,
            "COMMANDS_TOPIC": self.place.commands, "EVENTS_TOPIC": self.place.events,
            "DEAD_LETTER_TOPIC": self.place.dead_letters, "PROGRESS_TOPIC": f"{name}.progress",
            "DIRECTORY_TOPIC": f"{name}.directory", "CONSUMER_GROUP": name, "TRANSACTIONAL_ID": name, "REPLICATION_SLOT": slot,
            "RDKAFKA_SESSION_TIMEOUT_MS": "2000", "RDKAFKA_HEARTBEAT_INTERVAL_MS": "300",
            "RDKAFKA_RECONNECT_BACKOFF_MAX_MS": "500",
            "MAX_SCHEDULES_PER_USER": "0",  # one member has the schedules of many tests
        } | env
        self.sql(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
        self.cli("topics", "--partitions", str(PARTITIONS))
        self.replicas: list[Service] = []
        self.http = requests.Session()
        self.answers = ledger.HttpAnswers()
        self._topics: dict[str, Topic] = {}
        self._producer: KafkaProducer | None = None
        self._loads: list[Load] = []

    def _create_database(self, name: str) -> str:
        self.servers.postgres.psql(f'create database "{name}" template "{self.servers.template}"')
        return self.servers.postgres.dsn(name)

    # ---- the service

    def start(self, wait: bool = True, **env: str) -> Service:
        """One more replica; `env` is added to the line's."""
        log = self.directory / f"service-{len(self.replicas)}.log"
        replica = Service(BINARY, self.env | env, log)
        self.replicas.append(replica)
        replica.start(wait)
        return replica

    def start_intake(self, **env: str) -> Service:
        """One more replica that takes writes although no relay works: one did until a moment ago, and has accepted the database."""
        interfaces = self.start(wait=False, ROLES="http,consumer", **env)
        relay = self.start(ROLES="relay", **env)
        interfaces.wait_ready()
        self.stop(relay)
        return interfaces

    @property
    def service(self) -> Service:
        """The first replica."""
        return self.replicas[0]

    def stop(self, replica: Service | None = None) -> None:
        replica = replica or self.service
        assert replica.stop() == 0, replica.log_tail(40)

    def limit_topic(self, name: str, max_bytes: int) -> None:
        """Sets a topic's max.message.bytes, and waits until the broker has it."""
        resource = ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": str(max_bytes)})
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka.bootstrap)
        try:
            admin.alter_configs([resource])
            until(lambda: str(max_bytes) in str(admin.describe_configs([resource])), f"{name} takes {max_bytes} bytes", 120)
        finally:
            admin.close()

    def delete_records(self, topic: str, before: Mapping[int, int]) -> None:
        """Deletes the records of partitions below an offset each, as retention or an operator would."""
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka.bootstrap)
        try:
            admin.delete_records({TopicPartition(topic, partition): offset for partition, offset in before.items()})
        finally:
            admin.close()

    def cli(self, *arguments: str) -> str:
        """What a subcommand prints. Raises ServerError when it fails."""
        return run(str(BINARY), *arguments, env=self.env)

    def admin(self, *arguments: str) -> dict[str, str]:
        return admin(BINARY, self.env, *arguments)

    def log(self) -> str:
        """The logs of all replicas."""
        logs = (replica.log_path for replica in self.replicas)
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def wait_log(self, text: str, deadline_s: float = 15) -> None:
        assert wait_until(lambda: text in self.log(), deadline_s), f"{text!r} is not in the log:\n{self.log()[-3000:]}"

    def readiness(self, replica: Service | None = None) -> tuple[int, str | None]:
        """Status and reason of /readyz; 0 while nobody listens."""
        try:
            answer = self.http.get(f"{(replica or self.service).url}/readyz", timeout=10)
        except requests.ConnectionError:
            return 0, None
        return answer.status_code, answer.json().get("reason")

    def degraded(self, replica: Service | None = None) -> list[str]:
        """What is amiss with one that is ready."""
        answer = self.http.get(f"{(replica or self.service).url}/readyz", timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json().get("degraded", [])

    def wait_readiness(self, wanted: tuple[int, str | None], deadline_s: float = 20) -> None:
        assert wait_until(lambda: self.readiness() == wanted, deadline_s), (self.readiness(), self.service.log_tail())

    def metric(self, name: str) -> float:
        """The value of a sample, by its name and labels as they are printed."""
        text = self.http.get(f"{self.service.url}/metrics", timeout=10).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, f"no {name} in\n{text}"
        return float(found[1])

    # ---- its interfaces

    def request(self, method: str, path: str, key: str | None = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= options.pop("headers", {})
        return self.http.request(method, self.service.url + path, headers=headers, timeout=options.pop("timeout", 20),
                                 **options)

    @contextmanager
    def posting(self, pause_s: float = 0.02) -> Iterator[None]:
        """Posts schedules in the background, one after the other; the ledger takes note of what is answered."""
        stop = threading.Event()
        thread = threading.Thread(target=self._post_until, args=(stop, pause_s), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    def _post_until(self, stop: threading.Event, pause_s: float) -> None:
        while not stop.wait(pause_s):
            try:
                headers = {"Authorization": self.people.admin_key}
                answer = requests.post(self.service.url + self.schedules_path(), json=EXAMPLE, headers=headers, timeout=20)
            except requests.RequestException:
                self.answers.unknown += 1
                continue
            self.note(answer)

    def note(self, answer: requests.Response) -> None:
        """Takes note of the answer to a write. What a repeated Idempotency-Key is answered counts once."""
        method, status, answers = answer.request.method, answer.status_code, self.answers
        if status >= 500:
            answers.unknown += 1
        elif (method, status) == ("POST", 201):
            schedule = answer.json()["data"]
            if "Idempotency-Key" not in answer.request.headers or schedule not in answers.created:
                answers.created.append(schedule)
        elif (method, status) == ("PATCH", 200):
            answers.updated.append((answer.json()["data"], int(answer.headers["ETag"].strip('"'))))
        elif (method, status) == ("DELETE", 200):
            answers.deleted.append(int(urlsplit(answer.request.url or "").path.rstrip("/").rpartition("/")[2]))

    def schedules_path(self, user: int | str | None = None, org: int | str | None = None) -> str:
        user = self.people.member if user is None else user
        org = self.people.org if org is None else org
        return f"/v2/organizations/{org}/users/{user}/schedules"

    def post(self, body: Any, user: int | None = None, **options: Any) -> requests.Response:
        """The answer to the admin's POST of a schedule for the member; the ledger takes note of it."""
        path = options.pop("path", None) or self.schedules_path(user)
        answer = self.request("POST", path, options.pop("key", self.people.admin_key), json=body, **options)
        self.note(answer)
        return answer

    def patch(self, path: str, body: Any, **options: Any) -> requests.Response:
        """The answer to the admin's PATCH of a schedule; the ledger takes note of it."""
        answer = self.request("PATCH", path, options.pop("key", self.people.admin_key), json=body, **options)
        self.note(answer)
        return answer

    def delete(self, path: str, **options: Any) -> requests.Response:
        """The answer to the admin's DELETE of a schedule; the ledger takes note of it."""
        answer = self.request("DELETE", path, options.pop("key", self.people.admin_key), **options)
        self.note(answer)
        return answer

    def raw(self, data: bytes, deadline_s: float = 15, replica: Service | None = None) -> bytes:
        """Sends bytes on a connection of its own; everything that comes until the service closes it."""
        with self.connect(replica) as connection:
            connection.settimeout(deadline_s)
            connection.sendall(data)
            return receive_all(connection)

    def connect(self, replica: Service | None = None) -> socket.socket:
        host, port = (replica or self.service).env["HTTP_LISTEN"].split(":")
        return socket.create_connection((host, int(port)), timeout=15)

    def command(self, **fields: Any) -> dict[str, Any]:
        """A valid command for the member, in its JSON form, with another id each time."""
        return {"commandId": str(uuid.uuid4()), "orgId": self.people.org, "userId": self.people.member, **MINIMAL, **fields}

    def send(self, value: bytes | dict[str, Any] | None, expect: str = "created", key: bytes | None = None,
             headers: Mapping[str, bytes] | None = None, partition: int | None = None, as_json: bool = False,
             kind: str = CREATE) -> Message:
        """Produces a message; a dict is made protobuf, or JSON if `as_json`. Returns what is then in the topic."""
        extra = dict(headers or {}) | (JSON_HEADERS if as_json else {}) | ({} if kind == CREATE else {"ce_type": kind})
        all_headers = [("expect", expect.encode()), *((name, _bytes(text)) for name, text in extra.items())]
        if isinstance(value, dict):
            key = key if key is not None else str(value["userId"]).encode()
            value = json.dumps(value).encode() if as_json else as_protobuf(value, kind)
        self._producer = self._producer or ledger.producer(self.servers.kafka.bootstrap)
        sent = self._producer.send(self.place.commands, key=key, value=value, headers=all_headers, partition=partition)
        where = sent.get(30)
        return Message(where.partition, where.offset, key, value, tuple(all_headers))

    def load(self, count: int, seed: int = 1, owners: int = 20, **shares: float) -> Load:
        """Produces a load of commands of many owners, who are new."""
        events = Topic(self.servers.kafka.bootstrap, self.place.events)
        load = Load(self.people.org, self.make_owners(owners), seed, events, **shares)
        self._loads.append(load)
        self.produce(load, count)
        return load

    def produce(self, load: Load, count: int) -> None:
        """Produces more of a load; needs no database."""
        self._producer = self._producer or ledger.producer(self.servers.kafka.bootstrap)
        produce(self._producer, self.place.commands, load.messages(count))

    def make_owners(self, count: int, org: int | None = None) -> list[int]:
        """New members of an organization, by default the line's."""
        return [row[0] for row in self.sql(
            "WITH made AS (INSERT INTO users (name) SELECT 'Owner' FROM generate_series(1, %s) RETURNING id) "
            "INSERT INTO memberships (org_id, user_id) SELECT %s, id FROM made RETURNING user_id", count, self.people.org if org is None else org)]

    # ---- what became of it

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.database_url, statement, *values)

    def topic(self, name: str) -> Topic:
        """A reader that stays with the line."""
        if name not in self._topics:
            self._topics[name] = Topic(self.servers.kafka.bootstrap, name)
        return self._topics[name]

    def event_of(self, command_id: str, deadline_s: float = 20, kind: str = CREATE, schedule_id: int = 0) -> Message:
        """The event of a command; of a change for this schedule, as another one may tell of a default that was replaced."""
        subject = str(schedule_id).encode()
        return self.topic(self.place.events).wait_for(
            lambda event: event.headers["ce_type"] == EVENT_OF[kind].encode()
            and (kind == CREATE or event.headers["ce_subject"] == subject)
            and decode_event(event.value or b"", event.headers)["command_id"] == command_id, 1, deadline_s)[0]

    def event_of_schedule(self, schedule_id: int, deadline_s: float = 20) -> Message:
        wanted = str(schedule_id).encode()
        return self.topic(self.place.events).wait_for(
            lambda event: event.headers.get("ce_subject") == wanted, 1, deadline_s)[0]

    def rejection_of(self, sent: Message) -> Message:
        """The ScheduleCommandRejected of a message."""
        wanted = f"{self.place.commands}/{sent.partition}/{sent.offset}".encode()
        return self.topic(self.place.events).wait_for(lambda event: event.headers["ce_id"] == wanted)[0]

    def violations_of(self, sent: Message) -> list[tuple[str, str, str]]:
        event = self.rejection_of(sent)
        assert event.headers["ce_type"] == REJECTED.encode()
        return decode_rejected(event.value or b"", event.headers).violations

    def dead_letter_of(self, sent: Message) -> Message:
        wanted = (str(sent.partition).encode(), str(sent.offset).encode())
        return self.topic(self.place.dead_letters).wait_for(
            lambda letter: (letter.headers["dead-letter-partition"], letter.headers["dead-letter-offset"]) == wanted)[0]

    def row_of(self, command_id: str) -> dict[str, Any]:
        names = ("id", "org_id", "owner_id", "name", "time_zone", "availability", "overrides", "version")

        def rows() -> list[tuple[Any, ...]]:
            return self.sql(f"SELECT {', '.join(names)} FROM schedules WHERE command_id = %s", command_id)

        until(lambda: len(rows()) == 1, "an event can be seen a moment before its row")
        return dict(zip(names, rows()[0], strict=True))

    def balance(self, deadline_s: float = 60) -> ledger.Report:
        """Waits until the line is quiet; fails unless the ledger is exact."""
        ledger.wait_quiet(self.place, deadline_s)
        return ledger.assert_exact(self.place, self.answers)

    # ---- the end

    def close(self) -> None:
        """Stops what runs, deletes the slot and the database."""
        try:
            statuses = [replica.stop() for replica in self.replicas if replica.is_running()]
        finally:
            self.abandon()
        report = SANITIZER.search(self.log())
        assert not report, self.log()[report.start() - 200:][:6000] if report else ""
        assert not any(statuses), f"a replica ended with {statuses}:\n{self.log()[-3000:]}"

    def abandon(self) -> None:
        for replica in self.replicas:
            replica.close()
        for topic in [*self._topics.values(), *self._loads]:
            topic.close()
        if self._producer:
            self._producer.close(timeout=5)
        self.http.close()
        psql = self.servers.postgres.psql
        psql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{self.place.slot}'")
        psql(f'DROP DATABASE "{self.database_url.rpartition("/")[2]}" WITH (FORCE)')


@contextmanager
def kafka_stands_still(line: Line) -> Iterator[None]:
    """It answers nobody, and refuses no connection."""
    os.kill(line.servers.kafka.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(line.servers.kafka.pid, signal.SIGCONT)


@contextmanager
def server_settings(postgres: Postgres, **settings: str) -> Iterator[None]:
    """Of a running PostgreSQL, until the end of the block."""
    for name, value in settings.items():
        postgres.psql(f"ALTER SYSTEM SET {name} = '{value}'")
    postgres.psql("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        for name in settings:
            postgres.psql(f"ALTER SYSTEM RESET {name}")
        postgres.psql("SELECT pg_reload_conf()")


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def receive_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def receive_until(connection: socket.socket, enough: Callable[[bytes], bool]) -> bytes:
    """What comes until it is enough or the other side closes."""
    received = b""
    while not enough(received) and (data := connection.recv(65536)):
        received += data
    return received


def until(is_true: Callable[[], bool], what: str, deadline_s: float = 20) -> None:
    """Waits for a condition."""
    assert wait_until(is_true, deadline_s), f"not within {deadline_s} s: {what}"


def end_by_signal(replica: Service, number: signal.Signals, deadline_s: float = 30) -> int:
    """Sends a signal and waits; the exit status."""
    replica.stop_signal = number
    return replica.stop(deadline_s)
