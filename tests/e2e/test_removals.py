"""Removals of users and organizations: a tombstone that counts at once, then steps; nothing is left behind and nothing is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from conftest import MakeLine
from ledger import query
from line import EXAMPLE, Line, until
from servers import ServerError
from test_directory import (DirectoryTopic, events_of, import_, key_of, lines, membership, organization, running, topic, types_of,
                            user)

__all__ = ["running", "topic"]  # fixtures

STEPS_LOCK = 7215830125520
MANY = 450  # more than two steps
DIGEST = b"0123456789abcdef"


@contextmanager
def session(line: Line) -> Iterator[Any]:
    """A transaction of its own, which is rolled back at the end where it was not committed."""
    connection = psycopg2.connect(line.database_url)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def steps_held(line: Line) -> Iterator[None]:
    """Nobody takes a step of a removal meanwhile."""
    with session(line) as holder:
        holder.cursor().execute("SELECT pg_advisory_lock(%s)", (STEPS_LOCK,))
        yield


def make_schedules(line: Line, owner: int, count: int, org: int | None = None) -> None:
    line.sql("""INSERT INTO schedules SELECT (SELECT coalesce(max(id), 0) FROM schedules) + 5000000 + i, gen_random_uuid(), %s, %s, %s,
                'x', 'Europe/Rome', '[]', '[]', 1, now(), now() FROM generate_series(1, %s) AS i""", DIGEST, org, owner, count)


def apply(connection: Any, **entry: Any) -> bool:
    cursor = connection.cursor()
    cursor.execute("SELECT apply_directory(%s, now())", (json.dumps(entry),))
    changed: bool = cursor.fetchone()[0]
    return changed


def create_in(connection: Any, owner: int, org: int | None = None) -> None:
    """A create as the writer sends it, with none of the others of its batch."""
    connection.cursor().execute(
        """SELECT write_batch('{}', '{}', '{}', '{}', '{1}', ARRAY[nextval('schedule_id_blocks')], ARRAY[gen_random_uuid()],
                  ARRAY[%s]::bytea[], ARRAY[%s]::bigint[], ARRAY[%s]::bigint[], '{x}', '{UTC}', '{"[]"}'::json[], '{"[]"}'::json[],
                  '{false}', '{NULL}', '{NULL}', '{NULL}'::json[], '{NULL}', '{"\\\\x"}'::bytea[], now(), '1 day')""",
        (psycopg2.Binary(DIGEST), org, owner))


@contextmanager
def waiting(line: Line, work: Any) -> Iterator[dict[str, Any]]:
    """Runs work(connection) and its commit in the background, until it waits for a lock; its end is awaited when the block ends."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        with session(line) as connection:
            outcome["pid"] = connection.info.backend_pid
            try:
                outcome["result"] = work(connection)
                connection.commit()
            except psycopg2.Error as error:
                outcome["error"] = error.pgcode

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: "pid" in outcome and line.sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", outcome["pid"])
          == [("Lock",)], "it waits")
    yield outcome
    thread.join(30)
    assert not thread.is_alive()


def left(line: Line) -> tuple[int, int]:
    """Removals that have not ended, and schedules of nobody."""
    (pending,), = line.sql("SELECT count(*) FROM removals")
    (orphans,), = line.sql("SELECT count(*) FROM schedules s WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = s.owner_id) "
                           "OR s.org_id IS NOT NULL AND NOT EXISTS (SELECT FROM organizations o WHERE o.id = s.org_id)")
    return pending, orphans


# ---- nothing is left behind

def test_a_removal_waits_for_the_creates_of_its_user(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([membership(line.people.org, 5001)]))
    for org in (None, line.people.org):
        import_(line, lines([membership(line.people.org, 5001)]))
        with session(line) as creating:
            create_in(creating, 5001, org)
            with waiting(line, lambda it: apply(it, type="user", id=5001, remove=True)) as removal:
                creating.commit()
        assert removal["result"] is True
        assert left(line) == (0, 0)


@pytest.mark.parametrize("org", [None, 1])
def test_a_create_that_waits_for_the_removal_of_its_user_is_refused(make_line: MakeLine, org: int | None) -> None:
    line = make_line()
    import_(line, lines([membership(line.people.org, 5001)]))
    with session(line) as removing:
        apply(removing, type="user", id=5001, remove=True)
        with waiting(line, lambda it: create_in(it, 5001, org and line.people.org)) as create:
            removing.commit()
    assert create["error"] == "SS002"
    assert left(line) == (0, 0)


