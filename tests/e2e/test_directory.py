"""The directory: by hand, in bulk, over its topic; what it does to schedules."""

from __future__ import annotations

import json
import re
import select
import subprocess
import time
from collections.abc import Iterable
from typing import Any

import pytest

from conftest import MakeLine
from ledger import query
from line import BINARY, Line, until
from servers import ServerError

Entry = dict[str, Any]


def organization(id_: int, name: str = "Acme") -> Entry:
    return {"type": "organization", "id": id_, "name": name}


def user(id_: int, name: str = "Ada", **more: Any) -> Entry:
    return {"type": "user", "id": id_, "name": name, **more}


def membership(org: int, user_id: int, role: str = "MEMBER") -> Entry:
    return {"type": "membership", "orgId": org, "userId": user_id, "role": role}


def team(id_: int, org: int, name: str = "Team") -> Entry:
    return {"type": "team", "id": id_, "orgId": org, "name": name}


def team_membership(team_id: int, user_id: int, role: str = "MEMBER") -> Entry:
    return {"type": "team-membership", "teamId": team_id, "userId": user_id, "role": role}


ONE_OF_EACH = [organization(5000), user(5001, timeZone="Europe/Rome"), membership(5000, 5001, "ADMIN"), team(5002, 5000),
               team_membership(5002, 5001, "OWNER")]


