"""The alerting rules of deploy/alerts.yml, and what Prometheus says of them: as much of PromQL as they are written in."""

from __future__ import annotations

import operator
import re
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import requests
import yaml

from line import Line

ROOT = Path(__file__).resolve().parents[2]
RULES: dict[str, str] = {rule["alert"]: rule["expr"]
                         for group in yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"] for rule in group["rules"]}

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]  # by name and labels, of which `instance` is the replica
Vector = dict[Labels, float]

OVER: dict[str, Callable[[list[float]], float]] = {"sum": sum, "min": min, "max": max, "count": lambda values: float(len(values))}
COMPARE = {">": operator.gt, "<": operator.lt, "==": operator.eq}
MATCH: dict[str, Callable[[str, str], bool]] = {
    "=": operator.eq, "!=": operator.ne, "=~": lambda value, pattern: re.fullmatch(pattern, value) is not None}


def scrape(line: Line) -> Samples:
    """The metrics of all replicas that answer, as they are now, and which do."""
    samples: Samples = {}
    for replica in line.replicas:
        target = [("job", "schedule-service"), ("instance", replica.url)]
        try:
            text = line.http.get(f"{replica.url}/metrics", timeout=10).text
        except requests.ConnectionError:
            text = ""  # it is starting, or has ended
        samples["up", frozenset(target)] = float(text != "")
        for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
            samples[name, frozenset([*re.findall(r'(\w+)="([^"]*)"', labels), *target])] = float(value)
    return samples


def rings(alert: str, before: Samples, now: Samples) -> bool:
    """Whether the alert's expression has a result. What it counts in a range is what came since `before`: the range is longer than a
    test, so that Prometheus counts no less."""
    return bool(_value(RULES[alert], before, now))


def _value(expression: str, before: Samples, now: Samples) -> Vector:
    if call := re.fullmatch(r"absent\((.+)\)", expression):
        return {} if _value(call[1], before, now) else {frozenset(): 1.0}
    if call := re.fullmatch(r"([^()]*|.*\)[^()]*) (<|>|==) ([\d.]+)", expression):
        value = _value(call[1], before, now)
        return {labels: sample for labels, sample in value.items() if COMPARE[call[2]](sample, float(call[3]))}
    if call := re.fullmatch(r"(.+) - time\(\)", expression):
        return {labels: sample - time.time() for labels, sample in _value(call[1], before, now).items()}
    if call := re.fullmatch(r"\((.+) or vector\(0\)\)", expression):
        return _value(call[1], before, now) or {frozenset(): 0.0}
    if call := re.fullmatch(r"histogram_quantile\(([\d.]+), (.+)\)", expression):
        return _quantile(float(call[1]), _value(call[2], before, now))
    if call := re.fullmatch(r"(sum|min|max|count)(?: by \((\w+)\))? ?\((.+)\)", expression):
        return _over(OVER[call[1]], call[2], _value(call[3], before, now))
    if call := re.fullmatch(r"increase\((.+)\[\d+m\]\)", expression):
        earlier = _select(call[1], before)
        return {labels: value - earlier[labels] for labels, value in _select(call[1], now).items() if labels in earlier}
    return _select(expression, now)


def _select(selector: str, samples: Samples) -> Vector:
    name, matchers = re.fullmatch(r"(\w+)(?:\{(.+)\})?", selector).groups()  # type: ignore[union-attr]
    wanted = re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers or "")
    return {labels: value for (own, labels), value in samples.items()
            if own == name and all(MATCH[how](dict(labels).get(label, ""), text) for label, how, text in wanted)}


def _over(function: Callable[[list[float]], float], by: str | None, vector: Vector) -> Vector:
    groups: dict[Labels, list[float]] = defaultdict(list)
    for labels, value in vector.items():
        groups[frozenset(pair for pair in labels if pair[0] == by)].append(value)
    return {labels: function(values) for labels, values in groups.items()}


def _quantile(share: float, buckets: Vector) -> Vector:
    """Within a bucket values count as spread evenly; beyond the last bound there is only that bound."""
    bounds = sorted((float(dict(labels)["le"]), count) for labels, count in buckets.items())
    if not bounds or bounds[-1][1] == 0:
        return {}
    rank = share * bounds[-1][1]
    at = next(index for index, (_, count) in enumerate(bounds) if count >= rank)
    if at == len(bounds) - 1:
        return {frozenset(): bounds[-2][0]}
    low, below = bounds[at - 1] if at else (0.0, 0.0)
    high, count = bounds[at]
    return {frozenset(): low + (high - low) * (rank - below) / (count - below)}
