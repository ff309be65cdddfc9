"""Faults of the senders of webhooks, and of what they depend on. Two senders deliver the events of a load to endpoints that acknowledge, fail,
break off and drip by chance; then all endpoints acknowledge, and the ledger of webhooks is audited beside the one of the line."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2

import postgres_faults as postgres
from clock import Clock
from hooks import Hooks, sender_of
from hooks_ledger import Endpoint, Event, HooksLedger, events_of
from ledger import Report
from line import PARTITIONS
from receiver import Got
from rig import DEADLINE_S, HTTP_CLIENTS, OWNERS, Rig
from servers import Webhooks
from wire import WEBHOOK_DISABLED

RATE = 30  # commands a second; the clients at HTTP write beside it
SENDERS = 2
SETTLE_S = 150.0  # an endpoint that failed five times in a row rests for 30 s, then for 60
SILENCE_S = 20.0  # with nothing left for later: nothing more comes
CROWD_P99_S = 1.0
REGISTER = """
    SELECT (create_webhook(gen_random_uuid(), u.user_id, u.org_id, NULL, u.url, string_to_array(u.triggers, ','), true, NULL, 'cal', 100)).verdict
      FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS u (user_id, org_id, url, triggers)"""

LEFT = """
    SELECT w.subscriber_url, l.what, count(*)
      FROM (SELECT webhook_id, state || ' rows' FROM webhook_deliveries UNION ALL SELECT webhook_id, 'cursors' FROM webhook_cursors)
           AS l (webhook_id, what) JOIN webhooks w ON w.id = l.webhook_id GROUP BY 1, 2 ORDER BY 1, 2"""

DELAYS_S = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)  # docs/webhooks.md
HOPELESS = 3  # schedules of the endpoint that is disabled: 30 attempts
ATTEMPTED = "SELECT count(*) FROM webhook_deliveries WHERE attempts = %s"
WAITS = """
    SELECT extract(epoch FROM next_attempt_at - last_failed_at)::float, extract(epoch FROM next_attempt_at)::float
      FROM webhook_deliveries WHERE state = 'retrying'"""

# Shares of the requests at a path that end this way.
WAYS: dict[str, dict[Any, float]] = {
    "/failing": {500: 0.15, 503: 0.05, "reset": 0.1},
    "/own-failing": {500: 0.1, "reset": 0.1, 429: 0.05},
    "/dripping": {"drip": 0.01, "reset": 0.05},
    "/hanging": {"hang": 1.0},
}


class RigHooks(Hooks):
    """Senders belong to the rig."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        self.rig = rig

    def send(self, wait: bool = True, **env: str) -> Webhooks:
        rig = self.rig
        sender = sender_of(rig, rig.binary, rig.directory / f"webhooks-{len(rig.senders)}.log", **env)
        rig.senders.append(sender)
        sender.start(wait)
        return sender


class FaultHooks(RigHooks):
    """A receiver that answers in the ways of a path until it is healed, and the ledger."""

    def __init__(self, rig: Rig, endpoints: Sequence[Endpoint], ways: Callable[[str], dict[Any, float]]) -> None:
        super().__init__(rig)
        self.endpoints, self.ways = endpoints, ways
        self.random = random.Random(rig.seed)
        self.is_healed = False
        self.receiver = self.receive(self._answer)
        self.ledger, self.noted = HooksLedger(endpoints), 0

    def _answer(self, number: int, got: Got) -> Any:
        point = self.random.random()
        for way, share in {} if self.is_healed else self.ways(got.path).items():
            if point < share:
                return way
            point -= share
        return 200

    def register(self) -> None:
        users, orgs, urls, triggers = zip(*((endpoint.user, endpoint.org, self.receiver.url(endpoint.path), ",".join(endpoint.triggers))
                                            for endpoint in self.endpoints), strict=True)
        verdicts = self.rig.sql(REGISTER, list(users), list(orgs), list(urls), list(triggers))
        assert verdicts == [("stored",)] * len(self.endpoints), verdicts

    def wait_at_the_head(self) -> None:
        """Senders know the endpoints, and nobody lags."""
        self.rig.until(lambda: self.rig.sql("SELECT count(*) FROM webhook_cursors") == [(0,)], "every endpoint is at the head")

    def note(self) -> None:
        """The ledger takes note of what came."""
        with self.receiver.lock:
            new = self.receiver.got[self.noted:]
        self.noted += len(new)
        self.ledger.add(new)

    def wait_requests(self, count: int) -> None:
        """Waits until so many more requests have come."""
        before = len(self.receiver.got)
        self.rig.until(lambda: len(self.receiver.got) >= before + count, "webhooks come")

    def finish(self, events: Sequence[Event]) -> None:
        """Everybody acknowledges, until nothing is missing or nothing more comes."""
        self.is_healed = True
        deadline, last, came_at = time.monotonic() + SETTLE_S, 0, time.monotonic()
        while self._is_anything_missing(events) and time.monotonic() < deadline:
            if self.noted > last or self.rig.sql(LEFT):
                last, came_at = self.noted, time.monotonic()
            if time.monotonic() > came_at + SILENCE_S:
                return
            time.sleep(0.5)

    def _is_anything_missing(self, events: Sequence[Event]) -> bool:
        self.note()
        return bool(self.ledger.missing(events))

    def audit(self, report: Report) -> list[Event]:
        """Adds to the report what the ledger says; the events."""
        events = events_of(self.rig.topic(self.rig.place.events).read_to_end(DEADLINE_S))
        self.finish(events)
        for sender in self.rig.senders:
            if not sender.is_running():
                raise sender.error("ended by itself")
            self.rig.stop(sender)
        self.note()
        if self.ledger.missing(events):
            report.fault(f"senders have left for later: {self.rig.sql(LEFT)}")
        self.ledger.audit(report, events)
        print(f"      webhooks: {len(events)} events, {report.counts['deliveries']} deliveries in {report.counts['requests']} requests",
              flush=True)
        return events


