"""What one sender, caller or tenant does within its limits, or a fault that is one row's, holds up nobody else (guarantee G7). Each
function brings its own load, while bystanders must be answered in time and the commands of other partitions completed."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import psycopg2
import requests

from bystanders import MINIMAL, undisturbed, warm_up
from ledger import producer
from line import PARTITIONS
from rig import DEADLINE_S, Rig
from wire import as_protobuf

OTHERS = range(1, PARTITIONS)  # what is done to a partition is done to 0
WRITE_MAX_S = 6.0  # a write over HTTP is given up after 5
FAILING = "Failing"
OVERRIDES = [{"date": f"20{year}-{month:02}-{day:02}", "startTime": "10:00", "endTime": "11:00"}
             for year in range(30, 33) for month in range(1, 13) for day in range(1, 28)]


# ---- one row

def lock_a_row(rig: Rig, seconds: float) -> None:
    """Of a user, whose writes alone wait: over HTTP they are answered 503 in time, over Kafka their partition waits."""
    warm_up(rig)
    owner = rig.make_owners(1)[0]
    with closing(psycopg2.connect(rig.database_url)) as session:
        session.cursor().execute("SELECT FROM users WHERE id = %s FOR UPDATE", (owner,))
        _hold_up(rig, owner, seconds, "Waits")


def refuse_a_row(rig: Rig, seconds: float) -> None:
    """By an error that says come again, and says so each time; none of them is the sender's fault."""
    warm_up(rig)
    rig.sql("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF NEW.name LIKE '{FAILING}%%' THEN RAISE EXCEPTION 'come again' USING ERRCODE = right(NEW.name, 5); END IF; RETURN NEW; END $$")
    for sqlstate in ("40001", "55P03", "57014"):
        owner = rig.make_owners(1)[0]
        rig.sql("CREATE TRIGGER fail BEFORE INSERT ON schedules FOR EACH ROW EXECUTE FUNCTION fail()")
        _hold_up(rig, owner, seconds, f"{FAILING} {sqlstate}")
        rig.sql("DROP TRIGGER fail ON schedules")
        rig.until(lambda: rig.sql("SELECT count(*) FROM schedules WHERE owner_id = %s", owner) == [(10,)], "they are stored then")


def _hold_up(rig: Rig, owner: int, seconds: float, name: str) -> None:
    for _ in range(10):
        rig.send(rig.command(userId=owner, name=name, isDefault=True), partition=0, key=str(owner).encode())
    with undisturbed(rig, OTHERS):
        rig.faults += 1
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            answer = rig.post(MINIMAL | {"name": name, "isDefault": True}, owner)
            assert answer.status_code == 503, f"a write that cannot be carried out was answered {answer.status_code}"
            assert time.monotonic() - begin < WRITE_MAX_S, f"it was answered after {time.monotonic() - begin:.1f} s"
    assert rig.sql("SELECT count(*) FROM schedules WHERE owner_id = %s", owner) == [(0,)], "it was carried out all the same"


# ---- costly questions

def make_schedules(rig: Rig, owners: list[int], each: int, overrides: list[Any], wait: bool = True) -> None:
    """By SQL, in one transaction with their events, of which the ledger is told as of answers that nobody got."""
    blocks = (len(owners) * each + 999) // 1000
    rig.sql(
        "WITH made AS (INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides, "
        "created_at, updated_at) SELECT first + i, gen_random_uuid(), decode(md5(random()::text), 'hex'), %s, "
        "%s + i %% %s, 'One of many', 'UTC', '[]', %s, now(), now() "
        "FROM (SELECT nextval('schedule_id_blocks') AS first FROM generate_series(1, %s)) AS block, generate_series(0, 999) AS i RETURNING *) "
        "SELECT count(emit_schedule('ScheduleCreated', made::schedules, false, command_id, created_at, NULL)) FROM made",
        rig.people.org, owners[0], len(owners), json.dumps(overrides), blocks)
    rig.answers.unknown += 1000 * blocks
    if wait:
        rig.wait_events()


