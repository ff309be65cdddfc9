"""Commands and events as bytes, by codecs that are not ours: json, and Google's Python classes of our .proto files."""

from __future__ import annotations

import importlib
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
WORKING_HOURS = [{"days": WEEKDAYS[:5], "startTime": "09:00", "endTime": "17:00"}]
JSON_HEADERS = {"content-type": "application/json"}

CREATE, UPDATE, DELETE = (f"schedules.v1.{kind}Schedule" for kind in ("Create", "Update", "Delete"))
CREATED, UPDATED, DELETED = (f"schedules.v1.Schedule{kind}" for kind in ("Created", "Updated", "Deleted"))
REJECTED = "schedules.v1.ScheduleCommandRejected"
UNPUBLISHABLE = "schedules.v1.EventUnpublishable"
WEBHOOK_DISABLED = "schedules.v1.WebhookDisabled"
EVENT_OF = {CREATE: CREATED, UPDATE: UPDATED, DELETE: DELETED}

# Names in JSON and in the contents below.
FIELDS = {"name": "name", "timeZone": "time_zone", "isDefault": "is_default", "availability": "availability",
          "overrides": "overrides"}


@lru_cache(maxsize=1)
def messages() -> SimpleNamespace:
    """The classes of our .proto files, by their names."""
    names = {"CreateSchedule": "create_schedule", "UpdateSchedule": "update_schedule", "DeleteSchedule": "delete_schedule",
             "ScheduleCreated": "schedule_created", "ScheduleUpdated": "schedule_updated",
             "ScheduleDeleted": "schedule_deleted", "ScheduleCommandRejected": "schedule_command_rejected",
             "EventUnpublishable": "event_unpublishable", "WebhookDisabled": "webhook_disabled", "DirectoryEntry": "directory_entry", "Role": "role"}
    with tempfile.TemporaryDirectory() as directory:
        files = [str(path) for path in sorted(ROOT.glob("proto/schedules/v1/*.proto"))]
        subprocess.run(["protoc", "-I", str(ROOT / "proto"), f"--python_out={directory}", *files], check=True)
        sys.path.insert(0, directory)
        try:
            modules = {name: importlib.import_module(f"schedules.v1.{file}_pb2") for name, file in names.items()}
        finally:
            sys.path.remove(directory)
    return SimpleNamespace(**{name: getattr(module, name) for name, module in modules.items()})


def _class_of(kind: str) -> Any:
    return getattr(messages(), kind.rpartition(".")[2])


# ---- commands

def as_protobuf(command: Mapping[str, Any], kind: str = CREATE) -> bytes:
    """A command in its JSON form as the message of its kind."""
    message = _class_of(kind)(command_id=command["commandId"], org_id=command.get("orgId", 0), user_id=command["userId"])
    if kind != CREATE:
        message.schedule_id = command["scheduleId"]
        message.expected_version = command.get("expectedVersion", 0)
    for name in ("name", "timeZone", "isDefault"):
        if name in command and kind != DELETE:
            setattr(message, FIELDS[name], command[name])
    if "availability" in command:
        message.availability.SetInParent()
        for window in command["availability"]:
            days = [WEEKDAYS.index(day) + 1 for day in window["days"]]
            message.availability.windows.add(days=days, start_time=window["startTime"], end_time=window["endTime"])
    if "overrides" in command:
        _fill_overrides(message, command["overrides"], kind)
    return bytes(message.SerializeToString())


def _fill_overrides(message: Any, overrides: Iterable[Mapping[str, str]], kind: str) -> None:
    if kind == UPDATE:
        message.overrides.SetInParent()
    of_message = message.overrides.overrides if kind == UPDATE else message.overrides
    for one in overrides:
        of_message.add(date=one["date"], start_time=one["startTime"], end_time=one["endTime"])


def framed(value: bytes, path: bytes = b"\0") -> bytes:
    """In Confluent's wire format: a zero byte, the schema's id, the path of the message in its file."""
    return b"\0" + struct.pack(">i", 7) + path + value


