"""`make bench`: what the service does beside what each of its neighbours does alone, measured in turn in the same run.

    bench.py [--only PART,...] [--growth] [--commands N] [--rounds N] [--beside COMMIT]

Each round measures every part once, on a database and topics of its own; only the table of ten million rows is made once. A part
that needs the figure of another measures that one too. --beside builds an older commit in a directory of its own, and each part
measures both by turns."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import growth
import limits
import report
import webhooks
from cost import cost
from drain import MIX, drain
from hours import hours
from rig import OWNERS, ROOT, Rig, World, say, servers
from steady import steady, warm_up
from web import web

TRIAL_COMMANDS = 100_000


class Run:
    """The figures so far, one of each round by name, and the parts that add to them."""

    def __init__(self, rig: Rig, commands: int, stack: contextlib.ExitStack) -> None:
        self.rig, self.commands, self.stack = rig, commands, stack
        self.figures: dict[str, list[float]] = defaultdict(list)
        self.round = 0
        self.checkout = ROOT  # of the build that is measured
        self.batch = 0
        self.grown: World | None = None

    def add(self, part: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.figures[f"{self.prefix}{part} {name}"].append(value)

    @property
    def prefix(self) -> str:
        return "" if self.checkout == ROOT else report.BESIDE

    def world(self, part: str, topics: bool = True) -> World:
        return World(self.rig, f"{self.prefix.strip()}{part}{self.round}", topics, self.checkout)

    # ---- the parts

    def limit(self) -> None:
        self.batch = self.batch or limits.best_batch(self.world, min(self.commands, TRIAL_COMMANDS))
        with self.world("limit") as world:
            self.add("limit", limits.parts_per_s(world, self.commands, self.batch))
            self.add("limit", limits.transactions_ms(world))
        self.add("limit", limits.machine_ms())
        with self.world("commit", topics=False) as world:
            self.add("limit", {"commit_ms": limits.commit_ms(world)})

    def drain(self) -> None:
        with self.world("drain") as world:
            self.add("drain", drain(world, self.commands))

    def mix(self) -> None:
        with self.world("mix") as world:
            commands = min(self.commands, TRIAL_COMMANDS)
            world.fill(commands)
            self.add("mix", drain(world, commands, MIX))

    def steady(self) -> None:
        with self.world("steady") as world:
            self.add("steady", steady(world, self.figures[f"{self.prefix}drain events_per_s"][-1]))

    def web(self) -> None:
        with self.world("web") as world:
            world.fill(OWNERS)
            self.add("web", web(world))

    def hours(self) -> None:
        with self.world("hours") as world:
            world.fill(OWNERS)
            self.add("hours", hours(world))

    def webhooks(self) -> None:
        if not (self.checkout / "service/webhook").is_dir():  # an older build, which sends none
            return
        for receivers in webhooks.RECEIVERS:
            with self.world(f"hooks{receivers}_") as world:
                self.add(f"webhooks {receivers}", webhooks.backlog(world, receivers))
        with self.world("hookpace") as world:
            self.add("webhooks pace", webhooks.pace(world))
        with self.world("hookcrowd") as world:
            self.add("webhooks crowd", webhooks.crowd(world))

    def cost(self) -> None:
        with self.world("cost") as world:
            self.add("cost", cost(world))

    def growth(self) -> None:
        if self.grown is None:
            self.grown = self.stack.enter_context(self.world("grown"))
            growth.grow(self.grown)
        self.add("growth", growth.growth(self.grown, self.commands))


# In the order of a round: what is compared stands side by side.
PARTS: dict[str, Callable[[Run], None]] = {
    "limit": Run.limit, "drain": Run.drain, "mix": Run.mix, "steady": Run.steady, "web": Run.web, "hours": Run.hours,
    "webhooks": Run.webhooks, "cost": Run.cost, "growth": Run.growth,
}
NEEDS = {"mix": {"drain"}, "steady": {"drain"}, "growth": {"drain", "web"}}
OF_BUILDS = {"drain", "mix", "steady", "web", "webhooks", "cost"}
WARM_UPS = 2  # drains


def measure(run: Run, parts: list[str], rounds: int, checkouts: list[Path]) -> None:
    if "drain" in parts:
        for run.round in range(1, WARM_UPS + 1):
            say(f"warming up, {run.round} of {WARM_UPS}")
            with run.world("warm") as world:
                drain(world, TRIAL_COMMANDS)
        with run.world("warmer") as world:
            warm_up(world)
    for run.round in range(1, rounds + 1):
        checkouts = checkouts[::-1]
        for part in parts:
            begin = time.monotonic()
            for run.checkout in checkouts if part in OF_BUILDS else [ROOT]:
                PARTS[part](run)
            say(f"round {run.round} of {rounds}, {part}: {time.monotonic() - begin:.0f} s")


def build(commit: str) -> Path:
    """A checkout of the commit, built."""
    checkout = ROOT / "build/beside" / commit
    if not checkout.exists():
        subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", str(ROOT), str(checkout)], check=True)
    subprocess.run(["git", "-C", str(checkout), "checkout", "-q", commit], check=True)
    subprocess.run(["make", "-s", "-C", str(checkout), "-j2", "build"], check=True)
    return checkout


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--growth", action="store_true", help="all parts, also with ten million schedules in the table")
    parser.add_argument("--commands", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", metavar="COMMIT", help="measures this build too, by turns")
    given = parser.parse_args()
    asked = set(given.only.split(",")) if given.only else set(PARTS) - ({"growth"} if not given.growth else set())
    if unknown := asked - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    asked |= {need for part in asked for need in NEEDS.get(part, set())}
    given.parts = [part for part in PARTS if part in asked]
    return given


def main() -> int:
    given = options()
    checkouts = [ROOT, *([build(given.beside)] if given.beside else [])]
    directory: Path = servers.scratch_dir()
    try:
        with contextlib.ExitStack() as stack:
            run = Run(stack.enter_context(Rig(directory)), given.commands, stack)
            try:
                measure(run, given.parts, given.rounds, checkouts)
            finally:  # what fails takes no other's figures with it
                report.show(run.figures, given.commands, given.rounds, run.batch)
    finally:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
