"""The ledger: what went into the line and what came out of it, read from the servers by clients that are not ours, and
compared. Used by the end-to-end tests and by the fault rig.

Every message in the commands topic tells in its header `expect` what must become of it:
    created, updated, deleted    one event of that kind for its command id, however often that id was sent
    decided    of a command whose sender cannot know: such an event, or a rejection for a reason that the events show to be so
    rejected   one ScheduleCommandRejected for this very message
    refused    one or the other: a rejection or a dead letter
    dead       one dead letter with its key, bytes and headers, or what fits of them
    skipped    nothing: an operator has skipped it
What HTTP answered is given to `audit`, because no server keeps it.

The audit reads the event topic as a stranger would: from its beginning, keeping the last state of each schedule. Each event must
follow from the state before it and from what was asked for; in the end these states must be the rows of the database. Where
changes come over HTTP at the same time, a command must not expect a version that is still to come.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import MetadataEmptyBrokerList

from wire import (CREATED, DELETED, EVENT_OF, FIELDS, REJECTED, UPDATED, WEBHOOK_DISABLED, Command, Rejection, decode_command,
                  decode_event, decode_rejected)

DECIDED = {"exists", "isOwner", "isCurrent", "isUnique"}  # refusals that depend on what happened before
GONE = {"isUser", "isUserInOrg"}  # such, too, of an owner who is removed


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
    """Reads a topic from its beginning, read_committed; what was read stays in `records`, in the order of arrival. `only`: one
    partition of it."""

    def __init__(self, bootstrap: str, name: str, only: int | None = None) -> None:
        self.name = name
        self.records: list[Message] = []
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed",
                                       enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=10_000,
                                       fetch_max_wait_ms=50, max_partition_fetch_bytes=4 << 20,
                                       reconnect_backoff_max_ms=500, metrics_enabled=False)
        numbers = self._partition_numbers()
        assert numbers, f"there is no topic {name}"
        self._partitions = [TopicPartition(name, number) for number in sorted(numbers) if only in (None, number)]
        self._consumer.assign(self._partitions)

    def _partition_numbers(self, deadline_s: float = 20) -> set[int]:
        """A broker that stood still names no broker, not even itself, until it has registered again."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                return set(self._consumer.partitions_for_topic(self.name) or ())
            except MetadataEmptyBrokerList:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

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
    return KafkaProducer(**{"bootstrap_servers": bootstrap, "linger_ms": 5, "max_request_size": 16 << 20,
                            "enable_idempotence": False, "acks": 1, "reconnect_backoff_max_ms": 500,
                            "metrics_enabled": False} | options)


# ---- places, and waiting for them

@dataclass(frozen=True)
class Part:
    """What of a line is audited, where it carries more than can be: one partition of its topics, and the owners below a number, all
    of whose keys are in that partition."""

    partition: int
    owners_below: int


@dataclass(frozen=True)
class Place:
    """A database and topics that belong together: one line."""

    database_url: str
    bootstrap: str
    commands: str
    events: str
    dead_letters: str
    slot: str
    part: Part | None = None


def is_complete(place: Place) -> bool:
    """Whether each message of the commands topic was processed, as the stored offsets tell."""
    with Topic(place.bootstrap, place.commands) as commands:
        ends = {partition: end for partition, end in commands.ends().items() if end > 0}
    stored = dict(query(place.database_url, "SELECT partition, next_offset FROM command_offsets WHERE topic = %s",
                        place.commands))
    return all(stored.get(partition, 0) >= end for partition, end in ends.items())


def wait_completed(place: Place, deadline_s: float = 60, on_wait: Callable[[], None] = lambda: None) -> None:
    """Waits until all commands are completed. Raises TimeoutError."""
    deadline = time.monotonic() + deadline_s
    while not is_complete(place):
        _tick(deadline, "the commands are not all completed", on_wait)


# The slot follows within 10 s; what the relay says it has dealt with is ahead of it.
PUBLISHED = """
    SELECT 1 FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
     WHERE s.slot_name = %s AND (s.confirmed_flush_lsn >= %s OR r.write_lsn >= %s)"""


def wait_quiet(place: Place, deadline_s: float = 60, on_wait: Callable[[], None] = lambda: None) -> None:
    """Waits until all commands are completed and the relay has published everything committed. Raises TimeoutError."""
    deadline = time.monotonic() + deadline_s
    wait_completed(place, deadline_s, on_wait)
    position = query(place.database_url, "SELECT pg_current_wal_insert_lsn()")[0][0]
    while not query(place.database_url, PUBLISHED, place.slot, position, position):
        _tick(deadline, f"the relay has not published up to {position}", on_wait)


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


