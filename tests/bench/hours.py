"""Hours as instants: a year's expansion, a user's month beside the schedule itself, and what is answered to who has it."""

from __future__ import annotations

from rig import World, tool
from web import READ, Requests, reads

CONNECTIONS = 64
EXPANSIONS = 20_000
MONTH = {"from": "2024-10-01", "to": "2024-11-01"}  # clocks change in Rome


def hours(world: World) -> dict[str, float]:
    """Requests of one kind by turns with the others."""
    results = {"expansion_us": float(tool("expansion", "/usr/share/zoneinfo/Europe/Rome", EXPANSIONS))}
    key, path = world.demo["ADMIN_API_KEY"], READ.replace("{org}", world.org) + "/availability?from={from}&to={to}".format(**MONTH)
    month, held = Requests("GET", path, key), Requests("GET", path, key, if_none_match="*")
    with world.service() as service:
        reads(world).wrk(service.url, CONNECTIONS, 1)
        for what, requests in (("read", reads(world)), ("month", month), ("held", held)):
            results |= {f"{what} {name}": value for name, value in requests.wrk(service.url, CONNECTIONS).items()}
    return results
