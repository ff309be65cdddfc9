"""What readiness means: unready is who cannot answer HTTP; what else is amiss is told as degraded and takes traffic from nobody.
A lost slot: test_rebuild.py; servers that are away: test_faults.py."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest

from conftest import MakeLine
from line import MINIMAL, Line, server_settings, until


def wait_degraded(line: Line, *patterns: str, deadline_s: float = 60) -> None:
    """Waits until it is ready and degraded for these reasons, in this order, and no others."""
    def is_told() -> bool:
        texts = line.degraded()
        return len(texts) == len(patterns) and all(map(re.fullmatch, patterns, texts))

    until(is_told, f"it says {patterns}", deadline_s)


def answers(line: Line) -> bool:
    """Whether HTTP is served, reads and writes."""
    return line.post(MINIMAL).status_code == 201 and line.request("GET", line.schedules_path(), line.people.admin_key).ok


@pytest.mark.parametrize("topic", ["COMMANDS_TOPIC", "DIRECTORY_TOPIC"])
def test_a_stopped_partition_takes_http_from_nobody(make_line: MakeLine, topic: str) -> None:
    line = make_line()
    line.sql("INSERT INTO command_offsets VALUES (%s, 0, 1000)", line.env[topic])
    line.start()
    wait_degraded(line, f"partition 0 of {line.env[topic]} is stopped")
    assert answers(line)


def test_a_partition_that_makes_no_progress_is_named(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    sent = line.send(line.command(), partition=2)
    until(lambda: line.sql("SELECT count(*) FROM schedules") == [(1,)], "it takes commands")
    wait_degraded(line)
    holder = psycopg2.connect(line.database_url)
    topic = line.place.commands
    holder.cursor().execute("SELECT FROM command_offsets WHERE topic = %s AND partition = 2 FOR UPDATE", (topic,))
    line.send(line.command(), partition=2)
    until(lambda: any("makes no progress" in text for text in line.degraded()), "it is told", 60)
    texts = line.degraded()
    told = rf"partition 2 of {topic} makes no progress: its oldest message waits for [3-9]\d s"
    assert any(re.fullmatch(told, text) for text in texts), texts
    assert not [text for text in texts if "partition" in text and "partition 2 " not in text]
    stuck = f'schedule_partition_oldest_write_seconds{{topic="{topic}",partition="2"}}'
    assert line.metric(stuck) >= 30
    holder.close()
    wait_degraded(line)
    assert stuck not in line.request("GET", "/metrics").text
    assert line.sql("SELECT next_offset FROM command_offsets WHERE topic = %s AND partition = 2", topic) == [(sent.offset + 2,)]


def test_without_a_relay_it_is_ready_and_says_so(make_line: MakeLine) -> None:
    line = make_line()
    line.start_intake()
    wait_degraded(line, "no relay holds the replication slot")
    assert answers(line)
    relay = line.start(ROLES="relay")
    wait_degraded(line)
    until(lambda: line.readiness(relay) == (200, None), "so is the relay's process")


def test_without_kafka_it_is_ready_and_says_so(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    wait_degraded(line)
    kafka = line.servers.kafka
    kafka.stop()
    try:
        until(lambda: all(any(topic in text for text in line.degraded() if text.startswith("Kafka is away"))
                          for topic in (line.place.commands, line.env["DIRECTORY_TOPIC"])), "it says that Kafka is away")
        assert answers(line)
    finally:
        kafka.start()
    wait_degraded(line)


def test_events_that_wait_are_told(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    wait_degraded(line)
    kafka = line.servers.kafka
    kafka.stop()
    try:
        assert answers(line)
        until(lambda: any(text.startswith("the relay ") for text in line.degraded()), "it is told", 60)
    finally:
        kafka.start()
    wait_degraded(line)


def test_a_relay_alone_is_ready_whatever_only_an_intake_needs(make_line: MakeLine) -> None:
    line = make_line(WAL_BUDGET="1000")
    line.start(ROLES="relay", RELAY_DATABASE_URL=re.sub(r":\d+/", ":1/", line.database_url))  # where nobody listens
    interfaces = line.start(wait=False, ROLES="http,consumer")
    until(lambda: "started" in interfaces.log_tail(), "it listens")
    until(lambda: line.readiness(interfaces) == (503, "no relay has accepted the position of the database yet"), "who has interfaces is not")
    wait_degraded(line, "no relay holds the replication slot", "the relay failed and restarts; the log has the cause")


# ---- the database

def test_a_read_only_database_is_not_ready(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    command = line.command()
    with server_settings(line.servers.postgres, default_transaction_read_only="on"):
        line.wait_readiness((503, "the database is read-only"))
        before = time.monotonic()
        assert line.post(MINIMAL).status_code == 503
        assert time.monotonic() - before < 4, "it is turned away at once"
        assert line.request("GET", line.schedules_path(), line.people.admin_key).ok, "what can be read is read"
        line.send(command)
    line.wait_readiness((200, None))
    line.event_of(command["commandId"])
    assert answers(line)
    line.balance()


@contextmanager
def foreign_transaction(line: Line) -> Iterator[None]:
    """Somebody else's transaction that has written and goes on: the slot is confirmed as ever, and its restart_lsn stays."""
    session = psycopg2.connect(line.database_url)
    session.cursor().execute("SELECT pg_logical_emit_message(true, 'foreign', 'under way')")
    yield
    session.close()


