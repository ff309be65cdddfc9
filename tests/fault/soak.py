#!/usr/bin/env python3
"""`make soak`: the service under load for a long time, and whether it grows.

    soak.py [--minutes N] [--seed N]

First it measures what the machine takes, with clients, PostgreSQL and Kafka on it: CAPACITY commands as fast as they go, until their
events are published. Then it brings 70 % of that for N minutes. The bulk is creates by tests/tools/bulk.c, in all partitions of the
topic but one. That one is the ledger's: there the clients of the rig come with commands of every kind, and over HTTP.

Each second it samples the process and asks a probe how long a command takes to become an event. In the end the ledger audits its
part, of the bulk rows and events must be as many as commands, with the same ids, and memory and descriptors must be flat: see
`check_flat`. Samples and plot are build/soak/soak.json and build/soak/soak.png."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy/local"), str(ROOT / "tests"), str(ROOT / "tests/e2e")]
os.environ.setdefault("SERVICE_BINARY", str(ROOT / "build/release/schedule-service"))

import matplotlib  # noqa: E402
from kafka.partitioner.default import murmur2  # noqa: E402

from clients import Client  # noqa: E402
from ledger import Part, Report, Topic, producer, wait_quiet  # noqa: E402
from line import BINARY, PARTITIONS  # noqa: E402
from rig import DEADLINE_S, Rig  # noqa: E402
from servers import Service, run, scratch_dir  # noqa: E402
from wire import CREATED, as_protobuf, decode_event  # noqa: E402
from world import World  # noqa: E402

RESULTS = ROOT / "build/soak"
BULK = ROOT / "build/release/tests/bulk"
SHARE = 0.7
CAPACITY = 150_000
LEDGER_RATE = 20
READ_RATE = 50_000  # events a second that the audit reads at least
LEDGER_PARTITION = PARTITIONS - 1
BULK_OWNER, BULK_OWNERS = 100_000, 10_000  # see tests/support/sample.h
WARM_UP = 0.3  # of the samples
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Sample:
    second: float
    memory_mib: float
    descriptors: int
    cpu_percent: float
    commands_per_s: float
    latency_ms: float  # of the probe's last command, until its event can be read
    lag_commands: float
    lag_bytes: float   # of WAL that the relay has not published


class SoakRig(Rig):
    """Its owners' keys are all in the ledger's partition."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed, BINARY)
        self.numbers = 0  # of the bulk's commands, until now
        self.place = replace(self.place, part=Part(LEDGER_PARTITION, BULK_OWNER))
        self.sql("INSERT INTO users (id, name) SELECT i, 'Bulk' FROM generate_series(%s, %s) i", BULK_OWNER,
                 BULK_OWNER + BULK_OWNERS - 1)
        self.sql("INSERT INTO memberships (org_id, user_id) SELECT %s, id FROM users WHERE id >= %s", self.people.org, BULK_OWNER)

    def make_owners(self, count: int) -> list[int]:
        owners: list[int] = []
        while len(owners) < count:
            owners += [owner for owner in super().make_owners(count)
                       if (murmur2(str(owner).encode()) & 0x7FFFFFFF) % PARTITIONS == LEDGER_PARTITION]
        return owners[:count]

    def bulk(self, count: int, rate: float) -> subprocess.Popen[bytes]:
        first, self.numbers = self.numbers, self.numbers + 2 * count
        numbers = [first, count, self.people.org, BULK_OWNER, rate, PARTITIONS, LEDGER_PARTITION]
        return subprocess.Popen([BULK, "produce", self.place.bootstrap, self.place.commands, *map(str, numbers)])

    def completed(self) -> int:
        return int(self.sql("SELECT coalesce(sum(next_offset), 0) FROM command_offsets")[0][0])

    def measure_capacity(self) -> float:
        """Commands a second, from the first produced to the last published."""
        begin, already = time.monotonic(), self.completed()
        load = self.bulk(CAPACITY, 0)
        self.until(lambda: self.completed() >= already + CAPACITY, "the commands are completed", 600)
        self.wait_events()
        if load.wait() != 0:
            raise RuntimeError("the load was not produced")
        return CAPACITY / (time.monotonic() - begin)


