"""Out, exactly once: replicas that come and go, formats, parts that run apart, and topics that were cut."""

import json
import os
import random
import signal
import time

import pytest

import ledger
from conftest import MakeLine
from ledger import Message
from line import BINARY, EXAMPLE, MINIMAL, PARTITIONS, Line, end_by_signal, until
from servers import ServerError, run
from wire import CREATED, REJECTED, UNPUBLISHABLE, decode_event, decode_rejected, messages


# ---- formats and parts

def test_events_may_be_json(make_line: MakeLine) -> None:
    line = make_line(EVENT_FORMAT="json", EVENT_SOURCE="/tests")
    line.start()
    command = line.command(**EXAMPLE)
    line.send(command)
    event = line.event_of(command["commandId"])
    assert (event.headers["content-type"], event.headers["ce_source"]) == (b"application/json", b"/tests")
    row = line.row_of(command["commandId"])
    assert decode_event(event.value, event.headers) == row | {"command_id": command["commandId"], "is_default": True}
    rejected = line.rejection_of(line.send(line.command(timeZone="x"), expect="rejected"))
    body = json.loads(rejected.value)
    assert body["violations"] == [
        {"property": "timeZone", "constraint": "isTimeZone", "message": "timeZone must be a valid IANA time-zone"}]
    # Both are protobuf's own JSON mapping, but for the days' names: Google's decoder reads the rejection.
    from google.protobuf import json_format

    assert json_format.Parse(rejected.value, messages().ScheduleCommandRejected()).violations[0].property == "timeZone"
    line.balance()


def test_an_intake_and_relay_may_run_apart(make_line: MakeLine) -> None:
    line = make_line()
    interfaces = line.start(wait=False, ROLES="http,consumer")
    relay = line.start(wait=False, ROLES="relay")
    relay.wait_ready()
    interfaces.wait_ready()
    line.load(300)
    assert line.post(EXAMPLE).status_code == 201
    line.balance()
    line.stop(interfaces)
    line.stop(relay)


def test_an_intake_without_a_relay_store_and_the_relay_publishes_later(make_line: MakeLine) -> None:
    line = make_line()
    line.start_intake()
    line.load(200)
    made = line.post(EXAMPLE).json()["data"]
    until(lambda: ledger.is_complete(line.place), "the commands are completed")
    assert line.topic(line.place.events).read_to_end() == []
    line.start(ROLES="relay")
    line.event_of_schedule(made["id"])
    line.balance()


def test_too_much_waiting_wal_is_not_ready(make_line: MakeLine) -> None:
    line = make_line(WAL_BUDGET="20000")
    line.start_intake()
    for _ in range(20):
        assert line.post(EXAMPLE).status_code == 201
    line.wait_readiness((503, "too much WAL waits for the relay"))
    assert line.request("GET", "/healthz").status_code == 200


# ---- replicas

