"""The database fails over to a standby, or is restored from a dump: whatever it has then is told, and no id is given twice.
Each function brings its own load. What a standby or a dump lacks is gone, also where somebody was told of it, so that the audit is of
what there is: see _see_all_told."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from ledger import Report, wait_quiet
from postgres_faults import SLOT_LOST, says
from retold import rows, state_of
from rig import DEADLINE_S, Rig
from servers import run
from wire import CREATED, REJECTED
from world import Pair



def fail_over(rig: Rig) -> Report:
    """To a standby that lacks the last commits, whose events are published already, under load, and replicas are killed meanwhile. The new
    primary writes its WAL through the same positions once more."""
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
    with rig.under_load(100):
        rig.wait_writes(20)
        standby.stop()
        rig.wait_writes(200)
        rig.wait_commands(500)
        rig.wait_events()
        world.postgres.kill9()
        rig.faults += 1
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
    return _see_all_told(rig, is_rebuilt=False)


def restore_a_dump(rig: Rig) -> Report:
    """Of some time ago, into a database that takes the place of the old one: ids that were told already are not given again."""
    with rig.under_load(200):
        rig.wait_writes(50)
        rig.wait_commands(500)
        dump = _dump(rig)
        rig.wait_writes(100)
        rig.wait_commands(1000)
    _quiet(rig)
    _stop(rig)
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
    return _see_all_told(rig, is_rebuilt=True)


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


def _see_all_told(rig: Rig, is_rebuilt: bool) -> Report:
    """Each row is told as it is, after a rebuild by its last event, and no id was ever given to two schedules. (A version that is gone
    stays told, and may be told again with other content: that is what being set back means to whoever has heard of it.)"""
    report = Report()
    made: dict[int, set[str]] = defaultdict(set)
    told: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    events = [event for event in rig.topic(rig.place.events).read_to_end(120) if event.headers["ce_type"] != REJECTED.encode()]
    for event in events:
        state = state_of(event)
        told[state["id"]].append(_seen(state))
        if event.headers["ce_type"] == CREATED.encode():
            made[state["id"]].add(state["command_id"])
    for schedule in [schedule for schedule, commands in made.items() if len(commands) > 1]:
        report.fault(f"twice: the id {schedule} is given to two schedules")
    there = rows(rig)
    for schedule, row in there.items():
        if _seen(row) not in (told[schedule][-1:] if is_rebuilt else told[schedule]):
            report.fault(f"lost: of schedule {schedule} was told {told[schedule]}, and not its row {row}")
    report.counts.update({"rows": len(there), "ScheduleCreated": len(events)})
    rig.check_memory(report)
    return report


def _seen(state: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(state[name] for name in ("owner_id", "version", "name", "time_zone"))
