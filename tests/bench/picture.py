"""Throughput, latency and what each process costs, as a picture.

    picture.py RESULTS.json PICTURE    draws what a run of bench.py has written"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

CONNECTIONS = {str(count): str(count) for count in (1, 16, 64, 256)}
PACES = {"1,000/s": "1000/s", "5,000/s": "5000/s", "10 %": "10%", "50 %": "50%", "80 %": "80%"}
THROUGHPUT = {"parts alone,\nin a row": "limit parts_per_s", "durable\nrows": "drain rows_per_s", "readable\nevents": "drain events_per_s",
              "mix of creates,\nchanges, deletions": "mix events_per_s", "rows, ten million\nin the table": "growth rows_per_s"}
COSTS = {"waiting": "drain", "mix": "mix", "1,000/s": "steady 1000/s", "5,000/s": "steady 5000/s", "50 %": "steady 50%"}
PARTS = ("service", "PostgreSQL backends", "PostgreSQL walsender", "PostgreSQL others", "Kafka")  # as rig.PARTS
Figures = Mapping[str, Sequence[float]]


def draw(figures: Figures, path: Path) -> None:
    figure, axes = pyplot.subplots(2, 3, figsize=(16, 8), layout="constrained")
    bars(axes[0][0], figures)
    lines(axes[0][1], figures, "From command to event, ms", "commands a second, and percent of the drain rate", PACES,
          {"p99.9": "steady {} p999_ms", "p99": "steady {} p99_ms", "p50": "steady {} p50_ms"})
    shares(axes[0][2], figures)
    lines(axes[1][0], figures, "HTTP requests per second", "connections", CONNECTIONS,
          {"evhttp alone": "web evhttp@{} per_s", "reads": "web read@{} per_s", "creates": "web create@{} per_s"})
    lines(axes[1][1], figures, "HTTP latency, ms", "connections", CONNECTIONS,
          {"creates p99": "web create@{} p99_ms", "creates p50": "web create@{} p50_ms", "reads p99": "web read@{} p99_ms",
           "reads p50": "web read@{} p50_ms"})
    lines(axes[1][2], figures, "Both cores idle, percent", "commands a second, and percent of the drain rate", PACES,
          {"idle": "steady {} idle_percent"})
    figure.savefig(path, dpi=80, metadata={"Software": None})


def bars(axes: Axes, figures: Figures) -> None:
    """Bars from zero to the median, whiskers from the least to the most."""
    there = {label: figures[name] for label, name in THROUGHPUT.items() if name in figures}
    middles = [median(values) for values in there.values()]
    whiskers = [[middle - min(values) for middle, values in zip(middles, there.values())],
                [max(values) - middle for middle, values in zip(middles, there.values())]]
    axes.bar(list(there), middles, yerr=whiskers, capsize=4)
    axes.set_title("Waiting commands per second")


def shares(axes: Axes, figures: Figures) -> None:
    """Who takes how much of the CPU time that a command takes; the time itself stands below."""
    there = {label: [median(figures[f"{name} {part} cpu_us"]) for part in PARTS] for label, name in COSTS.items()
             if f"{name} Kafka cpu_us" in figures}
    labels = [f"{label}\n{sum(costs):,.0f} us" for label, costs in there.items()]
    bottoms = [0.0] * len(there)
    for number, part in enumerate(PARTS):
        percents = [100 * costs[number] / sum(costs) for costs in there.values()]
        axes.bar(labels, percents, bottom=bottoms, label=part)
        bottoms = [bottom + percent for bottom, percent in zip(bottoms, percents)]
    axes.set_title("CPU time of a command, percent")
    if there:
        axes.legend()


def lines(axes: Axes, figures: Figures, title: str, label: str, steps: Mapping[str, str], series: Mapping[str, str]) -> None:
    """Medians as a line, each within a band from the least to the most."""
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.set_xticks(range(len(steps)), list(steps))
    for name, pattern in series.items():
        values = [figures.get(pattern.format(step)) for step in steps.values()]
        if not all(values):
            continue
        axes.plot([median(each) for each in values if each], marker="o", label=name)
        axes.fill_between(range(len(steps)), [min(each) for each in values if each], [max(each) for each in values if each],
                          alpha=0.15)
    axes.set_ylim(bottom=0)
    if axes.lines:
        axes.legend()


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text())["figures"], Path(sys.argv[2]))
