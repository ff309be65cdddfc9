"""Each alarm of deploy/alerts.yml is brought about on a running service, and docs/operations.md tells what to do about it."""

from __future__ import annotations

import os
import random
import re
import signal
import string
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

import ledger
from alerts import ROOT, RULES, rings, scrape
from certificates import Authority, Certificate
from conftest import MakeLine
from hooks import Hooks
from line import MINIMAL, PARTITIONS, Line, kafka_stands_still, server_settings, until

FEW = {"RATE_LIMIT_API_KEY": "5", "RATE_LIMIT_ADDRESS": "5", "RATE_LIMIT_WINDOW_SECONDS": "600"}


# ---- faults

@contextmanager
def locked(line: Line, table: str) -> Iterator[None]:
    """Whoever writes to the table waits."""
    session = psycopg2.connect(line.database_url)
    session.cursor().execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
    try:
        yield
    finally:
        session.close()


@contextmanager
def without_database(line: Line) -> Iterator[None]:
    name = line.database_url.rpartition("/")[2]
    psql = line.servers.postgres.psql
    psql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        psql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@contextmanager
def without_slot(line: Line) -> Iterator[None]:
    until(lambda: drop_slot(line), "the slot is dropped")
    yield
    line.cli("rebuild")


def drop_slot(line: Line) -> bool:
    end_relay(line)
    try:
        line.sql("SELECT pg_drop_replication_slot(%s)", line.place.slot)
    except psycopg2.errors.ObjectInUse:  # the relay was quicker
        return False
    return True


def end_relay(line: Line) -> None:
    line.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", line.place.slot)


def end_writers(line: Line) -> None:
    line.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
             "AND application_name = 'schedule-service writer'")


def restart(line: Line, **env: str) -> None:
    line.stop()
    line.service.env |= env
    starts = line.log().count("msg=started ")
    line.service.start(wait=False)
    until(lambda: line.log().count("msg=started ") > starts, "it listens")


def wait_offsets(line: Line, topic: str) -> None:
    """Waits until the service has the partitions of the topic."""
    sql = "SELECT count(*) FROM command_offsets WHERE topic = %s"
    until(lambda: line.sql(sql, topic) == [(len(line.topic(topic).ends()),)], "it has all partitions")


def send_entries(line: Line, count: int) -> None:
    """What is no entry, to the directory's topic."""
    sender = ledger.producer(line.place.bootstrap)
    for _ in range(count):
        sender.send(line.env["DIRECTORY_TOPIC"], key=b"nonsense", value=b"nonsense")
    sender.close()


def ask(line: Line, count: int, key: str | None) -> None:
    for _ in range(count):
        line.request("GET", line.schedules_path(), key)


# ---- what brings each alarm about, until the end of the block

@contextmanager
def nobody_answers(line: Line) -> Iterator[None]:
    line.stop()
    yield


@contextmanager
def replica_down(line: Line) -> Iterator[None]:
    line.stop(line.start())
    yield


@contextmanager
def certificate_ends(line: Line) -> Iterator[None]:
    """In its place comes one of two days."""
    renewed = certificates(line, 2)
    for name, path in (("HTTP_TLS_CERTIFICATE", renewed.certificate), ("HTTP_TLS_KEY", renewed.key)):
        Path(line.env[name]).write_bytes(path.read_bytes())
    os.kill(line.service.pid, signal.SIGHUP)
    yield


def certificates(line: Line, days: int) -> Certificate:
    """The one that is good for so many days, of an authority of the line."""
    line.directory.mkdir(exist_ok=True)
    authority = Authority(line.directory, f"days-{days}")
    return authority.issue("here", "DNS:localhost", days=days)


@contextmanager
def nobody_publishes(line: Line) -> Iterator[None]:
    restart(line, ROLES="http,consumer")
    yield


@contextmanager
def events_without_change(line: Line) -> Iterator[None]:
    """What the topics tell is beyond the database's WAL, as after it was set back."""
    line.stop()
    sender = ledger.producer(line.place.bootstrap)
    last = line.topic(line.env["PROGRESS_TOPIC"]).read_to_end()[-1]
    sender.send(line.env["PROGRESS_TOPIC"], key=last.key, value=b"FFFF/10", headers=[("timeline", b"1"), ("highest-id", b"1")]).get(30)
    headers = {"ce_type": b"schedules.v1.ScheduleCreated", "ce_id": b"1.1", "ce_subject": b"1", "commit-position": b"1:FFFF/0"}
    sender.send(line.place.events, key=b"1", value=b"", headers=list(headers.items())).get(30)
    sender.close()
    line.service.start()
    yield


@contextmanager
def partition_stopped(line: Line) -> Iterator[None]:
    stop_partition(line, line.place.commands)
    yield


@contextmanager
def directory_partition_stopped(line: Line) -> Iterator[None]:
    stop_partition(line, line.env["DIRECTORY_TOPIC"])
    yield


