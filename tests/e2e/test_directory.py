"""The directory: by hand, in bulk, over its topic; what it does to schedules."""

from __future__ import annotations

import json
import re
import select
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from conftest import MakeLine
import ledger
from ledger import Message, query
from line import BINARY, EXAMPLE, Line, until
from servers import ServerError
from wire import JSON_HEADERS, UPDATE, WORKING_HOURS, decode_event, framed, messages

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
    assert re.fullmatch(r"read=[1-9]\d* completed=\d+ rejected=0 seconds=[12]\n", process.stderr.readline())
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
    assert "the lines up to 1000 are completed" in err
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


# ---- what it does to schedules

def events_of(line: Line, owner: int, count: int) -> list[Message]:
    """The events of an owner's schedules, in their order: that many and no more, when what was committed later is there."""
    barrier = line.command()
    line.send(barrier)
    line.event_of(barrier["commandId"])
    events = line.topic(line.place.events).wait_for(lambda event: event.key == str(owner).encode(), count)
    assert len(events) == count, events
    return events


def types_of(events: list[Message]) -> list[bytes]:
    return [event.headers["ce_type"].removeprefix(b"schedules.v1.") for event in events]


@pytest.fixture
def running(make_line: MakeLine) -> Line:
    line = make_line()
    line.start()
    return line


def test_a_user_who_comes_with_a_time_zone_gets_one_default_schedule(running: Line) -> None:
    ada = [user(5001), user(5001, timeZone="europe/rome"), user(5001, timeZone="Europe/Paris"), user(5001), user(5001)]
    for entry in [*ada, *ada]:
        assert import_(running, lines([entry]))[0] == 0
    event, = events_of(running, 5001, 1)
    content = decode_event(event.value or b"", event.headers)
    assert (content["name"], content["time_zone"], content["org_id"]) == ("Default schedule", "Europe/Rome", 0)
    assert (content["availability"], content["overrides"], content["is_default"]) == (WORKING_HOURS, [], True)
    assert content == running.row_of(content["command_id"]) | {"command_id": content["command_id"], "is_default": True,
                                                                "org_id": 0}
    assert running.sql("SELECT schedule_id FROM default_schedules WHERE owner_id = 5001") == [(content["id"],)]
    assert running.sql("SELECT time_zone FROM users WHERE id = 5001") == [("Europe/Paris",)]


def test_who_has_a_schedule_gets_no_other(running: Line) -> None:
    assert import_(running, lines([membership(running.people.org, 5001)]))[0] == 0
    assert running.post(EXAMPLE, user=5001).status_code == 201
    assert import_(running, lines([user(5001, timeZone="Europe/Rome")]))[0] == 0
    events_of(running, 5001, 1)


def test_a_removed_user_leaves_no_schedule_and_each_says_so(running: Line) -> None:
    org = running.people.org
    assert import_(running, lines([user(5001, timeZone="Europe/Rome"), membership(org, 5001)]))[0] == 0
    assert running.post(EXAMPLE | {"isDefault": False}, user=5001).status_code == 201
    running.cli("member", "remove", "--org", str(org), "--user", "5001")
    assert running.sql("SELECT count(*) FROM schedules WHERE owner_id = 5001") == [(2,)]
    running.cli("user", "remove", "--id", "5001")
    assert running.sql("SELECT count(*) FROM schedules WHERE owner_id = 5001") == [(0,)]
    events = events_of(running, 5001, 4)
    assert types_of(events) == [b"ScheduleCreated"] * 2 + [b"ScheduleDeleted"] * 2
    deleted = [messages().ScheduleDeleted.FromString(event.value).schedule for event in events[2:]]
    created = [decode_event(event.value or b"", event.headers) for event in events[:2]]
    assert [one.id for one in deleted] == sorted(one["id"] for one in created)
    assert [one.version for one in deleted] == [2, 2]


def test_a_removed_organization_takes_its_schedules_and_no_other(running: Line) -> None:
    assert import_(running, lines([organization(5000), user(5001, timeZone="Europe/Rome"), membership(5000, 5001)]))[0] == 0
    for org in (5000, 5000, 0):
        command = running.command(userId=5001, orgId=org)
        running.send(command)
        running.event_of(command["commandId"])
    running.cli("org", "remove", "--id", "5000")
    assert running.sql("SELECT name FROM schedules WHERE owner_id = 5001 ORDER BY id") == [("Default schedule",), ("Minimal",)]
    assert running.sql("SELECT count(*) FROM memberships WHERE org_id = 5000") == [(0,)]
    assert types_of(events_of(running, 5001, 6)) == [b"ScheduleCreated"] * 4 + [b"ScheduleDeleted"] * 2


