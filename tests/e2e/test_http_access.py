"""Who may do what over HTTP: every endpoint with every kind of caller and target, and the walls between organizations."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests

from conftest import MakeLine
from line import EXAMPLE, MINIMAL, Line, Servers, receive_all
from replies import assert_error, parse_answers
from rules import AUTH, CLIENT_AUTH, ENDPOINTS, NO_METHOD, ONLY, OPEN, UNKNOWN_KEY, Caller, Target, is_read, refusal

CALLERS = [
    "nobody", "empty_authorization", "garbage", "lower_case_bearer", "unknown_key", "bare_prefix", "revoked_key",
    "expired_key", "client_id_alone", "client_secret_alone", "wrong_client_secret", "unknown_client", "odd_client_id",
    "client_nobody_owns", "stranger", "other_admin", "member", "team_member", "team_admin", "team_admin_outside", "admin",
    "admin_without_bearer", "owner", "system_admin", "client", "client_beside_a_key", "client_without_permissions",
    "client_reading", "client_writing", "other_client", "client_of_a_system_admin"]
TARGETS = [
    "no_such_org", "org_nought", "negative_org", "org_no_number", "no_such_team", "team_of_no_org", "other_team", "negative_team",
    "team_no_number", "no_such_user", "other_user", "user_no_number", "user_no_integer", "user_too_large",
    "user_outside_the_team", "user_outside_the_org", "nothing_is_a_number"]


@dataclass(frozen=True)
class World:
    """A line without rate limits, its organization with one team, and everybody who asks."""

    line: Line
    target: Target
    callers: dict[str, Caller]
    targets: dict[str, Target]
    endpoints: list[str]


@pytest.fixture(scope="module")
def world(servers: Servers) -> Iterator[World]:
    line = Line(servers)
    try:
        line.start()
        yield make_world(line)
    except BaseException:
        line.abandon()
        raise
    line.close()


def make_world(line: Line) -> World:
    people = line.people
    team, other_team = (line.sql("INSERT INTO teams (org_id, name) VALUES (%s, 'T') RETURNING id", org)[0][0]
                        for org in (people.org, people.other_org))
    join_team(line, team, people.member, "MEMBER")
    outside, leaver = line.make_owners(2)
    join_team(line, team, leaver, "MEMBER")
    line.sql("DELETE FROM memberships WHERE user_id = %s", leaver)
    client = line.admin("oauth-client", "create", "--org", str(people.org))["id"]
    target = Target(people.org, team, people.member, client=client)
    [[orphan]] = line.sql("INSERT INTO teams (name) VALUES ('T') RETURNING id")
    targets = make_targets(target, {"other_team": other_team, "orphan_team": orphan, "other_user": people.other_member, "outside": outside,
                                    "leaver": leaver})
    return World(line, target, make_callers(line, team), targets, endpoints_of(line))


def endpoints_of(line: Line) -> list[str]:
    """The guarded routes that the service has, as its metrics name them."""
    text = line.http.get(f"{line.service.url}/metrics", timeout=10).text
    return sorted(set(re.findall(r'schedule_http_requests_total\{route="([A-Z]+ [^"]+)"', text)) - OPEN)


def join_team(line: Line, team: int, user: int, role: str) -> None:
    line.sql("INSERT INTO team_memberships (team_id, user_id, role) VALUES (%s, %s, %s::membership_role)", team, user, role)


def make_callers(line: Line, team: int) -> dict[str, Caller]:
    people = line.people

    def user(org_role: str = "NONE", team_role: str = "NONE", system_admin: bool = False) -> Caller:
        made = line.make_owners(1)[0]
        if org_role == "NONE":
            line.sql("DELETE FROM memberships WHERE user_id = %s", made)
        if team_role != "NONE":
            join_team(line, team, made, team_role)
        if system_admin:
            line.admin("system-admin", "add", "--user", str(made))
        key = line.admin("apikey", "create", "--user", str(made))["key"]
        return Caller(bearer(key), None, made, org_role, team_role, system_admin, org=0 if org_role == "NONE" else people.org)

    def client(org: int, *options: str) -> dict[str, str]:
        return line.admin("oauth-client", "create", "--org", str(org), *options)

    def acting(org: int, user: int, *permissions: str) -> Caller:
        """A client, which is an admin of its own organization, whoever it acts for."""
        words = ",".join(name.removeprefix("SCHEDULE_").lower() for name in permissions)
        made = client(org, *(["--permissions", words] if words else []))
        role = "ADMIN" if org == people.org else "NONE"
        return Caller(client_headers(made), None, user, role, "NONE", False, made["id"], set(permissions), org)

    def nobody(headers: dict[str, str], message: str) -> Caller:
        return Caller(headers, message)

    owner = line.sql("SELECT user_id FROM memberships WHERE org_id = %s AND role = 'OWNER'", people.org)[0][0]
    other_admin = line.sql("SELECT user_id FROM memberships WHERE org_id = %s AND role = 'ADMIN'", people.other_org)[0][0]
    both = acting(people.org, owner, "SCHEDULE_READ", "SCHEDULE_WRITE")
    third_org = int(line.admin("org", "add", "--name", "Third")["id"])
    mighty = user("MEMBER", system_admin=True).user  # an admin of the target, too
    line.sql("UPDATE memberships SET role = 'ADMIN' WHERE user_id = %s", mighty)
    line.sql("INSERT INTO memberships (org_id, user_id, role) VALUES (%s, %s, 'OWNER')", third_org, mighty)
    empty_org = line.admin("org", "add", "--name", "Empty")["id"]
    admin = Caller(bearer(people.admin_key), None, people.admin, "ADMIN", org=people.org)
    no_token = AUTH + "access token - Invalid Access Token."
    return {
        "nobody": nobody({}, NO_METHOD),
        "empty_authorization": nobody({"Authorization": ""}, NO_METHOD),
        "garbage": nobody(bearer("eyJhbGciOi"), no_token),
        "lower_case_bearer": nobody({"Authorization": f"bearer {people.admin_key}"}, no_token),
        "unknown_key": nobody(bearer("cal_unknown"), UNKNOWN_KEY),
        "bare_prefix": nobody(bearer("cal_"), UNKNOWN_KEY),
        "revoked_key": nobody(bearer(people.revoked_key), AUTH + "api key - Your api key is not valid"),
        "expired_key": nobody(bearer(people.expired_key), AUTH + "api key - Your api key is expired"),
        "client_id_alone": nobody({"x-cal-client-id": "c1"}, ONLY.format("x-cal-client-id", "x-cal-secret-key")),
        "client_secret_alone": nobody({"x-cal-secret-key": "s"}, ONLY.format("x-cal-secret-key", "x-cal-client-id")),
        "wrong_client_secret": nobody(both.headers | {"x-cal-secret-key": "0" * 64}, CLIENT_AUTH + "Invalid client secret"),
        "unknown_client": nobody(both.headers | {"x-cal-client-id": "c1"}, CLIENT_AUTH + "Client with ID c1 not found"),
        "odd_client_id": nobody(both.headers | {"x-cal-client-id": "\xe9\t%s" + "x" * 200},
                                CLIENT_AUTH + f"Client with ID ??%s{'x' * 124} not found"),
        "client_nobody_owns": nobody(client_headers(client(int(empty_org))),
                                     CLIENT_AUTH + "No owner ID found for this OAuth client"),
        "stranger": user(),
        "other_admin": Caller(bearer(people.other_admin_key), None, other_admin, org=people.other_org),
        "member": user("MEMBER"),
        "team_member": user("MEMBER", "MEMBER"),
        "team_admin": user("MEMBER", "ADMIN"),
        "team_admin_outside": user("NONE", "ADMIN"),
        "admin": admin,
        "admin_without_bearer": replace(admin, headers={"Authorization": people.admin_key}),
        "owner": Caller(bearer(people.owner_key), None, owner, "OWNER", org=people.org),
        "system_admin": user(system_admin=True),
        "client": both,
        "client_beside_a_key": replace(both, headers=both.headers | bearer(people.member_key)),
        "client_without_permissions": acting(people.org, owner),
        "client_reading": acting(people.org, owner, "SCHEDULE_READ"),
        "client_writing": acting(people.org, owner, "SCHEDULE_WRITE"),
        "other_client": acting(people.other_org, other_admin, "SCHEDULE_READ", "SCHEDULE_WRITE"),
        "client_of_a_system_admin": acting(third_org, mighty, "SCHEDULE_READ", "SCHEDULE_WRITE"),
    }


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def client_headers(client: dict[str, str]) -> dict[str, str]:
    return {"x-cal-client-id": client["id"], "x-cal-secret-key": client["secret"]}


def make_targets(there: Target, ids: dict[str, int]) -> dict[str, Target]:
    return {
        "no_such_org": replace(there, org=999_999, org_exists=False),
        "org_nought": replace(there, org=0, org_exists=False),
        "negative_org": replace(there, org=-5, org_exists=False),
        "org_no_number": replace(there, org="abc"),
        "no_such_team": replace(there, team=999_999, team_exists=False, team_in_org=False),
        "team_of_no_org": replace(there, team=ids["orphan_team"], team_exists=False, team_in_org=False),
        "other_team": replace(there, team=ids["other_team"], team_in_org=False),
        "negative_team": replace(there, team=-1, team_exists=False, team_in_org=False),
        "team_no_number": replace(there, team="1x"),
        "no_such_user": replace(there, user=999_999, user_in_org=False, user_in_team=False),
        "other_user": replace(there, user=ids["other_user"], user_in_org=False, user_in_team=False),
        "user_no_number": replace(there, user="5a"),
        "user_no_integer": replace(there, user="1.5"),
        "user_too_large": replace(there, user="9223372036854775808"),
        "user_outside_the_team": replace(there, user=ids["outside"], user_in_team=False),
        "user_outside_the_org": replace(there, user=ids["leaver"], user_in_org=False),
        "nothing_is_a_number": replace(there, org="x", team="y", user="z"),
    }


# ---- asking

def ask(world: World, endpoint: str, caller: Caller, target: Target, schedule: int | str, body: Any) -> requests.Response:
    method, pattern = endpoint.split(" ")
    path = pattern.format(orgId=target.org, teamId=target.team, userId=target.user, scheduleId=schedule, clientId=target.client,
                          webhookId=schedule, jobId=schedule)
    query = {"from": "2024-05-20", "to": "2024-05-27"} if path.endswith("/availability") else {}
    if path.endswith("/query") and body:
        body = {"from": "2024-05-20", "to": "2024-05-27", "users": [{"userId": target.user}]}
    if "/webhooks" in path and body:
        body = {"subscriberUrl": f"https://example.com/{uuid.uuid4()}", "active": False, "triggers": [], "from": "2024-05-20T00:00:00Z"}
    return world.line.request(method, path, headers=caller.headers, json=None if method == "GET" else body, params=query)


def make_schedule(world: World, endpoint: str, caller: Caller) -> int | str:
    """One that the endpoint may be asked about: the target's in the organization, or the caller's own; the default, where that is meant.
    Of webhooks one of these."""
    if "/webhooks" in endpoint:
        return make_webhook(world, endpoint, caller)
    is_default = endpoint.endswith(("/default/availability", "{userId}/availability"))
    if "{scheduleId}" not in endpoint and not is_default:
        return ""
    line, is_own = world.line, not endpoint.split(" ")[1].startswith("/v2/organizations")
    command = line.command(isDefault=is_default, **({"orgId": 0, "userId": caller.user} if is_own else {}))
    line.send(command)
    line.event_of(command["commandId"])
    return int(line.row_of(command["commandId"])["id"])


def make_webhook(world: World, endpoint: str, caller: Caller) -> str:
    """The only one of its owner, with a job of the same id."""
    owner = {"OWN_WEBHOOK": (caller.user, None, None), "ORG_WEBHOOK": (None, world.target.org, None),
             "CLIENT_WEBHOOK": (None, world.target.org, world.target.client)}[ENDPOINTS[endpoint]]
    line, made = world.line, str(uuid.uuid4())
    line.sql("DELETE FROM webhooks")
    line.sql("SELECT create_webhook(%s::uuid, %s::bigint, %s::bigint, %s::text, 'https://example.com/', '{}', true, NULL, 'cal', 100)",
             made, *owner)
    line.sql("SELECT create_webhook_job(%s::uuid, %s::uuid, 'ping', NULL, NULL, NULL, NULL, 10)", made, made)
    return made


def everything_stored(line: Line) -> Any:
    return line.sql("SELECT (SELECT json_agg(s ORDER BY id)::text FROM schedules s),"
                    " (SELECT json_agg(d ORDER BY owner_id)::text FROM default_schedules d),"
                    " (SELECT json_agg(w ORDER BY id)::text FROM webhooks w), (SELECT json_agg(j ORDER BY id)::text FROM webhook_jobs j)")


def test_every_route_has_a_rule(world: World) -> None:
    assert set(world.endpoints) == set(ENDPOINTS)


def test_every_caller_and_target_is_asked(world: World) -> None:
    assert (list(world.callers), list(world.targets)) == (CALLERS, TARGETS)


@pytest.mark.parametrize("name", CALLERS)
def test_who_may_not_is_told_so_before_anything_else_is_looked_at(world: World, name: str) -> None:
    caller, before = world.callers[name], everything_stored(world.line)
    for endpoint in world.endpoints:
        answer = refusal(endpoint, caller, world.target)
        if answer:
            for schedule, body in ((1, EXAMPLE), ("abc", {})):
                assert_error(ask(world, endpoint, caller, world.target, schedule, body), *answer)
    assert everything_stored(world.line) == before


@pytest.mark.parametrize("name", CALLERS)
def test_who_may_is_served(world: World, name: str) -> None:
    caller = world.callers[name]
    for endpoint in world.endpoints:
        if refusal(endpoint, caller, world.target) is None:
            schedule = make_schedule(world, endpoint, caller)
            answer = ask(world, endpoint, caller, world.target, schedule, EXAMPLE)
            wanted = (202 if endpoint.endswith(("/ping", "/replay")) else
                      201 if endpoint.startswith("POST") and not is_read(endpoint) else 200)
            assert (endpoint, answer.status_code) == (endpoint, wanted), answer.text


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("caller_name", ["admin", "team_admin", "system_admin", "client", "client_reading", "stranger"])
def test_a_target_that_is_none_is_refused_before_the_body_is_looked_at(world: World, name: str, caller_name: str) -> None:
    caller, target, before = world.callers[caller_name], world.targets[name], everything_stored(world.line)
    for endpoint in world.endpoints:
        answer = refusal(endpoint, caller, target)
        if answer and not endpoint.split(" ")[1].startswith("/v2/schedules"):
            assert_error(ask(world, endpoint, caller, target, "abc", {}), *answer)
    assert everything_stored(world.line) == before


def test_callers_who_ask_at_the_same_moment_get_each_their_own_answer(world: World) -> None:
    endpoint = "GET /v2/organizations/{orgId}/users/{userId}/schedules"
    asked = [(caller, target) for caller in world.callers.values() for target in [world.target, *world.targets.values()]]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(world.line.connect()) for _ in asked]
        world.line.service.sigstop()  # when it goes on, one turn of its loop finds them all
        for connection, (caller, target) in zip(connections, asked):
            path = endpoint.removeprefix("GET ").format(orgId=target.org, userId=target.user)
            headers = "".join(f"{name}: {value}\r\n" for name, value in caller.headers.items())
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode("latin-1"))
        world.line.service.sigcont()
        for connection, (caller, target) in zip(connections, asked):
            [(status, _, body)] = parse_answers(receive_all(connection))
            expected = refusal(endpoint, caller, target) or (200, None)
            assert (status, json.loads(body).get("error", {}).get("message")) == expected


def test_a_caller_of_an_organization_that_is_not_there_learns_so_only_with_a_key(line: Line) -> None:
    path = line.schedules_path(org=999_999)
    assert_error(line.request("GET", path), 401, NO_METHOD)


# ---- schedules of others

@pytest.fixture(scope="module")
def schedule_id(line: Line) -> int:
    return int(line.post(EXAMPLE).json()["data"]["id"])


def test_a_schedule_of_another_organization_does_not_exist(line: Line, schedule_id: int) -> None:
    people = line.people
    path = line.schedules_path(people.other_member, people.other_org)
    made = line.post(EXAMPLE, path=path, key=people.other_admin_key).json()["data"]["id"]
    for path, key, schedule in ((line.schedules_path(), people.admin_key, made),
                                (path, people.other_admin_key, schedule_id)):
        answer = line.request("GET", f"{path}/{schedule}", key)
        assert_error(answer, 404, f"Schedule with ID={schedule} does not exist.")


def test_a_schedule_of_another_user_of_the_organization_is_403(line: Line) -> None:
    colleague = line.make_owners(1)[0]
    schedule = line.post(MINIMAL, user=colleague).json()["data"]["id"]
    answer = line.request("GET", f"{line.schedules_path()}/{schedule}", line.people.admin_key)
    assert_error(answer, 403, f"User with ID={line.people.member} does not own schedule with ID={schedule}")


def test_a_member_of_two_organizations_has_separate_schedules_in_them(line: Line) -> None:
    people = line.people
    both = line.make_owners(1)[0]
    line.sql("INSERT INTO memberships (org_id, user_id) VALUES (%s, %s)", people.other_org, both)
    paths = {people.admin_key: line.schedules_path(both),
             people.other_admin_key: line.schedules_path(both, people.other_org)}
    made = {key: line.post(MINIMAL, path=path, key=key).json()["data"]["id"] for key, path in paths.items()}
    for key, path in paths.items():
        listed = line.request("GET", path, key).json()["data"]
        assert [one["id"] for one in listed] == [made[key]]
        other = next(schedule for other_key, schedule in made.items() if other_key != key)
        assert_error(line.request("GET", f"{path}/{other}", key), 404, f"Schedule with ID={other} does not exist.")


# ---- what changes at once

def test_a_key_works_until_it_is_revoked_or_expires(line: Line) -> None:
    key = line.admin("apikey", "create", "--user", str(line.people.admin), "--days", "1")
    path = line.schedules_path()
    assert line.request("GET", path, key["key"]).status_code == 200
    line.sql("UPDATE api_keys SET expires_at = now() - interval '1 millisecond' WHERE id = %s", int(key["id"]))
    assert_error(line.request("GET", path, key["key"]), 401, AUTH + "api key - Your api key is expired")
    line.admin("apikey", "revoke", "--id", key["id"])
    assert_error(line.request("GET", path, key["key"]), 401, AUTH + "api key - Your api key is not valid")


def test_a_revoked_key_stops_at_once_on_every_replica(make_line: MakeLine) -> None:
    line = make_line()
    replicas = [line.start(), line.start()]
    key = line.admin("apikey", "create", "--user", str(line.people.admin))
    urls = [replica.url + line.schedules_path() for replica in replicas]

    def statuses() -> list[int]:
        return [requests.get(url, headers=bearer(key["key"]), timeout=20).status_code for url in urls]

    assert statuses() == [200, 200]
    line.admin("apikey", "revoke", "--id", key["id"])
    assert statuses() == [401, 401]


def test_a_deleted_client_stops_at_once(line: Line) -> None:
    client = line.admin("oauth-client", "create", "--org", str(line.people.org), "--permissions", "read")
    assert line.request("GET", line.schedules_path(), headers=client_headers(client)).status_code == 200
    line.admin("oauth-client", "delete", "--id", client["id"])
    assert_error(line.request("GET", line.schedules_path(), headers=client_headers(client)), 401,
                 CLIENT_AUTH + f"Client with ID {client['id']} not found")


def test_a_client_acts_as_the_owner_and_without_one_as_an_admin(line: Line) -> None:
    org = line.admin("org", "add", "--name", "Succession")["id"]
    client = client_headers(line.admin("oauth-client", "create", "--org", org, "--permissions", "read"))
    users = [str(user) for user in line.make_owners(2)]

    def status() -> int:
        return line.request("GET", line.schedules_path(users[0], org), headers=client).status_code

    line.admin("member", "add", "--org", org, "--user", users[0], "--role", "member")
    assert status() == 401
    for role in ("admin", "owner"):
        line.admin("member", "add", "--org", org, "--user", users[1], "--role", role)
        assert status() == 200


# ---- clients

def new_client(line: Line, org: int) -> dict[str, str]:
    return client_headers(line.admin("oauth-client", "create", "--org", str(org), "--permissions", "read,write"))


@dataclass(frozen=True)
class Acting:
    """A client of an organization, the owner it acts for, and that owner's schedules by what they belong to."""

    headers: dict[str, str]
    schedules: dict[str, int]


