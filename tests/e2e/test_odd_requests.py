"""Whatever a request says, at whatever endpoint: it is answered in time and never with a 5xx, a refusal is in the envelope and
changes nothing, and the service stays as it is."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from uuid import uuid4

from conftest import MakeLine
from line import EXAMPLE, Line
from odd_requests import OddRequest, OddRequests
from replies import TIMESTAMP
from rules import ENDPOINTS, OPEN
from test_http_access import World, everything_stored, make_world

SEED = 20240614
REQUESTS, CLIENTS = 4500, 6
DEADLINE_S = 15
GROWTH_MAX = 4 << 20
CODES = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 412: "PreconditionFailed",
         413: "PayloadTooLarge", 415: "UnsupportedMediaType", 417: "ExpectationFailed", 422: "UnprocessableEntity"}


@dataclass(frozen=True)
class Told:
    request: OddRequest
    status: int
    headers: dict[str, str]
    body: bytes


def ask(line: Line, requests: list[OddRequest]) -> list[Told]:
    """All of them, over several kept connections."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = pool.map(lambda first: _ask_in_order(line, requests[first::CLIENTS]), range(CLIENTS))
    return [told for part in parts for told in part]


def _ask_in_order(line: Line, requests: list[OddRequest]) -> list[Told]:
    told = []
    connection = line.connect()
    for request in requests:
        connection.settimeout(DEADLINE_S)
        connection.sendall(bytes(request))
        answer = HTTPResponse(connection, method=request.method)
        answer.begin()
        told.append(Told(request, answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()))
        if answer.will_close:
            connection.close()
            connection = line.connect()
    connection.close()
    return told


def assert_answer(told: Told) -> None:
    assert told.status < 500, told
    assert told.headers["x-request-id"], told
    if told.status >= 400 and told.request.method != "HEAD":
        assert told.headers["content-type"] == "application/json; charset=utf-8", told
        assert_envelope(told, json.loads(told.body))


def assert_envelope(told: Told, envelope: dict[str, Any]) -> None:
    assert list(envelope) == ["status", "timestamp", "path", "error"], told
    error, details = envelope["error"], envelope["error"]["details"]
    assert envelope["status"] == "error" and TIMESTAMP.fullmatch(envelope["timestamp"]), told
    assert error["code"] == CODES[told.status] + "Exception", told
    assert error["message"], told
    if "errors" in details:
        assert (told.status, error["message"], list(details)) == (400, "Bad Request Exception", ["errors"]), told
        assert details["errors"], told
    else:
        assert (details["message"], details["statusCode"]) == (error["message"], told.status), told
        assert details["error"].replace(" ", "") == CODES[told.status], told


def odd_requests(world: World, seed: int, credentials: list[dict[str, str]]) -> OddRequests:
    """About a world in which the member and the admin have many schedules, and everybody else one."""
    line, people = world.line, world.line.people
    admin = {"Authorization": people.admin_key}
    for path, headers in [*[(line.schedules_path(), admin), ("/v2/schedules", admin)] * 60,
                          *(("/v2/schedules", caller.headers) for caller in world.callers.values())]:
        line.request("POST", path, json=EXAMPLE, headers=headers)
    ids = {"orgId": [people.org] * 4 + [people.other_org], "teamId": [int(world.target.team)],
           "userId": [people.member] * 3 + [people.admin, people.other_member], "scheduleId": stored_ids(line),
           "file": ["start.js", "swagger-ui.css"], "clientId": [world.target.client], "webhookId": make_webhooks(world), "jobId": [str(uuid4())]}
    return OddRequests(seed, ids, credentials)


def make_webhooks(world: World) -> list[str]:
    """The admin's, the organization's and its client's."""
    people, made = world.line.people, [str(uuid4()) for _ in range(90)]
    owners = [(people.admin, None, None), (None, people.org, None), (None, people.org, world.target.client)]
    for index, webhook in enumerate(made):
        world.line.sql("SELECT create_webhook(%s::uuid, %s::bigint, %s::bigint, %s::text, %s, '{}', true, NULL, 'cal', 100)",
                       webhook, *owners[index % 3], f"https://example.com/{index}")
    return made


def stored_ids(line: Line) -> list[int]:
    return [row[0] for row in line.sql("SELECT id FROM schedules ORDER BY id")]


def test_any_request_is_answered_and_a_refusal_changes_nothing(make_line: MakeLine) -> None:
    line = make_line(LOG_LEVEL="debug", WEBHOOK_SECRET_KEY="ab" * 32, ASAN_OPTIONS="quarantine_size_mb=1")  # else what is freed counts as held
    line.start()
    world = make_world(line)
    callers = [caller.headers for caller in world.callers.values()]
    make = odd_requests(world, SEED, callers + [world.callers["admin"].headers] * len(callers))
    before = set(stored_ids(line))
    told = ask(line, [make.next() for _ in range(REQUESTS // 3)])
    resident = line.metric("process_resident_memory_bytes")
    told += ask(line, [make.next() for _ in range(REQUESTS)])
    growth = line.metric("process_resident_memory_bytes") - resident

    for one in told:
        assert_answer(one)
    served = {one.request.endpoint for one in told
              if one.status < 300 and one.request.endpoint.startswith(one.request.method + " ")}
    missed = {*ENDPOINTS, *OPEN} - served
    assert all("/webhooks" in endpoint for endpoint in missed), missed  # these delete each other's: see test_webhooks_api.py
    of_schedules = [one for one in told if "/webhooks" not in one.request.endpoint]
    created = {json.loads(one.body)["data"]["id"] for one in of_schedules if one.status == 201}
    deleted = [one for one in of_schedules if (one.request.method, one.status) == ("DELETE", 200)]
    after = set(stored_ids(line))
    assert after <= before | created
    assert len((before | created) - after) == len(deleted)
    assert growth < GROWTH_MAX, f"{growth / 1024:.0f} KiB more"
    assert_no_secret(world)


def test_a_request_of_nobody_changes_nothing(make_line: MakeLine) -> None:
    line = make_line(LOG_LEVEL="debug")
    line.start()
    world = make_world(line)
    make = odd_requests(world, SEED + 1, [caller.headers for caller in world.callers.values() if caller.refusal])
    before = everything_stored(line)
    told = ask(line, [make.next() for _ in range(REQUESTS // 3)])
    for one in told:
        assert_answer(one)
        assert one.status >= 400 or one.request.endpoint in OPEN or one.request.method == "OPTIONS", one
    assert everything_stored(line) == before
    assert_no_secret(world)


def assert_no_secret(world: World) -> None:
    """The log holds no key, no client's secret."""
    log = world.line.log()
    headers = [(name, value) for caller in world.callers.values() for name, value in caller.headers.items()]
    secrets = {value.rpartition("cal_")[2] for name, value in headers if name in ("Authorization", "x-cal-secret-key")}
    secrets = {secret for secret in secrets if len(secret) > 16}
    assert len(secrets) > 10
    assert not [secret for secret in secrets if secret in log]
