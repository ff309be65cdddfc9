"""When something dies or goes away: the ledger stays exact."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from conftest import MakeLine
from line import EXAMPLE, MINIMAL, Line, end_by_signal, until
from load import Load
from replies import assert_error

FAILPOINTS = ["store.before_sync", "store.after_commit", "relay.after_produce", "relay.after_end_txn"]
AWAY = "The service is not available right now, please try again later."


def started_load(line: Line, seed: int) -> Load:
    """A line with one replica under way, and a load of which some is done."""
    line.start()
    return line.load(300, seed=seed)


# ---- the service dies

@pytest.mark.parametrize("passes", [1, 4])
@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_kill_9_at_a_failpoint_loses_and_repeats_nothing(make_line: MakeLine, failpoint: str, passes: int) -> None:
    line = make_line()
    load = line.load(1000, seed=passes)
    dying = line.start(wait=False, FAILPOINT=f"{failpoint}:{passes}")
    with line.posting():
        until(lambda: not dying.is_running(), f"it dies at {failpoint}", 30)
    assert "stopped" not in dying.log_tail()
    line.produce(load, 200)
    line.replicas = [line.start(), *line.replicas[:-1]]
    line.produce(load, 200)
    report = line.balance()
    assert report.counts["messages in"] == 1400


def test_kill_9_of_one_of_two_replicas_again_and_again(make_line: MakeLine) -> None:
    line = make_line()
    load = started_load(line, 3)
    line.start()
    producing = threading.Thread(target=line.produce, args=(load, 4000))
    producing.start()
    for number in range(4):
        victim = line.replicas[number % 2]
        time.sleep(0.7)  # some load between two deaths
        victim.kill9()
        victim.start(wait=False)
    producing.join(60)
    line.balance(90)


# ---- PostgreSQL

def test_commands_wait_while_postgres_is_away_and_http_says_503(make_line: MakeLine) -> None:
    line = make_line()
    load = started_load(line, 4)
    postgres = line.servers.postgres
    postgres.stop()
    try:
        line.produce(load, 500)
        line.wait_readiness((503, "the database is away"))
        assert line.request("GET", "/healthz").status_code == 200
        before = time.monotonic()
        answers = [line.post(MINIMAL), line.request("GET", line.schedules_path(), line.people.admin_key)]
        assert time.monotonic() - before < 15
        for answer in answers:
            assert_error(answer, 503, AWAY)
            assert int(answer.headers["Retry-After"]) >= 1
    finally:
        postgres.start()
    line.wait_readiness((200, None), 30)
    assert line.post(EXAMPLE).status_code == 201
    line.produce(load, 100)
    line.balance()


def test_kill_9_of_postgres_under_load(make_line: MakeLine) -> None:
    line = make_line()
    load = started_load(line, 5)
    producing = threading.Thread(target=line.produce, args=(load, 3000))
    with line.posting():
        producing.start()
        for _ in range(2):
            created = len(line.answers.created)
            until(lambda: len(line.answers.created) > created + 10, "HTTP writes are answered", 30)
            line.servers.postgres.kill9()
            line.servers.postgres.start()
    producing.join(60)
    line.wait_readiness((200, None), 30)
    line.balance(90)


def test_the_time_of_an_http_write_begins_with_its_request(make_line: MakeLine) -> None:
    """What the look-up of the caller took is not had by the write again."""
    line = make_line()
    line.start()
    with (closing(psycopg2.connect(line.database_url)) as keys, closing(psycopg2.connect(line.database_url)) as rows,
          ThreadPoolExecutor(1) as pool):
        keys.cursor().execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        rows.cursor().execute("LOCK TABLE schedules IN EXCLUSIVE MODE")
        began = time.monotonic()
        posted = pool.submit(line.post, MINIMAL)
        until(lambda: time.monotonic() > began + 3, "the look-up has waited")
        assert line.sql("SELECT count(*) FROM pg_locks WHERE relation = 'api_keys'::regclass AND NOT granted")[0][0] == 1
        keys.rollback()
        assert_error(posted.result(), 503, AWAY)
        assert time.monotonic() - began < 7
    assert line.post(MINIMAL).status_code == 201


# ---- Kafka

def test_http_goes_on_while_kafka_is_away_and_the_events_follow(make_line: MakeLine) -> None:
    line = make_line()
    started_load(line, 6)
    line.balance()
    kafka = line.servers.kafka
    kafka.stop()
    try:
        made = [line.post(EXAMPLE) for _ in range(20)]
        assert [answer.status_code for answer in made] == [201] * 20
        assert line.readiness() == (200, None)
    finally:
        kafka.start()
    line.event_of_schedule(made[-1].json()["data"]["id"], 40)
    command = line.command()
    line.send(command)
    line.event_of(command["commandId"], 40)
    line.balance(60)


def test_kill_9_of_kafka_under_load(make_line: MakeLine) -> None:
    line = make_line()
    line.load(2000, seed=7)
    line.start()
    with line.posting():
        until(lambda: line.sql("SELECT count(*) FROM schedules")[0][0] > 300, "it is in the middle of the load")
        line.servers.kafka.kill9()
        created = len(line.answers.created)
        until(lambda: len(line.answers.created) > created + 10, "HTTP goes on")
        line.servers.kafka.start()
    line.balance(90)


# ---- the service while its servers are away

def test_it_starts_without_servers_and_becomes_ready_when_they_come(make_line: MakeLine) -> None:
    line = make_line()
    load = line.load(100, seed=8)
    line.servers.postgres.stop()
    try:
        line.start(wait=False)
        line.wait_log("started")
        assert line.readiness() == (503, "the database is away")
    finally:
        line.servers.postgres.start()
    line.wait_readiness((200, None), 30)
    line.produce(load, 100)
    line.balance()


@pytest.mark.parametrize("relay", ["on", "off"])
def test_it_stops_soon_while_postgres_is_away(make_line: MakeLine, relay: str) -> None:
    line = make_line()
    if relay == "on":
        line.start()
    else:
        line.start_intake()
    made = line.post(MINIMAL).json()["data"]["id"]
    line.send(line.command())
    until(lambda: len(line.sql("SELECT id FROM schedules")) == 2, "it takes commands")
    command = line.command()
    line.servers.postgres.stop()
    try:
        line.wait_readiness((503, "the database is away"))
        line.send(command)
        until(lambda: line.metric("schedule_commands_in_flight") == 1, "the command is taken")
        before = time.monotonic()
        assert end_by_signal(line.service, signal.SIGINT, 30) == 0
        assert time.monotonic() - before < 10
    finally:
        line.servers.postgres.start()
    line.replicas = [line.start(), *line.replicas]
    line.event_of_schedule(made)
    line.event_of(command["commandId"])
    line.balance()
