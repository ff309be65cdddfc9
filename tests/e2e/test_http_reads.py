"""Every GET of schedules: of an organization, a team, a user and oneself; pages, and who sees what."""

import json
import select
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
import requests

from conftest import MakeLine
from line import EXAMPLE, MINIMAL, Line, until
from replies import assert_error, assert_invalid


@dataclass(frozen=True)
class Person:
    id: int
    key: str


class Org:
    """A new organization with an admin and members, some of them in its team."""

    def __init__(self, line: Line, members: int = 0, in_team: int = 0) -> None:
        self.line = line
        self.id = int(line.admin("org", "add", "--name", "Org")["id"])
        self.team = line.sql("INSERT INTO teams (org_id, name) VALUES (%s, 'Team') RETURNING id", self.id)[0][0]
        self.admin = self.add("ADMIN")
        self.members = [self.add() for _ in range(members)]
        for member in self.members[:in_team]:
            self.join_team(member)

    def add(self, role: str = "MEMBER") -> Person:
        user = self.line.sql("INSERT INTO users (name) VALUES ('Someone') RETURNING id")[0][0]
        self.join(user, role)
        return Person(user, self.line.admin("apikey", "create", "--user", str(user))["key"])

    def join(self, user: int, role: str = "MEMBER") -> None:
        self.line.sql("INSERT INTO memberships (org_id, user_id, role) VALUES (%s, %s, %s)", self.id, user, role)

    def join_team(self, person: Person) -> None:
        self.line.sql("INSERT INTO team_memberships (team_id, user_id) VALUES (%s, %s)", self.team, person.id)

    def post(self, user: Person, **fields: Any) -> dict[str, Any]:
        path = self.line.schedules_path(user.id, self.id)
        answer = self.line.post(MINIMAL | fields, path=path, key=self.admin.key)
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["data"])

    @property
    def path(self) -> str:
        return f"/v2/organizations/{self.id}"

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.line.request("GET", self.path + path, self.admin.key, params=query)

    def ids(self, path: str, **query: Any) -> list[int]:
        return ids(self.get(path, **query))