def test_a_second_replica_joins_and_leaves_under_load(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    line.load(1500, seed=1)
    until(lambda: line.metric('schedule_consumer_partitions{state="assigned"}') == PARTITIONS, "the first has them all")
    second = line.start()
    line.load(1500, seed=2)
    line.wait_log("partition revoked")
    line.stop(second)
    line.load(500, seed=3)
    report = line.balance()
    assert report.counts["messages in"] == 3500


def test_a_standby_takes_over_the_relay(make_line: MakeLine) -> None:
    line = make_line()
    first = line.start()
    until(lambda: line.metric("schedule_relay_active") == 1, "the first relays")
    second = line.start()
    line.load(300, seed=4)
    first.kill9()
    line.load(300, seed=5)
    line.replicas.reverse()  # the second is now the one to be asked
    until(lambda: line.metric("schedule_relay_active") == 1, "the second relays")
    assert line.service is second
    line.balance()


def test_a_frozen_replica_that_wakes_up_does_no_harm(make_line: MakeLine) -> None:
    line = make_line()
    frozen = line.start()
    line.load(500, seed=6)
    frozen.sigstop()
    line.start()
    line.load(500, seed=7)
    until(lambda: ledger.is_complete(line.place), "the second replica completes everything", 40)
    frozen.sigcont()
    line.load(500, seed=8)
    line.balance()


# ---- offsets

def test_offsets_show_and_reset(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    line.load(200, changes=0)
    line.balance()
    shown = {}
    for text in line.cli("offsets", "show").splitlines():
        fields = dict(word.split("=", 1) for word in text.split())
        if fields["topic"] == line.env["DIRECTORY_TOPIC"]:
            continue
        assert (fields["topic"], fields["state"], fields["lag"]) == (line.place.commands, "ok", "0")
        assert fields["next_offset"] == fields["log_end"]
        shown[int(fields["partition"])] = int(fields["next_offset"])
    assert len(shown) == PARTITIONS
    before = schedule_events(line)
    assert "next_offset=0" in line.cli("offsets", "reset", "--partition", "1", "--to", "earliest")
    line.wait_log("stored offset was moved")  # partition 1 is read again: all its commands are recognised, rejections and dead letters come again
    ledger.wait_quiet(line.place)
    assert schedule_events(line) == before


def schedule_events(line: Line) -> list[tuple[bytes, bytes]]:
    """Type and id of what happened to schedules, without rejections."""
    events = [(event.headers["ce_type"], event.headers["ce_id"]) for event in line.topic(line.place.events).read_to_end()]
    return sorted(event for event in events if event[0] != REJECTED.encode())


@pytest.mark.parametrize("arguments", [["--partition", "0", "--to", "-1"], ["--partition", "0", "--to", "1000000"],
                                       ["--partition", "99", "--to", "latest"], ["--partition", "0"], ["--to", "1"], []])
def test_a_senseless_reset_is_refused(make_line: MakeLine, arguments: list[str]) -> None:
    line = make_line()
    with pytest.raises(ServerError):
        line.cli("offsets", "reset", *arguments)
    assert line.sql("SELECT count(*) FROM command_offsets WHERE next_offset > 0") == [(0,)]


def test_a_truncated_partition_stops_loudly_and_a_reset_heals_it(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    first = [line.command(userId=line.people.member) for _ in range(3)]
    sent = [line.send(command, partition=2) for command in first]
    line.event_of(first[-1]["commandId"])
    line.stop()
    for _ in range(4):
        sent.append(line.send(line.command(), partition=2))
    line.delete_records(line.place.commands, {2: sent[5].offset})  # two were never read
    replica = line.start(wait=False)
    line.replicas = [replica, *line.replicas[:-1]]
    line.wait_log("partition stopped")
    line.wait_readiness((200, None))
    assert line.metric('schedule_consumer_partitions{state="stopped"}') == 1
    assert "state=OUTSIDE_OF_THE_LOG" in line.cli("offsets", "show")
    other = line.command()
    line.send(other, partition=1)
    line.event_of(other["commandId"])  # the other partitions go on
    assert line.sql("SELECT count(*) FROM schedules") == [(4,)]
    line.cli("offsets", "reset", "--partition", "2", "--to", "earliest")
    ledger.wait_quiet(line.place)  # nothing is started again
    assert line.sql("SELECT count(*) FROM schedules") == [(6,)]  # the two that were cut are gone for good


def test_a_stored_offset_beyond_the_log_stops_the_partition(make_line: MakeLine) -> None:
    line = make_line()
    line.sql("INSERT INTO command_offsets VALUES (%s, 0, 1000)", line.place.commands)
    line.start(wait=False)
    line.wait_log("partition stopped")
    line.wait_readiness((200, None))
    line.send(line.command(), partition=0)
    other = line.command()
    line.send(other, partition=1)
    line.event_of(other["commandId"])
    assert line.sql("SELECT command_id::text FROM schedules") == [(other["commandId"],)]


# ---- what Kafka refuses

def large(line: Line) -> int:
    """Posts a schedule that is large, and stays so compressed; its id."""
    pick = random.Random(1)
    overrides = [{"date": f"20{pick.randrange(10, 100)}-{pick.randrange(1, 13):02}-{pick.randrange(1, 29):02}",
                  "startTime": f"0{pick.randrange(10)}:{pick.randrange(60):02}", "endTime": f"1{pick.randrange(10)}:{pick.randrange(60):02}"}
                 for _ in range(1000)]
    answer = line.post(MINIMAL | {"overrides": overrides})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])


def events_of(line: Line, schedule: int) -> list[Message]:
    subject = str(schedule).encode()
    return [event for event in line.topic(line.place.events).read_to_end() if event.headers.get("ce_subject") == subject]


def test_an_event_that_kafka_refuses_is_told_in_its_place_and_published_once_it_may(make_line: MakeLine) -> None:
    line = make_line()
    line.limit_topic(line.place.events, 3000)
    line.start()
    restarts = line.metric("schedule_relay_restarts_total")  # a new topic may have had no leader yet
    schedule = large(line)
    after = line.post(MINIMAL).json()["data"]["id"]
    line.event_of_schedule(after, 60)  # it stops nothing
    [told] = events_of(line, schedule)
    assert told.headers["ce_type"] == UNPUBLISHABLE.encode()
    assert told.headers["ce_id"] == f"{schedule}.1".encode() and told.key == str(line.people.member).encode()
    event = messages().EventUnpublishable.FromString(told.value or b"")
    assert event.type == CREATED and event.value_bytes > 10_000 and "too large" in event.reason
    assert line.metric('schedule_relay_refused_records_total{kind="event"}') == 1
    assert line.metric("schedule_relay_restarts_total") == restarts
    line.limit_topic(line.place.events, 1_000_000)
    line.stop()
    line.replicas = [line.start(), *line.replicas]
    assert line.cli("rebuild", "--schedule", str(schedule)) == f"schedule={schedule}\n"
    until(lambda: len(events_of(line, schedule)) == 2, "the event is published", 60)
    assert decode_event(events_of(line, schedule)[1].value or b"", events_of(line, schedule)[1].headers)["id"] == schedule
    assert len(events_of(line, after)) == 1
    line.delete(f"{line.schedules_path()}/{schedule}")
    until(lambda: len(events_of(line, schedule)) == 3, "the deletion is published", 60)
    line.cli("rebuild", "--schedule", str(schedule))
    until(lambda: len(events_of(line, schedule)) == 4, "it is published again", 60)
    first, again = events_of(line, schedule)[2:]
    elsewhere = {"commit-position": again.headers["commit-position"]}  # it is another commit that tells it
    assert (first.value, first.headers | elsewhere) == (again.value, again.headers)
    with pytest.raises(ServerError, match="no schedule 999"):
        line.cli("rebuild", "--schedule", "999")


def test_a_rejection_that_kafka_refuses_is_cut(make_line: MakeLine) -> None:
    line = make_line()
    line.limit_topic(line.place.events, 3000)
    line.start()
    restarts = line.metric("schedule_relay_restarts_total")  # a new topic may have had no leader yet
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
    sent = line.send(line.command(commandId=noise), expect="rejected")
    event = line.rejection_of(sent)
    assert event.headers["ce_type"] == REJECTED.encode()
    rejected = decode_rejected(event.value or b"", event.headers)
    assert noise.startswith(rejected.command_id) and len(rejected.command_id) == 255
    assert [constraint for _, constraint, _ in rejected.violations][-1] == "violationsLeftOut"
    assert line.metric('schedule_relay_refused_records_total{kind="rejection"}') == 1
    assert line.metric("schedule_relay_restarts_total") == restarts


def test_a_relay_waits_while_a_topic_is_missing_and_says_so_once(make_line: MakeLine) -> None:
    line = make_line()
    missing = f"{line.place.slot}.missing"
    line.start(wait=False, EVENTS_TOPIC=missing)
    line.wait_log("started")
    until(lambda: line.metric("schedule_relay_waiting") == 1, "it waits", 60)
    restarts = line.metric("schedule_relay_restarts_total")  # a new topic may have had no leader yet
    slot = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"
    holder = line.sql(slot, line.place.slot)
    run(str(BINARY), "topics", "--partitions", "1", env=line.env | {"EVENTS_TOPIC": missing})
    line.wait_readiness((200, None), 60)  # the relay has accepted the database
    assert line.post(MINIMAL).status_code == 201
    assert line.topic(missing).wait_for(lambda event: event.headers["ce_type"] == CREATED.encode(), 1, 60)
    until(lambda: line.metric("schedule_relay_waiting") == 0, "it waits no more", 60)
    assert line.log().count("relay waits") == 1 and "Unknown topic" in line.log()
    assert line.sql(slot, line.place.slot) == holder != [(None,)]
    assert line.metric("schedule_relay_restarts_total") == restarts


# ---- the slot

def test_a_dropped_slot_closes_the_intake(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    made = line.post(MINIMAL).json()["data"]
    line.event_of_schedule(made["id"])
    slot = line.place.slot
    line.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", slot)

    def drop() -> bool:
        try:
            line.sql("SELECT pg_drop_replication_slot(%s)", slot)
        except Exception:  # the relay was quicker
            line.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", slot)
            return False
        return True

    until(drop, "the slot is dropped")
    line.wait_readiness((503, "the replication slot is missing or lost; run schedule-service rebuild"))
    answer = line.post(MINIMAL)
    assert (answer.status_code, bool(answer.headers["Retry-After"])) == (503, True)
    assert line.metric("schedule_slot_present") == 0
    line.send(line.command())
    until(lambda: line.metric("schedule_commands_in_flight") == 1, "the command is taken")
    assert line.sql("SELECT count(*) FROM schedules") == [(1,)]
    before = time.monotonic()
    line.stop()  # the command is read again when there is a slot
    assert time.monotonic() - before < 10


def test_idle_relays_let_go_of_foreign_wal(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    until(lambda: line.metric("schedule_relay_active") == 1, "it relays")
    line.sql("CREATE TABLE foreign_writes AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    position = line.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
    until(lambda: bool(line.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND confirmed_flush_lsn >= %s",
                                line.place.slot, position)), "the slot follows", 25)


# ---- stopping

def test_sigterm_drains_under_load(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    line.load(2000, seed=9, changes=0)
    for _ in range(5):
        line.post(EXAMPLE)
    before = time.monotonic()
    line.stop()
    assert time.monotonic() - before < 30
    rows = line.sql("SELECT count(*) FROM schedules")[0][0]
    events = line.topic(line.place.events).read_to_end()
    created = [event for event in events if event.headers["ce_type"] == CREATED.encode()]
    assert len(created) == rows >= 5  # everything stored was published before it ended
    line.start()
    line.balance()


def test_a_second_signal_ends_it_at_once(make_line: MakeLine) -> None:
    line = make_line()
    replica = line.start()
    line.post(EXAMPLE)
    # A frozen broker keeps the relay from draining.
    os.kill(line.servers.kafka.pid, signal.SIGSTOP)
    try:
        line.post(EXAMPLE)
        os.kill(replica.pid, signal.SIGTERM)
        line.wait_log("stopping")
        begin = time.monotonic()
        assert end_by_signal(replica, signal.SIGTERM) == 1
        assert time.monotonic() - begin < 2
    finally:
        os.kill(line.servers.kafka.pid, signal.SIGCONT)
    line.start()
    line.balance()
