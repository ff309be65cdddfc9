#!/usr/bin/env python3
"""The fault rig behind `make fault`: real PostgreSQL and Kafka, replicas of the service, clients at HTTP and Kafka, one fault after the
other, and after each case the ledger: nothing lost, nothing twice, nothing out of order.

    fault.py [--case NAME ...] [--short] [--seed N] [--list]

The environment names the binaries: SERVICE_BINARY, and FAILPOINT_BINARY, which is built with failpoints. Exit status 0 only if no
case failed."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy/local"), str(ROOT / "tests"), str(ROOT / "tests/e2e")]
os.environ.setdefault("SERVICE_BINARY", str(ROOT / "build/release/schedule-service"))

import namespace  # noqa: E402
from cases import CASES, SHORT, Case  # noqa: E402
from ledger import Report  # noqa: E402
from line import BINARY, SANITIZER  # noqa: E402
from rig import Rig, Watcher  # noqa: E402
from servers import scratch_dir  # noqa: E402
from world import SmallDisk, WithPrevious, World  # noqa: E402

FAILPOINT_BINARY = Path(os.environ.get("FAILPOINT_BINARY", ROOT / "build/asan/schedule-service")).resolve()
PROGRESS_EVERY_S = 10
COLUMNS = {"messages": "messages in", "rows": "rows", "created": "ScheduleCreated", "updated": "ScheduleUpdated",
           "deleted": "ScheduleDeleted", "rejected": "ScheduleCommandRejected", "dead": "dead letters"}


def inject(case: Case, rig: Rig) -> Report:
    """The audit of a line that has seen the case's fault."""
    for _ in range(case.replicas):
        rig.start(wait=False)
    for replica in rig.replicas:
        replica.wait_ready()
    if case.rate == 0:
        return case.inject(rig) or rig.complete()
    with rig.under_load(case.rate, **case.shares):
        case.inject(rig)
    return rig.complete()


def run(case: Case, world: World, seed: int) -> Report:
    """Prints the case's line."""
    begin = time.monotonic()
    print(f"----  {case.name}: {case.what}", flush=True)
    rig = Rig(world, seed, FAILPOINT_BINARY if case.has_failpoints else BINARY, case.through)
    watcher = Watcher(rig, PROGRESS_EVERY_S)
    watcher.start()
    report = Report()
    try:
        report = inject(case, rig)
        if found := SANITIZER.search(rig.log()):
            report.fault(rig.log()[found.start() - 200:][:4000])
    except Exception as error:  # of whatever kind: the other cases go on
        report.fault(f"{type(error).__name__}: {error}")
    finally:
        watcher.stop()
        try:
            rig.abandon()
        except Exception as error:  # its servers may be gone, and what came before says why
            report.fault(f"abandoned with {type(error).__name__}: {error}")
    print(line_of(case, rig, report, time.monotonic() - begin), flush=True)
    for fault in report.faults[:10]:
        print(f"      {fault}", flush=True)
    return report


def line_of(case: Case, rig: Rig, report: Report, seconds: float) -> str:
    counts = "  ".join(f"{name} {report.counts[key]}" for name, key in COLUMNS.items())
    return (f"{'FAIL' if report.faults else 'ok':4}  {case.name:22}  faults {rig.faults}  {counts}  http {rig.written} answered "
            f"{rig.answers.unknown} unknown  seconds {seconds:.0f}  peak {rig.peak_kib / 1024:.1f} MiB")


class Worlds:
    """The world that is there is used again, until a case wants another one or has failed."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.count = directory, 0
        self.world: World | None = None

    def get(self, kind: type[World]) -> World:
        if type(self.world) is not kind:
            self.close()
            self.count += 1
            directory = self.directory / f"world-{self.count}"
            directory.mkdir(mode=0o711)
            self.world = kind(directory).__enter__()
        return self.world

    def close(self) -> None:
        if self.world:
            self.world.close()
        self.world = None


def run_all(cases: list[Case], seed: int, directory: Path) -> list[str]:
    """The names of those that failed."""
    failed = []
    worlds = Worlds(directory)
    try:
        for case in cases:
            if run(case, worlds.get(case.world), seed).faults:
                failed.append(case.name)
                worlds.close()
    finally:
        worlds.close()
    return failed


def main() -> int:
    every = {case.name: case for case in CASES + SHORT}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=every, metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--short", action="store_true", help="the selection of `make test`")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--list", action="store_true", help="what the cases are")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run without faults too")
    arguments = parser.parse_args()
    cases = [every[name] for name in arguments.case] if arguments.case else SHORT if arguments.short else CASES
    if arguments.list:
        print("\n".join(f"{case.name:22}  {case.what}" for case in CASES + SHORT))
        return 0
    namespace.enter()
    for world, need in ((SmallDisk, "root"), (WithPrevious, "the repository's history")):
        if not world.is_possible():
            print(f"LEFT OUT, as they need {need}: {[case.name for case in cases if case.world is world]}")
            cases = [case for case in cases if case.world is not world]
    print(f"seed {arguments.seed}; {len(cases)} cases", flush=True)
    directory, begin = scratch_dir(), time.monotonic()
    failed = ["the rig itself"]
    try:
        failed = run_all(cases, arguments.seed, directory)
    finally:
        if failed or arguments.keep:
            print(f"logs: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(f"FAILED: {', '.join(failed)}" if failed else
          f"OK: nothing lost, nothing twice, in {len(cases)} cases and {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
