"""Slots that PostgreSQL 17 keeps on its standbys, set up as docs/operations.md says. Older servers have none: tests/postgres-17.sh runs this."""

from __future__ import annotations

import os
import subprocess

import pytest

import ledger
from line import BINARY, MINIMAL, Servers, until
from republished import rows
from servers import Postgres
from test_failover import (NEVER_TOLD, READY, MakePair, Pair, assert_all_told, assert_one_meaning, assert_positions_grow, make_pair,  # noqa: F401
                           post, send_many)

FIRST = 170000
STANDBY = "standby"
EMPTY = "synchronized_standby_slots is empty"


@pytest.fixture(autouse=True)
def _is_new_enough(servers: Servers) -> None:
    if int(servers.postgres.psql("SHOW server_version_num")) < FIRST:
        pytest.skip("this PostgreSQL does not keep slots on standbys")


def migrate(pair: Pair) -> str:
    """What it warns of."""
    done = subprocess.run([str(BINARY), "migrate"], env=os.environ | pair.line.env, check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    return done.stderr


def set_on(server: Postgres, name: str, value: str) -> None:
    server.psql(f"ALTER SYSTEM SET {name} = '{value}'")
    server.psql("SELECT pg_reload_conf()")
    until(lambda: server.psql(f"SHOW {name}").strip() == value, f"{name} is set")


def keep_slot(pair: Pair) -> None:
    """The service runs, and the standby synchronizes the slot that `migrate` made."""
    pair.primary.psql(f"SELECT pg_drop_replication_slot('{pair.line.place.slot}')")
    migrate(pair)
    primary, standby, slot = pair.primary, pair.standby, pair.line.place.slot
    primary.psql(f"SELECT pg_create_physical_replication_slot('{STANDBY}', true)")
    standby.stop()
    standby.settings |= {"sync_replication_slots": "on", "hot_standby_feedback": "on", "primary_slot_name": STANDBY,
                         "primary_conninfo": f"host=127.0.0.1 port={primary.port} user=postgres dbname=postgres application_name={STANDBY}"}
    standby.start()
    set_on(primary, "synchronized_standby_slots", STANDBY)
    pair.line.start()

    def is_kept() -> bool:
        post(pair.line)
        return standby.psql(f"SELECT synced AND NOT temporary AND invalidation_reason IS NULL FROM pg_replication_slots "
                            f"WHERE slot_name = '{slot}'").strip() == "t"

    until(is_kept, "the standby keeps the slot", 60)


def stored(pair: Pair) -> int:
    """Schedules of commands: those that are posted meanwhile have another name."""
    return int(pair.line.sql("SELECT count(*) FROM schedules WHERE name = %s", MINIMAL["name"])[0][0])


def assert_nothing_lost(pair: Pair) -> None:
    """After a failover: each event has its row, and each row its event, by the slot that the standby has kept."""
    line = pair.line
    line.wait_readiness(READY, 60)
    ledger.wait_quiet(line.place)
    assert line.metric(NEVER_TOLD) == 0
    assert line.metric("schedule_relay_slot_lost") == 0
    assert_all_told(line)
    assert_one_meaning(line)
    assert_positions_grow(line)
    assert "the database is on a new timeline" in line.log()
    assert line.sql("SELECT synced, failover FROM pg_replication_slots WHERE slot_name = %s", line.place.slot) == [(True, True)]
    line.event_of_schedule(post(line)[0])


def test_nothing_is_lost_with_a_synchronized_slot(make_pair: MakePair) -> None:  # noqa: F811
    pair = make_pair()
    line, standby = pair.line, pair.standby
    keep_slot(pair)
    set_on(pair.primary, "synchronous_standby_names", STANDBY)  # no write is answered before the standby has it
    before = stored(pair)
    with line.posting():
        send_many(line, 3000)
        until(lambda: stored(pair) > before + 500, "much is under way")
        pair.primary.kill9()
        standby.promote()
        pair.go_to(standby)
        line.wait_readiness(READY, 60)
    until(lambda: stored(pair) == before + 3000, "the backlog is stored", 60)
    answered = {schedule["id"] for schedule in line.answers.created}
    assert len(answered) > 1 and answered <= rows(line).keys()
    assert_nothing_lost(pair)


def test_nothing_is_published_that_the_standby_has_not(make_pair: MakePair) -> None:  # noqa: F811
    pair = make_pair()
    keep_slot(pair)
    before = stored(pair)
    pair.standby.stop()
    send_many(pair.line, 300)
    until(lambda: stored(pair) == before + 300, "the primary alone has them")
    pair.fail_over()
    until(lambda: stored(pair) == before + 300, "what was lost with it is done again", 60)
    assert_nothing_lost(pair)


def test_migrate_warns_where_events_may_be_ahead_of_the_standbys(make_pair: MakePair) -> None:  # noqa: F811
    pair = make_pair()
    assert "is not kept on standbys" in migrate(pair) and EMPTY in migrate(pair)  # the slot was made by hand
    pair.primary.psql(f"SELECT pg_drop_replication_slot('{pair.line.place.slot}')")
    told = migrate(pair)
    assert EMPTY in told and "is not kept on standbys" not in told
    set_on(pair.primary, "synchronized_standby_slots", STANDBY)
    assert migrate(pair) == ""
