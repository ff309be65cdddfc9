"""Faults of Kafka, of its answers and topics. Each function is called under load unless it says otherwise, injects one kind, heals
it and returns when the line does its work again."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from bulkhead_faults import make_schedules
from kafka_log import last_transaction_ends
from ledger import Report
from line import PARTITIONS
from proxy import END_TXN, CutAt, HoldEndTxn, Narrow, Swallow, calm
from rig import DEADLINE_S, Rig
from servers import wait_until
from wire import as_protobuf
from world import ThreeBrokers

TRANSACTION_S = 60  # that Kafka leaves one of the relay's open
RELAY_PRODUCERS = 2  # PUBLISHER_PRODUCERS of service/relay/publisher.h
AT_REST = ("Empty", "CompleteCommit", "CompleteAbort")  # what a coordinator says of a transactional id without a transaction


def kill_kafka(rig: Rig, times: int) -> None:
    kafka = rig.world.kafka
    for _ in range(times):
        rig.wait_commands(50)
        rig.wait_events()
        rig.pause(0.2, 1)
        kafka.kill9()
        rig.faults += 1
        kafka.start()


def kafka_away(rig: Rig, seconds: float) -> None:
    """HTTP goes on meanwhile."""
    rig.wait_events()
    rig.world.kafka.stop()
    rig.faults += 1
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rig.wait_writes(5)
    rig.world.kafka.start()
    rig.wait_events()


def kill_brokers_in_turn(rig: Rig, times: int) -> None:
    """One at a time: its partitions' leaders, the group's and the transactions' coordinators move; every other time under a relay that
    takes over."""
    world = rig.world
    assert isinstance(world, ThreeBrokers)
    for number in range(times):
        victim, relay = world.kafka.brokers[number % 3], rig.active_relay() if number % 2 else None
        if rig.random.random() < 0.5:
            victim.kill9()
        else:
            victim.stop()
        rig.faults += 1
        if relay:
            relay.kill9()
            relay.start(wait=False)
        rig.wait_writes(5)
        rig.wait_events()
        victim.start()
        world.kafka.wait_whole()


def answer_end_txn_late(rig: Rig, times: int, seconds: float) -> None:
    """Kafka commits, and the relay is told when it waits no more."""
    proxy = rig.world.kafka_proxy
    for _ in range(times):
        rig.wait_events()
        hold = HoldEndTxn(seconds)
        proxy.weather = hold
        rig.until(hold.done.is_set, "an EndTxn is answered late")
        proxy.weather = calm
        rig.faults += 1
    rig.wait_events()


def drop_end_txn(rig: Rig, times: int) -> None:
    """The relay is never told whether Kafka has committed, and Kafka has not."""
    proxy = rig.world.kafka_proxy
    for _ in range(times):
        rig.wait_events()
        restarts = rig.count_log("relay restarts")
        proxy.weather = swallow = Swallow(END_TXN)
        rig.until(swallow.done.is_set, "a transaction is to end")
        proxy.weather = calm
        rig.until(lambda: rig.count_log("relay restarts") > restarts, "the relay gives it up")
        rig.faults += 1
    rig.wait_events()


def cut_end_txn(rig: Rig, times: int) -> None:
    """Kafka commits when it is asked once more. Had it been killed meanwhile, it would say so of a part that it knows of, too."""
    proxy, reason = rig.world.kafka_proxy, "a connection to Kafka was closed meanwhile"
    for _ in range(times):
        rig.wait_events()
        restarts = rig.count_log(reason)
        proxy.weather = cut = CutAt(END_TXN)
        rig.until(cut.done.is_set, "a transaction is to end")
        rig.until(lambda restarts=restarts: rig.count_log(reason) > restarts, "the relay does not trust the answer")
        proxy.weather = calm
        rig.faults += 1
    rig.wait_events()


def forget_a_transaction(rig: Rig, times: int) -> None:
    """Brings its own load. The broker is killed and comes back without knowing of the transaction that was under way, so that nobody
    ends it, while its records are in their partitions; the relay is another one then."""
    kafka, proxy = rig.world.kafka, rig.world.kafka_proxy
    for _ in range(times):
        rig.wait_final()
        memory = _copy_transaction_log(rig)
        proxy.weather = swallow = Swallow(END_TXN)
        with rig.under_load(200):
            rig.until(swallow.done.is_set, "a transaction is to end")
            kafka.kill9()
            for replica in rig.replicas:
                replica.kill9()
            for log in memory.iterdir():
                shutil.rmtree(kafka.data / log.name)
                shutil.move(log, kafka.data)
            proxy.weather = calm
            kafka.start()
            rig.until(lambda: _hangs(rig), "a transaction hangs")
            rig.faults += 1
            for replica in rig.replicas:
                replica.start(wait=False)
            rig.wait_writes(20)
            rig.wait_events()


def tear_a_transaction(rig: Rig, times: int) -> None:
    """The broker ends when a transaction was answered as committed, and comes back with some of its partitions lacking the end, as it leaves out
    those that have no leader while it starts. Every other time the replicas end too."""
    kafka = rig.world.kafka
    for number in range(times):
        rig.wait_commands(50)
        ends = _stop_behind_a_commit(rig)
        kafka.kill9()
        for replica in rig.replicas if number % 2 else ():
            replica.kill9()
        for log in rig.random.sample(sorted(ends), rig.random.randint(1, len(ends))):
            os.truncate(log, ends[log])
        kafka.start()
        for replica in rig.replicas if number % 2 else ():
            replica.start(wait=False)
        rig.faults += 1
        rig.wait_writes(20)
        rig.wait_events()


def _stop_behind_a_commit(rig: Rig) -> dict[Path, int]:
    """Where the last transaction's end is in each log that has one; the broker is stopped."""
    kafka = rig.world.kafka
    progress, *events = [kafka.data / name / "00000000000000000000.log" for name in (
        f"{rig.env['PROGRESS_TOPIC']}-0", *(f"{rig.place.events}-{partition}" for partition in range(PARTITIONS)))]
    ends: dict[Path, int] = {}

    def is_behind() -> bool:
        nonlocal ends
        os.kill(kafka.pid, signal.SIGSTOP)
        ends = last_transaction_ends(progress, events)
        if len(ends) < 2:
            os.kill(kafka.pid, signal.SIGCONT)
        return len(ends) >= 2

    rig.until(is_behind, "the broker has written a transaction's end")
    return ends


