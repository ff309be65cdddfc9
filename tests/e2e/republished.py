"""What a consumer knows that keeps the latest version of each schedule, and may hear some events again: that is what a rebuild
promises to bring it to."""

from __future__ import annotations

from typing import Any

import ledger
from ledger import Message
from line import Line
from wire import REJECTED, decode_event

ROWS = """SELECT s.id, command_id::text, coalesce(org_id, 0), s.owner_id, name, time_zone, availability, overrides, version,
                 d.schedule_id IS NOT NULL
            FROM schedules s LEFT JOIN default_schedules d ON d.schedule_id = s.id"""
NAMES = ("id", "command_id", "org_id", "owner_id", "name", "time_zone", "availability", "overrides", "version", "is_default")


def kind_of(event: Message) -> str:
    return event.headers["ce_type"].decode().removeprefix("schedules.v1.Schedule")


def state_of(event: Message) -> dict[str, Any]:
    return decode_event(event.value or b"", event.headers)


def fold(events: list[Message]) -> dict[int, dict[str, Any]]:
    """What a consumer knows that keeps the latest version of each schedule. Versions never go back, and one that comes again
    tells the same."""
    known: dict[int, tuple[str, dict[str, Any]]] = {}
    for event in events:
        kind, state = kind_of(event), state_of(event)
        assert event.headers["ce_id"] == f"{state['id']}.{state['version']}".encode()
        before = known.get(state["id"])
        if before and before[1]["version"] == state["version"]:
            assert (kind, content(state)) == (before[0], content(before[1]))
        else:
            assert not before or before[1]["version"] < state["version"]
            known[state["id"]] = kind, state
    return {schedule: state for schedule, (kind, state) in known.items() if kind != "Deleted"}


def heard(events: list[Message]) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """What a consumer knows that keeps the highest version of each schedule, whatever it hears once more; and the ce_ids that were told
    of two states."""
    told: dict[int, dict[int, tuple[str, dict[str, Any]]]] = {}
    torn = []
    for event in events:
        kind, state = kind_of(event), state_of(event)
        seen = kind, content(state)
        if told.setdefault(state["id"], {}).setdefault(state["version"], seen) != seen:
            torn.append(event.headers["ce_id"].decode())
    latest = [versions[max(versions)] for versions in told.values()]
    return {state["id"]: state for kind, state in latest if kind != "Deleted"}, torn


def content(state: dict[str, Any]) -> dict[str, Any]:
    """Without the command's id, which a rebuild knows of first versions and deletions only."""
    return {name: value for name, value in state.items() if name != "command_id"}


def rows(line: Line) -> dict[int, dict[str, Any]]:
    return {row[0]: dict(zip(NAMES, row, strict=True)) for row in line.sql(ROWS)}


def assert_told(line: Line) -> list[Message]:
    """A consumer that reads the topic from its beginning ends with the rows. Returns what it read of schedules."""
    ledger.wait_quiet(line.place)
    events = [event for event in line.topic(line.place.events).read_to_end() if event.headers["ce_type"] != REJECTED.encode()]
    told = fold(events)
    assert {schedule: content(state) for schedule, state in told.items()} == {
        schedule: content(row) for schedule, row in rows(line).items()}
    return events
