"""Commands at a steady pace: how long from a command to its event."""

from __future__ import annotations

from limits import PACE_SECONDS, PACES, parse
from rig import FIRST_OWNER, Idle, World, cpu_us, say, tool

SHARES = (10, 50, 80)  # percent of the rate at which waiting commands become events
HALF_SECONDS = 20  # at half of the peak, before it counts
WARM_UP_RATE, WARM_UP_SECONDS, WARM_UPS_MAX = 1000, 10, 12
COMPILES_PERCENT = 5  # of a core


def warm_up(world: World) -> None:
    """Commands at a pace until the broker's JVM hardly compiles any more: until then that takes the cores which the commands wait for."""
    with world.service():
        for turn in range(1, WARM_UPS_MAX + 1):
            before = world.rig.compiling()
            pace(world, WARM_UP_RATE, WARM_UP_SECONDS)
            seconds = sum(used - before.get(thread, 0) for thread, used in world.rig.compiling().items())
            say(f"warming up, {turn * WARM_UP_SECONDS} s at {WARM_UP_RATE:,}/s: the broker compiled for {seconds:.1f} s of the last {WARM_UP_SECONDS}")
            if seconds < WARM_UP_SECONDS * COMPILES_PERCENT / 100:
                return


def steady(world: World, peak_per_s: float) -> dict[str, float]:
    """Latencies in milliseconds at each rate and each share of the peak, and what a command costs there."""
    paces = {f"{rate}/s": rate for rate in PACES} | {f"{share}%": int(peak_per_s * share / 100) for share in SHARES}
    results = {}
    with world.service() as service:
        pace(world, int(peak_per_s / 2), HALF_SECONDS)
        for name, rate in paces.items():
            before, idle = world.rig.cpu(service), Idle()
            latencies = pace(world, rate, PACE_SECONDS)
            results |= {f"{name} {point}_ms": latencies[point] / 1000 for point in ("p50", "p99", "p999", "max")}
            costs = cpu_us(before, world.rig.cpu(service), rate * PACE_SECONDS) | {"idle_percent": idle.percent()}
            results |= {f"{name} {cost}": value for cost, value in costs.items()}
    return results


def pace(world: World, rate: int, seconds: int) -> dict[str, float]:
    """Microseconds."""
    first, world.produced = world.produced, world.produced + rate * seconds
    return parse(tool("pace", world.env["KAFKA_BROKERS"], world.env["COMMANDS_TOPIC"], world.env["EVENTS_TOPIC"], first, rate,
                      seconds, world.org, FIRST_OWNER))
