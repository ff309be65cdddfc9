"""Messages and batches that take more room than there is: each is completed, or stops its own partition and says so; everything else
goes on. What librdkafka unpacks and how much memory that takes: tests/component/test_kafka_consumer_batches.c."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from kafka import KafkaProducer

import ledger
from conftest import MakeLine
from line import Line, until
from servers import ServerError

STOPPED = 'schedule_consumer_partitions{state="stopped"}'


def produce_packed(line: Line, partition: int, *values: bytes, codec: str | None = "gzip") -> int:
    """One batch, compressed; the offset behind it."""
    with closing(ledger.producer(line.place.bootstrap, compression_type=codec, max_request_size=200_000_000,
                                 batch_size=150_000_000, linger_ms=60_000)) as sender:
        sent = [sender.send(line.place.commands, key=b"packed", value=value, partition=partition) for value in values]
        sender.flush(60)
        return sent[-1].get(60).offset + 1


def takes_commands(line: Line, partition: int) -> None:
    command = line.command(name=f"to {partition}")
    line.send(command, partition=partition)
    line.event_of(command["commandId"], 40)


def stored(line: Line, partition: int) -> int:
    rows = line.sql("SELECT next_offset FROM command_offsets WHERE topic = %s AND partition = %s", line.place.commands, partition)
    return rows[0][0] if rows else 0


def shown(line: Line, partition: int) -> dict[str, str]:
    """What `offsets show` says of the partition."""
    told = [dict(word.split("=", 1) for word in row.split()) for row in line.cli("offsets", "show").splitlines()]
    return next(row for row in told if row["topic"] == line.place.commands and row["partition"] == str(partition))


@pytest.mark.parametrize("size", [17_000_000, 34_000_000])
def test_a_message_that_unpacks_large_is_a_dead_letter_and_stops_nobody(make_line: MakeLine, size: int) -> None:
    line = make_line()
    line.start()
    restarts = line.metric("schedule_relay_restarts_total")  # a new topic may have had no leader yet
    value = bytes(size)
    offset = produce_packed(line, 1, value) - 1
    letter = line.topic(line.place.dead_letters).wait_for(
        lambda one: one.headers["dead-letter-partition"] == b"1" and one.headers["dead-letter-offset"] == str(offset).encode(), 1, 40)[0]
    assert letter.headers["dead-letter-cut"] == b"value"
    assert letter.headers["dead-letter-value-bytes"] == str(size).encode()
    assert letter.headers["dead-letter-value-sha256"] == hashlib.sha256(value).hexdigest().encode()
    assert 15_000_000 < len(letter.value) < 16_000_000 and value.startswith(letter.value)
    for partition in (1, 2):
        takes_commands(line, partition)
    assert line.metric("schedule_relay_restarts_total") == restarts


def test_a_dead_letter_keeps_every_byte_that_its_topic_takes(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    sent = line.send(b"\x22" + bytes(1_040_000), expect="dead", key=b"1")
    assert line.dead_letter_of(sent).value == sent.value
    many = line.send(b"\xff", expect="dead", key=b"1", headers={f"h{number}": b"x" for number in range(199)})
    letter = line.dead_letter_of(many)
    kept = [name for name in letter.headers if name.startswith("h")]
    assert letter.headers["dead-letter-cut"] == b"headers"
    assert len(kept) + 1 + int(letter.headers["dead-letter-headers-left-out"]) == 200  # "expect" is one too


def test_a_batch_that_cannot_be_read_stops_its_partition_until_it_is_skipped(make_line: MakeLine) -> None:
    line = make_line(UNPACKED_BATCH_BYTES="1048576")
    line.start()
    takes_commands(line, 1)
    behind = produce_packed(line, 1, *[b"\xff" + bytes(400_000)] * 11)
    until(lambda: line.metric(STOPPED) == 1, "the partition is stopped", 40)
    line.wait_log("offsets skip")
    for partition in range(len(line.topic(line.place.commands).ends())):
        if partition != 1:
            takes_commands(line, partition)
    before = stored(line, 1)
    assert before < behind and line.metric(STOPPED) == 1
    told = line.cli("offsets", "skip", "--partition", "1")
    assert f"next_offset={behind}\n" in told and stored(line, 1) == behind
    with pytest.raises(ServerError, match="nothing was skipped"):
        line.cli("offsets", "skip", "--partition", "1")
    takes_commands(line, 1)
    assert line.metric(STOPPED) == 0


@contextmanager
def transaction(line: Line, partition: int, value: bytes) -> Iterator[None]:
    """Open during the block, then committed."""
    sender = KafkaProducer(bootstrap_servers=line.place.bootstrap, transactional_id=f"sender-{line.place.commands}")
    sender.init_transactions()
    sender.begin_transaction()
    sender.send(line.place.commands, key=b"1", value=value, partition=partition).get(60)
    sender.flush(60)
    yield
    sender.commit_transaction()
    sender.close()


def test_the_lag_is_one_thing_to_the_metric_and_to_offsets_show(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    takes_commands(line, 3)
    with transaction(line, 3, b"no command"):
        until(lambda: line.metric("schedule_consumer_lag") == 1, "what is not committed yet is behind")
        assert shown(line, 3)["lag"] == "1"
    until(lambda: line.metric("schedule_consumer_lag") == 0, "nothing is behind, though the last record is no message")
    until(lambda: shown(line, 3)["lag"] == "0" and shown(line, 3)["state"] == "ok", "and that is shown")


def test_the_largest_record_that_a_broker_takes_is_read(make_line: MakeLine) -> None:
    line = make_line(UNPACKED_BATCH_BYTES="1048576")
    line.limit_topic(line.place.commands, 104_857_600)
    line.start()
    produce_packed(line, 1, b"\xff" + bytes(104_000_000), codec=None)
    takes_commands(line, 1)
    assert line.topic(line.place.dead_letters).read_to_end()[0].headers["dead-letter-cut"] == b"value"
    assert not line.degraded()


def test_a_topic_that_takes_records_which_cannot_be_received_is_told(make_line: MakeLine) -> None:
    line = make_line(UNPACKED_BATCH_BYTES="1048576")
    line.limit_topic(line.place.commands, 104_857_601)
    line.start()
    until(lambda: any("cannot be received" in text for text in line.degraded()), "it is told")
