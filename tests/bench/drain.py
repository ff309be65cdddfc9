"""Commands that wait in Kafka, through the service, until their rows are durable and their events readable."""

from __future__ import annotations

import time

from rig import EventWatch, Idle, Metrics, World, cpu_us, memory_mib, servers, wait_for

OFFSETS = "SELECT coalesce(sum(next_offset), 0)::bigint FROM command_offsets"
PUBLISHED = 'schedule_relay_events_total{topic="events"}'


# What is put on the topic, and how many rows more there are for each of its commands.
CREATES = ("produce", 1.0)
MIX = ("mix", 0.3)  # of ten commands four create, five change, one deletes


def drain(world: World, commands: int, load: tuple[str, float] = CREATES) -> dict[str, float]:
    """Puts commands on the topic, starts a service and measures from its first commit on. Every row and event is counted
    afterwards. Raises ServerError where one is missing."""
    before, rows_before = world.produced, world.rows()
    what, rows_each = load
    world.produce(commands, what)
    world.rig.postgres.psql("CHECKPOINT")
    with world.database() as database, EventWatch(world) as watch, world.service() as service:
        def completed() -> int:
            database.execute(OFFSETS)
            return int(database.fetchone()[0])

        metrics = Metrics(service)
        wait_for(lambda: completed() > before, 0.002)
        already, start, used_before, idle = completed() - before, time.time(), world.rig.cpu(service), Idle()
        wait_for(lambda: completed() == world.produced, 0.02)
        rows_s = time.time() - start
        wait_for(lambda: metrics.value(PUBLISHED) >= commands, 0.02)
        used, idle_percent = world.rig.cpu(service), idle.percent()
        rows = world.rows()
        if rows - rows_before != round(commands * rows_each):
            raise servers.ServerError(f"{rows - rows_before} rows for {commands} commands")
        world.consume("EVENTS", rows_before - world.filled + commands)
        counted = commands - already
        return {
            "rows_per_s": counted / rows_s,
            "events_per_s": counted / (watch.last() - start),
            "idle_percent": idle_percent,
            "peak_mib": memory_mib(service.pid, "VmHWM"),
        } | cpu_us(used_before, used, counted)