@pytest.fixture(scope="module")
def acting(line: Line) -> Acting:
    org = int(line.admin("org", "add", "--name", "Acting")["id"])
    [owner] = line.make_owners(1)
    for where, role in ((org, "OWNER"), (line.people.other_org, "MEMBER")):
        line.sql("INSERT INTO memberships (org_id, user_id, role) VALUES (%s, %s, %s::membership_role)", where, owner, role)
    made = {}
    for belongs, where in (("its organization", org), ("none", 0), ("another", line.people.other_org)):
        command = line.command(orgId=where, userId=owner, isDefault=belongs == "another")
        line.send(command)
        line.event_of(command["commandId"])
        made[belongs] = int(line.row_of(command["commandId"])["id"])
    return Acting(new_client(line, org), made)


def test_a_client_sees_of_its_owner_what_belongs_to_its_organization_or_to_none(line: Line, acting: Acting) -> None:
    listed = line.request("GET", "/v2/schedules", headers=acting.headers).json()["data"]
    assert [one["id"] for one in listed] == sorted([acting.schedules["its organization"], acting.schedules["none"]])
    assert line.request("GET", "/v2/schedules/default", headers=acting.headers).json()["data"] is None
    for belongs, schedule in acting.schedules.items():
        answer = line.request("GET", f"/v2/schedules/{schedule}", headers=acting.headers)
        assert (belongs, answer.status_code) == (belongs, 404 if belongs == "another" else 200)


