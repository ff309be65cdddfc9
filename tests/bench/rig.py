"""What the measurements stand on: the servers, one world for each measurement, and where the machine's time went."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/local"))
import servers  # noqa: E402

BINARY = Path("build/release/schedule-service")
TOOLS = ROOT / "build/release/tests"
FIRST_OWNER = 100_000
OWNERS = 10_000  # SAMPLE_OWNERS of tests/support/sample.h
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PARTS = ("service", "PostgreSQL backends", "PostgreSQL walsender", "PostgreSQL others", "Kafka")
NOTHING = (0.0, 0.0)

# Tuned as one would for a small machine, the same for the limits and the service. fsync and synchronous_commit are on.
POSTGRES_SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}

FILL_ROWS = 500_000
FILL = """
INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, overrides, created_at,
                       updated_at)
SELECT i, (lpad(to_hex(1700000000000 + i), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid,
       decode(md5(i::text), 'hex'), {org}, {owner} + (i - 1) % {owners}, 'Working hours ' || i,
       (ARRAY['Europe/Rome', 'America/New_York', 'Asia/Kolkata', 'Australia/Sydney'])[i % 4 + 1],
       '[{{"days":["Monday","Tuesday","Wednesday","Thursday","Friday"],"startTime":"09:00","endTime":"17:00"}}]',
       CASE WHEN i % 8 = 0 THEN '[{{"date":"2027-12-24","startTime":"00:00","endTime":"00:00"}}]' ELSE '[]' END::json, now(), now()
  FROM generate_series({first}, {last}) AS i"""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tool(name: str, *arguments: object) -> str:
    """What a program of tests/tools prints."""
    return servers.run(str(TOOLS / name), *map(str, arguments))


class Rig(servers.Startable):
    """PostgreSQL and Kafka on throwaway state."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.postgres = servers.Postgres(directory / "postgres", settings=POSTGRES_SETTINGS)
        self.kafka = servers.Kafka(directory / "kafka", heap=servers.Kafka.USUAL_HEAP)

    def start(self) -> None:
        self.kafka.start(wait=False)
        self.postgres.start()
        self.kafka.wait_ready()

    def close(self) -> None:
        self.kafka.close()
        self.postgres.close()

    def compiling(self) -> dict[str, float]:
        """Seconds of CPU time so far of each thread of the broker's JVM that compiles."""
        used = {}
        for thread in Path(f"/proc/{self.kafka.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                if "Compiler" in (thread / "comm").read_text():
                    used[thread.name] = sum(_times_of(thread / "stat"))
        return used

    def cpu(self, service: servers.Server) -> dict[str, tuple[float, float]]:
        """Seconds of user and system time so far, by what the processes do."""
        used: dict[str, tuple[float, float]] = {}

        def add(who: str, pid: int) -> None:
            user, system = used.get(who, (0.0, 0.0))
            more_user, more_system = _times_of(Path(f"/proc/{pid}/stat"))
            used[who] = (user + more_user, system + more_system)

        for pid in servers.child_pids(self.postgres.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                add(_role_of(pid), pid)
        add("Kafka", self.kafka.pid)
        add("service", service.pid)
        return used


def _times_of(stat: Path) -> tuple[float, float]:
    """Seconds of user and system time."""
    fields = stat.read_text().rpartition(")")[2].split()  # proc(5) counts the first as 3
    return int(fields[11]) * TICK_S, int(fields[12]) * TICK_S


def cpu_us(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]], units: float) -> dict[str, float]:
    """Microseconds for each unit of work between two times of Rig.cpu: "PART user_us", "PART system_us" and "PART cpu_us", their sum."""
    results = {}
    for part in PARTS:
        seconds = [now - then for now, then in zip(after.get(part, NOTHING), before.get(part, NOTHING))]
        results |= {f"{part} {kind}_us": spent / units * 1e6 for kind, spent in zip(("user", "system", "cpu"), (*seconds, sum(seconds)))}
    return results


class Idle:
    """How much of the machine's cores has nothing to do, from now on."""

    def __init__(self) -> None:
        self.begin = self._ticks()

    def percent(self) -> float:
        idle, total = (now - then for now, then in zip(self._ticks(), self.begin))
        return 100 * idle / total

    @staticmethod
    def _ticks() -> tuple[int, int]:
        ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]  # proc(5)
        return ticks[3] + ticks[4], sum(ticks)  # idle and iowait


def _role_of(pid: int) -> str:
    title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    if "walsender" in title:
        return "PostgreSQL walsender"
    return "PostgreSQL backends" if "127.0.0.1(" in title else "PostgreSQL others"


class World(servers.Startable):
    """A database and topics of its own, with OWNERS members in one organization. `with` makes and drops it."""

    def __init__(self, rig: Rig, name: str, topics: bool = True, checkout: Path = ROOT) -> None:
        self.rig, self.name, self.topics, self.binary = rig, name, topics, checkout / BINARY
        self.env: dict[str, str] = {}
        self.demo: dict[str, str] = {}
        self.produced = 0  # commands on the topic
        self.filled = 0    # schedules that have no event
        self.services = 0
        self.slots = 0

    def start(self) -> None:
        self.env = {
            "DATABASE_URL": self.rig.postgres.create_database(self.name), "KAFKA_BROKERS": self.rig.kafka.bootstrap,
            "REPLICATION_SLOT": self.name, "TRANSACTIONAL_ID": self.name, "CONSUMER_GROUP": self.name,
            **{f"{topic}_TOPIC": f"{self.name}.{topic.lower()}"
               for topic in ("COMMANDS", "EVENTS", "DEAD_LETTER", "PROGRESS", "DIRECTORY")},
        }
        self.demo = servers.prepare(self.binary, self.env, topics=self.topics)
        self.add_members(OWNERS)

    def close(self) -> None:
        self.drop_slot()
        self.rig.postgres.psql(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def make_slot(self) -> None:
        """In place of one that was dropped when all was published; `migrate` rightly makes none behind the first write. Its progress has a
        topic of its own, as the service rightly refuses a slot that is ahead of its progress."""
        self.slots += 1
        self.env["PROGRESS_TOPIC"] = f"{self.name}.progress{self.slots}"
        servers.admin(self.binary, self.env, "topics")
        self.sql(f"SELECT pg_create_logical_replication_slot('{self.name}', 'pgoutput')")

    def drop_slot(self) -> None:
        """A slot that nobody reads would hold the WAL of all other measurements."""
        slot = f"FROM pg_replication_slots WHERE slot_name = '{self.name}'"
        wait_for(lambda: self.rig.postgres.psql(f"SELECT 1 {slot} AND active") == "", 0.1)
        self.sql(f"SELECT pg_drop_replication_slot(slot_name) {slot}")

    def sql(self, sql: str) -> str:
        return self.rig.postgres.psql(sql, self.name)

    def add_members(self, count: int) -> None:
        members = f"generate_series({FIRST_OWNER}, {FIRST_OWNER + count - 1}) AS i ON CONFLICT DO NOTHING"
        self.sql(f"INSERT INTO users (id, name) SELECT i, 'bench' FROM {members}; "
                 f"INSERT INTO memberships (org_id, user_id) SELECT {self.org}, i FROM {members}; ANALYZE")

    def fill(self, rows: int, owners: int = OWNERS) -> None:
        """Stores schedules 1 to `rows` of the owners by turns, past the service, and lets its own ids begin behind them."""
        self.drop_slot()
        for first in range(1, rows + 1, FILL_ROWS):
            last = min(rows, first + FILL_ROWS - 1)
            self.sql(FILL.format(org=self.org, owner=FIRST_OWNER, owners=owners, first=first, last=last))
            if rows > FILL_ROWS:
                say(f"  filled {last:,} of {rows:,} rows")
        self.sql(f"SELECT setval('schedule_id_blocks', {rows // 1000 + 1} * 1000 + 1, false)")
        self.sql("VACUUM ANALYZE schedules")
        self.filled = rows
        self.make_slot()

    @property
    def org(self) -> str:
        return self.demo["ORG_ID"]

    def rows(self) -> int:
        return int(self.sql("SELECT count(*) FROM schedules"))

    def produce(self, count: int, what: str = "produce") -> float:
        """Puts commands on the topic, with "mix" some that change and delete what filled the table; the seconds it took."""
        seconds = tool("load", what, self.env["KAFKA_BROKERS"], self.env["COMMANDS_TOPIC"], self.produced, count, self.org,
                       FIRST_OWNER)
        self.produced += count
        return float(seconds)

    def consume(self, topic: str, count: int) -> float:
        """Reads so many messages of the COMMANDS or EVENTS topic; the seconds it took. Raises ServerError when there are fewer."""
        return float(tool("load", "consume", self.env["KAFKA_BROKERS"], self.env[f"{topic}_TOPIC"], count))

    def service(self) -> servers.Service:
        """The service with its default configuration, but without rate limits."""
        self.services += 1
        return servers.Service(self.binary, self.env, self.rig.directory / f"{self.name}.{self.services}.log")

    def sender(self) -> servers.Webhooks:
        """A sender of webhooks, which may reach loopback."""
        self.services += 1
        return servers.Webhooks(self.binary, self.env, self.rig.directory / f"{self.name}.{self.services}.log")

    @contextlib.contextmanager
    def database(self) -> Iterator[psycopg2.extensions.cursor]:
        """One connection that stays, for questions that are asked often."""
        connection = psycopg2.connect(self.env["DATABASE_URL"])
        connection.autocommit = True
        try:
            yield connection.cursor()
        finally:
            connection.close()


@dataclass
class Metrics:
    """A service's metrics over one connection that stays."""

    service: servers.Service

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.service.env["HTTP_LISTEN"], timeout=10)

    def value(self, series: str) -> float:
        self.connection.request("GET", "/metrics")
        for line in self.connection.getresponse().read().decode().splitlines():
            if line.startswith(series + " "):
                return float(line.split()[-1])
        raise KeyError(series)


class EventWatch(servers.Startable):
    """Notes when more of a topic became readable read_committed."""

    def __init__(self, world: World) -> None:
        self.path = world.rig.directory / f"{world.name}.watch"
        self.command = ["setpriv", "--pdeathsig", "KILL", str(TOOLS / "load"), "watch", world.env["KAFKA_BROKERS"],
                        world.env["EVENTS_TOPIC"]]

    def start(self) -> None:
        with self.path.open("wb") as output:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def last(self) -> float:
        """Unix time at which what is readable now had become so."""
        return float(self.path.read_text().splitlines()[-1].split()[0])


def memory_mib(pid: int, field: str) -> float:
    """VmRSS (now) or VmHWM (the most so far)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def wait_for(reached: Callable[[], bool], every_s: float, deadline_s: float = 300) -> None:
    end = time.monotonic() + deadline_s
    while not reached():
        if time.monotonic() > end:
            raise servers.ServerError("a measurement did not come to its end")
        time.sleep(every_s)
