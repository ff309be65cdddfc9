"""What each neighbour of the service does when nothing else is in the way."""

from __future__ import annotations

from rig import FIRST_OWNER, Rig, World, say, tool

BATCHES = (128, 256, 512, 1024)
COMMITS = 3000


def best_batch(rig: Rig, commands: int) -> int:
    """The number of rows in a transaction with which a bare libpq loop is fastest."""
    rates = {batch: pg_rows_per_s(rig, f"batch{batch}", commands, batch) for batch in BATCHES}
    say("  libpq alone, rows/s by batch: " + ", ".join(f"{batch}: {rate:,.0f}" for batch, rate in rates.items()))
    return max(rates, key=lambda batch: rates[batch])


def pg_rows_per_s(rig: Rig, name: str, commands: int, batch: int) -> float:
    """A bare libpq loop with two connections, into an empty table with its indexes and checks."""
    with World(rig, name, topics=False) as world:
        rig.postgres.psql("CHECKPOINT")
        return commands / float(tool("pg_limit", world.env["DATABASE_URL"], commands, batch, 2, world.org, FIRST_OWNER).split()[0])


def commit_us(rig: Rig, name: str) -> float:
    """One row and its message, committed, one after the other over one connection: the median."""
    with World(rig, name, topics=False) as world:
        printed = tool("pg_limit", world.env["DATABASE_URL"], COMMITS, 1, 1, world.org, FIRST_OWNER)
        return parse(printed)["p50"]


def kafka_per_s(rig: Rig, name: str, commands: int) -> tuple[float, float]:
    """librdkafka alone, producing commands to eight partitions and consuming them."""
    with World(rig, name) as world:
        return commands / world.produce(commands), commands / world.consume("COMMANDS", commands)


def parse(printed: str) -> dict[str, float]:
    """The `key=value` pairs that the tools print."""
    return {key: float(value) for key, value in (word.split("=") for word in printed.split() if "=" in word)}
