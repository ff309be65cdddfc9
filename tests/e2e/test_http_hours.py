"""Hours over HTTP: which schedule is meant, every parameter with its limits, pages, and what is answered to who has it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import icalendar
import pytest
import requests

from conftest import running
from line import Line, Servers

WEEK = {"from": "2023-11-01", "to": "2023-11-08"}
MORNINGS = {"name": "Mornings", "timeZone": "America/New_York", "isDefault": True, "overrides": [],
            "availability": [{"days": ["Saturday", "Sunday", "Monday"], "startTime": "01:00", "endTime": "01:30"}]}


@pytest.fixture(scope="module")
def line(servers: Servers) -> Iterator[Line]:
    with running(Line(servers)) as one:
        yield one


class Hours:
    """The member's schedules, and questions about them."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.mornings = line.post(MORNINGS).json()["data"]["id"]
        self.other = line.post(MORNINGS | {"name": "Other", "isDefault": False, "timeZone": "UTC"}).json()["data"]["id"]
        self.user_path = f"/v2/organizations/{line.people.org}/users/{line.people.member}/availability"

    def ask(self, path: str | None = None, key: str | None = None, headers: dict[str, str] | None = None,
            **query: Any) -> requests.Response:
        return self.line.request("GET", path or self.user_path, key or self.line.people.admin_key, params=query, headers=headers or {})

    def data(self, path: str | None = None, key: str | None = None, **query: Any) -> dict[str, Any]:
        answer = self.ask(path, key, **(WEEK | query))
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture(scope="module")
def hours(line: Line) -> Hours:
    return Hours(line)


def spans(items: list[dict[str, Any]]) -> list[str]:
    return [f"{item['start']} {item['end']}" for item in items]


SATURDAY = ["2023-11-04T05:00:00Z 2023-11-04T05:30:00Z"]
SUNDAY = ["2023-11-05T05:00:00Z 2023-11-05T05:30:00Z", "2023-11-05T06:00:00Z 2023-11-05T06:30:00Z"]  # the hour comes twice
MONDAY = ["2023-11-06T06:00:00Z 2023-11-06T06:30:00Z"]


# ---- which schedule

def test_every_route_means_its_schedule(hours: Hours) -> None:
    org, member, member_key = hours.line.people.org, hours.line.people.member, hours.line.people.member_key
    one = f"/v2/organizations/{org}/users/{member}/schedules/{hours.mornings}/availability"
    answers = [hours.data(), hours.data(one), hours.data(scheduleId=hours.mornings),
               hours.data("/v2/schedules/default/availability", member_key),
               hours.data(f"/v2/schedules/{hours.mornings}/availability", member_key)]
    for data in answers:
        assert data["schedules"] == [{"id": hours.mornings, "version": 1}]
        assert data["timeZone"] == "America/New_York"
        assert spans(data["ranges"]) == SATURDAY + SUNDAY + MONDAY
    assert hours.data(scheduleId=hours.other)["schedules"] == [{"id": hours.other, "version": 1}]


def test_a_schedule_that_is_not_theirs_is_not_there(hours: Hours) -> None:
    people = hours.line.people
    assert hours.ask(scheduleId=999_999_999, **WEEK).status_code == 404
    assert hours.ask("/v2/schedules/default/availability", people.admin_key, **WEEK).status_code == 404
    assert hours.ask("/v2/schedules/default/availability", people.admin_key, **WEEK).json()["error"]["message"].endswith(
        "has no default schedule.")
    assert hours.ask(key=people.stranger_key, **WEEK).status_code == 403
    assert hours.ask(key="cal_nobody", **WEEK).status_code == 401
    elsewhere = f"/v2/schedules/{hours.mornings}/availability"
    assert hours.ask(elsewhere, people.stranger_key, **WEEK).status_code == 404


def test_the_default_of_another_organization_counts_as_none(hours: Hours) -> None:
    line = hours.line
    user = line.make_owners(1)[0]
    other_org = line.sql("INSERT INTO organizations (name) VALUES ('Elsewhere') RETURNING id")[0][0]
    line.sql("INSERT INTO memberships (org_id, user_id) VALUES (%s, %s)", other_org, user)
    line.sql("INSERT INTO memberships (org_id, user_id, role) SELECT %s, user_id, role FROM memberships WHERE org_id = %s AND role <> 'MEMBER'"
             " ON CONFLICT DO NOTHING", other_org, line.people.org)
    made = line.post(MORNINGS, path=line.schedules_path(user, other_org))
    assert made.status_code == 201, made.text
    here, there = (f"/v2/organizations/{org}/users/{user}/availability" for org in (line.people.org, other_org))
    assert hours.ask(here, **WEEK).status_code == 404
    assert hours.data(there)["schedules"][0]["id"] == made.json()["data"]["id"]


