"""What a sender waits for, and who waits for it."""

from __future__ import annotations

import time

import psycopg2

from hooks import OURS, Hooks
from line import kafka_stands_still, until
from servers import Webhooks

ROOM = 20000  # SENDER_DELIVERIES_MAX of webhook/webhook_sender_state.h
PAGE = 1000  # SENDER_CHANGES_MAX of webhook/webhook_sender_state.h
WAITS = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"


def slowest_answer(hooks: Hooks, sender: Webhooks, seconds: float) -> float:
    """Of /healthz, asked again and again for so long."""
    slowest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        assert hooks.line.http.get(f"{sender.url}/healthz", timeout=30).status_code == 200
        slowest = max(slowest, time.monotonic() - begin)
    return slowest


def test_the_loop_goes_on_while_a_replay_asks_kafka_which_stands_still(hooks: Hooks) -> None:
    receiver = hooks.receive()
    sender = hooks.send()
    webhook = hooks.endpoint(receiver.url())
    schedule = hooks.create()
    receiver.wait_for({f"{schedule}.1"})
    with kafka_stands_still(hooks.line):
        replay = hooks.job(webhook, "replay", from_time="2000-01-01T00:00:00Z")
        slowest = slowest_answer(hooks, sender, 6)  # it is asked for once a second, and asks for two
        assert hooks.wait_job(hooks.job(webhook, "ping"), "done") == (1, 0, None)
    assert slowest < 1.5, "a look-up takes two seconds"
    assert hooks.wait_job(replay, "done") == (1, 0, None)
    assert [got.event_id for got in receiver.got if got.headers.get("webhook-replay") == replay] == [f"{schedule}.1"]


def test_endpoints_of_all_pages_are_known_and_get_events(hooks: Hooks) -> None:
    receiver, paths = hooks.receive(), ("/first", "/middle", "/last")
    for number, path in enumerate(paths, 1):
        hooks.endpoint(receiver.url(path))
        hooks.line.sql("INSERT INTO webhooks (id, scope, user_id, subscriber_url, triggers, active, revision, start_position) SELECT "
                       "gen_random_uuid(), 'user', %s + i, 'http://127.0.0.1:9/', '{}', true, 0, '1:0/0' FROM generate_series(1, %s) i RETURNING 1",
                       number * 1000000, PAGE)
    sender = hooks.send()
    schedule = hooks.create()
    for path in paths:
        receiver.wait_for({f"{schedule}.1"}, path)
    known = f"schedule_webhook_endpoints {3 * PAGE + 3}"
    assert known in hooks.line.http.get(f"{sender.url}/metrics", timeout=10).text
    later = hooks.endpoint(receiver.url("/later"))
    until(lambda: not hooks.line.sql("SELECT 1 FROM webhook_cursors WHERE webhook_id = %s", later), "it is at the head")
    hooks.update(schedule, "Again")
    for path in (*paths, "/later"):
        receiver.wait_for({f"{schedule}.2"}, path)


def test_an_endpoint_that_is_stored_while_a_sender_begins_misses_nothing(hooks: Hooks) -> None:
    """It has no cursor, as there is no head yet, and the sender has read the endpoints already."""
    receiver, line = hooks.receive(), hooks.line
    with psycopg2.connect(line.database_url) as database, database.cursor() as cursor:
        cursor.execute("SELECT webhook_lock()")
        hooks.send()
        until(lambda: line.sql(WAITS), "the sender waits to begin")
        cursor.execute("SELECT create_webhook(gen_random_uuid(), %s, NULL, NULL, %s, %s, true, NULL, 'cal', 100)",
                       (line.people.member, receiver.url(), OURS))
        schedule = hooks.create()
        line.event_of_schedule(schedule)
    receiver.wait_for({f"{schedule}.1"})


