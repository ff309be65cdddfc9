"""Webhooks over HTTP: fields, guards and answers as in the reference, and what differs from it. Nothing is sent here."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from conftest import MakeLine, running
from line import MINIMAL, Line, Servers, until
from proxy import CutAtCommit, Proxy
from replies import assert_error, assert_invalid
from servers import ServerError, free_port

KEY = "00112233445566778899aabbccddeeff" * 2
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TRIGGERS = [
    "BOOKING_CREATED", "BOOKING_PAYMENT_INITIATED", "BOOKING_PAID", "BOOKING_RESCHEDULED", "BOOKING_REQUESTED", "BOOKING_CANCELLED",
    "BOOKING_REJECTED", "BOOKING_NO_SHOW_UPDATED", "FORM_SUBMITTED", "MEETING_ENDED", "MEETING_STARTED", "RECORDING_READY",
    "INSTANT_MEETING", "RECORDING_TRANSCRIPTION_GENERATED", "OOO_CREATED", "AFTER_HOSTS_CAL_VIDEO_NO_SHOW",
    "AFTER_GUESTS_CAL_VIDEO_NO_SHOW", "FORM_SUBMITTED_NO_EVENT", "ROUTING_FORM_FALLBACK_HIT", "DELEGATION_CREDENTIAL_ERROR",
    "WRONG_ASSIGNMENT_REPORT", "SCHEDULE_CREATED", "SCHEDULE_UPDATED", "SCHEDULE_DELETED"]
ONLY_KNOWN = "each value in triggers must be one of the following values: " + ", ".join(TRIGGERS)
KEYS = ["id", "payloadTemplate", "triggers", "subscriberUrl", "active", "secret", "userId", "format", "version", "createdAt", "disabledAt",
        "disabledReason", "previousSecretUntil", "lost"]


def url() -> str:
    return f"https://example.com/{uuid.uuid4()}"


def body(**fields: Any) -> dict[str, Any]:
    return {"active": True, "subscriberUrl": url(), "triggers": ["SCHEDULE_UPDATED"]} | fields


@dataclass(frozen=True)
class Owner:
    """Whose webhooks are at a path, and who may write them."""

    path: str
    headers: dict[str, str]
    key: str  # of the answer
    value: int | str


class Hooks:
    """A line and its owners."""

    def __init__(self, line: Line) -> None:
        self.line, people = line, line.people
        client = line.admin("oauth-client", "create", "--org", str(people.org), "--permissions", "read,write")
        other = line.admin("oauth-client", "create", "--org", str(people.org), "--permissions", "read,write")
        admin, member = {"Authorization": people.admin_key}, {"Authorization": people.member_key}
        self.own = Owner("/v2/webhooks", member, "userId", people.member)
        self.org = Owner(f"/v2/organizations/{people.org}/webhooks", admin, "teamId", people.org)
        self.client = Owner(f"/v2/oauth-clients/{client['id']}/webhooks", admin, "oAuthClientId", client["id"])
        self.other_client = Owner(f"/v2/oauth-clients/{other['id']}/webhooks", admin, "oAuthClientId", other["id"])

    def ask(self, method: str, owner: Owner, rest: str = "", sent: Any = None, **options: Any) -> requests.Response:
        headers = owner.headers | options.pop("headers", {})
        return self.line.request(method, owner.path + rest, headers=headers, json=sent, **options)

    def post(self, owner: Owner, **fields: Any) -> requests.Response:
        return self.ask("POST", owner, "", body(**fields))

    def make(self, owner: Owner, **fields: Any) -> dict[str, Any]:
        answer = self.post(owner, **fields)
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["data"])

    def get(self, owner: Owner, made: str) -> dict[str, Any]:
        answer = self.ask("GET", owner, f"/{made}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def clear(self) -> None:
        self.line.sql("DELETE FROM webhooks")


@pytest.fixture(scope="module")
def line(servers: Servers) -> Iterator[Line]:
    with running(Line(servers, RATE_LIMIT_API_KEY="0", RATE_LIMIT_OAUTH_CLIENT="0", WEBHOOK_SECRET_KEY=KEY), audited=False) as one:
        yield one


@pytest.fixture
def hooks(line: Line) -> Iterator[Hooks]:
    one = Hooks(line)
    yield one
    one.clear()


@pytest.fixture(params=["own", "org", "client"])
def owner(hooks: Hooks, request: pytest.FixtureRequest) -> Owner:
    chosen: Owner = getattr(hooks, request.param)
    return chosen


# ---- create, read, update, delete

def test_a_webhook_is_made_read_changed_and_deleted(hooks: Hooks, owner: Owner) -> None:
    sent = body(triggers=["SCHEDULE_DELETED", "SCHEDULE_CREATED", "SCHEDULE_CREATED"])
    answer = hooks.ask("POST", owner, "", sent)
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert list(answer.json()) == ["status", "data"]
    assert list(made) == [owner.key if key == "userId" else key for key in KEYS]
    assert made == made | {"payloadTemplate": None, "triggers": ["SCHEDULE_CREATED", "SCHEDULE_DELETED"], "active": True, "secret": None,
                           "subscriberUrl": sent["subscriberUrl"], owner.key: owner.value, "format": "cal", "version": "2021-10-20",
                           "disabledAt": None, "disabledReason": None, "lost": None}
    assert uuid.UUID(made["id"]).version == 4
    assert hooks.get(owner, made["id"]) == made
    assert hooks.ask("GET", owner).json()["data"] == [made]

    changed = hooks.ask("PATCH", owner, f"/{made['id']}", {"active": False, "format": "standard"})
    assert changed.status_code == 200
    assert changed.json()["data"] == made | {"active": False, "format": "standard"}
    gone = hooks.ask("DELETE", owner, f"/{made['id']}")
    assert (gone.status_code, gone.json()["data"]) == (200, changed.json()["data"])
    assert hooks.ask("GET", owner).json()["data"] == []


def test_a_change_of_nothing_changes_nothing(hooks: Hooks, owner: Owner) -> None:
    made = hooks.make(owner, secret="topsecret")
    for nothing in ({}, {"active": None, "subscriberUrl": None, "triggers": None, "payloadTemplate": None, "version": None, "format": None},
                    {name: made[name] for name in ("active", "subscriberUrl", "triggers", "secret", "payloadTemplate", "version", "format")}):
        answer = hooks.ask("PATCH", owner, f"/{made['id']}", nothing)
        assert (answer.status_code, answer.json()["data"]) == (200, made)


def test_lists_are_in_the_order_of_creation_and_have_pages(hooks: Hooks, owner: Owner) -> None:
    made = [hooks.make(owner)["id"] for _ in range(5)]

    def page(**query: int) -> list[str]:
        return [one["id"] for one in hooks.ask("GET", owner, "", params=query).json()["data"]]

    assert page() == made
    assert page(take=2, skip=1) == made[1:3]
    assert page(take=250, skip=5) == []
    assert hooks.ask("GET", owner, "", params={"take": 251}).status_code == 400
    assert hooks.ask("GET", owner, "", params={"skip": -1}).status_code == 400


def test_all_webhooks_of_a_client_are_deleted_at_once(hooks: Hooks) -> None:
    for _ in range(3):
        hooks.make(hooks.client)
    kept = hooks.make(hooks.other_client)["id"]
    answer = hooks.ask("DELETE", hooks.client)
    assert (answer.status_code, answer.json()) == (200, {"status": "success", "data": "3 webhooks deleted"})
    assert [one["id"] for one in hooks.ask("GET", hooks.other_client).json()["data"]] == [kept]
    for other in (hooks.own, hooks.org):
        assert hooks.ask("DELETE", other).status_code == 404


@pytest.fixture
def proxy(servers: Servers) -> Iterator[Proxy]:
    """In front of PostgreSQL. Named before make_line, it ends after the lines."""
    with closing(Proxy(free_port(), servers.postgres.port)) as one:
        yield one


@pytest.mark.parametrize("is_after", [False, True])
def test_all_of_a_client_are_deleted_though_the_connection_is_lost_at_the_commit(proxy: Proxy, make_line: MakeLine, is_after: bool) -> None:
    """Sent once more, and told as if it had been sent once."""
    line = make_line()
    line.env["DATABASE_URL"] = line.database_url.replace(f":{line.servers.postgres.port}/", f":{proxy.port}/")
    line.start()
    hooks = Hooks(line)
    for _ in range(3):
        hooks.make(hooks.client)
    proxy.weather = cut = CutAtCommit(b"delete_all", is_after=is_after)
    answer = hooks.ask("DELETE", hooks.client)
    assert cut.done.is_set()
    assert (answer.status_code, answer.json()) == (200, {"status": "success", "data": "3 webhooks deleted"})
    assert hooks.ask("GET", hooks.client).json()["data"] == []


def test_a_change_is_of_the_revision_that_was_read(hooks: Hooks, owner: Owner) -> None:
    answer = hooks.post(owner)
    made, etag = answer.json()["data"], answer.headers["ETag"]
    assert hooks.ask("GET", owner, f"/{made['id']}").headers["ETag"] == etag
    for method, sent in (("PATCH", {"active": False}), ("DELETE", None)):
        refused = hooks.ask(method, owner, f"/{made['id']}", sent, headers={"If-Match": '"1"'})
        assert_error(refused, 412, "The webhook has another ETag than If-Match asks for.")
    changed = hooks.ask("PATCH", owner, f"/{made['id']}", {"active": False}, headers={"If-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag
    assert hooks.ask("DELETE", owner, f"/{made['id']}", headers={"If-Match": etag}).status_code == 412
    assert hooks.ask("DELETE", owner, f"/{made['id']}", headers={"If-Match": changed.headers["ETag"]}).status_code == 200


# ---- fields

def violation(name: str, value: Any, **constraints: str) -> dict[str, Any]:
    shown = {} if isinstance(value, (list, dict)) or value == "absent" else {"value": value}
    return shown | {"property": name, "children": [], "constraints": constraints}


REFUSED: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    ({"payloadTemplate": 1}, [violation("payloadTemplate", 1, isString="payloadTemplate must be a string")]),
    ({"payloadTemplate": "{}"}, [violation("payloadTemplate", "{}", isNull="payloadTemplate must be null, templates are not supported")]),
    ({"active": "true"}, [violation("active", "true", isBoolean="active must be a boolean value")]),
    ({"active": 1}, [violation("active", 1, isBoolean="active must be a boolean value")]),
    ({"subscriberUrl": 5}, [violation("subscriberUrl", 5, isString="subscriberUrl must be a string")]),
    ({"triggers": "SCHEDULE_CREATED"}, [violation("triggers", "SCHEDULE_CREATED", isArray="triggers must be an array")]),
    ({"triggers": "x"}, [violation("triggers", "x", isEnum=ONLY_KNOWN, isArray="triggers must be an array")]),
    ({"triggers": {}}, [violation("triggers", {}, isEnum=ONLY_KNOWN, isArray="triggers must be an array")]),
    ({"triggers": ["SCHEDULE_CREATED", "BOOKING_CONFIRMED"]}, [violation("triggers", [], isEnum=ONLY_KNOWN)]),
    ({"triggers": [None]}, [violation("triggers", [], isEnum=ONLY_KNOWN)]),
    ({"secret": 7}, [violation("secret", 7, isString="secret must be a string")]),
    ({"secret": "whsec_not base64"}, [violation("secret", "whsec_not base64", isBase64="secret must be base64 behind whsec_")]),
    ({"secret": "whsec_"}, [violation("secret", "whsec_", isBase64="secret must be base64 behind whsec_")]),
    ({"version": "2022-01-01"}, [violation("version", "2022-01-01", isEnum="version must be one of the following values: 2021-10-20")]),
    ({"format": "xml"}, [violation("format", "xml", isEnum="format must be one of the following values: cal, standard")]),
]
MISSING = [violation("active", "absent", isBoolean="active must be a boolean value"),
           violation("subscriberUrl", "absent", isString="subscriberUrl must be a string"),
           violation("triggers", "absent", isEnum=ONLY_KNOWN, isArray="triggers must be an array")]


@pytest.mark.parametrize(("fields", "errors"), REFUSED, ids=lambda part: json.dumps(part)[:60])
def test_a_field_that_breaks_a_rule_is_named(hooks: Hooks, fields: dict[str, Any], errors: list[dict[str, Any]]) -> None:
    assert_invalid(hooks.post(hooks.own, **fields), errors)
    made = hooks.make(hooks.own)
    assert_invalid(hooks.ask("PATCH", hooks.own, f"/{made['id']}", fields), errors)
    assert hooks.get(hooks.own, made["id"]) == made


def test_what_must_be_there_is_named_in_the_order_of_declaration(hooks: Hooks, owner: Owner) -> None:
    assert_invalid(hooks.ask("POST", owner, "", {}), MISSING)
    nulls = {"payloadTemplate": None, "active": None, "subscriberUrl": None, "triggers": None, "secret": None}
    assert_invalid(hooks.ask("POST", owner, "", nulls), [{"value": None} | one for one in MISSING])
    assert hooks.ask("GET", owner).json()["data"] == []


def test_a_secret_of_more_than_255_bytes_is_refused(hooks: Hooks) -> None:
    assert hooks.make(hooks.own, secret="x" * 255)["secret"] == "x" * 255
    answer = hooks.post(hooks.own, secret="é" * 128)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["errors"][0]["constraints"] == {"maxLength": "secret must be shorter than or equal to 255 bytes"}


def test_every_trigger_of_the_reference_is_taken(hooks: Hooks) -> None:
    assert hooks.make(hooks.org, triggers=TRIGGERS)["triggers"] == TRIGGERS
    assert hooks.make(hooks.org, triggers=[])["triggers"] == []


def test_one_trigger_is_for_organizations_alone(hooks: Hooks) -> None:
    refused = hooks.post(hooks.own, triggers=["DELEGATION_CREDENTIAL_ERROR"])
    assert_error(refused, 400, "DELEGATION_CREDENTIAL_ERROR trigger is only available for organization webhooks")
    for other in (hooks.org, hooks.client):
        hooks.make(other, triggers=["DELEGATION_CREDENTIAL_ERROR"])


URLS = [
    ("", "Invalid URL format"), ("example.com", "Invalid URL format"), ("ftp://example.com/", "Only HTTP and HTTPS protocols are allowed"),
    ("data:image/png;base64,AA", "Only HTTP and HTTPS protocols are allowed"), ("http://example.com/", "Only HTTPS URLs are allowed"),
    ("https://", "Invalid URL format"), ("https://user:password@example.com/", "Credentials in a URL are not allowed"),
    ("https://127.0.0.1/", "Private IP address"), ("https://2130706433/", "Private IP address"), ("https://0x7f.1/", "Private IP address"),
    ("https://10.1.2.3/", "Private IP address"), ("https://[::1]/", "Private IP address"), ("https://[::ffff:10.0.0.1]/", "Private IP address"),
    ("https://169.254.169.254/latest", "Private IP address"), ("https://localhost/", "Blocked hostname"),
    ("https://LOCALHOST./", "Blocked hostname"), ("https://a.localhost/", "Blocked hostname"),
    ("https://metadata.google.internal/", "Blocked hostname"), ("https://example.com:22/", "Port is not allowed"),
    ("https://example.com:5432/", "Port is not allowed"), ("https://example.com/\u00e9", "Invalid URL format"),
    ("https://example.com/" + "x" * 2048, "Invalid URL format"),
]


@pytest.mark.parametrize(("bad", "reason"), URLS)
def test_a_url_that_may_not_be_reached_is_refused_without_asking_a_resolver(hooks: Hooks, owner: Owner, bad: str, reason: str) -> None:
    assert_error(hooks.post(owner, subscriberUrl=bad), 400, f"Webhook URL is not allowed: {reason}")
    if owner is hooks.own:
        made = hooks.make(owner)
        refused = hooks.ask("PATCH", owner, f"/{made['id']}", {"subscriberUrl": bad})
        assert_error(refused, 400, f"Webhook URL is not allowed: {reason}")


@pytest.mark.parametrize("good", ["https://example.com", "https://example.com:8443/a?b=c#d", "HTTPS://Example.COM/", "https://1.1.1.1/",
                                  "https://[2606:4700::1111]/", "https://no-such-name.invalid/"])
def test_a_public_url_is_taken_as_it_is(hooks: Hooks, good: str) -> None:
    assert hooks.make(hooks.own, subscriberUrl=good)["subscriberUrl"] == good


def test_networks_of_the_operator_may_be_reached(make_line: MakeLine) -> None:
    line = make_line(WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8,fd00::/8")
    line.start()
    hooks = Hooks(line)
    for good in ("http://127.0.0.1:8080/", "https://localhost:8080/", "http://[fd00::1]/"):
        hooks.make(hooks.own, subscriberUrl=good)
    for bad in ("http://10.0.0.1/", "https://169.254.169.254/", "https://[fd00:ec2::254]/"):
        assert hooks.post(hooks.own, subscriberUrl=bad).status_code == 400


# ---- one of a kind, and how many

SAME = {"userId": "user", "teamId": "user", "oAuthClientId": "oAuth client"}


def test_an_owner_has_a_url_once(hooks: Hooks, owner: Owner) -> None:
    taken, free = hooks.make(owner), hooks.make(owner)
    message = f"Webhook with this subscriber url already exists for this {SAME[owner.key]}"
    assert_error(hooks.post(owner, subscriberUrl=taken["subscriberUrl"]), 409, message)
    assert_error(hooks.ask("PATCH", owner, f"/{free['id']}", {"subscriberUrl": taken["subscriberUrl"]}), 409, message)
    hooks.ask("DELETE", owner, f"/{taken['id']}")
    assert hooks.ask("PATCH", owner, f"/{free['id']}", {"subscriberUrl": taken["subscriberUrl"]}).status_code == 200


def test_other_owners_may_have_the_same_url(hooks: Hooks) -> None:
    same = url()
    for one in (hooks.own, hooks.org, hooks.client, hooks.other_client):
        hooks.make(one, subscriberUrl=same)


def test_of_many_who_make_the_same_at_once_one_does(hooks: Hooks, owner: Owner) -> None:
    sent = body()

    def post(_: int) -> int:
        return requests.post(hooks.line.service.url + owner.path, json=sent, headers=owner.headers, timeout=20).status_code

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(post, range(16))) == [201] + [409] * 15


def test_an_owner_has_a_hundred_at_most_whoever_comes_at_once(hooks: Hooks, owner: Owner) -> None:
    def post(_: int) -> int:
        return requests.post(hooks.line.service.url + owner.path, json=body(), headers=owner.headers, timeout=20).status_code

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(post, range(110))) == [201] * 100 + [409] * 10
    assert_error(hooks.post(owner), 409, "An owner has at most 100 webhooks.")
    other = hooks.other_client if owner is hooks.client else hooks.client
    hooks.make(other)


# ---- whose

NOWHERE = "4b7d3f0e-2f0a-4f0e-9a53-3b0f6f1f9d3c"
ASKED = [("GET", "", None), ("PATCH", "", {"active": "x"}), ("DELETE", "", None), ("GET", "/status", None), ("GET", "/deliveries", None),
         ("POST", "/ping", None), ("POST", "/replay", {}), ("GET", f"/jobs/{NOWHERE}", None)]


@pytest.mark.parametrize(("method", "rest", "sent"), ASKED, ids=str)
@pytest.mark.parametrize("missing", [NOWHERE, "abc", "%00"])
def test_one_that_is_not_there_is_told_as_the_scope_does(hooks: Hooks, method: str, rest: str, sent: Any, missing: str) -> None:
    assert_error(hooks.ask(method, hooks.own, f"/{missing}{rest}", sent), 404, f"Webhook ({missing}) not found")
    assert_error(hooks.ask(method, hooks.org, f"/{missing}{rest}", sent), 403, "Forbidden resource")
    assert_error(hooks.ask(method, hooks.client, f"/{missing}{rest}", sent), 404, f"IsOAuthClientWebhookGuard - Webhook ({missing}) not found")


@pytest.mark.parametrize(("method", "rest", "sent"), ASKED, ids=str)
def test_one_of_somebody_else_is_refused_and_stays(hooks: Hooks, method: str, rest: str, sent: Any) -> None:
    made = {name: hooks.make(getattr(hooks, name))["id"] for name in ("own", "org", "client", "other_client")}
    for name in ("org", "client"):
        assert_error(hooks.ask(method, hooks.own, f"/{made[name]}{rest}", sent), 403, "Forbidden resource")
    for name in ("own", "client"):
        assert_error(hooks.ask(method, hooks.org, f"/{made[name]}{rest}", sent), 403, "Forbidden resource")
    for name in ("own", "org", "other_client"):
        assert_error(hooks.ask(method, hooks.client, f"/{made[name]}{rest}", sent), 403,
                     "IsOAuthClientWebhookGuard - Webhook does not belong to this oAuthClient")
    assert hooks.line.sql("SELECT count(*) FROM webhooks WHERE active") == [(4,)]
    assert hooks.line.sql("SELECT count(*) FROM webhook_jobs") == [(0,)]


def test_a_system_administrator_reaches_every_webhook_by_its_id(hooks: Hooks) -> None:
    line = hooks.line
    line.cli("system-admin", "add", "--user", str(line.people.stranger))
    try:
        for one in (hooks.own, hooks.org, hooks.client):
            made = hooks.make(one)
            answer = line.request("GET", f"/v2/webhooks/{made['id']}", line.people.stranger_key)
            assert (answer.status_code, answer.json()["data"]) == (200, made)
        assert line.request("GET", "/v2/webhooks", line.people.stranger_key).json()["data"] == []
    finally:
        line.cli("system-admin", "remove", "--user", str(line.people.stranger))


def test_a_client_that_is_not_there_is_404(hooks: Hooks) -> None:
    for missing in ("nobody", "%00", "%ff", "a%2Fb"):
        nowhere = Owner(f"/v2/oauth-clients/{missing}/webhooks", hooks.client.headers, "", "")
        assert_error(hooks.ask("GET", nowhere), 404, "OAuthClientGuard - OAuth client not found.")


def test_a_member_reads_a_clients_webhooks_without_their_secrets(hooks: Hooks) -> None:
    made = hooks.make(hooks.client, secret="topsecret")
    assert made["secret"] == "topsecret"
    as_member = {"Authorization": hooks.line.people.member_key}
    for rest, pick in (("", 0), (f"/{made['id']}", None)):
        seen = hooks.line.request("GET", hooks.client.path + rest, headers=as_member).json()["data"]
        assert (seen[pick] if pick is not None else seen) == made | {"secret": None}
    refused = hooks.line.request("PATCH", f"{hooks.client.path}/{made['id']}", headers=as_member, json={"active": False})
    assert_error(refused, 403, "OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER.")


# ---- secrets

def test_no_secret_is_in_a_dump(hooks: Hooks) -> None:
    for one, secret in ((hooks.own, "Sup3rSecretText"), (hooks.org, STANDARD_SECRET)):
        made = hooks.make(one, secret=secret)
        assert made["secret"] == secret
        assert hooks.get(one, made["id"])["secret"] == secret
        rotated = hooks.ask("PATCH", one, f"/{made['id']}", {"secret": secret + "AAAA"}).json()["data"]
        assert rotated["secret"] == secret + "AAAA"
    dump = subprocess.run([hooks.line.servers.postgres.bin / "pg_dump", hooks.line.database_url], capture_output=True, text=True, check=True).stdout
    assert made["id"] in dump
    for secret in ("Sup3rSecretText", STANDARD_SECRET):
        for form in (secret, secret.encode().hex()):
            assert form not in dump
    assert "Sup3rSecretText" not in hooks.line.log()


def test_an_empty_secret_is_none(hooks: Hooks, owner: Owner) -> None:
    made = hooks.make(owner, secret="")
    assert made["secret"] is None
    assert hooks.line.sql("SELECT secret IS NULL FROM webhooks") == [(True,)]


@pytest.mark.parametrize("none", ["", None])
def test_a_secret_is_taken_away(hooks: Hooks, none: str | None) -> None:
    made = hooks.make(hooks.own, secret="topsecret")
    changed = hooks.ask("PATCH", hooks.own, f"/{made['id']}", {"secret": none}).json()["data"]
    assert (changed["secret"], changed["previousSecretUntil"]) == (None, None)


def test_a_former_secret_signs_for_a_day_and_the_same_one_is_none(hooks: Hooks) -> None:
    made = hooks.make(hooks.own, secret="first")
    same = hooks.ask("PATCH", hooks.own, f"/{made['id']}", {"secret": "first"}).json()["data"]
    assert same["previousSecretUntil"] is None
    changed = hooks.ask("PATCH", hooks.own, f"/{made['id']}", {"secret": "second"}).json()["data"]
    assert changed["secret"] == "second"
    assert hooks.line.sql("SELECT previous_secret_until - now() BETWEEN interval '23:59' AND interval '24:00' FROM webhooks") == [(True,)]
    assert changed["previousSecretUntil"] is not None


def test_secrets_need_a_key_and_a_former_one_opens_them(make_line: MakeLine) -> None:
    other_key = "ff" * 32
    line = make_line(WEBHOOK_SECRET_KEY=KEY)
    first = line.start()
    hooks = Hooks(line)
    made = hooks.make(hooks.own, secret="topsecret")
    line.stop(first)
    line.replicas.clear()
    without = line.start(WEBHOOK_SECRET_KEY="")
    assert hooks.ask("GET", hooks.own, f"/{made['id']}").status_code == 500
    refused = hooks.post(hooks.own, secret="topsecret")
    assert refused.status_code == 501
    assert refused.json()["error"]["message"] == "Secrets of webhooks need WEBHOOK_SECRET_KEY, which is not set."
    hooks.make(hooks.org)
    line.stop(without)
    line.replicas.clear()
    line.start(WEBHOOK_SECRET_KEY=other_key, WEBHOOK_FORMER_SECRET_KEYS=KEY)
    assert hooks.get(hooks.own, made["id"])["secret"] == "topsecret"


def test_secrets_are_sealed_again_with_the_current_key_so_that_the_former_one_can_go(make_line: MakeLine) -> None:
    new_key, of_new = "ff" * 32, "substr(secret, 1, 8) = substr(sha256(decode(repeat('ff', 32), 'hex')), 1, 8)"
    line = make_line(WEBHOOK_SECRET_KEY=KEY)
    first = line.start()
    hooks = Hooks(line)
    rotated, other = hooks.make(hooks.own, secret="first")["id"], hooks.make(hooks.org, secret=STANDARD_SECRET)["id"]
    hooks.make(hooks.client)
    hooks.ask("PATCH", hooks.own, f"/{rotated}", {"secret": "second"})
    broken = hooks.make(hooks.own, secret="third")["id"]
    line.sql("UPDATE webhooks SET secret = (SELECT secret FROM webhooks WHERE id = %s) WHERE id = %s RETURNING 1", other, broken)
    line.sql("INSERT INTO webhooks (id, scope, user_id, subscriber_url, triggers, active, secret, revision, start_position) "
             "SELECT gen_random_uuid(), 'user', 1000000 + i, 'https://example.com', '{}', true, NULL, 0, '1:0/0' FROM generate_series(1, 1200) i RETURNING 1")
    line.stop(first)
    line.replicas.clear()
    line.env["WEBHOOK_SECRET_KEY"] = new_key
    with pytest.raises(ServerError, match="does not open"):
        line.admin("webhook", "reseal")
    line.env["WEBHOOK_FORMER_SECRET_KEYS"] = KEY
    with pytest.raises(ServerError, match=f"(?s)resealed=2 failed=1.*{broken} does not open"):
        line.admin("webhook", "reseal")
    line.sql("DELETE FROM webhooks WHERE id = %s RETURNING 1", broken)
    revisions = line.sql("SELECT id, revision FROM webhooks ORDER BY id")
    assert line.admin("webhook", "reseal") == {"resealed": "0", "failed": "0"}
    assert line.sql("SELECT id, revision FROM webhooks ORDER BY id") == revisions, "what is sealed by the current key is left as it is"
    assert line.sql(f"SELECT bool_and({of_new} AND coalesce({of_new.replace('secret', 'previous_secret', 1)}, true)), count(previous_secret) "
                    "FROM webhooks WHERE secret IS NOT NULL") == [(True, 1)]
    del line.env["WEBHOOK_FORMER_SECRET_KEYS"]
    line.start()
    assert hooks.get(hooks.own, rotated)["secret"] == "second"
    assert hooks.get(hooks.org, other)["secret"] == STANDARD_SECRET


def test_a_secret_in_another_row_does_not_open(hooks: Hooks) -> None:
    one, other = (hooks.make(hooks.own, secret=secret) for secret in ("one", "other"))
    hooks.line.sql("UPDATE webhooks SET secret = (SELECT secret FROM webhooks WHERE id = %s::uuid) WHERE id = %s::uuid", one["id"], other["id"])
    assert hooks.ask("GET", hooks.own, f"/{other['id']}").status_code == 500
    assert hooks.get(hooks.own, one["id"])["secret"] == "one"


# ---- where it starts, and how it fares

def position(text: str) -> tuple[int, int]:
    timeline, lsn = text.split(":")
    high, low = lsn.split("/")
    return int(timeline), int(high, 16) << 32 | int(low, 16)


def test_a_webhook_starts_between_what_was_published_before_and_what_commits_after(hooks: Hooks) -> None:
    line = hooks.line

    def event_position(name: str) -> tuple[int, int]:
        made = line.post(MINIMAL | {"name": name}).json()["data"]["id"]
        return position(line.event_of_schedule(made).headers["commit-position"].decode())

    before = event_position("before")
    hooks.make(hooks.own)
    start = position(line.sql("SELECT start_position FROM webhooks")[0][0])
    after = event_position("after")
    assert before < start <= after


def test_active_again_goes_on_and_from_now_starts_again(hooks: Hooks, owner: Owner) -> None:
    made = hooks.make(owner)["id"]

    def patch(sent: Any, **query: str) -> requests.Response:
        return hooks.ask("PATCH", owner, f"/{made}", sent, params=query)

    def starts() -> Any:
        return hooks.line.sql("SELECT starts, start_position FROM webhooks")[0]

    first = starts()
    hooks.line.sql("UPDATE webhooks SET active = false, disabled_at = now(), disabled_reason = 'failing'")
    hooks.line.sql("INSERT INTO webhook_states (webhook_id, failures, first_failure_at, lost_from, lost_to)"
                   " VALUES (%s::uuid, 30, now() - interval '80 hours', '2026-01-01Z', '2026-01-02Z')", made)
    shown = hooks.get(owner, made)
    assert (shown["active"], shown["disabledReason"]) == (False, "failing")
    again = patch({"active": True}).json()["data"]
    assert (again["active"], again["disabledAt"], again["disabledReason"]) == (True, None, None)
    assert again["lost"] == {"from": "2026-01-01T00:00:00.000Z", "to": "2026-01-02T00:00:00.000Z"}
    assert starts() == first
    assert hooks.line.sql("SELECT failures, first_failure_at FROM webhook_states") == [(0, None)]
    restarted = patch({"active": True}, **{"from": "now"})
    assert (restarted.status_code, restarted.json()["data"]["lost"]) == (200, None)
    assert starts()[0] == first[0] + 1
    assert position(starts()[1]) > position(first[1])
    for sent, query in (({"active": False}, "now"), ({}, "now"), ({"active": True}, "then")):
        assert_error(patch(sent, **{"from": query}), 400, "from must be now, and goes with active true")


def test_status_and_deliveries_show_what_senders_stored(hooks: Hooks, owner: Owner) -> None:
    made, sql = hooks.make(owner)["id"], hooks.line.sql
    fresh = hooks.ask("GET", owner, f"/{made}/status").json()["data"]
    assert fresh == fresh | {"active": True, "failuresSince": 0, "retrying": 0, "waiting": 0, "failed": 0, "lost": None, "lastSuccessAt": None,
                             "lagSeconds": None}
    assert hooks.ask("GET", owner, f"/{made}/deliveries").json()["data"] == {"failures": [], "successes": []}
    sql("INSERT INTO webhook_states (webhook_id, recent, last_success_at, failures, first_failure_at, last_failure_at, last_status, last_error)"
        " VALUES (%s::uuid, '[{\"at\": 1767225600123, \"status\": 204}]', '2026-01-01Z', 3, '2026-01-02Z', '2026-01-03Z', 500, 'status')", made)
    for offset, state, failed, following in ((1, "retrying", None, "2026-01-09Z"), (2, "waiting", None, None), (3, "failed", "2026-01-05Z", None)):
        sql("INSERT INTO webhook_deliveries (webhook_id, topic, partition, event_offset, event_id, trigger, schedule_id, schedule_version, event,"
            " state, attempts, first_failed_at, last_failed_at, next_attempt_at, failed_at, status, error)"
            " VALUES (%s::uuid, 't', 0, %s, '7.' || %s, 'SCHEDULE_UPDATED', 7, %s, 'body', %s, 2, '2026-01-02Z', '2026-01-03Z', %s, %s, 503, 'status')",
            made, offset, str(offset), offset, state, following, failed)
    sql("INSERT INTO webhook_offsets (topic, partition, next_offset, taken_until) VALUES ('t', 0, 9, now()), ('t', 1, 9, now() - interval '1 hour')")
    sql("INSERT INTO webhook_cursors (webhook_id, topic, partition, starts, next_offset, taken_until)"
        " VALUES (%s::uuid, 't', 1, 1, 5, now() - interval '2 hours'), (%s::uuid, 't', 0, 0, 5, now() - interval '3 hours')"
        " ON CONFLICT (webhook_id, topic, partition) DO UPDATE SET taken_until = excluded.taken_until, starts = excluded.starts", made, made)
    shown = hooks.ask("GET", owner, f"/{made}/status").json()["data"]
    sql("DELETE FROM webhook_offsets")
    assert 7200 <= shown["lagSeconds"] < 7300
    assert shown == shown | {"failuresSince": 3, "retrying": 1, "waiting": 1, "failed": 1, "lastStatus": 500, "lastError": "status",
                             "lastSuccessAt": "2026-01-01T00:00:00.000Z", "oldestFailureAt": "2026-01-02T00:00:00.000Z",
                             "nextAttemptAt": "2026-01-09T00:00:00.000Z"}
    deliveries = hooks.ask("GET", owner, f"/{made}/deliveries")
    assert deliveries.json()["data"]["successes"] == [{"at": "2026-01-01T00:00:00.123Z", "status": 204}]
    assert sorted((one["id"], one["state"], one["status"]) for one in deliveries.json()["data"]["failures"]) == [
        ("7.1", "retrying", 503), ("7.3", "failed", 503)]
    assert "body" not in deliveries.text


# ---- jobs

def test_a_ping_is_a_job_that_can_be_followed(hooks: Hooks, owner: Owner) -> None:
    made = hooks.make(owner)["id"]
    answer = hooks.ask("POST", owner, f"/{made}/ping")
    assert answer.status_code == 202
    job = answer.json()["data"]
    assert (job["kind"], job["state"], job["from"], job["to"]) == ("ping", "queued", None, None)
    assert hooks.ask("GET", owner, f"/{made}/jobs/{job['id']}").json()["data"] == job
    hooks.line.sql("UPDATE webhook_jobs SET state = 'done', ended_at = now(), status = 204, delivered = 1")
    done = hooks.ask("GET", owner, f"/{made}/jobs/{job['id']}").json()["data"]
    assert (done["state"], done["status"], done["delivered"]) == ("done", 204, 1)
    other = hooks.make(owner)["id"]
    for missing in (f"/{other}/jobs/{job['id']}", f"/{made}/jobs/{NOWHERE}", f"/{made}/jobs/x"):
        assert_error(hooks.ask("GET", owner, missing), 404, "Webhook job not found")


def test_a_replay_begins_at_a_time_or_at_an_event(hooks: Hooks, owner: Owner) -> None:
    made = hooks.make(owner)["id"]
    sent = {"from": "2026-01-31T08:00:00+01:00", "to": "2026-02-01T00:00:00Z", "triggers": ["SCHEDULE_DELETED", "SCHEDULE_UPDATED"]}
    answer = hooks.ask("POST", owner, f"/{made}/replay", sent)
    assert answer.status_code == 202
    job = answer.json()["data"]
    assert (job["kind"], job["from"], job["to"], job["triggers"]) == (
        "replay", "2026-01-31T07:00:00.000Z", "2026-02-01T00:00:00.000Z", ["SCHEDULE_UPDATED", "SCHEDULE_DELETED"])
    job = hooks.ask("POST", owner, f"/{made}/replay", {"from": "254.3"}).json()["data"]
    assert (job["from"], job["triggers"]) == ("254.3", None)
    assert job["to"] is not None


REPLAYS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"isInstant": "from must be a time such as 2026-01-31T08:00:00Z, or the id of an event such as 17.3"}),
    ({"from": 5}, {"isInstant": "from must be a time such as 2026-01-31T08:00:00Z, or the id of an event such as 17.3"}),
    ({"from": "17"}, {"isInstant": "from must be a time such as 2026-01-31T08:00:00Z, or the id of an event such as 17.3"}),
    ({"from": "1.2.3"}, {"isInstant": "from must be a time such as 2026-01-31T08:00:00Z, or the id of an event such as 17.3"}),
    ({"from": "17.3", "to": "x"}, {"isInstant": "to must be a time such as 2026-01-31T08:00:00Z"}),
    ({"from": "2026-01-31T08:00:00Z", "to": "2026-01-31T08:00:00Z"}, {"isAfter": "to must be after from"}),
    ({"from": "17.3", "triggers": ["x"]}, {"isEnum": ONLY_KNOWN}),
]


@pytest.mark.parametrize(("sent", "constraints"), REPLAYS, ids=str)
def test_a_replay_of_no_sense_is_refused(hooks: Hooks, sent: Any, constraints: dict[str, str]) -> None:
    made = hooks.make(hooks.own)["id"]
    answer = hooks.ask("POST", hooks.own, f"/{made}/replay", sent)
    assert answer.status_code == 400, answer.text
    assert [one["constraints"] for one in answer.json()["error"]["details"]["errors"]] == [constraints]


def test_a_webhook_has_ten_jobs_that_have_not_ended(hooks: Hooks) -> None:
    made = hooks.make(hooks.own)["id"]

    def ping(_: int) -> int:
        return requests.post(f"{hooks.line.service.url}/v2/webhooks/{made}/ping", headers=hooks.own.headers, timeout=20).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ping, range(13))) == [202] * 10 + [409] * 3
    assert_error(hooks.ask("POST", hooks.own, f"/{made}/ping"), 409, "A webhook has at most 10 jobs that have not ended.")
    hooks.line.sql("UPDATE webhook_jobs SET state = 'failed', ended_at = now()")
    assert hooks.ask("POST", hooks.own, f"/{made}/ping").status_code == 202


# ---- removals, and what senders read

def webhooks_of(line: Line) -> list[Any]:
    return line.sql("SELECT scope, removed_at IS NOT NULL, end_position IS NOT NULL FROM webhooks ORDER BY scope")


def test_a_removed_owner_leaves_webhooks_that_nobody_sees_until_a_sender_has_done(line: Line) -> None:
    org = line.admin("org", "add", "--name", "Leaving")["id"]
    user = line.admin("user", "add", "--name", "Leaver")["id"]
    line.cli("member", "add", "--org", org, "--user", user, "--role", "owner")
    clients = [line.admin("oauth-client", "create", "--org", org, "--permissions", "read,write")["id"] for _ in range(2)]
    headers = {"Authorization": line.admin("apikey", "create", "--user", user)["key"]}
    paths = ["/v2/webhooks", f"/v2/organizations/{org}/webhooks", *(f"/v2/oauth-clients/{one}/webhooks" for one in clients)]
    made = [line.request("POST", path, headers=headers, json=body()).json()["data"]["id"] for path in paths]
    try:
        line.cli("oauth-client", "delete", "--id", clients[0])
        assert webhooks_of(line) == [("client", False, False), ("client", True, False), ("organization", False, False), ("user", False, False)] or \
            webhooks_of(line) == [("client", True, False), ("client", False, False), ("organization", False, False), ("user", False, False)]
        line.cli("org", "remove", "--id", org)
        until(lambda: [one[1] for one in webhooks_of(line)] == [True, True, True, False], "the organization's removal has ended")
        line.cli("user", "remove", "--id", user)
        until(lambda: [one[1] for one in webhooks_of(line)] == [True] * 4, "the user's removal has ended")
        assert line.sql("SELECT mark_removed_webhooks() > 0 OR (SELECT bool_and(end_position IS NOT NULL) FROM webhooks)") == [(True,)]
        assert [one[2] for one in webhooks_of(line)] == [True] * 4
        for one in made:
            assert line.sql("SELECT delete_removed_webhook(%s::uuid)", one) == [(True,)]
    finally:
        line.sql("DELETE FROM webhooks")


def test_who_comes_with_the_number_of_a_removed_user_ends_the_former_ones_webhooks_first(line: Line) -> None:
    user = line.admin("user", "add", "--name", "First")["id"]
    headers = {"Authorization": line.admin("apikey", "create", "--user", user)["key"]}
    sent = body()
    line.request("POST", "/v2/webhooks", headers=headers, json=sent)
    line.cli("user", "remove", "--id", user)
    until(lambda: line.sql("SELECT removed_at IS NOT NULL FROM webhooks") == [(True,)], "the removal has ended")
    line.sql("SELECT apply_directory(json_build_object('type', 'user', 'id', %s::bigint, 'name', 'Second'), now())", user)
    end = line.sql("SELECT end_position FROM webhooks")[0][0]
    assert position(end) <= position(line.sql("SELECT wal_position()")[0][0])
    headers = {"Authorization": line.admin("apikey", "create", "--user", user)["key"]}
    assert line.request("GET", "/v2/webhooks", headers=headers).json()["data"] == []
    assert line.request("POST", "/v2/webhooks", headers=headers, json=sent).status_code == 201
    line.sql("DELETE FROM webhooks")


def test_changes_are_read_by_revision_and_none_is_passed_over(hooks: Hooks) -> None:
    """By a reader that asks all the time, while many write at once."""
    line, seen, deleted = hooks.line, 0, set()
    current: dict[str, str] = {}

    def work(number: int) -> None:
        session = requests.Session()
        for _ in range(10):
            made = session.post(line.service.url + hooks.org.path, json=body(), headers=hooks.org.headers, timeout=20).json()["data"]["id"]
            session.patch(f"{line.service.url}{hooks.org.path}/{made}", json={"active": False}, headers=hooks.org.headers, timeout=20)
            if number % 2:
                session.delete(f"{line.service.url}{hooks.org.path}/{made}", headers=hooks.org.headers, timeout=20)

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work, number) for number in range(8)]
        last = False
        while True:
            changes = line.sql("SELECT revision, id::text, is_deleted, active::text FROM webhook_changes WHERE revision > %s ORDER BY revision LIMIT 20", seen)
            for revision, one, is_deleted, active in changes:
                seen = revision
                current.pop(one, None)
                if is_deleted:
                    deleted.add(one)
                else:
                    current[one] = active
            if not changes and last:
                break
            last = not changes and all(one.done() for one in working)
    for one in working:
        one.result()
    assert current == dict(line.sql("SELECT id::text, active::text FROM webhooks"))
    assert len(current) == 40
    assert len(deleted) >= 40


# ---- the command line

def test_the_operator_lists_shows_switches_and_replays(hooks: Hooks, owner: Owner) -> None:
    made = hooks.make(owner, subscriberUrl=url() + "?token=hidden", secret="topsecret")["id"]
    cli = hooks.line.cli
    listed, shown = cli("webhook", "list"), cli("webhook", "show", "--id", made)
    assert f"id={made} scope=" in listed and f"owner={owner.value} " in listed
    assert "active=yes" in shown and "failures=0" in shown
    assert "hidden" not in listed + shown and "topsecret" not in listed + shown
    assert cli("webhook", "disable", "--id", made) == f"id={made} active=no\n"
    assert not hooks.get(owner, made)["active"]
    assert cli("webhook", "enable", "--id", made) == f"id={made} active=yes\n"
    assert hooks.line.sql("SELECT active, starts FROM webhooks") == [(True, 1)]
    assert cli("webhook", "enable", "--id", made, "--from-now") == f"id={made} active=yes\n"
    assert hooks.line.sql("SELECT active, starts FROM webhooks") == [(True, 2)]
    for start in ("2026-01-31T08:00:00Z", "17.3"):
        job = re.fullmatch(rf"job=(\S+) id={made} verdict=stored\n", cli("webhook", "replay", "--id", made, "--from", start))
        assert job
        assert hooks.ask("GET", owner, f"/{made}/jobs/{job[1]}").json()["data"]["state"] == "queued"


@pytest.mark.parametrize(("arguments", "said"), [
    (["show", "--id", NOWHERE], f"there is no webhook with id {NOWHERE}"), (["disable", "--id", NOWHERE], f"there is no webhook with id {NOWHERE}"),
    (["replay", "--id", NOWHERE, "--from", "17.3"], f"there is no webhook with id {NOWHERE}"), (["show", "--id", "x"], "--id must be a UUID"),
    (["replay", "--id", NOWHERE, "--from", "x"], "--from must be a time")])
def test_a_command_about_a_webhook_that_is_not_there_says_so(hooks: Hooks, arguments: list[str], said: str) -> None:
    with pytest.raises(ServerError, match=said):
        hooks.line.cli("webhook", *arguments)
