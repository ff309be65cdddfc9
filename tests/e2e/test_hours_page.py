"""The page at /docs/hours in headless Chromium: it draws what the API answers, days to scale, marks changes of clocks, and asks nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import Browser
from conftest import running
from line import Line, Servers

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
NIGHT_AND_DAY = {"name": "Night and day", "timeZone": "Europe/Berlin", "isDefault": True,
                 "availability": [{"days": DAYS, "startTime": "01:30", "endTime": "02:30"}, {"days": DAYS[:5], "startTime": "09:00", "endTime": "17:00"}],
                 "overrides": [{"date": "2026-03-24", "startTime": "00:00", "endTime": "00:00"}]}
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def line(servers: Servers) -> Iterator[Line]:
    with running(Line(servers)) as one:
        one.schedule = one.post(NIGHT_AND_DAY).json()["data"]["id"]
        yield one


@pytest.fixture
def browser(line: Line, tmp_path: Path) -> Iterator[Browser]:
    one = Browser(tmp_path / "chromium", line.service.url)
    try:
        yield one
        assert one.elsewhere == []
        assert [fault for fault in one.faults if fault.get("source") != "network"] == []
    finally:
        one.close()


class Page:
    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        browser.open("/docs/hours")

    def ask(self, done: str = "!document.querySelector('#answer').hidden", **fields: object) -> None:
        """Fills the form in as a user does, and shows what it asks for."""
        self.browser.evaluate(f"""for (const [name, value] of Object.entries({json.dumps(fields)})) {{
            const field = document.querySelector('#question').elements[name];
            field.value = value;
            field.dispatchEvent(new Event('change'));
        }}
        document.querySelector('#question [type=submit]').click()""")
        self.browser.wait(done)

    def text(self, selector: str) -> list[str]:
        return self.browser.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => node.textContent)")

    def boxes(self, selector: str) -> list[dict[str, float]]:
        """Where things are drawn, in the picture's units."""
        return self.browser.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => {{"
                                     "const {x, width} = node.getBBox(); return {x, width}; })")


@pytest.fixture
def page(browser: Browser) -> Page:
    return Page(browser)


def answer(line: Line, **query: str) -> list[dict[str, str]]:
    got = line.request("GET", "/v2/schedules/default/availability", line.people.member_key,
                       params={"from": "2026-03-23", "to": "2026-03-30"} | query)
    assert got.status_code == 200, got.text
    return got.json()["data"]["ranges"]


def row_text(local: str) -> str:
    """The table has no date beside its own, and no seconds."""
    return local[11:16] + local[19:]


def assert_shows(page: Page, line: Line, ranges: list[dict[str, str]]) -> None:
    assert page.text("#picture .range title") == [f"schedule {line.schedule}: {item['localStart']} to {item['localEnd']}" for item in ranges]
    rows = {date: text.split("; ") for date, text in zip(page.text("#text tbody th"), page.text("#text tbody td > div"), strict=True)}
    expected: dict[str, list[str]] = {f"2026-03-{day}": [] for day in range(23, 30)}
    for item in ranges:
        expected[item["localStart"][:10]].append(f"{row_text(item['localStart'])} to {row_text(item['localEnd'])}")
    assert rows == {date: items or ["no hours"] for date, items in expected.items()}
    assert page.text("#note") == [""]


def test_shows_the_ranges_that_the_api_answers(line: Line, page: Page) -> None:
    page.ask(key=line.people.member_key, day="2026-03-26")
    ranges = answer(line)
    assert len(ranges) == 10  # six nights and four days
    assert_shows(page, line, ranges)


def test_another_zone_moves_the_clock_and_no_instant(line: Line, page: Page) -> None:
    page.ask(key=line.people.member_key, day="2026-03-26", zone="Asia/Kathmandu")
    ranges = answer(line, timeZone="Asia/Kathmandu")
    assert ranges[0]["localStart"] == "2026-03-23T06:15:00+05:45"
    assert_shows(page, line, ranges)
    assert page.text("#picture .change") == []


def test_a_range_over_midnight_is_told_on_both_days(line: Line, page: Page) -> None:
    page.ask(key=line.people.member_key, day="2026-03-26", zone="Asia/Tokyo")
    assert page.text("#text tr[data-date='2026-03-25'] td > div") == ["09:30+09:00 to 10:30+09:00; 17:00+09:00 to 2026-03-26 01:00+09:00"]
    assert page.text("#text tr[data-date='2026-03-26'] td > div")[0].startswith("goes on to 01:00+09:00; ")


def test_a_date_that_is_skipped_has_a_row_and_no_length(line: Line, page: Page) -> None:
    page.ask(key=line.people.member_key, day="2011-12-30", zone="Pacific/Apia")
    assert page.text("#text tr.marked th") == ["2011-12-30"]
    assert page.text("#text tr.marked td") == ["0 h, 2011-12-30 00:00–2011-12-31 00:00 is skipped", "no hours"]
    assert page.text("#note") == [""]


@pytest.mark.parametrize(("date", "hours", "note", "clocks", "again"), [
    ("2026-03-29", 23, "02:00–03:00 is skipped", ["00", "01", "03", "04"], 0),
    ("2026-10-25", 25, "02:00–03:00 comes twice", ["00", "01", "02", "02", "03"], 2),
])
def test_marks_a_day_on_which_clocks_change(line: Line, page: Page, date: str, hours: int, note: str, clocks: list[str], again: int) -> None:
    page.ask(key=line.people.member_key, day=date)
    assert page.text("#text tr.marked th") == [date]
    assert page.text(f"#text tr[data-date='{date}'] td:nth-child(2)") == [f"{hours} h, {note}"]
    day, before = f"#picture g[data-date='{date}']", f"#picture g[data-date='{date[:-2]}{int(date[-2:]) - 1}']"
    assert set(page.text(day + " .note")) == {f"{hours} h", note}
    assert page.text(day + " .hour")[:len(clocks)] == clocks
    assert len(page.text(day + " .hour")) == hours
    assert len(page.boxes(day + " .again")) == again
    assert len(page.boxes("#picture .change")) == 1
    drawn, whole = page.boxes(day + " .day")[0], page.boxes(before + " .day")[0]
    assert drawn["width"] / whole["width"] == pytest.approx(hours / 24, abs=0.001)
    # 01:30-02:30 is half of an hour, or the half before the change with the half behind it and another an hour later.
    bars = [(bar["x"] - drawn["x"], bar["width"]) for bar in page.boxes(day + " .range")]
    hour = whole["width"] / 24
    expected = [(1.5, 0.5)] if again == 0 else [(1.5, 1), (3, 0.5)]
    assert bars == [pytest.approx((start * hour, length * hour), abs=0.05) for start, length in expected]


def test_the_weeks_before_and_after_are_a_click_away(line: Line, page: Page) -> None:
    page.ask(key=line.people.member_key, day="2026-03-26")
    page.browser.evaluate("document.querySelector('[name=after]').click()")
    page.browser.wait("document.querySelector('#about').textContent.startsWith('Mon 30 Mar')")
    page.browser.evaluate("document.querySelector('[name=before]').click()")
    page.browser.wait("document.querySelector('#about').textContent.startsWith('Mon 23 Mar')")


def test_a_user_of_an_organization(line: Line, page: Page) -> None:
    people = line.people
    page.ask(key=people.admin_key, whose="user", org=people.org, user=people.member, schedule=line.schedule, day="2026-03-26")
    assert len(page.text("#picture .range")) == 10
    assert page.browser.requests[-1].startswith(f"GET /v2/organizations/{people.org}/users/{people.member}/availability?")


def test_everybody_of_a_team_has_a_lane(line: Line, page: Page) -> None:
    people = line.people
    other, without = line.make_owners(2)
    assert line.post(NIGHT_AND_DAY | {"timeZone": "America/New_York", "overrides": []}, user=other).status_code == 201
    team = line.sql("INSERT INTO teams (org_id, name) VALUES (%s, 'Support') RETURNING id", people.org)[0][0]
    line.sql("INSERT INTO team_memberships (team_id, user_id) SELECT %s, unnest(%s)", team, [people.member, other, without])
    page.ask(key=people.admin_key, whose="team", org=people.org, team=team, zone="Europe/Berlin", day="2026-03-26")
    sunday = "[data-date='2026-03-29']"
    assert len(page.boxes(f"#picture g{sunday} .day")) == 2
    rows = {people.member: f"user {people.member}: 01:30+01:00 to 03:00+02:00", other: f"user {other}: 07:30+02:00 to 08:30+02:00"}
    bars = {people.member: f"user {people.member}: 2026-03-29T01:30:00+01:00 to 2026-03-29T03:00:00+02:00",
            other: f"user {other}: 2026-03-29T07:30:00+02:00 to 2026-03-29T08:30:00+02:00"}
    assert page.text(f"#text tr{sunday} td > div") == [text for _, text in sorted(rows.items())]
    assert page.text(f"#picture g{sunday} .range title") == [text for _, text in sorted(bars.items())]
    assert page.text("#note")[0].startswith(f"user {without}: ")
    assert page.browser.requests[-1] == f"POST /v2/organizations/{people.org}/availability/query"


@pytest.mark.parametrize(("fields", "message"), [
    ({"key": "cal_nobody"}, "401: "),
    ({"zone": "Europe/Atlantis"}, "timeZone must be a valid IANA time-zone"),
    ({"schedule": "999999999"}, "404: "),
])
def test_tells_what_the_service_refuses(line: Line, page: Page, fields: dict[str, str], message: str) -> None:
    page.ask(**{"done": "!document.querySelector('#failure').hidden", "key": line.people.member_key, "day": "2026-03-26"} | fields)
    assert message in page.text("#failure")[0]
    assert page.browser.evaluate("document.querySelector('#answer').hidden")
    page.ask(key=line.people.member_key, day="2026-03-26", zone="", schedule="")
    assert page.text("#failure") == [""]


def test_the_page_of_the_interface_leads_there_and_asks_nobody_else(browser: Browser) -> None:
    browser.open("/docs")
    browser.wait("document.querySelectorAll('.opblock').length > 10")
    assert browser.evaluate("document.querySelector('a[href=\"/docs/hours\"]').checkVisibility()")
