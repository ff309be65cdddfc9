"""What PostgreSQL and Kafka do when nothing else is in the way."""

from __future__ import annotations

import time
from collections.abc import Callable

from rig import FIRST_OWNER, World, say, tool

BATCHES = (256, 512, 1024, 2048)
COMMITS = 3000
PACES = (1000, 5000)  # a second
PACE_SECONDS = 8


def best_batch(new_world: Callable[..., World], commands: int) -> int:
    """The number of rows in a transaction with which a bare libpq loop is fastest."""
    rates = {}
    for batch in BATCHES:
        with new_world(f"batch{batch}_", topics=False) as world:
            rates[batch] = pg_rows_per_s(world, commands, batch)
    say("  libpq alone, rows/s by batch: " + ", ".join(f"{batch}: {rate:,.0f}" for batch, rate in rates.items()))
    return max(rates, key=lambda batch: rates[batch])


def pg_rows_per_s(world: World, commands: int, batch: int) -> float:
    """A bare libpq loop with two connections, into an empty table with its indexes and checks."""
    world.rig.postgres.psql("CHECKPOINT")
    return commands / float(pg_limit(world, commands, batch, 2).split()[0])


def commit_ms(world: World) -> float:
    """One row and its message inserted and committed, one after the other over one connection: the median."""
    return parse(pg_limit(world, COMMITS, 1, 1))["p50"] / 1000


def machine_ms() -> dict[str, float]:
    """What the machine itself does to latencies at 1,000 a second."""
    found = parse(tool("stall_limit", 1000, PACE_SECONDS))
    return {f"machine_{point}_ms": found[point] / 1000 for point in ("p50", "p99", "p999")}


def transactions_ms(world: World) -> dict[str, float]:
    """What Kafka's transactions do to the latencies of events, with nothing else in the way."""
    results = {}
    for rate in PACES:
        found = parse(tool("transaction_limit", world.env["KAFKA_BROKERS"], world.env["EVENTS_TOPIC"], rate, PACE_SECONDS))
        results |= {f"transactions{rate}_{point}_ms": found[point] / 1000 for point in ("p50", "p99")}
    return results


def pg_limit(world: World, commands: int, batch: int, connections: int) -> str:
    return tool("pg_limit", world.env["DATABASE_URL"], commands, batch, connections, world.org, FIRST_OWNER)


def decoded_per_s(world: World, rows: int) -> float:
    """What the slot has of so many rows, decoded as for the relay."""
    begin = time.monotonic()
    world.rig.postgres.read_slot(world.name, world.name, world.sql("SELECT pg_current_wal_flush_lsn()"))
    return rows / (time.monotonic() - begin)


def parts_per_s(world: World, commands: int, batch: int) -> dict[str, float]:
    """Each part of the way alone: librdkafka consumes the commands, libpq stores rows and records, the WAL is decoded, and librdkafka
    produces. And how many commands a second would go through all of them, one after the other, with nothing between."""
    results = {"produced": commands / world.produce(commands), "consumed": commands / world.consume("COMMANDS", commands),
               "rows": pg_rows_per_s(world, commands, batch), "decoded": decoded_per_s(world, commands)}
    results["parts"] = 1 / sum(1 / rate for rate in results.values())
    return {f"{name}_per_s": rate for name, rate in results.items()}


def parse(printed: str) -> dict[str, float]:
    """The `key=value` pairs that the tools print."""
    return {key: float(value) for key, value in (word.split("=") for word in printed.split() if "=" in word)}