def _unframed(value: bytes) -> bytes:
    if value[:1] != b"\0":
        return value
    return value[6:] if value[5:6] == b"\0" else value[7:]


@dataclass(frozen=True)
class Command:
    """What a valid command asks for. `fields` has those that it sets, with the names of an event's content."""

    kind: str
    command_id: str
    org_id: int
    owner_id: int
    schedule_id: int
    expected_version: int
    fields: dict[str, Any]


def is_json(headers: Mapping[str, bytes]) -> bool:
    return headers.get("content-type", b"").lower().startswith(b"application/json")


def decode_command(value: bytes, headers: Mapping[str, bytes]) -> Command:
    kind = headers.get("ce_type", CREATE.encode()).decode()
    if is_json(headers):
        body = json.loads(value)
        fields = {own: body[name] for name, own in FIELDS.items() if body.get(name) is not None and kind != DELETE}
        ids = [body.get(name) or 0 for name in ("orgId", "userId", "scheduleId", "expectedVersion")]
        return Command(kind, body["commandId"], *ids, _with_defaults(kind, fields))
    message = _class_of(kind).FromString(_unframed(value))
    ids = [getattr(message, name, 0) for name in ("org_id", "user_id", "schedule_id", "expected_version")]
    return Command(kind, message.command_id, *ids, _with_defaults(kind, _fields(message, kind)))


def _fields(message: Any, kind: str) -> dict[str, Any]:
    if kind == DELETE:
        return {}
    fields = {name: getattr(message, name) for name in ("name", "time_zone", "is_default")
              if kind == CREATE or message.HasField(name)}
    if message.HasField("availability"):
        fields["availability"] = _windows(message.availability.windows)
    if kind == CREATE:
        fields["overrides"] = _overrides(message.overrides)
    elif message.HasField("overrides"):
        fields["overrides"] = _overrides(message.overrides.overrides)
    return fields


def _with_defaults(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    if "availability" in fields:  # each day once, where it came first
        fields |= {"availability": [window | {"days": list(dict.fromkeys(window["days"]))} for window in fields["availability"]]}
    return {"availability": WORKING_HOURS, "overrides": []} | fields if kind == CREATE else fields


# ---- events

def decode_event(value: bytes, headers: Mapping[str, bytes]) -> dict[str, Any]:
    """The content of a ScheduleCreated, ScheduleUpdated or ScheduleDeleted."""
    if is_json(headers):
        event = json.loads(value)
        schedule = event["schedule"]
        numbers = {"org_id": "orgId", "owner_id": "ownerId", "id": "id", "version": "version"}
        return ({"command_id": event["commandId"]} | {own: int(schedule[name]) for own, name in numbers.items()}
                | {own: schedule[name] for name, own in FIELDS.items()})
    event = _class_of(headers["ce_type"].decode()).FromString(value)
    schedule = event.schedule
    plain = ("org_id", "owner_id", "id", "version", "name", "time_zone", "is_default")
    return ({"command_id": event.command_id} | {name: getattr(schedule, name) for name in plain}
            | {"availability": _windows(schedule.availability), "overrides": _overrides(schedule.overrides)})


@dataclass(frozen=True)
class Rejection:
    """The content of a ScheduleCommandRejected; violations are property, constraint and message."""

    command_id: str
    org_id: int
    user_id: int
    violations: list[tuple[str, str, str]]


def decode_rejected(value: bytes, headers: Mapping[str, bytes]) -> Rejection:
    if is_json(headers):
        event = json.loads(value)
        return Rejection(event["commandId"], event["orgId"], event["userId"], [
            (one["property"], one["constraint"], one["message"]) for one in event["violations"]])
    event = messages().ScheduleCommandRejected.FromString(value)
    return Rejection(event.command_id, event.org_id, event.user_id, [
        (one.property, one.constraint, one.message) for one in event.violations])


def _windows(windows: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"days": [WEEKDAYS[day - 1] for day in window.days], "startTime": window.start_time,
             "endTime": window.end_time} for window in windows]


def _overrides(overrides: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"date": one.date, "startTime": one.start_time, "endTime": one.end_time} for one in overrides]
