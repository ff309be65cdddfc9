"""The ledger: what went into the line and what came out of it, read from the servers by clients that are not ours, and
compared. Used by the end-to-end tests and by the fault rig.

Every message in the commands topic tells in its header `expect` what must become of it:
    created    one row and one ScheduleCreated for its command id, however often that id was sent
    rejected   one ScheduleCommandRejected for this very message, and no row
    dead       one dead letter with its key, bytes and headers
What HTTP answered is given to `audit`, because no server keeps it.
"""

from __future__ import annotations

import importlib
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

ROOT = Path(__file__).resolve().parents[1]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
WORKING_HOURS = [{"days": WEEKDAYS[:5], "startTime": "09:00", "endTime": "17:00"}]
JSON_HEADERS = {"content-type": "application/json"}
CREATED = "schedules.v1.ScheduleCreated"
REJECTED = "schedules.v1.ScheduleCommandRejected"


# ---- messages

@lru_cache(maxsize=1)
def messages() -> SimpleNamespace:
    """Google's own Python classes of our .proto files."""
    names = {"CreateSchedule": "create_schedule", "ScheduleCreated": "schedule_created",
             "ScheduleDeleted": "schedule_deleted", "ScheduleCommandRejected": "schedule_command_rejected",
             "DirectoryEntry": "directory_entry", "Role": "role"}
    with tempfile.TemporaryDirectory() as directory:
        files = [str(path) for path in sorted(ROOT.glob("proto/schedules/v1/*.proto"))]
        subprocess.run(["protoc", "-I", str(ROOT / "proto"), f"--python_out={directory}", *files], check=True)
        sys.path.insert(0, directory)
        try:
            modules = {name: importlib.import_module(f"schedules.v1.{file}_pb2") for name, file in names.items()}
        finally:
            sys.path.remove(directory)
    return SimpleNamespace(**{name: getattr(module, name) for name, module in modules.items()})


def as_protobuf(command: Mapping[str, Any]) -> bytes:
    """A command in its JSON form as schedules.v1.CreateSchedule."""
    message = messages().CreateSchedule(
        command_id=command["commandId"], org_id=command.get("orgId", 0), user_id=command["userId"],
        name=command["name"], time_zone=command["timeZone"], is_default=command["isDefault"])
    if "availability" in command:
        message.availability.SetInParent()
        for window in command["availability"]:
            days = [WEEKDAYS.index(day) + 1 for day in window["days"]]
            message.availability.windows.add(days=days, start_time=window["startTime"], end_time=window["endTime"])
    for override in command.get("overrides", []):
        message.overrides.add(date=override["date"], start_time=override["startTime"], end_time=override["endTime"])
    return bytes(message.SerializeToString())


def framed(value: bytes, path: bytes = b"\0") -> bytes:
    """In Confluent's wire format: a zero byte, the schema's id, the path of the message in its file."""
    return b"\0" + struct.pack(">i", 7) + path + value


def _unframed(value: bytes) -> bytes:
    if value[:1] != b"\0":
        return value
    return value[6:] if value[5:6] == b"\0" else value[7:]


def decode_command(value: bytes, headers: Mapping[str, bytes]) -> dict[str, Any]:
    """What a valid command asks for, in the form of `Row.content`."""
    if headers.get("content-type", b"").lower().startswith(b"application/json"):
        body = json.loads(value)
        windows, overrides = body.get("availability"), body.get("overrides")
        return {"command_id": body["commandId"], "org_id": body.get("orgId", 0), "owner_id": body["userId"],
                "name": body["name"], "time_zone": body["timeZone"], "is_default": body["isDefault"],
                "availability": WORKING_HOURS if windows is None else windows, "overrides": overrides or []}
    message = messages().CreateSchedule.FromString(_unframed(value))
    windows = _windows(message.availability.windows) if message.HasField("availability") else WORKING_HOURS
    return {"command_id": message.command_id, "org_id": message.org_id, "owner_id": message.user_id,
            "name": message.name, "time_zone": message.time_zone, "is_default": message.is_default,
            "availability": windows, "overrides": _overrides(message.overrides)}


