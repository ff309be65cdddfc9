"""What senders of webhooks do, seen by receivers on 127.0.0.1."""

from __future__ import annotations

import base64
import hmac
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ledger
from hooks import OURS, Hooks
from line import until
from servers import wait_until
from wire import messages


def test_events_of_a_schedule_arrive_in_their_order(hooks: Hooks) -> None:
    receiver = hooks.receive()
    hooks.send()
    hooks.endpoint(receiver.url())
    schedule = hooks.create(name="First")
    hooks.update(schedule, "Second")
    hooks.delete(schedule)
    receiver.wait_for([f"{schedule}.{version}" for version in (1, 2, 3)])
    first, second, third = receiver.at()
    assert [got.json["triggerEvent"] for got in (first, second, third)] == OURS
    assert list(first.json) == ["triggerEvent", "createdAt", "payload"]
    payload = second.json["payload"]
    assert payload["id"] == schedule and payload["name"] == "Second" and payload["ownerId"] == hooks.line.people.member
    assert (payload["orgId"], payload["version"], payload["previousVersion"]) == (hooks.line.people.org, 2, 1)
    assert "previousVersion" not in first.json["payload"]
    assert first.headers["x-cal-signature-256"] == "no-secret-provided"
    assert first.headers["x-cal-webhook-version"] == "2021-10-20"
    assert first.headers["user-agent"].startswith("schedule-service/")
    assert abs(int(first.headers["webhook-timestamp"]) - time.time()) < 60


def test_endpoints_get_what_their_owner_may_see_and_their_triggers_name(hooks: Hooks) -> None:
    people, receiver = hooks.line.people, hooks.receive()
    hooks.send()
    hooks.endpoint(receiver.url("/own"))
    hooks.endpoint(receiver.url("/stranger"), user=people.stranger)
    hooks.endpoint(receiver.url("/org"), org=people.org)
    hooks.endpoint(receiver.url("/deleted"), org=people.org, triggers=["SCHEDULE_DELETED", "BOOKING_CREATED"])
    hooks.endpoint(receiver.url("/standard"), org=people.org, fmt="standard")
    other = hooks.line.sql("SELECT max(id) FROM organizations")[0][0]
    hooks.endpoint(receiver.url("/other"), org=other)
    schedule = hooks.create()
    personal = hooks.line.post({"name": "P", "timeZone": "UTC", "isDefault": False}, key=people.member_key, path="/v2/schedules")
    assert personal.status_code == 201, personal.text
    own = personal.json()["data"]["id"]
    hooks.delete(schedule)
    everything = {f"{schedule}.1", f"{schedule}.2", f"{own}.1"}
    for path in ("/own", "/org", "/standard"):
        receiver.wait_for(everything, path)
        assert set(receiver.acknowledged(path)) == everything
    receiver.wait_for({f"{schedule}.2"}, "/deleted")
    assert receiver.acknowledged("/deleted") == [f"{schedule}.2"]
    assert receiver.at("/stranger") == receiver.at("/other") == []
    standard = receiver.at("/standard")[0].json
    assert list(standard) == ["type", "timestamp", "data"] and standard["type"] == "schedule.created"


def test_one_that_is_older_than_senders_gets_all_since_it_was_stored(hooks: Hooks) -> None:
    """Also what was committed before the first sender, while it was inactive."""
    receiver, before = hooks.receive(), hooks.create()
    webhook = hooks.post(receiver.url())
    wanted = [hooks.create()]
    hooks.patch(webhook, active=False)
    wanted.append(hooks.create())
    hooks.wait_assigned(hooks.send())
    hooks.endpoint(receiver.url("/other"))
    wanted.append(hooks.create())
    receiver.wait_for([f"{wanted[-1]}.1"], "/other")  # the head is behind all of them
    assert receiver.at() == []
    hooks.patch(webhook, active=True)
    receiver.wait_for([f"{schedule}.1" for schedule in wanted])
    hooks.patch(webhook, active=False)
    wanted.append(hooks.create())
    receiver.wait_for([f"{wanted[-1]}.1"], "/other")
    hooks.patch(webhook, active=True)
    receiver.wait_for([f"{wanted[-1]}.1"])
    assert set(receiver.acknowledged()) == {f"{schedule}.1" for schedule in wanted}, f"not {before}, which was there before"


