"""`make bench`: what the service does beside what each of its neighbours does alone, measured in turn in the same run.

    bench.py [--only PART,...] [--commands N] [--rounds N]

Each round measures every part once, on a fresh database and fresh topics. A part that is compared with a limit wants that one too:
`--only limit,drain`."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import limits
import report
from drain import drain
from rig import Rig, World, say, servers


@dataclass
class Run:
    """One run: what was asked for, and the figures so far, a list with one of each round by name."""

    rig: Rig
    commands: int
    batch: int = 0
    round: int = 0
    figures: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, part: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.figures[f"{part} {name}"].append(value)

    def name(self, part: str) -> str:
        return f"{part}{self.round}"


def measure_limit(run: Run) -> None:
    run.batch = run.batch or limits.best_batch(run.rig, min(run.commands, 100_000))
    run.add("limit", {"rows_per_s": limits.pg_rows_per_s(run.rig, run.name("limit"), run.commands, run.batch)})


def measure_drain(run: Run) -> None:
    with World(run.rig, run.name("drain")) as world:
        run.add("drain", drain(world, run.commands))


PARTS: dict[str, Callable[[Run], None]] = {
    "limit": measure_limit,
    "drain": measure_drain,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PART,...", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--commands", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    directory = servers.scratch_dir()
    try:
        with Rig(directory) as rig:
            run = Run(rig, options.commands)
            for run.round in range(1, options.rounds + 1):
                for part in (part for part in PARTS if part in parts):
                    begin = time.monotonic()
                    PARTS[part](run)
                    say(f"round {run.round} of {options.rounds}, {part}: {time.monotonic() - begin:.0f} s")
            report.show(run.figures, options.commands, options.rounds)
    finally:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
