"""When the replication slot is lost: nothing is taken without it, and after a rebuild the events tell the rows again."""

import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

import ledger
from ledger import Message
from conftest import MakeLine
from line import BINARY, EXAMPLE, MINIMAL, Line, until
from republished import assert_told, kind_of, rows, state_of
from servers import ServerError

SLOT_LOST = (503, "the replication slot is missing or lost; run schedule-service rebuild")
PROGRESS = r"deletions=0 schedules=(?P<schedules>\d+) after=\d+/\d+ waiting_bytes=(?P<waiting>\d+) seconds=\d+"
CREATES = {"reused": 0.0, "invalid": 0.0, "undecodable": 0.0, "changes": 0.0}


def drop_slot(line: Line) -> None:
    """By hand, while no relay holds it."""

    def drop() -> bool:
        try:
            line.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", line.place.slot)
            line.sql("SELECT pg_drop_replication_slot(%s)", line.place.slot)
        except psycopg2.errors.ObjectInUse:  # the relay was quicker
            return False
        return True

    until(drop, "the slot is dropped")


def post(line: Line, name: str, is_default: bool = False) -> int:
    answer = line.post(MINIMAL | {"name": name, "isDefault": is_default})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])


def change(line: Line, method: str, schedule: int, body: Any = None) -> None:
    answer = line.request(method, f"{line.schedules_path()}/{schedule}", line.people.admin_key, json=body)
    assert answer.status_code == 200, answer.text


@contextmanager
def unpublished(line: Line) -> Iterator[None]:
    """What is written meanwhile is not published: the intake runs without a relay, which then goes."""
    before = list(line.replicas)
    interfaces = line.start_intake()
    line.replicas = [interfaces, *before, *line.replicas[len(before) + 1:]]  # the first is the one that is asked
    yield
    line.stop(interfaces)
    line.replicas = [*before, *line.replicas[len(before):]]


def write_all_kinds(line: Line) -> dict[str, int]:
    """Creates, updates, a replaced default and deletes."""
    made = {name: post(line, name, name == "first default") for name in ("kept", "changed", "first default", "deleted")}
    change(line, "PATCH", made["changed"], {"name": "changed twice"})
    change(line, "PATCH", made["changed"], EXAMPLE | {"isDefault": False})
    made["second default"] = post(line, "second default", True)
    change(line, "DELETE", made["deleted"])
    return made


def without_position(event: Message) -> list[tuple[str, bytes]]:
    """Its headers, but for the one that tells which commit it came from: that of a rebuild is another one."""
    return [header for header in event.header_list if header[0] != "commit-position"]


