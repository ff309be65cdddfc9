"""What readiness means: unready is who cannot answer HTTP; what else is amiss is told as degraded and takes traffic from nobody.
A lost slot: test_rebuild.py; servers that are away: test_faults.py."""

from __future__ import annotations

import re

import psycopg2
import pytest

from conftest import MakeLine
from line import MINIMAL, Line, until


def wait_degraded(line: Line, *patterns: str, deadline_s: float = 20) -> None:
    """Waits until it is ready and degraded for these reasons, in this order, and no others."""
    def is_told() -> bool:
        texts = line.degraded()
        return len(texts) == len(patterns) and all(map(re.fullmatch, patterns, texts))

    until(is_told, f"it says {patterns}", deadline_s)


def answers(line: Line) -> bool:
    """Whether HTTP is served, reads and writes."""
    return line.post(MINIMAL).status_code == 201 and line.request("GET", line.schedules_path(), line.people.admin_key).ok


@pytest.mark.parametrize("topic", ["COMMANDS_TOPIC", "DIRECTORY_TOPIC"])
def test_a_stopped_partition_takes_http_from_nobody(make_line: MakeLine, topic: str) -> None:
    line = make_line()
    line.sql("INSERT INTO command_offsets VALUES (%s, 0, 1000)", line.env[topic])
    line.start()
    wait_degraded(line, f"partition 0 of {line.env[topic]} is stopped")
    assert answers(line)


def test_a_partition_that_makes_no_progress_is_named(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    sent = line.send(line.command(), partition=2)
    until(lambda: line.sql("SELECT count(*) FROM schedules") == [(1,)], "it takes commands")
    wait_degraded(line)
    holder = psycopg2.connect(line.database_url)
    topic = line.place.commands
    holder.cursor().execute("SELECT FROM command_offsets WHERE topic = %s AND partition = 2 FOR UPDATE", (topic,))
    line.send(line.command(), partition=2)
    until(lambda: any("makes no progress" in text for text in line.degraded()), "it is told", 60)
    texts = line.degraded()
    assert any(re.fullmatch(rf"partition 2 of {topic} makes no progress: its oldest message waits for [3-9]\d s", text) for text in texts)
    assert not [text for text in texts if "partition" in text and "partition 2 " not in text]
    stuck = f'schedule_partition_oldest_write_seconds{{topic="{topic}",partition="2"}}'
    assert line.metric(stuck) >= 30
    holder.close()
    wait_degraded(line)
    assert stuck not in line.request("GET", "/metrics").text
    assert line.sql("SELECT next_offset FROM command_offsets WHERE topic = %s AND partition = 2", topic) == [(sent.offset + 2,)]


def test_without_a_relay_it_is_ready_and_says_so(make_line: MakeLine) -> None:
    line = make_line()
    line.start(RELAY="off")
    wait_degraded(line, "no relay holds the replication slot")
    assert answers(line)
    relay = line.start(DOORS="off")
    wait_degraded(line)
    until(lambda: line.readiness(relay) == (200, None), "so is the relay's process")


def test_without_kafka_it_is_ready_and_says_so(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    wait_degraded(line)
    kafka = line.servers.kafka
    kafka.stop()
    try:
        until(lambda: all(any(topic in text for text in line.degraded() if text.startswith("Kafka is away"))
                          for topic in (line.place.commands, line.env["DIRECTORY_TOPIC"])), "it says that Kafka is away")
        assert answers(line)
    finally:
        kafka.start()
    wait_degraded(line, deadline_s=60)


def test_events_that_wait_are_told(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    wait_degraded(line)
    kafka = line.servers.kafka
    kafka.stop()
    try:
        assert answers(line)
        until(lambda: any(text.startswith("the relay ") for text in line.degraded()), "it is told", 60)
    finally:
        kafka.start()
    wait_degraded(line, deadline_s=60)


def test_a_relay_alone_is_ready_whatever_only_doors_need(make_line: MakeLine) -> None:
    line = make_line(WAL_BUDGET="1000")
    line.start(DOORS="off", RELAY_DATABASE_URL=re.sub(r":\d+/", ":1/", line.database_url))  # where nobody listens
    doors = line.start(wait=False, RELAY="off")
    until(lambda: "started" in doors.log_tail(), "it listens")
    until(lambda: line.readiness(doors) == (503, "too much WAL waits for the relay"), "who has doors is not")
    wait_degraded(line, "no relay holds the replication slot", "the relay has failed and begins anew; the log says why")
