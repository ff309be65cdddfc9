"""Hours as instants: a year's expansion, a user's month beside the schedule itself, what is answered to who has it, and a team's month."""

from __future__ import annotations

import json

from rig import FIRST_OWNER, OWNERS, World, tool
from web import READ, Requests, reads

CONNECTIONS = 64
EXPANSIONS = 20_000
TEAM = 100
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
        results |= {f"team {name}": value for name, value in team_month(world, key).wrk(service.url, 1).items()}
    return results


def team_month(world: World, key: str) -> Requests:
    """Of the first owners, who have their schedules as their defaults."""
    last = FIRST_OWNER + TEAM - 1
    team = world.sql(f"INSERT INTO teams (org_id, name) VALUES ({world.org}, 'bench') RETURNING id").split()[0]
    world.sql(f"INSERT INTO team_memberships (team_id, user_id) SELECT {team}, i FROM generate_series({FIRST_OWNER}, {last}) AS i; "
              f"INSERT INTO default_schedules (owner_id, schedule_id) SELECT owner_id, id FROM schedules WHERE owner_id <= {last}; ANALYZE")
    body = json.dumps({"teamId": int(team), "combine": "each", **MONTH})
    return Requests("POST", f"/v2/organizations/{world.org}/availability/query", key, body)
