"""Faults of the service itself, and of what it is sent. Each function is called under load, injects one kind, heals it and returns
when the line does its work again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from clock import Clock
from ledger import producer
from rig import DEADLINE_S, Rig
from servers import Service
from wire import as_protobuf

FAILPOINTS = ("store.before_sync", "store.after_commit", "relay.after_produce", "relay.after_end_txn")
SESSION_TIMEOUT_S = 2  # of the line's replicas


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
        rig.until(lambda: rig.active_relay() is not None, "one relays")
        relay, kafka = rig.active_relay(), rig.world.kafka
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


def wake_a_second_relay(rig: Rig, times: int) -> None:
    """The relay freezes in the middle of its work and another one takes the slot; then it wakes up and goes on."""
    for _ in range(times):
        rig.until(lambda: rig.active_relay() is not None, "one relays")
        frozen = rig.active_relay()
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


TEN_MEGABYTES = 10 << 20  # more than a topic takes by default, unless it is compressed
COPIES = 5  # of a message that is so large: on its way into the database, and as a dead letter out of it
REFUSED = "PostgreSQL does not want this"
UNDECODABLE = {
    "nothing": None,
    "empty": b"",
    "bad magic": b"\0\0\0\0\x07\x02\x02",
    "invalid UTF-8": b"\x22\x02\xc3\x28",
    "endless nesting": b"[" * 100_000,
    "a megabyte": b"\x22" + bytes(1_000_000),
}
AGAINST_THE_RULES = {
    "NUL": {"name": "a\0b"},
    "impossible zone": {"timeZone": "Mars/Base"},
    "impossible date": {"overrides": [{"date": "2023-02-29", "startTime": "10:00", "endTime": "11:00"}]},
}


def send_poison(rig: Rig, times: int) -> None:
    """Of every kind and in both forms, beside the load's own, while replicas are killed. What the ledger then misses has its kind in
    the header `poison`."""
    rig.sql(f"ALTER TABLE schedules ADD CHECK (name <> '{REFUSED}')")
    rig.memory_max_kib += COPIES * TEN_MEGABYTES // 1024
    for number in range(times):
        for as_json in (False, True):
            for value, expect, kind in _poison(rig):
                rig.send(value, expect, key=b"poison", headers={"poison": kind.encode()}, as_json=as_json)
                rig.faults += 1
        if number % 10 == 0:
            _send_ten_megabytes(rig)
            rig.faults += 1
        if number % 5 == 4:
            rig.kill_one()
        rig.wait_writes(2)


def _send_ten_megabytes(rig: Rig) -> None:
    """Which are few when they are compressed, so that every topic takes them."""
    with closing(producer(rig.place.bootstrap, compression_type="gzip")) as sender:
        sender.send(rig.place.commands, key=b"poison", value=b"\x22" + bytes(TEN_MEGABYTES),
                    headers=[("expect", b"dead"), ("poison", b"10 MB")]).get(DEADLINE_S)


def _poison(rig: Rig) -> Iterator[tuple[Any, str, str]]:
    """Value, what must become of it, and its kind."""
    for kind, value in UNDECODABLE.items():
        yield value, "dead", kind
    yield as_protobuf(rig.command())[:-3], "dead", "truncated"
    for kind, fields in AGAINST_THE_RULES.items():
        yield rig.command(**fields), "rejected", kind
    yield rig.command(name=REFUSED), "dead", "a row the database refuses"


def jump_clock(rig: Rig, times: int) -> None:
    """The replicas' wall clock, by up to a day in both directions."""
    clock = Clock(rig.directory, rig.binary)
    for replica in rig.replicas:
        rig.stop(replica)
        replica.env |= clock.env
        replica.start(wait=False)
    for number in range(times):
        rig.wait_writes(10)
        clock.put(rig.random.randint(60, 86400) * (-1) ** number)
        rig.faults += 1
        rig.wait_writes(10)
        rig.wait_events()
