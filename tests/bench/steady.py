"""Commands at a steady pace: how long from a command to its event."""

from __future__ import annotations

from limits import parse
from rig import FIRST_OWNER, Idle, World, cpu_us, tool

RATES = (1000, 5000)  # a second
SHARES = (10, 50, 80)  # percent of the rate at which waiting commands become events
SECONDS = 8
WARM_UP_SECONDS = 20  # at half of the peak: a broker that has just begun is still being compiled


def steady(world: World, peak_per_s: float) -> dict[str, float]:
    """Latencies in milliseconds at each rate and each share of the peak, and what a command costs there."""
    paces = {f"{rate}/s": rate for rate in RATES} | {f"{share}%": int(peak_per_s * share / 100) for share in SHARES}
    results = {}
    with world.service() as service:
        pace(world, int(peak_per_s / 2), WARM_UP_SECONDS)
        for name, rate in paces.items():
            before, idle = world.rig.cpu(service), Idle()
            latencies = pace(world, rate, SECONDS)
            results |= {f"{name} {point}_ms": latencies[point] / 1000 for point in ("p50", "p99", "p999", "max")}
            costs = cpu_us(before, world.rig.cpu(service), rate * SECONDS) | {"idle_percent": idle.percent()}
            results |= {f"{name} {cost}": value for cost, value in costs.items()}
    return results


def pace(world: World, rate: int, seconds: int) -> dict[str, float]:
    """Microseconds."""
    first, world.produced = world.produced, world.produced + rate * seconds
    return parse(tool("pace", world.env["KAFKA_BROKERS"], world.env["COMMANDS_TOPIC"], world.env["EVENTS_TOPIC"], first, rate,
                      seconds, world.org, FIRST_OWNER))
