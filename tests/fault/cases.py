"""The cases of `make fault`, most important first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import bulkhead_faults as bulkhead
import http_faults as http
import kafka_faults as kafka
import overload
import postgres_faults as postgres
import recovery_faults as recovery
import relay_faults as relay
import removal_faults as removal
import service_faults as service
import webhook_faults as webhook
from ledger import Report
from rig import Rig
from world import Pair, SmallDisk, ThreeBrokers, WithPrevious, World

BAD = {"duplicates": 0.1, "reused": 0.1, "invalid": 0.2, "undecodable": 0.2}
NO_DEAD_LETTERS = {"undecodable": 0.0}  # one may be lost or come twice where a transaction's end is left out (ADR 37)

Inject = Callable[[Rig], Report | None]


@dataclass(frozen=True)
class Case:
    """`inject` is called under a load of `rate` commands a second, or brings its own when that is 0; it may return the audit.
    `through` names the servers that the replicas reach by a proxy."""

    name: str
    what: str
    inject: Inject
    replicas: int = 2
    rate: int = 300
    shares: Mapping[str, float] = field(default_factory=dict)  # of the load, see tests/load.py
    world: type[World] = World
    through: tuple[str, ...] = ()
    has_failpoints: bool = False


def _case(name: str, what: str, fault: Callable[..., Report | None], options: dict[str, float] | None = None,
          **fields: object) -> Case:
    return Case(name, what, partial(fault, **options or {}), **fields)  # type: ignore[arg-type]


CASES = [
    _case("service-kill", "kill -9 of a replica, at random, 50 times", service.kill_service, {"times": 50}),
    _case("failpoints", "kill -9 at every failpoint, 3 times each", service.reach_failpoints, {"times": 3}, replicas=1,
          has_failpoints=True),
    _case("frozen", "a replica stands still longer than its session while another takes over, 5 times",
          service.freeze_service, {"times": 5}),
    _case("postgres-kill", "kill -9 of PostgreSQL, 20 times", postgres.kill_postgres, {"times": 20}),
    _case("commit-cut", "the connection to PostgreSQL is cut right before or after a commit, 40 times", postgres.cut_at_commit,
          {"times": 40}, through=("postgres",), shares=BAD),
    _case("postgres-network", "the way to PostgreSQL is slow, drips, and swallows everything for 10 s",
          postgres.bad_network_to_postgres, {"seconds": 10}, through=("postgres",)),
    _case("kafka-kill", "kill -9 of the broker, 8 times", kafka.kill_kafka, {"times": 8}),
    _case("brokers", "one of three brokers is killed or stopped, 6 times, and every other time the relay too", kafka.kill_brokers_in_turn, {"times": 6},
          world=ThreeBrokers),
    _case("end-txn-late", "the answer to EndTxn comes after the relay has given up, 4 times", kafka.answer_end_txn_late,
          {"times": 4, "seconds": 8}, through=("kafka",)),
    _case("end-txn-dropped", "Kafka never hears of an EndTxn, 4 times", kafka.drop_end_txn, {"times": 4}, through=("kafka",)),
    _case("end-txn-cut", "the connection is cut when a transaction is to end, 8 times", kafka.cut_end_txn, {"times": 8}, through=("kafka",)),
    _case("forgotten", "the broker forgets a transaction that was under way, 3 times", kafka.forget_a_transaction, {"times": 3},
          rate=0, through=("kafka",)),
    _case("torn", "the broker ends, and some partitions lack the end of a committed transaction, 8 times", kafka.tear_a_transaction,
          {"times": 8}, shares=NO_DEAD_LETTERS),
    _case("kafka-away", "the broker is away for two minutes", kafka.kafka_away, {"seconds": 120}),
    _case("postgres-away", "PostgreSQL is away for two minutes: no rebalance, no growth", postgres.postgres_away, {"seconds": 120}),
    _case("rolling", "three replicas are restarted in turn, 10 times", service.restart_in_turn, {"times": 10}, replicas=3),
    _case("join-leave", "a third replica joins and leaves, 10 times", service.join_and_leave, {"times": 10}),
    _case("two-relays", "a frozen relay wakes up after another one has taken over, 8 times", service.wake_a_second_relay,
          {"times": 8}),
    _case("open-transaction", "a replica is killed while its relay is in the middle of a transaction, 8 times",
          service.die_in_a_transaction, {"times": 8}),
    _case("upgrade", "the relay is upgraded, rolled back inside of a transaction that is published in part, and upgraded again",
          relay.upgrade_and_roll_back, {"events": 30_000}, replicas=1, rate=0, world=WithPrevious, through=("kafka",)),
    _case("refused", "Kafka refuses records that are larger than a topic's changing limit, 15 times, and the relay is killed",
          relay.send_what_is_refused, {"times": 15, "events": 100}, rate=0),
    _case("poison", "more than half of the commands are bad, and replicas are killed", service.send_poison, {"times": 25},
          shares=BAD),
    _case("control-records", "transactions of senders end the partitions, retention empties them, and the replicas restart",
          kafka.leave_control_records, rate=0),
    _case("topic-recreated", "the commands topic is deleted and made again", kafka.make_topic_anew, rate=0),
    _case("slot-lost", "the replication slot is dropped with what it held: readiness fails, a rebuild tells it",
          postgres.lose_the_slot, rate=0),
    _case("snapshot-held", "a session holds a snapshot for 30 s", postgres.hold_a_snapshot, {"seconds": 30}),
    _case("disk-full", "PostgreSQL's disk is full, 3 times", postgres.fill_disk, {"times": 3}, world=SmallDisk),
    _case("clock", "the replicas' wall clock jumps by up to a day, 8 times", service.jump_clock, {"times": 8}),
    _case("volume", "100,000 commands as fast as the client makes them, and kill -9 of a replica every few seconds",
          service.kill_service_until_sent, {"commands": 100_000}, rate=5000),
    _case("idle-slot", "others write 400 MB while nothing comes", postgres.idle_beside_writers, {"megabytes": 400}, rate=0),
    _case("overload", "more load than the service can take, through HTTP and Kafka, for two and a half minutes", overload.overload,
          {"seconds": 150}, replicas=1, rate=0),
    _case("failover", "PostgreSQL fails over to a standby that lacks the last commits, whose events are published", recovery.fail_over,
          world=Pair, rate=0),
    _case("slot-recreated", "the replication slot is dropped with what it held and recreated by hand", recovery.make_the_slot_anew, rate=0),
    _case("restore", "a dump of some time ago takes the place of the database", recovery.restore_a_dump, rate=0),
    _case("remove-organization", "an organization of 40,000 schedules is removed while commands come for it, another one under kill -9",
          removal.remove_organization, {"schedules": 40_000}, rate=0),
    _case("remove-users", "20 users are removed while commands come for them", removal.remove_users, {"count": 20, "commands": 100},
          rate=0),
    _case("repeat-deleted", "a create is repeated while its schedule is deleted, 40 times", removal.repeat_while_deleted,
          {"times": 40}, rate=0),
    _case("large-transaction", "a transaction of 100,000 events on a narrow way to Kafka, whose relay is killed in the middle",
          kafka.publish_for_long, {"events": 100_000, "bytes_per_s": 400_000}, rate=0, through=("kafka",)),
    _case("unpacks-large", "messages of a few KB that unpack to 17, 40 and 120 MB", bulkhead.send_what_unpacks_large,
          {"memory_mib": 256}, replicas=1, rate=0),
    _case("many-days", "a window names a day a million times, 8 times", bulkhead.ask_for_many_days, {"days": 1_000_000, "count": 8},
          replicas=1, rate=0),
    _case("locked-row", "a session holds a user's row for 20 s: nobody else waits", bulkhead.lock_a_row, {"seconds": 20},
          replicas=1, rate=0),
    _case("refused-row", "the database refuses a row again and again, with 40001, 55P03 and 57014: nobody else waits", bulkhead.refuse_a_row,
          {"seconds": 10}, replicas=1, rate=0),
    _case("long-lists", "20 callers ask for a user's 5,000 schedules again and again", bulkhead.ask_for_long_lists,
          {"schedules": 5000, "at_once": 20, "seconds": 10}, replicas=1, rate=0),
    _case("far-pages", "120 callers ask for the last of 100,000 schedules again and again", bulkhead.ask_for_far_pages,
          {"schedules": 100_000, "at_once": 120, "seconds": 10}, replicas=1, rate=0),
    _case("costly-bodies", "120 callers send JSON of 100 KB that costs much to check", bulkhead.send_costly_bodies,
          {"at_once": 120, "seconds": 10}, replicas=1, rate=0),
    _case("costly-commands", "40 commands of 1 MB and 5,000 of 8 KB that cost much to check", bulkhead.send_costly_commands,
          {"large": 40, "small": 5000}, replicas=1, rate=0),
    _case("few-descriptors", "1,100 idle connections before 1,024 descriptors, and the database restarts",
          bulkhead.restart_beside_idle_connections, {"connections": 1100, "descriptors": 1024}, replicas=1, rate=0),
    _case("compressed", "3,000 commands of 77 KB in batches that are few as they are compressed", bulkhead.send_compressed_batches,
          {"commands": 3000, "memory_mib": 128}, replicas=1, rate=0),
    _case("webhook-sender-kill", "kill -9 of a sender of webhooks, at random, 12 times", webhook.kill_senders, {"times": 12}, rate=0),
    _case("webhook-postgres-kill", "kill -9 of PostgreSQL beneath senders of webhooks, 6 times", webhook.kill_postgres, {"times": 6}, rate=0),
    _case("webhook-kafka-kill", "kill -9 of the broker beneath senders of webhooks, 2 times", webhook.kill_kafka, {"times": 2}, rate=0),
    _case("webhook-rebalance", "senders of webhooks join and leave, 12 times", webhook.join_and_leave, {"times": 12}, rate=0),
    _case("webhook-deploy", "senders of webhooks end and start, one after the other, 6 times", webhook.deploy, {"times": 6}, rate=0),
    _case("webhook-schedule", "the clock of a sender of webhooks goes through the 76 hours of its attempts", webhook.wait_out_the_schedule,
          {}, replicas=1, rate=0),
    _case("webhook-crowd", "100 of 1,000 endpoints hang", webhook.hang_in_a_crowd, {"count": 1000, "hanging": 100, "seconds": 25},
          rate=0),
    _case("http-drip", "2,000 clients drip bytes", http.drip, {"count": 2000, "p99_ms": 50}, replicas=1, rate=0),
    _case("http-swell", "heads and bodies that are large and do not end", http.swell, {"count": 900, "p99_ms": 50}, replicas=1, rate=0),
    _case("http-confuse", "framings in doubt, thousands of requests in a row, half-closed connections", http.confuse,
          {"count": 500, "p99_ms": 50}, replicas=1, rate=0),
    _case("http-half-sent", "4,000 bodies of 100 KB of which the last byte does not come", http.half_send,
          {"count": 4000, "p99_ms": 200}, replicas=1, rate=0),
    _case("http-connect", "4,000 CONNECTs with bodies that do not end", http.connect, {"count": 4000, "p99_ms": 200}, replicas=1,
          rate=0),
    _case("http-ahead", "300 clients send ahead and take no answers", http.send_ahead, {"count": 300, "p99_ms": 200}, replicas=1, rate=0),
    _case("http-slow-readers", "300 clients ask for a large list and hardly read it", http.read_slowly,
          {"count": 300, "p99_ms": 50}, replicas=1, rate=0),
]

# Of `make test`: the same faults, less often.
SHORT = [
    _case("short-kill", "kill -9 of a replica, 5 times", service.kill_service, {"times": 5}),
    _case("short-postgres-kill", "kill -9 of PostgreSQL, 2 times", postgres.kill_postgres, {"times": 2}),
    _case("short-cut", "a connection is cut right before or after a commit, 8 times", postgres.cut_at_commit, {"times": 8},
          through=("postgres",), shares=BAD),
    _case("short-open-transaction", "a replica is killed while its relay is in the middle of a transaction",
          service.die_in_a_transaction, {"times": 1}),
    _case("short-kafka-kill", "kill -9 of the broker, once", kafka.kill_kafka, {"times": 1}),
    _case("short-torn", "the broker ends, and some partitions lack the end of a committed transaction, 3 times", kafka.tear_a_transaction,
          {"times": 3}, shares=NO_DEAD_LETTERS),
    _case("short-http", "framings in doubt, requests in a row, half-closed connections", http.confuse, {"count": 50}, replicas=1,
          rate=0),
]
