"""The service and its description: /openapi.json is docs/openapi.json, the routes are its operations, and what each operation
answers to its examples, and to what it must refuse, is as it says. The page at /docs asks nobody else for anything."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from conftest import MakeLine, running
from document import Document, token
from line import Line, Servers
from servers import ROOT, viewer

SOURCE = ROOT / "docs/openapi.json"
DOCUMENT = Document(SOURCE)
NOWHERE = 999_999_999
# Statuses that no single request can provoke: 409 takes one that is still running, 503 an outage, 501 a service without a key, 429 a limit
# that is used up.
# The last has a test of its own.
UNPROVOKED = {"409", "429", "503", "501"}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str

    @property
    def pointer(self) -> str:
        return f"/paths{token(self.path)}/{self.method.lower()}"

    def parameters(self) -> list[dict[str, Any]]:
        shared, _ = DOCUMENT.find(f"/paths{token(self.path)}")
        own, _ = DOCUMENT.find(self.pointer)
        both = [(f"/paths{token(self.path)}", shared), (self.pointer, own)]
        return [DOCUMENT.find(f"{at}/parameters/{index}")[0] for at, part in both for index in range(len(part.get("parameters", [])))]

    def names(self, place: str) -> set[str]:
        return {parameter["name"] for parameter in self.parameters() if parameter["in"] == place}

    def bodies(self) -> dict[str, Any]:
        """The examples of its request body by their names; one None when it takes none."""
        own, _ = DOCUMENT.find(self.pointer)
        if "requestBody" not in own:
            return {"": None}
        body, _ = DOCUMENT.find(self.pointer + "/requestBody")
        return {name: example["value"] for name, example in body["content"]["application/json"]["examples"].items()}

    def statuses(self) -> list[str]:
        """Those that it names."""
        return [status for status in DOCUMENT.find(self.pointer)[0]["responses"] if status != "default"]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


OPERATIONS = [Operation(method.upper(), path) for path, item in DOCUMENT.content["paths"].items()
              for method in item if method != "parameters"]


class Caller:
    """Somebody who may do everything, and the ids that stand for the parameters of the paths."""

    def __init__(self, line: Line) -> None:
        self.line, people = line, line.people
        team = line.sql("INSERT INTO teams (org_id, name) VALUES (%s, 'Support') RETURNING id", people.org)[0][0]
        line.sql("INSERT INTO team_memberships (team_id, user_id) VALUES (%s, %s)", team, people.member)
        client = line.admin("oauth-client", "create", "--org", str(people.org))["id"]
        self.ids = {"orgId": people.org, "userId": people.member, "teamId": team, "file": "start.js", "clientId": client}
        self.new_schedule(is_default=True)

    def key(self, operation: Operation) -> str:
        """The admin's, or on the routes about oneself the member's."""
        is_own = not {"orgId", "teamId", "clientId"} & operation.names("path")
        return self.line.people.member_key if is_own else self.line.people.admin_key

    def new_schedule(self, is_default: bool = False) -> int:
        made = self.line.request("POST", self.line.schedules_path(), self.line.people.admin_key,
                                 json={"name": "To work on", "timeZone": "UTC", "isDefault": is_default})
        return int(made.json()["data"]["id"])

    def new_webhook(self, operation: Operation) -> dict[str, str]:
        """The only one of its owner, with a job."""
        people = self.line.people
        owner = {"": (people.member, None, None), "orgId": (None, people.org, None), "clientId": (None, people.org, self.ids["clientId"])}[
            re.sub(r"/v2(/[a-z-]+/\{(\w+)\})?/webhooks.*", r"\2", operation.path)]
        made, job = str(uuid.uuid4()), str(uuid.uuid4())
        self.line.sql("DELETE FROM webhooks")
        self.line.sql("SELECT create_webhook(%s::uuid, %s::bigint, %s::bigint, %s::text, 'https://example.com/other', '{}', true, NULL,"
                      " 'cal', 100)", made, *owner)
        self.line.sql("SELECT create_webhook_job(%s::uuid, %s::uuid, 'ping', NULL, NULL, NULL, NULL, 10)", job, made)
        return {"webhookId": made, "jobId": job}

    def call(self, operation: Operation, body: Any = None, key: str | None = None, headers: dict[str, str] | None = None,
             query: dict[str, Any] | None = None, **ids: Any) -> requests.Response:
        """Sends the operation with the examples of its parameters, and what is given in place of them."""
        ids = self.ids | ids
        if "scheduleId" in operation.names("path") - set(ids):
            ids["scheduleId"] = self.new_schedule()
        if "/webhooks" in operation.path:
            ids = self.new_webhook(operation) | ids
        examples = {place: {parameter["name"]: parameter["example"] for parameter in operation.parameters()
                            if parameter["in"] == place and "example" in parameter} for place in ("header", "query")}
        if "Idempotency-Key" in examples["header"]:
            examples["header"]["Idempotency-Key"] = str(uuid.uuid4())
        path = re.sub(r"\{(\w+)\}", lambda match: str(ids[match[1]]), operation.path)
        return self.line.request(operation.method, path, self.key(operation) if key is None else key, json=body,
                                 headers=examples["header"] | (headers or {}), params=examples["query"] | (query or {}))


@pytest.fixture(scope="module")
def line(servers: Servers) -> Iterator[Line]:
    """A line without the ledger's audit: schedules change and go here."""
    with running(Line(servers), audited=False) as one:
        yield one