def _crowd(address: str, asked: list[bytes], at_once: int, seconds: float, results: Connection) -> None:
    """A process of its own. So many ask at once, each on its connection and again when it is answered; nobody reads what it says."""
    host, port = address.split(":")
    statuses: Counter[int] = Counter()
    stop = time.monotonic() + seconds

    def ask(number: int) -> None:
        connection = None
        while time.monotonic() < stop:
            try:
                connection = connection or socket.create_connection((host, int(port)), 120)
                connection.sendall(asked[number % len(asked)])
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                answer.read()
                statuses[answer.status] += 1
            except (OSError, http.client.HTTPException):
                connection = None  # it was closed between two requests, or behind an answer

    askers = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(at_once)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    results.send(statuses)


def _ask_again_and_again(rig: Rig, asked: list[bytes], at_once: int, seconds: float, needed: int, allowed: set[int]) -> None:
    """While the bystanders are served. Some must be answered `needed`, and the others as is allowed."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    crowd = fork.Process(target=_crowd, args=(rig.service.env["HTTP_LISTEN"], asked, at_once, seconds, theirs), daemon=True)
    try:
        with undisturbed(rig, range(PARTITIONS)):
            crowd.start()
            theirs.close()
            statuses = ours.recv()
    finally:
        crowd.kill()
    rig.faults += statuses.total()
    print(f"      they were answered {dict(statuses)}", flush=True)
    assert needed in statuses and statuses.keys() <= allowed | {needed}, f"they were answered {dict(statuses)}"


def _request(rig: Rig, method: str, path: str, body: bytes = b"") -> bytes:
    return (f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rig.people.admin_key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def ask_for_long_lists(rig: Rig, schedules: int, at_once: int, seconds: float) -> None:
    warm_up(rig)
    owner = rig.make_owners(1)[0]
    make_schedules(rig, [owner], schedules, OVERRIDES[:60])
    needed = rig.request("GET", rig.schedules_path(owner), rig.people.admin_key).status_code  # 200, or 400 where it is too long
    assert needed in (200, 400)
    _ask_again_and_again(rig, [_request(rig, "GET", rig.schedules_path(owner))], at_once, seconds, needed, {503})


def ask_for_far_pages(rig: Rig, schedules: int, at_once: int, seconds: float) -> None:
    warm_up(rig)
    make_schedules(rig, rig.make_owners(200), schedules // 200, [])
    path = f"/v2/organizations/{rig.people.org}/schedules?take=250&skip="
    needed = rig.request("GET", path + str(schedules - 1000), rig.people.admin_key).status_code  # 200, or 400 where it is too far
    assert needed in (200, 400)
    _ask_again_and_again(rig, [_request(rig, "GET", path + str(schedules - 1000))], at_once, seconds, needed, {503})


# ---- costly bodies

def _costly(size: int) -> dict[str, bytes]:
    """JSON of about that size that costs much to check, by what it is full of."""
    def full_of(item: str) -> bytes:
        items = ",".join([item] * (size // (len(item) + 1)))
        return b'{"name":"Costly","timeZone":"UTC","isDefault":false,"overrides":[%b]}' % items.encode()

    return {"beyond a double": full_of("1e999"), "20 digits": full_of("12345678901234567890"), "echoed": full_of('"violation"'),
            "objects": full_of('{"date":1}'), "nested": b'{"overrides":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}"}


def send_costly_bodies(rig: Rig, at_once: int, seconds: float) -> None:
    warm_up(rig)
    asked = [_request(rig, "POST", rig.schedules_path(), body) for body in _costly(99_000).values()]
    _ask_again_and_again(rig, asked, at_once, seconds, 400, {413, 503})


def send_costly_commands(rig: Rig, large: int, small: int) -> None:
    """All to one partition; none of them is carried out."""
    warm_up(rig)
    values = [*_repeat(_costly(1_000_000).values(), large), *_repeat(_costly(8000).values(), small)]
    with undisturbed(rig, OTHERS), closing(producer(rig.place.bootstrap, compression_type="gzip")) as sender:
        for value in values:
            sender.send(rig.place.commands, value=value, key=b"costly", partition=0,
                        headers=[("expect", b"refused"), ("content-type", b"application/json")])
        sender.flush()
        rig.faults += len(values)
        _wait_partition(rig, 0)


def _repeat(values: Iterable[bytes], count: int) -> Iterator[bytes]:
    several = list(values)
    return (several[number % len(several)] for number in range(count))


def send_what_unpacks_large(rig: Rig, memory_mib: int) -> None:
    """Messages of a few KB that unpack to more than the dead letter topic, the WAL or librdkafka takes: each is a dead letter, cut where it
    has to be, or stops its partition, loudly and alone."""
    warm_up(rig)
    rig.memory_max_kib = memory_mib * 1024
    with undisturbed(rig, [3]), closing(producer(rig.place.bootstrap, compression_type="gzip", max_request_size=1 << 28)) as sender:
        sent = [sender.send(rig.place.commands, value=bytes(size), key=b"large", partition=partition, headers=[("expect", expect)]).get(60)
                for partition, (size, expect) in enumerate(((17_000_000, b"dead"), (40_000_000, b"dead"), (120_000_000, b"skipped")))]
        rig.faults += len(sent)
        for partition in (0, 1):
            _wait_partition(rig, partition)
        rig.until(lambda: _is_stopped(rig, 2) or _is_complete(rig, 2), "the third is decided")
        if _is_complete(rig, 2):
            raise AssertionError("a batch that unpacks to more than UNPACKED_BATCH_BYTES was taken")
    rig.cli("offsets", "skip", "--partition", "2")
    for partition in range(PARTITIONS):
        command = rig.command()
        rig.send(command, partition=partition)
        rig.event_of(command["commandId"], DEADLINE_S)


def _is_stopped(rig: Rig, partition: int) -> bool:
    return any(text.startswith(f"partition {partition} ") and text.endswith(" is stopped") for text in rig.degraded())


def _is_complete(rig: Rig, partition: int) -> bool:
    """All that is in it."""
    end = rig.topic(rig.place.commands).ends()[partition]
    sql = "SELECT next_offset FROM command_offsets WHERE topic = %s AND partition = %s"
    return rig.sql(sql, rig.place.commands, partition) >= [(end,)]


def _wait_partition(rig: Rig, partition: int) -> None:
    rig.until(lambda: _is_complete(rig, partition), f"partition {partition} is completed")


def ask_for_many_days(rig: Rig, days: int, count: int) -> None:
    """A window names a day a million times: what comes of it is bounded, and its owner's later changes are answered."""
    warm_up(rig)
    owner = rig.make_owners(1)[0]
    ids = [str(uuid.uuid4()) for _ in range(count)]
    with undisturbed(rig, OTHERS), closing(producer(rig.place.bootstrap, compression_type="gzip")) as sender:
        for command_id in ids:
            command = {"commandId": command_id, "orgId": rig.people.org, "userId": owner, "timeZone": "UTC", "name": "Days",
                       "availability": [{"days": ["Monday"] * days, "startTime": "09:00", "endTime": "17:00"}]}
            sender.send(rig.place.commands, value=as_protobuf(command), key=str(owner).encode(), partition=0,
                        headers=[("expect", b"decided")])
        sender.flush()
        rig.faults += count
        _wait_partition(rig, 0)
        stored = [row[0] for row in rig.sql("SELECT id FROM schedules WHERE owner_id = %s", owner)]
        changes = [threading.Thread(target=_change, args=(rig, owner, schedule), daemon=True) for schedule in stored for _ in range(2)]
        for change in changes:
            change.start()
        for change in changes:
            change.join(60)
    if stored:
        assert len(rig.answers.updated) == len(changes), f"{len(rig.answers.updated)} of {len(changes)} PATCHes were answered 200"