class Probe(Client):
    """Once a second a command, and how long its event takes."""

    def __init__(self, rig: SoakRig) -> None:
        super().__init__()
        self.rig, self.owner = rig, rig.make_owners(1)[0]
        self.latency_ms = 0.0
        self.events = Topic(rig.place.bootstrap, rig.place.events, LEDGER_PARTITION)

    def work(self) -> None:
        sender = producer(self.rig.place.bootstrap, linger_ms=0)
        self.events.read_to_end()
        while not self.stopping.wait(1):
            begin = time.monotonic()
            command_id = str(uuid.uuid4())
            command = {"commandId": command_id, "userId": self.owner, "name": "Probe", "timeZone": "UTC"}
            sender.send(self.rig.place.commands, key=str(self.owner).encode(), value=as_protobuf(command),
                        headers=[("expect", b"created")])
            while not self._has_come(command_id):
                self.latency_ms = (time.monotonic() - begin) * 1000
            self.latency_ms = (time.monotonic() - begin) * 1000
        sender.close()
        self.events.close()

    def _has_come(self, command_id: str) -> bool:
        self.events.records.clear()
        self.events.poll(50)
        return any(record.headers["ce_type"].decode() == CREATED and
                   decode_event(record.value or b"", record.headers)["command_id"] == command_id
                   for record in self.events.records)


class Sampler(threading.Thread):
    """A sample each second."""

    def __init__(self, rig: SoakRig, probe: Probe) -> None:
        super().__init__(daemon=True)
        self.rig, self.probe = rig, probe
        self.samples: list[Sample] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        service = self.rig.service
        begin = last = time.monotonic()
        cpu, completed = cpu_seconds(service), self.rig.completed()
        while not self.stopping.wait(max(0.0, begin + len(self.samples) + 1 - time.monotonic())):
            now, cpu_now, completed_now = time.monotonic(), cpu_seconds(service), self.rig.completed()
            self.samples.append(Sample(
                second=round(now - begin, 1), memory_mib=memory_mib(service), descriptors=descriptors(service),
                cpu_percent=round((cpu_now - cpu) / (now - last) * 100, 1),
                commands_per_s=round((completed_now - completed) / (now - last)), latency_ms=round(self.probe.latency_ms, 1),
                lag_commands=self.rig.metric("schedule_consumer_lag"), lag_bytes=self.rig.metric("schedule_relay_lag_bytes")))
            last, cpu, completed = now, cpu_now, completed_now
            if len(self.samples) % 30 == 0:
                print(f"      {self.samples[-1]}", flush=True)

    def stop(self) -> list[Sample]:
        self.stopping.set()
        self.join()
        return self.samples


