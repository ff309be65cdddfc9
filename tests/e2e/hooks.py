"""Senders of webhooks under test, and endpoints for them. Senders run where there is no network but loopback."""

from __future__ import annotations

import ssl
import uuid
from pathlib import Path
from typing import Any

import namespace

from line import BINARY, PARTITIONS, Line
from receiver import Receiver, Script
from servers import Webhooks, wait_until

KEY = "0123456789abcdef" * 4
OURS = ["SCHEDULE_CREATED", "SCHEDULE_UPDATED", "SCHEDULE_DELETED"]


def sender_of(line: Line, binary: Path, log: Path, **env: str) -> Webhooks:
    assert namespace.is_isolated(), namespace.NEEDED
    return Webhooks(binary, line.env | {"WEBHOOK_SECRET_KEY": KEY} | env, log)


class Hooks:
    """A line with what a test of webhooks needs; everything ends with the test."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.senders: list[Webhooks] = []
        self.receivers: list[Receiver] = []

    def send(self, wait: bool = True, **env: str) -> Webhooks:
        sender = sender_of(self.line, BINARY, self.line.directory / f"webhooks-{len(self.senders)}.log", **env)
        self.senders.append(sender)
        self.line.replicas.append(sender)  # its log, and how it ends
        sender.start(wait)
        return sender

    def wait_assigned(self, sender: Webhooks, partitions: int = PARTITIONS) -> None:
        wanted = f"schedule_webhook_partitions {partitions}"
        assert wait_until(lambda: wanted in self.line.http.get(f"{sender.url}/metrics", timeout=10).text, 30), sender.log_tail()

    def receive(self, script: Script = lambda number, got: 200, tls: ssl.SSLContext | None = None) -> Receiver:
        self.receivers.append(Receiver(script, tls))
        return self.receivers[-1]

    def close(self) -> None:
        for receiver in self.receivers:
            receiver.close()

    def post(self, url: str, **fields: Any) -> str:
        """An endpoint of the member, made over HTTP."""
        sent = {"active": True, "subscriberUrl": url, "triggers": OURS} | fields
        answer = self.line.request("POST", "/v2/webhooks", self.line.people.member_key, json=sent)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["id"])

    def patch(self, webhook: str, **fields: Any) -> dict[str, Any]:
        answer = self.line.request("PATCH", f"/v2/webhooks/{webhook}", self.line.people.member_key, json=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def status(self, webhook: str) -> dict[str, Any]:
        return dict(self.line.request("GET", f"/v2/webhooks/{webhook}/status", self.line.people.member_key).json()["data"])

    def failures(self, webhook: str) -> list[dict[str, Any]]:
        """Those that its deliveries show."""
        answer = self.line.request("GET", f"/v2/webhooks/{webhook}/deliveries", self.line.people.member_key)
        return list(answer.json()["data"]["failures"])

    def endpoint(self, url: str, user: int | None = None, org: int | None = None, triggers: list[str] | None = None,
                 fmt: str = "cal", client: str | None = None) -> str:
        """An endpoint of the member, or of a user, an organization, or a client of that."""
        user = self.line.people.member if user is None and org is None else user
        made = str(uuid.uuid4())
        rows = self.line.sql("SELECT (c).verdict FROM (SELECT create_webhook(%s, %s, %s, %s, %s, %s, true, NULL, %s, 100) AS c) AS t",
                             made, user, org, client, url, OURS if triggers is None else triggers, fmt)
        assert rows == [("stored",)], rows
        return made

    def job(self, webhook: str, kind: str, from_time: str | None = None, from_event: str | None = None,
            triggers: list[str] | None = None) -> str:
        made = str(uuid.uuid4())
        rows = self.line.sql("SELECT (c).verdict FROM (SELECT create_webhook_job(%s, %s, %s, %s, %s, NULL, %s, 10) AS c) AS t",
                             made, webhook, kind, from_time, from_event, triggers)
        assert rows == [("stored",)], rows
        return made

    def wait_job(self, job: str, state: str) -> tuple[Any, ...]:
        """How many it has delivered, how many not, and why."""
        find = "SELECT state, delivered, failed, error FROM webhook_jobs WHERE id = %s"
        assert wait_until(lambda: self.line.sql(find, job)[0][0] == state, 30), self.line.sql(find, job)
        return self.line.sql(find, job)[0][1:]

    def create(self, **fields: Any) -> int:
        answer = self.line.post({"name": "S", "timeZone": "UTC", "isDefault": False} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]["id"]

    def update(self, schedule: int, name: str) -> None:
        answer = self.line.patch(f"{self.line.schedules_path()}/{schedule}", {"name": name})
        assert answer.status_code == 200, answer.text

    def delete(self, schedule: int) -> None:
        answer = self.line.delete(f"{self.line.schedules_path()}/{schedule}")
        assert answer.status_code == 200, answer.text

    def deliveries(self, webhook: str) -> list[tuple[Any, ...]]:
        return self.line.sql("SELECT event_id, state, attempts, status, error FROM webhook_deliveries WHERE webhook_id = %s "
                             "ORDER BY partition, event_offset", webhook)

    def hasten(self) -> None:
        """What is to be tried again is due now."""
        self.line.sql("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'retrying' AND next_attempt_at > now() RETURNING 1")
