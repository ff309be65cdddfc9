"""How a body is written: coded, in a charset, behind a byte order mark, in the shape of another version, with odd integers."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
import requests

from conftest import MakeLine
from line import EXAMPLE, MINIMAL, Line
from replies import assert_error, assert_invalid
from test_directory import import_
from wire import JSON_HEADERS, UPDATE

TEXT = json.dumps(EXAMPLE).encode()
MOST = 100 << 10
MARK = b"\xef\xbb\xbf"
EARLIER = ("is of cal-api-version 2024-04-15, which is not served: send availability and overrides")


def post(line: Line, body: bytes, method: str = "POST", path: str = "", **headers: str) -> requests.Response:
    answer = line.request(method, line.schedules_path() + path, line.people.admin_key, data=body,
                          headers={"Content-Type": "application/json"} | headers)
    line.note(answer)
    return answer


def coded(body: bytes, coding: str) -> dict[str, Any]:
    return {"body": zlib.compress(body) if coding == "deflate" else gzip.compress(body), "Content-Encoding": coding}


# ---- codings

@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate"])
def test_a_coded_body_is_taken(line: Line, coding: str) -> None:
    answer = post(line, **coded(TEXT, coding))
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert (made["name"], made["overrides"]) == (EXAMPLE["name"], EXAMPLE["overrides"])
    changed = post(line, method="PATCH", path=f"/{made['id']}", **coded(b'{"name":"Changed"}', coding))
    assert changed.json()["data"] == made | {"name": "Changed"}


def test_a_body_of_several_members_is_one(line: Line) -> None:
    body = gzip.compress(TEXT[:20]) + gzip.compress(b"") + gzip.compress(TEXT[20:])
    assert post(line, body, **{"Content-Encoding": "gzip"}).status_code == 201


def padded(length: int) -> bytes:
    text = json.dumps(MINIMAL | {"colour": ""})
    return text.replace('"colour": ""', '"colour": "' + "x" * (length - len(text)) + '"').encode()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_the_limit_is_of_the_decoded_body(line: Line, coding: str) -> None:
    assert post(line, **coded(padded(MOST), coding)).status_code == 201
    assert_error(post(line, **coded(padded(MOST + 1), coding)), 413, "request entity too large")


def test_a_bomb_is_refused_without_being_unpacked(make_line: MakeLine) -> None:
    """A body of the largest size would become 100 MB."""
    line = make_line(ASAN_OPTIONS="quarantine_size_mb=1")  # the sanitizer keeps what is freed
    line.start()
    bomb = gzip.compress(bytes(100 << 20), 9)
    assert MOST * 0.9 < len(bomb) < MOST
    before = line.metric("process_resident_memory_bytes")
    for _ in range(50):
        assert_error(post(line, bomb, **{"Content-Encoding": "gzip"}), 413, "request entity too large")
    assert line.metric("process_resident_memory_bytes") - before < 32 << 20


@pytest.mark.parametrize("body", [
    TEXT, gzip.compress(TEXT)[:-9], gzip.compress(TEXT) + b"more", gzip.compress(TEXT)[:10] + b"\xff" * 30,
    gzip.compress(TEXT)[:-8] + bytes(8), zlib.compress(TEXT)])
def test_what_is_not_of_its_coding_is_400(line: Line, body: bytes) -> None:
    assert_error(post(line, body, **{"Content-Encoding": "gzip"}), 400, "the body is not of its Content-Encoding")


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "compress", ""])
def test_another_coding_is_415(line: Line, coding: str) -> None:
    assert_error(post(line, TEXT, **{"Content-Encoding": coding}), 415,
                 "unsupported content encoding, it may be gzip or deflate")


# ---- charsets

@pytest.mark.parametrize("parameters", ["", "; charset=utf-8", ';CHARSET="UTF-8"', "; a=b; charset=utf-8; c=d", "; notcharset=x"])
def test_utf_8_may_be_named(line: Line, parameters: str) -> None:
    assert post(line, TEXT, **{"Content-Type": "application/json" + parameters}).status_code == 201


@pytest.mark.parametrize("charset", ["latin1", "utf-16", "utf-16le", '"iso-8859-1"', "utf-80", "", "us-ascii"])
def test_another_charset_is_415(line: Line, charset: str) -> None:
    answer = post(line, TEXT, **{"Content-Type": f"application/json; charset={charset}"})
    assert_error(answer, 415, "unsupported charset, the body must be of UTF-8")


# ---- a byte order mark, everywhere

def test_a_byte_order_mark_is_passed_over(line: Line) -> None:
    assert post(line, MARK + TEXT).status_code == 201
    assert post(line, **coded(MARK + TEXT, "gzip")).status_code == 201
    query = json.dumps({"from": "2024-05-20", "to": "2024-05-27", "users": [{"userId": line.people.member}]}).encode()
    answer = line.request("POST", f"/v2/organizations/{line.people.org}/availability/query", line.people.admin_key,
                          data=MARK + query, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text


def test_a_command_may_begin_with_a_byte_order_mark(line: Line) -> None:
    command = line.command()
    line.send(MARK + json.dumps(command).encode(), key=str(command["userId"]).encode(), headers=JSON_HEADERS)
    assert line.event_of(command["commandId"])


def test_an_import_may_begin_with_a_byte_order_mark(line: Line) -> None:
    text = MARK.decode() + json.dumps({"type": "user", "id": 70_001, "name": "Marked"}) + "\n"
    status, counts, told = import_(line, text)
    assert (status, counts["changed"], told) == (0, "1", [])


# ---- integers

def test_a_commands_integers_may_be_written_with_a_fraction(line: Line) -> None:
    made = line.command()
    text = json.dumps(made).replace(f'"userId": {line.people.member}', f'"userId": {line.people.member}.0')
    line.send(text.encode(), key=str(line.people.member).encode(), headers=JSON_HEADERS)
    line.event_of(made["commandId"])
    row = line.row_of(made["commandId"])
    change = line.command() | {"scheduleId": row["id"], "expectedVersion": 1, "name": "Changed"}
    text = json.dumps(change).replace('"expectedVersion": 1', '"expectedVersion": 1e0')
    line.send(text.encode(), expect="updated", key=str(line.people.member).encode(), headers=JSON_HEADERS, kind=UPDATE)
    line.event_of(change["commandId"], kind=UPDATE, schedule_id=row["id"])


def test_an_entrys_integers_may_be_written_with_a_fraction(line: Line) -> None:
    status, counts, told = import_(line, '{"type":"user","id":70002.0,"name":"Real"}\n{"type":"user","id":70003.5,"name":"None"}\n')
    assert (status, counts["changed"], counts["rejected"]) == (1, "1", "1"), told
    assert line.sql("SELECT name FROM users WHERE id = 70002") == [("Real",)]


# ---- the shape of cal-api-version 2024-04-15

def unserved(name: str, **value: Any) -> dict[str, Any]:
    return {**value, "property": name, "children": [], "constraints": {"isServed": f"{name} {EARLIER}"}}


@pytest.mark.parametrize("headers", [{}, {"cal-api-version": "2024-04-15"}, {"cal-api-version": "2024-06-11"}])
def test_hours_in_the_shape_of_another_version_are_refused(line: Line, headers: dict[str, str]) -> None:
    made = line.post(MINIMAL).json()["data"]
    hours = [{"days": [1], "startTime": "1970-01-01T09:00:00.000Z", "endTime": "1970-01-01T17:00:00.000Z"}]
    for path, key in ((line.schedules_path(), line.people.admin_key), ("/v2/schedules", line.people.member_key)):
        answer = line.request("POST", path, key, json=MINIMAL | {"availabilities": hours}, headers=headers)
        assert_invalid(answer, [unserved("availabilities")])
        answer = line.request("PATCH", f"{path}/{made['id']}", key, json={"schedule": [[], hours], "dateOverrides": [hours]},
                              headers=headers)
        assert_invalid(answer, [unserved("schedule"), unserved("dateOverrides")])
    text = line.post(MINIMAL | {"schedule": "x", "availabilities": None}, headers=headers)
    assert_invalid(text, [unserved("schedule", value="x")])


def test_a_command_in_the_shape_of_another_version_is_rejected(line: Line) -> None:
    command = line.command() | {"availabilities": []}
    sent = line.send(command, expect="rejected", as_json=True)
    assert line.violations_of(sent) == [("availabilities", "isServed", f"availabilities {EARLIER}")]