def decode_created(value: bytes, headers: Mapping[str, bytes]) -> dict[str, Any]:
    """A ScheduleCreated with the names of decode_command, and id and version."""
    if headers["content-type"] == b"application/json":
        event = json.loads(value)
        schedule = event["schedule"]
        return {"command_id": event["commandId"], "org_id": int(schedule["orgId"]), "owner_id": int(schedule["ownerId"]),
                "name": schedule["name"], "time_zone": schedule["timeZone"], "is_default": schedule["isDefault"],
                "availability": schedule["availability"], "overrides": schedule["overrides"],
                "id": int(schedule["id"]), "version": int(schedule["version"])}
    event = messages().ScheduleCreated.FromString(value)
    schedule = event.schedule
    return {"command_id": event.command_id, "org_id": schedule.org_id, "owner_id": schedule.owner_id,
            "name": schedule.name, "time_zone": schedule.time_zone, "is_default": schedule.is_default,
            "availability": _windows(schedule.availability), "overrides": _overrides(schedule.overrides),
            "id": schedule.id, "version": schedule.version}


def _windows(windows: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"days": [WEEKDAYS[day - 1] for day in window.days], "startTime": window.start_time,
             "endTime": window.end_time} for window in windows]


def _overrides(overrides: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"date": one.date, "startTime": one.start_time, "endTime": one.end_time} for one in overrides]


# ---- topics

@dataclass(frozen=True)
class Message:
    """A Kafka message. Where a header repeats, the last one counts; `header_list` holds all."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    header_list: tuple[tuple[str, bytes], ...]

    @property
    def headers(self) -> dict[str, bytes]:
        return dict(self.header_list)


class Topic:
    """Reads a topic from its beginning, read_committed; what was read stays in `records`, in the order of arrival."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self.records: list[Message] = []
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed",
                                       enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=10_000,
                                       fetch_max_wait_ms=50, max_partition_fetch_bytes=4 << 20,
                                       reconnect_backoff_max_ms=500, metrics_enabled=False)
        numbers = self._consumer.partitions_for_topic(name)
        assert numbers, f"there is no topic {name}"
        self._partitions = [TopicPartition(name, number) for number in sorted(numbers)]
        self._consumer.assign(self._partitions)

    def __enter__(self) -> Topic:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._consumer.close()

    def poll(self, timeout_ms: int = 100) -> None:
        for batch in self._consumer.poll(timeout_ms).values():
            self.records += [Message(record.partition, record.offset, record.key, record.value, tuple(record.headers))
                             for record in batch]

    def ends(self) -> dict[int, int]:
        """The offset after the last committed message of each partition."""
        return {at.partition: end for at, end in self._consumer.end_offsets(self._partitions).items()}

    def read_to_end(self, deadline_s: float = 60) -> list[Message]:
        """Everything that is in the topic now. Raises TimeoutError."""
        ends = self.ends()
        deadline = time.monotonic() + deadline_s
        while any(self._consumer.position(at) < ends[at.partition] for at in self._partitions):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} was not read to its end within {deadline_s} s")
            self.poll()
        return self.records

    def wait_for(self, wanted: Callable[[Message], bool], count: int = 1, deadline_s: float = 20) -> list[Message]:
        """The messages that are wanted, once there are `count` of them. Raises TimeoutError."""
        deadline = time.monotonic() + deadline_s
        while len(found := [record for record in self.records if wanted(record)]) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} messages in {self.name} within {deadline_s} s")
            self.poll()
        return found


def producer(bootstrap: str, **options: Any) -> KafkaProducer:
    """kafka-python's producer with its own default partitioner, the murmur2 of the Java client."""
    return KafkaProducer(**{"bootstrap_servers": bootstrap, "linger_ms": 5, "max_request_size": 8 << 20,
                            "enable_idempotence": False, "acks": 1, "reconnect_backoff_max_ms": 500,
                            "metrics_enabled": False} | options)


# ---- a load

@dataclass(frozen=True)
class Send:
    """One message to produce."""

    key: bytes
    value: bytes
    headers: dict[str, bytes]


ZONES = ["Europe/Rome", "America/New_York", "Asia/Calcutta", "UTC", "Pacific/Auckland"]
GARBAGE = [b"\xff\xff\xff garbage", b"\x0a\x24truncated", b"", b"\0\0\0\0\0", b"\x22\x02\xc3\x28"]


