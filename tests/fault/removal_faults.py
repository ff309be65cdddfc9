"""What is removed stays removed: users, organizations and schedules, while commands come for them and others are served. Each function
brings its own load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from kafka import KafkaProducer

from bystanders import undisturbed, warm_up
from ledger import producer
from line import PARTITIONS
from overload import LOAD
from rig import DEADLINE_S, Rig
from servers import run
from wire import as_protobuf

OWNERS_OF_LOAD = 10_000  # by turns those of the commands that tests/tools/load.c makes
ORPHANS = """
    SELECT owner_id, count(*) FROM schedules s
     WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = s.owner_id)
        OR (s.org_id IS NOT NULL AND NOT EXISTS (SELECT FROM organizations o WHERE o.id = s.org_id)) GROUP BY 1"""


def remove_organization(rig: Rig, schedules: int) -> None:
    """A large one, by an entry of the directory: others are served meanwhile, and commands that come for it too late are rejected. A
    second one is removed while the replicas are killed in turn."""
    warm_up(rig)
    with _entries(rig) as entries:
        first = _make_organization(rig, schedules)
        with _commands_for(rig, first, rig.answers.removed), undisturbed(rig, range(PARTITIONS)):
            _remove(rig, entries, f"organization/{first}")
            rig.until(lambda: _is_gone(rig, first), "the organization is gone")
        second = _make_organization(rig, schedules // 4)
        _remove(rig, entries, f"organization/{second}")
        for number in range(4):
            rig.pause(0.2, 0.5)
            victim = rig.replicas[number % len(rig.replicas)]
            victim.kill9()
            victim.start(wait=False)
            rig.faults += 1
        rig.until(lambda: _is_gone(rig, second), "the second organization is gone")
    _see_no_orphans(rig)


def remove_users(rig: Rig, count: int, commands: int) -> None:
    """Each while commands come for it, in whatever partition. Its id is then somebody else's, who sees nothing of it."""
    warm_up(rig)
    with _entries(rig) as entries:
        users = rig.make_owners(count)
        rig.answers.removed |= set(users)
        for number, user in enumerate(users):
            with _commands_for(rig, rig.people.org, {user}, commands):
                rig.pause(0.3, 1)
                _remove(rig, entries, f"user/{user}")
            if number % 10 == 9:
                rig.kill_one()
        for user in users:
            rig.until(lambda: rig.sql("SELECT count(*) FROM users WHERE id = %s", user) == [(0,)], "the user is gone")
    _see_no_orphans(rig)


def repeat_while_deleted(rig: Rig, times: int) -> None:
    """A sender repeats a create, with what it sent beside it, while the schedule is deleted: that was its one life."""
    warm_up(rig)
    owner = rig.make_owners(1)[0]
    with closing(producer(rig.place.bootstrap)) as sender:
        for number in range(times):
            again = rig.command(userId=owner, name=f"Repeated {number}")
            rig.send(again, partition=0, key=str(owner).encode())
            event = rig.event_of(again["commandId"], DEADLINE_S)
            for command in [*(rig.command(userId=owner, name="Beside it " + "x" * 200) for _ in range(20)), again]:
                sender.send(rig.place.commands, value=as_protobuf(command), key=str(owner).encode(), partition=0,
                            headers=[("expect", b"created")])
            sender.flush()
            path = f"{rig.schedules_path(owner)}/{int(event.headers['ce_subject'])}"
            rig.until(lambda: rig.delete(path).status_code == 200, "the schedule is deleted")
            rig.faults += 1


@contextmanager
def _entries(rig: Rig) -> Iterator[KafkaProducer]:
    with closing(producer(rig.place.bootstrap, acks="all")) as sender:
        yield sender


def _remove(rig: Rig, entries: KafkaProducer, key: str) -> None:
    """By a tombstone."""
    entries.send(rig.env["DIRECTORY_TOPIC"], key=key.encode(), value=None).get(DEADLINE_S)
    rig.faults += 1


def _make_organization(rig: Rig, schedules: int) -> int:
    """With members who have so many schedules, which were made by commands."""
    org = int(rig.sql("INSERT INTO organizations (name) VALUES ('Doomed') RETURNING id")[0][0])
    owners = rig.make_owners(OWNERS_OF_LOAD, org)
    assert owners == list(range(owners[0], owners[0] + OWNERS_OF_LOAD)), "somebody else makes users"
    rig.answers.removed |= set(owners)
    before = sum(rig.topic(rig.place.commands).ends().values())
    run(str(LOAD), "produce", rig.place.bootstrap, rig.place.commands, str(before), str(schedules), str(org), str(owners[0]))
    rig.until(lambda: rig.sql("SELECT count(*) FROM schedules WHERE org_id = %s", org) == [(schedules,)], "they are made")
    return org


@contextmanager
def _commands_for(rig: Rig, org: int, owners: set[int], count: int = 1 << 40) -> Iterator[None]:
    """Commands of these owners, in all partitions by turns, until the end of the block or all are sent; who they are for may be gone."""
    stopping, errors = threading.Event(), []

    def send() -> None:
        try:
            for number, owner in zip(range(count), _turns(owners)):
                if stopping.wait(0.002):
                    return
                rig.send(rig.command(userId=owner, orgId=org), "decided", key=str(owner).encode(), partition=number % PARTITIONS)
        except Exception as error:  # it is the main thread that has to know
            errors.append(error)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    yield
    if count < 1 << 40:
        sender.join(DEADLINE_S)
    stopping.set()
    sender.join(DEADLINE_S)
    if errors:
        raise errors[0]


def _turns(owners: set[int]) -> Iterator[int]:
    some = sorted(owners)[:50]
    while True:
        yield from some


def _is_gone(rig: Rig, org: int) -> bool:
    return rig.sql("SELECT (SELECT count(*) FROM organizations WHERE id = %s) + (SELECT count(*) FROM schedules WHERE org_id = %s)",
                   org, org) == [(0,)]


def _see_no_orphans(rig: Rig) -> None:
    time.sleep(1)  # what is on its way
    if orphans := rig.sql(ORPHANS):
        raise AssertionError(f"{len(orphans)} owners who are gone, or whose organization is, still have schedules: {orphans[:5]}")