def test_a_client_changes_of_its_owner_what_belongs_to_its_organization_or_to_none(line: Line, acting: Acting) -> None:
    for belongs, schedule in acting.schedules.items():
        path, as_client = f"/v2/schedules/{schedule}", {"key": None, "headers": acting.headers}
        answers = [line.patch(path, {"name": "Changed"}, **as_client), line.delete(path, **as_client)]
        assert (belongs, [answer.status_code for answer in answers]) == (belongs, [404 if belongs == "another" else 200] * 2)
    assert line.sql("SELECT name FROM schedules WHERE id = %s", acting.schedules["another"]) != [("Changed",)]


def test_what_a_client_makes_for_its_owner_belongs_to_no_organization(line: Line) -> None:
    made = line.post(MINIMAL, path="/v2/schedules", key=None, headers=new_client(line, line.people.org)).json()["data"]["id"]
    assert line.sql("SELECT org_id FROM schedules WHERE id = %s", made) == [(None,)]


def test_an_idempotency_key_belongs_to_the_client_and_not_to_whom_it_acts_for(line: Line) -> None:
    """Beside that of the user whom both act for, who joins last."""
    org = int(line.admin("org", "add", "--name", "Keys")["id"])
    elder, younger, member = (str(user) for user in line.make_owners(3))
    for user, role in ((younger, "owner"), (member, "member")):
        line.admin("member", "add", "--org", str(org), "--user", user, "--role", role)
    one, other = new_client(line, org), new_client(line, org)
    owner = bearer(line.admin("apikey", "create", "--user", younger)["key"])

    def made(headers: dict[str, str]) -> int:
        answer = line.post(MINIMAL, path=line.schedules_path(member, org), key=None, headers=headers | {"Idempotency-Key": "1"})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["data"]["id"])

    first = [made(headers) for headers in (one, other, owner)]
    assert len(set(first)) == 3
    line.admin("member", "add", "--org", str(org), "--user", elder, "--role", "owner")
    assert [made(headers) for headers in (one, other, owner)] == first


