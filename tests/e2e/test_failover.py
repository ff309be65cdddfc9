"""A database that fails over, is set back or restored: nothing is lost, nothing is told of two changes, and what cannot be known is said."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

import ledger
from conftest import MakeLine, fill_directory
from line import MINIMAL, Line, Servers, kafka_stands_still, until
from republished import content, heard, kind_of, rows, state_of
from servers import Postgres, run
from wire import REJECTED, as_protobuf

WAITS = (503, "no relay has accepted the position of the database yet")
SLOT_LOST = (503, "the replication slot is missing or lost; run schedule-service rebuild")
READY = (200, None)
NEVER_TOLD = "schedule_relay_events_without_change_total"
HEALED = 'schedule_relay_healed_schedules_total{kind="%s"}'


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
            line = Line(Servers(primary, servers.kafka, "template_line", people, servers.directory), MAX_SCHEDULES_PER_USER="0")
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


def assert_converged(line: Line) -> None:
    """Who keeps the latest version of each schedule ends with the rows, and no ce_id is told of two states."""
    ledger.wait_quiet(line.place)
    known, torn = heard(published(line))
    assert not torn
    assert known == {schedule: content(row) for schedule, row in rows(line).items()}


def start_again(line: Line) -> None:
    """Until it answers something."""
    starts = line.log().count("msg=started")
    line.service.start(wait=False)
    until(lambda: line.log().count("msg=started") > starts, "it answers")


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


# ---- what is published and the database has not

def change(line: Line, method: str, schedule: int, **fields: object) -> None:
    answer = line.request(method, f"{line.schedules_path()}/{schedule}", line.people.admin_key, json=fields or None)
    assert answer.status_code == 200, answer.text


@dataclass
class Lost:
    """Changes that are published and that the database is about to forget, of schedules that it does not forget; the fate of each is its name."""

    changed: int
    changed_often: int
    deleted: int
    left: int
    created: list[int] = field(default_factory=list)

    @classmethod
    def prepare(cls, line: Line) -> Lost:
        lost = cls(*post(line, 4))
        change(line, "PATCH", lost.changed_often, name="kept", isDefault=True)
        change(line, "PATCH", lost.changed_often, name="kept as well")
        return lost

    def happen(self, line: Line) -> None:
        change(line, "PATCH", self.changed, name="forgotten")
        for number in range(5):
            change(line, "PATCH", self.changed_often, name=f"forgotten {number}")
        change(line, "DELETE", self.deleted)
        self.created = post(line, 3)
        change(line, "PATCH", self.created[0], name="forgotten")
        change(line, "DELETE", self.created[1])
        ledger.wait_quiet(line.place)

    def assert_healed(self, line: Line) -> None:
        """At once, and after the same schedules have changed once more, a consumer ends with the rows, and no ce_id has two meanings."""
        there = rows(line)
        assert {self.changed, self.changed_often, self.deleted, self.left} <= there.keys()
        assert not there.keys() & set(self.created)
        assert {schedule: row["version"] for schedule, row in there.items() if row["version"] > 1} == {
            self.changed: 3, self.changed_often: 9, self.deleted: 3}
        assert (line.metric(HEALED % "raised"), line.metric(HEALED % "ended")) == (3, 2)
        assert "raised=3 ended=2" in line.log()
        assert_converged(line)
        for schedule in (self.changed, self.changed_often, self.deleted, self.left):
            change(line, "PATCH", schedule, name="after that")
        change(line, "DELETE", self.changed)
        assert_converged(line)


def lose_on_the_way(pair: Pair) -> Lost:
    """What the standby has not got when it is promoted."""
    pair.line.start()
    lost = Lost.prepare(pair.line)
    pair.keep_slot()
    pair.standby.stop()
    lost.happen(pair.line)
    return lost


def test_a_failover_heals_what_the_standby_has_in_an_older_version(make_pair: MakePair) -> None:
    pair = make_pair()
    line = pair.line
    lost = lose_on_the_way(pair)
    pair.fail_over()
    line.wait_readiness(READY, 60)
    lost.assert_healed(line)
    deleted = [event for event in published(line) if event.headers["ce_id"] == f"{lost.created[0]}.3".encode()]
    assert [(kind_of(event), state_of(event)["name"]) for event in deleted] == [("Deleted", "forgotten")]


def test_a_failover_is_healed_once_although_the_relay_is_killed_meanwhile(make_pair: MakePair) -> None:
    """Between each of its steps: what is healed and not accepted is looked at again."""
    pair = make_pair()
    line = pair.line
    lost = lose_on_the_way(pair)
    line.service.kill9()
    pair.fail_over()
    line.sql("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$")
    line.sql("CREATE TRIGGER not_yet BEFORE INSERT OR UPDATE ON relay_positions FOR EACH ROW EXECUTE FUNCTION fail()")
    line.service.start(wait=False)
    line.wait_log("not yet")
    line.wait_readiness(WAITS)  # its other connections may be made later
    line.service.kill9()
    line.sql("DROP TRIGGER not_yet ON relay_positions")
    line.service.start()
    assert_converged(line)
    assert rows(line)[lost.changed]["version"] == 3


def test_a_dump_that_is_restored_is_healed(make_pair: MakePair) -> None:
    pair = make_pair()
    line, postgres = pair.line, pair.primary
    line.start()
    lost = Lost.prepare(line)
    ledger.wait_quiet(line.place)
    dump = line.directory / "dump"
    dump.write_text(run(*postgres._tool("pg_dump", "--dbname", line.database_url)))
    lost.happen(line)
    line.stop()
    database = line.database_url.rpartition("/")[2]
    postgres.psql(f"SELECT pg_drop_replication_slot('{line.place.slot}')")
    postgres.psql(f'DROP DATABASE "{database}" WITH (FORCE)')
    postgres.psql(f'CREATE DATABASE "{database}"')
    run(*postgres._tool("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(dump), line.database_url))
    start_again(line)
    line.wait_readiness(SLOT_LOST)
    line.cli("rebuild")
    line.wait_readiness(READY, 60)
    lost.assert_healed(line)


def wait_looks(line: Line, count: int) -> None:
    """Until the service has looked so many times more at where its database stands."""
    sql = "SELECT query_start FROM pg_stat_activity WHERE application_name = 'schedule-service monitor'"
    for _ in range(count):
        last = line.sql(sql)
        until(lambda: line.sql(sql) != last, "it looks")


@pytest.mark.parametrize("is_running", [False, True])
def test_a_disk_that_is_set_back_is_healed(make_pair: MakePair, is_running: bool) -> None:
    """With its slot, as a snapshot of the machine is: its WAL ends before what is published. A process that runs meanwhile sees that it ends
    before what it has seen itself, and shuts its interfaces."""
    pair = make_pair()
    line, postgres = pair.line, pair.primary
    shuts = f'msg="intake closed" reason="{WAITS[1]}'
    assert postgres.data
    line.start()
    lost = Lost.prepare(line)
    ledger.wait_quiet(line.place)
    line.stop()
    postgres.stop()
    snapshot = postgres.data.with_name("snapshot")
    subprocess.run(["cp", "-a", str(postgres.data), str(snapshot)], check=True)
    postgres.start()
    line.service.start()
    lost.happen(line)
    shut = line.log().count(shuts)
    if is_running:
        wait_looks(line, 3)
        postgres.kill9()
    else:
        line.stop()
        postgres.stop()
    shutil.rmtree(postgres.data)
    snapshot.rename(postgres.data)
    postgres.start()
    if is_running:
        line.wait_log("the database is behind the published position", 60)
        line.wait_readiness(READY, 60)
    else:
        line.service.start()
    assert line.log().count(shuts) == shut + 1
    assert "the database is behind the published position" in line.log()
    assert line.metric(NEVER_TOLD) == 12
    lost.assert_healed(line)


# ---- whose server, and whose slot

def test_the_old_primary_that_comes_back_is_refused(make_pair: MakePair) -> None:
    pair = make_pair()
    line = pair.line
    line.start()
    pair.keep_slot()
    pair.standby.stop()
    pair.fail_over()
    line.wait_readiness(READY, 60)
    post(line)
    ledger.wait_quiet(line.place)
    pair.standby.kill9()
    pair.primary.start()
    pair.go_to(pair.primary)
    line.wait_readiness(SLOT_LOST, 60)
    line.wait_log("is on timeline 1, which does not come from timeline 2")
    assert line.request("POST", line.schedules_path(), line.people.admin_key, json=MINIMAL).status_code == 503
    pair.primary.kill9()
    pair.standby.start()
    pair.go_to(pair.standby)
    line.wait_readiness(READY, 60)
    post(line)
    assert_converged(line)


def test_a_slot_that_is_made_anew_by_hand_is_lost(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    line.event_of_schedule(post(line)[0])
    ledger.wait_quiet(line.place)
    line.stop()
    line.sql("SELECT pg_drop_replication_slot(%s)", line.place.slot)
    line.sql("SELECT pg_logical_emit_message(true, 'foreign', repeat('x', 1000))")  # nobody will hear of it
    line.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", line.place.slot)
    start_again(line)
    line.wait_readiness(SLOT_LOST, 30)
    line.wait_log("it was recreated by hand")
    assert line.request("POST", line.schedules_path(), line.people.admin_key, json=MINIMAL).status_code == 503
    line.cli("rebuild")
    line.wait_readiness(READY, 30)
    post(line)
    assert_converged(line)


# ---- Kafka is away

def test_the_same_server_is_written_to_again_while_kafka_is_away(make_pair: MakePair) -> None:
    pair = make_pair()
    line = pair.line
    line.start()
    post(line)
    ledger.wait_quiet(line.place)
    with kafka_stands_still(line):
        made = post(line)
        pair.primary.kill9()
        pair.primary.start()
        line.wait_readiness(READY)
        made += post(line)
    for schedule in made:
        line.event_of_schedule(schedule, 60)
    assert_converged(line)


def test_a_process_that_starts_while_kafka_is_away_waits(make_line: MakeLine) -> None:
    line = make_line()
    with kafka_stands_still(line):
        line.start(wait=False)
        line.wait_log("started")
        line.wait_readiness(WAITS)
        answer = line.request("POST", line.schedules_path(), line.people.admin_key, json=MINIMAL)
        assert (answer.status_code, bool(answer.headers["Retry-After"])) == (503, True)
        assert line.readiness() == WAITS
    line.wait_readiness(READY, 60)
    post(line)