def test_a_failing_schedule_parks_alone_and_goes_on_in_order(hooks: Hooks) -> None:
    failing: set[int] = set()
    receiver = hooks.receive(lambda number, got: 500 if got.json["payload"]["id"] in failing else 200)
    hooks.send()
    webhook = hooks.endpoint(receiver.url())
    one, two = hooks.create(), hooks.create()
    receiver.wait_for({f"{one}.1", f"{two}.1"})
    failing.add(one)
    for name in ("B", "C", "D"):
        hooks.update(one, name)
        hooks.update(two, name)
    receiver.wait_for({f"{two}.{version}" for version in (2, 3, 4)})
    until(lambda: len(hooks.deliveries(webhook)) == 3, "what failed is kept, with what waits behind it")
    assert hooks.deliveries(webhook)[0][:4] == (f"{one}.2", "retrying", 1, 500)
    assert [row[1] for row in hooks.deliveries(webhook)[1:]] == ["waiting", "waiting"]
    assert f"{one}.3" not in {got.event_id for got in receiver.at()}
    failing.clear()
    receiver.wait_for({f"{one}.{version}" for version in (2, 3, 4)})  # the first retry comes after 5 s
    receiver.assert_in_order()
    until(lambda: not hooks.deliveries(webhook), "nothing is kept of what was acknowledged")


def test_all_ways_to_fail_are_kept_and_tried_again(hooks: Hooks) -> None:
    ways: dict[str, Any] = {"/500": 500, "/reset": "reset", "/302": (302, {"Location": "http://169.254.169.254/"}),
                            "/429": (429, {"Retry-After": "3600"}), "/404": 404, "/tear": "tear", "/babble": "babble"}
    receiver = hooks.receive(lambda number, got: ways[got.path] if number == 0 and got.path in ways else (200, {"bytes": "10000000"}))
    hooks.send()
    webhooks = {path: hooks.endpoint(receiver.url(path)) for path in (*ways, "/large")}
    schedule = hooks.create()
    receiver.wait_for({f"{schedule}.1"}, "/large")
    for path in ways:
        until(lambda path=path: len(hooks.deliveries(webhooks[path])) == 1, f"{path} is kept")
    shown = {path: [(one["status"], one["error"]) for one in hooks.failures(webhooks[path])] for path in ways}
    assert shown == {path: [(None, "broken")] if path in ("/reset", "/tear", "/babble") else [(int(path[1:]), "status")] for path in ways}
    waits = hooks.line.sql("SELECT extract(epoch FROM next_attempt_at - last_failed_at) FROM webhook_deliveries WHERE webhook_id = %s",
                           webhooks["/429"])
    assert 59 < float(waits[0][0]) <= 61  # what is asked for is bounded
    hooks.hasten()
    for path in ways:
        receiver.wait_for({f"{schedule}.1"}, path)
        assert len(receiver.at(path)) == 2


def test_one_that_hangs_holds_nobody_else_up(hooks: Hooks) -> None:
    receiver = hooks.receive(lambda number, got: "hang" if got.path == "/hang" else "drip" if got.path == "/drip" else 200)
    hooks.send()
    hung, dripping = hooks.endpoint(receiver.url("/hang")), hooks.endpoint(receiver.url("/drip"))
    hooks.endpoint(receiver.url())
    created = [hooks.create() for _ in range(20)]
    receiver.wait_for({f"{schedule}.1" for schedule in created}, deadline_s=10)
    for webhook in (hung, dripping):
        until(lambda webhook=webhook: [row[4] for row in hooks.deliveries(webhook)[:1]] == ["timeout"], "a time-out is kept", 40)


def test_an_endpoint_that_is_gone_is_disabled_and_goes_on_where_it_was(hooks: Hooks) -> None:
    is_gone = True
    receiver = hooks.receive(lambda number, got: 410 if is_gone and got.path == "/gone" else 200)
    hooks.send()
    webhook = hooks.endpoint(receiver.url("/gone"))
    hooks.endpoint(receiver.url())
    first = hooks.create()
    until(lambda: hooks.line.sql("SELECT active, disabled_reason FROM webhooks WHERE id = %s", webhook) == [(False, "gone")], "it is disabled")
    event = hooks.line.topic(hooks.line.place.events).wait_for(lambda message: message.key == webhook.encode())[0]
    assert event.headers["ce_type"] == b"schedules.v1.WebhookDisabled"
    told = messages().WebhookDisabled.FromString(event.value or b"")
    assert (told.webhook_id, told.user_id, told.reason) == (webhook, hooks.line.people.member, "gone")
    second = hooks.create()
    receiver.wait_for({f"{first}.1", f"{second}.1"})
    assert len(receiver.at("/gone")) == 1
    is_gone = False
    hooks.line.sql("SELECT (update_webhook(%s, NULL, NULL, NULL, true, false, NULL, NULL, false)).verdict", webhook)
    receiver.wait_for({f"{first}.1", f"{second}.1"}, "/gone")
    receiver.assert_in_order("/gone")


