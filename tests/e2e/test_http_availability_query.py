"""The hours of several people over HTTP: who is meant and who may ask, each way of putting them together, every parameter with its limits, pages,
and that a large question leaves the loop to others."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import icalendar
import pytest
import requests

from conftest import running
from line import Line, Servers, until

DAY = {"from": "2024-05-20", "to": "2024-05-21"}  # a Monday
ALL_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the system's zone data."""
    return Path(shutil.copytree("/usr/share/zoneinfo", tmp_path_factory.mktemp("zones") / "zoneinfo", symlinks=True))


@pytest.fixture(scope="module")
def line(servers: Servers, zones: Path) -> Iterator[Line]:
    with running(Line(servers, TZDATA=str(zones / "tzdata.zi")), audited=False) as one:
        yield one


def schedule(*windows: tuple[str, str], zone: str = "UTC", days: list[str] | None = None, default: bool = True) -> dict[str, Any]:
    return {"name": "Hours", "timeZone": zone, "isDefault": default, "overrides": [],
            "availability": [{"days": days or ["Monday"], "startTime": start, "endTime": end} for start, end in windows]}


class People:
    """A has 09:00-09:40, B 09:20-10:00 and, not by default, 12:00-13:00; C has no schedule, the stranger is no member. All ids ascend."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.path = f"/v2/organizations/{line.people.org}/availability/query"
        self.a, self.b, self.c = sorted(line.make_owners(3))
        self.a_schedule = self.make(self.a, schedule(("09:00", "09:40")))
        self.b_schedule = self.make(self.b, schedule(("09:20", "10:00")))
        self.b_noon = self.make(self.b, schedule(("12:00", "13:00"), default=False))

    def make(self, user: int, body: dict[str, Any], org: int | None = None) -> int:
        made = self.line.post(body, path=self.line.schedules_path(user, org))
        assert made.status_code == 201, made.text
        return int(made.json()["data"]["id"])

    def make_team(self, *users: int) -> int:
        team = self.line.sql("INSERT INTO teams (org_id, name) VALUES (%s, 'Team') RETURNING id", self.line.people.org)[0][0]
        for user in users:
            self.line.sql("INSERT INTO team_memberships (team_id, user_id) VALUES (%s, %s)", team, user)
        return int(team)

    def ask(self, body: dict[str, Any], key: str | None = None, path: str | None = None, **options: Any) -> requests.Response:
        return self.line.request("POST", path or self.path, key or self.line.people.admin_key, json=body, **options)

    def data(self, *users: int, **more: Any) -> dict[str, Any]:
        """Of these users, on the day."""
        return self.asked(DAY | {"users": [{"userId": user} for user in users]} | more)

    def asked(self, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        answer = self.ask(body, **options)
        assert answer.status_code == 200, answer.text
        assert "ETag" not in answer.headers
        return answer.json()["data"]


@pytest.fixture(scope="module")
def people(line: Line) -> People:
    return People(line)


def times(items: list[dict[str, Any]]) -> list[str]:
    """Of one day, in UTC."""
    return [f"{item['start'][11:16]}-{item['end'][11:16]}" for item in items]


# ---- ranges

def test_each_has_their_own_ranges(people: People) -> None:
    data = people.data(people.b, people.a)
    assert [(item["userId"], *times([item])) for item in data["ranges"]] == [(people.a, "09:00-09:40"), (people.b, "09:20-10:00")]
    assert data["schedules"] == [{"userId": people.a, "id": people.a_schedule, "version": 1},
                                 {"userId": people.b, "id": people.b_schedule, "version": 1}]
    assert data["errors"] == []
    assert (data["timeZone"], data["from"], data["to"]) == ("UTC", "2024-05-20T00:00:00Z", "2024-05-21T00:00:00Z")
    assert data["zoneData"] == people.line.request(
        "GET", f"/v2/organizations/{people.line.people.org}/users/{people.a}/availability", people.line.people.admin_key,
        params=DAY).json()["data"]["zoneData"]


@pytest.mark.parametrize(("combine", "want"), [
    ({"combine": "any"}, ["09:00-10:00"]),
    ({"combine": "all"}, ["09:20-09:40"]),
    ({"combine": "atLeast", "k": 1}, ["09:00-10:00"]),
    ({"combine": "atLeast", "k": 2}, ["09:20-09:40"]),
], ids=str)
def test_people_are_put_together(people: People, combine: dict[str, Any], want: list[str]) -> None:
    data = people.data(people.a, people.b, **combine)
    assert times(data["ranges"]) == want
    assert "userId" not in data["ranges"][0]


def test_every_group_has_to_have_enough(people: People) -> None:
    d = people.line.make_owners(1)[0]
    people.make(d, schedule(("08:00", "09:30")))

    def ask(*groups: tuple[list[int], int]) -> list[str]:
        listed = [{"users": users, "atLeast": at_least} for users, at_least in groups]
        return times(people.data(people.a, people.b, d, combine="groups", groups=listed)["ranges"])

    assert ask(([people.a, people.b], 1), ([d], 1)) == ["09:00-09:30"]
    assert ask(([people.a, people.b], 2), ([d], 1)) == ["09:20-09:30"]
    assert ask(([people.a, people.b, d], 3)) == ["09:20-09:30"]
    assert ask(([people.a, d], 1), ([people.b, d], 1)) == ["08:00-09:40"]


def test_another_schedule_can_be_named(people: People) -> None:
    users = [{"userId": people.a}, {"userId": people.b, "scheduleId": people.b_noon}]
    data = people.asked(DAY | {"users": users})
    assert times(data["ranges"]) == ["09:00-09:40", "12:00-13:00"]
    assert data["schedules"][1] == {"userId": people.b, "id": people.b_noon, "version": 1}


def test_ranges_say_whose_windows_and_overrides_they_are(people: People) -> None:
    e = people.line.make_owners(1)[0]
    people.make(e, schedule(("08:00", "09:10")) | {"overrides": [{"date": "2024-05-20", "startTime": "09:30", "endTime": "11:00"}]})
    data = people.data(people.a, people.b, e, combine="any", explain=True)
    assert data["ranges"][0]["sources"] == [
        {"userId": people.a, "date": "2024-05-20", "window": 0}, {"userId": people.b, "date": "2024-05-20", "window": 0},
        {"userId": e, "date": "2024-05-20", "override": 0}]
    each = people.data(people.a, e, explain=True)["ranges"]
    assert [item["sources"] for item in each] == [[{"userId": people.a, "date": "2024-05-20", "window": 0}],
                                                  [{"userId": e, "date": "2024-05-20", "override": 0}]]
    assert "sources" not in people.data(people.a, explain=False)["ranges"][0]


def test_the_view_changes_dates_and_texts_and_no_instant(people: People) -> None:
    instants = {"from": "2024-05-20T00:00:00Z", "to": "2024-05-21T00:00:00+00:00"}
    plain, viewed = people.data(people.a, **instants), people.data(people.a, **instants, timeZone="asia/calcutta")
    assert times(plain["ranges"]) == times(viewed["ranges"])
    assert viewed["timeZone"] == "Asia/Calcutta"
    assert viewed["ranges"][0]["localStart"] == "2024-05-20T14:30:00+05:30"
    assert people.data(people.a, timeZone="Asia/Kolkata")["from"] == "2024-05-19T18:30:00Z"


# ---- slots

def test_a_slot_fits_into_one_persons_range(people: People) -> None:
    both = (people.a, people.b)
    half = people.data(*both, combine="any", duration=30, step=10)["slots"]
    assert [(item["start"][11:16], item["free"], item["freeCount"]) for item in half] == [
        ("09:00", [people.a], 1), ("09:10", [people.a], 1), ("09:20", [people.b], 1), ("09:30", [people.b], 1)]
    assert people.data(*both, combine="any", duration=60)["slots"] == []  # though the union is an hour
    assert people.data(*both, combine="all", duration=20)["slots"][0]["free"] == [people.a, people.b]
    each = people.data(*both, duration=40)["slots"]
    assert [(item["userId"], item["free"], *times([item])) for item in each] == [
        (people.a, [people.a], "09:00-09:40"), (people.b, [people.b], "09:20-10:00")]


def test_slots_are_aligned_to_each_ones_clock(people: People) -> None:
    india, rome = sorted(people.line.make_owners(2))
    for user, zone in ((india, "Asia/Kolkata"), (rome, "Europe/Rome")):
        people.make(user, schedule(("00:00", "23:59"), zone=zone, days=ALL_DAYS))
    span = {"from": "2024-05-20T10:10:00Z", "to": "2024-05-20T12:00:00Z"}
    assert times(people.data(india, rome, **span, combine="all", duration=30, step=60, align="clock")["slots"]) == [
        "10:30-11:00", "11:00-11:30", "11:30-12:00"]
    assert times(people.data(india, rome, **span, combine="all", duration=30, step=60, align="range")["slots"]) == [
        "10:10-10:40", "11:10-11:40"]


# ---- who is meant

def test_who_has_no_hours_stands_beside_the_others(people: People) -> None:
    stranger, nobody = people.line.people.stranger, 999_999_999
    data = people.data(people.a, people.c, stranger, nobody, combine="any")
    assert times(data["ranges"]) == ["09:00-09:40"]
    assert [item["userId"] for item in data["schedules"]] == [people.a]
    assert {item["userId"]: item["code"] for item in data["errors"]} == dict.fromkeys(
        (people.c, stranger, nobody), "NotFoundException")
    messages = {item["userId"]: item["message"] for item in data["errors"]}
    assert messages[people.c] == f"User with ID={people.c} has no default schedule."
    assert messages[stranger].replace(str(stranger), "") == messages[nobody].replace(str(nobody), "")  # one error for both
    assert people.data(people.a, people.c, combine="all")["ranges"] == []  # who is not known is never free


def test_a_schedule_has_to_be_theirs(people: People) -> None:
    for theirs in (people.a_schedule, 999_999_999):
        data = people.asked(DAY | {"users": [{"userId": people.b, "scheduleId": theirs}]})
        assert (data["schedules"], data["ranges"]) == ([], [])
        assert data["errors"] == [{"userId": people.b, "code": "NotFoundException",
                                   "message": f"User with ID={people.b} has no schedule with ID={theirs}."}]


def test_the_default_of_another_organization_counts_as_none(people: People) -> None:
    line = people.line
    user = line.make_owners(1)[0]
    line.sql("INSERT INTO memberships (org_id, user_id) VALUES (%s, %s)", line.people.other_org, user)
    made = line.post(schedule(("09:00", "10:00")), path=line.schedules_path(user, line.people.other_org), key=line.people.other_admin_key)
    assert made.status_code == 201, made.text
    assert people.data(user)["errors"][0]["message"].endswith("has no default schedule.")
    there = people.asked(DAY | {"users": [{"userId": user}]}, key=line.people.other_admin_key,
                         path=f"/v2/organizations/{line.people.other_org}/availability/query")
    assert times(there["ranges"]) == ["09:00-10:00"]


def test_a_zone_that_the_data_has_not_stands_in_errors(people: People) -> None:
    user = people.line.make_owners(1)[0]
    made = people.make(user, schedule(("09:00", "10:00")))
    people.line.sql("UPDATE schedules SET time_zone = 'Europe/Atlantis' WHERE id = %s", made)
    data = people.data(people.a, user)
    assert times(data["ranges"]) == ["09:00-09:40"]
    assert [(item["userId"], item["code"]) for item in data["errors"]] == [(user, "ConflictException")]
    assert "Europe/Atlantis" in data["errors"][0]["message"]


def test_a_team_is_its_members(people: People) -> None:
    team = people.make_team(people.a, people.b, people.c)
    data = people.asked(DAY | {"teamId": team, "combine": "atLeast", "k": 2})
    assert times(data["ranges"]) == ["09:20-09:40"]
    assert [item["userId"] for item in data["errors"]] == [people.c]
    groups = [{"users": [people.a], "atLeast": 1}, *[{"users": [people.line.people.member], "atLeast": 1}] * 2]
    grouped = people.asked(DAY | {"teamId": team, "combine": "groups", "groups": groups})
    assert grouped["ranges"] == []
    assert [item["userId"] for item in grouped["errors"]] == [people.c, people.line.people.member]
    assert people.asked(DAY | {"teamId": people.make_team()})["ranges"] == []


# ---- who may ask

def test_the_organizations_admins_ask_about_anybody(people: People) -> None:
    line, body = people.line, DAY | {"users": [{"userId": people.a}]}
    for key in (line.people.admin_key, line.people.owner_key):
        assert people.ask(body, key=key).status_code == 200
    member = people.ask(body, key=line.people.member_key)
    assert member.status_code == 403
    assert "required role=ORG_ADMIN" in member.json()["error"]["message"]
    assert people.ask(body | {"teamId": None}, key=line.people.member_key).status_code == 403
    for key in (line.people.stranger_key, line.people.other_admin_key):
        answer = people.ask(body, key=key)
        assert answer.status_code == 403
        assert "not a member" in answer.json()["error"]["message"]
    assert people.ask(body, key="cal_nobody").status_code == 401
    assert people.ask(body, path="/v2/organizations/999999999/availability/query").status_code == 403
    assert people.ask(body, path="/v2/organizations/x/availability/query").status_code == 400


def test_a_teams_admin_asks_about_the_team(people: People) -> None:
    line = people.line
    own, other = people.make_team(people.a, line.people.member), people.make_team(people.a)
    line.sql("UPDATE team_memberships SET role = 'ADMIN' WHERE team_id = %s AND user_id = %s", own, line.people.member)
    assert people.ask(DAY | {"teamId": own}, key=line.people.member_key).status_code == 200
    refused = people.ask(DAY | {"teamId": other}, key=line.people.member_key)
    assert refused.status_code == 403
    assert "not part of the team" in refused.json()["error"]["message"]
    line.sql("UPDATE team_memberships SET role = 'MEMBER' WHERE team_id = %s", own)
    assert people.ask(DAY | {"teamId": own}, key=line.people.member_key).status_code == 403
    missing = people.ask(DAY | {"teamId": 999_999_999})
    assert missing.status_code == 404
    assert missing.json()["error"]["message"] == "IsTeamInOrg - Team (999999999) not found."
    elsewhere = line.sql("INSERT INTO teams (org_id, name) VALUES (%s, 'Theirs') RETURNING id", line.people.other_org)[0][0]
    assert people.ask(DAY | {"teamId": elsewhere}).status_code == 404


def test_a_client_needs_the_permission_to_read(people: People) -> None:
    def status(permissions: str) -> int:
        client = people.line.admin("oauth-client", "create", "--org", str(people.line.people.org), "--permissions", permissions)
        headers = {"x-cal-client-id": client["id"], "x-cal-secret-key": client["secret"]}
        return people.line.request("POST", people.path, headers=headers, json=DAY | {"users": [{"userId": people.a}]}).status_code

    assert status("read") == 200
    assert status("write") == 403


# ---- parameters and limits

ONE = {"users": [{"userId": 1}]}
PAIR = {"users": [{"userId": 1}, {"userId": 2}]}
MANY = {"users": [{"userId": user} for user in range(1, 101)]}


@pytest.mark.parametrize(("body", "errors"), [
    ({"from": None}, {"from": "isDateTime"}),
    ({"from": 5}, {"from": "isDateTime"}),
    ({"to": "2024-05-21T00:00:00"}, {"to": "isDateTime"}),
    ({"to": "2024-05-21T00:00:00Z"}, {"to": "isSameForm"}),
    ({"to": "2024-05-20"}, {"to": "isAfter"}),
    ({"from": "1899-12-31", "to": "1900-01-05"}, {"from": "years"}),
    ({"from": "2200-12-31", "to": "2201-01-02"}, {"from": "years"}),
    ({"from": "2023-01-01", "to": "2024-01-03"}, {"to": "days"}),
    (MANY | {"from": "2024-01-01", "to": "2024-02-02"}, {"to": "personDays"}),
    (MANY | {"from": "2024-01-01T00:00:00Z", "to": "2024-02-01T00:00:01Z"}, {"to": "personDays"}),
    ({"timeZone": "Europe/Atlantis"}, {"timeZone": "isTimeZone"}),
    ({"timeZone": 5}, {"timeZone": "isTimeZone"}),
    ({"duration": 0}, {"duration": "isInt"}),
    ({"duration": 1441}, {"duration": "isInt"}),
    ({"duration": "30"}, {"duration": "isInt"}),
    ({"duration": 30.5}, {"duration": "isInt"}),
    ({"duration": 30, "step": 0}, {"step": "isInt"}),
    ({"duration": 30, "step": 1441}, {"step": "isInt"}),
    ({"step": 5}, {"duration": "isDefined"}),
    ({"align": "clock"}, {"duration": "isDefined"}),
    ({"duration": 30, "align": "hour"}, {"align": "isIn"}),
    ({"explain": "true"}, {"explain": "isIn"}),
    ({"limit": 0}, {"limit": "isInt"}),
    ({"limit": 10_001}, {"limit": "isInt"}),
    ({"users": None}, {"users": "isDefined"}),
    ({"teamId": 1}, {"users": "isDefined"}),
    ({"users": None, "teamId": 0}, {"teamId": "isInt"}),
    ({"users": None, "teamId": "1"}, {"teamId": "isInt"}),
    ({"users": []}, {"users": "arraySize"}),
    ({"users": {}}, {"users": "arraySize"}),
    ({"users": [{"userId": user} for user in range(1, 102)]}, {"users": "arraySize"}),
    ({"users": [{"userId": 1}, 5]}, {"users.1.userId": "isInt"}),
    ({"users": [{"userId": 0}]}, {"users.0.userId": "isInt"}),
    ({"users": [{"userId": "1"}]}, {"users.0.userId": "isInt"}),
    ({"users": [{"userId": 1, "scheduleId": 0}]}, {"users.0.scheduleId": "isInt"}),
    ({"users": [{"userId": 1}, {"userId": 1, "scheduleId": 2}]}, {"users": "isUnique"}),
    ({"combine": "most"}, {"combine": "isIn"}),
    ({"combine": 1}, {"combine": "isIn"}),
    ({"combine": "atLeast"}, {"k": "isInt"}),
    ({"combine": "atLeast", "k": 0}, {"k": "isInt"}),
    (PAIR | {"combine": "atLeast", "k": 3}, {"k": "isInt"}),
    ({"users": None, "teamId": 1, "combine": "atLeast", "k": 101}, {"k": "isInt"}),
    ({"k": 1}, {"k": "isAbsent"}),
    ({"groups": []}, {"groups": "isAbsent"}),
    ({"combine": "groups"}, {"groups": "arraySize"}),
    ({"combine": "groups", "groups": [{"users": [1], "atLeast": 1}] * 33}, {"groups": "arraySize"}),
    ({"combine": "groups", "groups": [{"users": [], "atLeast": 1}]}, {"groups.0.users": "arraySize"}),
    ({"combine": "groups", "groups": [{"users": ["1"], "atLeast": 1}]}, {"groups.0.users.0": "isInt"}),
    ({"combine": "groups", "groups": [{"users": [3], "atLeast": 1}]}, {"groups.0.users.0": "isIn"}),
    (PAIR | {"combine": "groups", "groups": [{"users": [1, 1], "atLeast": 1}]}, {"groups.0.users": "isUnique"}),
    ({"combine": "groups", "groups": [{"users": [1]}]}, {"groups.0.atLeast": "isInt"}),
    ({"combine": "groups", "groups": [{"users": [1], "atLeast": 2}]}, {"groups.0.atLeast": "isInt"}),
    ({"from": None, "users": [], "combine": "x", "limit": 0},
     {"from": "isDateTime", "limit": "isInt", "users": "arraySize", "combine": "isIn"}),
], ids=str)
def test_every_limit_is_a_400_that_names_it(people: People, body: dict[str, Any], errors: dict[str, str]) -> None:
    answer = people.ask(DAY | ONE | body)
    assert answer.status_code == 400, answer.text
    assert violated(answer.json()["error"]["details"]["errors"]) == errors


def violated(errors: list[dict[str, Any]], before: str = "") -> dict[str, str]:
    """The constraint of each property, by its path; at most one each."""
    found: dict[str, str] = {}
    for error in errors:
        path = before + error["property"]
        constraints = list(error.get("constraints", {}))
        assert len(constraints) <= 1
        found |= {path: name for name in constraints} | violated(error.get("children", []), path + ".")
    return found


@pytest.mark.parametrize("cursor", ["5", "2024-05-20T09:00:00Z", "x@2024-05-20T09:00:00Z", "1@2024-05-20"])
def test_a_cursor_is_one_of_a_link(people: People, cursor: str) -> None:
    answer = people.ask(DAY | ONE, params={"cursor": cursor})
    assert answer.status_code == 400
    assert violated(answer.json()["error"]["details"]["errors"]) == {"cursor": "isCursor"}
    assert people.ask(DAY | ONE | {"combine": "any"}, params={"cursor": "1@2024-05-20T09:00:00Z"}).status_code == 400


def test_the_largest_questions_are_answered(people: People) -> None:
    assert len(people.asked(MANY | {"from": "2024-01-01", "to": "2024-02-01"})["errors"]) == 100
    year = people.asked({"users": [{"userId": people.a}], "from": "2024-01-01", "to": "2025-01-01", "limit": 10_000})
    assert len(year["ranges"]) == 53


def test_a_team_has_at_most_100_members(people: People) -> None:
    owners = people.line.make_owners(101)
    team = people.make_team(*owners[:100])
    month = {"teamId": team, "from": "2024-01-01", "to": "2024-02-01"}
    assert len(people.asked(month)["errors"]) == 100
    more_days = people.ask(month | {"to": "2024-02-02"})
    assert more_days.status_code == 400
    assert violated(more_days.json()["error"]["details"]["errors"]) == {"to": "personDays"}
    people.line.sql("INSERT INTO team_memberships (team_id, user_id) VALUES (%s, %s)", team, owners[100])
    more_people = people.ask(month)
    assert more_people.status_code == 400
    assert "more than 100 members" in more_people.json()["error"]["message"]


def test_the_schedules_of_all_together_have_a_limit(people: People) -> None:
    owners = people.line.make_owners(100)
    overrides = [{"date": f"2024-{month:02}-{day:02}", "startTime": "09:00", "endTime": "10:00"} for month in range(1, 13) for day in range(1, 29)]
    for owner in owners:
        people.make(owner, schedule(("09:00", "10:00")) | {"overrides": (overrides * 3)[:900]})
    users = [{"userId": owner} for owner in owners]
    assert len(people.asked(DAY | {"users": users[:50]})["schedules"]) == 50
    answer = people.ask(DAY | {"users": users})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "The schedules of these people exceed 4194304 bytes"


def test_a_body_that_is_no_json_object_is_refused(people: People) -> None:
    headers = {"Authorization": f"Bearer {people.line.people.admin_key}", "Content-Type": "application/json"}
    for data in (b"{", b"5", b"[]", b""):
        assert people.line.http.post(people.line.service.url + people.path, data=data, headers=headers, timeout=20).status_code == 400


# ---- pages

@pytest.mark.parametrize("more", [{}, {"combine": "any"}, {"combine": "any", "duration": 20, "step": 10}, {"duration": 20, "step": 5},
                                  {"combine": "all", "explain": True}, {"explain": True}], ids=str)
def test_pages_are_the_whole(people: People, more: dict[str, Any]) -> None:
    kind = "slots" if "duration" in more else "ranges"
    body = {"users": [{"userId": people.b}, {"userId": people.a}], "from": "2024-05-01", "to": "2024-06-01"} | more
    whole = people.asked(body)[kind]
    answer = people.ask(body | {"limit": 1})
    pages = []
    for _ in range(len(whole) + 1):
        assert answer.status_code == 200, answer.text
        assert "Link" in answer.headers["Access-Control-Expose-Headers"]
        pages += answer.json()["data"][kind]
        if "next" not in answer.links:
            break
        answer = people.ask(body | {"limit": 1}, path=answer.links["next"]["url"])
    assert len(whole) > 3
    assert pages == whole


# ---- others meanwhile

def turns(line: Line) -> tuple[float, float]:
    """How many turns of the loop there were, and of those that took more than 100 ms."""
    count = line.metric("schedule_http_turn_seconds_count")
    return count, count - line.metric('schedule_http_turn_seconds_bucket{le="0.1"}')


@pytest.fixture(scope="module")
def large(people: People) -> dict[str, Any]:
    """A question about 100 people, each with 100 windows a day of their own; nobody is free with all others, so every range is looked at."""
    owners = people.line.make_owners(100)
    for index, owner in enumerate(owners):
        starts = [minute * 14 + index % 13 for minute in range(100)]
        windows = [(f"{start // 60:02}:{start % 60:02}", f"{(start + 1) // 60:02}:{(start + 1) % 60:02}") for start in starts]
        people.make(owner, schedule(*windows, zone="Asia/Kolkata", days=ALL_DAYS))
    return {"users": [{"userId": owner} for owner in owners], "from": "2024-01-01", "to": "2024-02-01", "combine": "all"}


class Asking:
    """A question that is under way; its answer when the block ends."""

    def __init__(self, people: People, body: dict[str, Any]) -> None:
        self.answer: requests.Response
        self._ask = lambda: requests.post(people.line.service.url + people.path, json=body, timeout=60,
                                          headers={"Authorization": f"Bearer {people.line.people.admin_key}"})
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.answer = self._ask()

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def is_under_way(self) -> bool:
        return self._thread.is_alive()


def test_a_large_question_leaves_the_loop_to_others(people: People, large: dict[str, Any]) -> None:
    before, long_before = turns(people.line)
    meanwhile = 0
    with Asking(people, large) as asking:
        while asking.is_under_way():
            assert people.line.request("GET", "/healthz").status_code == 200
            meanwhile += 1
    after, long_after = turns(people.line)
    assert asking.answer.status_code == 200, asking.answer.text
    assert asking.answer.json()["data"]["ranges"] == []
    assert asking.answer.json()["data"]["errors"] == []
    assert after - before > 20
    assert long_after - long_before < (after - before) / 4  # one whose core another process takes is long
    assert meanwhile > 5


# ---- other zone data

def set_zone_data(people: People, zones: Path, version: str) -> None:
    """Makes it another version, and lets the service read it."""
    tzdata = zones / "tzdata.zi"
    _, _, rest = tzdata.read_text().partition("\n")
    tzdata.write_text(f"# version {version}\n{rest}")
    os.kill(people.line.service.pid, signal.SIGHUP)
    people.line.wait_log(f'msg="time zones reloaded" version={version}')


def test_zone_data_is_read_again_at_sighup(people: People, zones: Path) -> None:
    user = people.line.make_owners(1)[0]
    people.make(user, schedule(("09:00", "10:00"), zone="Asia/Tokyo"))
    path = f"/v2/organizations/{people.line.people.org}/users/{user}/availability"

    def get(**headers: str) -> requests.Response:
        return people.line.request("GET", path, people.line.people.admin_key, params=DAY | {"timeZone": "UTC"}, headers=headers)

    before = get()
    assert times(before.json()["data"]["ranges"]) == times(people.data(user)["ranges"]) == ["00:00-01:00"]
    shutil.copy(zones / "Asia/Kolkata", zones / "Asia/Tokyo")
    set_zone_data(people, zones, "2099a")
    after = get(**{"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json()["data"]["zoneData"]) == (200, "2099a")
    assert times(after.json()["data"]["ranges"]) == times(people.data(user)["ranges"]) == ["03:30-04:30"]


def test_questions_that_are_under_way_are_answered_of_one_version_each(people: People, zones: Path, large: dict[str, Any]) -> None:
    with ExitStack() as stack:
        askings = [stack.enter_context(Asking(people, large)) for _ in range(6)]
        turn = turns(people.line)[0]
        until(lambda: turns(people.line)[0] > turn + 3, "one is under way")
        set_zone_data(people, zones, "2099b")
        assert any(asking.is_under_way() for asking in askings)
    answers = [asking.answer for asking in askings]
    assert [answer.status_code for answer in answers] == [200] * 6
    data = [answer.json()["data"] for answer in answers]
    assert "2099b" in {one["zoneData"] for one in data} <= {"2099a", "2099b"}
    assert {(len(one["schedules"]), len(one["ranges"])) for one in data} == {(100, 0)}


# ---- as a calendar, read by another library

CALENDAR = {"Accept": "text/calendar"}


def calendars(answer: requests.Response) -> list[tuple[str, list[str]]]:
    """The UID of each VFREEBUSY, and what of the day is free in it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    found = []
    for busy in icalendar.Calendar.from_ical(answer.content).subcomponents:
        stretches = busy.get("FREEBUSY", [])
        stretches = stretches if isinstance(stretches, list) else [stretches]
        ends = [busy["DTSTART"].dt, *(one.end for one in stretches)]
        assert ends == [*(one.start for one in stretches), busy["DTEND"].dt]  # no gaps
        found.append((str(busy["UID"]), [f"{one.start:%H:%M}-{one.end:%H:%M}" for one in stretches if one.params["FBTYPE"] == "FREE"]))
    return found


