"""Runs the component tests: one throwaway PostgreSQL and one Kafka, and for each test binary a fresh database that the
service's own `migrate` made.

    python3 tests/component/run.py build/asan/tests [name ...]    names pick binaries: writer, kafka_consumer, relay

The service is `schedule-service` beside the directory. Exits with 1 when a binary failed or none was found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/local"))

from servers import Kafka, Postgres, run, scratch_dir  # noqa: E402

TIMEOUT_S = 900


def run_binary(binary: Path, service: Path, postgres: Postgres, kafka: Kafka) -> bool:
    """Whether all its tests passed. Its output is ours."""
    database = binary.name
    slot = f"{database}_slot"
    url = postgres.create_database(database)
    run(str(service), "migrate", env={"DATABASE_URL": url, "REPLICATION_SLOT": slot})
    env = os.environ | {"TEST_DATABASE_URL": url, "TEST_KAFKA_BROKERS": kafka.bootstrap, "REPLICATION_SLOT": slot}
    try:
        return subprocess.run([str(binary)], env=env, check=False, timeout=TIMEOUT_S).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{binary.name}: not done after {TIMEOUT_S} s", flush=True)
        return False
    finally:
        postgres.psql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")


def main(directory: Path, wanted: list[str]) -> int:
    sources = sorted((ROOT / "tests/component").glob("test_*.c"))
    names = [source.stem for source in sources if not wanted or source.stem.removeprefix("test_") in wanted]
    service = directory.resolve().parent / "schedule-service"
    scratch = scratch_dir()
    begin = time.monotonic()
    failed = []
    try:
        with Postgres(scratch / "postgres", settings={"max_replication_slots": "40", "max_wal_senders": "20"}) as postgres, \
                Kafka(scratch / "kafka") as kafka:
            for name in names:
                print(f"== {name}", flush=True)
                if not run_binary(directory.resolve() / name, service, postgres, kafka):
                    failed.append(name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    verdict = f"FAILED: {', '.join(failed)}" if failed else "all passed" if names else "FAILED: no test found"
    print(f"component tests: {len(names)} binaries, {verdict}, {time.monotonic() - begin:.0f} s")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
