"""The database fails over to a standby, or is restored from a dump: whatever it has then is told, and no id is given twice.
Each function brings its own load. What a standby or a dump lacks is gone, also where somebody was told of it, so that the audit is of
what there is: see _see_converged."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from ledger import Report, wait_quiet
from postgres_faults import SLOT_LOST, says, write_unpublished
from republished import content, heard, rows, state_of
from rig import DEADLINE_S, Rig
from servers import run
from wire import CREATED, REJECTED
from world import Pair

READY = (200, None)
LOST = 2500  # commands


def fail_over(rig: Rig) -> Report:
    """To a standby that lacks the last commits, whose events are published already, under load, and replicas are killed meanwhile. Twice as
    many commands wait for the new primary, so that it has written its WAL through the same positions once more before a relay looks."""
    world = rig.world
    assert isinstance(world, Pair)
    standby = world.standby
    standby.follow(world.postgres)
    database = rig.database_url.rpartition("/")[2]
    rig.env["DATABASE_URL"] = (f"postgresql://postgres@127.0.0.1:{world.postgres.port},127.0.0.1:{standby.port}/{database}"
                               "?target_session_attrs=read-write&connect_timeout=3")
    for replica in rig.replicas:
        rig.stop(replica)
        replica.env["DATABASE_URL"] = rig.env["DATABASE_URL"]
    rig.start_all()
    _keep_slot(rig, world)
    backlog = rig.load(0, rig.seed, changes=0.0)
    with rig.under_load(100):
        rig.wait_writes(20)
        standby.stop()
        rig.produce(backlog, LOST)
        rig.wait_commands(LOST)
        rig.wait_writes(200)
        rig.wait_events()
        world.postgres.kill9()
        rig.faults += 1
        rig.produce(backlog, 2 * LOST)
        standby.start()
        standby.promote()
        _go_to(rig, standby.dsn(database), replace(rig.servers, postgres=standby))
        rig.kill_one()
        rig.wait_writes(100)
        rig.kill_one()
        rig.wait_commands(500)
        rig.wait_writes(50)
    _quiet(rig)
    _stop(rig)
    return _see_converged(rig)


def restore_a_dump(rig: Rig) -> Report:
    """Of some time ago, into a database that takes the place of the old one: ids that were told already are not given again. A command that
    came behind the dump comes again, and may get its former id if they were: that shows only in which ids there are."""
    with rig.under_load(200):
        rig.wait_writes(50)
        rig.wait_commands(500)
        dump = _dump(rig)
        known = rig.sql("SELECT move_schedule_ids(0)")[0][0]
        rig.kill_one()  # it takes new ids, which the dump does not know to be taken
        rig.until(lambda: _highest(rig) > known, "ids are given that the dump does not know")
        rig.wait_writes(100)
        rig.wait_commands(1000)
    _quiet(rig)
    _stop(rig)
    told = _highest(rig)
    _restore(rig, dump)
    rig.faults += 1
    for replica in rig.replicas:
        replica.start(wait=False)
    rig.until(lambda: says(rig, rig.service, SLOT_LOST), "readiness fails")
    rig.cli("rebuild")
    for replica in rig.replicas:
        replica.wait_ready(DEADLINE_S)
    with rig.under_load(200):
        rig.wait_writes(100)
        rig.wait_commands(500)
    _quiet(rig)
    _stop(rig)
    report = _see_converged(rig)
    for schedule, in rig.sql("SELECT id FROM schedules WHERE id > %s AND id <= %s", known, told):
        report.fault(f"twice: the id {schedule} was told before the dump took its place, and is given again")
    return report


def _highest(rig: Rig) -> int:
    return int(rig.sql("SELECT max(id) FROM schedules")[0][0])


def make_the_slot_anew(rig: Rig) -> Report:
    """By hand, under the name of the one that was dropped with what it held: nothing is written until a rebuild has told that."""
    with rig.under_load(200):
        rig.wait_writes(50)
        rig.wait_commands(500)
    _quiet(rig)
    _stop(rig)
    write_unpublished(rig)
    rig.sql("SELECT pg_drop_replication_slot(%s)", rig.place.slot)
    rig.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", rig.place.slot)
    rig.faults += 1
    for replica in rig.replicas:
        replica.start(wait=False)
    rig.until(lambda: says(rig, rig.service, SLOT_LOST) or says(rig, rig.service, READY), "a relay has looked at the slot")
    if says(rig, rig.service, SLOT_LOST):
        rig.cli("rebuild")
    _quiet(rig)
    with rig.under_load(200):
        rig.wait_writes(50)
    _quiet(rig)
    _stop(rig)
    return _see_converged(rig)


# ---- a standby

def _keep_slot(rig: Rig, world: Pair) -> None:
    """The standby has the slot as it is now, and the WAL that it begins with."""
    begin = world.standby.psql("SELECT pg_last_wal_replay_lsn()").strip()

    def has_moved() -> bool:
        rig.post({"name": "Moves the slot", "timeZone": "UTC", "isDefault": False})
        rig.wait_events()
        world.postgres.psql("CHECKPOINT")
        sql = "SELECT restart_lsn >= %s FROM pg_replication_slots WHERE slot_name = %s"
        return bool(rig.sql(sql, begin, rig.place.slot)[0][0])

    rig.until(has_moved, "the slot begins behind the base backup")
    world.standby.copy_slot(world.postgres, rig.place.slot)


def _go_to(rig: Rig, database_url: str, servers: Any) -> None:
    """Where the rig itself looks from now on."""
    rig.servers, rig.database_url = servers, database_url
    rig.place = replace(rig.place, database_url=database_url)


# ---- a dump

def _dump(rig: Rig) -> Path:
    path = rig.directory / "dump"
    postgres = rig.world.postgres
    path.write_text(run(*postgres._tool("pg_dump", "--dbname", rig.database_url)))
    return path


def _restore(rig: Rig, dump: Path) -> None:
    postgres, database = rig.world.postgres, rig.database_url.rpartition("/")[2]
    postgres.psql(f"SELECT pg_drop_replication_slot('{rig.place.slot}')")
    postgres.psql(f'DROP DATABASE "{database}" WITH (FORCE)')
    postgres.psql(f'CREATE DATABASE "{database}"')
    run(*postgres._tool("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(dump), rig.database_url))


# ---- the audit

def _quiet(rig: Rig) -> None:
    """Waits until nothing is left to do."""
    for replica in rig.replicas:
        replica.wait_ready(DEADLINE_S)
    wait_quiet(rig.place, DEADLINE_S)


def _stop(rig: Rig) -> None:
    rig.sample()
    for replica in rig.replicas:
        rig.stop(replica)


def _see_converged(rig: Rig) -> Report:
    """Who keeps the latest version of each schedule ends with the rows, no ce_id was told of two states and no id given to two schedules."""
    report = Report()
    made: dict[int, set[str]] = defaultdict(set)
    events = [event for event in rig.topic(rig.place.events).read_to_end(120) if event.headers["ce_type"] != REJECTED.encode()]
    for event in events:
        if event.headers["ce_type"] == CREATED.encode():
            made[state_of(event)["id"]].add(state_of(event)["command_id"])
    for schedule in [schedule for schedule, commands in made.items() if len(commands) > 1]:
        report.fault(f"twice: the id {schedule} is given to two schedules")
    known, torn = heard(events)
    for ce_id in torn:
        report.fault(f"twice: {ce_id} is told of two states")
    there = {schedule: content(row) for schedule, row in rows(rig).items()}
    for schedule, row in there.items():
        if known.get(schedule) != row:
            report.fault(f"lost: of schedule {schedule} was told {known.get(schedule)}, and not its row {row}")
    for schedule in known.keys() - there.keys():
        report.fault(f"not there: schedule {schedule}, which was never told to be deleted")
    report.counts.update({"rows": len(there), "ScheduleCreated": len(events)})
    rig.check_memory(report)
    return report