@pytest.fixture(scope="module")
def caller(line: Line) -> Caller:
    return Caller(line)


def assert_described(operation: Operation, answer: requests.Response, status: str | None = None) -> None:
    """The answer has this status, or one that is no error, and its headers and body are as the document says of it."""
    assert str(answer.status_code) == status if status else answer.ok, answer.text
    assert str(answer.status_code) in operation.statuses(), answer.text
    response, pointer = DOCUMENT.find(f"{operation.pointer}/responses/{answer.status_code}")
    for name in response["headers"]:
        header, at = DOCUMENT.find(pointer + "/headers" + token(name))
        assert name in answer.headers or not header.get("required"), f"{name} is not in {answer.headers}"
        if name in answer.headers:
            value = answer.headers[name]
            is_number = header["schema"].get("type") == "integer"
            assert DOCUMENT.faults(at + "/schema", int(value) if is_number else value) == [], name
    assert_content(answer, response.get("content", {}), pointer)


def assert_content(answer: requests.Response, content: dict[str, Any], pointer: str) -> None:
    if not content:
        assert answer.content == b""
        return
    media = answer.headers["Content-Type"].partition(";")[0]
    assert media in content
    if "schema" in content[media]:
        value = answer.json() if media == "application/json" else answer.text
        assert DOCUMENT.faults(f"{pointer}/content{token(media)}/schema", value) == [], answer.text


# ---- the document

def test_the_document_is_the_one_of_the_source(line: Line) -> None:
    answer = line.request("GET", "/openapi.json")
    assert answer.content == SOURCE.read_bytes()
    head = line.request("HEAD", "/openapi.json")
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(answer.content))


def test_the_routes_are_the_operations_and_no_others(line: Line) -> None:
    metrics = line.request("GET", "/metrics").text
    routes = set(re.findall(r'^schedule_http_request_duration_seconds_count\{route="([^"]+)"', metrics, re.MULTILINE))
    assert routes - {"none"} == {str(operation) for operation in OPERATIONS}


# ---- a walk through the operations

@pytest.mark.parametrize(("operation", "example"), [(operation, name) for operation in OPERATIONS for name in operation.bodies()],
                         ids=str)
def test_an_operation_answers_its_examples_as_it_says(caller: Caller, operation: Operation, example: str) -> None:
    assert_described(operation, caller.call(operation, operation.bodies()[example]))