def test_what_was_created_beside_the_removal_of_its_organization_goes_with_it(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([membership(5000, 5001), membership(5000, 5002)]))
    with session(line) as creating:
        create_in(creating, 5001, 5000)
        line.cli("org", "remove", "--id", "5000", "--no-wait")
        assert left(line)[0] == 1
        creating.commit()
    assert line.sql("SELECT count(*) FROM schedules WHERE org_id = 5000") == [(1,)]
    line.sql("SELECT run_removals(200)")
    assert left(line) == (0, 0)


def test_a_removal_ends_behind_the_creates_that_its_last_members_began(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([membership(5000, 5001)]))
    with session(line) as creating, session(line) as holder:
        create_in(creating, 5001, 5000)
        line.cli("org", "remove", "--id", "5000", "--no-wait")
        holder.cursor().execute("LOCK TABLE team_memberships IN EXCLUSIVE MODE")  # a step stops between schedules and members
        with waiting(line, lambda it: it.cursor().execute("SELECT run_removals(200)")):
            creating.commit()
            holder.commit()
    line.sql("SELECT run_removals(200)")
    assert left(line) == (0, 0)


def test_who_deletes_the_row_by_hand_begins_a_removal(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([membership(5000, 5001)]))
    make_schedules(line, 5001, 3, 5000)
    line.sql("DELETE FROM organizations WHERE id = 5000")
    line.start()
    until(lambda: left(line) == (0, 0), "the removal ended")
    assert types_of(events_of(line, 5001, 3)) == [b"ScheduleDeleted"] * 3
    assert line.sql("SELECT count(*) FROM memberships WHERE org_id = 5000") == [(0,)]


# ---- no entry is lost

@pytest.mark.parametrize("entry", [user(5001, "Ada again"), membership(1, 5001)], ids=["user", "membership"])
def test_an_entry_that_waits_for_a_removal_is_applied(make_line: MakeLine, entry: dict[str, Any]) -> None:
    line = make_line()
    import_(line, lines([user(5001)]))
    make_schedules(line, 5001, 3)
    with session(line) as removing:
        removing.cursor().execute("SELECT FROM users WHERE id = 5001 FOR UPDATE")
        with waiting(line, lambda it: apply(it, **entry)) as put:
            apply(removing, type="user", id=5001, remove=True)
            removing.commit()
    assert put["result"] is True
    assert line.sql("SELECT count(*) FROM users WHERE id = 5001") == [(1,)]
    assert line.sql("SELECT count(*) FROM schedules WHERE owner_id = 5001") == [(0,)]


def test_a_new_user_of_the_same_id_comes_when_the_removal_has_ended(topic: DirectoryTopic) -> None:
    line = topic.line
    topic.put_entries(user(5001))
    topic.wait_completed()
    make_schedules(line, 5001, MANY)
    with steps_held(line):
        topic.put(key_of(user(5001)), None)
        until(lambda: line.sql("SELECT count(*) FROM users WHERE id = 5001") == [(0,)], "the user is gone")
        topic.put_entries(user(5001, "Ada again"), membership(line.people.org, 5001))
        time.sleep(1)  # that nothing comes takes time
        assert line.sql("SELECT count(*) FROM users WHERE id = 5001") == [(0,)]
    until(lambda: line.sql("SELECT name FROM users WHERE id = 5001") == [("Ada again",)], "the new user", 60)
    until(lambda: line.sql("SELECT count(*) FROM memberships WHERE user_id = 5001") == [(1,)], "the membership", 60)
    assert line.sql("SELECT count(*) FROM schedules WHERE owner_id = 5001") == [(0,)]
    assert types_of(events_of(line, 5001, MANY)) == [b"ScheduleDeleted"] * MANY
    assert not line.topic(line.place.dead_letters).read_to_end()


def test_an_import_waits_for_the_removal_that_it_began(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([user(5001), user(5002)]))
    make_schedules(line, 5001, MANY)
    code, counts, errors = import_(line, lines([user(5001) | {"remove": True}, user(5001, "Ada again"), user(5003)]))
    assert (code, counts["changed"], errors) == (0, "3", [])
    assert line.sql("SELECT name FROM users WHERE id = 5001") == [("Ada again",)]
    assert line.sql("SELECT count(*) FROM schedules WHERE owner_id = 5001") == [(0,)]


# ---- as if gone at once