def ids(answer: requests.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [schedule["id"] for schedule in answer.json()["data"]]


def own_command(line: Line, user: Person) -> int:
    """A schedule of no organization; its id."""
    command = line.command(userId=user.id, orgId=0)
    line.send(command)
    line.event_of(command["commandId"])
    return int(line.row_of(command["commandId"])["id"])


def text_of(data: Any) -> str:
    return json.dumps({"status": "success", "data": data}, separators=(",", ":"), ensure_ascii=False)


@pytest.fixture(scope="module")
def org(line: Line) -> Org:
    """Four members, two of them in the team; the first has three schedules, the others one each."""
    org = Org(line, members=4, in_team=2)
    for name in ("first", "second"):
        org.post(org.members[0], **EXAMPLE | {"name": name, "isDefault": name == "second"})
    for member in org.members:
        org.post(member, name=f"of {member.id}")
    return org


def lists(org: Org) -> dict[str, tuple[str, str]]:
    """The path of each list and the key that asks for it."""
    member = org.members[0]
    return {
        "org": (f"{org.path}/schedules", org.admin.key),
        "team": (f"{org.path}/teams/{org.team}/schedules", org.admin.key),
        "any_team": (f"/v2/teams/{org.team}/schedules", org.admin.key),
        "team_user": (f"{org.path}/teams/{org.team}/users/{member.id}/schedules", org.admin.key),
        "user": (f"{org.path}/users/{member.id}/schedules", org.admin.key),
        "own": ("/v2/schedules", member.key),
    }


LISTS = ["org", "team", "any_team", "team_user", "user", "own"]
PAGED = ["org", "team", "any_team"]


def wanted(line: Line, org: Org, which: str) -> list[int]:
    count = {"org": 4, "team": 2, "any_team": 2}.get(which, 1)
    owners = [member.id for member in org.members[:count]]
    return [row[0] for row in line.sql("SELECT id FROM schedules WHERE owner_id = ANY (%s) ORDER BY id", owners)]


# ---- shapes

@pytest.mark.parametrize("which", LISTS)
def test_a_list_holds_whole_schedules_in_ascending_order_of_ids(line: Line, org: Org, which: str) -> None:
    path, key = lists(org)[which]
    answer = line.request("GET", path, key)
    schedules = [line.request("GET", f"{org.path}/users/{owner}/schedules/{schedule}", org.admin.key).json()["data"]
                 for schedule, owner in line.sql("SELECT id, owner_id FROM schedules WHERE id = ANY (%s) ORDER BY id",
                                                 wanted(line, org, which))]
    assert answer.text == text_of(schedules)
    assert len(schedules) == {"org": 6, "team": 4, "any_team": 4}.get(which, 3)
    assert list(schedules[0]) == ["id", "ownerId", "name", "timeZone", "availability", "isDefault", "overrides"]
    assert [one["name"] for one in schedules if one["isDefault"]] == ["second"]
    assert "ETag" not in answer.headers


@pytest.mark.parametrize("which", LISTS)
def test_a_list_without_schedules_is_empty(line: Line, which: str) -> None:
    path, key = lists(Org(line, members=1, in_team=1))[which]
    assert line.request("GET", path, key).text == text_of([])


@pytest.mark.parametrize("which", LISTS)
def test_a_list_answers_to_all_forms_of_its_path(line: Line, org: Org, which: str) -> None:
    path, key = lists(org)[which]
    plain = line.request("GET", path, key)
    for form in (f"{path}/", f"/api{path}", path.replace("/v2", "/v2/ee"), path.replace("/v2", "/api/v2/ee"), f"{path}?x=1"):
        assert line.request("GET", form, key).text == plain.text
    head = line.request("HEAD", path, key)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", plain.headers["Content-Length"])


@pytest.mark.parametrize("which", LISTS)
@pytest.mark.parametrize("version", ["2024-04-15", "2024-06-11", "2024-09-04"])
def test_the_version_header_changes_no_list(line: Line, org: Org, which: str, version: str) -> None:
    path, key = lists(org)[which]
    answer = line.request("GET", path, key, headers={"cal-api-version": version})
    assert ids(answer) == wanted(line, org, which)


@pytest.mark.parametrize("which", LISTS)
def test_a_list_that_an_event_type_would_narrow_is_refused(line: Line, org: Org, which: str) -> None:
    """Where the reference has the parameter; elsewhere it is one that nothing looks at."""
    path, key = lists(org)[which]
    for query in ("eventTypeId=5", "take=1&eventTypeId", "eventTypeId[a]=5"):
        answer = line.request("GET", f"{path}?{query}", key)
        if "team" in which:
            assert_error(answer, 400, "eventTypeId is not served: there are no event types here")
        else:
            assert answer.status_code == 200


# ---- pages

@pytest.fixture(scope="module")
def many(line: Line) -> Org:
    """64 schedules, whose ids take turns among four members."""
    org = Org(line, members=4, in_team=2)
    for number in range(64):
        org.post(org.members[number % 4], name=f"{number}")
    return org


@pytest.mark.parametrize("which", PAGED)
@pytest.mark.parametrize("take", [1, 7, 20, 250])
def test_pages_neither_repeat_nor_miss(line: Line, many: Org, which: str, take: int) -> None:
    path, key = lists(many)[which]
    everything = wanted(line, many, which)
    pages: list[list[int]] = []
    while not pages or len(pages[-1]) == take:
        pages.append(ids(line.request("GET", f"{path}?take={take}&skip={len(pages) * take}", key)))
    assert [one for page in pages for one in page] == everything
    assert len(everything) == {"org": 64, "team": 32, "any_team": 32}[which]


def follow(line: Line, path: str, key: str) -> list[list[int]]:
    """Every page from this one on, by their links."""
    pages = []
    while path:
        answer = line.request("GET", path, key)
        pages.append(ids(answer))
        assert "Link" in answer.headers["Access-Control-Expose-Headers"]
        path = answer.links.get("next", {}).get("url", "")
    return pages


@pytest.mark.parametrize("which", PAGED)
@pytest.mark.parametrize("query", ["?take=1", "?take=7&other=1", "?take=16", "?skip=3&take=20", ""])
def test_links_lead_through_all_pages(line: Line, many: Org, which: str, query: str) -> None:
    path, key = lists(many)[which]
    pages = follow(line, path + query, key)
    skip = 3 if "skip" in query else 0
    assert [one for page in pages for one in page] == wanted(line, many, which)[skip:]
    assert all(len(page) == len(pages[0]) for page in pages[:-1]) and pages[-1]


def test_a_cursor_is_not_shifted_by_what_changes_meanwhile(line: Line) -> None:
    org = Org(line, members=1)
    made = [org.post(org.members[0])["id"] for _ in range(6)]
    first = org.get("/schedules", take=3)
    for schedule in (made[0], made[2], made[3]):
        assert line.delete(f"/v2/schedules/{schedule}", key=org.members[0].key).status_code == 200
    later = org.post(org.members[0])["id"]
    rest = follow(line, first.links["next"]["url"], org.admin.key)
    assert (ids(first), rest) == (made[:3], [[made[4], made[5], later]])


@pytest.mark.parametrize("cursor", ["x", "0", "-1", "1.5", "9223372036854775808", "%00"])
def test_a_cursor_that_no_answer_gave_is_refused(line: Line, many: Org, cursor: str) -> None:
    for path, key in lists(many).values():
        if "users" not in path and "/v2/schedules" not in path:
            answer = line.request("GET", f"{path}?cursor={cursor}", key)
            assert answer.status_code == 400 and "cursor must be one that an answer gave" in answer.text


# ---- nobody waits for another's list

@contextmanager
def locked(line: Line, table: str) -> Iterator[None]:
    """Whatever reads the table waits."""
    with closing(psycopg2.connect(line.database_url)) as session:
        session.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def callers_gathered(line: Line) -> Iterator[list[Future[requests.Response]]]:
    """31 requests whose callers are not known: the first look-up waits, and the others for it."""
    with ThreadPoolExecutor(31) as pool, locked(line, "api_keys"):
        posted = [pool.submit(line.post, {}) for _ in range(31)]
        until(lambda: line.metric("schedule_http_in_flight") == 32, "they wait")  # with that of the metrics
        yield posted


def waiting_reads(line: Line) -> int:
    return int(line.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                        " AND query LIKE '%%schedules_that_fit%%' OR query LIKE '%%own_bytes%%' AND wait_event_type = 'Lock'")[0][0])