# ---- parameters

def test_the_view_changes_dates_and_texts_and_no_instant(hours: Hours) -> None:
    instants = {"from": "2023-11-04T00:00:00-04:00", "to": "2023-11-07T00:00:00.000Z"}
    plain, viewed = hours.data(**instants), hours.data(**instants, timeZone="asia/calcutta")
    assert spans(plain["ranges"]) == spans(viewed["ranges"]) == SATURDAY + SUNDAY + MONDAY
    assert [item["localStart"] for item in plain["ranges"]][1:3] == ["2023-11-05T01:00:00-04:00", "2023-11-05T01:00:00-05:00"]
    assert viewed["ranges"][0]["localStart"] == "2023-11-04T10:30:00+05:30"
    assert viewed["timeZone"] == "Asia/Calcutta"
    assert hours.data(timeZone="UTC")["from"] == "2023-11-01T00:00:00Z"
    assert hours.data()["from"] == "2023-11-01T04:00:00Z"


def test_slots_lie_within_a_range(hours: Hours) -> None:
    day = {"from": "2023-11-05", "to": "2023-11-06"}
    assert spans(hours.data(**day, duration=30)["slots"]) == SUNDAY
    assert spans(hours.data(**day, duration=20)["slots"]) == ["2023-11-05T05:00:00Z 2023-11-05T05:20:00Z",
                                                              "2023-11-05T06:00:00Z 2023-11-05T06:20:00Z"]
    assert spans(hours.data(**day, duration=20, step=10)["slots"]) == [
        "2023-11-05T05:00:00Z 2023-11-05T05:20:00Z", "2023-11-05T05:10:00Z 2023-11-05T05:30:00Z",
        "2023-11-05T06:00:00Z 2023-11-05T06:20:00Z", "2023-11-05T06:10:00Z 2023-11-05T06:30:00Z"]
    assert hours.data(**day, duration=31)["slots"] == []
    slot = hours.data(**day, duration=30)["slots"][0]
    assert (slot["free"], slot["freeCount"]) == ([hours.line.people.member], 1)


def test_slots_are_aligned_to_the_schedules_clock(hours: Hours) -> None:
    cut = {"from": "2023-11-05T05:03:00Z", "to": "2023-11-06T00:00:00Z", "timeZone": "Asia/Kathmandu"}
    assert spans(hours.data(**cut, duration=10)["slots"])[0] == "2023-11-05T05:03:00Z 2023-11-05T05:13:00Z"
    assert spans(hours.data(**cut, duration=10, align="range")["slots"])[0] == "2023-11-05T05:03:00Z 2023-11-05T05:13:00Z"
    assert spans(hours.data(**cut, duration=10, align="clock")["slots"])[:2] == [
        "2023-11-05T05:10:00Z 2023-11-05T05:20:00Z", "2023-11-05T05:20:00Z 2023-11-05T05:30:00Z"]


def test_ranges_say_where_they_come_from(hours: Hours) -> None:
    line = hours.line
    made = line.post({"name": "Sources", "timeZone": "UTC", "isDefault": False,
                      "availability": [{"days": ["Wednesday"], "startTime": "09:00", "endTime": "10:00"},
                                       {"days": ["Wednesday", "Friday"], "startTime": "10:00", "endTime": "11:00"}],
                      "overrides": [{"date": "2023-11-03", "startTime": "12:00", "endTime": "13:00"}]}).json()["data"]["id"]
    explained = hours.data(scheduleId=made, explain="true")["ranges"]
    assert [item["sources"] for item in explained] == [[{"date": "2023-11-01", "window": 0}, {"date": "2023-11-01", "window": 1}],
                                                       [{"date": "2023-11-03", "override": 0}]]
    assert "sources" not in hours.data(scheduleId=made, explain="false")["ranges"][0]


@pytest.mark.parametrize("more", [{}, {"duration": 10}, {"duration": 10, "align": "clock"}, {"duration": 10, "step": 7}, {"explain": "true"}],
                         ids=str)
def test_pages_are_the_whole(hours: Hours, more: dict[str, Any]) -> None:
    kind = "slots" if "duration" in more else "ranges"
    whole = hours.data(**more)[kind]
    answer = hours.ask(**WEEK, **more, limit=1)
    pages = []
    for _ in range(len(whole) + 1):
        assert answer.status_code == 200, answer.text
        assert "Link" in answer.headers["Access-Control-Expose-Headers"]
        pages += answer.json()["data"][kind]
        if "next" not in answer.links:
            break
        answer = hours.ask(answer.links["next"]["url"])
    assert len(whole) > 3
    assert pages == whole