class Load:
    """Commands for many owners, some of them bad, the same for the same seed. The shares are of all messages."""

    def __init__(self, org_id: int, owners: list[int], seed: int, duplicates: float = 0.01, invalid: float = 0.01,
                 undecodable: float = 0.001) -> None:
        self.org_id, self.owners = org_id, owners
        self.random = random.Random(seed)
        self.shares = {"duplicate": duplicates, "invalid": invalid, "undecodable": undecodable}
        self.recent: list[Send] = []

    def messages(self, count: int) -> Iterator[Send]:
        for _ in range(count):
            yield self._next()

    def _next(self) -> Send:
        point = self.random.random()
        for kind, share in self.shares.items():
            if point < share and (kind != "duplicate" or self.recent):
                return getattr(self, f"_{kind}")()
            point -= share
        return self._fresh()

    def _duplicate(self) -> Send:
        return self.random.choice(self.recent)

    def _undecodable(self) -> Send:
        return Send(self._key(), self.random.choice(GARBAGE), {"expect": b"dead", "trace": b"kept"})

    def _invalid(self) -> Send:
        command = self._command()
        command |= self.random.choice([{"timeZone": "Mars/Base"}, {"name": "x" * 256}, {"userId": 0}, {"userId": 1 << 40},
                                       {"overrides": [{"date": "2023-02-29", "startTime": "1", "endTime": "2"}]}])
        return Send(self._key(command), as_protobuf(command), {"expect": b"rejected"})

    def _fresh(self) -> Send:
        command = self._command()
        form = self.random.random()
        headers = {"expect": b"created"}
        if form < 0.3:
            send = Send(self._key(command), json.dumps(command).encode(), headers | {"content-type": b"application/json"})
        else:
            value = as_protobuf(command)
            send = Send(self._key(command), framed(value) if form < 0.4 else value, headers)
        self.recent = [*self.recent[-99:], send]
        return send

    def _command(self) -> dict[str, Any]:
        pick = self.random
        owner = pick.choice(self.owners)
        command: dict[str, Any] = {
            "commandId": str(uuid.UUID(int=pick.getrandbits(128), version=4)), "userId": owner,
            "orgId": pick.choice([0, self.org_id]), "name": f"Load {pick.randrange(10**6)} \u00e9",
            "timeZone": pick.choice(ZONES), "isDefault": pick.random() < 0.2}
        if pick.random() < 0.5:
            command["availability"] = [{"days": pick.sample(WEEKDAYS, 2), "startTime": "08:30", "endTime": "23:59"}]
        if pick.random() < 0.3:
            command["overrides"] = [{"date": "2024-02-29", "startTime": "10:00", "endTime": "10:00"}]
        return command

    def _key(self, command: Mapping[str, Any] | None = None) -> bytes:
        return str(command["userId"] if command else self.random.choice(self.owners)).encode()


def produce(sender: KafkaProducer, topic: str, sends: Iterable[Send]) -> int:
    """Sends all and waits until Kafka has them; how many. Raises what Kafka refused."""
    futures = [sender.send(topic, key=send.key, value=send.value, headers=list(send.headers.items())) for send in sends]
    sender.flush()
    for future in futures:
        future.get(60)
    return len(futures)


# ---- the audit

@dataclass(frozen=True)
class Place:
    """A database and topics that belong together: one line."""

    database_url: str
    bootstrap: str
    commands: str
    events: str
    dead_letters: str
    slot: str


@dataclass
class HttpAnswers:
    """What HTTP clients were told: the schedules answered 201, and how many requests got no answer or a 5xx."""

    created: list[dict[str, Any]] = field(default_factory=list)
    unknown: int = 0


@dataclass(frozen=True)
class Created:
    """A ScheduleCreated event."""

    message: Message
    content: dict[str, Any]


@dataclass
class Report:
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        self.faults.append(text)

    def __str__(self) -> str:
        lines = [f"  {name:<28}{count:>9}" for name, count in self.counts.items()]
        if self.faults:
            lines.append(f"  FAULTS: {len(self.faults)}, the first of them:")
            lines += [f"    {fault}" for fault in self.faults[:20]]
        return "\n".join(lines)


def is_settled(place: Place) -> bool:
    """Whether each message of the commands topic was processed, as the stored offsets tell."""
    with Topic(place.bootstrap, place.commands) as commands:
        ends = {partition: end for partition, end in commands.ends().items() if end > 0}
    stored = dict(query(place.database_url, "SELECT partition, next_offset FROM command_offsets WHERE topic = %s",
                        place.commands))
    return all(stored.get(partition, 0) >= end for partition, end in ends.items())


def wait_quiet(place: Place, deadline_s: float = 60, on_wait: Callable[[], None] = lambda: None) -> None:
    """Waits until all commands are settled and the relay has confirmed everything committed. Raises TimeoutError."""
    deadline = time.monotonic() + deadline_s
    while not is_settled(place):
        _tick(deadline, "the commands are not all settled", on_wait)
    position = query(place.database_url, "SELECT pg_current_wal_insert_lsn()")[0][0]
    behind = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND confirmed_flush_lsn >= %s"
    while not query(place.database_url, behind, place.slot, position):
        _tick(deadline, f"the relay has not confirmed {position}", on_wait)