@pytest.mark.parametrize("path", ["/v2/schedules", "org"])
def test_a_list_that_does_not_end_holds_up_no_caller(make_line: MakeLine, path: str) -> None:
    """A look-up of a caller is answered before; the list alone is ended, and no connection with it."""
    line = make_line()
    line.start()
    org = Org(line, members=1)
    key, path = (org.admin.key, org.path + "/schedules") if path == "org" else (org.members[0].key, path)
    with ThreadPoolExecutor(1) as pool, locked(line, "schedules"):
        listed = pool.submit(line.request, "GET", path, key)
        until(lambda: waiting_reads(line) == 1, "the list waits")
        assert line.request("POST", line.schedules_path(), line.people.admin_key, json={}).status_code == 400
        assert not listed.done(), "it has waited for the list"
        assert listed.result().status_code == 503
    assert "postgres connection lost" not in line.log()
    assert ids(line.request("GET", path, key)) == []


def test_a_caller_of_many_pages_waits_behind_itself(make_line: MakeLine) -> None:
    """In the order in which the answers come, which one thread is told by the kernel."""
    line = make_line()
    line.start()
    greedy, modest = Org(line), Org(line)
    answered: list[int] = []
    with ExitStack() as stack:
        connections = {connection.fileno(): connection for connection in (stack.enter_context(line.connect()) for _ in range(61))}
        answers = stack.enter_context(select.epoll())

        def ask(connection: socket.socket, org: Org) -> None:
            answers.register(connection, select.EPOLLIN)
            connection.sendall(f"GET {org.path}/schedules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {org.admin.key}\r\n\r\n".encode())

        *many, last = connections.values()
        with locked(line, "schedules"):
            for connection in many:
                ask(connection, greedy)
            until(lambda: line.metric("schedule_http_in_flight") == 61, "they wait")  # with that of the metrics
            ask(last, modest)
            until(lambda: line.metric("schedule_http_in_flight") == 62, "it waits")
        while len(answered) < len(connections):
            [(number, _)] = answers.poll(30, maxevents=1)
            assert connections[number].recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503")
            answers.unregister(number)
            answered.append(number)
        assert answered.index(last.fileno()) < 30, "it has waited for the others"


