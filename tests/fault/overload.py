"""More load than the service can take, through HTTP and Kafka at once. The promise: it sheds instead of slowing down, and loses nothing.
Everything is seen from outside."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import threading
import time
from typing import Any

import requests
from kafka import KafkaConsumer

from ledger import Report, wait_quiet, wait_completed
from line import MINIMAL
from rig import DEADLINE_S, Rig
from servers import ROOT, run

LOAD = ROOT / "build/release/tests/load"
OWNERS = 10_000  # by turns those of the commands that tests/tools/load.c makes
CONNECTIONS = 1500  # more than the exchanges that the service has at once
CHUNK = 50_000  # commands are produced so many at a time, whenever fewer than that are waiting
WARM_UP_S = 30  # a broker that has just begun is still being compiled
WINDOW_S = 20
ANSWER_MAX_S = 6.0  # a write is given up after 5
HEALTH_MAX_S = 1.0
THROUGHPUT_MIN = 0.8  # of the best window
CALM_S, CALM_FACTOR, CALM_FLOOR_S = 5.0, 3.0, 0.02
COMPLETED = "SELECT coalesce(sum(next_offset), 0) FROM command_offsets"


class Probe(threading.Thread):
    """Asks /healthz every 100 ms, and how much is done at the end of each window."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(daemon=True)
        self.rig, self.http, self.stopping = rig, requests.Session(), threading.Event()
        self.asked, self.longest_s = 0, 0.0
        self.done: list[tuple[float, int]] = [self._done()]
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stopping.wait(0.1):
                begin = time.monotonic()
                self._get("/healthz")
                self.asked, self.longest_s = self.asked + 1, max(self.longest_s, time.monotonic() - begin)
                if time.monotonic() >= self.done[-1][0] + WINDOW_S:
                    self.done.append(self._done())
        except Exception as error:  # it is the main thread that has to know
            self.error = error

    def _get(self, path: str) -> str:
        answer = self.http.get(self.rig.service.url + path, timeout=10)
        answer.raise_for_status()
        return answer.text

    def _done(self) -> tuple[float, int]:
        """Commands completed and HTTP creates answered until now."""
        created = re.findall(r'^schedule_http_requests_total\{.*"201".*\} (\d+)$', self._get("/metrics"), re.MULTILINE)
        return time.monotonic(), int(self.rig.sql(COMPLETED)[0][0]) + sum(map(int, created))

    def rates(self) -> list[float]:
        """Of each window behind the warm-up."""
        warm = [window for window in self.done if window[0] >= self.done[0][0] + WARM_UP_S]
        return [(after - before) / (end - begin) for (begin, before), (end, after) in zip(warm, warm[1:])]

    def stop(self) -> None:
        self.stopping.set()
        self.join(30)
        if self.error:
            raise self.error


def overload(rig: Rig, seconds: int) -> Report:
    report, first_owner = Report(), rig.make_owners(OWNERS)[0]
    before_s = _create_s(rig)
    wrk = _flood_http(rig, first_owner, seconds)
    probe = Probe(rig)
    probe.start()
    try:
        sent = _flood_kafka(rig, first_owner, wrk)
        http = json.loads(wrk.communicate()[0].partition("RESULT ")[2])
    finally:
        wrk.kill()
        probe.stop()
    rig.faults += 1
    wait_completed(rig.place, DEADLINE_S)
    completed = time.monotonic()
    after_s = _create_s(rig)
    _check(report, http, probe, before_s, after_s, time.monotonic() - completed)
    _balance(rig, report, sent, http["statuses"]["201"])
    return report


def _flood_http(rig: Rig, first_owner: int, seconds: int) -> subprocess.Popen[str]:
    path = rig.schedules_path("{owner}")
    return subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s",
                             str(ROOT / "tests/fault/overload.lua"), rig.service.url, "--", "POST", path, rig.people.admin_key,
                             str(first_owner), str(OWNERS), json.dumps(MINIMAL)], stdout=subprocess.PIPE, text=True)