def write_wal(line: Line, megabytes: int) -> None:
    """Foreign WAL, and what of it must be known for the slot to move on."""
    line.sql("SELECT pg_logical_emit_message(false, 'foreign', repeat('x', 1 << 20)) FROM generate_series(1, %s)", megabytes)
    line.servers.postgres.psql("CHECKPOINT")


def test_a_foreign_transaction_keeps_wal_and_closes_no_intake(make_line: MakeLine) -> None:
    line = make_line(WAL_BUDGET=str(64 << 20))
    line.start()
    wait_degraded(line)
    with foreign_transaction(line):
        write_wal(line, 130)
        until(lambda: line.metric("schedule_slot_kept_bytes") > 128 << 20, "it is kept")
        until(lambda: line.metric("schedule_slot_behind_bytes") < 64 << 20, "it is read")
        assert line.readiness() == (200, None) and answers(line)
        assert line.metric("schedule_slot_safe_ratio") == 1
        statuses = [line.metric(f'schedule_slot_wal_status{{status="{status}"}}') for status in ("reserved", "extended")]
        assert sorted(statuses) == [0, 1]
    write_wal(line, 1)
    until(lambda: line.metric("schedule_slot_kept_bytes") < 128 << 20, "it is given back", 60)


def test_a_slot_that_is_about_to_be_lost_is_not_ready(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    with server_settings(line.servers.postgres, max_slot_wal_keep_size="256MB"):
        with foreign_transaction(line):
            write_wal(line, 128)
            until(lambda: line.metric("schedule_slot_safe_ratio") < 0.6, "it is seen")
            assert line.readiness() == (200, None)
            while line.metric("schedule_slot_safe_ratio") > 0.1:
                write_wal(line, 8)
                time.sleep(2.1)  # the slot is looked at every two seconds
            line.wait_readiness((503, "the replication slot is about to be lost: too much WAL is kept for it"))
        line.wait_readiness((200, None), 60)
    assert answers(line)
    line.balance()


# ---- roles

def test_each_role_can_be_a_process_of_its_own(make_line: MakeLine) -> None:
    """One that is not for HTTP serves its health alone; the one that is takes nothing from Kafka."""
    line = make_line()
    api = line.start(wait=False, ROLES="http")
    relay, consumer = line.start(ROLES="relay"), line.start(ROLES="consumer")
    api.wait_ready()
    line.replicas = [api, relay, consumer]  # the first is the one that is asked
    created = line.post(MINIMAL)
    assert created.status_code == 201
    command = line.command()
    line.send(command)
    until(lambda: line.sql("SELECT count(*) FROM schedules") == [(2,)], "the consumer has stored the command's")
    until(lambda: "partition assigned" in consumer.log_tail(200), "it is the process that consumes")
    assert "partition assigned" not in api.log_tail(200)
    for replica in (relay, consumer):
        assert line.readiness(replica) == (200, None)
        line.replicas = [replica]
        assert line.request("GET", "/v2/schedules", line.people.admin_key).status_code == 404
    line.replicas = [api, relay, consumer]
    line.event_of_schedule(created.json()["data"]["id"])


def test_former_names_of_roles_go_on_working_with_a_warning(make_line: MakeLine) -> None:
    line = make_line()
    line.start(wait=False, RELAY="off")
    line.start(DOORS="off")
    line.wait_readiness((200, None))
    line.wait_log("RELAY and DOORS are former names; set ROLES")
