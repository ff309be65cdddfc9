"""Compares the service's expansion of schedules with what clocks read, in Go (clocks.go) and in Python (clocks.py): around every change of
clocks of every zone name, with windows on a grid of quarter hours, and for random schedules. Any difference is printed and ends in exit code 1."""

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
from typing import NamedTuple

from clocks import Site, around, grid, instant_of, random_schedule, transitions

DIFFERENCES_SHOWN = 5


@dataclass
class Count:
    zones: int = 0
    changes: int = 0
    on_grid: int = 0
    random: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: "Count") -> None:
        self.zones += other.zones
        self.changes += other.changes
        self.on_grid += other.on_grid
        self.random += other.random
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


class Case(NamedTuple):
    line: str  # as tests/tools/hours takes it
    by_python: str  # what clocks.py answers


@dataclass(frozen=True)
class Tools:
    """Programs that expand lines: the service's, and the reader of clocks in Go where it is asked too."""
    service: str
    clocks: str | None

    @staticmethod
    def expand(tool: str, cases: list[Case]) -> list[str]:
        done = subprocess.run([tool], input="".join(case.line for case in cases), stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.split("\n")[:-1]

    def differences(self, cases: list[Case]) -> list[str]:
        service = self.expand(self.service, cases)
        clocks = self.expand(self.clocks, cases) if self.clocks else [case.by_python for case in cases]
        return [f"{case.line.strip()}\n  service {answer}\n  Go      {by_go}\n  Python  {case.by_python}"
                for case, answer, by_go in zip(cases, service, clocks, strict=True)
                if not answer == by_go == case.by_python]


def prove_zone(plan: Plan, tools: Tools, directory: Path) -> Count:
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
    count, cases = Count(zones=1, changes=len(chosen)), []
    for instant in chosen + anywhere:
        span = around(instant)
        site = Site(zone, span)
        dates = [date.fromordinal(ordinal) for ordinal in site.dates]
        on_grid = list(grid(zone, instant)) if instant in chosen else []
        schedules = on_grid + [random_schedule(generator, dates) for _ in range(plan.random_each)]
        cases += [Case(schedule.line(zone_file, span), site.ranges(schedule)) for schedule in schedules]
        count.on_grid += len(on_grid)
        count.random += plan.random_each
    count.differences = tools.differences(cases)
    return count


def prove(tools: Tools, arguments: argparse.Namespace) -> Count:
    tzdata = arguments.tzdata
    targets = names_and_targets(tzdata)
    total = Count()
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        plans = [Plan(name if (tzdata.parent / name).exists() else target, arguments.seed, arguments.share, arguments.random)
                 for name, target in sorted(targets.items())]
        for count in pool.map(prove_zone, plans, [tools] * len(plans), [tzdata.parent] * len(plans)):
            total.add(count)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", required=True, help="tests/tools/hours, built")
    parser.add_argument("--clocks", required=True, help="clocks.go, built")
    parser.add_argument("--tzdata", type=Path, default=Path("/usr/share/zoneinfo/tzdata.zi"))
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--share", type=float, default=1.0, help="of the changes of each zone")
    parser.add_argument("--random", type=int, default=36, help="random schedules at each change")
    arguments = parser.parse_args()
    begun = time.monotonic()
    total = prove(Tools(arguments.service, arguments.clocks), arguments)
    for difference in total.differences[:DIFFERENCES_SHOWN]:
        print(difference)
    version = arguments.tzdata.read_text(errors="replace").split("\n", 1)[0].removeprefix("# version ")
    rows = {"zone data": version, "zone names": total.zones, "changes of clocks": total.changes, "schedules on the grid": total.on_grid,
            "random schedules": total.random, "differences": len(total.differences), "seconds": round(time.monotonic() - begun)}
    print("".join(f"| {name} | {value:,} |\n" if isinstance(value, int) else f"| {name} | {value} |\n" for name, value in rows.items()), end="")
    return 0 if total.on_grid and total.random and not total.differences else 1


if __name__ == "__main__":
    sys.exit(main())