def test_a_secret_rotates_with_both_valid_for_a_day(hooks: Hooks) -> None:
    receiver = hooks.receive()
    hooks.send()
    former, current = (f"whsec_{base64.b64encode(key * 32).decode()}" for key in (b"f", b"c"))
    webhook = hooks.post(receiver.url(), secret=former)

    def signed_by(*secrets: str) -> bool:
        """Whether the request of one more event is, by each in this order."""
        event = f"{hooks.create()}.1"
        receiver.wait_for([event])
        got = next(one for one in receiver.at() if one.event_id == event)
        message = f"{got.event_id}.{got.headers['webhook-timestamp']}.".encode() + got.body
        keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        wanted = ["v1," + base64.b64encode(hmac.digest(key, message, "sha256")).decode() for key in keys]
        return (got.headers["webhook-signature"].split(" ") == wanted and
                got.headers["x-cal-signature-256"] == hmac.digest(secrets[0].encode(), got.body, "sha256").hex())

    assert signed_by(former)
    until = datetime.fromisoformat(hooks.patch(webhook, secret=current)["previousSecretUntil"])
    assert timedelta(hours=23.9) < until - datetime.now(UTC) <= timedelta(hours=24)
    assert wait_until(lambda: signed_by(current, former), 10)
    hooks.line.sql("UPDATE webhooks SET previous_secret_until = previous_secret_until - interval '24 hours' RETURNING 1")  # a day goes by
    assert wait_until(lambda: signed_by(current), 10)
    assert wait_until(lambda: hooks.line.sql("SELECT previous_secret FROM webhooks") == [(None,)], 30)


def test_one_that_fails_for_too_long_is_disabled(hooks: Hooks) -> None:
    receiver = hooks.receive(lambda number, got: 500)
    hooks.send()
    webhook = hooks.endpoint(receiver.url())
    hooks.create()
    until(lambda: hooks.line.sql("SELECT failures FROM webhook_states WHERE webhook_id = %s", webhook) == [(1,)], "the failure is counted")
    hooks.line.sql("UPDATE webhook_states SET failures = 19, first_failure_at = now() - interval '73 hours' WHERE webhook_id = %s RETURNING 1", webhook)
    hooks.hasten()
    until(lambda: hooks.line.sql("SELECT active, disabled_reason FROM webhooks WHERE id = %s", webhook) == [(False, "failing")], "it is disabled")


def test_endpoints_of_who_is_removed_get_the_end_and_go(hooks: Hooks) -> None:
    """Of a user, an organization and its client, and a client alone."""
    line, receiver = hooks.line, hooks.receive()
    hooks.send()

    def client_of(org: int) -> str:
        return line.admin("oauth-client", "create", "--org", str(org), "--permissions", "read,write")["id"]

    user, org = line.make_owners(1)[0], int(line.admin("org", "add", "--name", "Ends")["id"])
    member, of_org, alone = line.make_owners(1, org)[0], client_of(org), client_of(line.people.org)
    webhooks = [hooks.endpoint(receiver.url("/user"), user=user), hooks.endpoint(receiver.url("/org"), org=org),
                hooks.endpoint(receiver.url("/client"), org=org, client=of_org),
                hooks.endpoint(receiver.url("/alone"), org=line.people.org, client=alone)]
    of_user = line.post({"name": "S", "timeZone": "UTC", "isDefault": False}, user=user).json()["data"]["id"]
    sent = line.command(orgId=org, userId=member)
    line.send(sent)
    of_member = int(line.event_of(sent["commandId"]).headers["ce_subject"])
    created = {"/user": of_user, "/org": of_member, "/client": of_member, "/alone": of_user}
    for path, schedule in created.items():
        receiver.wait_for({f"{schedule}.1"}, path)
    line.admin("oauth-client", "delete", "--id", alone)
    until(lambda: not line.sql("SELECT 1 FROM webhooks WHERE client_id = %s", alone), "that of the client is deleted", 60)
    line.admin("user", "remove", "--id", str(user))
    line.admin("org", "remove", "--id", str(org))
    for path in ("/user", "/org", "/client"):
        receiver.wait_for({f"{created[path]}.2"}, path)
        assert set(receiver.acknowledged(path)) == {f"{created[path]}.1", f"{created[path]}.2"}
    until(lambda: not line.sql("SELECT 1 FROM webhooks WHERE id = ANY (%s::uuid[])", webhooks), "they are deleted", 60)
    assert receiver.acknowledged("/alone") == [f"{of_user}.1"]


