"""The ledger itself: it must not be blind."""

from collections.abc import Callable

import pytest

import ledger
from conftest import MakeLine
from ledger import Message
from line import EXAMPLE, Line
from wire import CREATED, DELETE, REJECTED, UPDATED, decode_event, messages


@pytest.fixture
def balanced(make_line: MakeLine) -> Line:
    line = make_line()
    line.start()
    load = line.load(300, owners=5, duplicates=0.05, reused=0.05, invalid=0.05, undecodable=0.05)
    for name in ("a", "b"):
        schedule = line.post(EXAMPLE | {"name": name}).json()["data"]
        line.patch(f"{line.schedules_path()}/{schedule['id']}", {"name": "c"})
    line.delete(f"{line.schedules_path()}/{schedule['id']}")
    ledger.wait_quiet(line.place)
    line.produce(load, 300)
    report = line.balance()
    assert min(report.counts.values()) > 0, report
    return line


def faults(line: Line) -> str:
    return "\n".join(ledger.audit(line.place, line.answers).faults)


def copy(line: Line, topic: str, message: Message, value: bytes | None = None, key: bytes | None = None,
         **headers: str) -> None:
    sender = ledger.producer(line.servers.kafka.bootstrap)
    changed = {name: text.encode() for name, text in headers.items()}
    all_headers = [(name, changed.get(name, text)) for name, text in message.header_list]
    sender.send(topic, key=key or message.key, value=value or message.value, headers=all_headers).get(30)
    sender.close()


def first(line: Line, is_wanted: Callable[[Message], bool]) -> Message:
    return next(one for one in line.topic(line.place.events).read_to_end() if is_wanted(one))


def test_it_sees_what_is_lost_doubled_changed_or_of_nobody(balanced: Line) -> None:
    line = balanced
    assert faults(line) == ""
    of_a_command = f"id = (SELECT min(id) FROM schedules WHERE owner_id <> {line.people.member})"
    line.sql(f"UPDATE schedules SET name = 'changed' WHERE {of_a_command}")
    assert "is not what the events tell" in faults(line)
    line.sql(f"DELETE FROM schedules WHERE {of_a_command}")
    assert "lost: no row of schedule" in faults(line)
    line.sql("UPDATE default_schedules SET schedule_id = (SELECT min(id) FROM schedules)")
    assert "the events tell" in faults(line)
    line.answers.deleted.append(10**9)
    assert "lost: HTTP answered the DELETE" in faults(line)
    line.answers.updated[0][0]["name"] = "other"
    assert "is not what HTTP answered" in faults(line)
    line.answers.updated.clear()
    assert "events that nobody asked for" in faults(line)
    copy(line, line.place.events, first(line, lambda one: one.headers["ce_type"] == CREATED.encode()))
    assert f"({CREATED})" in faults(line)
    copy(line, line.place.events, first(line, lambda one: one.headers["ce_type"] == REJECTED.encode()))
    assert f"({REJECTED})" in faults(line)
    copy(line, line.place.dead_letters, line.topic(line.place.dead_letters).read_to_end()[0])
    assert "a second one" in faults(line)
    line.stop()
    for expect, fault in (("created", "lost: no event of command"), ("rejected", "lost: no rejection"),
                          ("dead", "lost: no dead letter")):
        line.send(line.command(), expect=expect)
        assert fault in faults(line)


def test_it_sees_events_that_do_not_follow_from_those_before(balanced: Line) -> None:
    line = balanced
    event = first(line, lambda one: one.headers["ce_type"] == UPDATED.encode())
    schedule = decode_event(event.value or b"", event.headers)

    def tampered(version: int, **fields: object) -> str:
        message = messages().ScheduleUpdated.FromString(event.value)
        message.schedule.version = version
        for name, value in fields.items():
            setattr(message.schedule, name, value)
        copy(line, line.place.events, event, message.SerializeToString(), ce_id=f"{schedule['id']}.{version}")
        return faults(line)

    seen = tampered(1000)
    assert f"ScheduleUpdated {schedule['id']}.1000" in seen
    assert "twice: Schedule" in seen
    assert "comes after version 1000" in tampered(1002)
    assert "moves its schedule to somebody else" in tampered(1003, org_id=schedule["org_id"] + 5)


def test_it_sees_two_defaults_and_a_refusal_that_is_not_so(balanced: Line) -> None:
    line = balanced
    event = first(line, lambda one: one.headers["ce_type"] == CREATED.encode())
    for schedule_id in (10**9, 10**9 + 1):
        message = messages().ScheduleCreated.FromString(event.value)
        message.schedule.id, message.schedule.is_default, message.schedule.version = schedule_id, True, 1
        message.command_id = str(schedule_id)
        copy(line, line.place.events, event, message.SerializeToString(), ce_id=f"{schedule_id}.1",
             ce_subject=str(schedule_id))
    assert f"has the default {10**9} as well" in faults(line)
    refused = messages().ScheduleCommandRejected(user_id=1)
    refused.violations.add(property="scheduleId", constraint="exists", message="")
    line.stop()
    sent = line.send({**line.command(), "scheduleId": 10**9, "userId": int(event.key or b"")}, "decided",
                     kind=DELETE)
    copy(line, line.place.events, first(line, lambda one: one.headers["ce_type"] == REJECTED.encode()),
         refused.SerializeToString(), event.key, ce_id=f"{line.place.commands}/{sent.partition}/{sent.offset}")
    assert "that is not so: exists" in faults(line)
