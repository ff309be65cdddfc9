"""A sender's loop answers, whatever it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from hooks import Hooks
from line import Line, kafka_stands_still
from servers import Webhooks

PAGE = 1000  # SENDER_CHANGES_MAX of webhook/webhook_sender_state.h


@pytest.fixture
def hooks(make_line: Callable[..., Line]) -> Iterator[Hooks]:
    made = Hooks(make_line())
    made.line.start()
    yield made
    for receiver in made.receivers:
        receiver.close()


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
    assert [got.event_id for got in receiver.got].count(f"{schedule}.1") == 2
