"""What becomes of endpoints when events are out of their topic's log before they were sent, or the topic is another one."""

from __future__ import annotations

import re
import threading
import time

import psycopg2
from kafka import KafkaAdminClient

from hooks import Hooks
from line import PARTITIONS, until
from servers import Webhooks

SWITCH = "SELECT (update_webhook(%s, NULL, NULL, NULL, %s, false, NULL, NULL, false)).verdict"


def lost_offsets(hooks: Hooks, sender: Webhooks) -> int:
    text = hooks.line.http.get(f"{sender.url}/metrics", timeout=10).text
    return int(re.findall(r"^schedule_webhook_offsets_lost_total (\d+)$", text, re.MULTILINE)[0])


def cut_events(hooks: Hooks) -> None:
    """Deletes all events from the topic, as retention does."""
    line = hooks.line
    line.delete_records(line.place.events, line.topic(line.place.events).ends())


def serve_at_head(hooks: Hooks, *urls: str) -> tuple[Webhooks, list[str]]:
    """A sender that has all partitions, and an endpoint for each URL, which it serves from the head."""
    sender = hooks.send()
    hooks.wait_assigned(sender)
    webhooks = [hooks.endpoint(url) for url in urls]
    until(lambda: not hooks.line.sql("SELECT 1 FROM webhook_cursors"), "they are at the head")
    return sender, webhooks


def test_what_is_out_of_the_log_is_told_and_passed_over_by_the_head_and_by_one_behind_it(hooks: Hooks) -> None:
    receiver, line = hooks.receive(), hooks.line
    sender, (ahead, behind) = serve_at_head(hooks, receiver.url("/ahead"), receiver.url("/behind"))
    line.sql(SWITCH, behind, False)
    taken = {f"{hooks.create()}.1" for _ in range(2)}
    receiver.wait_for(taken, "/ahead")
    line.stop(sender)
    line.replicas.remove(sender)
    lost = hooks.create()
    line.event_of_schedule(lost)
    cut_events(hooks)
    sender = hooks.send()
    until(lambda: hooks.status(behind)["lost"] and hooks.status(ahead)["lost"], "it is told", 40)
    told = hooks.status(behind)["lost"]
    assert told["from"] <= hooks.status(ahead)["lost"]["from"] < told["to"]
    assert hooks.patch(behind, active=True)["lost"] == told
    schedule = hooks.create()
    receiver.wait_for({f"{schedule}.1"}, "/ahead")
    receiver.wait_for({f"{schedule}.1"}, "/behind")
    assert f"{lost}.1" not in {got.event_id for got in receiver.got}
    assert lost_offsets(hooks, sender) > 0


def make_topic_anew(hooks: Hooks) -> None:
    """The events topic is deleted and made again: its offsets begin at 0."""
    line = hooks.line
    admin = KafkaAdminClient(bootstrap_servers=line.servers.kafka.bootstrap)
    try:
        admin.delete_topics([line.place.events])
        until(lambda: line.place.events not in admin.list_topics(), "the topic is gone")
    finally:
        admin.close()
    line.cli("topics", "--partitions", str(PARTITIONS))


def test_all_are_told_that_the_topic_is_another_one_and_get_what_is_in_it(hooks: Hooks) -> None:
    """The cursor of one that is inactive is beyond its end, as the head is."""
    receiver, line = hooks.receive(), hooks.line
    sender, (ahead, behind) = serve_at_head(hooks, receiver.url("/ahead"), receiver.url("/behind"))
    taken = {f"{hooks.create()}.1" for _ in range(8)}
    for path in ("/ahead", "/behind"):
        receiver.wait_for(taken, path)
    line.sql(SWITCH, behind, False)
    make_topic_anew(hooks)
    until(lambda: hooks.status(behind)["lost"] and hooks.status(ahead)["lost"], "it is told", 40)
    made = {f"{hooks.create()}.1" for _ in range(2)}
    receiver.wait_for(made, "/ahead")
    told = hooks.status(behind)["lost"]
    assert told["from"] < told["to"] and hooks.status(ahead)["lost"]["from"] < told["to"]
    assert hooks.patch(behind, active=True)["lost"] == told
    made.add(f"{hooks.create()}.1")
    for path in ("/ahead", "/behind"):
        receiver.wait_for(made, path)
        assert sorted(receiver.acknowledged(path)) == sorted(taken | made), "each once"
    assert lost_offsets(hooks, sender) > 0