def _change(rig: Rig, owner: int, schedule: int) -> None:
    rig.note(requests.patch(f"{rig.service.url}{rig.schedules_path(owner)}/{schedule}", json={"name": f"Days {uuid.uuid4()}"},
                            headers={"Authorization": f"Bearer {rig.people.admin_key}"}, timeout=60))


# ---- connections and memory

def restart_beside_idle_connections(rig: Rig, connections: int, descriptors: int) -> None:
    """The process has few descriptors, idle connections take all that it lets them, and the database restarts: its connections come
    back first."""
    warm_up(rig)
    service = rig.service
    rig.stop(service)
    service.identity = ["prlimit", f"--nofile={descriptors}:{descriptors}"]
    service.start()
    with _held_open(rig, connections):
        rig.world.postgres.stop()
        time.sleep(2)
        rig.world.postgres.start()
        rig.faults += 1
        rig.until(lambda: _create(rig) == 201, "writes are answered", 60)
        statuses = Counter(_create(rig) for _ in range(50))
        assert statuses == {201: 50}, f"once they are answered, writes are answered {dict(statuses)}"


def _create(rig: Rig) -> int:
    try:
        return rig.post(MINIMAL).status_code
    except requests.ConnectionError:
        return 0


@contextmanager
def _held_open(rig: Rig, count: int) -> Iterator[None]:
    """Idle connections, each made again when it is closed; one of its own asks."""
    rig.request("GET", "/healthz").raise_for_status()
    host, port = rig.service.env["HTTP_LISTEN"].split(":")
    held: list[socket.socket | None] = [None] * count
    stopping = threading.Event()

    def is_closed(one: socket.socket | None) -> bool:
        try:
            return one is None or not one.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def hold() -> None:
        while not stopping.wait(0.5):
            for number, one in enumerate(held):
                if not is_closed(one):
                    continue
                if one:
                    one.close()
                try:
                    held[number] = socket.create_connection((host, int(port)), 2)
                    held[number].setblocking(False)  # type: ignore[union-attr]
                except OSError:
                    held[number] = None

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    try:
        rig.until(lambda: sum(one is not None for one in held) > count // 2, "they are there")
        yield
    finally:
        stopping.set()
        holder.join(30)
        for one in held:
            if one:
                one.close()


def send_compressed_batches(rig: Rig, commands: int, memory_mib: int) -> None:
    """Valid commands of 77 KB, which are few as they are compressed; in batches as a producer makes them, and larger ones. Nobody sees them
    before the transactions that they are in have ended, all at once: what their sender takes of the processors is not the service's."""
    warm_up(rig)
    rig.memory_max_kib = memory_mib * 1024
    with ExitStack() as senders:
        sent = [_send_compressed(rig, senders, commands // 2, size) for size in (16384, 1 << 20)]
        with undisturbed(rig, OTHERS):
            for commit, _ in sent:
                commit()
            rig.faults += commands
            rig.until(lambda: rig.topic(rig.place.commands).ends()[0] > max(last for _, last in sent), "the transactions have ended")
            _wait_partition(rig, 0)


def _send_compressed(rig: Rig, senders: ExitStack, commands: int, batch_size: int) -> tuple[Callable[[], None], int]:
    """To partition 0, in a transaction. Returns what commits it, and the last offset."""
    owners = rig.make_owners(commands // 20)
    overrides = [{"date": f"20{year}-{month:02}-{day:02}", "startTime": "10:00", "endTime": "11:00"}
                 for year in range(30, 34) for month in range(1, 13) for day in range(1, 22)][:1000]
    sender = senders.enter_context(closing(producer(
        rig.place.bootstrap, compression_type="gzip", batch_size=batch_size, linger_ms=100, enable_idempotence=True, acks="all",
        transactional_id=f"{rig.place.commands}.{batch_size}", transaction_timeout_ms=600_000)))
    sender.init_transactions()
    sender.begin_transaction()
    for number in range(commands):
        command = rig.command(userId=owners[number % len(owners)], overrides=overrides, name="x" * 100)
        last = sender.send(rig.place.commands, value=json.dumps(command).encode(), key=str(command["userId"]).encode(), partition=0,
                           headers=[("expect", b"created"), ("content-type", b"application/json")])
    sender.flush()
    return sender.commit_transaction, last.get().offset
