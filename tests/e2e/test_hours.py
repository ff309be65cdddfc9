"""Hours as instants, by `schedule-service hours`: the cases of real zones, what it reads, and a part of the proof of tests/hours."""

import json
import random
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from conftest import MakeLine
from ledger import Topic
from line import BINARY, EXAMPLE

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/hours"))

from prove import Plan, Tools, names_and_targets, prove_zone  # noqa: E402

TZDATA = Path("/usr/share/zoneinfo/tzdata.zi")
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def schedule(zone: str, *windows: str, **more: object) -> dict[str, object]:
    """With windows of every day, as "09:00-17:00"."""
    hours = [{"days": DAYS, "startTime": window[:5], "endTime": window[6:]} for window in windows]
    return {"name": "Hours", "timeZone": zone, "isDefault": False, "availability": hours, "overrides": []} | more


def run(value: str | bytes | dict[str, object], *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    data = json.dumps(value) if isinstance(value, dict) else value
    return subprocess.run([str(BINARY), "hours", *arguments], input=data.encode() if isinstance(data, str) else data, env=env,
                          capture_output=True, timeout=60, check=False)


def answer(value: str | bytes | dict[str, object], *arguments: str) -> dict[str, object]:
    done = run(value, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ranges(value: dict[str, object], start: str, end: str) -> list[str]:
    found = answer(value, "--from", start, "--to", end)["ranges"]
    assert isinstance(found, list)
    return [f"{item['start']} {item['end']}" for item in found]


def day_after(day: str) -> str:
    return str(date.fromisoformat(day) + timedelta(days=1))


def utc(text: str, day: str) -> str:
    """"10-05T15:30" or "15:30" of the day, or "+15:30" of the next one, as an instant."""
    if text.startswith("+"):
        return f"{day_after(day)}T{text[1:]}:00Z"
    if "T" in text:
        text = f"{day[:4]}-{text}" if len(text) < 15 else text
        return text + ":00Z"
    return f"{day}T{text}{'' if len(text) > 5 else ':00'}Z"


# Zone, date, window of every day, and what is open of that date alone: an override of the date, so that its neighbours have no hours.
CHANGE_DAYS = [
    ("America/New_York", "2024-03-10", "02:00-03:00", []),
    ("America/New_York", "2024-03-10", "01:30-02:30", [("06:30", "07:00")]),
    ("America/New_York", "2024-03-10", "02:30-03:30", [("07:00", "07:30")]),
    ("America/New_York", "2024-03-10", "00:00-23:59", [("05:00", "+04:00")]),
    ("America/New_York", "2023-11-05", "01:00-02:00", [("05:00", "07:00")]),
    ("America/New_York", "2023-11-05", "01:00-01:30", [("05:00", "05:30"), ("06:00", "06:30")]),
    ("America/New_York", "2023-11-05", "01:30-02:30", [("05:30", "06:00"), ("06:30", "07:30")]),
    ("Australia/Lord_Howe", "2024-10-06", "02:00-02:30", []),
    ("Australia/Lord_Howe", "2024-10-06", "02:00-03:00", [("10-05T15:30", "10-05T16:00")]),
    ("Australia/Lord_Howe", "2024-04-07", "01:30-02:00", [("04-06T14:30", "04-06T15:30")]),
    ("Australia/Lord_Howe", "2024-04-07", "01:00-02:00", [("04-06T14:00", "04-06T15:30")]),
    ("Pacific/Apia", "2011-12-29", "09:00-17:00", [("19:00", "+03:00")]),
    ("Pacific/Apia", "2011-12-30", "09:00-17:00", []),
    ("Pacific/Apia", "2011-12-31", "09:00-17:00", [("12-30T19:00", "03:00")]),
    ("Pacific/Kwajalein", "1993-08-20", "09:00-17:00", [("21:00", "+05:00")]),
    ("Pacific/Kwajalein", "1993-08-21", "09:00-17:00", []),
    ("Pacific/Kwajalein", "1993-08-22", "09:00-17:00", [("08-21T21:00", "05:00")]),
    ("Africa/Casablanca", "2024-03-10", "02:00-03:00", [("01:00", "03:00")]),
    ("Africa/Casablanca", "2024-04-14", "02:00-03:00", []),
    ("Africa/Casablanca", "2024-03-11", "09:00-17:00", [("09:00", "17:00")]),
    ("Africa/Casablanca", "2024-04-15", "09:00-17:00", [("08:00", "16:00")]),
    ("Europe/Dublin", "2024-03-31", "01:00-02:00", []),
    ("Europe/Dublin", "2024-10-27", "01:00-02:00", [("00:00", "02:00")]),
    ("America/Sao_Paulo", "2018-11-04", "00:00-01:00", []),
    ("America/Sao_Paulo", "2018-11-04", "00:00-23:59", [("03:00", "+02:00")]),
    ("America/Sao_Paulo", "2018-02-17", "23:00-23:59", [("+01:00", "+03:00")]),
    ("Antarctica/Troll", "2024-03-31", "01:00-03:00", []),
    ("Antarctica/Troll", "2024-10-27", "01:00-03:00", [("10-26T23:00", "03:00")]),
    ("Pacific/Chatham", "2024-09-29", "02:00-04:00", [("09-28T13:15", "09-28T14:15")]),
    ("America/St_Johns", "2010-11-06", "00:00-23:59", [("02:30", "+02:30"), ("11-07T02:31", "11-07T03:30")]),
    ("America/St_Johns", "2010-11-07", "00:00-23:59", [("02:30", "02:31"), ("03:30", "+03:30")]),
    ("Europe/Moscow", "2014-10-26", "01:00-02:00", [("10-25T21:00", "10-25T23:00")]),
    ("Asia/Kathmandu", "1986-01-01", "00:00-23:59", [("1985-12-31T18:30", "18:15")]),
    ("Africa/Monrovia", "1972-01-07", "00:00-01:00", [("00:44:30", "01:00")]),
    # What was reported of other systems.
    ("America/Chicago", "2025-03-09", "15:00-18:00", [("20:00", "23:00")]),
    ("America/New_York", "2026-03-08", "13:00-18:00", [("17:00", "22:00")]),
    ("America/New_York", "2023-11-06", "09:00-17:00", [("14:00", "22:00")]),
    ("America/Chicago", "2022-11-08", "07:30-09:00", [("13:30", "15:00")]),
    ("America/New_York", "2023-03-12", "12:30-13:00", [("16:30", "17:00")]),
    ("America/New_York", "2023-11-05", "12:30-13:00", [("17:30", "18:00")]),
    ("Europe/Berlin", "2022-10-25", "13:00-14:00", [("11:00", "12:00")]),
    ("Europe/Berlin", "2022-11-01", "13:00-14:00", [("12:00", "13:00")]),
    ("America/New_York", "2021-11-08", "09:00-17:00", [("14:00", "22:00")]),
    ("America/New_York", "2023-07-21", "22:00-23:00", [("+02:00", "+03:00")]),
    ("America/Los_Angeles", "2023-02-13", "17:00-18:00", [("+01:00", "+02:00")]),
    ("America/Los_Angeles", "2023-02-16", "16:00-18:00", [("+00:00", "+02:00")]),
    ("America/Chihuahua", "2022-07-01", "09:00-17:00", [("15:00", "23:00")]),
    ("Asia/Kolkata", "2023-01-02", "07:30-12:00", [("02:00", "06:30")]),
    ("America/New_York", "2023-06-12", "08:00-17:00", [("12:00", "21:00")]),
    ("Europe/Berlin", "2023-06-12", "08:00-17:00", [("06:00", "15:00")]),
    ("Pacific/Honolulu", "2023-08-15", "19:00-21:00", [("+05:00", "+07:00")]),
]


@pytest.mark.parametrize(("zone", "day", "window", "expected"), CHANGE_DAYS, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CHANGE_DAYS])
def test_a_window_is_what_a_clock_reads(zone: str, day: str, window: str, expected: list[tuple[str, str]]) -> None:
    override = {"date": day, "startTime": window[:5], "endTime": window[6:]}
    start, end = (str(date.fromisoformat(day) + timedelta(days=n)) for n in (-3, 4))
    want = [f"{utc(a, day)} {utc(b, day)}" for a, b in expected]
    assert ranges(schedule(zone, overrides=[override]), start, end) == want


def test_a_window_until_midnight_and_the_next_day_are_one_range() -> None:
    late = [{"days": ["Monday"], "startTime": "22:30", "endTime": "23:59"}, {"days": ["Tuesday"], "startTime": "00:00", "endTime": "01:30"}]
    assert ranges(schedule("Europe/London", availability=late), "2022-11-21", "2022-11-23") == [
        "2022-11-21T22:30:00Z 2022-11-22T01:30:00Z"]


def test_an_unavailable_date_cuts_at_both_midnights() -> None:
    closed = {"date": "2023-01-02", "startTime": "00:00", "endTime": "00:00"}
    assert ranges(schedule("UTC", "00:00-23:59", overrides=[closed]), "2023-01-01", "2023-01-04") == [
        "2023-01-01T00:00:00Z 2023-01-02T00:00:00Z", "2023-01-03T00:00:00Z 2023-01-04T00:00:00Z"]


def test_an_override_replaces_all_windows_of_its_date_and_needs_none() -> None:
    override = {"date": "2023-01-02", "startTime": "10:00", "endTime": "11:00"}
    assert ranges(schedule("UTC", "09:00-12:00", "14:00-15:00", overrides=[override]), "2023-01-02", "2023-01-03") == [
        "2023-01-02T10:00:00Z 2023-01-02T11:00:00Z"]
    assert ranges(schedule("UTC", overrides=[override]), "2023-01-01", "2023-01-05") == [
        "2023-01-02T10:00:00Z 2023-01-02T11:00:00Z"]


def test_the_view_changes_texts_and_dates_and_no_instant() -> None:
    value = schedule("Asia/Kolkata", "09:00-17:00")
    instants = ("--from", "2024-01-01T00:00:00Z", "--to", "2024-01-03T05:30:00+05:30")
    plain, viewed = answer(value, *instants), answer(value, *instants, "--time-zone", "america/los_angeles")
    assert [(item["start"], item["end"]) for item in plain["ranges"]] == [(item["start"], item["end"]) for item in viewed["ranges"]]
    assert plain["ranges"][0]["localStart"] == "2024-01-01T09:00:00+05:30"
    assert viewed["ranges"][0]["localStart"] == "2023-12-31T19:30:00-08:00"
    assert viewed["timeZone"] == "America/Los_Angeles"
    assert answer(value, "--from", "2024-01-01", "--to", "2024-01-02", "--time-zone", "UTC")["from"] == "2024-01-01T00:00:00Z"


def test_366_days_are_not_too_many() -> None:
    value = schedule("America/New_York", "09:00-17:00")
    assert len(ranges(value, "2023-10-01", "2024-10-01")) == 366
    assert len(ranges(value, "2023-10-01T00:00:00-04:00", "2024-10-01T00:00:00-04:00")) == 366


def test_an_answer_tells_the_version_of_the_zone_data() -> None:
    version = TZDATA.read_text().split("\n", 1)[0].removeprefix("# version ")
    assert answer(schedule("UTC"), "--from", "2024-01-01", "--to", "2024-01-02")["zoneData"] == version


def test_a_link_without_a_file_of_its_own_is_its_zone(tmp_path: Path) -> None:
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia/Kolkata").write_bytes((TZDATA.parent / "Asia/Kolkata").read_bytes())
    (tmp_path / "tzdata.zi").write_text("# version test\nZ Asia/Kolkata 5:30 - IST\nL Asia/Kolkata Asia/Calcutta\nZ Europe/Rome 1 - CET\n")
    zones = {"TZDATA": str(tmp_path / "tzdata.zi")}
    arguments = ("--from", "2024-01-01", "--to", "2024-01-02")
    done = run(schedule("Asia/Calcutta", "09:00-10:00"), *arguments, **zones)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ranges"][0]["start"] == "2024-01-01T03:30:00Z"
    missing = run(schedule("Europe/Rome", "09:00-10:00"), *arguments, **zones)
    assert missing.returncode == 1
    assert b"no data of a time zone" in missing.stderr


@pytest.mark.parametrize(("arguments", "reason"), [
    ((), "--from is missing"),
    (("--from", "2024-01-01"), "--to is missing"),
    (("--from", "2024-01-01", "--to", "2024-01-02", "more"), "unexpected argument 'more'"),
    (("--from", "2024-01-01", "--to", "2024-01-02T00:00:00Z"), "both be date-times with an offset, or both dates"),
    (("--from", "2024-01-01T00:00:00", "--to", "2024-01-02T00:00:00"), "both be date-times with an offset, or both dates"),
    (("--from", "2024-01-02", "--to", "2024-01-02"), "must be later than --from"),
    (("--from", "1899-12-31", "--to", "1900-01-02"), "years 1900 to 2200"),
    (("--from", "2200-12-31", "--to", "2201-01-02"), "years 1900 to 2200"),
    (("--from", "2023-01-01", "--to", "2024-01-03"), "at most 366 days"),
    (("--from", "2023-01-01T00:00:00Z", "--to", "2024-01-02T00:00:01Z"), "at most 366 days"),
    (("--from", "2024-01-01", "--to", "2024-01-02", "--time-zone", "Europe/Atlantis"), "no IANA time zone"),
])
def test_used_wrongly_says_how(arguments: tuple[str, ...], reason: str) -> None:
    done = run(schedule("UTC"), *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert reason in done.stderr.decode()


@pytest.mark.parametrize(("value", "reason"), [
    ("", "must hold one schedule"),
    ("nonsense", "neither JSON nor the protobuf value of an event"),
    ("[1]", "the JSON holds no schedule"),
    ('{"status":"success","data":null}', "the JSON holds no schedule"),
    ("{}", "name must be a string"),
    (json.dumps(schedule("Europe/Atlantis")), "timeZone"),
])
def test_what_is_no_schedule_is_refused(value: str, reason: str) -> None:
    done = run(value, "--from", "2024-01-01", "--to", "2024-01-02")
    assert (done.returncode, done.stdout) == (1, b"")
    assert reason in done.stderr.decode()


@pytest.mark.parametrize("event_format", ["protobuf", "json"])
def test_reads_what_the_service_publishes_and_answers(make_line: MakeLine, event_format: str) -> None:
    line = make_line()
    line.start(EVENT_FORMAT=event_format)
    created = line.post(EXAMPLE).json()
    with Topic(line.servers.kafka.bootstrap, line.place.events) as topic:
        event = topic.wait_for(lambda _: True)[0]
    arguments = ("--from", "2024-05-20", "--to", "2024-05-22")
    from_event, from_answer = answer(event.value, *arguments), answer(json.dumps(created), *arguments)
    assert from_event["ranges"] == from_answer["ranges"]
    assert [(item["start"], item["end"]) for item in from_event["ranges"]] == [
        ("2024-05-20T16:00:00Z", "2024-05-20T19:00:00Z"), ("2024-05-21T15:00:00Z", "2024-05-21T17:00:00Z")]
    assert from_event["schedules"] == [{"id": created["data"]["id"], "version": 1}]


def test_a_part_of_the_proof() -> None:
    """`make proof-hours` is all of it."""
    seed = 20261128
    tools = Tools(str(BINARY.parent / "tests/hours"), None)
    zones = sorted(set(names_and_targets(TZDATA).values()))
    odd = ["America/St_Johns", "Antarctica/Casey", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Monrovia"]
    chosen = odd + random.Random(seed).sample(zones, 12)
    counts = [prove_zone(Plan(zone, seed, 0.06, 5), tools, TZDATA.parent) for zone in chosen]
    assert [count.differences[0] for count in counts if count.differences] == []
    assert sum(count.on_grid + count.random for count in counts) > 1000
