"""Who may do what over HTTP: the guards of the contract in their order, for each caller and endpoint, and the walls between
organizations."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from line import EXAMPLE, MINIMAL, Line
from replies import assert_error

ENDPOINTS = ["POST", "GET list", "GET one"]
AUTH = "ApiAuthStrategy - "
UNKNOWN_KEY = "CustomThrottlerGuard - Invalid API Key"
NO_METHOD = (AUTH + "No authentication method provided. Either pass an API key as 'Bearer' header or OAuth client "
             "credentials as 'x-cal-secret-key' and 'x-cal-client-id' headers")


@pytest.fixture(scope="module")
def schedule_id(line: Line) -> int:
    return int(line.post(EXAMPLE).json()["data"]["id"])


def call(line: Line, endpoint: str, schedule: int | str, headers: dict[str, str], org: Any = None, user: Any = None,
         body: Any = EXAMPLE) -> requests.Response:
    path = line.schedules_path(user, org)
    if endpoint == "POST":
        answer = line.post(body, path=path, key=None, headers=headers)
        return answer
    return line.request("GET", path + (f"/{schedule}" if endpoint == "GET one" else ""), headers=headers)


def bearer(pick: Callable[[Any], str]) -> Callable[[Any], dict[str, str]]:
    return lambda people: {"Authorization": f"Bearer {pick(people)}"}


CALLERS: dict[str, tuple[Callable[[Any], dict[str, str]], int, Callable[[Any], str]]] = {
    "nobody": (lambda _: {}, 401, lambda _: NO_METHOD),
    "empty_authorization": (lambda _: {"Authorization": ""}, 401, lambda _: NO_METHOD),
    "unknown_key": (bearer(lambda _: "cal_unknown"), 401, lambda _: UNKNOWN_KEY),
    "bare_prefix": (bearer(lambda _: "cal_"), 401, lambda _: UNKNOWN_KEY),
    "revoked_key": (bearer(lambda p: p.revoked_key), 401, lambda _: AUTH + "api key - Your api key is not valid"),
    "expired_key": (bearer(lambda p: p.expired_key), 401, lambda _: AUTH + "api key - Your api key is expired"),
    "other_token": (bearer(lambda _: "eyJhbGciOi"), 401, lambda _: AUTH + "access token - Invalid Access Token."),
    "lower_case_bearer": (lambda p: {"Authorization": f"bearer {p.admin_key}"}, 401,
                          lambda _: AUTH + "access token - Invalid Access Token."),
    "client_id_alone": (lambda _: {"x-cal-client-id": "c1"}, 401,
                        lambda _: AUTH + "Only 'x-cal-client-id' header provided. Please also provide 'x-cal-secret-key' "
                                         "header or Auth bearer token as 'Authentication' header"),
    "client_secret_alone": (lambda _: {"x-cal-secret-key": "s"}, 401,
                            lambda _: AUTH + "Only 'x-cal-secret-key' header provided. Please also provide "
                                             "'x-cal-client-id' header or Auth bearer token as 'Authentication' header"),
    "unknown_client": (lambda p: {"x-cal-client-id": "c1", "x-cal-secret-key": "s", "Authorization": p.admin_key}, 401,
                       lambda _: AUTH + "oAuth client - Client with ID c1 not found"),
    "stranger": (bearer(lambda p: p.stranger_key), 403,
                 lambda p: f"RolesGuard - User is not a member of the organization with id={p.org}."),
    "other_organizations_admin": (bearer(lambda p: p.other_admin_key), 403,
                                  lambda p: f"RolesGuard - User is not a member of the organization with id={p.org}."),
    "member": (bearer(lambda p: p.member_key), 403,
               lambda p: f"RolesGuard - user with id={p.member} does not have the minimum required role=ORG_ADMIN within "
                         f"organization with id={p.org}."),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("caller", CALLERS)
def test_who_may_not_is_told_so_before_anything_else_is_looked_at(line: Line, schedule_id: int, caller: str,
                                                                  endpoint: str) -> None:
    headers, status, message = CALLERS[caller]
    for schedule, body in ((schedule_id, EXAMPLE), ("abc", {})):
        answer = call(line, endpoint, schedule, headers(line.people), body=body)
        assert_error(answer, status, message(line.people))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("caller", ["admin_key", "owner_key"])
def test_admins_and_owners_may(line: Line, schedule_id: int, caller: str, endpoint: str) -> None:
    key = getattr(line.people, caller)
    for authorization in (f"Bearer {key}", key):
        answer = call(line, endpoint, schedule_id, {"Authorization": authorization})
        assert answer.status_code == (201 if endpoint == "POST" else 200)


# organization, user, status, message; `None` for the demo organization and its member.
TARGETS: dict[str, tuple[Any, Any, int, Callable[[Any], str]]] = {
    "no_such_organization": (999_999, None, 403, lambda _: "IsOrgGuard - provided organization id=999999 does not represent "
                                                           "any existing organization."),
    "organization_nought": (0, None, 403, lambda _: "IsOrgGuard - provided organization id=0 does not represent any "
                                                    "existing organization."),
    "negative_organization": (-5, None, 403, lambda _: "IsOrgGuard - provided organization id=-5 does not represent any "
                                                       "existing organization."),
    "no_such_user": (None, 999_999, 403, lambda p: f"IsUserInOrg - user with id=999999 is not part of the organization with "
                                                   f"id={p.org}."),
    "organization_no_number": ("abc", None, 400, lambda _: "Validation failed (numeric string is expected)"),
    "user_no_number": (None, "5a", 400, lambda _: "Validation failed (numeric string is expected)"),
    "user_no_integer": (None, "1.5", 400, lambda _: "Validation failed (numeric string is expected)"),
    "user_too_large": (None, "9223372036854775808", 400, lambda _: "Validation failed (numeric string is expected)"),
    "both_no_numbers": ("x", "y", 400, lambda _: "Validation failed (numeric string is expected)"),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_none_is_refused_before_the_body_is_looked_at(line: Line, schedule_id: int, target: str,
                                                                       endpoint: str) -> None:
    org, user, status, message = TARGETS[target]
    headers = {"Authorization": f"Bearer {line.people.admin_key}"}
    answer = call(line, endpoint, schedule_id, headers, org, user, body={})
    assert_error(answer, status, message(line.people))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_user_of_another_organization_is_as_one_that_is_not_there(line: Line, schedule_id: int, endpoint: str) -> None:
    people = line.people
    for user in (people.other_member, people.stranger):
        answer = call(line, endpoint, schedule_id, {"Authorization": people.admin_key}, user=user)
        assert_error(answer, 403, f"IsUserInOrg - user with id={user} is not part of the organization with id={people.org}.")


def test_a_caller_of_an_organization_that_is_not_there_learns_so_only_with_a_key(line: Line) -> None:
    path = line.schedules_path(org=999_999)
    assert_error(line.request("GET", path), 401, NO_METHOD)


# ---- schedules of others

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


def test_a_role_counts_from_the_moment_it_is_given(line: Line) -> None:
    user = line.make_owners(1)[0]
    key = line.admin("apikey", "create", "--user", str(user))["key"]
    assert line.request("GET", line.schedules_path(), key).status_code == 403
    line.admin("member", "add", "--org", str(line.people.org), "--user", str(user), "--role", "admin")
    assert line.request("GET", line.schedules_path(), key).status_code == 200