def test_callers_that_come_while_others_are_looked_up_go_together(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    looked_up = line.metric("schedule_read_seconds_count")
    with callers_gathered(line) as posted:
        pass
    assert [answer.result().status_code for answer in posted] == [400] * 31
    assert line.metric("schedule_read_seconds_count") - looked_up <= 2


def test_callers_that_gather_are_told_when_their_connection_is_lost(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    with callers_gathered(line) as posted:
        line.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE datname = current_database() AND application_name = 'schedule-service callers'")
        assert [answer.result().status_code for answer in posted] == [503] * 31
    line.wait_readiness((200, None))
    assert line.post({}).status_code == 400


@pytest.mark.parametrize("path", ["/v2/schedules", "org"])
def test_a_list_that_is_too_large_costs_what_an_answer_may(make_line: MakeLine, path: str) -> None:
    """It stops at the first row that does not fit: that one cannot be read."""
    line = make_line()
    line.start()
    org = Org(line, members=1)
    key, path = (org.admin.key, org.path + "/schedules") if path == "org" else (org.members[0].key, path)
    line.sql("ALTER TABLE schedules ALTER overrides SET STORAGE EXTERNAL")
    made = org.post(org.members[0], overrides=[{"date": "2024-05-20", "startTime": "18:00", "endTime": "21:00"}] * 1000)["id"]
    line.sql("INSERT INTO schedules SELECT id + 1000000 + i, gen_random_uuid(), command_digest, org_id, owner_id, name, time_zone, availability,"
             " overrides, version, created_at, updated_at FROM schedules, generate_series(1, 240) i WHERE id = %s", made)
    before = toasted_reads(line)
    assert "exceed 4194304 bytes" in line.request("GET", path, key).json()["error"]["message"]
    until(lambda: toasted_reads(line) > before, "the counters are told")
    assert toasted_reads(line) - before < 150, "it stops early: 4 MiB are some 65 of these"


def toasted_reads(line: Line) -> int:
    """How many values that are stored apart were read."""
    return int(line.sql("SELECT t.idx_scan FROM pg_class c JOIN pg_stat_all_tables t ON t.relid = c.reltoastrelid"
                        " WHERE c.relname = 'schedules'")[0][0] or 0)


def test_a_page_has_at_most_250(line: Line) -> None:
    org = Org(line, members=2)
    for number in range(252):
        org.post(org.members[number % 2])
    everything = [row[0] for row in line.sql("SELECT id FROM schedules WHERE org_id = %s ORDER BY id", org.id)]
    assert org.ids("/schedules") == org.ids("/schedules", take=250) == everything[:250]
    assert org.ids("/schedules", skip=250) == everything[250:]


@pytest.mark.parametrize(("query", "take", "skip"), [
    ("take=&skip=", 64, 0), ("take", 64, 0), ("take=5.9&skip=1.9", 5, 1), ("take=3&take=9&skip=2&skip=0", 3, 2),
    ("take=%33&s%6bip=%202", 3, 2), ("take=+3&skip=%2B2", 3, 2), ("take=007", 7, 0), ("take=3abc", 3, 0), ("skip=-0", 64, 0),
    ("skip=1000", 64, 1000), ("skip=10000&cursor=", 64, 10000),
    ("Take=3&taken=3&take.a=3", 64, 0), ("take[]=3", 3, 0), ("take%5B0%5D=3&take=9&skip[]=2", 3, 2)])
def test_take_and_skip_are_read_as_the_contract_says(line: Line, many: Org, query: str, take: int, skip: int) -> None:
    everything = wanted(line, many, "org")
    path, key = lists(many)["org"]
    assert ids(line.request("GET", f"{path}?{query}", key)) == everything[skip:skip + take]


TAKE_MAX = "take must not be greater than 250"
TAKE_MIN = "take must not be less than 1"
TAKE_NUMBER = "take must be a number conforming to the specified constraints"
SKIP_MAX = "skip must not be greater than 10000"
SKIP_MIN = "skip must not be less than 0"
SKIP_NUMBER = "skip must be a number conforming to the specified constraints"


def error(name: str, value: Any, **constraints: str) -> dict[str, Any]:
    return {"value": value, "property": name, "children": [], "constraints": constraints}


NO_TAKE = error("take", None, max=TAKE_MAX, min=TAKE_MIN, isNumber=TAKE_NUMBER)
QUERIES: dict[str, list[dict[str, Any]]] = {
    "take=0": [error("take", 0, min=TAKE_MIN)],
    "take=-5": [error("take", -5, min=TAKE_MIN)],
    "take=0x10": [error("take", 0, min=TAKE_MIN)],
    "take=251": [error("take", 251, max=TAKE_MAX)],
    "take=300.7&take=5": [error("take", 300, max=TAKE_MAX)],
    "take=99999999999999999999": [error("take", 1e20, max=TAKE_MAX)],
    "take=abc": [NO_TAKE],
    "take=%20": [NO_TAKE],
    "take=null": [NO_TAKE],
    "take=NaN&skip=1": [NO_TAKE],
    "take[a]=1": [NO_TAKE],
    "take%5Ba%5D=1&take=5": [NO_TAKE],
    "take[": [NO_TAKE],
    "take[]=0&take[a]=1": [error("take", 0, min=TAKE_MIN)],
    "take[7]=251": [error("take", 251, max=TAKE_MAX)],
    "skip=-1": [error("skip", -1, min=SKIP_MIN)],
    "skip=10001": [error("skip", 10001, max=SKIP_MAX)],
    "skip=x": [error("skip", None, max=SKIP_MAX, min=SKIP_MIN, isNumber=SKIP_NUMBER)],
    "skip=%00": [error("skip", None, max=SKIP_MAX, min=SKIP_MIN, isNumber=SKIP_NUMBER)],
    "skip=-1&take=0": [error("take", 0, min=TAKE_MIN), error("skip", -1, min=SKIP_MIN)],
    "skip=" + "9" * 400: [error("skip", None, max=SKIP_MAX, isNumber=SKIP_NUMBER)],
}


@pytest.mark.parametrize("which", PAGED)
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:25])
def test_a_wrong_page_is_named(line: Line, org: Org, which: str, query: str) -> None:
    path, key = lists(org)[which]
    assert_invalid(line.request("GET", f"{path}?{query}", key), QUERIES[query])


