"""The same body gets the same verdict through every interface, and it is the contract's: thousands of generated bodies over HTTP, as
JSON commands and, where a message can say it, as protobuf, each checked by an oracle too."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from typing import Any

import pytest

from bodies import Bodies
from conftest import MakeLine
from interfaces import (Answer, Request, Completed, ask, command, content_of, expressible, protobuf_command, send, completed, verdict_of,
                   verdict_on)
from line import Line
from oracle import Verdict, check, read

SEED = 20240611
CREATIONS = 3000
OWNERS, CHANGES_EACH = 40, 20


# ---- creation

def test_each_interface_gives_a_new_schedule_the_contracts_verdict(make_line: MakeLine) -> None:
    line = make_line(EVENT_FORMAT="json", LOG_LEVEL="warn")
    line.start()
    bodies = Bodies(SEED)
    texts = [bodies.new() for _ in range(CREATIONS)]
    expected = [check(text, is_new=True) for text in texts]
    assert min(Counter(verdict.kind for verdict in expected).values()) > CREATIONS // 30
    messages = [body for text in texts if (body := expressible(read(text)))]
    assert len(messages) > CREATIONS // 4

    owners = line.make_owners(16)
    commands = [command(line, owners[number % 16], text) for number, text in enumerate(texts)]
    commands += [protobuf_command(line, owners[number % 16], body) for number, body in enumerate(messages)]
    places = send(line, commands)
    requests = [Request("POST", line.schedules_path(), text) for text in texts]
    answers = list(chain(*ask(line, [requests[first:first + 100] for first in range(0, CREATIONS, 100)])))
    result = completed(line)

    for text, answer, verdict in zip(texts, answers, expected, strict=True):
        assert verdict_of(answer, text) == verdict, text
    wanted = expected + [check(json.dumps(body), is_new=True) for body in messages]
    for one, place, verdict in zip(commands, places, wanted, strict=True):
        assert verdict_on(one, place, result) == verdict, one.value
    assert_published(answers, result)
    kinds = Counter(verdict.kind for verdict in wanted)
    created = kinds["valid"] + sum(answer.status == 201 for answer in answers)
    assert line.sql("SELECT count(*) FROM schedules") == [(created,)]
    assert (result.told["ScheduleCreated"], result.told["ScheduleCommandRejected"], result.told["dead"]) == (
        created, kinds["invalid"], kinds["unreadable"])


def assert_published(answers: list[Answer], result: Completed) -> None:
    """What HTTP answered 201 is what its event tells."""
    by_id = {schedule["id"]: schedule for schedule in result.created.values()}
    for answer in answers:
        if answer.status == 201:
            event = by_id[answer.body["data"]["id"]]
            assert {name: event[name] for name in answer.body["data"]} == answer.body["data"]


# ---- changes

@pytest.fixture
def pairs(make_line: MakeLine) -> tuple[Line, list[list[dict[str, Any]]]]:
    """A line and, for HTTP and for Kafka, one schedule of each of as many owners."""
    line = make_line(EVENT_FORMAT="json", LOG_LEVEL="warn")
    line.start()
    owners = line.make_owners(2 * OWNERS)
    base = json.dumps({"name": "base", "timeZone": "UTC", "isDefault": False})
    made = ask(line, [[Request("POST", line.schedules_path(owner), base)] for owner in owners])
    schedules = [answer.body["data"] for [answer] in made]
    return line, [schedules[:OWNERS], schedules[OWNERS:]]


def path_of(line: Line, schedule: dict[str, Any]) -> str:
    return f"{line.schedules_path(schedule['ownerId'])}/{schedule['id']}"


def after(state: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """isDefault is never taken away by a change."""
    content = verdict.content or {}
    return state | content | {"isDefault": state["isDefault"] or content.get("isDefault", False)}


def test_each_interface_gives_a_change_the_contracts_verdict_and_result(pairs: tuple[Line, list[list[dict[str, Any]]]]) -> None:
    line, (patched, commanded) = pairs
    bodies = Bodies(SEED + 1)
    texts = [[bodies.change() for _ in range(CHANGES_EACH)] for _ in range(OWNERS)]
    expected, states = [], []
    for schedule, changes in zip(patched, texts, strict=True):
        state = content_of(schedule)
        for text in changes:
            verdict = check(text, is_new=False)
            state = after(state, verdict)
            expected.append(Verdict(state) if verdict.kind == "valid" else verdict)
        states.append(state)

    commands = [command(line, schedule["ownerId"], text, scheduleId=schedule["id"])
                for schedule, changes in zip(commanded, texts, strict=True) for text in changes]
    places = send(line, commands)
    answers = ask(line, [[Request("PATCH", path_of(line, schedule), text) for text in changes]
                         for schedule, changes in zip(patched, texts, strict=True)])
    result = completed(line)

    for text, answer, one, place, verdict in zip(chain(*texts), chain(*answers), commands, places, expected, strict=True):
        assert verdict_of(answer, text) == verdict, text
        assert verdict_on(one, place, result) == verdict, text
    for interface in (patched, commanded):
        reads = ask(line, [[Request("GET", path_of(line, schedule), "")] for schedule in interface])
        assert [content_of(answer.body["data"]) for [answer] in reads] == states
