"""The faults. Each function injects one kind, heals it and returns when the line does its work again; all but the last few expect
to be called under load."""

from __future__ import annotations

import os
import signal
import struct
import time
from pathlib import Path

import psycopg2
from kafka import KafkaAdminClient

from ledger import Report, query, wait_quiet
from proxy import BlackHole, CutAtCommit, Delay, Drip, HoldEndTxn, Weather, calm
from rig import DEADLINE_S, Rig
from servers import Service
from world import SmallDisk, ThreeBrokers

FAILPOINTS = ("store.before_sync", "store.after_commit", "relay.after_produce", "relay.after_end_txn")
SESSION_TIMEOUT_S = 2  # of the line's replicas


# ---- the service

def kill_service(rig: Rig, times: int) -> None:
    for _ in range(times):
        rig.pause(0.1, 1.5)
        rig.kill_one()
    rig.wait_writes(5)


def kill_service_until_sent(rig: Rig, commands: int) -> None:
    assert rig.kafka_client
    while rig.kafka_client.sent < commands:
        rig.pause(2, 4)
        rig.kill_one()


def reach_failpoints(rig: Rig, times: int) -> None:
    """The only replica dies at each failpoint, some passes after its start."""
    service = rig.service
    for failpoint in FAILPOINTS * times:
        service.stop()
        service.env["FAILPOINT"] = f"{failpoint}:{rig.random.randint(1, 30)}"
        service.start(wait=False)
        rig.until(lambda: not service.is_running(), f"it dies at {failpoint}")
        del service.env["FAILPOINT"]
        service.start(wait=False)
        rig.faults += 1
        rig.wait_writes(3)


def freeze_service(rig: Rig, times: int) -> None:
    """Longer than the group waits for it, while another one takes over its partitions."""
    for _ in range(times):
        frozen, other = rig.random.sample(rig.replicas, 2)
        before = other.log_path.read_text().count("partition assigned")
        frozen.sigstop()
        rig.faults += 1
        try:
            rig.until(lambda: other.log_path.read_text().count("partition assigned") > before, "another one takes over")
            rig.pause(SESSION_TIMEOUT_S, 2 * SESSION_TIMEOUT_S)
        finally:
            frozen.sigcont()
        rig.wait_writes(5)
        rig.pause(1, 2)


def die_in_a_transaction(rig: Rig, times: int) -> None:
    """Kafka stands still, so that the relay waits in the middle of a transaction; then its replica is killed."""
    for _ in range(times):
        rig.wait_events()
        rig.until(lambda: active_relay(rig) is not None, "one relays")
        relay, kafka = active_relay(rig), rig.world.kafka
        assert relay
        os.kill(kafka.pid, signal.SIGSTOP)
        try:
            rig.wait_writes(20)
            rig.pause(1, 2)
            relay.kill9()
            rig.faults += 1
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        relay.start(wait=False)
    rig.wait_events()


def restart_in_turn(rig: Rig, times: int) -> None:
    for _ in range(times):
        for replica in rig.replicas:
            rig.sample()
            rig.stop(replica)
            replica.start(wait=False)
            replica.wait_ready(DEADLINE_S)
            rig.faults += 1
    rig.wait_writes(5)


def join_and_leave(rig: Rig, times: int) -> None:
    """One more replica comes and goes, every other time without a word."""
    for number in range(times):
        extra = rig.start(wait=False)
        extra.wait_ready(DEADLINE_S)
        rig.pause(0.5, 2)
        rig.sample()
        rig.replicas.remove(extra)
        if number % 2:
            extra.kill9()
        elif extra.stop():
            raise extra.error("did not stop well")
        rig.faults += 1
    rig.wait_writes(5)


def active_relay(rig: Rig) -> Service | None:
    for replica in rig.replicas:
        text = rig.http.get(f"{replica.url}/metrics", timeout=10).text
        if "\nschedule_relay_active 1" in text:
            return replica
    return None