def test_what_is_wrong_stands_in_the_contracts_order(line: Line, org: Org) -> None:
    text = org.get("/schedules", take="x").text
    assert ('"details":{"errors":[{"value":null,"property":"take","children":[],"constraints":{"max":"' + TAKE_MAX +
            '","min":"' + TAKE_MIN + '","isNumber":"' + TAKE_NUMBER + '"}}]}') in text


def test_who_may_not_is_told_so_before_the_query_is_looked_at(line: Line, org: Org) -> None:
    for which in PAGED:
        path = lists(org)[which][0] + "?take=0"
        assert line.request("GET", path).status_code == 401
        assert line.request("GET", path, org.members[3].key).status_code == 403, which


def test_lists_that_have_no_pages_look_at_no_query(line: Line, org: Org) -> None:
    for which in ("team_user", "user", "own"):
        path, key = lists(org)[which]
        assert ids(line.request("GET", f"{path}?take=0&skip=x", key)) == wanted(line, org, which)


def test_a_page_that_is_too_large_tells_how_many_fit(line: Line) -> None:
    org = Org(line, members=2, in_team=2)
    override = {"date": "2024-05-20", "startTime": "18:00", "endTime": "21:00"}
    for number in range(80):
        org.post(org.members[number % 2], overrides=[override] * 1000)
    for path in ("/schedules", f"/teams/{org.team}/schedules"):
        message = org.get(path).json()["error"]["message"]
        begin = "The schedules of this page exceed 4194304 bytes, please take at most "
        assert message.startswith(begin)
        take = int(message.removeprefix(begin))
        assert_error(org.get(path, take=take + 1), 400, message)
        assert len(org.ids(path, take=take)) == take
        assert len(org.ids(path, take=take, skip=take)) == 80 - take


