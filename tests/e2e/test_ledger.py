"""The ledger itself: it must not be blind."""

import pytest

import ledger
from conftest import MakeLine
from line import EXAMPLE, Line


@pytest.fixture
def balanced(make_line: MakeLine) -> Line:
    line = make_line()
    line.start()
    line.load(200, duplicates=0.05, invalid=0.05, undecodable=0.05)
    line.post(EXAMPLE)
    report = line.balance()
    assert min(report.counts.values()) > 0, report
    return line


def faults(line: Line) -> str:
    return "\n".join(ledger.audit(line.place, line.answers).faults)


def copy(line: Line, topic: str, message: ledger.Message) -> None:
    sender = ledger.producer(line.servers.kafka.bootstrap)
    sender.send(topic, key=message.key, value=message.value, headers=list(message.header_list)).get(30)
    sender.close()


def test_it_sees_what_is_lost_doubled_changed_or_of_nobody(balanced: Line) -> None:
    line = balanced
    assert faults(line) == ""
    of_a_command = f"id = (SELECT min(id) FROM schedules WHERE owner_id <> {line.people.member})"
    line.sql(f"UPDATE schedules SET name = 'changed' WHERE {of_a_command}")
    assert "is not equal to its row" in faults(line)
    line.sql(f"DELETE FROM schedules WHERE {of_a_command}")
    assert "lost: no row of command" in faults(line)
    line.sql("UPDATE default_schedules SET schedule_id = (SELECT min(id) FROM schedules)")
    assert "the events say" in faults(line)
    line.answers.created.append({"id": 10**9, "ownerId": 1, "name": ""})
    assert "lost: HTTP answered 201" in faults(line)
    line.answers.created.clear()
    assert "rows that nobody asked for" in faults(line)
    events = line.topic(line.place.events).read_to_end()
    copy(line, line.place.events, next(one for one in events if one.headers["ce_type"] == ledger.CREATED.encode()))
    assert "twice: ScheduleCreated" in faults(line)
    copy(line, line.place.events, next(one for one in events if one.headers["ce_type"] == ledger.REJECTED.encode()))
    assert "out of order" in faults(line)
    copy(line, line.place.dead_letters, line.topic(line.place.dead_letters).read_to_end()[0])
    assert "a second one" in faults(line)
    line.stop()
    for expect, fault in (("created", "lost: no row"), ("rejected", "lost: no rejection"), ("dead", "lost: no dead letter")):
        line.send(line.command(), expect=expect)
        assert fault in faults(line)