def lines(entries: Iterable[Entry]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def start_import(line: Line) -> subprocess.Popen[str]:
    return subprocess.Popen([str(BINARY), "import"], env=line.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def import_(line: Line, text: str) -> tuple[int, dict[str, str], list[str]]:
    """The exit status, the counts of the summary, and the lines on standard error without progress."""
    process = start_import(line)
    out, err = process.communicate(text, timeout=60)
    counts = dict(word.split("=") for word in out.split())
    return process.returncode, counts, [told for told in err.splitlines() if not told.startswith("read=")]


def directory(line: Line) -> list[Any]:
    """All of it, in one value."""
    return line.sql("""SELECT (SELECT json_agg(o ORDER BY id) FROM (SELECT id, name FROM organizations) o),
                              (SELECT json_agg(u ORDER BY id) FROM (SELECT id, name, time_zone FROM users) u),
                              (SELECT json_agg(m ORDER BY org_id, user_id) FROM memberships m),
                              (SELECT json_agg(t ORDER BY id) FROM teams t),
                              (SELECT json_agg(m ORDER BY team_id, user_id) FROM team_memberships m),
                              (SELECT json_agg(s ORDER BY id) FROM (SELECT id, owner_id, version FROM schedules) s)""")


# ---- in bulk

def test_an_import_applies_each_type_and_again_changes_nothing(make_line: MakeLine) -> None:
    line = make_line()
    text = lines([*ONE_OF_EACH, *(membership(5000, user_id) for user_id in range(6000, 8000))])
    status, counts, told = import_(line, text)
    assert (status, told) == (0, [])
    assert counts | {"seconds": ""} == {"lines": "2005", "changed": "2005", "unchanged": "0", "rejected": "0", "seconds": ""}
    assert line.sql("SELECT role FROM memberships WHERE org_id = 5000 AND user_id = 5001") == [("ADMIN",)]
    assert line.sql("SELECT name, org_id FROM teams WHERE id = 5002") == [("Team", 5000)]
    assert line.sql("SELECT role FROM team_memberships WHERE team_id = 5002 AND user_id = 5001") == [("OWNER",)]
    before = directory(line)
    status, counts, told = import_(line, text)
    assert (status, told, counts["changed"], counts["unchanged"]) == (0, [], "0", "2005")
    assert directory(line) == before


def test_an_import_removes_what_it_says(make_line: MakeLine) -> None:
    line = make_line()
    before = directory(line)
    assert import_(line, lines(ONE_OF_EACH[2:]))[0] == 0
    status, counts, _ = import_(line, lines(entry | {"remove": True} for entry in [*ONE_OF_EACH, *ONE_OF_EACH]))
    assert (status, counts["changed"], counts["unchanged"]) == (0, "2", "8")  # the organization and the user took the rest along
    assert directory(line) == before


def test_rejected_lines_are_told_and_stop_no_other(make_line: MakeLine) -> None:
    line = make_line()
    line.sql("ALTER TABLE users ADD CHECK (name <> 'refused by the database')")
    bad = [user(0), "no json", [], user(5000, "a\0b"), user(5000, timeZone="Mars/Base"), membership(1, 2, "KING"),
           user(5000, "x" * 65536), user(5000, "refused by the database"), {"type": "team", "name": "n"}]
    text = "\n \r\n"
    for number, entry in enumerate(bad):
        text += (entry if isinstance(entry, str) else json.dumps(entry)) + "\n" + lines([user(7000 + number)])
    status, counts, told = import_(line, text[:-1])  # the last line has no end
    assert (status, counts["changed"], counts["rejected"], counts["lines"]) == (1, "9", "9", "20")
    assert [ids for (ids,) in line.sql("SELECT id FROM users WHERE id >= 5000 ORDER BY id")] == list(range(7000, 7009))
    assert sorted(told, key=lambda one: int(one.split()[1][:-1])) == [
        "line 3: id: id must be a positive integer of at most 18 digits", "line 5: the value is not JSON",
        "line 7: the value is not a JSON object", "line 9: name: name must not contain the character NUL",
        "line 11: timeZone: timeZone must be a valid IANA time-zone",
        "line 13: role: role must be one of the following values: OWNER, ADMIN, MEMBER",
        "line 15: the line is longer than 64 KiB",
        'line 17: new row for relation "users" violates check constraint "users_name_check"',
        "line 19: id: id must be a positive integer of at most 18 digits",
        "line 19: orgId: orgId must be a positive integer of at most 18 digits"]


def test_of_many_rejected_lines_the_first_hundred_are_told(make_line: MakeLine) -> None:
    line = make_line()
    status, counts, told = import_(line, "x\n" * 123 + lines([organization(5000)]))
    assert (status, counts["rejected"], counts["changed"]) == (1, "123", "1")
    assert told == [f"line {number}: the value is not JSON" for number in range(1, 101)] + ["23 more lines were rejected"]


def test_progress_is_told_while_lines_come(make_line: MakeLine) -> None:
    process = start_import(make_line())
    assert process.stdin and process.stderr
    deadline = time.monotonic() + 30
    while not select.select([process.stderr], [], [], 0.01)[0] and time.monotonic() < deadline:
        process.stdin.write(lines([user(5000)]))
        process.stdin.flush()
    assert re.fullmatch(r"read=[1-9]\d* settled=\d+ rejected=0 seconds=[12]\n", process.stderr.readline())
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_lost_connection_says_how_far_the_import_came(make_line: MakeLine) -> None:
    line = make_line()
    process = start_import(line)
    assert process.stdin
    process.stdin.write(lines(user(user_id) for user_id in range(5001, 6002)))
    process.stdin.flush()
    until(lambda: line.sql("SELECT count(*) FROM users WHERE id > 5000") == [(1000,)], "the first batch is there")
    query(line.database_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                             " WHERE application_name = 'schedule-service command' AND datname = current_database()")
    out, err = process.communicate(lines(user(user_id) for user_id in range(6002, 9000)), timeout=60)
    assert process.returncode == 1
    assert "the lines up to 1000 are settled" in err
    assert "changed=1000 " in out


# ---- in any order

def test_what_is_not_known_yet_is_filled_in_later(make_line: MakeLine) -> None:
    line = make_line()
    assert import_(line, lines(reversed(ONE_OF_EACH[:4])))[0] == 0
    in_order = directory(line)
    assert import_(line, lines(entry | {"remove": True} for entry in ONE_OF_EACH))[0] == 0
    assert import_(line, lines([team_membership(5002, 5001), membership(5000, 5001, "ADMIN")]))[0] == 0
    assert line.sql("SELECT name, org_id FROM teams WHERE id = 5002") == [("", None)]
    assert line.sql("SELECT name FROM users WHERE id = 5001 UNION ALL SELECT name FROM organizations WHERE id = 5000") == [
        ("",), ("",)]
    assert import_(line, lines([team(5002, 5000), organization(5000), user(5001, timeZone="Europe/Rome"),
                                team_membership(5002, 5001) | {"remove": True}]))[0] == 0
    assert [row[:5] for row in directory(line)] == [row[:5] for row in in_order]


def test_automatic_ids_come_behind_all_that_were_told(make_line: MakeLine) -> None:
    line = make_line()
    assert import_(line, lines([membership(80_000, 90_000), team_membership(70_000, 90_001)]))[0] == 0
    assert int(line.admin("user", "add", "--name", "n")["id"]) == 90_002
    org = line.admin("org", "add", "--name", "n")["id"]
    assert int(org) == 80_001
    assert int(line.admin("team", "add", "--org", org, "--name", "n")["id"]) == 70_001


# ---- by hand

def test_each_kind_is_added_listed_and_removed_by_hand(make_line: MakeLine) -> None:
    line = make_line()
    before = directory(line)
    org = line.admin("org", "add", "--name", "Acme Inc")["id"]
    person = line.admin("user", "add", "--name", "Ada", "--time-zone", "asia/calcutta")
    assert person["time_zone"] == "Asia/Calcutta"
    group = line.admin("team", "add", "--org", org, "--name", "Sales", "--id", "4000")
    assert group == {"id": "4000", "org": org, "name": "Sales"}
    line.cli("member", "add", "--org", org, "--user", person["id"], "--role", "member")
    member = line.cli("member", "add", "--org", org, "--user", person["id"], "--role", "Owner")
    line.cli("team-member", "add", "--team", "4000", "--user", person["id"], "--role", "admin")
    assert member == f"org={org} user={person['id']} role=owner\n"
    assert f"id={org} name='Acme Inc'\n" in line.cli("org", "list")
    assert f"id={person['id']} name=Ada time_zone=Asia/Calcutta\n" in line.cli("user", "list")
    assert line.cli("member", "list", "--org", org) == f"org={org} user={person['id']} name=Ada role=owner\n"
    assert line.cli("team", "list", "--org", org) == f"id=4000 org={org} name=Sales\n"
    assert line.cli("team-member", "list", "--team", "4000") == f"team=4000 user={person['id']} name=Ada role=admin\n"
    for words in (["team-member", "remove", "--team", "4000", "--user", person["id"]], ["team", "remove", "--id", "4000"],
                  ["member", "remove", "--org", org, "--user", person["id"]], ["user", "remove", "--id", person["id"]],
                  ["org", "remove", "--id", org]):
        line.cli(*words)
        with pytest.raises(ServerError, match="there is no such"):
            line.cli(*words)
    assert directory(line) == before


@pytest.mark.parametrize("arguments", [
    ["user", "add", "--name", "x", "--time-zone", "Mars/Base"], ["team", "add", "--org", "999999", "--name", "x"],
    ["team-member", "add", "--team", "999999", "--user", "478", "--role", "admin"],
    ["member", "add", "--org", "1", "--user", "999999", "--role", "admin"], ["org", "add", "--name", "x", "--id", "1"],
    ["user", "add", "--name", "x" * 256], ["team", "list"], ["team", "remove"], ["member", "remove", "--org", "1"]])
def test_by_hand_nothing_senseless_is_done(make_line: MakeLine, arguments: list[str]) -> None:
    line = make_line()
    before = directory(line)
    with pytest.raises(ServerError):
        line.cli(*arguments)
    assert directory(line) == before