def wake_a_second_relay(rig: Rig, times: int) -> None:
    """The relay freezes in the middle of its work and another one takes the slot; then it wakes up and goes on."""
    for _ in range(times):
        rig.until(lambda: active_relay(rig) is not None, "one relays")
        frozen = active_relay(rig)
        assert frozen
        others = [replica for replica in rig.replicas if replica is not frozen]
        taken_over = sum(other.log_path.read_text().count("relay publishes") for other in others)
        frozen.sigstop()
        rig.faults += 1
        try:
            rig.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", rig.place.slot)
            rig.until(lambda: sum(other.log_path.read_text().count("relay publishes") for other in others) > taken_over,
                      "another one relays")
            rig.pause(0.5, 1.5)
        finally:
            frozen.sigcont()
        rig.wait_events()


POISON = (None, b"", b"[" * 100_000, b"\x22" + bytes(1_000_000), b"\0\0\0\0\x07\x02\x02")  # beside the load's own


def send_poison(rig: Rig, times: int) -> None:
    """Of every kind, while replicas are killed."""
    for number in range(times):
        for value in POISON:
            rig.send(value, expect="dead", key=b"poison")
            rig.send(value, expect="dead", key=b"poison", as_json=True)
            rig.faults += 2
        if number % 5 == 4:
            rig.kill_one()
        rig.wait_writes(2)


def jump_clock(rig: Rig, times: int) -> None:
    """The replicas' wall clock, by up to a day in both directions."""
    offset = rig.directory / "clock"
    offset.write_bytes(struct.pack("=q", 0))
    for replica in rig.replicas:
        rig.stop(replica)
        replica.env |= {"LD_PRELOAD": str(rig.binary.parent / "tests/fault/clock.so"), "CLOCK_FILE": str(offset)}
        replica.start(wait=False)
    for number in range(times):
        rig.wait_writes(10)
        seconds = rig.random.randint(60, 86400) * (-1) ** number
        with offset.open("r+b") as file:
            file.write(struct.pack("=q", seconds))
        rig.faults += 1
        rig.wait_writes(10)
        rig.wait_events()


# ---- PostgreSQL

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


BIND_OF_WRITE = b"\0write\0"  # portal and prepared statement of a batch


def cut_at_commit(rig: Rig, times: int) -> None:
    """Of commands and of anything, before the server has committed and after it; now and then all connections at once."""
    proxy = rig.world.postgres_proxy
    for number in range(times):
        cut = CutAtCommit(rig.place.commands.encode() if number % 4 < 2 else BIND_OF_WRITE, is_after=number % 2 == 0)
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


# ---- Kafka

def kill_kafka(rig: Rig, times: int) -> None:
    kafka = rig.world.kafka
    for _ in range(times):
        rig.wait_commands(50)
        rig.wait_events()
        rig.pause(0.2, 1)
        kafka.kill9()
        rig.faults += 1
        kafka.start()


def kafka_away(rig: Rig, seconds: float) -> None:
    """HTTP goes on meanwhile."""
    rig.wait_events()
    rig.world.kafka.stop()
    rig.faults += 1
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rig.wait_writes(5)
    rig.world.kafka.start()
    rig.wait_events()


def kill_brokers_in_turn(rig: Rig, times: int) -> None:
    """One at a time: its partitions' leaders, the group's and the transactions' coordinators move."""
    world = rig.world
    assert isinstance(world, ThreeBrokers)
    for number in range(times):
        victim = world.kafka.brokers[number % 3]
        if rig.random.random() < 0.5:
            victim.kill9()
        else:
            victim.stop()
        rig.faults += 1
        rig.wait_writes(5)
        rig.wait_events()
        victim.start()
        world.kafka.wait_whole()


def answer_end_txn_late(rig: Rig, times: int, seconds: float) -> None:
    """Kafka commits, and the relay is told when it waits no more."""
    proxy = rig.world.kafka_proxy
    for _ in range(times):
        rig.wait_events()
        hold = HoldEndTxn(seconds)
        proxy.weather = hold
        rig.until(hold.done.is_set, "an EndTxn is answered late")
        proxy.weather = calm
        rig.faults += 1
    rig.wait_events()


# ---- these bring their own load