def test_nothing_is_lost_when_a_sender_is_killed(hooks: Hooks) -> None:
    receiver = hooks.receive(lambda number, got: 503 if number % 7 == 3 else 200)
    sender = hooks.send()
    hooks.endpoint(receiver.url())
    wanted = set()
    schedules = [hooks.create() for _ in range(5)]
    for round_ in range(12):
        for schedule in schedules:
            hooks.update(schedule, f"Round {round_}")
            wanted |= {f"{schedule}.{round_ + 2}", f"{schedule}.1"}
        if round_ % 4 == 1:
            sender.kill9()
            hooks.line.replicas.remove(sender)
            sender = hooks.send(wait=False)
        hooks.hasten()
    until(lambda: hooks.hasten() or wanted <= set(receiver.acknowledged()), "every event is acknowledged", 90)
    receiver.assert_in_order()


def test_two_senders_share_the_partitions(hooks: Hooks) -> None:
    receiver = hooks.receive()
    hooks.endpoint(receiver.url(), org=hooks.line.people.org)
    first, second = hooks.send(), hooks.send()
    owners = hooks.line.make_owners(12)
    made = [hooks.line.post({"name": "S", "timeZone": "UTC", "isDefault": False}, user=owner).json()["data"]["id"] for owner in owners]
    receiver.wait_for({f"{schedule}.1" for schedule in made}, deadline_s=40)
    hooks.line.stop(first)
    hooks.line.replicas.remove(first)
    more = [hooks.line.post({"name": "S", "timeZone": "UTC", "isDefault": False}, user=owner).json()["data"]["id"] for owner in owners]
    receiver.wait_for({f"{schedule}.1" for schedule in more}, deadline_s=40)
    receiver.assert_in_order()
    assert second.is_ready()


def test_a_sender_that_has_lost_its_group_stops(hooks: Hooks) -> None:
    """The broker has given its partitions away while it stood still, which it hears when it is stopping already."""
    receiver = hooks.receive(lambda number, got: "hang")
    sender = hooks.send(RDKAFKA_SESSION_TIMEOUT_MS="6000", RDKAFKA_HEARTBEAT_INTERVAL_MS="500")
    hooks.endpoint(receiver.url())
    hooks.wait_assigned(sender)
    hooks.create()
    until(lambda: len(receiver.at()) == 1, "a delivery is under way, which the stop waits for")
    sender.sigstop()
    other = hooks.send()
    hooks.wait_assigned(other)
    sender.sigcont()
    assert sender.stop(16) == 0
    hooks.line.replicas.remove(sender)


def test_an_endpoint_that_fails_leaves_the_head_and_catches_up(hooks: Hooks) -> None:
    is_down = True
    receiver = hooks.receive(lambda number, got: 500 if is_down and got.path == "/down" else 200)
    hooks.send()
    webhook = hooks.endpoint(receiver.url("/down"))
    hooks.endpoint(receiver.url())
    made = [hooks.create() for _ in range(30)]
    wanted = {f"{schedule}.1" for schedule in made}
    receiver.wait_for(wanted)
    until(lambda: hooks.line.sql("SELECT count(*) > 0 FROM webhook_cursors WHERE webhook_id = %s", webhook)[0][0], "it has left the head")
    assert len(hooks.deliveries(webhook)) < 15  # the rest is in the topic
    is_down = False
    hooks.hasten()
    receiver.wait_for(wanted, "/down", 60)
    receiver.assert_in_order("/down")
    until(lambda: not hooks.line.sql("SELECT 1 FROM webhook_cursors WHERE webhook_id = %s", webhook), "it is at the head again", 40)