def test_a_calendar_has_one_free_busy_for_each_or_one_for_all(people: People) -> None:
    body = DAY | {"users": [{"userId": user} for user in (people.a, people.b, people.c)]}
    assert calendars(people.ask(body, headers=CALENDAR)) == [
        (f"user-{people.a}", ["09:00-09:40"]), (f"user-{people.b}", ["09:20-10:00"])]  # C has no schedule
    assert calendars(people.ask(body | {"combine": "any"}, headers=CALENDAR)) == [("people", ["09:00-10:00"])]
    assert calendars(people.ask(body | {"combine": "all"}, headers=CALENDAR)) == [("people", [])]
    nobody = DAY | {"users": [{"userId": people.c}]}
    assert calendars(people.ask(nobody, headers=CALENDAR)) == [("people", [])]
    assert calendars(people.ask(nobody | {"combine": "any"}, headers=CALENDAR)) == [("people", [])]


@pytest.mark.parametrize("combine", ["each", "any"])
def test_pages_of_a_calendar_have_each_range_once(people: People, combine: str) -> None:
    body = DAY | {"users": [{"userId": people.a}, {"userId": people.b, "scheduleId": people.b_noon}], "combine": combine}
    whole = [free for _, ranges in calendars(people.ask(body, headers=CALENDAR)) for free in ranges]
    answer, pages = people.ask(body | {"limit": 1}, headers=CALENDAR), []
    for _ in whole:
        pages += [free for _, ranges in calendars(answer) for free in ranges]
        if "next" in answer.links:
            answer = people.ask(body | {"limit": 1}, path=answer.links["next"]["url"], headers=CALENDAR)
    assert pages == whole == ["09:00-09:40", "12:00-13:00"]
    assert "next" not in answer.links


@pytest.mark.parametrize("more", [{"duration": 30}, {"explain": True}, {"limit": 501}], ids=str)
def test_a_calendar_of_people_has_500_ranges_and_neither_slots_nor_sources(people: People, more: dict[str, Any]) -> None:
    body = DAY | {"users": [{"userId": people.a}]}
    refused = people.ask(body | more, headers=CALENDAR)
    assert (refused.status_code, "text/calendar" in refused.json()["error"]["message"]) == (400, True)
    assert people.ask(body | {"limit": 500}, headers=CALENDAR).status_code == 200