# ---- who sees what

def test_an_organization_sees_its_own_schedules_and_those_of_none(line: Line) -> None:
    one, other = Org(line, members=1, in_team=1), Org(line)
    both = one.members[0]
    other.join(both.id)
    other.join_team(both)
    made = {"one": one.post(both)["id"], "other": other.post(both)["id"], "none": own_command(line, both)}
    for org, mine, others in ((one, "one", "other"), (other, "other", "one")):
        for path in ("", f"/teams/{org.team}", f"/users/{both.id}", f"/teams/{org.team}/users/{both.id}"):
            assert org.ids(f"{path}/schedules") == sorted([made[mine], made["none"]])
        for which in (mine, "none"):
            assert org.get(f"/users/{both.id}/schedules/{made[which]}").json()["data"]["id"] == made[which]
        assert_error(org.get(f"/users/{both.id}/schedules/{made[others]}"), 404,
                     f"Schedule with ID={made[others]} does not exist.")
    assert ids(line.request("GET", "/v2/schedules", both.key)) == sorted(made.values())
    for schedule in made.values():
        assert line.request("GET", f"/v2/schedules/{schedule}", both.key).json()["data"]["id"] == schedule


def test_who_left_is_listed_no_more(line: Line) -> None:
    org = Org(line, members=2, in_team=2)
    stayed, left = (org.post(member)["id"] for member in org.members)
    for path in ("/schedules", f"/teams/{org.team}/schedules"):
        assert org.ids(path) == sorted([stayed, left])
    line.sql("DELETE FROM memberships WHERE user_id = %s", org.members[1].id)
    for path in ("/schedules", f"/teams/{org.team}/schedules"):
        assert org.ids(path) == [stayed]
    assert ids(line.request("GET", "/v2/schedules", org.members[1].key)) == [left]


def test_a_team_has_the_schedules_of_its_members_alone(line: Line, org: Org) -> None:
    listed = org.get(f"/teams/{org.team}/schedules").json()["data"]
    assert {schedule["ownerId"] for schedule in listed} == {member.id for member in org.members[:2]}


# ---- one's own

def test_own_schedules_are_found_by_id(line: Line, org: Org) -> None:
    member = org.members[0]
    for schedule in line.request("GET", "/v2/schedules", member.key).json()["data"]:
        for form in ("{}", "0{}", "%20{}", "%2B{}", "{}/", "{}?x=1"):
            answer = line.request("GET", "/v2/schedules/" + form.format(schedule["id"]), member.key)
            assert answer.text == text_of(schedule)
        assert line.request("GET", f"/api/v2/ee/schedules/{schedule['id']}", member.key).text == text_of(schedule)