def stop_partition(line: Line, topic: str) -> None:
    """Its stored offset is beyond its log."""
    line.stop()
    line.sql("INSERT INTO command_offsets (topic, partition, next_offset) VALUES (%s, 0, 1000000) "
             "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset", topic)
    line.service.start(wait=False)


@contextmanager
def connection_stalled(line: Line) -> Iterator[None]:
    wait_offsets(line, line.place.commands)
    with without_database(line):
        line.send(line.command())
        yield


@contextmanager
def partition_waits(line: Line) -> Iterator[None]:
    with locked(line, "schedules"):
        line.send(line.command())
        yield


@contextmanager
def partition_stalled(line: Line) -> Iterator[None]:
    wait_offsets(line, line.env["DIRECTORY_TOPIC"])
    with locked(line, "command_offsets"):
        send_entries(line, 1)
        yield


@contextmanager
def events_late(line: Line) -> Iterator[None]:
    """The relay is under way when Kafka stops: one that begins then knows of nothing that waits, and NobodyPublishes rings."""
    line.event_of_schedule(line.post(MINIMAL).json()["data"]["id"])
    with kafka_stands_still(line):
        line.post(MINIMAL)
        yield


@contextmanager
def events_unpublishable(line: Line) -> Iterator[None]:
    """No event fits into the topic any more, but what tells of one."""
    line.limit_topic(line.place.events, 500)
    restart(line)
    line.service.wait_ready()
    line.post(MINIMAL | {"name": "".join(random.Random(1).choices(string.ascii_letters, k=255))})
    yield


@contextmanager
def slot_behind(line: Line) -> Iterator[None]:
    restart(line, ROLES="http,consumer")
    line.sql("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1 << 20)) FROM generate_series(1, 260)")
    yield


@contextmanager
def foreign_transaction(line: Line, megabytes: int) -> Iterator[None]:
    """Somebody else's, which has written and goes on while so much is written."""
    session = psycopg2.connect(line.database_url)
    session.cursor().execute("SELECT pg_logical_emit_message(true, 'foreign', 'under way')")
    try:
        line.sql("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1 << 20)) FROM generate_series(1, %s)", megabytes)
        yield
    finally:
        session.close()


@contextmanager
def slot_near_loss(line: Line) -> Iterator[None]:
    with server_settings(line.servers.postgres, max_slot_wal_keep_size="128MB"), foreign_transaction(line, 110):
        yield


@contextmanager
def slot_keeps_wal(line: Line) -> Iterator[None]:
    with foreign_transaction(line, 520):
        yield


@contextmanager
def commands_late(line: Line) -> Iterator[None]:
    wait_offsets(line, line.place.commands)
    line.stop()
    line.load(10_100)  # first, since a paused partition's lag is that of its last fetch
    with locked(line, "schedules"):
        restart(line)
        yield


@contextmanager
def directory_late(line: Line) -> Iterator[None]:
    wait_offsets(line, line.env["DIRECTORY_TOPIC"])
    with locked(line, "command_offsets"):
        send_entries(line, 1100)
        yield


@contextmanager
def kafka_commits_slowly(line: Line) -> Iterator[None]:
    with events_late(line):
        until(lambda: line.metric("schedule_relay_lag_seconds") > 3, "it waits for Kafka", 60)
    yield


@contextmanager
def database_commits_slowly(line: Line) -> Iterator[None]:
    line.sql("ALTER TABLE schedules ADD CHECK (pg_sleep(0.7)::text = '') NOT VALID")
    line.send(line.command())
    yield


@contextmanager
def relay_restarts(line: Line) -> Iterator[None]:
    for number in range(1, 7):
        until(lambda: line.metric("schedule_relay_active") == 1, "it publishes")
        end_relay(line)
        until(lambda: line.metric("schedule_relay_restarts_total") >= number, "the relay restarts")
    yield


@contextmanager
def transactions_repeated(line: Line) -> Iterator[None]:
    for number in range(1, 12):
        until(lambda: line.metric('schedule_database_connections_ready{purpose="http"}') == 2, "its connections are there")
        end_writers(line)
        until(lambda: line.metric("schedule_batch_retries_total") >= 2 * number, "they are lost")
    yield


@contextmanager
def requests_fail(line: Line) -> Iterator[None]:
    with without_slot(line):
        line.wait_log("THE REPLICATION SLOT IS LOST")
        until(lambda: line.post(MINIMAL).status_code == 503, "writes are refused")
        for _ in range(10):
            line.post(MINIMAL)
        yield


@contextmanager
def memory_high(line: Line) -> Iterator[None]:
    """Commands of ten megabytes, four in every partition, that come with one fetch and are allowed to, while none can be completed."""
    wait_offsets(line, line.place.commands)
    line.stop()
    with closing(ledger.producer(line.place.bootstrap, compression_type="gzip")) as sender:
        for number in range(16):
            sender.send(line.place.commands, key=b"large", value=b"\x22" + bytes(10 << 20), partition=number % PARTITIONS).get(60)
    with closing(psycopg2.connect(line.database_url)) as session:
        session.cursor().execute("SELECT FROM command_offsets FOR UPDATE")
        line.service.env["UNPACKED_BATCH_BYTES"] = "500000000"
        line.service.start(wait=False)
        yield