def refuse(caller: Caller, operation: Operation, status: str) -> requests.Response | None:
    """The answer to a request that must get this status; None when no single request of this operation can."""
    body, path, headers = next(iter(operation.bodies().values())), operation.names("path"), operation.names("header")
    match status:
        case "304":
            same = {"scheduleId": caller.new_schedule()} if "scheduleId" in path else {}
            held = caller.call(operation, **same).headers["ETag"]
            return caller.call(operation, headers={"If-None-Match": held}, **same)
        case "400" if body is not None and "/webhooks" in operation.path:
            return caller.call(operation, {"active": "yes", "from": "yesterday", "triggers": ["X"]})
        case "400" if "If-Match" in headers and "/webhooks" in operation.path:
            return caller.call(operation, headers={"If-Match": "x"})
        case "400" if "orgId" in path and "/webhooks/" in operation.path:
            return caller.call(operation, orgId="abc")
        case "400" if body is not None:
            return caller.call(operation, {"timeZone": "Mars/Base", "availability": [{"days": []}], "name": None})
        case "400" if "from" in operation.names("query"):
            return caller.call(operation, query={"from": "x"})
        case "400" if "take" in operation.names("query"):
            return caller.call(operation, query={"take": 251})
        case "400" if path:
            return caller.call(operation, **{operation.path.rpartition("{")[2].partition("}")[0]: "abc"})
        case "401":
            return caller.call(operation, body, key="")
        case "403" if "orgId" in path or "clientId" in path:
            return caller.call(operation, body, key=caller.line.people.stranger_key)
        case "403" if "teamId" in path:
            return caller.call(operation, body, key=caller.line.people.member_key)
        case "404" if "scheduleId" in operation.names("query"):
            return caller.call(operation, query={"scheduleId": NOWHERE})
        case "404" if operation.path.endswith("/default/availability"):
            return caller.call(operation, key=caller.line.people.admin_key)  # who has none
        case "404" if operation.path.endswith("/availability/query"):
            return caller.call(operation, body | {"users": None, "teamId": NOWHERE, "combine": "each", "k": None, "groups": None})
        case "404":
            return caller.call(operation, body, **{name: NOWHERE for name in ("scheduleId", "teamId", "file", "clientId") if name in path} | {
                name: NOWHERE for name in ("webhookId", "jobId")[-("jobId" in path):] if name in path})
        case "412":
            return caller.call(operation, body, headers={"If-Match": '"99"'})
        case "413":
            return caller.call(operation, {"name": "x" * (101 << 10)})
        case "415":
            return caller.call(operation, body, headers={"Content-Encoding": "br"})
        case "422" if "Idempotency-Key" in headers:
            key = {"Idempotency-Key": str(uuid.uuid4())}
            caller.call(operation, body, headers=key)
            return caller.call(operation, body | {"name": "Another"}, headers=key)
        case _:
            return None


# Of the routes about oneself: only an OAuth client is refused by its permissions, only a very long list is 400.
NOT_BY_ONE_REQUEST = {("GET /v2/schedules", "400"), *((str(operation), "403") for operation in OPERATIONS
                                                      if operation.path.startswith(("/v2/schedules", "/v2/webhooks")))}


@pytest.mark.parametrize(("operation", "status"), [
    (operation, status) for operation in OPERATIONS for status in operation.statuses()
    if not status.startswith("2") and status not in UNPROVOKED and (str(operation), status) not in NOT_BY_ONE_REQUEST], ids=str)
def test_an_operation_refuses_as_it_says(caller: Caller, operation: Operation, status: str) -> None:
    answer = refuse(caller, operation, status)
    assert answer is not None, "this test knows no request for it"
    assert_described(operation, answer, status)


def test_a_limit_is_told_as_the_document_says(make_line: MakeLine) -> None:
    line = make_line(RATE_LIMIT_API_KEY="1")
    line.start()
    operation = Operation("GET", "/v2/schedules")
    first, second = (line.request("GET", operation.path, line.people.member_key) for _ in range(2))
    assert_described(operation, first, "200")
    assert_described(operation, second, "429")
    for answer in (first, second):
        assert {"X-RateLimit-Limit-Default", "X-RateLimit-Remaining-Default", "X-RateLimit-Reset-Default"} <= set(answer.headers)


# ---- the page

@pytest.mark.parametrize("path", ["/docs", "/docs/hours"])
def test_the_page_asks_only_the_service(line: Line, path: str) -> None:
    page = line.request("GET", path)
    policy = page.headers["Content-Security-Policy"]
    sources = {source for directive in policy.split(";") for source in directive.split()[1:]}
    assert policy.startswith("default-src 'self';")
    assert sources == {"'self'", "'none'", "data:"}
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [link for link in links if not re.match(r"/(docs|openapi\.json)|data:", link)] == []
    for link in links:
        if link.startswith("/"):
            answer = line.request("GET", link)
            assert answer.status_code == 200, f"{link}: {answer.text}"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css", "LICENSE"])
def test_the_viewer_is_the_one_that_was_fetched(line: Line, name: str) -> None:
    answer = line.request("GET", f"/docs/{name}")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.content == (viewer() / name).read_bytes()