# ---- the audit

@dataclass
class HttpAnswers:
    """What HTTP clients were told: the schedules answered 201; those answered to a PATCH, with the version of their ETag; the
    ids whose DELETE was answered 200; those created and not deleted that were answered 404 all the same; owners who were removed, or their organization; and how many
    writes got no answer or a 5xx."""

    created: list[dict[str, Any]] = field(default_factory=list)
    updated: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    missing: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    unknown: int = 0


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


ROWS = """SELECT s.id, s.command_id::text, coalesce(org_id, 0), s.owner_id, name, time_zone, availability, overrides, version,
                 d.schedule_id IS NOT NULL
            FROM schedules s LEFT JOIN default_schedules d ON d.schedule_id = s.id AND d.owner_id = s.owner_id
           WHERE s.owner_id < %s"""
EVERY_OWNER = (1 << 63) - 1
COLUMNS = ("id", "command_id", "org_id", "owner_id", "name", "time_zone", "availability", "overrides", "version", "is_default")

Content = dict[str, Any]
Origin = tuple[int, int]


@dataclass
class Event:
    """A ScheduleCreated, ScheduleUpdated or ScheduleDeleted, and the schedule before it. The former default's, which another took
    the place of, is a consequence."""

    message: Message
    kind: str
    content: Content
    before: Content | None = None
    is_consequence: bool = False

    @property
    def schedule(self) -> int:
        return int(self.content["id"])

    @property
    def owner(self) -> int:
        return int(self.content["owner_id"])

    @property
    def command_id(self) -> str:
        return str(self.content["command_id"])

    def __str__(self) -> str:
        return f"{self.kind.rpartition('.')[2]} {self.schedule}.{self.content['version']} of command {self.command_id}"


@dataclass(frozen=True)
class Refusal:
    """A ScheduleCommandRejected and where its command stands."""

    message: Message
    origin: Origin
    content: Rejection

    @property
    def reasons(self) -> set[str]:
        return {constraint for _, constraint, _ in self.content.violations}


def _is_same(name: str, told: Any, asked: Any) -> bool:
    """A time zone may be asked for in any case."""
    return bool(told == asked or (name == "time_zone" and str(told).casefold() == str(asked).casefold()))


def audit(place: Place, http: HttpAnswers | None = None) -> Report:
    """Compares everything. The line must be quiet."""
    return _Audit(place, http or HttpAnswers()).run()


def assert_exact(place: Place, http: HttpAnswers | None = None) -> Report:
    report = audit(place, http)
    assert not report.faults, f"the ledger is not balanced\n{report}"
    return report


