"""The cases of `make fault`, most important first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import http_faults as http
import kafka_faults as kafka
import overload
import postgres_faults as postgres
import service_faults as service
from ledger import Report
from rig import Rig
from world import SmallDisk, ThreeBrokers, World

BAD = {"duplicates": 0.1, "reused": 0.1, "invalid": 0.2, "undecodable": 0.2}

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
    _case("forgotten", "the broker forgets a transaction that was under way, 3 times", kafka.forget_a_transaction, {"times": 3},
          rate=0, through=("kafka",)),
    _case("kafka-away", "the broker is away for two minutes", kafka.kafka_away, {"seconds": 120}),
    _case("postgres-away", "PostgreSQL is away for two minutes: no rebalance, no growth", postgres.postgres_away, {"seconds": 120}),
    _case("rolling", "three replicas are restarted in turn, 10 times", service.restart_in_turn, {"times": 10}, replicas=3),
    _case("join-leave", "a third replica joins and leaves, 10 times", service.join_and_leave, {"times": 10}),
    _case("two-relays", "a frozen relay wakes up after another one has taken over, 8 times", service.wake_a_second_relay,
          {"times": 8}),
    _case("open-transaction", "a replica is killed while its relay is in the middle of a transaction, 8 times",
          service.die_in_a_transaction, {"times": 8}),
    _case("poison", "more than half of the commands are bad, and replicas are killed", service.send_poison, {"times": 25},
          shares=BAD),
    _case("topic-anew", "the commands topic is deleted and made anew", kafka.make_topic_anew, rate=0),
    _case("slot-lost", "the replication slot is dropped with what it held: readiness fails, a rebuild tells it",
          postgres.lose_the_slot, rate=0),
    _case("snapshot-held", "a session holds a snapshot for 30 s", postgres.hold_a_snapshot, {"seconds": 30}),
    _case("disk-full", "PostgreSQL's disk is full, 3 times", postgres.fill_disk, {"times": 3}, world=SmallDisk),
    _case("clock", "the replicas' wall clock jumps by up to a day, 8 times", service.jump_clock, {"times": 8}),
    _case("volume", "100,000 commands as fast as the client makes them, and kill -9 of a replica every few seconds",
          service.kill_service_until_sent, {"commands": 100_000}, rate=5000),
    _case("idle-slot", "others write 400 MB while nothing comes", postgres.idle_beside_writers, {"megabytes": 400}, rate=0),
    _case("overload", "more load than the service can take, through both doors, for two and a half minutes", overload.overload,
          {"seconds": 150}, replicas=1, rate=0),
    _case("http-drip", "2,000 clients drip bytes", http.drip, {"count": 2000, "p99_ms": 50}, replicas=1, rate=0),
    _case("http-swell", "heads and bodies that are large and do not end", http.swell, {"count": 900, "p99_ms": 50}, replicas=1, rate=0),
    _case("http-confuse", "framings in doubt, thousands of requests in a row, half-closed connections", http.confuse,
          {"count": 500, "p99_ms": 50}, replicas=1, rate=0),
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
    _case("short-http", "framings in doubt, requests in a row, half-closed connections", http.confuse, {"count": 50}, replicas=1,
          rate=0),
]
