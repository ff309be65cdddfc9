"""Compares the service's expansion of schedules with the oracle's reading of clocks: around every change of clocks of every zone name, with
windows on a grid of quarter hours, and for random schedules. Any difference is printed and ends in exit code 1."""

import argparse
import concurrent.futures
import os
import random
import subprocess
import sys
import time
import zoneinfo
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from clocks import Schedule, Site, around, grid, instant_of, random_schedule, transitions

DIFFERENCES_SHOWN = 5


@dataclass
class Count:
    zones: int = 0
    changes: int = 0
    schedules: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: "Count") -> None:
        self.zones += other.zones
        self.changes += other.changes
        self.schedules += other.schedules
        self.differences += other.differences


@dataclass
class Plan:
    """What a zone is asked about."""
    zone: str
    seed: int
    share: float  # of the changes
    random_each: int  # random schedules at each change that is looked at


def names_and_targets(tzdata: Path) -> dict[str, str]:
    """Every name of the zone data and the name of the file that has it."""
    targets: dict[str, str] = {}
    for line in tzdata.read_text().splitlines():
        words = line.split()
        if words[:1] == ["Z"] and words[1] != "Factory":
            targets[words[1]] = words[1]
        if words[:1] == ["L"]:
            targets[words[2]] = words[1]
    return {name: targets.get(target, target) for name, target in targets.items()}


class Expander:
    """The service's expansion, as tests/tools/hours gives it."""

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.lines: list[str] = []
        self.expected: list[str] = []

    def ask(self, schedule: Schedule, site: Site, zone_file: str) -> None:
        self.lines.append(schedule.line(zone_file, site.span))
        self.expected.append(site.ranges(schedule))

    def differences(self) -> list[str]:
        done = subprocess.run([self.tool], input="".join(self.lines), capture_output=True, text=True, check=True)
        answers = done.stdout.split("\n")[:-1]
        if len(answers) != len(self.lines):
            return [f"{len(answers)} answers to {len(self.lines)} lines"]
        return [f"{line.strip()}\n  oracle  {expected}\n  service {answer}"
                for line, expected, answer in zip(self.lines, self.expected, answers, strict=True) if expected != answer]


def prove_zone(plan: Plan, tool: str, directory: Path) -> Count:
    """In the zone: the grid at its changes from 1970 to 2037 and at some behind the table, and random schedules there and at any time."""
    generator = random.Random(f"{plan.seed} {plan.zone}")
    with (directory / plan.zone).open("rb") as file:
        zone = zoneinfo.ZoneInfo.from_file(file, plan.zone)
    zone_file = str(directory / plan.zone)
    changes = transitions(zone, 1970, 2037)
    later = transitions(zone, 2038, 2100)
    changes += generator.sample(later, min(4, len(later)))
    chosen = [instant for instant in changes if generator.random() < plan.share]
    anywhere = [generator.randrange(instant_of(1905), instant_of(2195)) // 60 * 60 for _ in range(1 + len(chosen) // 8)]
    expander = Expander(tool)
    for instant in chosen:
        site = Site(zone, around(instant))
        for schedule in grid(zone, instant):
            expander.ask(schedule, site, zone_file)
    for instant in chosen + anywhere:
        site = Site(zone, around(instant))
        dates = [date.fromordinal(ordinal) for ordinal in site.dates]
        for _ in range(plan.random_each):
            expander.ask(random_schedule(generator, dates), site, zone_file)
    return Count(1, len(chosen), len(expander.lines), expander.differences())


def prove(tool: str, tzdata: Path, seed: int, share: float, random_each: int, workers: int, one_name_a_file: bool) -> Count:
    targets = names_and_targets(tzdata)
    zones = sorted(set(targets.values()) if one_name_a_file else targets)
    total = Count()
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        plans = [Plan(zone if (tzdata.parent / zone).exists() else targets[zone], seed, share, random_each) for zone in zones]
        for count in pool.map(prove_zone, plans, [tool] * len(plans), [tzdata.parent] * len(plans)):
            total.add(count)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True, help="tests/tools/hours, built")
    parser.add_argument("--tzdata", type=Path, default=Path("/usr/share/zoneinfo/tzdata.zi"))
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--share", type=float, default=1.0, help="of the changes of each zone")
    parser.add_argument("--random", type=int, default=36, help="random schedules at each change")
    parser.add_argument("--zones", choices=("all", "files"), default="all", help="every name, or one for each file")
    arguments = parser.parse_args()
    begun = time.monotonic()
    total = prove(arguments.tool, arguments.tzdata, arguments.seed, arguments.share, arguments.random, os.cpu_count() or 1,
                  arguments.zones == "files")
    for difference in total.differences[:DIFFERENCES_SHOWN]:
        print(difference)
    version = arguments.tzdata.read_text(errors="replace").split("\n", 1)[0].removeprefix("# version ")
    print(f"zone data {version}: {total.zones} zones, {total.changes} changes of clocks, {total.schedules} schedules, "
          f"{len(total.differences)} differences, {time.monotonic() - begun:.0f} s")
    return 0 if total.schedules > 0 and not total.differences else 1


if __name__ == "__main__":
    sys.exit(main())
