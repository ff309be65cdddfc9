"""`make bench`: how fast the service drains waiting commands, beside what PostgreSQL alone does in the same run.

    bench.py [--commands N] [--rounds N]

Each round uses a fresh database, fresh topics and a freshly started service. fsync and synchronous_commit are on."""

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/local"))
import servers  # noqa: E402

BIN = ROOT / "build/release"
RESULTS = ROOT / "build/bench/results.json"
PARTITIONS = 8


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def environment(postgres: servers.Postgres, kafka: servers.Kafka, name: str) -> dict[str, str]:
    return {
        "DATABASE_URL": postgres.create_database(name),
        "KAFKA_BROKERS": kafka.bootstrap,
        "REPLICATION_SLOT": name,
        "TRANSACTIONAL_ID": name,
        "CONSUMER_GROUP": name,
        **{f"{topic}_TOPIC": f"{name}.{topic.lower()}" for topic in ("COMMANDS", "EVENTS", "DEAD_LETTER", "PROGRESS",
                                                                 "DIRECTORY")},
    }


def database_of(env: dict[str, str]) -> str:
    return env["DATABASE_URL"].rsplit("/", 1)[1]


def limit(postgres: servers.Postgres, kafka: servers.Kafka, name: str, commands: int) -> float:
    """Rows per second of a bare libpq loop with the same rows, indexes and emitted bytes."""
    env = environment(postgres, kafka, name)
    servers.prepare(BIN / "schedule-service", env, topics=False)
    seconds = float(servers.run(str(BIN / "tests/pg_limit"), env["DATABASE_URL"], str(commands), "256"))
    postgres.psql(f"SELECT pg_drop_replication_slot('{name}')", database_of(env))
    return commands / seconds


def status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


def cpu_seconds(service: servers.Service) -> float:
    return metric(service, "process_cpu_seconds_total")


def metric(service: servers.Service, name: str) -> float:
    for line in servers.run("curl", "-fsS", service.url + "/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise KeyError(name)


def drain(postgres: servers.Postgres, kafka: servers.Kafka, name: str, commands: int, directory: Path) -> dict[str, float]:
    """From the start of fetching, with all commands waiting in Kafka, to the last durable row and the last readable event."""
    env = environment(postgres, kafka, name)
    servers.prepare(BIN / "schedule-service", env)
    postgres.psql("INSERT INTO users (id, name) SELECT i, 'bench' FROM generate_series(100000, 109999) i; "
                  "INSERT INTO memberships (org_id, user_id) SELECT 1, i FROM generate_series(100000, 109999) i", database_of(env))
    load = str(BIN / "tests/load")
    servers.run(load, "produce", kafka.bootstrap, env["COMMANDS_TOPIC"], str(commands), "1", "100000")
    with servers.Service(BIN / "schedule-service", env, directory / f"{name}.log") as service:
        database = database_of(env)
        count = "SELECT coalesce(max(next_offset), 0), coalesce(sum(next_offset), 0) FROM command_offsets"
        while int(postgres.psql(count, database).split("|")[0]) == 0:
            time.sleep(0.005)
        start = time.time()
        already = int(postgres.psql(count, database).split("|")[1])
        cpu_before = cpu_seconds(service)
        while int(postgres.psql(count, database).split("|")[1]) < commands:
            time.sleep(0.05)
        rows_s = time.time() - start
        cpu = cpu_seconds(service) - cpu_before
        last, seen = servers.run(load, "consume", kafka.bootstrap, env["EVENTS_TOPIC"], str(commands)).split()
        assert int(seen) == commands
        rows = int(postgres.psql("SELECT count(*) FROM schedules", database))
        assert rows == commands, f"{rows} rows for {commands} commands"
        while metric(service, "schedule_relay_lag_bytes") > 0:
            time.sleep(0.01)
        peak = status_kib(service.pid, "VmHWM") / 1024
    postgres.psql(f"SELECT pg_drop_replication_slot('{name}')", database)
    return {"rows_per_s": (commands - already) / rows_s, "cpu_us_per_command": cpu / (commands - already) * 1e6, "peak_mib": peak}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--commands", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    directory = servers.scratch_dir()
    limits: list[float] = []
    drains: list[dict[str, float]] = []
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(servers.Postgres(directory / "postgres"))
        kafka = stack.enter_context(servers.Kafka(directory / "kafka"))
        for round_ in range(options.rounds):
            limits.append(limit(postgres, kafka, f"limit{round_}", options.commands))
            say(f"round {round_ + 1}: PostgreSQL alone {limits[-1]:,.0f} rows/s")
            drains.append(drain(postgres, kafka, f"drain{round_}", options.commands, directory))
            say(f"round {round_ + 1}: the service {drains[-1]['rows_per_s']:,.0f} rows/s")
    shutil.rmtree(directory)
    best = statistics.median(limits)
    median = {key: statistics.median(one[key] for one in drains) for key in drains[0]}
    print(f"{options.commands:,} commands, {options.rounds} rounds, medians")
    print(f"  PostgreSQL alone            {best:10,.0f} rows/s  ({min(limits):,.0f} to {max(limits):,.0f})")
    print(f"  commands to durable rows    {median['rows_per_s']:10,.0f} rows/s  {median['rows_per_s'] / best:.2f} of that")
    print(f"  CPU of the service          {median['cpu_us_per_command']:10.1f} us per command")
    print(f"  peak resident memory        {median['peak_mib']:10.1f} MiB")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"limit_rows_per_s": limits, "drain": drains}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