def _flood_kafka(rig: Rig, first_owner: int, wrk: subprocess.Popen[str]) -> int:
    """The backlog does not run dry before wrk ends; how many commands there were."""
    sent = 0
    while wrk.poll() is None:
        waiting = sent - int(rig.sql(COMPLETED)[0][0])
        if sent and waiting == 0:
            raise AssertionError("the backlog ran dry: this is no overload")
        if waiting < CHUNK:
            run(str(LOAD), "produce", rig.place.bootstrap, rig.place.commands, str(sent), str(CHUNK), str(rig.people.org),
                str(first_owner))
            sent += CHUNK
        time.sleep(0.1)
    return sent


def _create_s(rig: Rig, times: int = 50) -> float:
    """The median time that a single create takes."""
    return statistics.median(rig.post(MINIMAL).elapsed.total_seconds() for _ in range(times))


def _check(report: Report, http: dict[str, Any], probe: Probe, before_s: float, after_s: float, measuring_s: float) -> None:
    rates = probe.rates()
    print(f"      HTTP {http}; /healthz asked {probe.asked} times, longest {probe.longest_s * 1000:.0f} ms; done per second "
          f"{[int(rate) for rate in rates]}; a create took {before_s * 1000:.1f} ms before and {after_s * 1000:.1f} after", flush=True)
    if set(http["statuses"]) != {"201", "503"} or http["unasked"]:
        report.fault(f"HTTP does not shed by 503 with Retry-After, or answers something else: {http}")
    if http["timeouts"] or http["broken"] or http["longest_s"] > ANSWER_MAX_S:
        report.fault(f"a request was not answered within {ANSWER_MAX_S:g} s: {http}")
    if probe.longest_s > HEALTH_MAX_S:
        report.fault(f"/healthz took {probe.longest_s:.2f} s; the limit is {HEALTH_MAX_S:g}")
    if min(rates) < THROUGHPUT_MIN * max(rates):
        report.fault(f"a window is below {THROUGHPUT_MIN:.0%} of the best one: {[int(rate) for rate in rates]}")
    if after_s > max(CALM_FACTOR * before_s, CALM_FLOOR_S) or measuring_s > CALM_S:
        report.fault(f"a create still takes {after_s * 1000:.1f} ms, before it took {before_s * 1000:.1f}")


def _balance(rig: Rig, report: Report, commands: int, answered: int) -> None:
    """Each command and each 201 has its row, and each row its event, once. What wrk had under way when it ended may add rows; the
    two interfaces are told apart by the names of what they made."""
    wait_quiet(rig.place, DEADLINE_S)
    rig.sample()
    rig.check_memory(report)
    rig.stop(rig.service)
    rows = int(rig.sql("SELECT count(*) FROM schedules")[0][0])
    of_commands = int(rig.sql("SELECT count(*) FROM schedules WHERE name LIKE %s", "Working hours %")[0][0])
    known = answered + len(rig.answers.created)
    events, ids = _events(rig)
    report.counts.update({"messages in": commands, "rows": rows, "ScheduleCreated": events})
    if of_commands != commands:
        report.fault(f"{of_commands} rows of {commands} commands")
    if not known <= rows - of_commands <= known + CONNECTIONS:
        report.fault(f"{rows - of_commands} rows of {known} answers")
    if events != rows or ids != rows:
        report.fault(f"{events} events, {ids} different, of {rows} rows")


def _events(rig: Rig) -> tuple[int, int]:
    """How many there are, read committed, and of how many ids."""
    consumer = KafkaConsumer(rig.place.events, bootstrap_servers=rig.place.bootstrap, auto_offset_reset="earliest",
                             isolation_level="read_committed", consumer_timeout_ms=5000)
    count, ids = 0, set()
    for event in consumer:
        count += 1
        ids.add(dict(event.headers)["ce_id"])
    consumer.close()
    return count, len(ids)