class _Audit:
    def __init__(self, place: Place, http: HttpAnswers) -> None:
        self.place, self.http = place, http
        self.report = Report()
        self.fault = self.report.fault
        self.commands = self._read(place.commands)
        self.stream: list[Event | Refusal] = self._sort(self._read(place.events))
        self.events = [one for one in self.stream if isinstance(one, Event)]
        self.refusals = {one.origin: one for one in self.stream if isinstance(one, Refusal)}
        self.asked: dict[Origin, Command] = {}                   # commands whose outcome depends on their content
        self.done: dict[str, list[Origin]] = defaultdict(list)   # by command id: the messages that were not refused
        self.causes: dict[str, Event] = {}                       # by command id: what it did
        self.schedules: dict[int, Content] = {}                  # as they are now, by the events until now
        self.owners = {one.schedule: one.owner for one in self.events if one.kind == CREATED}
        self.made: set[int] = set()                              # every schedule until now
        self.defaults: dict[int, int] = {}

    def run(self) -> Report:
        dead_letters = self._read(self.place.dead_letters)
        self._sort_commands()
        self._mark_consequences()
        for one in self.stream:
            if isinstance(one, Event):
                self._apply(one)
            else:
                self._check_refusal(one)
        self._check_rows()
        self._check_commands()
        self._check_http()
        self._check_order()
        _check_dead_letters(self.place.commands, self.commands, dead_letters, self.refusals.keys(), self.report)
        self._count(dead_letters)
        return self.report

    def _read(self, topic: str) -> list[Message]:
        with Topic(self.place.bootstrap, topic, self.place.part and self.place.part.partition) as reader:
            return reader.read_to_end(120)

    def _count(self, dead_letters: list[Message]) -> None:
        kinds = Counter(event.kind for event in self.events)
        self.report.counts.update({
            "messages in": len(self.commands), "rows": len(self.schedules), "ScheduleCreated": kinds[CREATED],
            "ScheduleUpdated": kinds[UPDATED], "ScheduleDeleted": kinds[DELETED],
            "defaults that were replaced": sum(event.is_consequence for event in self.events),
            "ScheduleCommandRejected": len(self.refusals),
            "of which the events decided": sum(bool(one.reasons & DECIDED) for one in self.refusals.values()),
            "dead letters": len(dead_letters), "answered 201 by HTTP": len(self.http.created),
            "repeated commands": sum(len(origins) - 1 for origins in self.done.values())})

    # ---- what is there

    def _sort(self, messages: list[Message]) -> list[Event | Refusal]:
        """The events in their order; whatever comes twice is a fault, and left out."""
        sorted_events: list[Event | Refusal] = []
        seen: set[bytes] = set()
        for message in messages:
            kind, ce_id = message.headers["ce_type"].decode(), message.headers["ce_id"]
            if ce_id in seen:
                self.fault(f"twice: event {ce_id!r} ({kind})")
            elif kind == REJECTED:
                _, partition, offset = ce_id.decode().rsplit("/", 2)
                content = decode_rejected(message.value or b"", message.headers)
                sorted_events.append(Refusal(message, (int(partition), int(offset)), content))
            elif kind in (CREATED, UPDATED, DELETED):
                sorted_events.append(Event(message, kind, decode_event(message.value or b"", message.headers)))
            elif kind != WEBHOOK_DISABLED:  # which is about no schedule
                self.fault(f"an event of unknown type {kind}")
            seen.add(ce_id)
        return sorted_events

    def _sort_commands(self) -> None:
        """Tells the refused messages from the others, and faults where the sender knows better."""
        unasked = dict(self.refusals)
        for message in self.commands:
            origin, expect = (message.partition, message.offset), message.headers.get("expect", b"").decode()
            refusal = unasked.pop(origin, None) if expect not in ("dead", "skipped") else None
            if expect in ("dead", "skipped", "refused"):
                continue
            if expect == "rejected" and refusal is None:
                self.fault(f"lost: no rejection of {origin}")
            elif expect not in ("rejected", "decided") and refusal:
                self.fault(f"a rejection of {origin}, which is not invalid: {refusal.content}")
            elif refusal is None or refusal.reasons & DECIDED or (expect == "decided" and refusal.reasons & GONE):
                command = self.asked[origin] = decode_command(message.value or b"", message.headers)
                if refusal is None:
                    self.done[command.command_id].append(origin)
            elif expect == "decided":
                self.fault(f"a rejection of {origin} for a reason of its own: {refusal.content}")
        for origin, refusal in unasked.items():
            self.fault(f"a rejection of {origin}, which asks for none: {refusal.content}")

    def _mark_consequences(self) -> None:
        """That a schedule is its owner's default no more is told right before the event that makes another one the default, with
        the same command's id."""
        following: dict[int, Event] = {}
        for event in reversed(self.events):
            cause = following.get(event.owner)
            following[event.owner] = event
            event.is_consequence = (event.kind == UPDATED and cause is not None and cause.command_id == event.command_id
                                    and cause.schedule != event.schedule and bool(cause.content["is_default"]))

    # ---- what the events tell

    def _apply(self, event: Event) -> None:
        before = event.before = self.schedules.get(event.schedule)
        if event.is_consequence:
            self._expect(event, before, {"is_default": False})
            if before and not before["is_default"]:
                self.fault(f"{event} takes a default away that was none")
        elif event.command_id in self.causes:
            self.fault(f"twice: {self.causes[event.command_id]} and {event}")
        else:
            self.causes[event.command_id] = event
        if event.kind == DELETED:
            self._expect(event, before, {})
        self._check_envelope(event)
        self._check_version(event)
        self._keep(event)

    def _keep(self, event: Event) -> None:
        """Makes the event's schedule the present one; an owner never has two defaults."""
        if self.defaults.get(event.owner) == event.schedule:
            del self.defaults[event.owner]
        if event.kind == DELETED:
            self.schedules.pop(event.schedule, None)
            return
        self.schedules[event.schedule] = event.content
        if event.content["is_default"]:
            if event.owner in self.defaults:
                self.fault(f"{event}: its owner has the default {self.defaults[event.owner]} as well")
            self.defaults[event.owner] = event.schedule

    def _check_version(self, event: Event) -> None:
        before, version = event.before, event.content["version"]
        if event.kind == CREATED:
            if event.schedule in self.made or version != 1:
                self.fault(f"{event} is not the first of its schedule")
            self.made.add(event.schedule)
        elif before is None:
            self.fault(f"{event} is of a schedule that is not there")
        elif version != before["version"] + 1:
            self.fault(f"{event} comes after version {before['version']}")
        elif any(event.content[name] != before[name] for name in ("owner_id", "org_id")):
            self.fault(f"{event} moves its schedule to somebody else")

    def _check_envelope(self, event: Event) -> None:
        headers = event.message.headers
        actual = tuple(text.decode() for text in (headers["ce_id"], headers["ce_subject"], event.message.key or b""))
        expected = (f"{event.schedule}.{event.content['version']}", str(event.schedule), str(event.owner))
        if expected != actual:
            self.fault(f"{event} has id, subject and key {actual}, not {expected}")

    def _expect(self, event: Event, before: Content | None, changes: Content) -> None:
        """The schedule is what it was but for the changes."""
        for name in FIELDS.values():
            wanted = changes.get(name, before[name] if before else None)
            if not _is_same(name, event.content[name], wanted):
                self.fault(f"{event} has the {name} {event.content[name]!r}, not {wanted!r}")

    def _check_rows(self) -> None:
        below = self.place.part.owners_below if self.place.part else EVERY_OWNER
        rows = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in query(self.place.database_url, ROWS, below)}
        creators = {event.schedule: event.command_id for event in self.events if event.kind == CREATED}
        for schedule in sorted(rows.keys() - self.schedules.keys()):
            self.fault(f"a row that the events do not tell of: {rows[schedule]}")
        for schedule in sorted(self.schedules.keys() - rows.keys()):
            self.fault(f"lost: no row of schedule {schedule}")
        for schedule in rows.keys() & self.schedules.keys():
            expected = self.schedules[schedule] | {"command_id": creators.get(schedule)}
            if rows[schedule] != expected:
                self.fault(f"the row {rows[schedule]} is not what the events tell: {expected}")
        defaults = dict(query(self.place.database_url, "SELECT owner_id, schedule_id FROM default_schedules"))
        for owner in sorted(defaults.keys() | self.defaults.keys()):
            if defaults.get(owner) != self.defaults.get(owner):
                self.fault(f"owner {owner} has the default {defaults.get(owner)}, the events tell {self.defaults.get(owner)}")

    # ---- what was asked for

    def _check_commands(self) -> None:
        """Each command that was not refused did one thing, and that is what every message with its id asks for."""
        for command_id, origins in self.done.items():
            event = self.causes.get(command_id)
            for origin in origins:
                if event is None:
                    self.fault(f"lost: no event of command {command_id} ({origin})")
                else:
                    self._check_command(self.asked[origin], event)

    def _check_command(self, command: Command, event: Event) -> None:
        before = event.before
        if (event.kind, event.owner) != (EVENT_OF[command.kind], command.owner_id):
            self.fault(f"{event} is not what its command asks for: {command}")
        elif before is None:
            self._expect(event, None, command.fields)
        else:
            wanted = command.fields | {"is_default": command.fields.get("is_default") or before["is_default"]}
            self._expect(event, before, wanted)
            if event.schedule != command.schedule_id or command.expected_version not in (0, before["version"]):
                self.fault(f"{event}, after version {before['version']}, is not what its command asks for: {command}")

    def _check_refusal(self, refusal: Refusal) -> None:
        """The reasons that depend on what happened before, seen from where the rejection stands among its owner's events."""
        command = self.asked.get(refusal.origin)
        if command is None:
            return
        schedule = self.schedules.get(command.schedule_id)
        is_own = schedule is not None and schedule["owner_id"] == command.owner_id
        justified = {
            "exists": not is_own,
            "isOwner": self.owners.get(command.schedule_id, command.owner_id) != command.owner_id,
            "isCurrent": schedule is not None and is_own and command.expected_version not in (0, schedule["version"]),
            "isUnique": self._is_other(command),
            "isUser": command.owner_id in self.http.removed,
            "isUserInOrg": command.owner_id in self.http.removed,
        }
        for reason in refusal.reasons & (DECIDED | GONE):
            if not justified[reason]:
                self.fault(f"a rejection of {refusal.origin} that is not so: {reason}; {command}, {schedule}")

    def _is_other(self, command: Command) -> bool:
        """Whether a message with the same command id was carried out and asks for something else."""
        origins = self.done.get(command.command_id, [])
        return command.command_id in self.causes and all(self.asked[origin] != command for origin in origins)

    def _check_http(self) -> None:
        """What no command caused is HTTP's: one event for each answer, and at most one for each request without an answer."""
        events = {(event.kind, event.schedule, event.content["version"]): event
                  for command_id, event in self.causes.items()
                  if command_id not in self.done and not (event.kind == DELETED and event.owner in self.http.removed)}
        last = {event.schedule: event.content["version"] for event in self.events if event.kind == DELETED}
        for schedule in self.http.created:
            self._check_answer("201", schedule, events.pop((CREATED, schedule["id"], 1), None))
        for schedule, version in self.http.updated:
            self._check_answer("a PATCH", schedule, events.pop((UPDATED, schedule["id"], version), None))
        for schedule_id in self.http.deleted:
            if events.pop((DELETED, schedule_id, last.get(schedule_id)), None) is None:
                self.fault(f"lost: HTTP answered the DELETE of schedule {schedule_id}, of which there is no event")
        for schedule_id in sorted(self.http.missing):
            self.fault(f"HTTP answered that schedule {schedule_id}, which it had created, is not there")
        if len(events) > self.http.unknown:
            self.fault(f"{len(events)} events that nobody asked for, e.g. {next(iter(events.values()))}")

    def _check_answer(self, what: str, schedule: Mapping[str, Any], event: Event | None) -> None:
        if event is None:
            self.fault(f"lost: HTTP answered {what} with schedule {schedule['id']}, of which there is no event")
            return
        told = {name: event.content[own] for name, own in ({"id": "id", "ownerId": "owner_id"} | FIELDS).items()}
        if told != schedule:
            self.fault(f"{event} is not what HTTP answered: {schedule}")

    def _check_order(self) -> None:
        """What became of the commands of one key comes in the order of these commands, which all are in one partition."""
        latest: dict[tuple[bytes | None, int], int] = defaultdict(lambda: -1)
        for one in self.stream:
            if isinstance(one, Event) and (one.is_consequence or one.command_id not in self.done):
                continue
            partition, offset = one.origin if isinstance(one, Refusal) else self.done[one.command_id][0]
            if offset <= latest[one.message.key, partition]:
                self.fault(f"out of order: key {one.message.key!r}, command {partition}/{offset} after "
                           f"{latest[one.message.key, partition]}")
            latest[one.message.key, partition] = offset