@contextmanager
def _retrying_soon(hooks: FaultHooks) -> Iterator[None]:
    """What is to be tried again within hours is due within a second."""
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(1):
            try:
                hooks.hasten()
            except psycopg2.Error:
                continue  # the database may be what has the fault

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@contextmanager
def _delivering(rig: Rig, endpoints: Sequence[Endpoint], ways: Callable[[str], dict[Any, float]]) -> Iterator[FaultHooks]:
    """Senders and a receiver, until the end of the block."""
    hooks = FaultHooks(rig, endpoints, ways)
    try:
        for _ in range(SENDERS):
            hooks.send(wait=False)
        for sender in rig.senders:
            sender.wait_ready(DEADLINE_S)
            hooks.wait_assigned(sender, PARTITIONS // SENDERS)
        hooks.register()
        hooks.wait_at_the_head()
        with _retrying_soon(hooks):
            yield hooks
    finally:
        hooks.receiver.close()


def _endpoints(rig: Rig, writers: list[int]) -> list[Endpoint]:
    """Of the organization, of two whose schedules are written over HTTP, and of others."""
    people = rig.people
    members = frozenset(row[0] for row in rig.sql("SELECT user_id FROM memberships WHERE org_id = %s", people.org))
    ours = [Endpoint(path, org=people.org, members=members) for path in ("/all", "/failing", "/dripping")]
    return [*ours, Endpoint("/deleted", org=people.org, members=members, triggers=("SCHEDULE_DELETED", "BOOKING_CREATED")),
            Endpoint("/own", user=writers[0]), Endpoint("/own-failing", user=writers[1]),
            Endpoint("/others", org=people.other_org), Endpoint("/stranger", user=people.stranger)]


def _under_fault(rig: Rig, inject: Callable[[FaultHooks], None]) -> Report:
    owners, writers = rig.make_owners(OWNERS), rig.make_owners(HTTP_CLIENTS)
    with _delivering(rig, _endpoints(rig, writers), lambda path: WAYS.get(path, {})) as hooks:
        with rig.under_load(RATE, owners=owners, http_owners=writers):
            hooks.wait_requests(50)
            inject(hooks)
            hooks.wait_requests(50)
        report = rig.complete()
        hooks.audit(report)
    return report


# ---- the cases

def kill_senders(rig: Rig, times: int) -> Report:
    def inject(hooks: FaultHooks) -> None:
        for _ in range(times):
            rig.pause(0.3, 3)
            victim = rig.random.choice(rig.senders)
            if not victim.is_running():
                raise victim.error("ended by itself")
            victim.kill9()
            victim.start(wait=False)
            rig.faults += 1

    return _under_fault(rig, inject)


def kill_postgres(rig: Rig, times: int) -> Report:
    return _under_fault(rig, lambda hooks: postgres.kill_postgres(rig, times))


def kill_kafka(rig: Rig, times: int) -> Report:
    def inject(hooks: FaultHooks) -> None:
        for _ in range(times):
            rig.pause(1, 4)
            rig.world.kafka.kill9()
            rig.faults += 1
            rig.world.kafka.start()
            hooks.wait_requests(100)

    return _under_fault(rig, inject)


def join_and_leave(rig: Rig, times: int) -> Report:
    """One that is new joins and leaves, and by turns one that was there leaves and joins again."""

    def inject(hooks: FaultHooks) -> None:
        for number in range(times):
            mover = hooks.send() if number == 0 else rig.random.choice(rig.senders)
            if number > 0 and mover.is_running():
                rig.stop(mover)
            elif number > 0:
                mover.start()
            rig.faults += 1
            rig.pause(0.5, 3)
        for sender in rig.senders:
            if not sender.is_running():
                sender.start()

    return _under_fault(rig, inject)


def deploy(rig: Rig, times: int) -> Report:
    """One sender after the other ends and is started again."""

    def inject(hooks: FaultHooks) -> None:
        for _ in range(times):
            for sender in rig.senders:
                rig.stop(sender)
                sender.start()
                rig.faults += 1

    return _under_fault(rig, inject)


def hang_in_a_crowd(rig: Rig, count: int, hanging: int, seconds: float) -> Report:
    """Each owner has an endpoint; those that hang are no matter of the others."""
    owners = rig.make_owners(count)
    endpoints = [Endpoint(f"/{'hanging' if number < hanging else 'own'}/{owner}", user=owner) for number, owner in enumerate(owners)]
    with _delivering(rig, endpoints, lambda path: WAYS.get(path.rpartition("/")[0], {})) as hooks:
        with rig.under_load(RATE * 2, owners=owners[:-HTTP_CLIENTS], http_owners=owners[-HTTP_CLIENTS:]):
            time.sleep(seconds)
            rig.faults += hanging
        report = rig.complete()
        offset = time.time() - time.monotonic()
        events = hooks.audit(report)
        latencies = sorted(arrived + offset - event.at for event in events for endpoint in endpoints[hanging:]
                           if endpoint.wants(event) and (arrived := hooks.ledger.arrivals[endpoint.path].sent.get(event.id)))
    p99 = latencies[len(latencies) * 99 // 100]
    print(f"      those that do not hang: {len(latencies)} deliveries, p50 {latencies[len(latencies) // 2]:.3f} s, p99 {p99:.3f}, "
          f"longest {latencies[-1]:.3f}", flush=True)
    if p99 >= CROWD_P99_S:
        report.fault(f"the p99 of those that do not hang is {p99:.2f} s")
    return report


def wait_out_the_schedule(rig: Rig) -> Report:
    """Of a schedule that is never acknowledged each attempt comes when it is due, by a sender whose clock is put there, and then no more. An
    endpoint that acknowledges others stays; one that acknowledges nothing is disabled after 72 hours, which Kafka tells."""
    hooks, clock, faults = RigHooks(rig), Clock(rig.directory, rig.binary), []
    patient, hopeless = rig.make_owners(2)
    receiver = hooks.receive(lambda number, got: 200 if got.json["payload"]["name"] == "Fine" else 500)
    sender = hooks.send(**clock.env)
    endpoints = {owner: hooks.endpoint(receiver.url(f"/{owner}"), user=owner) for owner in (patient, hopeless)}

    def create(owner: int, name: str) -> None:
        made = rig.post({"name": name, "timeZone": "UTC", "isDefault": False}, user=owner)
        assert made.status_code == 201, made.text

    def state(webhook: str) -> tuple[bool, str | None]:
        return rig.sql("SELECT active, disabled_reason FROM webhooks WHERE id = %s", webhook)[0]

    try:
        create(patient, "Failing")
        for _ in range(HOPELESS):
            create(hopeless, "Failing")
        for attempt, delay_s in enumerate(DELAYS_S, 1):
            rig.until(lambda attempt=attempt: rig.sql(ATTEMPTED, attempt) == [(1 + HOPELESS,)], f"attempt {attempt} has failed")
            create(patient, "Fine")
            for waits_s, due_at in rig.sql(WAITS):
                if not 0.8 * delay_s - 1 <= waits_s <= 1.2 * delay_s + 1:
                    faults.append(f"after attempt {attempt} the next one comes in {waits_s} s and not in about {delay_s}")
                clock.put(max(clock.offset_s, int(due_at - time.time()) + 1))
            rig.faults += 1
        failed = "SELECT state, attempts FROM webhook_deliveries WHERE webhook_id = %s"
        rig.until(lambda: rig.sql(failed, endpoints[patient]) == [("failed", len(DELAYS_S) + 1)], "the last attempt has failed")
        rig.until(lambda: state(endpoints[hopeless]) == (False, "failing"), "what never succeeds is disabled")
        told = rig.topic(rig.place.events).wait_for(lambda message: message.key == endpoints[hopeless].encode())
        if [event.headers["ce_type"] for event in told] != [WEBHOOK_DISABLED.encode()] or state(endpoints[patient]) != (True, None):
            faults.append(f"Kafka tells {told}, and the endpoint that acknowledges others is {state(endpoints[patient])}")
        rig.stop(sender)
        tries = Counter(got.event_id for got in receiver.got if got.status == 500)
        if len(tries) != 1 + HOPELESS or max(tries.values()) != len(DELAYS_S) + 1:
            faults.append(f"attempts: {tries}")
    finally:
        receiver.close()
    print(f"      the last attempt came {clock.offset_s / 3600:.1f} hours after the first", flush=True)
    report = rig.complete()
    report.faults += faults
    return report
