"""Hours as instants: a year's expansion, a user's month beside the schedule itself, what is answered to who has it, and a team's month."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import mean

from rig import FIRST_OWNER, World, cpu_us, tool
from web import READ, Requests, reads

CONNECTIONS = 64
EXPANSIONS = 20_000
TURNS = 5
TEAM = 100
MONTH = {"from": "2024-10-01", "to": "2024-11-01"}  # clocks change in Rome


def hours(world: World) -> dict[str, float]:
    """The kinds of requests by turns of a second, with what they cost."""
    results = {"expansion_us": float(tool("expansion", "/usr/share/zoneinfo/Europe/Rome", EXPANSIONS))}
    key, path = world.demo["ADMIN_API_KEY"], READ.replace("{org}", world.org) + "/availability?from={from}&to={to}".format(**MONTH)
    kinds = {"read": (reads(world), CONNECTIONS), "month": (Requests("GET", path, key), CONNECTIONS),
             "held": (Requests("GET", path, key, if_none_match="*"), CONNECTIONS), "team": (team_month(world, key), 1)}
    with world.service() as service:
        reads(world).wrk(service.url, CONNECTIONS, 1)
        measured: dict[str, list[float]] = defaultdict(list)
        for what, (requests, connections) in list(kinds.items()) * TURNS:
            before = world.rig.cpu(service)
            figures = requests.wrk(service.url, connections, 1)
            figures |= cpu_us(before, world.rig.cpu(service), figures["per_s"])
            for name, value in figures.items():
                measured[f"{what} {name}"].append(value)
    return results | {name: mean(values) for name, values in measured.items()}


def team_month(world: World, key: str) -> Requests:
    """Of the first owners, who have their schedules as their defaults."""
    last = FIRST_OWNER + TEAM - 1
    team = world.sql(f"INSERT INTO teams (org_id, name) VALUES ({world.org}, 'bench') RETURNING id").split()[0]
    world.sql(f"INSERT INTO team_memberships (team_id, user_id) SELECT {team}, i FROM generate_series({FIRST_OWNER}, {last}) AS i; "
              f"INSERT INTO default_schedules (owner_id, schedule_id) SELECT owner_id, id FROM schedules WHERE owner_id <= {last}; ANALYZE")
    body = json.dumps({"teamId": int(team), "combine": "each", **MONTH})
    return Requests("POST", f"/v2/organizations/{world.org}/availability/query", key, body)
