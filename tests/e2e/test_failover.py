"""A database that fails over, is set back or restored: nothing is lost, nothing is told of two changes, and what cannot be known is said."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import requests

import ledger
from conftest import MakeLine, fill_directory
from line import BINARY, MINIMAL, Line, Servers, until
from retold import kind_of, rows, state_of
from servers import Postgres, run, wait_until
from wire import REJECTED, as_protobuf

WAITS = (503, "no relay has accepted the position of the database yet")
SLOT_LOST = (503, "the replication slot is missing or lost; run schedule-service rebuild")
READY = (200, None)
NEVER_TOLD = "schedule_relay_events_without_change_total"


@dataclass
class Pair:
    """A primary and its standby, and a line whose service knows both."""

    primary: Postgres
    standby: Postgres
    line: Line
    made: list[int] = field(default_factory=list)  # schedules that both have

    def keep_slot(self) -> None:
        """The standby has the slot as it is now, and the WAL that it begins with."""
        begin = self.standby.psql("SELECT pg_last_wal_replay_lsn()").strip()

        def has_moved() -> bool:
            self.made += post(self.line)
            ledger.wait_quiet(self.line.place)
            self.primary.psql("checkpoint")
            return bool(self.line.sql("SELECT restart_lsn >= %s FROM pg_replication_slots WHERE slot_name = %s", begin,
                                      self.line.place.slot)[0][0])

        until(has_moved, "the slot begins behind the base backup")
        self.standby.copy_slot(self.primary, self.line.place.slot)

    def fail_over(self) -> None:
        """The primary is gone for good, and what the standby has not got with it."""
        self.primary.kill9()
        self.standby.start()
        self.standby.promote()
        self.go_to(self.standby)

    def go_to(self, server: Postgres) -> None:
        """Where the test itself looks from now on."""
        database = self.line.database_url.rpartition("/")[2]
        self.line.database_url = server.dsn(database)
        self.line.place = replace(self.line.place, database_url=self.line.database_url)


MakePair = Callable[..., Pair]


@pytest.fixture
def make_pair(servers: Servers, request: pytest.FixtureRequest) -> Iterator[MakePair]:
    made: list[Pair] = []
    request.node.lines = []

    def make() -> Pair:
        directory = servers.directory / f"pair-{uuid.uuid4().hex[:8]}"
        directory.mkdir(mode=0o711)
        primary, standby = Postgres(directory / "one"), Postgres(directory / "two", settings={"hot_standby": "on"})
        try:
            primary.start()
            people = fill_directory(primary.create_database("template_line"))
            primary.psql("SELECT pg_drop_replication_slot('schedule_service')")
            line = Line(Servers(primary, servers.kafka, "template_line", people, servers.directory))
            standby.follow(primary)
        except BaseException:
            primary.close()
            standby.close()
            raise
        database = line.database_url.rpartition("/")[2]
        line.env["DATABASE_URL"] = (f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{database}"
                                    "?target_session_attrs=read-write")
        made.append(Pair(primary, standby, line))
        request.node.lines.append(line)
        return made[-1]

    yield make
    for pair in made:
        for replica in pair.line.replicas:
            replica.close()
        pair.line.http.close()
        pair.standby.close()
        pair.primary.close()


def post(line: Line, count: int = 1) -> list[int]:
    made = []
    for _ in range(count):
        answer = line.request("POST", line.schedules_path(), line.people.admin_key, json=MINIMAL)
        assert answer.status_code == 201, answer.text
        made.append(int(answer.json()["data"]["id"]))
    return made


def send_many(line: Line, count: int) -> None:
    """Commands, without waiting for each."""
    producer = ledger.producer(line.servers.kafka.bootstrap)
    for _ in range(count):
        command = line.command()
        producer.send(line.place.commands, key=str(command["userId"]).encode(), value=as_protobuf(command))
    producer.close(timeout=30)


def published(line: Line) -> list[ledger.Message]:
    return [event for event in line.topic(line.place.events).read_to_end() if event.headers["ce_type"] != REJECTED.encode()]


def assert_one_meaning(line: Line) -> None:
    """No ce_id is told of two commands."""
    told = defaultdict(set)
    for event in published(line):
        told[event.headers["ce_id"]].add(state_of(event)["command_id"])
    assert not [ce_id for ce_id, commands in told.items() if len(commands) > 1]


def assert_all_told(line: Line) -> None:
    """Each row has its event."""
    told = {state_of(event)["command_id"] for event in published(line)}
    assert {row["command_id"] for row in rows(line).values()} <= told


def assert_positions_grow(line: Line) -> None:
    """Each event tells its commit's timeline and position, which grow within a partition."""
    last: dict[int, tuple[int, int]] = {}
    for event in published(line):
        found = re.fullmatch(rb"(\d+):([0-9A-F]+)/([0-9A-F]+)", event.headers["commit-position"])
        assert found, event.headers
        position = int(found[1]), (int(found[2], 16) << 32) + int(found[3], 16)
        assert last.get(event.partition, (0, 0)) <= position
        last[event.partition] = position


# ---- failover

@pytest.mark.parametrize("backlog", [1, 2000])
def test_a_failover_loses_nothing_and_says_what_it_cannot_know(make_pair: MakePair, backlog: int) -> None:
    """The standby lacks the last commits, whose events are published. What is written to it afterwards runs through the same positions
    of the WAL."""
    pair = make_pair()
    line = pair.line
    line.start()
    pair.keep_slot()
    pair.standby.stop()
    lost = post(line, 300)
    line.event_of_schedule(lost[-1])
    ledger.wait_quiet(line.place)
    pair.primary.kill9()
    send_many(line, backlog)
    pair.fail_over()
    until(lambda: line.sql("SELECT count(*) FROM schedules")[0][0] == len(pair.made) + backlog, "the backlog is stored", 60)
    line.wait_readiness(READY)
    ledger.wait_quiet(line.place)
    assert_all_told(line)
    assert_one_meaning(line)
    assert_positions_grow(line)
    assert line.metric(NEVER_TOLD) == len(lost)
    assert "the database is on a new timeline" in line.log()
    assert f'event="schedules.v1.ScheduleCreated {lost[0]}.1"' in line.log()
    assert min(row["id"] for row in rows(line).values() if row["id"] not in pair.made) > max(lost)
    again = post(line)
    line.event_of_schedule(again[0])