def test_who_deletes_an_endpoint_waits_for_no_sender_that_waits_for_him(hooks: Hooks) -> None:
    """The sender has rows and a cursor to store in one transaction: the rows lock the endpoint, the cursor needs what he who deletes has."""
    receiver = hooks.receive(lambda number, got: 500)
    hooks.send()
    webhook = hooks.endpoint(receiver.url())
    until(lambda: hooks.line.sql("SELECT count(*) FROM webhook_offsets") != [(0,)]
          and not hooks.line.sql("SELECT 1 FROM webhook_cursors"), "it is at the head")
    with psycopg2.connect(hooks.line.database_url) as database, database.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '100ms'")  # so that this one, not the sender, would be told of a deadlock
        cursor.execute("SELECT webhook_lock()")
        for _ in range(8):
            hooks.create()
        until(lambda: hooks.line.sql(WAITS), "the sender waits for the lock")
        cursor.execute("DELETE FROM webhooks WHERE id = %s", (webhook,))
    until(lambda: not hooks.line.sql("SELECT 1 FROM webhook_deliveries"), "nothing is kept of it")


def test_nobody_waits_for_endpoints_that_fill_the_memory(hooks: Hooks) -> None:
    """More deliveries than there is room for: those that are not answered have no more than their part of it."""
    people, receiver = hooks.line.people, hooks.receive(lambda number, got: "hang" if got.path.startswith("/hang") else 200)
    for number in range(100):
        hooks.endpoint(receiver.url(f"/hang/{number}"), org=people.org)
    hooks.endpoint(receiver.url(), user=people.stranger)
    for _ in range(ROOM // 100 + 40):
        hooks.create()
    hooks.send()
    until(lambda: len(receiver.counts) == 100, "they are under way")
    made = hooks.line.post({"name": "P", "timeZone": "UTC", "isDefault": False}, key=people.stranger_key, path="/v2/schedules")
    receiver.wait_for([f"{made.json()['data']['id']}.1"], deadline_s=10)  # before those requests have timed out


def test_nobodys_retry_waits_for_those_of_endpoints_that_hang(hooks: Hooks) -> None:
    """More that are due than are looked at together, and due before it."""
    people = hooks.line.people
    receiver = hooks.receive(lambda number, got: 500 if number < (1 if got.path == "/hook" else 5) else 200 if got.path == "/hook" else "hang")
    hooks.send()
    hanging = [hooks.endpoint(receiver.url(f"/hang/{number}"), org=people.org) for number in range(60)]
    hooks.endpoint(receiver.url(), user=people.stranger)
    for _ in range(6):
        hooks.create()
    rows = "SELECT count(*) FROM webhook_deliveries WHERE state = 'retrying' AND webhook_id = ANY (%s::uuid[])"
    until(lambda: hooks.line.sql(rows, hanging)[0][0] >= 250, "much is to be tried again")
    made = hooks.line.post({"name": "P", "timeZone": "UTC", "isDefault": False}, key=people.stranger_key, path="/v2/schedules")
    receiver.wait_for([f"{made.json()['data']['id']}.1"])  # it fails once, and is due after 5 s


def test_a_new_endpoint_does_not_wait_for_one_that_catches_up_slowly(hooks: Hooks) -> None:
    receiver = hooks.receive(lambda number, got: time.sleep(6) or 200 if got.path == "/slow" else 200)
    sender = hooks.send()
    hooks.wait_assigned(sender)
    slow = hooks.post(receiver.url("/slow"))
    hooks.patch(slow, active=False)
    missed = {f"{hooks.create()}.1" for _ in range(120)}
    hooks.patch(slow, active=True)
    until(lambda: receiver.counts.get("/slow"), "it catches up")
    hooks.endpoint(receiver.url("/new"))
    made = {f"{hooks.create()}.1" for _ in range(8)}  # in all partitions
    receiver.wait_for(made, "/new", deadline_s=50)
    assert not missed <= set(receiver.acknowledged("/slow"))
    receiver.wait_for(missed | made, "/slow", deadline_s=240)