def _check_dead_letters(topic: str, commands: list[Message], letters: list[Message], rejected: Collection[Origin], report: Report) -> None:
    expected = {(message.partition, message.offset): message for message in commands
                if message.headers.get("expect") in (b"dead", b"refused")}
    for letter in letters:
        headers = letter.headers
        origin = (int(headers["dead-letter-partition"]), int(headers["dead-letter-offset"]))
        message = expected.pop(origin, None)
        if message is None or origin in rejected:
            report.fault(f"a dead letter of {origin} that is a second one, or not undecodable, or a rejection as well")
        elif letter.key != message.key or not _holds_value(letter, message.value or b""):
            report.fault(f"the dead letter of {origin} holds other bytes")
        elif not _holds_headers(letter, message) or headers["dead-letter-topic"] != topic.encode():
            report.fault(f"the dead letter of {origin} has other headers: {letter.header_list}")
    for origin, message in sorted(expected.items()):
        if message.headers["expect"] == b"dead" or origin not in rejected:
            report.fault(f"lost: no dead letter of {origin}")


def _holds_value(letter: Message, value: bytes) -> bool:
    """All of it, or the first of it, with what tells the whole."""
    held = letter.value or b""
    if b"value" not in letter.headers.get("dead-letter-cut", b"").split(b","):
        return held == value
    size, digest = (letter.headers[f"dead-letter-value-{what}"].decode() for what in ("bytes", "sha256"))
    return value.startswith(held) and len(held) < len(value) == int(size) and hashlib.sha256(value).hexdigest() == digest


def _holds_headers(letter: Message, message: Message) -> bool:
    """All of them, or some in their order, and how many are left out."""
    own = [header for header in letter.header_list if not header[0].startswith("dead-letter-")]
    left_out = int(letter.headers.get("dead-letter-headers-left-out", b"0"))
    rest = iter(message.header_list)
    return all(header in rest for header in own) and len(own) + left_out == len(message.header_list)
