"""Who has nothing to do with the fault: a caller of another organization, and commands in other partitions. What is promised to them
(guarantee G7): 99 of 100 requests are answered within 200 ms, and the commands are completed."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from multiprocessing.connection import Connection
from operator import sub
from pathlib import Path
from typing import Any

from line import PARTITIONS
from rig import DEADLINE_S, Rig

RATE = 50  # requests a second of the caller: by turns it writes, reads what it wrote, and reads a page
OWNERS = 20  # of what it writes
P99_MS = 200.0
SETTLED_S = 5.0  # of a command: its turn, its transaction, and what a busy machine adds
COMMANDS_EVERY_S = 0.25
MINIMAL = {"name": "Well-behaved", "timeZone": "UTC", "isDefault": False}
NEXT_OFFSETS = "SELECT partition, next_offset FROM command_offsets WHERE topic = %s"


# ---- the caller: a process of its own, so that the fault's work does not count as the service's

def _call(url: str, page: str, paths: list[str], key: str, results: Connection) -> None:
    address = url.removeprefix("http://")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    created: list[dict[str, Any]] = []
    latencies: list[float] = []
    wrong: Counter[str] = Counter()
    host = http.client.HTTPConnection(address, timeout=20)
    due, turn = time.monotonic(), cycle(paths)
    todo: list[str] = []
    while not results.poll(max(0, due - time.monotonic())):
        due, begin = max(due + 1 / RATE, time.monotonic()), time.monotonic()
        method, path, wanted = ("GET", todo.pop(), 200) if todo else ("POST", next(turn), 201)
        try:
            host.request(method, path, json.dumps(MINIMAL) if method == "POST" else None, headers)
            answer = host.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            wrong[type(error).__name__] += 1
            host.close()
            continue
        latencies += _as_if_others_waited(time.monotonic() - begin)
        if answer.status != wanted:
            wrong[f"{method} {answer.status}"] += 1
        elif method == "POST":
            created.append(json.loads(body)["data"])
            todo = [page, f"{path}/{created[-1]['id']}"]
        elif path != page and json.loads(body)["data"] != created[-1]:
            wrong["the answer to another request"] += 1
    results.send((created, latencies, wrong))


def _as_if_others_waited(latency: float) -> list[float]:
    """One who waits does not ask meanwhile: what would have been asked at the rate would have waited for the rest."""
    return [latency - missed / RATE for missed in range(1 + int(latency * RATE))]


def _loop_s(rig: Rig) -> tuple[float, float]:
    """For how long the service's loop has run, and has waited for a processor that others had."""
    run_ns, waited_ns, _ = Path(f"/proc/{rig.service.pid}/schedstat").read_text().split()
    return int(run_ns) / 1e9, int(waited_ns) / 1e9


@contextmanager
def calling(rig: Rig, p99_ms: float = P99_MS) -> Iterator[None]:
    """The caller must be answered as it should, 99 of 100 times within p99_ms; 0: whenever."""
    org, paths = rig.people.other_org, []
    for owner in rig.make_owners(OWNERS, org):
        paths.append(rig.schedules_path(owner, org))
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    caller = multiprocessing.get_context("fork").Process(
        target=_call, args=(rig.service.url, f"/v2/organizations/{org}/schedules?take=10", paths, rig.people.other_admin_key, theirs),
        daemon=True)
    caller.start()
    theirs.close()
    before = _loop_s(rig)
    try:
        yield
        run_s, waited_s = map(sub, _loop_s(rig), before)
        print(f"      the loop ran {run_s:.1f} s and waited {waited_s:.1f} s for a processor", flush=True)
    finally:
        ours.send("enough")
        created, latencies, wrong = ours.recv()
        caller.join()
    rig.answers.created += created
    rig.answers.unknown += sum(wrong.values())
    p99 = sorted(latencies)[len(latencies) * 99 // 100] * 1000
    print(f"      caller: {len(latencies)} requests, p99 {p99:.1f} ms, longest {max(latencies) * 1000:.1f}, wrong {dict(wrong)}", flush=True)
    assert not wrong, f"the caller was answered {dict(wrong)}"
    assert not p99_ms or p99 < p99_ms, f"the caller's p99 is {p99:.1f} ms"


# ---- the commands

def warm_up(rig: Rig) -> None:
    """Waits until the line does its work: every partition is taken and the relay publishes."""
    for partition in range(PARTITIONS):
        command = rig.command()
        rig.send(command, partition=partition)
        rig.event_of(command["commandId"], DEADLINE_S)


class Commands(threading.Thread):
    """Sends a command to each of these partitions again and again, and sees how long the oldest that is not completed waits."""

    def __init__(self, rig: Rig, partitions: Iterable[int]) -> None:
        super().__init__(daemon=True)
        self.rig, self.stopping = rig, threading.Event()
        self.waiting: dict[int, list[tuple[int, float]]] = {partition: [] for partition in partitions}
        self.owners = rig.make_owners(len(self.waiting))
        self.sent, self.longest_s = 0, 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stopping.wait(COMMANDS_EVERY_S):
                self._send()
                self._look()
        except Exception as error:  # it is the main thread that has to know
            self.error = error

    def _send(self) -> None:
        for owner, (partition, waiting) in zip(self.owners, self.waiting.items(), strict=True):
            message = self.rig.send(self.rig.command(userId=owner), partition=partition, key=str(owner).encode())
            waiting.append((message.offset, time.monotonic()))
            self.sent += 1

    def _look(self) -> None:
        completed, now = dict(self.rig.sql(NEXT_OFFSETS, self.rig.place.commands)), time.monotonic()
        for partition, waiting in self.waiting.items():
            while waiting:
                self.longest_s = max(self.longest_s, now - waiting[0][1])
                if waiting[0][0] >= completed.get(partition, 0):
                    break
                waiting.pop(0)

    def stop(self) -> None:
        self.stopping.set()
        self.join(60)
        if self.error:
            raise self.error


@contextmanager
def commanding(rig: Rig, partitions: Iterable[int]) -> Iterator[None]:
    """The commands in these partitions must be completed in time."""
    commands = Commands(rig, partitions)
    commands.start()
    try:
        yield
    finally:
        commands.stop()
    print(f"      other partitions: {commands.sent} commands, the longest completed after {commands.longest_s:.1f} s", flush=True)
    assert commands.longest_s < SETTLED_S, f"a command of another partition waited {commands.longest_s:.1f} s"


@contextmanager
def undisturbed(rig: Rig, partitions: Iterable[int]) -> Iterator[None]:
    """Both, until the end of the block."""
    with commanding(rig, partitions), calling(rig):
        yield