def cpu_seconds(service: Service) -> float:
    fields = Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(service: Service) -> float:
    pages = int(Path(f"/proc/{service.pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


def descriptors(service: Service) -> int:
    return len(os.listdir(f"/proc/{service.pid}/fd"))


# ---- verdicts

def check_flat(samples: list[Sample], rate: float, report: Report) -> dict[str, tuple[float, float]]:
    """Behind the warm-up, and while no more waits than comes in a second, the median of the last half must not be above that of the
    first by more than 5 % or 1 MiB of memory, or 2 descriptors. Returns both medians of each. Whoever has less than half of
    the time to look at, because the machine did other work, cannot tell."""
    every = samples[int(len(samples) * WARM_UP):]
    behind = [sample for sample in every if sample.lag_commands <= rate]
    if len(behind) < len(every) / 2:
        report.fault(f"the machine kept up in only {len(behind)} of {len(every)} s")
    if len(behind) < 2:
        return {}
    halves = behind[:len(behind) // 2], behind[len(behind) // 2:]
    medians = {}
    for name, part, least in (("memory_mib", 0.05, 1.0), ("descriptors", 0.0, 2.0)):
        before, after = (statistics.median(getattr(sample, name) for sample in half) for half in halves)
        medians[name] = (before, after)
        if after > before + max(before * part, least):
            report.fault(f"{name} grows: {before} and then {after}")
    return medians


def check_bulk(rig: SoakRig, count: int, report: Report) -> None:
    """Each command of the bulk made one row, and each row one event."""
    rows, ids = rig.sql("SELECT count(*), coalesce(sum(id), 0) FROM schedules WHERE owner_id >= %s", BULK_OWNER)[0]
    events, told = run(str(BULK), "sum", rig.place.bootstrap, rig.place.events, str(BULK_OWNER),
                       timeout=DEADLINE_S + count / READ_RATE).split()
    report.counts["bulk commands"], report.counts["bulk rows"], report.counts["bulk events"] = count, int(rows), int(events)
    if (int(rows), int(events), int(told)) != (count, count, int(ids)):
        report.fault(f"{count} commands of the bulk, {rows} rows with the ids' sum {ids}, {events} events with {told}")


# ---- the plot

def plot(samples: list[Sample], title: str, path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(6, 1, figsize=(9, 10), sharex=True, layout="constrained")
    minutes = [sample.second / 60 for sample in samples]
    for axis, (name, label) in zip(axes, {
            "memory_mib": "memory, MiB", "descriptors": "descriptors", "cpu_percent": "CPU, %",
            "commands_per_s": "commands/s", "latency_ms": "command to\nevent, ms", "lag_commands": "commands\nwaiting"}.items(),
            strict=True):
        values = [getattr(sample, name) for sample in samples]
        axis.plot(minutes, values, linewidth=0.8)
        axis.set_ylabel(label)
        axis.set_ylim(0, max(*values, 1) * 1.2)
        axis.grid(alpha=0.3)
        axis.axvspan(0, minutes[int(len(minutes) * WARM_UP)], color="grey", alpha=0.15)
    axes[-1].set_xlabel("minutes; grey: warm-up")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=70)


# ---- the run

def soak(rig: SoakRig, minutes: float) -> tuple[float, int, list[Sample], Report]:
    rig.start()
    with rig.under_load(LEDGER_RATE):
        capacity = rig.measure_capacity()
        rate = capacity * SHARE
        count = int(rate * minutes * 60)
        print(f"capacity {capacity:,.0f} commands/s; {count:,} commands at {rate:,.0f}/s", flush=True)
        probe = Probe(rig)
        probe.start()
        sampler = Sampler(rig, probe)
        sampler.start()
        load = rig.bulk(count, rate)
        rig.until(lambda: load.poll() is not None, "the load is produced", minutes * 60 * 3 + 60)
        samples = sampler.stop()
        probe.stop()
    return capacity, count, samples, conclude(rig, load, count, minutes * 60 + DEADLINE_S)


def conclude(rig: SoakRig, load: subprocess.Popen[bytes], count: int, deadline_s: float) -> Report:
    """The audit; the samples are kept in any case."""
    try:
        if load.returncode != 0:
            raise RuntimeError("the load was not produced")
        wait_quiet(rig.place, deadline_s)
        report = rig.complete()
        check_bulk(rig, CAPACITY + count, report)
    except Exception as error:  # of whatever kind
        report = Report()
        report.fault(f"{type(error).__name__}: {error}")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    directory = scratch_dir()
    RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        with World(directory) as world:
            rig = SoakRig(world, options.seed)
            try:
                capacity, count, samples, report = soak(rig, options.minutes)
            finally:
                rig.abandon()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    medians = check_flat(samples, capacity * SHARE, report)
    latencies = sorted(sample.latency_ms for sample in samples)
    figures = {"minutes": options.minutes, "seed": options.seed, "capacity_per_s": round(capacity),
               "rate_per_s": round(capacity * SHARE), "medians_first_and_last_half": medians,
               "latency_ms_p50": latencies[len(latencies) // 2], "latency_ms_p99": latencies[int(len(latencies) * 0.99)],
               "counts": report.counts, "peak_mib": max(sample.memory_mib for sample in samples), "faults": report.faults}
    (RESULTS / "soak.json").write_text(json.dumps(figures | {"samples": [asdict(sample) for sample in samples]}) + "\n")
    plot(samples, f"{count:,} commands in {options.minutes:g} minutes, {SHARE:.0%} of {capacity:,.0f} a second", RESULTS / "soak.png")
    print(report)
    print(json.dumps({name: figures[name] for name in list(figures)[:-2]}))
    print("FAILED" if report.faults else "OK: nothing lost, nothing twice, and nothing grew")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
