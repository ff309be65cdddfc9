"""Throughput and latency as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

CONNECTIONS = (1, 16, 64, 256)
SHARES = (10, 50, 80)
Figures = Mapping[str, list[float]]


def draw(figures: Figures, path: Path) -> None:
    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8), layout="constrained")
    bars(axes[0][0], figures)
    lines(axes[0][1], figures, "HTTP requests per second", "connections", CONNECTIONS,
          {"evhttp alone": "web evhttp@{} per_s", "reads": "web read@{} per_s", "creates": "web create@{} per_s"})
    lines(axes[1][0], figures, "From command to event, ms", "percent of the drain rate", SHARES,
          {"p99.9": "steady {}% p999_ms", "p99": "steady {}% p99_ms", "p50": "steady {}% p50_ms"})
    lines(axes[1][1], figures, "HTTP latency, ms", "connections", CONNECTIONS,
          {"creates p99": "web create@{} p99_ms", "creates p50": "web create@{} p50_ms", "reads p99": "web read@{} p99_ms",
           "reads p50": "web read@{} p50_ms"})
    figure.savefig(path, dpi=110)


def bars(axes: Axes, figures: Figures) -> None:
    """Bars from zero to the median, whiskers from the least to the most."""
    shown = {"libpq alone": "limit rows_per_s", "durable rows": "drain rows_per_s", "readable events": "drain events_per_s",
             "rows, 10 million\nin the table": "growth rows_per_s"}
    there = {label: figures[name] for label, name in shown.items() if name in figures}
    middles = [median(values) for values in there.values()]
    whiskers = [[middle - min(values) for middle, values in zip(middles, there.values())],
                [max(values) - middle for middle, values in zip(middles, there.values())]]
    axes.bar(list(there), middles, yerr=whiskers, capsize=4)
    axes.set_title("Waiting commands per second")


def lines(axes: Axes, figures: Figures, title: str, label: str, steps: tuple[int, ...], series: Mapping[str, str]) -> None:
    """Medians as a line, each within a band from the least to the most."""
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.set_xticks(range(len(steps)), [str(step) for step in steps])
    for name, pattern in series.items():
        values = [figures.get(pattern.format(step)) for step in steps]
        if not all(values):
            continue
        axes.plot([median(each) for each in values if each], marker="o", label=name)
        axes.fill_between(range(len(steps)), [min(each) for each in values if each], [max(each) for each in values if each],
                          alpha=0.15)
    axes.set_ylim(bottom=0)
    if axes.lines:
        axes.legend()