def idle_beside_writers(rig: Rig, megabytes: int) -> None:
    """Others write into the same database, and the slot lets go of it; then the load comes."""
    rig.sql("CREATE TABLE foreign_writes (filler text)")
    for _ in range(megabytes // 8):
        rig.sql("INSERT INTO foreign_writes SELECT repeat(md5(random()::text), 32) FROM generate_series(1, 7500)")
        rig.faults += 1
    rig.wait_events()
    with rig.under_load(200):
        rig.wait_writes(20)
        rig.wait_commands(1000)


SLOT_LOST = (503, "the replication slot is missing or lost; run schedule-service rebuild")


def lose_the_slot(rig: Rig) -> Report:
    """Readiness fails and says why, and writes are refused until the slot is there again. What came before is audited before, as a
    rebuild tells some of it again."""
    with rig.under_load(200):
        rig.wait_writes(50)
        rig.wait_commands(1000)
    report = rig.settle()
    start_again(rig)
    rig.until(lambda: _drop_slot(rig), "the slot is dropped")
    rig.faults += 1
    for replica in rig.replicas:
        rig.until(lambda: rig.readiness(replica) == SLOT_LOST, "readiness fails")
    if (answer := _late_write(rig)) != 503:
        raise AssertionError(f"a write without a slot was answered {answer}")
    rig.cli("rebuild")
    for replica in rig.replicas:
        replica.wait_ready(DEADLINE_S)
    if (answer := _late_write(rig)) != 201:
        raise AssertionError(f"a write after the rebuild was answered {answer}")
    rig.wait_events()
    return report


def _late_write(rig: Rig) -> int:
    body = {"name": "Late", "timeZone": "UTC", "isDefault": False}
    return rig.request("POST", rig.schedules_path(), rig.people.admin_key, json=body).status_code


def start_again(rig: Rig) -> None:
    for replica in rig.replicas:
        replica.start(wait=False)
    for replica in rig.replicas:
        replica.wait_ready(DEADLINE_S)


def _drop_slot(rig: Rig) -> bool:
    rig.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", rig.place.slot)
    try:
        rig.sql("SELECT pg_drop_replication_slot(%s)", rig.place.slot)
    except psycopg2.Error:
        return False  # the relay was quicker
    return True


def make_topic_anew(rig: Rig) -> Report:
    """The commands topic is deleted and made anew: every partition stops, nothing is skipped, and after `offsets reset` what is
    in the new topic is carried out. What the old one held is audited before."""
    with rig.under_load(200):
        rig.wait_writes(50)
        rig.wait_commands(1000)
    report = rig.settle()
    before = query(rig.database_url, "SELECT count(*) FROM schedules")[0][0]
    admin = KafkaAdminClient(bootstrap_servers=rig.place.bootstrap)
    admin.delete_topics([rig.place.commands])
    rig.until(lambda: rig.place.commands not in admin.list_topics(), "the topic is gone")
    admin.close()
    rig.cli("topics", "--partitions", "4")
    rig.faults += 1
    commands = [rig.command(name=f"Anew {number}") for number in range(40)]
    for number, command in enumerate(commands):
        rig.send(command, partition=number % 4)
    for replica in rig.replicas:
        replica.start(wait=False)
    rig.until(lambda: rig.count_log("partition stopped") >= 4, "every partition stops")
    rig.until(lambda: any(rig.readiness(replica) == (503, "a partition is stopped") for replica in rig.replicas), "it is told")
    if query(rig.database_url, "SELECT count(*) FROM schedules")[0][0] != before:
        raise AssertionError("commands of the new topic were carried out at offsets of the old one")
    for replica in rig.replicas:
        rig.stop(replica)
    for partition in range(4):
        rig.cli("offsets", "reset", "--partition", str(partition), "--to", "earliest")
    start_again(rig)
    for command in commands:
        rig.event_of(command["commandId"], DEADLINE_S)
    if query(rig.database_url, "SELECT count(*) FROM schedules")[0][0] != before + len(commands):
        raise AssertionError("not every command of the new topic made one row")
    return report