@pytest.mark.parametrize(("query", "constraint", "message"), [
    ({"from": None}, "isDateTime", "from must be a date"),
    ({"to": "2023-11-05T00:00:00"}, "isDateTime", "to must be a date"),
    ({"to": "2023-11-08T00:00:00Z"}, "isSameForm", "from and to must both be dates"),
    ({"to": "2023-11-01"}, "isAfter", "to must be after from"),
    ({"from": "1899-12-31", "to": "1900-01-05"}, "years", "1900 to 2200"),
    ({"from": "2200-12-31", "to": "2201-01-02"}, "years", "1900 to 2200"),
    ({"from": "2023-01-01", "to": "2024-01-03"}, "days", "at most 366 days"),
    ({"from": "2023-01-01T00:00:00Z", "to": "2024-01-02T00:00:01Z"}, "days", "at most 366 days"),
    ({"timeZone": "Europe/Atlantis"}, "isTimeZone", "timeZone must be a valid IANA time-zone"),
    ({"duration": 0}, "isInt", "from 1 to 1440"),
    ({"duration": 1441}, "isInt", "from 1 to 1440"),
    ({"duration": "1.5e0"}, "isInt", "from 1 to 1440"),
    ({"duration": 30, "step": 0}, "isInt", "step must be an integer from 1 to 1440"),
    ({"step": 5}, "isDefined", "duration must be given"),
    ({"align": "clock"}, "isDefined", "duration must be given"),
    ({"duration": 30, "align": "hour"}, "isIn", "align must be range or clock"),
    ({"explain": "yes"}, "isIn", "explain must be true or false"),
    ({"limit": 0}, "isInt", "from 1 to 10000"),
    ({"limit": 10_001}, "isInt", "from 1 to 10000"),
    ({"cursor": "5"}, "isCursor", "cursor must be one of a Link header"),
    ({"scheduleId": "x"}, "isInt", "scheduleId must be an integer"),
], ids=str)
def test_every_limit_is_a_400_that_names_it(hours: Hours, query: dict[str, Any], constraint: str, message: str) -> None:
    answer = hours.ask(**{name: value for name, value in (WEEK | query).items() if value is not None})
    assert answer.status_code == 400, answer.text
    errors = answer.json()["error"]["details"]["errors"]
    assert [list(error["constraints"]) for error in errors] == [[constraint]]
    assert message in errors[0]["constraints"][constraint]


def test_all_faults_are_told_at_once(hours: Hours) -> None:
    answer = hours.ask(to="2023", timeZone="x", limit="y")
    assert [error["property"] for error in answer.json()["error"]["details"]["errors"]] == ["from", "to", "timeZone", "limit"]


# ---- what the caller has

def test_what_is_the_same_is_not_sent_again(hours: Hours) -> None:
    line = hours.line
    made = line.post(MORNINGS | {"name": "Changing", "isDefault": False}).json()["data"]["id"]
    query = WEEK | {"scheduleId": made}
    first = hours.ask(**query)
    held = {"If-None-Match": first.headers["ETag"]}
    again = hours.ask(**query, headers=held)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert hours.ask(**query, headers={"If-None-Match": f'"other", {first.headers["ETag"]}'}).status_code == 304
    assert hours.ask(**query, limit=5, headers=held).status_code == 200
    line.patch(line.schedules_path() + f"/{made}", {"name": "Changed"})
    changed = hours.ask(**query, headers=held)
    assert changed.status_code == 200
    assert changed.json()["data"]["schedules"] == [{"id": made, "version": 2}]


def test_a_zone_that_the_data_has_not_is_a_conflict(hours: Hours) -> None:
    line = hours.line
    made = line.post(MORNINGS | {"name": "Lost", "isDefault": False}).json()["data"]["id"]
    line.sql("UPDATE schedules SET time_zone = 'Europe/Atlantis' WHERE id = %s", made)
    answer = hours.ask(**WEEK, scheduleId=made)
    line.sql("UPDATE schedules SET time_zone = 'America/New_York' WHERE id = %s", made)
    assert answer.status_code == 409
    assert "Europe/Atlantis" in answer.json()["error"]["message"]


# ---- as a calendar, read by another library

CALENDAR = {"Accept": "text/calendar"}


