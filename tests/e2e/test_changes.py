"""Updates and deletes of a schedule: one table of behaviours for every interface, then what only HTTP has."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from conftest import MakeLine
from line import EXAMPLE, MINIMAL, Line, until
from replies import assert_error, assert_invalid
from wire import DELETE, UPDATE, as_protobuf, decode_event, framed

ORG, OWN, PROTOBUF, FRAMED, JSON = "organization", "own", "protobuf", "framed", "json"
INTERFACES = [ORG, OWN, PROTOBUF, FRAMED, JSON]
INTERFACES_OF_NULL = [ORG, OWN, JSON]

Violations = list[tuple[str, str]]
MISSING: Violations = [("scheduleId", "exists")]
FOREIGN: Violations = [("scheduleId", "isOwner")]
STALE: Violations = [("expectedVersion", "isCurrent")]


@dataclass(frozen=True)
class Person:
    id: int
    key: str


def person(line: Line) -> Person:
    """A new member of the organization."""
    user = line.make_owners(1)[0]
    return Person(user, line.admin("apikey", "create", "--user", str(user))["key"])


@pytest.fixture
def user(line: Line) -> Person:
    return person(line)


def make(line: Line, user: Person, **fields: Any) -> dict[str, Any]:
    answer = line.post(EXAMPLE | fields, user=user.id)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


def path_of(line: Line, schedule: dict[str, Any], owner: int | None = None) -> str:
    return f"{line.schedules_path(owner or schedule['ownerId'])}/{schedule['id']}"


def get(line: Line, schedule: dict[str, Any]) -> requests.Response:
    return line.request("GET", path_of(line, schedule), line.people.admin_key)


def stored(line: Line, schedule: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The schedule as it is read, and its version."""
    answer = get(line, schedule)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"], int(answer.headers["ETag"].strip('"'))


def default_of(line: Line, user: Person) -> dict[str, Any] | None:
    found: dict[str, Any] | None = line.request("GET", "/v2/schedules/default", user.key).json()["data"]
    return found


# ---- the intake

def ask(line: Line, interface: str, kind: str, schedule: dict[str, Any], by: Person, fields: dict[str, Any] | None = None,
        version: int = 0) -> Violations:
    """Asks for a change through a interface, in the name of a person; what it was refused for, nothing when it was done."""
    if interface in (ORG, OWN):
        return ask_http(line, interface, kind, schedule, by, fields, version)
    command = {"commandId": str(uuid.uuid4()), "orgId": line.people.org, "userId": by.id, "scheduleId": schedule["id"],
               "expectedVersion": version} | (fields or {})
    sent = send(line, interface, kind, command)
    return outcome(line, kind, command, sent)


def send(line: Line, interface: str, kind: str, command: dict[str, Any]) -> Any:
    key = str(command["userId"]).encode()
    if interface == FRAMED:
        return line.send(framed(as_protobuf(command, kind)), "decided", key, kind=kind)
    return line.send(command, "decided", key, as_json=interface == JSON, kind=kind)


def outcome(line: Line, kind: str, command: dict[str, Any], sent: Any) -> Violations:
    """Waits for the event or the rejection, whichever comes."""
    rejection = f"{line.place.commands}/{sent.partition}/{sent.offset}".encode()
    subject = str(command["scheduleId"]).encode()
    event = line.topic(line.place.events).wait_for(
        lambda one: one.headers["ce_id"] == rejection
        or (one.headers.get("ce_subject") == subject
            and decode_event(one.value or b"", one.headers)["command_id"] == command["commandId"]))[0]
    if event.headers["ce_id"] == rejection:
        return [one[:2] for one in line.violations_of(sent)]
    wait_visible(line, kind, decode_event(event.value or b"", event.headers))
    return []


def wait_visible(line: Line, kind: str, event: dict[str, Any]) -> None:
    """An event may be there some moments before its transaction is visible to others."""
    rows = "SELECT count(*) FROM schedules WHERE id = %s AND version >= %s"
    until(lambda: line.sql(rows, event["id"], event["version"] if kind == UPDATE else 0) == [(1 if kind == UPDATE else 0,)],
          f"what event {event['id']}.{event['version']} tells is visible")


