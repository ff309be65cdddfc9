"""Faults of PostgreSQL, of its disk and slot, and of the way there. Each function is called under load unless it says otherwise,
injects one kind, heals it and returns when the line does its work again."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg2
import requests

from clients import NAME
from ledger import Report, wait_completed
from proxy import BlackHole, CutAtCommit, Delay, Drip, Weather, calm
from republished import assert_told
from rig import DEADLINE_S, Rig
from servers import Service
from world import SmallDisk

BIND_OF_WRITE = b"\0write\0"  # portal and prepared statement of a batch
OVER_HTTP = NAME.encode()      # in a batch of HTTP's
SLOT_LOST = (503, "the replication slot is missing or lost; run schedule-service rebuild")


def kill_postgres(rig: Rig, times: int) -> None:
    postgres = rig.world.postgres
    for _ in range(times):
        rig.pause(0.2, 2)
        postgres.kill9()
        rig.faults += 1
        postgres.start()
        rig.wait_writes(5)


def postgres_away(rig: Rig, seconds: float) -> None:
    """The replicas keep their places in the group, and their size."""
    rig.wait_writes(20)
    assigned, peak_kib = rig.count_log("partition assigned"), rig.peak_kib
    rig.world.postgres.stop()
    rig.faults += 1
    time.sleep(seconds)
    rig.sample()
    if rig.count_log("partition assigned") > assigned:
        raise AssertionError("the group was rebalanced while PostgreSQL was away")
    if rig.peak_kib > peak_kib + 16 * 1024:
        raise AssertionError(f"a replica grew from {peak_kib} to {rig.peak_kib} KiB while PostgreSQL was away")
    rig.world.postgres.start()
    rig.wait_writes(5)


def cut_at_commit(rig: Rig, times: int) -> None:
    """Of a batch of commands and of one of HTTP's, before the server has committed and after it; now and then all connections at
    once."""
    proxy = rig.world.postgres_proxy
    for number in range(times):
        cut = CutAtCommit(BIND_OF_WRITE, rig.place.commands.encode() if number % 4 < 2 else OVER_HTTP, is_after=number % 2 == 0)
        proxy.weather = cut
        rig.until(cut.done.is_set, "a commit is cut")
        proxy.weather = calm
        if number % 8 == 7:
            proxy.cut_all()
        rig.faults += 1
        rig.wait_writes(2)
        rig.wait_commands(50)


def bad_network_to_postgres(rig: Rig, seconds: float) -> None:
    """Late, in drops, and silent: after the silence once all comes late, and once nothing of it."""
    for weather, is_cut in ((Delay(0.05), False), (Drip(50, 0.001), False), (BlackHole(), False), (BlackHole(), True)):
        _have_weather(rig, weather, seconds, is_cut)


def _have_weather(rig: Rig, weather: Weather, seconds: float, is_cut: bool) -> None:
    proxy = rig.world.postgres_proxy
    proxy.weather = weather
    rig.faults += 1
    time.sleep(seconds)
    proxy.weather = calm
    if is_cut:
        proxy.cut_all()
    if isinstance(weather, BlackHole):
        weather.end.set()
    rig.wait_writes(5)


def hold_a_snapshot(rig: Rig, seconds: float) -> None:
    """Of everything, by a session that does nothing: nothing can be vacuumed."""
    rig.wait_writes(5)
    session = psycopg2.connect(rig.database_url)
    with session.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*), pg_current_xact_id() FROM schedules")  # its horizon holds the slot's restart too
        rig.faults += 1
        time.sleep(seconds)
        rig.wait_events()
    session.close()


def fill_disk(rig: Rig, times: int) -> None:
    """Until PostgreSQL writes no more; then there is room again."""
    world = rig.world
    assert isinstance(world, SmallDisk)
    for _ in range(times):
        rig.wait_writes(20)
        _fill(world.disk / "filler")
        rig.faults += 1
        refusals = rig.count_log("batch put back") + rig.count_log("lost")
        rig.until(lambda: rig.count_log("batch put back") + rig.count_log("lost") > refusals, "PostgreSQL refuses writes")
        rig.pause(2, 4)
        (world.disk / "filler").unlink()
        if not world.postgres.is_running() or not world.postgres.is_ready():
            world.postgres.kill9()
            world.postgres.start()
        rig.wait_writes(5)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as filler:
        for size in (1 << 20, 4096):
            try:
                while filler.write(bytes(size)):
                    pass
            except OSError:
                continue  # full, but for what is smaller


def idle_beside_writers(rig: Rig, megabytes: int) -> None:
    """Brings its own load, after others have written into the same database and the slot has let go of it."""
    rig.sql("CREATE TABLE foreign_writes (filler text)")
    for _ in range(megabytes // 8):
        rig.sql("INSERT INTO foreign_writes SELECT repeat(md5(random()::text), 32) FROM generate_series(1, 7500)")
        rig.faults += 1
    rig.wait_events()
    with rig.under_load(200):
        rig.wait_writes(20)
        rig.wait_commands(1000)


def lose_the_slot(rig: Rig) -> Report:
    """Brings its own load, and some more that nobody publishes before the slot is gone. Readiness fails and says why, and writes are
    refused until the slot is there again; a rebuild then tells what was lost. What came before is audited before, as the rebuild tells
    some of it again."""
    with rig.under_load(200):
        rig.wait_writes(50)
        rig.wait_commands(1000)
    report = rig.complete()
    write_unpublished(rig)
    rig.sql("SELECT pg_drop_replication_slot(%s)", rig.place.slot)
    rig.faults += 1
    for replica in rig.replicas:
        replica.start(wait=False)
        rig.until(lambda: says(rig, replica, SLOT_LOST), "readiness fails")
    if (answer := _late_write(rig)) != 503:
        raise AssertionError(f"a write without a slot was answered {answer}")
    rig.cli("rebuild")
    for replica in rig.replicas:
        replica.wait_ready(DEADLINE_S)
    if (answer := _late_write(rig)) != 201:
        raise AssertionError(f"a write after the rebuild was answered {answer}")
    assert_told(rig)
    return report


def write_unpublished(rig: Rig) -> None:
    """Of all kinds."""
    replicas = list(rig.replicas)
    for replica in replicas:
        replica.env["ROLES"] = "http,consumer"
        replica.start(wait=False)
    relay = rig.start(ROLES="relay")  # accepts the database, or writes stay refused
    for replica in replicas:
        replica.wait_ready(DEADLINE_S)
    rig.stop(relay)
    rig.replicas = replicas
    with rig.under_load(200):
        rig.wait_writes(100)
        rig.wait_commands(1000)
    wait_completed(rig.place, DEADLINE_S)
    for replica in rig.replicas:
        rig.stop(replica)
        del replica.env["ROLES"]


def says(rig: Rig, replica: Service, answer: tuple[int, str | None]) -> bool:
    """Whether /readyz does."""
    try:
        return rig.readiness(replica) == answer
    except requests.ConnectionError:
        return False  # it is starting


def _late_write(rig: Rig) -> int:
    body = {"name": "Late", "timeZone": "UTC", "isDefault": False}
    return rig.request("POST", rig.schedules_path(), rig.people.admin_key, json=body).status_code
