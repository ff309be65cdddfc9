"""Faults of what the relay publishes: a change of builds inside of a transaction, and records that Kafka refuses. What is published here is numbered,
and no change of a schedule: the audit is that each number is there once and in its place."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import requests

from ledger import Report
from proxy import Delay, calm
from rig import DEADLINE_S, Rig
from world import WithPrevious

EVENT, DEAD_LETTER = 1, 2
KEY = b"numbered"
SLOW_S = 0.03  # on the way to Kafka, each 64 KiB: then some ten thousand events take as long as a million would
FILLER_BYTES = 1000
TELL = "SELECT count(pg_logical_emit_message(true, 'schedule-service', bytes)) FROM unnest(%s::bytea[]) AS bytes"


def _pack(topic: int, key: bytes, value: bytes) -> bytes:
    """A record as service/codec/record.h has it, without headers."""
    return b"".join((bytes((1, topic, 0)), struct.pack("<I", len(key)), key, struct.pack("<I", len(value)), value))


def _emit(rig: Rig, records: list[bytes]) -> None:
    """In one transaction."""
    with psycopg2.connect(rig.database_url) as session, session.cursor() as cursor:
        cursor.execute(TELL, ([psycopg2.Binary(record) for record in records],))
    session.close()


def _events(rig: Rig, numbers: range, filler_bytes: int = 0) -> list[bytes]:
    return [_pack(EVENT, KEY, b"%d %s" % (number, rig.random.randbytes(filler_bytes))) for number in numbers]


def _relays(rig: Rig) -> bool:
    try:
        return rig.active_relay() is not None
    except requests.ConnectionError:
        return False  # one is starting


def _kill_relay(rig: Rig) -> None:
    rig.until(lambda: _relays(rig), "one relays")
    relay = rig.active_relay()
    assert relay
    rig.sample()
    relay.kill9()
    relay.start(wait=False)
    rig.faults += 1


def _audit(rig: Rig, events: int, may_repeat: range = range(0)) -> Report:
    """Waits until all is published, and stops the replicas. The numbers that may come twice come again from the first of them."""
    rig.wait_events()
    rig.sample()
    for replica in rig.replicas:
        rig.stop(replica)
    report = Report()
    found = [int((event.value or b"").partition(b" ")[0]) for event in rig.topic(rig.place.events).read_to_end(DEADLINE_S) if event.key == KEY]
    report.counts["events"] = len(found)
    for number in sorted(set(range(events)) - set(found)):
        report.fault(f"lost: event {number}")
    for at, number in enumerate(found[1:]):
        if number <= found[at] and not (number == may_repeat.start and found[at] in may_repeat):
            report.fault(f"twice: event {number} comes after {found[at]}")
    rig.check_memory(report)
    return report


def _parts(rig: Rig) -> int:
    """How many transactions of Kafka ended inside of one of the database."""
    return sum("commit-records" in record.headers for record in rig.topic(rig.env["PROGRESS_TOPIC"]).read_to_end())


@contextmanager
def _trickle(rig: Rig, first: int) -> Iterator[list[int]]:
    """One event after the other, numbered from `first`, until the end of the block; then the list holds their number."""
    stop, count = threading.Event(), [0]

    def work() -> None:
        while not stop.wait(0.02):
            _emit(rig, _events(rig, range(first + count[0], first + count[0] + 1)))
            count[0] += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def _change_build(rig: Rig, binary: Path) -> None:
    """Without a warning, so that whatever is under way ends where it is."""
    rig.sample()
    rig.service.kill9()
    rig.service.binary = binary
    rig.service.start(wait=False)
    rig.until(lambda: _relays(rig), "it relays")
    rig.faults += 1


def upgrade_and_roll_back(rig: Rig, events: int) -> Report:
    """The relay alone. An earlier build reads of a progress record its value: it publishes a transaction that was published in part from
    its beginning, and nothing else twice."""
    rig.service.env["ROLES"] = "relay"
    _change_build(rig, WithPrevious.BINARY)
    with _trickle(rig, 0) as count:
        rig.pause(2, 4)
        _change_build(rig, rig.binary)
        rig.pause(2, 4)
    rig.world.kafka_proxy.weather = Delay(SLOW_S)
    try:
        before, first = _parts(rig), count[0]
        large = range(first, first + events)
        _emit(rig, _events(rig, large, FILLER_BYTES))
        rig.until(lambda: _parts(rig) > before, "a part is published")
    finally:
        rig.world.kafka_proxy.weather = calm
    with _trickle(rig, large.stop) as count:
        _change_build(rig, WithPrevious.BINARY)
        rig.wait_events()
        rig.pause(2, 4)
        _change_build(rig, rig.binary)
        rig.pause(2, 4)
    report = _audit(rig, large.stop + count[0], large)
    if report.counts["events"] == large.stop + count[0]:
        report.fault("the transaction was not split, or the build before knew how to go on: nothing was tried")
    return report


def send_what_is_refused(rig: Rig, times: int, events: int) -> Report:
    """Among events a dead letter that is too large for the topic, whose limit changes: what was read of it is true at times only."""
    for time in range(times):
        rig.limit_topic(rig.place.dead_letters, rig.random.choice((20_000, 50_000, 150_000)))
        records = _events(rig, range(time * events, (time + 1) * events))
        for _ in range(2):
            letter = _pack(DEAD_LETTER, str(time).encode(), rig.random.randbytes(200_000))
            records.insert(rig.random.randrange(len(records)), letter)
        _emit(rig, records)
        rig.faults += 1
        if time % 3 == 2:
            _kill_relay(rig)
    report = _audit(rig, times * events)
    letters = [letter.key for letter in rig.topic(rig.place.dead_letters).read_to_end()]
    report.counts["dead letters"] = len(letters)
    for time in range(times):
        if (count := letters.count(str(time).encode())) != 2:
            report.fault(f"{'lost' if count < 2 else 'twice'}: {count} of 2 dead letters of {time}")
    return report
