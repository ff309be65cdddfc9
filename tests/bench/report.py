"""The figures as a table with their targets, as a file and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import median

from rig import ROOT

DIRECTORY = ROOT / "build/bench"


def show(figures: Mapping[str, list[float]], commands: int, rounds: int) -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    (DIRECTORY / "results.json").write_text(json.dumps({"commands": commands, "rounds": rounds, "figures": figures}, indent=1) + "\n")
    for name, values in figures.items():
        print(f"{name:40} {median(values):12,.1f}  ({min(values):,.1f} .. {max(values):,.1f})")
