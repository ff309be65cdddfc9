"""How often somebody may ask: whose count a request goes to, what is answered when there were too many, and for how long."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from conftest import MakeLine
from line import MINIMAL, Line, Servers, until
from replies import assert_envelope, assert_error, path_of
from rules import AUTH, CLIENT_AUTH, NO_METHOD, UNKNOWN_KEY

TOO_MANY = "CustomThrottlerGuard - Too many requests. Please try again later."
LONG = {"RATE_LIMIT_WINDOW_SECONDS": "600", "RATE_LIMIT_BLOCK_SECONDS": "300"}
FEW = {"RATE_LIMIT_API_KEY": "4", "RATE_LIMIT_OAUTH_CLIENT": "5", "RATE_LIMIT_ADDRESS": "3"} | LONG
FORWARDED = "X-Forwarded-For"


@pytest.fixture(scope="module")
def limited(servers: Servers) -> Iterator[Line]:
    """A line with limits of a few requests in ten minutes; a test that asks takes a key or an address of its own."""
    line = Line(servers)
    try:
        line.start(CLIENT_ADDRESS_HEADER=FORWARDED, **FEW)
        yield line
    except BaseException:
        line.abandon()
        raise
    line.close()


ADDRESSES = map(str, ipaddress.ip_network("10.0.0.0/8").hosts())


def new_address() -> str:
    """One that nobody has asked from."""
    return next(ADDRESSES)


def new_key(line: Line) -> dict[str, str]:
    return line.admin("apikey", "create", "--user", str(line.people.admin))


def ask(line: Line, key: str | None = None, address: str = "", **headers: str) -> requests.Response:
    return line.request("GET", line.schedules_path(), key, headers={FORWARDED: address or new_address()} | headers)


def rate_headers(answer: requests.Response) -> dict[str, int]:
    return {name.removeprefix("X-RateLimit-"): int(value) for name, value in answer.headers.items()
            if name.startswith("X-RateLimit-")}


def assert_refused(answer: requests.Response, block_s: int = 300, name: str = "Default") -> None:
    assert (answer.status_code, answer.reason) == (429, "Too Many Requests"), answer.text
    assert_envelope(answer.text, 429, TOO_MANY, path_of(answer), TOO_MANY)
    assert answer.headers["X-Request-Id"]
    headers = rate_headers(answer)
    assert headers[f"Remaining-{name}"] == 0
    assert block_s - 30 <= headers[f"Reset-{name}"] <= block_s
    assert int(answer.headers["Retry-After"]) == headers[f"Reset-{name}"]


# ---- whose count

def test_a_key_may_ask_as_often_as_its_limit_and_then_not(limited: Line) -> None:
    key = new_key(limited)["key"]
    for remaining in (3, 2, 1, 0):
        answer = ask(limited, key)
        assert answer.status_code == 200
        headers = rate_headers(answer)
        assert 590 <= headers.pop("Reset-Default") <= 600
        assert headers == {"Limit-Default": 4, "Remaining-Default": remaining}
        assert "Retry-After" not in answer.headers
    assert_refused(ask(limited, key))
    assert ask(limited, new_key(limited)["key"]).status_code == 200


def test_pages_of_other_origins_may_read_the_limits(limited: Line) -> None:
    for answer in (ask(limited, new_key(limited)["key"]), ask(limited, address=new_address())):
        exposed = set(answer.headers["Access-Control-Expose-Headers"].replace(" ", "").split(","))
        assert {name for name in answer.headers if name.startswith("X-RateLimit-")} <= exposed
        assert len(rate_headers(answer)) == 3


def test_a_clients_id_without_a_secret_counts_against_the_address(limited: Line) -> None:
    """Ids of clients are public: who knows one does not use up what the client may ask."""
    client = limited.admin("oauth-client", "create", "--org", str(limited.people.org), "--permissions", "read")
    address = new_address()
    for _ in range(3):
        assert ask(limited, address=address, **{"x-cal-client-id": client["id"]}).status_code == 401
    assert_refused(ask(limited, address=address, **{"x-cal-client-id": client["id"]}))
    answer = ask(limited, **{"x-cal-client-id": client["id"], "x-cal-secret-key": client["secret"]})
    assert (answer.status_code, rate_headers(answer)["Remaining-Default"]) == (200, 4)


def test_a_refused_request_changes_nothing(limited: Line) -> None:
    key = new_key(limited)["key"]
    for _ in range(4):
        ask(limited, key)
    before = limited.sql("SELECT count(*) FROM schedules")
    assert_refused(limited.request("POST", limited.schedules_path(), key, json=MINIMAL))
    assert limited.sql("SELECT count(*) FROM schedules") == before


def test_a_client_has_a_count_that_only_its_secret_touches(limited: Line) -> None:
    address = new_address()
    client = limited.admin("oauth-client", "create", "--org", str(limited.people.org), "--permissions", "read")
    right = {"x-cal-client-id": client["id"], "x-cal-secret-key": client["secret"]}
    for _ in range(3):
        assert_error(ask(limited, address=address, **right | {"x-cal-secret-key": "guess"}), 401,
                     CLIENT_AUTH + "Invalid client secret")
    assert_refused(ask(limited, address=address, **right | {"x-cal-secret-key": "guess"}))
    for remaining in (4, 3, 2, 1, 0):
        answer = ask(limited, **right)
        assert (answer.status_code, rate_headers(answer)["Remaining-Default"]) == (200, remaining)
    assert_refused(ask(limited, **right))


def test_a_revoked_key_counts_for_itself(limited: Line) -> None:
    key, address = new_key(limited), new_address()
    limited.admin("apikey", "revoke", "--id", key["id"])
    for _ in range(4):
        assert_error(ask(limited, key["key"], address), 401, AUTH + "api key - Your api key is not valid")
    assert_refused(ask(limited, key["key"], address))
    assert rate_headers(ask(limited, address=address))["Remaining-Default"] == 2


@pytest.mark.parametrize(("headers", "message"), [
    ({}, NO_METHOD),
    ({"Authorization": "Bearer cal_unknown"}, UNKNOWN_KEY),
    ({"Authorization": "Bearer eyJ"}, AUTH + "access token - Invalid Access Token."),
    ({"x-cal-client-id": "c", "x-cal-secret-key": "s"}, CLIENT_AUTH + "Client with ID c not found")])
def test_those_who_are_nobody_count_by_their_address(limited: Line, headers: dict[str, str], message: str) -> None:
    address = new_address()
    for remaining in (2, 1, 0):
        answer = ask(limited, address=address, **headers)
        assert_error(answer, 401, message)
        assert rate_headers(answer)["Remaining-Default"] == remaining
    assert_refused(ask(limited, address=address, **headers))
    assert_error(ask(limited, **headers), 401, message)


def test_refusals_are_counted(limited: Line) -> None:
    def refusals() -> dict[str, float]:
        return {by: limited.metric(f'schedule_http_rate_limited_total{{by="{by}"}}')
                for by in ("api_key", "oauth_client", "address")}

    key, address, before = new_key(limited)["key"], new_address(), refusals()
    for _ in range(4 + 2):
        ask(limited, key)
    for _ in range(3 + 1):
        ask(limited, address=address)
    assert refusals() == before | {"api_key": before["api_key"] + 2, "address": before["address"] + 1}


# ---- guessing

def test_keys_cannot_be_guessed_faster_than_the_address_may_ask(limited: Line) -> None:
    """Behind a blocked address even a right key is not looked at, unless it has asked lately."""
    known, unheard = new_key(limited)["key"], new_key(limited)["key"]
    address = new_address()
    assert ask(limited, known, address).status_code == 200
    statuses = [ask(limited, f"cal_{guess:064x}", address).status_code for guess in range(20)]
    assert statuses == [401] * 3 + [429] * 17
    asked = limited.metric("schedule_read_seconds_count")
    assert_refused(ask(limited, unheard, address))
    assert limited.metric("schedule_read_seconds_count") == asked
    assert ask(limited, known, address).status_code == 200
    assert ask(limited, unheard).status_code == 200
    assert ask(limited, unheard, address).status_code == 200


def test_a_blocked_key_is_refused_without_asking_the_database(limited: Line) -> None:
    key = new_key(limited)["key"]
    for _ in range(5):
        ask(limited, key)
    asked = limited.metric("schedule_read_seconds_count")
    assert_refused(ask(limited, key))
    assert limited.metric("schedule_read_seconds_count") == asked


# ---- addresses

def test_the_last_entry_of_the_proxys_header_counts(limited: Line) -> None:
    for forged in range(3):
        assert ask(limited, address=f"203.0.113.{forged}, 198.51.100.9").status_code == 401
    assert_refused(ask(limited, address="198.51.100.9"))
    assert_refused(ask(limited, address="203.0.113.4,198.51.100.9"))
    assert ask(limited, address="198.51.100.9, 203.0.113.4").status_code == 401


def test_the_last_of_several_header_lines_counts(limited: Line) -> None:
    def status(*addresses: str) -> int:
        lines = "".join(f"{FORWARDED}: {address}\r\n" for address in addresses)
        return int(limited.raw(f"GET {limited.schedules_path()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"
                               .encode()).split()[1])

    assert [status(f"203.0.113.{forged}", "198.51.100.10") for forged in range(4)] == [401, 401, 401, 429]
    assert status("198.51.100.10", "198.51.100.11") == 401


def test_an_ipv6_subnet_is_one_address(limited: Line) -> None:
    statuses = [ask(limited, address=f"2001:db8:0:1::{host:x}").status_code for host in range(1, 6)]
    assert statuses == [401, 401, 401, 429, 429]
    assert ask(limited, address="2001:db8:0:2::1").status_code == 401


def test_without_a_proxy_the_peers_address_counts_and_headers_do_not(make_line: MakeLine) -> None:
    line = make_line()
    line.start(**FEW)
    statuses = [ask(line).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


# ---- which requests

@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/metrics", 200), ("GET", "/v2/nowhere", 404),
    ("PUT", "/v2/organizations/1/users/1/schedules", 404), ("OPTIONS", "/v2/organizations/1/users/1/schedules", 204)])
def test_open_and_unknown_routes_are_not_limited(limited: Line, method: str, path: str, status: int) -> None:
    address = new_address()
    for _ in range(8):
        answer = limited.request(method, path, headers={FORWARDED: address})
        assert (answer.status_code, rate_headers(answer)) == (status, {})
    assert rate_headers(ask(limited, address=address))["Remaining-Default"] == 2


@pytest.mark.parametrize(("status", "path", "options"), [
    (200, "", {}), (201, "", {"method": "POST", "json": MINIMAL}), (400, "", {"method": "POST", "json": {}}),
    (404, "/999999999", {}), (400, "/abc", {}), (200, "", {"method": "HEAD"})])
def test_every_answer_tells_how_the_limit_stands(limited: Line, status: int, path: str, options: dict[str, Any]) -> None:
    key = new_key(limited)["key"]
    method = options.get("method", "GET")
    answer = limited.request(method, limited.schedules_path() + path, key, json=options.get("json"))
    assert (answer.status_code, rate_headers(answer)["Remaining-Default"]) == (status, 3)


def test_a_limit_of_nought_is_none(line: Line) -> None:
    for _ in range(130):
        assert rate_headers(line.request("GET", line.schedules_path(), line.people.admin_key)) == {}
    assert rate_headers(line.request("GET", line.schedules_path())) == {}


# ---- time

def test_a_block_ends_and_a_window_begins_anew(make_line: MakeLine) -> None:
    line = make_line()
    line.start(RATE_LIMIT_API_KEY="2", RATE_LIMIT_WINDOW_SECONDS="1", RATE_LIMIT_BLOCK_SECONDS="3")
    key = new_key(line)["key"]
    answered, asked_at = 200, 0.0
    while answered == 200:
        asked_at = time.monotonic()
        answered = ask(line, key).status_code
    assert answered == 429
    until(lambda: ask(line, key).status_code == 200, "the block ends")
    assert 3 <= time.monotonic() - asked_at


def test_replicas_count_for_themselves(make_line: MakeLine) -> None:
    line = make_line()
    replicas = [line.start(**FEW), line.start(**FEW)]
    key = new_key(line)["key"]
    for replica in replicas:
        statuses = [requests.get(replica.url + line.schedules_path(), headers={"Authorization": key}, timeout=20).status_code
                    for _ in range(5)]
        assert statuses == [200] * 4 + [429]


# ---- limits of a key's own

def limit(line: Line, key: dict[str, str], name: str, count: int, window: int = 600, block: int = 300) -> None:
    line.admin("apikey", "limit", "--id", key["id"], "--name", name, "--requests", str(count), "--window", str(window),
               "--block", str(block))


def test_a_keys_own_limits_stand_in_for_the_default(limited: Line) -> None:
    key = new_key(limited)
    limit(limited, key, "burst", 2)
    limit(limited, key, "daily", 6, window=86400, block=120)
    answer = ask(limited, key["key"])
    assert {name: value for name, value in rate_headers(answer).items() if not name.startswith("Reset")} == {
        "Limit-Burst": 2, "Remaining-Burst": 1, "Limit-Daily": 6, "Remaining-Daily": 5}
    assert [ask(limited, key["key"]).status_code for _ in range(5)] == [200] * 5
    refused = ask(limited, key["key"])
    assert_refused(refused, 120, "Daily")
    assert rate_headers(refused)["Remaining-Burst"] == 0


def test_a_new_limit_counts_from_the_next_request_on(limited: Line) -> None:
    key = new_key(limited)
    assert rate_headers(ask(limited, key["key"]))["Limit-Default"] == 4
    limit(limited, key, "own", 9)
    assert rate_headers(ask(limited, key["key"]))["Remaining-Own"] == 8
    limited.admin("apikey", "unlimit", "--id", key["id"], "--name", "own")
    assert rate_headers(ask(limited, key["key"]))["Limit-Default"] == 4


def test_own_limits_hold_where_the_default_is_off(line: Line) -> None:
    key = new_key(line)
    limit(line, key, "own", 1)
    path = line.schedules_path()
    assert [line.request("GET", path, key["key"]).status_code for _ in range(2)] == [200, 429]
