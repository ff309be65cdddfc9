"""The ledger of webhooks: what the events topic holds against what receivers were sent and have acknowledged. Every event that matches
has reached every endpoint, at least once and as it is, in the order of its schedule, and nobody got what is for others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hooks import OURS
from ledger import Message, Report
from receiver import Got
from wire import CREATED, DELETED, UPDATED, decode_event

TRIGGERS = dict(zip((CREATED, UPDATED, DELETED), OURS, strict=True))


@dataclass(frozen=True)
class Event:
    id: str
    schedule: int
    version: int
    owner: int
    org: int  # 0: none
    trigger: str
    at: float  # wall clock


@dataclass(frozen=True)
class Endpoint:
    """Of a user, or of an organization with these members."""

    path: str
    user: int | None = None
    org: int | None = None
    members: frozenset[int] = frozenset()
    triggers: tuple[str, ...] = tuple(OURS)

    def wants(self, event: Event) -> bool:
        if event.trigger not in self.triggers:
            return False
        if self.org is None:
            return event.owner == self.user
        return event.org == self.org or (event.org == 0 and event.owner in self.members)


@dataclass
class Arrivals:
    """Of one endpoint: when each event came first, and when it was acknowledged first."""

    sent: dict[str, float] = field(default_factory=dict)
    acknowledged: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    spoilt: list[str] = field(default_factory=list)

    def add(self, got: Got) -> None:
        self.requests += 1
        payload = got.json["payload"]
        if f"{payload['id']}.{payload['version']}" != got.event_id:
            self.spoilt.append(got.event_id)
        self._first(self.sent, got)
        if 200 <= got.status < 300:
            self._first(self.acknowledged, got)

    @staticmethod
    def _first(times: dict[str, float], got: Got) -> None:
        times[got.event_id] = min(got.at, times.get(got.event_id, got.at))


def events_of(records: Iterable[Message]) -> list[Event]:
    """Those that webhooks are about, in the order of their partitions."""
    found = []
    for record in records:
        headers = record.headers
        trigger = TRIGGERS.get(headers["ce_type"].decode())
        if trigger is None:
            continue
        schedule = decode_event(record.value or b"", headers)
        at = datetime.fromisoformat(headers["ce_time"].decode().replace("Z", "+00:00")).timestamp()
        found.append(Event(headers["ce_id"].decode(), schedule["id"], schedule["version"], schedule["owner_id"], schedule["org_id"],
                           trigger, at))
    return found


class HooksLedger:
    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = endpoints
        self.arrivals = {endpoint.path: Arrivals() for endpoint in endpoints}

    def add(self, got: Iterable[Got]) -> None:
        for one in got:
            self.arrivals[one.path].add(one)

    def missing(self, events: Sequence[Event]) -> list[str]:
        """What is not acknowledged yet."""
        return [f"{event.id} at {endpoint.path}" for endpoint in self.endpoints for event in events
                if event.id not in self.arrivals[endpoint.path].acknowledged and endpoint.wants(event)]

    def audit(self, report: Report, events: Sequence[Event]) -> None:
        for endpoint in self.endpoints:
            self._audit(report, endpoint, [event for event in events if endpoint.wants(event)])

    def _audit(self, report: Report, endpoint: Endpoint, wanted: Sequence[Event]) -> None:
        got, path = self.arrivals[endpoint.path], endpoint.path
        report.counts["deliveries"] += len(wanted)
        report.counts["requests"] += got.requests
        for event in got.sent.keys() - {event.id for event in wanted}:
            report.fault(f"for others: {path} got event {event}")
        for event in got.spoilt:
            report.fault(f"spoilt: what {path} got as event {event} is another one")
        before: dict[int, str] = {}
        for event in wanted:
            earlier = before.get(event.schedule)
            before[event.schedule] = event.id
            if event.id not in got.acknowledged:
                report.fault(f"lost: {path} has not acknowledged event {event.id}")
            # At once with it, or before it, is too early: its answer was not there yet.
            elif earlier in got.acknowledged and got.sent[event.id] <= got.acknowledged[earlier]:
                report.fault(f"too early: {path} was sent event {event.id} before it had acknowledged {earlier}")