def test_it_is_told_when_the_topic_was_made_again_while_no_sender_was_there(hooks: Hooks) -> None:
    """One is behind and active, and one is active again before a sender knows."""
    receiver, line = hooks.receive(), hooks.line
    paths = ("/ahead", "/behind", "/again")
    sender, served = serve_at_head(hooks, *map(receiver.url, paths))
    webhooks = dict(zip(paths, served, strict=True))
    line.sql(SWITCH, webhooks["/behind"], False)
    line.sql(SWITCH, webhooks["/again"], False)
    receiver.wait_for({f"{hooks.create()}.1" for _ in range(8)}, "/ahead")
    line.stop(sender)
    line.replicas.remove(sender)
    line.sql(SWITCH, webhooks["/behind"], True)
    make_topic_anew(hooks)
    made = {f"{hooks.create()}.1"}
    assert hooks.patch(webhooks["/again"], active=True)["lost"] is None
    hooks.send()
    for path, webhook in webhooks.items():
        receiver.wait_for(made, path)
        assert hooks.status(webhook)["lost"]


def test_what_was_kept_of_the_former_topic_is_sent_before_what_has_its_offset_now(hooks: Hooks) -> None:
    is_well = threading.Event()
    receiver, line = hooks.receive(lambda number, got: 200 if is_well.is_set() else 500), hooks.line
    _, (webhook,) = serve_at_head(hooks, receiver.url())
    schedule = hooks.create()
    until(lambda: len(hooks.deliveries(webhook)) == 1, "it is kept")
    line.sql("UPDATE webhook_deliveries SET event_offset = 0, next_attempt_at = now() + interval '1 hour' RETURNING 1")
    make_topic_anew(hooks)
    until(lambda: hooks.status(webhook)["lost"], "it is told", 40)
    other = hooks.create()  # of the same owner, so in that partition
    hooks.update(schedule, "Again")
    until(lambda: len(hooks.deliveries(webhook)) == 3, "those are kept, too")
    assert {row[:2] for row in hooks.deliveries(webhook)} == {(f"{schedule}.1", "retrying"), (f"{other}.1", "retrying"), (f"{schedule}.2", "waiting")}
    is_well.set()
    hooks.hasten()
    receiver.wait_for({f"{schedule}.1", f"{schedule}.2", f"{other}.1"})
    assert [event for event in receiver.acknowledged() if event != f"{other}.1"] == [f"{schedule}.1", f"{schedule}.2"]


def test_what_was_taken_of_the_former_topic_is_sent(hooks: Hooks) -> None:
    """It can be read nowhere any more. The first answer takes longer than a sender to see that the topic is another one."""
    receiver, line = hooks.receive(lambda number, got: time.sleep(0 if number else 10) or 200), hooks.line
    sender, (webhook,) = serve_at_head(hooks, receiver.url())
    taken = {f"{hooks.create()}.1" for _ in range(3)}
    until(lambda: "schedule_webhook_deliveries 3" in line.http.get(f"{sender.url}/metrics", timeout=10).text, "one is under way, and two wait")
    make_topic_anew(hooks)
    made = f"{hooks.create()}.1"
    receiver.wait_for(taken | {made}, deadline_s=60)
    assert hooks.status(webhook)["lost"]


def test_a_replay_that_began_in_the_former_topic_ends(hooks: Hooks) -> None:
    receiver, line = hooks.receive(), hooks.line
    hooks.wait_assigned(hooks.send())
    webhook = hooks.endpoint(receiver.url())
    with psycopg2.connect(line.database_url) as database, database.cursor() as cursor:  # it and where it is are seen together
        cursor.execute("INSERT INTO webhook_jobs (id, webhook_id, kind, from_time) VALUES (gen_random_uuid(), %s, 'replay', now()) RETURNING id", (webhook,))
        (job,) = cursor.fetchone()
        cursor.execute("INSERT INTO webhook_job_positions VALUES (%s, %s, 0, 1000000, 2000000)", (job, line.place.events))
    assert hooks.wait_job(str(job), "failed") == (0, 0, "topic made again")