def _copy_transaction_log(rig: Rig) -> Path:
    """As the transaction coordinator has written it when no transaction is under way."""
    kafka, admin = rig.world.kafka, KafkaAdminClient(bootstrap_servers=rig.place.bootstrap)
    rig.until(lambda: _are_at_rest(rig, admin), "no transaction is under way")
    os.kill(kafka.pid, signal.SIGSTOP)
    memory = Path(tempfile.mkdtemp(dir=rig.directory))
    for log in kafka.data.glob("__transaction_state-*"):
        shutil.copytree(log, memory / log.name)
    os.kill(kafka.pid, signal.SIGCONT)
    admin.close()
    return memory


def _are_at_rest(rig: Rig, admin: KafkaAdminClient) -> bool:
    """All transactions of the relay, as their coordinators know them."""
    name = rig.env["TRANSACTIONAL_ID"]
    transactions = admin.describe_transactions([name, *(f"{name}.{number}" for number in range(1, RELAY_PRODUCERS))])
    return all(transaction.state.value in AT_REST for transaction in transactions.values())


def _hangs(rig: Rig) -> bool:
    """Whether there are records of a transaction that its coordinator takes for ended."""
    admin = KafkaAdminClient(bootstrap_servers=rig.place.bootstrap)
    try:
        partitions = [TopicPartition(rig.place.events, number) for number in range(PARTITIONS)]
        states = admin.describe_producers(partitions).values()
        is_open = any(producer.current_transaction_start_offset >= 0 for state in states for producer in state.active_producers)
        return is_open and _are_at_rest(rig, admin)
    except KafkaError:
        return False  # it has not read its logs yet
    finally:
        admin.close()