def test_a_key_of_a_user_is_stored_as_it_always_was(line: Line) -> None:
    """What was stored before an upgrade goes on counting: the first half of the SHA-256 of the user's number and the key."""
    answer = line.post(MINIMAL, headers={"Idempotency-Key": "kept"})
    key = hashlib.sha256(f"{line.people.admin}/kept".encode()).hexdigest()[:32]
    assert line.sql("SELECT schedule_id FROM processed_commands WHERE id = %s::uuid", key) == [(answer.json()["data"]["id"],)]


def test_a_system_administrator_is_one_until_that_is_taken_back(line: Line) -> None:
    path, key = line.schedules_path(), line.people.stranger_key
    line.admin("system-admin", "add", "--user", str(line.people.stranger))
    assert line.request("GET", path, key).status_code == 200
    line.admin("system-admin", "remove", "--user", str(line.people.stranger))
    assert line.request("GET", path, key).status_code == 403


def test_a_role_counts_from_the_moment_it_is_given(line: Line) -> None:
    user = line.make_owners(1)[0]
    key = line.admin("apikey", "create", "--user", str(user))["key"]
    assert line.request("GET", line.schedules_path(), key).status_code == 403
    line.admin("member", "add", "--org", str(line.people.org), "--user", str(user), "--role", "admin")
    assert line.request("GET", line.schedules_path(), key).status_code == 200