def test_from_the_tombstone_on_a_user_is_gone(running: Line) -> None:
    people = running.people
    import_(running, lines([user(5001), membership(people.org, 5001)]))
    key = running.admin("apikey", "create", "--user", "5001")["key"]
    make_schedules(running, 5001, MANY, people.org)
    (schedule,), = running.sql("SELECT min(id) FROM schedules WHERE owner_id = 5001")
    path = f"{running.schedules_path(5001)}/{schedule}"
    assert running.request("GET", "/v2/schedules", key).status_code == 200
    assert running.request("GET", path, people.admin_key).status_code == 200
    with steps_held(running):
        running.cli("user", "remove", "--id", "5001", "--no-wait")
        assert left(running)[0] == 1
        assert running.request("GET", "/v2/schedules", key).status_code == 401
        assert running.request("GET", path, people.admin_key).status_code == 403
        assert running.request("GET", f"{running.schedules_path(people.admin)}/{schedule}", people.admin_key).status_code == 404
        listed = running.request("GET", f"/v2/organizations/{people.org}/schedules", people.admin_key).json()["data"]
        assert 5001 not in [one["ownerId"] for one in listed]
        command = running.send(running.command(userId=5001), expect="rejected")
        assert running.violations_of(command)


def test_from_the_tombstone_on_an_organization_is_gone(running: Line) -> None:
    import_(running, lines([organization(5000), user(5001), user(5002), membership(5000, 5001, "ADMIN"), membership(5000, 5002)]))
    key = running.admin("apikey", "create", "--user", "5001")["key"]
    client = running.admin("oauth-client", "create", "--org", "5000", "--permissions", "read,write")
    make_schedules(running, 5001, MANY, 5000)
    make_schedules(running, 5002, 1)
    (schedule,), = running.sql("SELECT min(id) FROM schedules WHERE owner_id = 5001")
    (other,), = running.sql("SELECT id FROM schedules WHERE owner_id = 5002")
    assert running.request("GET", f"/v2/schedules/{schedule}", key).status_code == 200
    assert running.request("GET", f"/v2/schedules/{other}", key).status_code == 403
    with steps_held(running):
        running.cli("org", "remove", "--id", "5000", "--no-wait")
        assert left(running)[0] == 1
        for path, status in ((f"/v2/schedules/{schedule}", 404), (f"/v2/schedules/{other}", 404),
                             ("/v2/organizations/5000/schedules", 403), (running.schedules_path(5001, 5000), 403)):
            assert running.request("GET", path, key).status_code == status, path
        assert running.request("GET", "/v2/schedules", key).json()["data"] == []
        assert running.patch(f"/v2/schedules/{schedule}", {"name": "y"}, key=key).status_code == 404
        assert running.post(EXAMPLE, path=running.schedules_path(5001, 5000), key=key).status_code == 403
        headers = {"x-cal-client-id": client["id"], "x-cal-secret-key": client["secret"]}
        assert running.request("GET", "/v2/schedules", headers=headers).status_code == 401
        command = running.send(running.command(userId=5001, orgId=5000), expect="rejected")
        assert running.violations_of(command)
        with pytest.raises(ServerError, match="there is no organization with id 5000"):
            running.cli("member", "add", "--org", "5000", "--user", "5001", "--role", "member")
        assert running.cli("member", "list", "--org", "5000") == ""


# ---- in steps

def test_a_large_removal_goes_on_after_a_crash_and_tells_each_deletion_once(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([user(5001)]))
    make_schedules(line, 5001, 10 * MANY)
    line.start()
    line.cli("user", "remove", "--id", "5001", "--no-wait")
    for _ in range(2):
        (before,), = line.sql("SELECT count(*) FROM schedules WHERE owner_id = 5001")
        until(lambda: line.sql("SELECT count(*) FROM schedules WHERE owner_id = 5001")[0][0] < max(before, 1), "it goes on")
        line.replicas[-1].kill9()
        line.start()
    until(lambda: left(line) == (0, 0), "the removal ended", 60)
    events = events_of(line, 5001, 10 * MANY)
    assert types_of(events) == [b"ScheduleDeleted"] * (10 * MANY)
    assert len({event.headers["ce_id"] for event in events}) == 10 * MANY


