"""Many bodies through HTTP and Kafka at once, and what each interface said of them as a verdict of oracle.py. The line publishes JSON
events."""

from __future__ import annotations

import http.client
import json
import uuid
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import ledger
from ledger import Topic
from line import Line
from oracle import FIELDS, Verdict, Violation
from wire import JSON_HEADERS, WEEKDAYS, as_protobuf

CLIENTS = 6


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: str


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Command:
    id: str
    owner: int
    value: bytes
    headers: dict[str, str]


@dataclass
class Completed:
    """What became of commands: schedules by the id of the command that made or changed them, violations and dead letters by place.
    `told` counts all outcomes."""

    created: dict[str, dict[str, Any]] = field(default_factory=dict)
    updated: dict[str, dict[str, Any]] = field(default_factory=dict)
    violations: dict[str, list[Violation]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)


# ---- the HTTP API

def ask(line: Line, lists: list[list[Request]]) -> list[list[Answer]]:
    """Each list is asked in its order on a connection of its own; several at a time."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda requests: _ask_in_order(line, requests), lists))


def _ask_in_order(line: Line, requests: list[Request]) -> list[Answer]:
    headers = {"Authorization": line.people.admin_key, "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(line.service.env["HTTP_LISTEN"], timeout=20)
    answers = []
    for request in requests:
        connection.request(request.method, request.path, request.body.encode(), headers)
        answer = connection.getresponse()
        answers.append(Answer(answer.status, json.loads(answer.read())))
    connection.close()
    return answers


def verdict_of(answer: Answer, text: str) -> Verdict:
    if answer.status in (200, 201):
        return Verdict(content_of(answer.body["data"]))
    error = answer.body["error"]
    assert (answer.status, error["code"]) == (400, "BadRequestException"), (answer, text)
    if "errors" not in error["details"]:
        assert error["details"] == {"message": error["message"], "error": "Bad Request", "statusCode": 400}
        return Verdict()
    assert error["message"] == "Bad Request Exception"
    assert_values(error["details"]["errors"], shown(text))
    return Verdict(None, list(flattened(error["details"]["errors"])))


def content_of(schedule: dict[str, Any]) -> dict[str, Any]:
    return {name: schedule[name] for name in FIELDS}


def flattened(errors: list[dict[str, Any]], path: str = "") -> Iterable[Violation]:
    for error in errors:
        here = path + error["property"]
        yield from ((here, constraint, message) for constraint, message in error.get("constraints", {}).items())
        yield from flattened(error["children"], here + ".")


def assert_values(errors: list[dict[str, Any]], parent: Any) -> None:
    """Each error shows the leaf that was sent, if it is not long, and none where none was."""
    for error in errors:
        name = error["property"]
        there = name in parent if isinstance(parent, dict) else True
        value = None if not there else parent[name] if isinstance(parent, dict) else parent[int(name)]
        is_shown = there and not isinstance(value, (dict, list)) and not (isinstance(value, str) and len(value.encode()) > 200)
        assert ("value" in error) == is_shown
        if is_shown:
            assert json.dumps(error["value"]) == json.dumps(value)
        assert_values(error["children"], value)


def shown(text: str) -> Any:
    """The body with its numbers as answers show them: reals where 64 bits are not enough, 1e308 where they are that or more."""

    def real(digits: str) -> float:
        number = float(digits)
        return max(-1e308, min(number, 1e308))

    def integer(digits: str) -> float:
        return int(digits) if -1 << 63 <= int(digits) < 1 << 63 else real(digits)

    return json.loads(text, parse_float=real, parse_int=integer)


# ---- the Kafka consumer

def command(line: Line, owner: int, body: str, **ids: int) -> Command:
    """The body and ids as one JSON object; with scheduleId it is an update."""
    command_id = str(uuid.uuid4())
    names = json.dumps({"commandId": command_id, "orgId": line.people.org, "userId": owner, **ids})
    value = names[:-1] + ("" if body == "{}" else ", ") + body[1:]
    type_header = {"ce_type": "schedules.v1.UpdateSchedule"} if ids else {}
    return Command(command_id, owner, value.encode(), JSON_HEADERS | type_header)


def protobuf_command(line: Line, owner: int, body: dict[str, Any]) -> Command:
    command_id = str(uuid.uuid4())
    ids = {"commandId": command_id, "orgId": line.people.org, "userId": owner}
    return Command(command_id, owner, as_protobuf(body | ids), {})


def expressible(body: dict[str, Any] | None) -> dict[str, Any] | None:
    """What of a body schedules.v1.CreateSchedule has fields for; None when something there is of another type."""
    if body is None or not _has_types(body, {"name": str, "timeZone": str, "isDefault": bool}):
        return None
    message = {name: body[name] for name in ("name", "timeZone", "isDefault")}
    for name, kinds in (("availability", {"days": list}), ("overrides", {"date": str})):
        items, kinds = body.get(name), {**kinds, "startTime": str, "endTime": str}
        if items is None:
            continue
        if not isinstance(items, list) or not all(isinstance(item, dict) and _has_types(item, kinds) for item in items):
            return None
        message[name] = [{member: item[member] for member in kinds} for item in items]
    days = [day for window in message.get("availability", []) for day in window["days"]]
    return message if all(day in WEEKDAYS for day in days) else None


def _has_types(value: dict[str, Any], kinds: dict[str, type]) -> bool:
    return all(isinstance(value.get(name), kind) for name, kind in kinds.items())


def send(line: Line, commands: list[Command]) -> list[str]:
    """Produces all; the place of each, as `ce_id` names it."""
    sender = ledger.producer(line.servers.kafka.bootstrap)
    sent = [sender.send(line.place.commands, key=str(one.owner).encode(), value=one.value,
                        headers=[(name, text.encode()) for name, text in one.headers.items()]) for one in commands]
    sender.flush()
    places = [future.get(30) for future in sent]
    sender.close()
    return [f"{line.place.commands}/{at.partition}/{at.offset}" for at in places]


def completed(line: Line) -> Completed:
    """Everything that was published, once the line is quiet."""
    ledger.wait_quiet(line.place)
    result = Completed()
    with Topic(line.place.bootstrap, line.place.events) as events, Topic(line.place.bootstrap, line.place.dead_letters) as letters:
        for event in events.read_to_end():
            _note_event(result, event.headers, json.loads(event.value or b""))
        for letter in letters.read_to_end():
            origin = (letter.headers[f"dead-letter-{part}"].decode() for part in ("topic", "partition", "offset"))
            result.dead.add("/".join(origin))
            result.told["dead"] += 1
    return result


def _note_event(result: Completed, headers: dict[str, bytes], event: dict[str, Any]) -> None:
    kind = headers["ce_type"].decode().rpartition(".")[2]
    result.told[kind] += 1
    if kind == "ScheduleCommandRejected":
        violations = [(one["property"], one["constraint"], one["message"]) for one in event["violations"]]
        result.violations[headers["ce_id"].decode()] = violations
    else:
        {"ScheduleCreated": result.created, "ScheduleUpdated": result.updated}[kind][event["commandId"]] = event["schedule"]


def verdict_on(one: Command, place: str, result: Completed) -> Verdict:
    schedules = result.updated if "ce_type" in one.headers else result.created
    told = [one.id in schedules, place in result.violations, place in result.dead]
    assert sum(told) == 1, f"{told}: {one}"
    if told[0]:
        return Verdict(content_of(schedules[one.id]))
    return Verdict(None, result.violations.get(place, []))