def stretches(answer: requests.Response) -> list[tuple[str, str, str]]:
    """Kind, start and end of each stretch of time of the answer's VFREEBUSY."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    calendar = icalendar.Calendar.from_ical(answer.content)
    [busy] = calendar.subcomponents
    assert (calendar["VERSION"], busy.name) == ("2.0", "VFREEBUSY")
    assert {"UID", "DTSTAMP", "DTSTART", "DTEND"} <= set(busy)
    found = busy.get("FREEBUSY", [])
    found = [(one.params["FBTYPE"], utc(one.start), utc(one.end)) for one in (found if isinstance(found, list) else [found])]
    assert [one[1] for one in found] + [utc(busy["DTEND"].dt)] == [utc(busy["DTSTART"].dt)] + [one[2] for one in found]  # no gaps
    return found


def utc(moment: datetime) -> str:
    assert moment.utcoffset() == timedelta()
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_hours_as_a_calendar_are_those_of_the_ranges(hours: Hours) -> None:
    ranges = hours.data()["ranges"]
    answer = hours.ask(**WEEK, headers=CALENDAR)
    found = stretches(answer)
    assert [f"{start} {end}" for kind, start, end in found if kind == "FREE"] == spans(ranges)
    assert {kind for kind, _, _ in found} == {"FREE", "BUSY-UNAVAILABLE"}
    assert (found[0][1], found[-1][2]) == ("2023-11-01T04:00:00Z", "2023-11-08T05:00:00Z")
    assert "Accept" in answer.headers["Vary"]
    old = {"from": "1900-01-01T00:00:00Z", "to": "1900-02-01T00:00:00Z", "scheduleId": hours.other}
    assert [f"{start} {end}" for kind, start, end in stretches(hours.ask(**old, headers=CALENDAR)) if kind == "FREE"] == spans(
        hours.data(**old)["ranges"])


def test_a_time_without_hours_is_one_stretch(hours: Hours) -> None:
    answer = hours.ask(**{"from": "2023-11-01", "to": "2023-11-02"}, headers=CALENDAR)
    assert stretches(answer) == [("BUSY-UNAVAILABLE", "2023-11-01T04:00:00Z", "2023-11-02T04:00:00Z")]


def test_pages_of_a_calendar_are_the_whole(hours: Hours) -> None:
    whole = [one for one in stretches(hours.ask(**WEEK, headers=CALENDAR)) if one[0] == "FREE"]
    answer, pages = hours.ask(**WEEK, limit=1, headers=CALENDAR), []
    for _ in range(len(whole)):
        pages += [one for one in stretches(answer) if one[0] == "FREE"]
        if "next" in answer.links:
            answer = hours.ask(answer.links["next"]["url"], headers=CALENDAR)
    assert pages == whole
    assert "next" not in answer.links


def test_a_calendar_goes_on_where_it_has_500(hours: Hours) -> None:
    windows = [{"days": ["Sunday", "Saturday"], "startTime": f"{hour:02}:00", "endTime": f"{hour:02}:30"} for hour in range(24)]
    made = hours.line.post(MORNINGS | {"name": "Many", "isDefault": False, "availability": windows}).json()["data"]["id"]
    answer = hours.ask(**{"from": "2023-01-01", "to": "2023-05-01"}, scheduleId=made, headers=CALENDAR)
    assert len([one for one in stretches(answer) if one[0] == "FREE"]) == 500
    assert "next" in answer.links


def test_a_calendar_has_a_tag_of_its_own(hours: Hours) -> None:
    json_tag, tag = hours.ask(**WEEK).headers["ETag"], hours.ask(**WEEK, headers=CALENDAR).headers["ETag"]
    assert tag.startswith('W/"')
    assert hours.ask(**WEEK, headers=CALENDAR | {"If-None-Match": tag}).status_code == 304
    assert hours.ask(**WEEK, headers=CALENDAR | {"If-None-Match": json_tag}).status_code == 200
    assert hours.ask(**WEEK, headers={"If-None-Match": tag}).status_code == 200


def test_a_calendar_has_500_ranges_and_neither_slots_nor_sources(hours: Hours) -> None:
    assert hours.ask(**WEEK, limit=500, headers=CALENDAR).status_code == 200
    for more in ({"duration": 30}, {"explain": "true"}, {"limit": 501}):
        answer = hours.ask(**WEEK, **more, headers=CALENDAR)
        assert answer.status_code == 400
        assert "text/calendar" in answer.json()["error"]["message"]
    assert hours.ask(**WEEK, headers={"Accept": "application/json, text/calendar;q=0.5"}).json()["status"] == "success"