def ask_http(line: Line, interface: str, kind: str, schedule: dict[str, Any], by: Person, fields: dict[str, Any] | None,
             version: int) -> Violations:
    path = path_of(line, schedule, by.id) if interface == ORG else f"/v2/schedules/{schedule['id']}"
    options = {"key": line.people.admin_key if interface == ORG else by.key,
               "headers": {"If-Match": f'"{version}"'} if version else {}}
    answer = line.delete(path, **options) if kind == DELETE else line.patch(path, fields, **options)
    if answer.status_code == 200:
        assert kind == UPDATE or answer.text == '{"status":"success"}'
        return []
    return refusal_of(answer, schedule["id"], by.id)


def refusal_of(answer: requests.Response, schedule_id: int, user_id: int) -> Violations:
    """The same words for what HTTP says with a status."""
    told: dict[int, tuple[str, Violations]] = {
        404: (f"Schedule with ID={schedule_id} does not exist.", MISSING),
        403: (f"User with ID={user_id} does not own schedule with ID={schedule_id}", FOREIGN),
        412: ("The schedule has another ETag than If-Match asks for.", STALE)}
    if answer.status_code in told:
        message, violations = told[answer.status_code]
        assert_error(answer, answer.status_code, message)
        return violations
    assert answer.status_code == 400, answer.text
    return flat(answer.json()["error"]["details"]["errors"])


def flat(errors: list[dict[str, Any]], above: str = "") -> Violations:
    """Nested errors as paths."""
    found: Violations = []
    for one in errors:
        path = above + one["property"]
        found += [(path, constraint) for constraint in one.get("constraints", {})] + flat(one["children"], f"{path}.")
    return found


# ---- updates: the same through every interface

WINDOWS = [{"days": ["Sunday", "Friday", "Sunday"], "startTime": "00:00", "endTime": "23:59"},
           {"days": ["Monday"], "startTime": "08:00", "endTime": "08:01"}]
# As it is stored: a day that is named again counts once.
WINDOWS_STORED = [WINDOWS[0] | {"days": ["Sunday", "Friday"]}, WINDOWS[1]]
OVERRIDES = [{"date": "2024-02-29", "startTime": "10:00", "endTime": "10:00"},
             {"date": "2024-01-01", "startTime": "09:00", "endTime": "12:00"}]

# What is sent, and what is then different; the schedule is its owner's default.
UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "name": ({"name": "New \u00e9"}, {"name": "New \u00e9"}),
    "empty_name": ({"name": ""}, {"name": ""}),
    "time_zone_in_any_case": ({"timeZone": "asia/CALCUTTA"}, {"timeZone": "Asia/Calcutta"}),
    "availability": ({"availability": WINDOWS}, {"availability": WINDOWS_STORED}),
    "no_availability": ({"availability": []}, {"availability": []}),
    "overrides": ({"overrides": OVERRIDES}, {"overrides": OVERRIDES}),
    "no_overrides": ({"overrides": []}, {"overrides": []}),
    "default_again": ({"isDefault": True}, {}),
    "default_is_not_given_up": ({"isDefault": False}, {}),
    "everything": ({"name": "x" * 255, "timeZone": "UTC", "isDefault": False, "availability": WINDOWS, "overrides": []},
                   {"name": "x" * 255, "timeZone": "UTC", "availability": WINDOWS_STORED, "overrides": []}),
}
NULLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    f"null_{name}": ({name: None, "name": "New"}, {"name": "New"}) for name in ("availability", "overrides", "isDefault")}


@pytest.mark.parametrize(("interface", "case"), [(interface, case) for interface in INTERFACES for case in UPDATES]
                         + [(interface, case) for interface in INTERFACES_OF_NULL for case in NULLS])
def test_an_update_sets_what_it_names_and_nothing_else(line: Line, user: Person, interface: str, case: str) -> None:
    fields, changes = (UPDATES | NULLS)[case]
    before = make(line, user)
    assert ask(line, interface, UPDATE, before, user, fields) == []
    assert stored(line, before) == (before | changes, 2)