def test_an_endpoint_far_behind_catches_up_without_getting_it_again_and_again(hooks: Hooks) -> None:
    receiver = hooks.receive()
    hooks.send()
    until(lambda: hooks.line.sql("SELECT count(*) FROM webhook_offsets") == [(4,)], "the head has a place in every partition")
    webhook = hooks.endpoint(receiver.url(), org=hooks.line.people.org)
    switch = "SELECT (update_webhook(%s, NULL, NULL, NULL, %s, false, NULL, NULL, false)).verdict"
    hooks.line.sql(switch, webhook, False)
    hooks.line.load(4000, changes=0, owners=1, duplicates=0, reused=0, invalid=0, undecodable=0)  # of one partition
    hooks.line.balance()
    hooks.line.sql(switch, webhook, True)
    events = {event.headers["ce_id"].decode() for event in hooks.line.topic(hooks.line.place.events).read_to_end()}
    until(lambda: len(receiver.at()) >= len(events) and events == set(receiver.acknowledged()), "it has caught up", 60)
    assert len(receiver.at()) < len(events) + 500  # one that begins at the start each time gets a multiple


def test_refused_addresses_are_never_connected_to(hooks: Hooks) -> None:
    receiver = hooks.receive()
    hooks.send(WEBHOOK_ALLOWED_NETWORKS="127.0.0.2/32")
    refused = hooks.endpoint(receiver.url("/refused"))
    named = hooks.endpoint(f"http://localhost:{receiver.port}/named")
    schedule = hooks.create()
    for webhook in (refused, named):
        until(lambda webhook=webhook: [row[::4] for row in hooks.deliveries(webhook)] == [(f"{schedule}.1", "refused")], "it is refused")
    assert receiver.got == []


def test_a_sender_says_how_it_stands(hooks: Hooks) -> None:
    sender = hooks.send()
    hooks.endpoint(hooks.receive().url())
    hooks.wait_assigned(sender)
    text = hooks.line.http.get(f"{sender.url}/metrics", timeout=10).text
    assert "schedule_webhook_partitions 4" in text and "schedule_webhook_lag_seconds" in text
    assert wait_until(lambda: "schedule_webhook_endpoints 1" in hooks.line.http.get(f"{sender.url}/metrics", timeout=10).text, 10)


def test_a_ping_is_one_request_by_the_same_rules(hooks: Hooks) -> None:
    receiver = hooks.receive(lambda number, got: 200 if got.path == "/ok" else 500)
    hooks.send()
    jobs = [hooks.job(hooks.endpoint(receiver.url(path)), "ping") for path in ("/ok", "/bad")]
    assert hooks.wait_job(jobs[0], "done") == (1, 0, None)
    assert hooks.wait_job(jobs[1], "failed") == (0, 1, "status")
    refused = hooks.job(hooks.endpoint("http://127.0.0.1:22/"), "ping")
    assert hooks.wait_job(refused, "failed") == (0, 1, "refused")
    assert [got.json["triggerEvent"] for got in receiver.got] == ["PING", "PING"]
    assert receiver.at("/ok")[0].event_id == f"ping_{jobs[0]}"


def test_a_replay_sends_events_once_more(hooks: Hooks) -> None:
    receiver = hooks.receive()
    hooks.send()
    own, org = hooks.endpoint(receiver.url("/own")), hooks.endpoint(receiver.url("/org"), org=hooks.line.people.org)
    first = hooks.create()
    second = hooks.create()
    hooks.update(second, "B")
    personal = hooks.line.post({"name": "P", "timeZone": "UTC", "isDefault": False}, key=hooks.line.people.member_key,
                               path="/v2/schedules").json()["data"]["id"]
    everything = {f"{first}.1", f"{second}.1", f"{second}.2", f"{personal}.1"}
    for path in ("/own", "/org"):
        receiver.wait_for(everything, path)
    for webhook, path in ((own, "/own"), (org, "/org")):
        before = len(receiver.at(path))
        job = hooks.job(webhook, "replay", from_time="2000-01-01T00:00:00Z")
        assert hooks.wait_job(job, "done") == (4, 0, None)
        again = receiver.at(path)[before:]
        assert {got.event_id for got in again} == everything
        assert {got.headers["webhook-replay"] for got in again} == {job}
    before = len(receiver.at("/own"))
    job = hooks.job(own, "replay", from_event=f"{second}.1", triggers=["SCHEDULE_UPDATED"])
    assert hooks.wait_job(job, "done") == (1, 0, None)
    assert [got.event_id for got in receiver.at("/own")[before:]] == [f"{second}.2"]
    missing = hooks.job(own, "replay", from_event="999999.1")
    assert hooks.wait_job(missing, "failed")[2] == "event not found"


