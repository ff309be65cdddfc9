"""A load of commands: creates, updates and deletes of many owners, in every form, some of them repeated, stale or bad.

The header `expect` of each tells the ledger (tests/ledger.py) what must become of it."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer

from ledger import Topic
from wire import CREATE, CREATED, DELETE, DELETED, UPDATE, UPDATED, WEEKDAYS, as_protobuf, decode_event, framed

ZONES = ["Europe/Rome", "America/New_York", "Asia/Calcutta", "UTC", "Pacific/Auckland"]
GARBAGE = [b"\xff\xff\xff garbage", b"\x0a\x24truncated", b"", b"\0\0\0\0\0", b"\x22\x02\xc3\x28"]
NO_SCHEDULE = 1 << 60
NO_VERSION = 1 << 40
LEARN_EVERY = 100
REMEMBERED = 100


@dataclass(frozen=True)
class Send:
    """One message to produce."""

    key: bytes
    value: bytes
    headers: dict[str, bytes]


class Load:
    """Shares are of all messages. Which schedules are changed depends on what the events topic told until then; everything
    else is the same for the same seed. Call from one thread at a time, and close it."""

    def __init__(self, org_id: int, owners: list[int], seed: int, events: Topic, *, duplicates: float = 0.01,
                 reused: float = 0.01, invalid: float = 0.01, undecodable: float = 0.001, changes: float = 0.35) -> None:
        self.org_id, self.owners, self.events = org_id, owners, events
        self.random = random.Random(seed)
        self.shares = {"duplicate": duplicates, "reused": reused, "invalid": invalid, "undecodable": undecodable,
                       "change": changes}
        self.recent: list[tuple[str, dict[str, Any], Send]] = []
        self.schedules: dict[int, dict[str, Any]] = {}  # the last state of each, as far as it was told
        self.ids: list[int] = []                        # theirs, and of some that are deleted since
        self.told = 0

    def close(self) -> None:
        self.events.close()

    def messages(self, count: int) -> Iterator[Send]:
        self._learn(500)
        for number in range(1, count + 1):
            yield self._next()
            if number % LEARN_EVERY == 0:
                self._learn(0)

    def _learn(self, timeout_ms: int) -> None:
        self.events.poll(timeout_ms)
        for event in self.events.records[self.told:]:
            kind = event.headers["ce_type"].decode()
            if kind not in (CREATED, UPDATED, DELETED):
                continue
            schedule = decode_event(event.value or b"", event.headers)
            if schedule["owner_id"] in self.owners:
                self.schedules[schedule["id"]] = schedule
                self.ids += [schedule["id"]] if kind == CREATED else []
        self.told = len(self.events.records)

    def _next(self) -> Send:
        point = self.random.random()
        for kind, share in self.shares.items():
            if point < share and self._can(kind):
                return getattr(self, f"_{kind}")()
            point -= share
        return self._create()

    def _can(self, kind: str) -> bool:
        return bool(self.ids if kind == "change" else self.recent if kind in ("duplicate", "reused") else True)

    # ---- the kinds of messages

    def _create(self) -> Send:
        return self._send(CREATE, self._create_command(), b"created")

    def _change(self) -> Send:
        kind = DELETE if self.random.random() < 0.2 else UPDATE
        return self._send(kind, self._change_command(kind), b"decided")

    def _duplicate(self) -> Send:
        return self.random.choice(self.recent)[2]

    def _reused(self) -> Send:
        """A command id once more, with other content."""
        kind, command, _ = self.random.choice(self.recent)
        other = {"expectedVersion": NO_VERSION} if kind == DELETE else {"name": f"Other {self.random.randrange(10**6)}"}
        return self._message(kind, command | other, b"decided")

    def _undecodable(self) -> Send:
        kind = self.random.choice([CREATE, UPDATE, DELETE])
        value = self.random.choice(GARBAGE if kind == CREATE else GARBAGE[:-1])
        return Send(self._key(), value, {"expect": b"dead", "trace": b"kept", "ce_type": kind.encode()})

    def _invalid(self) -> Send:
        faults: list[dict[str, Any]] = [
            {"timeZone": "Mars/Base"}, {"name": "x" * 256}, {"userId": 0}, {"userId": 1 << 40},
            {"overrides": [{"date": "2023-02-29", "startTime": "1", "endTime": "2"}]}]
        of_change: list[dict[str, Any]] = [{"scheduleId": 0}, {"expectedVersion": -1}]
        kind = self.random.choice([CREATE, UPDATE]) if self.ids else CREATE
        command = self._create_command() if kind == CREATE else self._change_command(kind)
        command |= self.random.choice(faults if kind == CREATE else faults + of_change)
        return self._message(kind, command, b"rejected")

    # ---- commands

    def _create_command(self) -> dict[str, Any]:
        pick = self.random
        return self._ids(pick.choice(self.owners), pick.choice([0, self.org_id])) | {
            "name": f"Load {pick.randrange(10**6)} \u00e9", "timeZone": pick.choice(ZONES),
            "isDefault": pick.random() < 0.2} | self._lists()

    def _change_command(self, kind: str) -> dict[str, Any]:
        pick = self.random
        schedule = self.schedules[pick.choice(self.ids)]
        command = self._ids(schedule["owner_id"], schedule["org_id"]) | {"scheduleId": schedule["id"]}
        point = pick.random()
        if point < 0.03:
            command["scheduleId"] = NO_SCHEDULE + pick.randrange(10**6)
        elif point < 0.06:
            command["userId"] = pick.choice(self.owners)
        if pick.random() < 0.3:
            command["expectedVersion"] = pick.choice([schedule["version"], schedule["version"], 1, NO_VERSION])
        return command if kind == DELETE else command | self._some_fields()

    def _ids(self, owner: int, org: int) -> dict[str, Any]:
        command_id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        return {"commandId": command_id, "userId": owner, "orgId": org}

    def _some_fields(self) -> dict[str, Any]:
        pick = self.random
        fields = {"name": f"Changed {pick.randrange(10**6)}", "timeZone": pick.choice(ZONES), "isDefault": pick.random() < 0.5}
        some: dict[str, Any] = {name: value for name, value in fields.items() if pick.random() < 0.4}
        return some | (self._lists() if pick.random() < 0.5 else {"availability": [], "overrides": []})

    def _lists(self) -> dict[str, Any]:
        lists: dict[str, Any] = {}
        if self.random.random() < 0.5:
            lists["availability"] = [{"days": self.random.sample(WEEKDAYS, 2), "startTime": "08:30", "endTime": "23:59"}]
        if self.random.random() < 0.3:
            lists["overrides"] = [{"date": "2024-02-29", "startTime": "10:00", "endTime": "10:00"}]
        return lists

    def _key(self, command: Mapping[str, Any] | None = None) -> bytes:
        return str(command["userId"] if command else self.random.choice(self.owners)).encode()

    # ---- messages

    def _send(self, kind: str, command: dict[str, Any], expect: bytes) -> Send:
        send = self._message(kind, command, expect)
        self.recent = [*self.recent[1 - REMEMBERED:], (kind, command, send)]
        return send

    def _message(self, kind: str, command: dict[str, Any], expect: bytes) -> Send:
        form = self.random.random()
        headers = {"expect": expect} | ({} if kind == CREATE and form < 0.8 else {"ce_type": kind.encode()})
        if form < 0.3:
            return Send(self._key(command), json.dumps(command).encode(), headers | {"content-type": b"application/json"})
        value = as_protobuf(command, kind)
        return Send(self._key(command), framed(value) if form < 0.4 else value, headers)


def produce(sender: KafkaProducer, topic: str, sends: Iterable[Send]) -> int:
    """Sends all and waits until Kafka has them; how many. Raises what Kafka refused."""
    futures = [sender.send(topic, key=send.key, value=send.value, headers=list(send.headers.items())) for send in sends]
    sender.flush()
    for future in futures:
        future.get(60)
    return len(futures)
