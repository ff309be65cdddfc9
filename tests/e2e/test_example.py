"""The example of the documentation through HTTP and Kafka: one row and one event each, all equal."""

import json
import re
import struct
from pathlib import Path

import pytest
from kafka.partitioner.default import murmur2

from conftest import MakeLine
from line import EXAMPLE, MINIMAL, PARTITIONS, Line
from wire import WORKING_HOURS, decode_event

SCHEDULE_KEYS = ["id", "ownerId", "name", "timeZone", "availability", "isDefault", "overrides"]


def as_row(body: dict, line: Line) -> dict:
    return {"owner_id": line.people.member, "org_id": line.people.org, "name": body["name"], "time_zone": body["timeZone"],
            "availability": body["availability"], "overrides": body["overrides"], "version": 1}


def murmur2_partition(key: bytes) -> int:
    """Where Java's and JavaScript's producers put a key."""
    return (murmur2(key) & 0x7FFFFFFF) % PARTITIONS


def test_http_answers_201_with_the_schedule_in_the_contracts_key_order(line: Line) -> None:
    answer = line.post(EXAMPLE)
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    pairs = json.loads(answer.text, object_pairs_hook=list)
    assert [name for name, _ in pairs] == ["status", "data"]
    assert [name for name, _ in pairs[1][1]] == SCHEDULE_KEYS
    schedule = answer.json()["data"]
    assert schedule == {"id": schedule["id"], "ownerId": line.people.member, **EXAMPLE}
    window = dict(pairs[1][1])["availability"][0]
    assert [name for name, _ in window] == ["days", "startTime", "endTime"]
    override = dict(pairs[1][1])["overrides"][0]
    assert [name for name, _ in override] == ["date", "startTime", "endTime"]


def test_both_interfaces_make_the_same_row_and_equal_events(line: Line) -> None:
    command = line.command(**EXAMPLE)
    line.send(command)
    command_json = line.command(**EXAMPLE)
    line.send(command_json, as_json=True)
    schedule_id = line.post(EXAMPLE).json()["data"]["id"]
    http_event = line.event_of_schedule(schedule_id)
    events = [line.event_of(command["commandId"]), line.event_of(command_json["commandId"]), http_event]
    contents = [decode_event(event.value, event.headers) for event in events]
    rows = [line.row_of(content["command_id"]) for content in contents]
    for row, content in zip(rows, contents, strict=True):
        assert row.pop("version") in (1, 2)  # 2: another of the three is the default since
        assert content.pop("version") == 1
        assert row.pop("id") == content.pop("id")
        assert content.pop("command_id")
        assert row | {"version": 1} == as_row(EXAMPLE, line)
        assert content == row | {"is_default": True}


def test_the_event_is_a_cloud_event_with_the_owner_as_key(line: Line) -> None:
    schedule_id = line.post(EXAMPLE).json()["data"]["id"]
    event = line.event_of_schedule(schedule_id)
    headers = {name: value.decode() for name, value in event.header_list}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers.pop("ce_time"))
    assert re.fullmatch(r"1:[0-9A-F]+/[0-9A-F]+", headers.pop("commit-position"))
    assert headers == {
        "content-type": "application/protobuf", "ce_specversion": "1.0", "ce_id": f"{schedule_id}.1",
        "ce_source": "/schedule-service", "ce_type": "schedules.v1.ScheduleCreated", "ce_subject": str(schedule_id)}
    assert event.key == str(line.people.member).encode()
    assert event.partition == murmur2_partition(event.key)


def codecs(log: Path) -> set[int]:
    """Of the batches in a file of a partition's log."""
    data, at, found = log.read_bytes(), 0, set()
    while at + 61 <= len(data):  # offset, length, epoch, magic, CRC, attributes
        length, magic, attributes = struct.unpack_from(">8xi4xB4xH", data, at)
        if magic != 2:
            break  # the file is longer than what was written
        found.add(attributes & 7)
        at += 12 + length
    return found


@pytest.mark.parametrize(("settings", "expected"), [({}, 0), ({"RDKAFKA_COMPRESSION_TYPE": "gzip"}, 1)], ids=["default", "gzip"])
def test_events_are_not_compressed_unless_asked_for(make_line: MakeLine, settings: dict[str, str], expected: int) -> None:
    """Every client reads them with what it comes with: ADR 36."""
    line = make_line(**settings)
    line.start()
    event = line.event_of_schedule(line.post(EXAMPLE).json()["data"]["id"])
    data = line.servers.kafka.data
    assert data
    [log] = (data / f"{line.place.events}-{event.partition}").glob("*.log")
    assert expected in codecs(log) <= {0, expected}  # the marks of transactions have no codec


def test_a_body_without_availability_has_working_hours(line: Line) -> None:
    schedule = line.post(MINIMAL).json()["data"]
    assert schedule["availability"] == WORKING_HOURS
    assert schedule["overrides"] == []
    command = line.command()
    line.send(command)
    line.event_of(command["commandId"])
    assert line.row_of(command["commandId"])["availability"] == WORKING_HOURS


def test_an_empty_availability_stays_empty(line: Line) -> None:
    assert line.post(MINIMAL | {"availability": []}).json()["data"]["availability"] == []
    for as_json in (False, True):
        command = line.command(availability=[])
        line.send(command, as_json=as_json)
        line.event_of(command["commandId"])
        assert line.row_of(command["commandId"])["availability"] == []