def test_nobodys_replay_waits_for_an_endpoint_that_takes_its_time(hooks: Hooks) -> None:
    """Of an owner that has more to replay than anybody waits for; what has been sent in one turn is not sent in the next."""
    receiver = hooks.receive(lambda number, got: time.sleep(0.8) or 200 if got.path == "/slow" and "webhook-replay" in got.headers else 200)
    hooks.send()
    slow, org = hooks.endpoint(receiver.url("/slow")), hooks.endpoint(receiver.url("/org"), org=hooks.line.people.org)
    events = {f"{hooks.create()}.1" for _ in range(60)}
    for path in ("/slow", "/org"):
        receiver.wait_for(events, path)
    jobs = [hooks.job(slow, "replay", from_time="2000-01-01T00:00:00Z") for _ in range(2)]
    until(lambda: any("webhook-replay" in got.headers for got in receiver.at("/slow")), "the slow one has begun")
    assert hooks.wait_job(hooks.job(org, "replay", from_time="2000-01-01T00:00:00Z"), "done") == (60, 0, None)
    assert hooks.line.sql("SELECT count(*) FROM webhook_jobs WHERE state = 'done'") == [(1,)]
    until(lambda: hooks.line.sql("SELECT delivered FROM webhook_jobs WHERE id = %s AND state = 'done'", jobs[0]) == [(60,)], "it is done, too", 90)
    again = [got.event_id for got in receiver.at("/slow") if got.headers.get("webhook-replay") == jobs[0]]
    assert len(again) == 60 and set(again) == events


@pytest.mark.parametrize("begin", ["event", "time"])
def test_nobodys_replay_waits_for_one_that_reads_long_and_finds_little(hooks: Hooks, begin: str) -> None:
    """Longer than a turn: it goes on where that has ended, whether it looks for its first event or has it."""
    receiver, line = hooks.receive(), hooks.line
    hooks.send()
    own, org = hooks.endpoint(receiver.url("/own")), hooks.endpoint(receiver.url("/org"), org=line.people.org)
    first = hooks.create()
    partition = line.event_of_schedule(first).partition
    producer = ledger.producer(line.servers.kafka.bootstrap)
    for _ in range(60_000):  # of no interest to anybody; some 4,000 are read in a second
        producer.send(line.place.events, value=b"", partition=partition)
    producer.close()
    last = hooks.create()  # of the same owner, so behind them
    receiver.wait_for({f"{first}.1", f"{last}.1"}, "/own", deadline_s=60)
    where: dict[str, Any] = {"from_event": f"{last}.1"} if begin == "event" else {"from_time": "2000-01-01T00:00:00Z"}
    reading = hooks.job(own, "replay", **where)
    state = "SELECT state FROM webhook_jobs WHERE id = %s"
    until(lambda: line.sql(state, reading) == [("running",)], "it has begun")
    assert hooks.wait_job(hooks.job(org, "replay", from_time="now"), "done") == (0, 0, None)
    assert line.sql(state, reading) == [("running",)]
    until(lambda: line.sql(state, reading) == [("done",)], "it goes on to its end", 60)
    again = [got.event_id for got in receiver.at("/own") if "webhook-replay" in got.headers]
    assert again == ([f"{first}.1"] if begin == "time" else []) + [f"{last}.1"]


def test_nobodys_ping_waits_for_those_of_an_owner_whose_endpoints_hang(hooks: Hooks) -> None:
    receiver = hooks.receive(lambda number, got: "hang" if got.path.startswith("/hang") else 200)
    hooks.send()
    hanging = [hooks.endpoint(receiver.url(f"/hang/{number}")) for number in range(6)]
    org = hooks.endpoint(receiver.url("/org"), org=hooks.line.people.org)
    for webhook in hanging:
        for _ in range(10):
            hooks.job(webhook, "ping")
    until(lambda: hooks.line.sql("SELECT count(*) FROM webhook_jobs WHERE state = 'running'") == [(2,)], "some are under way")
    assert hooks.wait_job(hooks.job(org, "ping"), "done") == (1, 0, None)
