"""Webhooks: events that wait, to one and to 100 quick receivers; from commit to receiver at a slow pace; and what 100,000 endpoints take.

The receivers are one process with one thread (tests/tools/webhook_sink.c), whose CPU time is told beside that of the others."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

from cost import is_ready
from drain import PUBLISHED
from limits import parse
from rig import TOOLS, Metrics, World, cpu_us, memory_mib, servers, wait_for
from web import creates

RECEIVERS = (1, 100)
DELIVERIES = 100_000
PACE, PACE_SECONDS = 100, 30  # events a second
WARM_UPS = (1000, 20), (PACE, 20)  # until the broker has compiled what small transactions run
ENDPOINTS, OF_AN_OWNER = 100_000, 100
CONNECTIONS = 8
REST_S = 10
KEY = "00112233445566778899aabbccddeeff" * 2
TRIGGERS = "{SCHEDULE_CREATED,SCHEDULE_UPDATED,SCHEDULE_DELETED}"

# Past the service, sealed with a key that nobody has: a secret is as long as it would be.
FILL = """
INSERT INTO webhooks (id, scope, user_id, subscriber_url, triggers, active, secret, format, revision, start_position)
SELECT gen_random_uuid(), 'user', 1000000 + i / {each}, 'https://127.0.0.' || i % 250 + 1 || ':8443/hooks/of/schedules/' || i, '{triggers}', true,
       decode(repeat('ab', 68), 'hex'), 'cal', 0, wal_position() FROM generate_series(0, {count} - 1) AS i"""


class Sink(servers.Server):
    """Receives at so many addresses."""

    name = "webhook_sink"

    def __init__(self, directory: Path, receivers: int, most: int) -> None:
        self.port, self.receivers, self.most = servers.free_port(), receivers, most
        super().__init__(directory / f"sink-{self.port}.log")

    def command(self) -> list[str]:
        return [str(TOOLS / "webhook_sink"), str(self.port), str(self.receivers), str(self.most)]

    def deliveries(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=10) as answer:
            return int(answer.read())

    def is_ready(self) -> bool:
        try:
            return self.deliveries() >= 0
        except OSError:
            return False

    def results(self) -> dict[str, float]:
        self.stop()
        return parse(self.log_tail(1))


def add_endpoints(world: World, sink: Sink) -> None:
    for i in range(sink.receivers):
        world.sql(f"SELECT (create_webhook(gen_random_uuid(), NULL, {world.org}, NULL, 'http://127.0.0.{i + 1}:{sink.port}/{i}', "
                  f"'{TRIGGERS}', true, NULL, 'cal', 1000)).verdict")


def backlog(world: World, receivers: int) -> dict[str, float]:
    """The sender is started when all events are on the topic."""
    events = DELIVERIES // receivers
    with Sink(world.rig.directory, receivers, DELIVERIES) as sink:
        add_endpoints(world, sink)
        publish(world, events)
        with world.sender() as sender:
            wait_for(lambda: sink.deliveries() > 0, 0.002)
            before, receiver_before = world.rig.cpu(sender), world.rig.cpu(sink)["service"]
            first = sink.deliveries()
            wait_for(lambda: sink.deliveries() >= DELIVERIES, 0.05)
            after, receiver_after = world.rig.cpu(sender), world.rig.cpu(sink)["service"]
            peak_mib = memory_mib(sender.pid, "VmHWM")
        got = sink.results()
    world.sql("DELETE FROM webhooks")
    return {"per_s": DELIVERIES / got["us"] * 1e6, "again": got["again"], "peak_mib": peak_mib,
            "receivers cpu_us": (sum(receiver_after) - sum(receiver_before)) / (DELIVERIES - first) * 1e6,
            } | cpu_us(before, after, DELIVERIES - first)


def publish(world: World, events: int) -> None:
    with world.service() as service:
        world.produce(events)
        published = Metrics(service)
        wait_for(lambda: published.value(PUBLISHED) >= events, 0.05)
        service.stop()


def pace(world: World) -> dict[str, float]:
    """Creates over HTTP at a pace; to one receiver. It counts from the transaction's begin, to the millisecond."""
    results: dict[str, float] = {}
    with world.service() as service, world.sender() as sender:
        for rate, seconds in (*WARM_UPS, (PACE, PACE_SECONDS)):
            with Sink(world.rig.directory, 1, rate * seconds) as sink:
                add_endpoints(world, sink)
                wait_for_head(world)
                before = world.rig.cpu(sender)
                creates(world).pace(service.url, CONNECTIONS, rate, seconds)
                wait_for(lambda: sink.deliveries() >= rate * seconds, 0.05)
                results = cpu_us(before, world.rig.cpu(sender), rate * seconds)
                got = sink.results()
            world.sql("DELETE FROM webhooks")
        results |= {f"{point}_ms": got[point] / 1000 for point in ("p50", "p99", "p999", "max")}
    return results


def wait_for_head(world: World) -> None:
    """Until the endpoints are at the head."""
    wait_for(lambda: world.sql("SELECT count(*) FROM webhook_offsets").strip() != "0"
             and world.sql("SELECT count(*) FROM webhook_cursors").strip() == "0", 0.1)


def crowd(world: World) -> dict[str, float]:
    """From the start of a sender until it knows all endpoints, with the slowest answer meanwhile, and its memory."""
    world.sql(FILL.format(count=ENDPOINTS, each=OF_AN_OWNER, triggers=TRIGGERS) + "; ANALYZE webhooks")
    sender = world.sender()
    try:
        begin = time.monotonic()
        sender.start(wait=False)
        wait_for(lambda: is_ready(sender), 0.002)
        slowest = slowest_until_known(Metrics(sender))
        known_s = time.monotonic() - begin
        wait_for_head(world)
        before = sum(world.rig.cpu(sender)["service"])
        time.sleep(REST_S)
        rest_s = sum(world.rig.cpu(sender)["service"]) - before
        return {"known_s": known_s, "slowest_ms": slowest * 1000, "mib": memory_mib(sender.pid, "VmRSS"),
                "peak_mib": memory_mib(sender.pid, "VmHWM"), "rest_percent": rest_s / REST_S * 100}
    finally:
        sender.close()


def slowest_until_known(metrics: Metrics) -> float:
    slowest, known = 0.0, 0.0
    while known < ENDPOINTS:
        asked = time.monotonic()
        known = metrics.value("schedule_webhook_endpoints")
        slowest = max(slowest, time.monotonic() - asked)
    return slowest