WINDOW = {"days": ["Monday"], "startTime": "09:00", "endTime": "17:00"}
OVERRIDE = {"date": "2024-05-20", "startTime": "09:00", "endTime": "17:00"}
INVALID: dict[str, tuple[dict[str, Any], Violations]] = {
    "long_name": ({"name": "x" * 256}, [("name", "maxLength")]),
    "nul": ({"name": "a\0"}, [("name", "matches")]),
    "zone": ({"timeZone": "Mars/Base"}, [("timeZone", "isTimeZone")]),
    "no_days": ({"availability": [WINDOW, WINDOW | {"days": []}]}, [("availability.1.days", "arrayMinSize")]),
    "window_ends_first": ({"availability": [WINDOW | {"endTime": "09:00"}]}, [("availability.0.endTime", "isAfter")]),
    "date": ({"overrides": [OVERRIDE | {"date": "2023-02-29"}]}, [("overrides.0.date", "isIso8601")]),
    "time": ({"overrides": [OVERRIDE | {"startTime": "9:00"}]}, [("overrides.0.startTime", "matches")]),
    "101_windows": ({"availability": [WINDOW] * 101}, [("availability", "arrayMaxSize")]),
    "1001_overrides": ({"overrides": [OVERRIDE] * 1001}, [("overrides", "arrayMaxSize")]),
    "several": ({"overrides": [OVERRIDE | {"endTime": "08:00"}], "timeZone": "", "name": "x" * 256},
                [("name", "maxLength"), ("timeZone", "isTimeZone"), ("overrides.0.endTime", "isAfter")]),
}
INVALID_JSON: dict[str, tuple[dict[str, Any], Violations]] = {
    "name_null": ({"name": None}, [("name", "isString")]),
    "zone_null": ({"timeZone": None}, [("timeZone", "isTimeZone")]),
    "default_text": ({"isDefault": "true"}, [("isDefault", "isBoolean")]),
    "no_list": ({"availability": 1}, [("availability", "isArray"), ("availability", "nestedValidation")]),
    "no_object": ({"overrides": [None]}, [("overrides.0", "nestedValidation")]),
}


@pytest.mark.parametrize(("interface", "case"), [(interface, case) for interface in INTERFACES for case in INVALID]
                         + [(interface, case) for interface in INTERFACES_OF_NULL for case in INVALID_JSON])
def test_an_invalid_update_is_refused_and_changes_nothing(line: Line, user: Person, interface: str, case: str) -> None:
    fields, violations = (INVALID | INVALID_JSON)[case]
    before = make(line, user)
    if interface in (ORG, OWN):
        seen = ask(line, interface, UPDATE, before, user, {"name": "New"} | fields)
    else:
        command = {"commandId": str(uuid.uuid4()), "userId": user.id, "scheduleId": before["id"], "name": "New"} | fields
        value = framed(as_protobuf(command, UPDATE)) if interface == FRAMED else command
        sent = line.send(value, "rejected", str(user.id).encode(), as_json=interface == JSON, kind=UPDATE)
        seen = [one[:2] for one in line.violations_of(sent)]
    assert sorted(seen) == sorted(violations)
    assert stored(line, before) == (before, 1)


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_default_moves_and_the_former_one_has_a_new_version(line: Line, user: Person, interface: str) -> None:
    former, other = make(line, user), make(line, user, isDefault=False)
    assert ask(line, interface, UPDATE, other, user, {"isDefault": True, "name": "Now"}) == []
    assert stored(line, other) == (other | {"isDefault": True, "name": "Now"}, 2)
    assert stored(line, former) == (former | {"isDefault": False}, 2)
    assert default_of(line, user) == other | {"isDefault": True, "name": "Now"}


# ---- deletes and refusals: the same through every interface