# ---- over its topic

def key_of(entry: Entry) -> str:
    ids = [entry[name] for name in ("id", "orgId", "teamId", "userId") if name in entry]
    return "/".join(map(str, [entry["type"], *(ids[:1] if "id" in entry else ids)]))


def protobuf_of(entry: Entry) -> bytes:
    names = {"orgId": "org_id", "userId": "user_id", "teamId": "team_id", "timeZone": "time_zone"}
    fields = {names.get(name, name): value for name, value in entry.items() if name != "type"}
    if "role" in fields:
        fields["role"] = messages().Role.Value(f"ROLE_{fields['role']}")
    return bytes(messages().DirectoryEntry(**{entry["type"].replace("-", "_"): fields}).SerializeToString())


class DirectoryTopic:
    """The directory's topic of a line, as the services that own the directory write it."""

    def __init__(self, line: Line) -> None:
        self.line, self.name = line, line.env["DIRECTORY_TOPIC"]
        self.producer = ledger.producer(line.servers.kafka.bootstrap)

    def put(self, key: str, value: bytes | None, as_json: bool = False) -> tuple[int, int]:
        headers = [(name, text.encode()) for name, text in JSON_HEADERS.items()] if as_json else []
        sent = self.producer.send(self.name, key=key.encode(), value=value, headers=headers).get(30)
        return sent.partition, sent.offset

    def put_entries(self, *entries: Entry, as_json: bool = False) -> None:
        for entry in entries:
            self.put(key_of(entry), json.dumps(entry).encode() if as_json else protobuf_of(entry), as_json)

    def wait_completed(self) -> None:
        """Until every stored offset is at the end of its log."""
        partitions = [TopicPartition(self.name, number) for number in self.producer.partitions_for(self.name)]
        consumer = KafkaConsumer(bootstrap_servers=self.line.servers.kafka.bootstrap)
        ends = {place.partition: end for place, end in consumer.end_offsets(partitions).items() if end > 0}
        consumer.close()

        def stored() -> dict[int, int]:
            rows = self.line.sql("SELECT partition, next_offset FROM command_offsets WHERE topic = %s", self.name)
            return {number: offset for number, offset in rows if number in ends}

        until(lambda: stored() == ends, "the topic is completed")


@pytest.fixture
def topic(running: Line) -> Iterator[DirectoryTopic]:
    one = DirectoryTopic(running)
    yield one
    one.producer.close(timeout=5)


@pytest.mark.parametrize("as_json", [False, True])
def test_entries_come_over_the_topic_and_tombstones_remove_them(topic: DirectoryTopic, as_json: bool) -> None:
    before = directory(topic.line)
    topic.put_entries(*reversed(ONE_OF_EACH), as_json=as_json)  # what refers to others comes first
    topic.wait_completed()
    assert topic.line.sql("SELECT name, time_zone FROM users WHERE id = 5001") == [("Ada", "Europe/Rome")]
    assert topic.line.sql("SELECT role FROM memberships WHERE org_id = 5000 AND user_id = 5001") == [("ADMIN",)]
    assert topic.line.sql("SELECT name, org_id FROM teams WHERE id = 5002") == [("Team", 5000)]
    assert topic.line.sql("SELECT role FROM team_memberships WHERE team_id = 5002 AND user_id = 5001") == [("OWNER",)]
    assert topic.line.sql("SELECT name FROM organizations WHERE id = 5000") == [("Acme",)]
    assert types_of(events_of(topic.line, 5001, 1)) == [b"ScheduleCreated"]
    for entry in ONE_OF_EACH:
        topic.put(key_of(entry), None)
    topic.wait_completed()
    assert [row[:5] for row in directory(topic.line)] == [row[:5] for row in before]