def test_what_was_lost_with_the_slot_is_told_again(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    before = write_all_kinds(line)
    published = assert_told(line)
    line.stop()
    with unpublished(line):
        lost = write_all_kinds(line)
        change(line, "PATCH", before["kept"], {"name": "changed unseen"})
        change(line, "DELETE", before["changed"])
        drop_slot(line)
    replica = line.start(wait=False)
    line.replicas = [replica]
    line.wait_log("started")
    line.wait_readiness(SLOT_LOST)
    line.wait_log("THE REPLICATION SLOT IS LOST")
    answer = line.post(MINIMAL)
    assert (answer.status_code, bool(answer.headers["Retry-After"])) == (503, True)
    waiting = line.command()
    line.send(waiting)
    with pytest.raises(ServerError, match="schedule-service rebuild"):
        line.cli("migrate")
    assert line.readiness() == SLOT_LOST
    assert waiting["commandId"] not in [row["command_id"] for row in rows(line).values()]

    told = line.cli("rebuild")
    assert f"made replication slot {line.place.slot}" in told
    assert "deletions=3 schedules=7 " in told
    line.wait_readiness((200, None))
    line.event_of(waiting["commandId"])
    events = assert_told(line)
    first = {event.headers["ce_id"]: event for event in reversed(published)}
    again = [event for event in events[len(published):] if event.headers["ce_id"] in first]
    assert again
    for event in again:
        original = first[event.headers["ce_id"]]
        if kind_of(event) == "Updated":
            assert state_of(event)["command_id"] == str(uuid.UUID(int=0))
        else:
            assert (event.key, event.value, without_position(event)) == (original.key, original.value, without_position(original))
    deleted = {state_of(event)["id"] for event in events if kind_of(event) == "Deleted"}
    assert deleted == {before["deleted"], before["changed"], lost["deleted"]}


def test_a_rebuild_may_be_repeated_and_may_go_on(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    line.load(350, **CREATES)
    published = assert_told(line)
    schedules = line.sql("SELECT owner_id, id FROM schedules ORDER BY owner_id, id")
    assert f"deletions=0 schedules={len(schedules)} " in line.cli("rebuild")
    owner, place = schedules[-51]
    assert "schedules=50 " in line.cli("rebuild", "--after", f"{owner}/{place}")
    again = assert_told(line)[len(published):]
    expected = [schedule for _, schedule in schedules + schedules[-50:]]
    assert sorted(state_of(event)["id"] for event in again) == sorted(expected)
    drop_slot(line)
    with pytest.raises(ServerError, match="without --after"):
        line.cli("rebuild", "--after", f"{owner}/{place}")


@pytest.mark.parametrize("arguments", [["--after"], ["--after", "5"], ["--after", "0/1"], ["--after", "1/x"], ["now"]])
def test_a_senseless_place_is_refused(make_line: MakeLine, arguments: list[str]) -> None:
    with pytest.raises(ServerError, match="ended with status 2:"):
        make_line().cli("rebuild", *arguments)


def test_writes_go_on_during_a_rebuild(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    line.load(300)
    line.load(600, seed=2)
    schedules = [post(line, f"busy {number}") for number in range(5)]
    ledger.wait_quiet(line.place)
    with line.posting(pause_s=0):
        for number in range(6):
            for schedule in schedules[number:]:
                change(line, "PATCH", schedule, {"name": f"round {number}", "isDefault": number % 2 == 0})
            line.cli("rebuild")
            if number < len(schedules):
                change(line, "DELETE", schedules[number])
    assert_told(line)


def test_a_rebuild_waits_for_the_relay(make_line: MakeLine) -> None:
    line = make_line(WAL_BUDGET="40000")
    line.start()
    line.load(500, **CREATES)
    assert_told(line)
    line.stop()
    with subprocess.Popen([str(BINARY), "rebuild"], env=os.environ | line.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as rebuild:
        assert rebuild.stderr and rebuild.stdout
        waiting = [re.match(PROGRESS, rebuild.stderr.readline()) for _ in range(2)]
        assert all(told and int(told["waiting"]) > 20000 and int(told["schedules"]) < 500 for told in waiting), waiting
        line.start()
        assert re.search(r" schedules=\d+ seconds=", rebuild.stdout.read())
    assert rebuild.returncode == 0
    assert_told(line)


def test_a_slot_that_was_invalidated_is_made_anew(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    post(line, "published")
    assert_told(line)
    line.stop()
    with unpublished(line):
        post(line, "lost")
    postgres = line.servers.postgres
    postgres.psql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    try:
        postgres.psql("SELECT pg_reload_conf()")

        def is_lost() -> bool:
            line.sql("SELECT pg_logical_emit_message(false, 'filler', ''), pg_switch_wal()")
            postgres.psql("CHECKPOINT")
            return line.sql("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", line.place.slot) == [("lost",)]

        until(is_lost, "the slot is invalidated", 40)
    finally:
        postgres.psql("ALTER SYSTEM RESET max_slot_wal_keep_size")
        postgres.psql("SELECT pg_reload_conf()")
    replica = line.start(wait=False)
    line.replicas = [replica]
    line.wait_log("was invalidated")
    line.wait_readiness(SLOT_LOST)
    assert "made replication slot" in line.cli("rebuild")
    line.wait_readiness((200, None))
    assert len(assert_told(line)) == 3
