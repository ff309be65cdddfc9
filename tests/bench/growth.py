"""The same through a table that holds ten million schedules of an organization of 100,000."""

from __future__ import annotations

from drain import drain
from rig import World
from web import Requests, creates, reads

ROWS = 10_000_000
MEMBERS = 100_000
LIST = "/v2/organizations/{org}/schedules?take=250&skip=0"


def grow(world: World) -> None:
    world.add_members(MEMBERS)
    world.fill(ROWS, MEMBERS)
    world.drop_slot()


def growth(world: World, commands: int) -> dict[str, float]:
    world.make_slot()
    results = drain(world, commands)
    with world.service() as service:
        create, read = creates(world), reads(world)
        create.wrk(service.url, 16, 1)
        results["create@64 per_s"] = create.wrk(service.url, 64)["per_s"]
        results["read@64 per_s"] = read.wrk(service.url, 64)["per_s"]
        results["list p50_ms"] = Requests("GET", LIST.replace("{org}", world.org), read.key).wrk(service.url, 1)["p50_ms"]
        service.stop()  # all that was created has its event then
    world.drop_slot()
    return results