def publish_for_long(rig: Rig, events: int, bytes_per_s: float) -> None:
    """Brings its own load. One transaction has so many events that they take far longer than Kafka leaves a transaction open, and the
    relay is killed in the middle."""
    make_schedules(rig, rig.make_owners(events // 500), 500, [], wait=False)
    rig.world.kafka_proxy.weather = Narrow(bytes_per_s)
    begin = time.monotonic()
    events_topic = rig.topic(rig.place.events)
    rig.until(lambda: sum(events_topic.ends().values()) > events // 3, "a part is published")
    rig.until(lambda: rig.active_relay() is not None, "one relays")
    relay = rig.active_relay()
    assert relay
    relay.kill9()
    relay.start(wait=False)
    rig.faults += 1
    rig.until(lambda: sum(events_topic.ends().values()) > events, "all is published", 4 * DEADLINE_S)
    print(f"      published in {time.monotonic() - begin:.0f} s", flush=True)
    assert time.monotonic() - begin > TRANSACTION_S, "a single transaction of Kafka would have done"
    rig.world.kafka_proxy.weather = calm
    rig.wait_events()


def make_topic_anew(rig: Rig) -> Report:
    """Brings its own load. Every partition stops, nothing is skipped, and after `offsets reset` what is in the new topic is carried
    out. What the old one held is audited before."""
    with rig.under_load(200):
        rig.wait_writes(50)
        rig.wait_commands(1000)
    report = rig.complete()
    before = _count_rows(rig)
    _delete_commands_topic(rig)
    rig.cli("topics", "--partitions", str(PARTITIONS))
    rig.faults += 1
    commands = [rig.command(name=f"Again {number}") for number in range(10 * PARTITIONS)]
    for number, command in enumerate(commands):
        rig.send(command, partition=number % PARTITIONS)
    _see_partitions_stop(rig)
    if _count_rows(rig) != before:
        raise AssertionError("commands of the new topic were carried out at offsets of the old one")
    _reset_offsets(rig)
    for command in commands:
        rig.event_of(command["commandId"], DEADLINE_S)
    if _count_rows(rig) != before + len(commands):
        raise AssertionError("not every command of the new topic made one row")
    return report


def _count_rows(rig: Rig) -> int:
    return int(rig.sql("SELECT count(*) FROM schedules")[0][0])


def _delete_commands_topic(rig: Rig) -> None:
    admin = KafkaAdminClient(bootstrap_servers=rig.place.bootstrap)
    admin.delete_topics([rig.place.commands])
    rig.until(lambda: rig.place.commands not in admin.list_topics(), "the topic is gone")
    admin.close()


def _see_partitions_stop(rig: Rig) -> None:
    for replica in rig.replicas:
        replica.start(wait=False)
    rig.until(lambda: rig.count_log("partition stopped") >= PARTITIONS, "every partition stops")
    rig.until(lambda: any("is stopped" in text for replica in rig.replicas for text in rig.degraded(replica)), "it is told")


def _reset_offsets(rig: Rig) -> None:
    for partition in range(PARTITIONS):
        rig.cli("offsets", "reset", "--partition", str(partition), "--to", "earliest")


# ---- what is behind the last message

def leave_control_records(rig: Rig) -> Report:
    """Brings its own load. Then a sender's transaction ends each partition with a record that is no message, retention empties the partitions,
    and the replicas restart: nothing is missing, so nothing may stop. What came before is audited before."""
    with rig.under_load(200):
        rig.wait_commands(1000)
    report = rig.complete()
    rig.start_all()
    _send_in_transaction(rig)
    ends = rig.topic(rig.place.commands).ends()
    sql = "SELECT partition, next_offset FROM command_offsets WHERE topic = %s"
    wait_until(lambda: dict(rig.sql(sql, rig.place.commands)) == ends, 20)  # if not, the partitions stop
    for replica in rig.replicas:
        rig.stop(replica)
    admin = KafkaAdminClient(bootstrap_servers=rig.place.bootstrap)
    admin.delete_records({TopicPartition(rig.place.commands, partition): end for partition, end in ends.items()})
    admin.close()
    rig.faults += 1
    rig.start_all()
    commands = [rig.command(name=f"Behind {partition}") for partition in range(PARTITIONS)]
    for partition, command in enumerate(commands):
        rig.send(command, partition=partition)
    sql = "SELECT count(*) FROM schedules WHERE name ~ '^Behind'"
    rig.until(lambda: rig.sql(sql)[0][0] == PARTITIONS or rig.count_log("partition stopped") > 0, "they are carried out")
    if rig.count_log("partition stopped") > 0:
        raise AssertionError("a partition stopped although nothing is missing")
    return report


def _send_in_transaction(rig: Rig) -> None:
    """A command to each partition."""
    sender = KafkaProducer(bootstrap_servers=rig.place.bootstrap, transactional_id=f"sender-{rig.place.commands}")
    sender.init_transactions()
    sender.begin_transaction()
    for partition in range(PARTITIONS):
        command = rig.command()
        sender.send(rig.place.commands, key=str(command["userId"]).encode(), value=as_protobuf(command), partition=partition)
    sender.flush(DEADLINE_S)
    sender.commit_transaction()
    sender.close()