@pytest.mark.parametrize("interface", INTERFACES)
def test_a_deleted_schedule_is_gone_for_everybody(line: Line, user: Person, interface: str) -> None:
    kept, gone = make(line, user, isDefault=False), make(line, user)
    assert ask(line, interface, DELETE, gone, user) == []
    assert_error(get(line, gone), 404, f"Schedule with ID={gone['id']} does not exist.")
    for other in INTERFACES:
        assert ask(line, other, DELETE, gone, user) == MISSING
        assert ask(line, other, UPDATE, gone, user, {"name": "New"}) == MISSING
    assert stored(line, kept) == (kept, 1)
    assert default_of(line, user) is None


@pytest.mark.parametrize("kind", [UPDATE, DELETE])
@pytest.mark.parametrize("interface", INTERFACES)
def test_who_may_not_is_refused_by_what_they_may_know(line: Line, user: Person, interface: str, kind: str) -> None:
    colleagues = make(line, person(line))
    assert ask(line, interface, kind, colleagues, user, {}) == FOREIGN
    assert stored(line, colleagues) == (colleagues, 1)
    foreign = line.request("POST", line.schedules_path(line.people.other_member, line.people.other_org),
                           line.people.other_admin_key, json=MINIMAL)
    line.note(foreign)
    assert ask(line, interface, kind, foreign.json()["data"], user, {}) == MISSING
    assert ask(line, interface, kind, {"id": 1 << 62, "ownerId": user.id}, user, {}) == MISSING


@pytest.mark.parametrize("kind", [UPDATE, DELETE])
@pytest.mark.parametrize("interface", INTERFACES)
def test_a_change_of_a_former_version_is_refused(line: Line, user: Person, interface: str, kind: str) -> None:
    schedule = make(line, user)
    assert ask(line, interface, UPDATE, schedule, user, {"name": "New"}, version=1) == []
    for version in (1, 3, 1 << 40):
        assert ask(line, interface, kind, schedule, user, {"name": "Other"}, version=version) == STALE
    assert stored(line, schedule) == (schedule | {"name": "New"}, 2)
    assert ask(line, interface, kind, schedule, user, {"name": "Other"}, version=2) == []


# ---- commands sent again

@pytest.mark.parametrize("kind", [UPDATE, DELETE])
@pytest.mark.parametrize("interface", [PROTOBUF, FRAMED, JSON])
def test_a_repeated_change_is_done_once_and_other_content_is_rejected(line: Line, user: Person, interface: str,
                                                                       kind: str) -> None:
    schedule, other = make(line, user), make(line, user, isDefault=False)
    command = {"commandId": str(uuid.uuid4()), "orgId": line.people.org, "userId": user.id, "scheduleId": schedule["id"],
               **({"name": "New"} if kind == UPDATE else {})}
    for _ in range(2):
        assert outcome(line, kind, command, send(line, interface, kind, command)) == []
    changed = command | {"scheduleId": other["id"]}
    sent = send(line, interface, kind, changed)
    assert line.violations_of(sent) == [("commandId", "isUnique", "commandId was used before with other content")]
    assert stored(line, other) == (other, 1)


def test_a_repeated_create_of_a_deleted_schedule_makes_no_new_one(line: Line, user: Person) -> None:
    command = line.command(userId=user.id)
    line.send(command)
    schedule = decode_event((event := line.event_of(command["commandId"])).value, event.headers)
    assert line.delete(f"{line.schedules_path(user.id)}/{schedule['id']}").status_code == 200
    line.send(command)
    after = line.command(userId=user.id)
    line.send(after)
    line.event_of(after["commandId"])
    assert line.sql("SELECT count(*) FROM schedules WHERE owner_id = %s", user.id) == [(1,)]
    sent = line.send(command | {"name": "Other"}, expect="rejected")
    assert line.violations_of(sent)[0][:2] == ("commandId", "isUnique")


def test_a_change_of_somebody_who_is_no_member_is_rejected(line: Line, user: Person) -> None:
    schedule = make(line, user)
    for kind in (UPDATE, DELETE):
        command = {"commandId": str(uuid.uuid4()), "orgId": line.people.org, "userId": line.people.stranger,
                   "scheduleId": schedule["id"]}
        sent = line.send(command, "rejected", kind=kind)
        assert line.violations_of(sent) == [("userId", "isUserInOrg", f"user with id={line.people.stranger} is not part "
                                                                      f"of the organization with id={line.people.org}.")]


