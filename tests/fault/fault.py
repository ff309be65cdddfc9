#!/usr/bin/env python3
"""The fault rig behind `make fault`: commands from an outside client, replicas of the service of which one is killed with
-9 every few seconds, and at the end the ledger: nothing lost, nothing twice. Real PostgreSQL, real Kafka, all throwaway.

    fault.py [--commands 100000] [--replicas 2] [--kill-every 4] [--seed N] [--rate 2500] [--binary PATH]

Exit status 0 only if the ledger is exact, every replica stopped with 0 and none was ever larger than 64 MiB.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy/local"), str(ROOT / "tests")]

from ledger import Place, Report, Topic, audit, producer, query, wait_quiet  # noqa: E402
from load import Load, Send, produce  # noqa: E402
from servers import Kafka, Postgres, ServerError, Service, admin, prepare, scratch_dir  # noqa: E402

OWNERS = 1000
MEMORY_MAX_KIB = 64 * 1024
BURSTS_A_SECOND = 10


class Replicas:
    """The service, several times, with the memory each process took at most. Start and kill from one thread."""

    def __init__(self, binary: Path, env: dict[str, str], count: int, directory: Path) -> None:
        self.services = [Service(binary, env, directory / f"replica-{number}.log") for number in range(count)]
        self.peak_kib = 0
        self.kills = 0

    def start(self) -> None:
        for service in self.services:
            service.start()

    def kill_one(self, pick: random.Random) -> None:
        """Kills one that runs and starts it anew at once."""
        self.sample()
        service = pick.choice(self.services)
        if not service.is_running():
            raise service.error("ended by itself")
        service.kill9()
        service.start(wait=False)
        self.kills += 1

    def sample(self) -> None:
        for service in self.services:
            try:
                peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{service.pid}/status").read_text())
                name = Path(f"/proc/{service.pid}/comm").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if peak and name.startswith("schedule"):  # not the one that is about to become it
                self.peak_kib = max(self.peak_kib, int(peak[1]))

    def stop(self) -> None:
        """Raises ServerError when one does not stop with status 0."""
        for service in self.services:
            if service.is_running() and (status := service.stop()):
                raise service.error(f"stopped with status {status}")

    def close(self) -> None:
        for service in self.services:
            service.close()


class Sender(threading.Thread):
    """Produces the load at a steady rate, in the background."""

    def __init__(self, place: Place, load: Load, count: int, rate: int) -> None:
        super().__init__(daemon=True)
        self.place, self.load, self.count, self.rate = place, load, count, rate
        self.sent = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            client = producer(self.place.bootstrap)
            for burst in self._bursts():
                self.sent += produce(client, self.place.commands, burst)
            client.close()
            self.load.close()
        except Exception as error:  # it is the main thread that has to know
            self.error = error

    def _bursts(self) -> Iterator[list[Send]]:
        messages = self.load.messages(self.count)
        begin = time.monotonic()
        size = self.rate // BURSTS_A_SECOND or 5000
        for start in range(0, self.count, size):
            if self.rate:
                time.sleep(max(0.0, begin + start / self.rate - time.monotonic()))
            yield list(islice(messages, size))


def make_owners(database_url: str, org_id: str) -> list[int]:
    rows = query(database_url, """
        WITH made AS (INSERT INTO users (name) SELECT 'Owner' FROM generate_series(1, %s) RETURNING id)
        INSERT INTO memberships (org_id, user_id) SELECT %s, id FROM made RETURNING user_id""", OWNERS, int(org_id))
    return [row[0] for row in rows]


def progress(place: Place, sender: Sender, replicas: Replicas) -> str:
    rows = query(place.database_url, "SELECT count(*) FROM schedules")[0][0]
    return f"sent {sender.sent:>7}  rows {rows:>7}  kills {replicas.kills:>3}  peak {replicas.peak_kib / 1024:.1f} MiB"


def load_and_kill(place: Place, sender: Sender, replicas: Replicas, kill_every_s: float, pick: random.Random) -> float:
    """Returns, once everything is settled and published, how many seconds that took from the first command on."""
    begin = time.monotonic()
    sender.start()
    next_kill, next_line = begin + kill_every_s, begin
    while sender.is_alive():
        sender.join(0.1)
        replicas.sample()
        if time.monotonic() >= next_kill:
            replicas.kill_one(pick)
            next_kill += kill_every_s
        if time.monotonic() >= next_line:
            print(progress(place, sender, replicas), flush=True)
            next_line += 5
    if sender.error:
        raise sender.error
    print(f"all sent after {time.monotonic() - begin:.1f} s; waiting until all is quiet ...", flush=True)
    wait_quiet(place, 300, replicas.sample)
    return time.monotonic() - begin


def run(arguments: argparse.Namespace, directory: Path) -> tuple[Report, Replicas, float]:
    pick = random.Random(arguments.seed)
    with Postgres(directory / "postgres") as postgres, Kafka(directory / "kafka") as kafka:
        database_url = postgres.create_database("schedules")
        env = {"DATABASE_URL": database_url, "KAFKA_BROKERS": kafka.bootstrap,
               "RDKAFKA_SESSION_TIMEOUT_MS": "3000", "RDKAFKA_HEARTBEAT_INTERVAL_MS": "500"}
        people = prepare(arguments.binary, env, topics=False)
        admin(arguments.binary, env, "topics", "--partitions", str(arguments.partitions))
        place = Place(database_url, kafka.bootstrap, "schedules.commands.v1", "schedules.events.v1",
                      "schedules.commands.v1.dlq", "schedule_service")
        owners = make_owners(database_url, people["ORG_ID"])
        load = Load(int(people["ORG_ID"]), owners, arguments.seed, Topic(place.bootstrap, place.events))
        sender = Sender(place, load, arguments.commands, arguments.rate)
        replicas = Replicas(arguments.binary, env, arguments.replicas, directory)
        try:
            replicas.start()
            took_s = load_and_kill(place, sender, replicas, arguments.kill_every, pick)
            replicas.sample()
            replicas.stop()
            print("quiet; auditing ...", flush=True)
            return audit(place), replicas, took_s
        finally:
            replicas.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--kill-every", type=float, default=4, metavar="SECONDS")
    parser.add_argument("--rate", type=int, default=2500, help="commands a second; 0: as many as can be sent")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--binary", type=Path, default=ROOT / "build/release/schedule-service")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run without faults too")
    arguments = parser.parse_args()
    arguments.binary = arguments.binary.resolve()
    print(f"seed {arguments.seed}; {arguments.commands} commands, {arguments.replicas} replicas, a kill -9 every "
          f"{arguments.kill_every:g} s", flush=True)
    directory = scratch_dir()
    failed = True
    try:
        report, replicas, took_s = run(arguments, directory)
        peak_mib = replicas.peak_kib / 1024
        print(f"\n{report}\n  {'kills':<28}{replicas.kills:>9}\n  {'seconds':<28}{took_s:>9.1f}\n"
              f"  {'commands a second':<28}{arguments.commands / took_s:>9.0f}\n"
              f"  {'peak memory, MiB':<28}{peak_mib:>9.1f}\n")
        too_large = replicas.peak_kib >= MEMORY_MAX_KIB
        if too_large:
            print(f"FAILED: a replica took {peak_mib:.1f} MiB; the limit is 64")
        failed = bool(report.faults) or too_large
        print("FAILED" if failed else "OK: nothing lost, nothing twice")
    except (ServerError, TimeoutError) as error:
        print(f"FAILED: {error}")
    finally:
        if failed or arguments.keep:
            print(f"logs: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