def test_a_colleagues_schedule_is_403_and_a_strangers_is_not_there(line: Line, org: Org) -> None:
    asking, colleague = org.members[:2]
    [(theirs,)] = line.sql("SELECT id FROM schedules WHERE owner_id = %s", colleague.id)
    stranger = Org(line, members=1)
    foreign = stranger.post(stranger.members[0])["id"]
    assert_error(line.request("GET", f"/v2/schedules/{theirs}", asking.key), 403,
                 f"User with ID={asking.id} does not own schedule with ID={theirs}")
    for schedule in (foreign, 0, -5, 999_999_999):
        assert_error(line.request("GET", f"/v2/schedules/{schedule}", asking.key), 404,
                     f"Schedule with ID={schedule} does not exist.")


@pytest.mark.parametrize("text", ["abc", "5a", "1.5", "%FF", "9223372036854775808", "%20", "defaults"])
def test_an_own_schedule_id_that_is_no_integer_is_400(line: Line, org: Org, text: str) -> None:
    path = f"/v2/schedules/{text}"
    assert_error(line.request("GET", path, org.members[0].key), 400, "Validation failed (numeric string is expected)", path)


def test_the_default_is_the_last_that_asked_for_it_or_null(line: Line) -> None:
    org = Org(line, members=1)
    member = org.members[0]

    def default() -> requests.Response:
        return line.request("GET", "/v2/schedules/default", member.key)

    org.post(member)
    assert default().text == text_of(None)
    assert "ETag" not in default().headers
    for name in ("one", "two"):
        made = org.post(member, name=name, isDefault=True)
        assert default().text == text_of(made)
    for form in ("/v2/schedules/default/", "/api/v2/schedules/default", "/v2/ee/schedules/default", "/v2/schedules/default?x"):
        assert line.request("GET", form, member.key).text == text_of(made)
    head = line.request("HEAD", "/v2/schedules/default", member.key)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(text_of(made))))


def test_own_routes_need_a_key_and_nothing_else(line: Line) -> None:
    for path in ("/v2/schedules", "/v2/schedules/default", "/v2/schedules/1"):
        assert line.request("GET", path).status_code == 401
    assert line.request("GET", "/v2/schedules", line.people.stranger_key).text == text_of([])
    assert line.request("GET", "/v2/schedules/default", line.people.stranger_key).text == text_of(None)


def test_an_organization_has_no_default_route(line: Line, org: Org) -> None:
    path = f"{org.path}/users/{org.members[0].id}/schedules/default"
    assert_error(line.request("GET", path, org.admin.key), 400, "Validation failed (numeric string is expected)", path)
    path = f"{org.path}/schedules/5"
    assert_error(line.request("GET", path, org.admin.key), 404, f"Cannot GET {path}", path)


# ---- versions

def test_one_schedule_carries_its_version_as_etag(line: Line) -> None:
    org = Org(line, members=1)
    member = org.members[0]
    made = line.post(MINIMAL | {"isDefault": True}, path=line.schedules_path(member.id, org.id), key=org.admin.key)
    schedule = made.json()["data"]["id"]
    answers = [made, org.get(f"/users/{member.id}/schedules/{schedule}"),
               line.request("GET", f"/v2/schedules/{schedule}", member.key),
               line.request("HEAD", f"/v2/schedules/{schedule}", member.key),
               line.request("GET", "/v2/schedules/default", member.key)]
    assert [answer.headers["ETag"] for answer in answers] == ['"1"'] * 5
    assert all("ETag" in answer.headers["Access-Control-Expose-Headers"] for answer in answers)