# ---- HTTP alone

def test_patch_answers_with_the_whole_schedule_and_its_version(line: Line, user: Person) -> None:
    schedule = make(line, user)
    answer = line.patch(path_of(line, schedule), {"name": "New"})
    assert (answer.status_code, answer.json(), answer.headers["ETag"]) == (
        200, {"status": "success", "data": schedule | {"name": "New"}}, '"2"')
    assert answer.text == get(line, schedule).text


def test_validation_errors_of_patch_are_those_of_post(line: Line, user: Person) -> None:
    schedule = make(line, user)
    assert_invalid(line.patch(path_of(line, schedule), {"name": 5}), [
        {"value": 5, "property": "name", "children": [], "constraints": {"isString": "name must be a string"}}])


@pytest.mark.parametrize("text", ["abc", "5a", "1.5", "%FF", "9223372036854775808", "-", "%20"])
def test_a_schedule_id_that_is_no_integer_is_400(line: Line, text: str) -> None:
    for answer in (line.patch(f"{line.schedules_path()}/{text}", {}), line.delete(f"{line.schedules_path()}/{text}")):
        assert_error(answer, 400, "Validation failed (numeric string is expected)")


@pytest.mark.parametrize(("if_match", "status"), [
    ("*", 200), ('"1"', 200), ('"2"', 412), ('"01"', 412), ('"abc"', 412), ('""', 412), ('W/"1"', 412),
    ('"1", "2"', 400), ("1", 400), ('"1', 400), ("W/1", 400), ('w/"1"', 400)])
def test_if_match_is_heeded(line: Line, user: Person, if_match: str, status: int) -> None:
    messages = {412: "The schedule has another ETag than If-Match asks for.", 400: "If-Match must be * or one entity tag"}
    schedule, headers = make(line, user), {"If-Match": if_match}
    other = make(line, user, isDefault=False)
    for answer in (line.patch(path_of(line, schedule), {}, headers=headers), line.delete(path_of(line, other), headers=headers)):
        assert answer.status_code == status, answer.text
        if status != 200:
            assert_error(answer, status, messages[status])
    assert get(line, other).status_code == (404 if status == 200 else 200)


# ---- Idempotency-Key

REUSED = "The Idempotency-Key was used before with another body."


def new_key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def count_of(line: Line, user: Person) -> int:
    return int(line.sql("SELECT count(*) FROM schedules WHERE owner_id = %s", user.id)[0][0])


def test_a_repeated_key_gets_the_first_answer_whatever_happened_since(line: Line, user: Person) -> None:
    headers = new_key()
    first = line.post(EXAMPLE, user=user.id, headers=headers)
    schedule = first.json()["data"]
    steps: list[Callable[[], Any]] = [
        lambda: None, lambda: line.patch(path_of(line, schedule), {"name": "New", "availability": []}),
        lambda: make(line, user), lambda: line.delete(path_of(line, schedule))]
    for step in steps:
        step()
        again = line.post(EXAMPLE, user=user.id, headers=headers)
        assert (again.status_code, again.content, again.headers["ETag"]) == (201, first.content, '"1"')
    assert_error(line.post(EXAMPLE | {"name": "Other"}, user=user.id, headers=headers), 422, REUSED)
    assert count_of(line, user) == 1


