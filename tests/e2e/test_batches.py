"""A batch does what its writes do one by one: the same verdicts, rows and events, whatever depends on whatever in it."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2.extras import register_uuid

from line import BINARY
from servers import Postgres, prepare, scratch_dir

RECORD, CREATE, UPDATE, DELETE, CREATE_ONCE = range(5)
ORG, MEMBERS, STRANGER = 1000, (2001, 2002, 2003), 2009
FIELDS = ("kind", "id", "command", "digest", "org", "owner", "name", "zone", "availability", "overrides", "default", "version",
          "key", "entry", "traceparent", "record")
TYPES = ("integer", "bigint", "uuid", "bytea", "bigint", "bigint", "text", "text", "json", "json", "boolean", "bigint", "uuid",
         "json", "text", "bytea")
WRITE = f"SELECT * FROM write_batch('{{}}','{{}}','{{}}','{{}}',{','.join(f'%s::{t}[]' for t in TYPES)},'2027-01-01Z','1 day')"
EVENTS = """SELECT data FROM pg_logical_slot_get_binary_changes(current_database(), NULL, NULL, 'proto_version', '1',
            'publication_names', 'schedule_service', 'messages', 'true')"""
ROWS = "SELECT id, command_id, org_id, owner_id, name, time_zone, overrides::text, version FROM schedules ORDER BY id"
DEFAULTS = "SELECT owner_id, schedule_id FROM default_schedules ORDER BY owner_id"
PROCESSED = "SELECT id, digest, schedule_id, state FROM processed_commands ORDER BY id"
Write = dict[str, Any]


class Database:
    """One that takes writes, and what was published of them."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg2.connect(url)
        register_uuid(conn_or_curs=self.connection)
        self.cursor = self.connection.cursor()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        self.cursor.execute(sql)
        rows = [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in self.cursor.fetchall()]
        self.connection.commit()
        return rows

    def write(self, writes: list[Write]) -> tuple[dict[int, str], dict[int, tuple[Any, ...]]]:
        """The refused ones, by their place, and then nothing was done; else what became of the others."""
        try:
            self.cursor.execute(WRITE, [[write.get(field) for write in writes] for field in FIELDS])
        except psycopg2.Error as error:
            self.connection.rollback()
            assert error.pgcode == "SS002", error
            return {int(place) - 1: verdict for place, verdict in
                    (one.split(":") for one in (error.diag.message_detail or "").split(","))}, {}
        outcomes = {row[0] - 1: row[1:] for row in self.cursor.fetchall()}
        self.connection.commit()
        return {}, outcomes

    def events(self) -> dict[Any, list[Any]]:
        """By schedule; records under the text before their colon."""
        seen = defaultdict(list)
        for (data,) in self.rows(EVENTS):
            if data[:1] != b"M":
                continue
            prefix, _, rest = data[10:].partition(b"\0")
            content = rest[4:4 + struct.unpack("!I", rest[:4])[0]]
            if prefix == b"schedule-service.state":
                seen[json.loads(content)["schedule"]["id"]].append(json.loads(content))
            else:
                for record in content.split(b";")[:-1]:
                    seen[int(record.split(b":")[0])].append(record)
        return seen


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Database, Database]]:
    directory = scratch_dir()
    with Postgres(directory / "postgres") as server:
        made = []
        for name in ("batches", "singles"):
            url = server.create_database(name)
            prepare(BINARY, {"DATABASE_URL": url, "REPLICATION_SLOT": name}, topics=False)
            made.append(Database(url))
            made[-1].cursor.execute(f"INSERT INTO organizations (id, name) VALUES ({ORG}, 'o')")
            for user in (*MEMBERS, STRANGER):
                made[-1].cursor.execute(f"INSERT INTO users (id, name) VALUES ({user}, 'u')")
            for user in MEMBERS:
                made[-1].cursor.execute(f"INSERT INTO memberships (org_id, user_id) VALUES ({ORG}, {user})")
            made[-1].connection.commit()
        yield made[0], made[1]
        for database in made:
            database.connection.close()
    shutil.rmtree(directory, ignore_errors=True)


class Sender:
    """Makes writes, of which many have to do with one another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sent: list[Write] = []
        self.next = seed * 100_000 + 1
        self.ids: list[int] = []

    def uuid(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    def write(self) -> Write:
        chance = self.random
        again = chance.random()
        if self.sent and again < 0.1:  # a repeat, of another content or with another id
            write = dict(chance.choice(self.sent))
            if write["kind"] == CREATE:
                write["id"], self.next = self.next, self.next + 1
                write["record"] = f"{write['id']}:created;".encode()
            return write | ({"digest": chance.randbytes(16)} if again < 0.03 else {})
        kind = chance.choices((RECORD, CREATE, UPDATE, DELETE, CREATE_ONCE), (1, 8, 10, 2, 0.5))[0]
        self.next += 1
        if kind == RECORD:
            return {"kind": kind, "record": f"{self.next}:record;".encode()}
        write: Write = {"kind": kind, "command": self.uuid(), "digest": chance.randbytes(16), "org": chance.choice((ORG, None)),
                        "owner": chance.choice((*MEMBERS, *MEMBERS, *MEMBERS, STRANGER)), "default": kind != DELETE and chance.random() < 0.1}
        if kind in (CREATE, CREATE_ONCE):
            write |= {"id": self.next, "name": f"n{self.next}", "zone": "UTC", "availability": "[]", "overrides": "[]",
                      "record": f"{self.next}:created;".encode(), "key": self.uuid() if kind == CREATE_ONCE else None}
            self.ids.append(self.next)
        else:
            write |= {"id": chance.choice(self.ids[-12:]) if self.ids and chance.random() < 0.95 else 999_999_999,
                      "version": chance.choice((None, None, None, 1, 2))}
            if kind == UPDATE:
                write |= {"name": f"n{self.next}", "overrides": chance.choice((None, "[1]"))}
        self.sent.append(write)
        return write


@pytest.mark.parametrize("seed", range(1, 13))
def test_a_batch_does_what_its_writes_do_one_by_one(databases: tuple[Database, Database], seed: int) -> None:
    batches, singles = databases
    sender = Sender(seed)
    for size in (1, 7, 40, 40, 3, 60):
        writes = [sender.write() for _ in range(size)]
        refused: dict[int, str] = {}
        expected = {}
        for place, write in enumerate(writes):
            verdict, outcomes = singles.write([write])
            refused |= {place: verdict[0]} if verdict else {}
            expected |= {place: outcomes[0]} if outcomes else {}
        left, done, found = list(range(size)), {}, {}
        while True:  # a repeat of what is refused is refused behind it
            verdict, outcomes = batches.write([writes[place] for place in left])
            if not verdict:
                done = {left[place]: outcome for place, outcome in outcomes.items()}
                break
            found |= {left[place]: what for place, what in verdict.items()}
            left = [place for place in left if place not in found]
        assert found == refused
        assert done == expected
        assert batches.events() == singles.events()
        for table in (ROWS, DEFAULTS, PROCESSED):
            assert batches.rows(table) == singles.rows(table)