def test_what_is_changed_in_the_database_is_seen_at_once(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    org = Org(line, members=1)
    member = org.members[0]
    kept, default = org.post(member), org.post(member, isDefault=True)
    line.sql("UPDATE schedules SET version = 1234567890123 WHERE id = %s", kept["id"])
    assert line.request("GET", f"/v2/schedules/{kept['id']}", member.key).headers["ETag"] == '"1234567890123"'
    line.sql("DELETE FROM schedules WHERE id = %s", default["id"])
    assert line.request("GET", "/v2/schedules/default", member.key).text == text_of(None)
    assert line.request("GET", "/v2/schedules", member.key).text == text_of([kept])
    assert_error(line.request("GET", f"/v2/schedules/{default['id']}", member.key), 404,
                 f"Schedule with ID={default['id']} does not exist.")


def test_a_caller_with_256_requests_at_once_is_answered_each(line: Line) -> None:
    """The share that a caller has of what may wait is no less."""
    schedule = line.post(MINIMAL).json()["data"]["id"]
    request = (f"GET {line.schedules_path()}/{schedule} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {line.people.admin_key}\r\n"
               "Connection: close\r\n\r\n").encode()
    url = urlsplit(line.service.url)
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection((url.hostname, url.port), 30)) for _ in range(256)]
        for one in sockets:
            one.sendall(request)
        assert {one.recv(12) for one in sockets} == {b"HTTP/1.1 200"}


# ---- no room for an answer

UNREAD_LISTS = 5
LIST_BYTES = (16 << 20) // UNREAD_LISTS  # so that they take nearly all that may be unsent


def with_overrides(count: int) -> dict[str, Any]:
    return MINIMAL | {"isDefault": False, "overrides": [
        {"date": f"{2030 + n // 336}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}", "startTime": "09:00", "endTime": "17:00"}
        for n in range(count)]}


def unread_answer(line: Line, path: str, key: str) -> socket.socket:
    host, port = line.service.env["HTTP_LISTEN"].split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((host, int(port)))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    return connection


def test_what_is_stored_is_told_where_there_is_no_room_for_it(make_line: MakeLine) -> None:
    """Lists that their reader does not take fill it; a change is answered as one that is done, with the id alone."""
    line = make_line()
    line.start()
    org = Org(line, members=2)
    path, key = line.schedules_path(org.members[0].id, org.id), org.admin.key
    other = line.schedules_path(org.members[1].id, org.id)
    empty, full = (len(line.request("POST", other, key, json=with_overrides(count)).content) for count in (1, 1000))
    lengths = {count: empty + (full - empty) * (count - 1) // 999 for count in range(900, 1000)}
    count = min(lengths, key=lambda count: abs(LIST_BYTES % lengths[count] - 4000))
    made = [line.request("POST", path, key, json=with_overrides(count)) for _ in range(LIST_BYTES // lengths[count])]
    assert {answer.status_code for answer in made} == {201}
    assert LIST_BYTES - full // UNREAD_LISTS < len(line.request("GET", path, key).content) <= LIST_BYTES
    schedule = made[0].json()["data"]["id"]
    one = f"{path}/{schedule}"
    with ExitStack() as stack:
        for _ in range(UNREAD_LISTS):
            stack.enter_context(unread_answer(line, path, key))
        until(lambda: line.request("GET", one, key).status_code == 503, "there is no room")
        created = line.request("POST", other, key, json=with_overrides(1000))
        changed = line.request("PATCH", one, key, json={"name": "Changed"})
    assert (created.status_code, changed.status_code) == (201, 200)
    assert (set(created.json()["data"]), changed.json()["data"]) == ({"id"}, {"id": schedule})
    until(lambda: line.request("GET", one, key).status_code == 200, "there is room")
    told = line.request("GET", one, key)
    assert (told.json()["data"]["name"], told.headers["ETag"]) == ("Changed", changed.headers["ETag"])
    assert line.request("GET", f"{other}/{created.json()['data']['id']}", key).status_code == 200