def test_the_topic_read_anew_changes_nothing(topic: DirectoryTopic) -> None:
    people = [user(user_id, timeZone="Europe/Rome") for user_id in range(5001, 5101)]
    topic.put_entries(*ONE_OF_EACH, *people, *(membership(5000, one["id"]) for one in people), user(5001, "Ada L"))
    topic.wait_completed()
    line = topic.line
    before = directory(line)
    line.stop()
    for number in topic.producer.partitions_for(topic.name):
        line.cli("offsets", "reset", "--topic", topic.name, "--partition", str(number), "--to", "earliest")
    line.start()
    topic.wait_completed()
    assert directory(line) == before
    assert line.sql("SELECT count(*) FROM schedules WHERE owner_id > 5000") == [(100,)]
    for owner in (5001, 5100):
        events_of(line, owner, 1)
    shown = line.cli("offsets", "show")
    assert f"topic={topic.name} " in shown and f"topic={line.place.commands} " in shown


BAD = {
    "no entry": ("user/5001", b"\xff", "the value is not a schedules.v1.DirectoryEntry"),
    "no key": ("", protobuf_of(user(5001)), "key must be user/5001"),
    "other key": ("user/5002", protobuf_of(user(5001)), "key must be user/5001"),
    "no zone": ("user/5001", protobuf_of(user(5001, timeZone="Mars/Base")), "timeZone must be a valid IANA time-zone"),
    "two faults": ("membership/0/5001", protobuf_of({"type": "membership", "orgId": 0, "userId": 5001}),
                   "orgId must be a positive integer of at most 18 digits; "
                   "role must be one of the following values: OWNER, ADMIN, MEMBER"),
    "removes nothing": ("person/5001", None, "the key names no entry: organization/<id>, user/<id>, "
                                             "membership/<orgId>/<userId>, team/<id> or team-membership/<teamId>/<userId>"),
    "refused by the database": ("user/5001", protobuf_of(user(5001, "poison")), "the database refuses the row"),
}


def test_a_bad_entry_becomes_a_dead_letter_and_its_neighbours_are_unharmed(topic: DirectoryTopic) -> None:
    line = topic.line
    line.sql("ALTER TABLE users ADD CHECK (name <> 'poison')")
    sent = {}
    for number, (name, (key, value, _)) in enumerate(BAD.items()):
        topic.put_entries(user(6000 + number))
        sent[name] = topic.put(key, value)
        topic.put(f"user/{7000 + number}", framed(protobuf_of(user(7000 + number))))
    topic.wait_completed()
    assert line.sql("SELECT count(*) FROM users WHERE id BETWEEN 6000 AND 7999") == [(2 * len(BAD),)]
    assert line.sql("SELECT count(*) FROM users WHERE id IN (5001, 5002)") == [(0,)]
    for name, (partition, offset) in sent.items():
        letter, = line.topic(line.place.dead_letters).wait_for(
            lambda one: (one.headers["dead-letter-partition"], one.headers["dead-letter-offset"])
            == (str(partition).encode(), str(offset).encode()))
        key, value, reason = BAD[name]
        assert letter.headers["dead-letter-reason"].decode() == reason
        assert letter.headers["dead-letter-topic"].decode() == topic.name
        assert (letter.key, letter.value) == (key.encode(), value)
    assert line.metric('schedule_directory_entries_total{result="dead_letter"}') == len(BAD)
    assert line.metric('schedule_directory_entries_total{result="applied"}') == 2 * len(BAD)


def test_without_a_topic_there_is_no_consumer(make_line: MakeLine) -> None:
    line = make_line(DIRECTORY_TOPIC="")
    line.start()
    assert line.post(EXAMPLE).status_code == 201
    assert "schedule_directory_lag" not in line.http.get(f"{line.service.url}/metrics", timeout=10).text


# ---- a user's time zone

def test_a_users_other_time_zone_leaves_schedules_and_a_command_moves_the_default(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    assert import_(line, lines([user(5000, "Ada", timeZone="Europe/Rome")]))[0] == 0
    [[schedule, hours]] = line.sql("SELECT id, availability FROM schedules WHERE owner_id = 5000")
    assert import_(line, lines([user(5000, "Ada", timeZone="America/New_York")]))[0] == 0
    assert line.sql("SELECT time_zone FROM schedules WHERE owner_id = 5000") == [("Europe/Rome",)]
    command = {"commandId": str(uuid.uuid4()), "userId": 5000, "scheduleId": schedule, "timeZone": "America/New_York"}
    line.send(command, expect="updated", as_json=True, kind=UPDATE)
    line.event_of(command["commandId"], kind=UPDATE, schedule_id=schedule)
    assert line.sql("SELECT time_zone, availability FROM schedules WHERE owner_id = 5000") == [("America/New_York", hours)]