@contextmanager
def dead_letters(line: Line) -> Iterator[None]:
    line.send(b"nonsense", expect="dead", key=b"1")
    yield


@contextmanager
def directory_dead_letters(line: Line) -> Iterator[None]:
    send_entries(line, 1)
    yield


@contextmanager
def many_rejections(line: Line) -> Iterator[None]:
    line.load(101, invalid=1.0, duplicates=0, reused=0, undecodable=0, changes=0)
    yield


@contextmanager
def removal_lasts(line: Line) -> Iterator[None]:
    with closing(psycopg2.connect(line.database_url)) as holder:
        holder.cursor().execute("SELECT pg_advisory_lock(7215830125520)")  # nobody takes a step
        line.sql("INSERT INTO removals (type, id, begun_at) VALUES ('user', 5001, now() - interval '2 hours')")
        yield


@contextmanager
def webhooks_late(line: Line) -> Iterator[None]:
    with locked(line, "webhook_offsets"):  # where the sender is to go on cannot be read
        Hooks(line).send(wait=False)
        yield


@contextmanager
def webhook_events_lost(line: Line) -> Iterator[None]:
    hooks = Hooks(line)
    sender = hooks.send()
    hooks.wait_assigned(sender)
    sender.stop()
    line.sql("UPDATE webhook_offsets SET next_offset = 1000000 RETURNING 1")
    sender.start()
    yield


@contextmanager
def keys_guessed(line: Line) -> Iterator[None]:
    ask(line, 110, None)
    yield


@contextmanager
def callers_limited(line: Line) -> Iterator[None]:
    ask(line, 110, line.people.admin_key)
    yield


TRIED: dict[str, Callable[[Line], AbstractContextManager[None]]] = {
    "NobodyAnswers": nobody_answers, "ReplicaDown": replica_down, "CertificateEnds": certificate_ends,
    "SlotLost": without_slot, "PositionNotAccepted": nobody_publishes, "EventsWithoutChange": events_without_change,
    "NobodyPublishes": nobody_publishes, "DatabaseAway": without_database,
    "PartitionStopped": partition_stopped, "DirectoryPartitionStopped": directory_partition_stopped,
    "ConnectionStalled": connection_stalled, "PartitionWaits": partition_waits, "PartitionStalled": partition_stalled, "EventsLate": events_late,
    "EventsUnpublishable": events_unpublishable,
    "SlotBehind": slot_behind, "SlotNearLoss": slot_near_loss, "SlotKeepsWal": slot_keeps_wal,
    "CommandsLate": commands_late, "DirectoryLate": directory_late, "RemovalLasts": removal_lasts,
    "KafkaCommitsSlowly": kafka_commits_slowly, "DatabaseCommitsSlowly": database_commits_slowly, "RelayRestarts": relay_restarts,
    "TransactionsRepeated": transactions_repeated, "RequestsFail": requests_fail, "MemoryHigh": memory_high,
    "DeadLetters": dead_letters, "DirectoryDeadLetters": directory_dead_letters, "ManyRejections": many_rejections,
    "WebhooksLate": webhooks_late, "WebhookEventsLost": webhook_events_lost,
    "KeysGuessed": keys_guessed, "CallersLimited": callers_limited,
}


@pytest.mark.parametrize("alarm", TRIED)
def test_an_alarm_rings_when_it_should_and_not_before(make_line: MakeLine, alarm: str) -> None:
    line = make_line(**FEW if alarm in ("KeysGuessed", "CallersLimited") else {})
    if alarm == "CertificateEnds":
        own = certificates(line, 30)
        line.env |= {"HTTP_TLS_CERTIFICATE": str(own.certificate), "HTTP_TLS_KEY": str(own.key)}
        line.http.trust_env = line.http.verify = False
    line.start()
    until(lambda: line.metric("schedule_relay_active") == 1, "it publishes")
    before = scrape(line)
    assert not rings(alarm, before, before)
    with TRIED[alarm](line):
        until(lambda: rings(alarm, before, scrape(line)), f"{alarm} rings", 120)


def test_each_alarm_is_tried_and_told() -> None:
    row = r'^\| <a id="([a-z]+)"></a>`([A-Z]\w+)` \| `(.+?)` \|'
    told = re.findall(row, (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert all(anchor == alarm.lower() for anchor, alarm, _ in told)
    of_the_job = {alarm: re.sub(r'\{job="schedule-service"\}|(?<=\{)job="schedule-service",', "", rule) for alarm, rule in RULES.items()}
    assert {alarm: expression.replace("\\|", "|") for _, alarm, expression in told} == of_the_job
    assert TRIED.keys() == RULES.keys()