def test_a_step_that_takes_too_long_becomes_smaller(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([user(5001)]))
    make_schedules(line, 5001, MANY)
    line.sql("""CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(0.015); RETURN OLD; END $$;
                CREATE TRIGGER slow BEFORE DELETE ON schedules FOR EACH ROW EXECUTE FUNCTION slow()""")
    name = line.database_url.rpartition("/")[2]
    line.sql(f'ALTER DATABASE "{name}" SET statement_timeout = \'2s\'')
    line.start()
    line.cli("user", "remove", "--id", "5001", "--no-wait")
    line.wait_log("maintenance step failed")
    until(lambda: left(line) == (0, 0), "the removal ended", 60)
    assert types_of(events_of(line, 5001, MANY)) == [b"ScheduleDeleted"] * MANY


@pytest.mark.parametrize("entry", [user(5001), organization(5000)], ids=["user", "organization"])
def test_a_step_reads_what_it_deletes_and_not_all_schedules(make_line: MakeLine, entry: dict[str, Any]) -> None:
    line = make_line()
    import_(line, lines([membership(5000, 5001), membership(5000, 5002), membership(line.people.org, 5002)]))
    make_schedules(line, 5002, 20 * MANY, line.people.org)
    make_schedules(line, 5001, MANY, 5000)
    line.sql("ANALYZE")
    line.cli("user" if entry["type"] == "user" else "org", "remove", "--id", str(entry["id"]), "--no-wait")
    with session(line) as steps:
        cursor = steps.cursor()
        cursor.execute("SELECT deleted FROM run_removals(200)")
        assert cursor.fetchone() == (200,)
        cursor.execute("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'schedules'")
        assert cursor.fetchone()[0] < 5 * 200


def test_what_is_locked_holds_up_no_other_removal(running: Line) -> None:
    import_(running, lines([membership(5000, 5001), membership(5000, 5002), user(5003)]))
    for owner, org in ((5001, 5000), (5002, 5000), (5003, None)):
        make_schedules(running, owner, MANY // 2, org)
    with session(running) as blocker:
        blocker.cursor().execute("SELECT FROM users WHERE id = 5001 FOR UPDATE")
        running.cli("org", "remove", "--id", "5000", "--no-wait")
        running.cli("user", "remove", "--id", "5003")
        until(lambda: running.sql("SELECT DISTINCT owner_id FROM schedules WHERE owner_id > 5000") == [(5001,)], "the others went")
        until(lambda: running.metric("schedule_removals_pending") == 1, "one is pending")
        until(lambda: running.metric("schedule_removals_schedules_left") == MANY // 2, "what is left is counted")
    until(lambda: left(running) == (0, 0), "the removal ended")
    until(lambda: running.metric("schedule_removals_pending") == 0, "the metric says so")
    assert running.metric("schedule_removals_schedules_left") == 0
    assert running.metric("schedule_removals_schedules_total") > 0


def test_by_hand_a_removal_is_waited_for_and_ends_without_a_service(make_line: MakeLine) -> None:
    line = make_line()
    import_(line, lines([organization(5000), membership(5000, 5001)]))
    make_schedules(line, 5001, MANY, 5000)
    line.cli("org", "remove", "--id", "5000")
    assert left(line) == (0, 0)
    assert line.sql("SELECT count(*) FROM memberships WHERE org_id = 5000") == [(0,)]


# ---- ids and what is completed

def test_the_largest_id_leaves_automatic_ones_as_they_are(make_line: MakeLine) -> None:
    line = make_line()
    largest = 999_999_999_999_999_999
    for noun, entry in (("user", user(largest)), ("org", organization(largest))):
        before = int(line.admin(noun, "add", "--name", "Ada")["id"])
        assert import_(line, lines([entry]))[0] == 0
        assert int(line.admin(noun, "add", "--name", "Ada")["id"]) == before + 1


def test_processed_commands_whose_time_is_over_are_swept_beside_the_writes(make_line: MakeLine) -> None:
    line = make_line()
    count = 3000
    line.sql("INSERT INTO processed_commands SELECT gen_random_uuid(), %s, 1, NULL, now() - interval '1 day' "
             "FROM generate_series(1, %s)", DIGEST, count)
    import_(line, lines([user(5001)]))
    make_schedules(line, 5001, 5)
    line.cli("user", "remove", "--id", "5001")
    assert query(line.database_url, "SELECT count(*) FROM processed_commands WHERE expires_at < now()") == [(count,)]
    line.start()
    until(lambda: line.sql("SELECT count(*) FROM processed_commands") == [(5,)], "what is over is gone")
    assert line.metric("schedule_processed_commands_swept_total") == count