def test_the_key_of_another_caller_is_another_key(line: Line, user: Person) -> None:
    headers, other = new_key(), person(line)
    made = [line.post(MINIMAL, path="/v2/schedules", key=one.key, headers=headers) for one in (user, other, user)]
    ids = [answer.json()["data"]["id"] for answer in made]
    assert (ids[0] == ids[2], ids[0] != ids[1]) == (True, True)
    assert line.post(MINIMAL | {"name": "by the admin"}, user=user.id, headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe9"])
def test_a_malformed_key_is_400(line: Line, key: str) -> None:
    answer = line.post(MINIMAL, headers={"Idempotency-Key": key.encode("latin-1")})
    assert_error(answer, 400, "Idempotency-Key must be 1 to 255 visible ASCII characters")


def test_one_key_at_the_same_time_makes_one_schedule(make_line: MakeLine) -> None:
    line = make_line()
    urls = [line.start().url, line.start().url]
    user = person(line)
    for _ in range(10):
        headers = new_key() | {"Authorization": f"Bearer {line.people.admin_key}"}

        def post(number: int, headers: dict[str, str] = headers) -> requests.Response:
            return requests.post(urls[number % 2] + line.schedules_path(user.id), json=EXAMPLE, headers=headers, timeout=20)

        before = count_of(line, user)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(post, range(8)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        done = [answer for answer in answers if answer.status_code == 201]
        for answer in answers:
            line.note(answer)
            if answer.status_code == 409:
                assert_error(answer, 409, "A request with the same Idempotency-Key is under way.")
        assert len({answer.content for answer in done}) == 1
        assert count_of(line, user) == before + 1
    line.balance()


def test_a_key_is_forgotten_when_its_time_is_over(make_line: MakeLine) -> None:
    line = make_line(IDEMPOTENCY_KEY_SECONDS="1")
    line.start()
    headers = new_key()

    def post() -> int:
        return int(line.post(MINIMAL, headers=headers).json()["data"]["id"])

    first = post()
    until(lambda: post() != first, "the key makes a new schedule")
    line.balance()


@pytest.mark.parametrize("failpoint", ["store.before_sync", "store.after_commit"])
def test_a_create_that_was_killed_is_safely_repeated_elsewhere(make_line: MakeLine, failpoint: str) -> None:
    line = make_line()
    user = person(line)
    dying, headers = line.start(FAILPOINT=failpoint), new_key()
    with pytest.raises(requests.RequestException):
        line.post(EXAMPLE, user=user.id, headers=headers)
    line.answers.unknown += 1
    until(lambda: not dying.is_running(), f"it dies at {failpoint}")
    line.replicas = [line.start(), dying]
    answers: list[requests.Response] = []

    def is_answered() -> bool:
        answers.append(line.post(EXAMPLE, user=user.id, headers=headers))
        return answers[-1].status_code != 409  # the dead one's transaction may hold on for a moment

    until(is_answered, "the key is free again")
    assert answers[-1].status_code == 201
    assert [row[0] for row in line.sql("SELECT id FROM schedules")] == [answers[-1].json()["data"]["id"]]
    assert line.balance().counts["ScheduleCreated"] == 1


# ---- two who fight

FIGHT_S = 30


def test_two_who_fight_over_a_default_leave_exactly_one(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    line.start()
    user = person(line)
    schedules = [make(line, user) for _ in range(4)]
    until_s = time.monotonic() + FIGHT_S

    def by_http() -> None:
        number = 0
        while time.monotonic() < until_s:
            number += 1
            line.replicas.reverse()
            if number % 10 == 0:
                schedules.append(make(line, user, name=f"By HTTP {number}"))
            else:
                line.patch(path_of(line, schedules[number % 4]), {"isDefault": True, "name": f"By HTTP {number}"})

    def by_kafka() -> None:
        number = 0
        while time.monotonic() < until_s:
            number += 1
            if number % 10 == 0:
                line.send(line.command(userId=user.id, isDefault=True), key=str(user.id).encode())
                continue
            command = {"commandId": str(uuid.uuid4()), "userId": user.id, "scheduleId": schedules[number % 3]["id"],
                       "isDefault": True, "name": f"By Kafka {number}"}
            line.send(command, "updated", as_json=number % 2 == 0, kind=UPDATE)

    with ThreadPoolExecutor(2) as pool:
        for fighter in [pool.submit(by_http), pool.submit(by_kafka)]:
            fighter.result()
    report = line.balance()
    assert report.counts["defaults that were replaced"] > 100
    listed = line.request("GET", line.schedules_path(user.id), line.people.admin_key).json()["data"]
    assert sum(schedule["isDefault"] for schedule in listed) == 1