def _tick(deadline: float, what: str, on_wait: Callable[[], None]) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(what)
    on_wait()
    time.sleep(0.1)


def query(database_url: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query; a statement without rows gives none."""
    connection = psycopg2.connect(database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


ROWS = """SELECT id, command_id::text, coalesce(org_id, 0), owner_id, name, time_zone, availability, overrides, version
            FROM schedules"""


def audit(place: Place, http: HttpAnswers | None = None) -> Report:
    """Compares everything. The line must be quiet."""
    http = http or HttpAnswers()
    report = Report()
    with Topic(place.bootstrap, place.commands) as topic:
        commands = topic.read_to_end(120)
    with Topic(place.bootstrap, place.events) as topic:
        events = topic.read_to_end(120)
    with Topic(place.bootstrap, place.dead_letters) as topic:
        dead_letters = topic.read_to_end(120)
    names = ("id", "command_id", "org_id", "owner_id", "name", "time_zone", "availability", "overrides", "version")
    rows = {row[1]: dict(zip(names, row, strict=True)) for row in query(place.database_url, ROWS)}
    created, rejected = _sort_events(events, report)
    first = _check_created(commands, rows, created, report)
    _check_http(http, rows, first, report)
    _check_rejected(place.commands, commands, rejected, report)
    _check_dead_letters(place.commands, commands, dead_letters, report)
    _check_rows_and_events(rows, created, report)
    _check_order(first, created, events, report)
    _check_defaults(place.database_url, created, report)
    report.counts.update({
        "messages in": len(commands), "rows": len(rows), "ScheduleCreated": len(created),
        "ScheduleCommandRejected": len(rejected), "dead letters": len(dead_letters),
        "answered 201 by HTTP": len(http.created), "repeated command ids": report.counts.pop("repeated", 0)})
    return report


def assert_exact(place: Place, http: HttpAnswers | None = None) -> Report:
    report = audit(place, http)
    assert not report.faults, f"the ledger is not balanced\n{report}"
    return report


def _sort_events(events: list[Message], report: Report) -> tuple[dict[str, Created], dict[str, Message]]:
    """ScheduleCreated by command id and ScheduleCommandRejected by ce_id; whatever comes twice is a fault."""
    created: dict[str, Created] = {}
    rejected: dict[str, Message] = {}
    seen: set[bytes] = set()
    for event in events:
        headers = event.headers
        if headers["ce_id"] in seen:
            report.fault(f"twice: event {headers['ce_id']!r} ({headers['ce_type']!r})")
        seen.add(headers["ce_id"])
        if headers["ce_type"] == CREATED.encode():
            content = decode_created(event.value or b"", headers)
            if content["command_id"] in created:
                report.fault(f"twice: ScheduleCreated of command {content['command_id']}")
            created[content["command_id"]] = Created(event, content)
        elif headers["ce_type"] == REJECTED.encode():
            rejected[headers["ce_id"].decode()] = event
        else:
            report.fault(f"an event of unknown type {headers['ce_type']!r}")
    return created, rejected


def _check_created(commands: list[Message], rows: Mapping[str, dict[str, Any]], created: Mapping[str, Created],
                   report: Report) -> dict[str, Message]:
    """Each command to be created has its row and event, equal to it. Returns the first message of each of these ids."""
    first: dict[str, Message] = {}
    for message in commands:
        if message.headers.get("expect") != b"created":
            continue
        command = decode_command(message.value or b"", message.headers)
        command_id = command["command_id"]
        if command_id in first:
            report.counts["repeated"] += 1
            continue
        first[command_id] = message
        if command_id not in rows or command_id not in created:
            missing = "event" if command_id in rows else "row"
            report.fault(f"lost: no {missing} of command {command_id} ({message.partition}/{message.offset})")
        elif any(created[command_id].content[name] != value for name, value in command.items()):
            report.fault(f"the event {created[command_id].content} is not what its command asked for: {command}")
    return first


def _check_http(http: HttpAnswers, rows: Mapping[str, dict[str, Any]], asked: Mapping[str, Message],
                report: Report) -> None:
    """Rows without a command are those of HTTP: one for each 201, and at most one for each request without an answer."""
    by_id = {row["id"]: row for command_id, row in rows.items() if command_id not in asked}
    for schedule in http.created:
        row = by_id.pop(schedule["id"], None)
        if row is None:
            report.fault(f"lost: HTTP answered 201 with schedule {schedule['id']}, which has no row")
        elif row["owner_id"] != schedule["ownerId"] or row["name"] != schedule["name"]:
            report.fault(f"the row {row} is not what HTTP answered: {schedule}")
    if len(by_id) > http.unknown:
        report.fault(f"{len(by_id)} rows that nobody asked for, e.g. {next(iter(by_id.values()))}")


def _check_rejected(topic: str, commands: list[Message], rejected: Mapping[str, Message], report: Report) -> None:
    expected = {f"{topic}/{message.partition}/{message.offset}" for message in commands
                if message.headers.get("expect") == b"rejected"}
    for origin in sorted(expected - rejected.keys()):
        report.fault(f"lost: no rejection of {origin}")
    for origin in sorted(rejected.keys() - expected):
        report.fault(f"a rejection of {origin}, which is not invalid: {rejected[origin].value!r}")


def _check_dead_letters(topic: str, commands: list[Message], letters: list[Message], report: Report) -> None:
    expected = {(message.partition, message.offset): message for message in commands
                if message.headers.get("expect") == b"dead"}
    for letter in letters:
        headers = letter.headers
        origin = (int(headers["dead-letter-partition"]), int(headers["dead-letter-offset"]))
        message = expected.pop(origin, None)
        if message is None:
            report.fault(f"a dead letter of {origin} that is a second one or not undecodable")
        elif (letter.key, letter.value or b"") != (message.key, message.value or b""):
            report.fault(f"the dead letter of {origin} holds other bytes")
        elif letter.header_list[:-4] != message.header_list or headers["dead-letter-topic"] != topic.encode():
            report.fault(f"the dead letter of {origin} has other headers: {letter.header_list}")
    for origin in sorted(expected):
        report.fault(f"lost: no dead letter of {origin}")


def _check_rows_and_events(rows: Mapping[str, dict[str, Any]], created: Mapping[str, Created], report: Report) -> None:
    for command_id in sorted(created.keys() - rows.keys()):
        report.fault(f"an event without a row: command {command_id}")
    for command_id in sorted(rows.keys() - created.keys()):
        report.fault(f"a row without an event: command {command_id}")
    for command_id in created.keys() & rows.keys():
        event, row = created[command_id], rows[command_id]
        if any(event.content[name] != value for name, value in row.items()):
            report.fault(f"the event {event.content} is not equal to its row {row}")
        expected = (f"{row['id']}.1", str(row["id"]), str(row["owner_id"]))
        headers = event.message.headers
        actual = tuple(text.decode() for text in (headers["ce_id"], headers["ce_subject"], event.message.key or b""))
        if expected != actual:
            report.fault(f"the event of {command_id} has id, subject and key {actual}, not {expected}")


def _check_order(first: Mapping[str, Message], created: Mapping[str, Created], events: list[Message],
                 report: Report) -> None:
    """The events of one key come in the order of that key's commands, which all are in one partition."""
    origins = {event.message.headers["ce_id"]: (first[command_id].partition, first[command_id].offset)
               for command_id, event in created.items() if command_id in first}
    latest: dict[tuple[bytes | None, int], int] = defaultdict(lambda: -1)
    for event in events:
        ce_id = event.headers["ce_id"]
        if event.headers["ce_type"] == REJECTED.encode():
            partition, offset = (int(number) for number in ce_id.decode().split("/")[-2:])
        elif ce_id in origins:
            partition, offset = origins[ce_id]
        else:
            continue
        if offset <= latest[event.key, partition]:
            report.fault(f"out of order: key {event.key!r}, command {partition}/{offset} after "
                         f"{latest[event.key, partition]}")
        latest[event.key, partition] = offset


def _check_defaults(database_url: str, created: Mapping[str, Created], report: Report) -> None:
    """An owner's default schedule is that of the owner's last event that set it: rows and events agree on the order."""
    last: dict[int, Created] = {}
    for event in created.values():
        owner = event.content["owner_id"]
        if event.content["is_default"] and (owner not in last or last[owner].message.offset < event.message.offset):
            last[owner] = event
    expected = {owner: event.content["id"] for owner, event in last.items()}
    actual = dict(query(database_url, "SELECT owner_id, schedule_id FROM default_schedules"))
    for owner in sorted(expected.keys() | actual.keys()):
        if expected.get(owner) != actual.get(owner):
            report.fault(f"owner {owner} has the default {actual.get(owner)}, the events say {expected.get(owner)}")
