"""The figures as a table with the targets, as a file and as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import picture
from rig import PARTS, ROOT

DIRECTORY = ROOT / "build/bench"
Figures = Mapping[str, list[float]]
BESIDE = "beside "  # begins the names of the other build's figures


@dataclass(frozen=True)
class Row:
    """One line: a figure, and where it is compared the other figure. The target, such as ">= 0.75", is for the ratio where there is
    one. A line without a figure is a heading."""

    label: str
    figure: str = ""
    unit: str = ""
    of: str = ""
    target: str = ""


def http_rows(what: str, label: str, targets: Mapping[int, str] = {}) -> list[Row]:
    return [Row(f"{label}, {n} connection{'s' if n > 1 else ''}", f"web {what}@{n} per_s", "/s", "" if what == "evhttp" else f"web evhttp@{n} per_s",
                targets.get(n, "")) for n in (1, 16, 64, 256)]


ROWS = [
    Row("Alone"),
    Row("libpq, the same rows and events", "limit rows_per_s", "/s"),
    Row("libpq, one insert and commit, p50", "limit commit_ms", "ms"),
    Row("librdkafka, producing the commands", "limit produced_per_s", "/s"),
    Row("librdkafka, consuming them", "limit consumed_per_s", "/s"),
    Row("the rows' WAL, decoded", "limit decoded_per_s", "/s"),
    Row("consume, store, decode, produce in a row", "limit parts_per_s", "/s"),
    *[Row(f"librdkafka, transactions at {rate:,}/s, {point}", f"limit transactions{rate}_{point}_ms", "ms")
      for rate in (1000, 5000) for point in ("p50", "p99")],
    *[Row(f"the machine, 70 us of work at 1,000/s, {name}", f"limit machine_{point}_ms", "ms")
      for point, name in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))],
    *http_rows("evhttp", "evhttp"),
    Row("Waiting commands"),
    Row("to durable rows", "drain rows_per_s", "/s", "limit rows_per_s", ">= 0.75"),
    Row("to readable events", "drain events_per_s", "/s", "limit rows_per_s", ">= 0.60"),
    Row("the same, where the limit allows it", "drain events_per_s", "/s", "", ">= 40,000"),
    Row("the same, of all parts in a row", "drain events_per_s", "/s", "limit parts_per_s"),
    Row("of both cores idle meanwhile", "drain idle_percent", "%", "", "<= 3"),
    Row("of a mix: 40 % creates, 10 % deletions", "mix events_per_s", "/s", "drain events_per_s", ">= 0.60"),
    Row("From command to event"),
    *[Row(f"at {label}, {name}", f"steady {pace} {point}_ms", "ms", "", target)
      for pace, label, targets in (("1000/s", "1,000/s", ("<= 9", "<= 30")), ("5000/s", "5,000/s", ("<= 15", "<= 50")),
                                   ("10%", "10 % of the drain", ("", "")), ("50%", "50 % of the drain", ("<= 15", "<= 50")),
                                   ("80%", "80 % of the drain", ("", "")))
      for (point, name), target in zip((("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")), (*targets, ""))],
    Row("HTTP"),
    *http_rows("create", "creates", {64: ">= 0.35"}),
    Row("create, 1 connection, p50", "web create@1 p50_ms", "ms", "limit commit_ms", "<= 1.40"),
    *[Row(f"create at half of the peak, {name}", f"web half {point}_ms", "ms")
      for point, name in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))],
    *http_rows("read", "reads"),
    Row("Hours"),
    Row("a year of five windows a week, expanded", "hours expansion_us", "us", "", "<= 10"),
    Row("reads of schedules, 64 connections", "hours read per_s", "/s"),
    Row("a schedule's month, 64 connections", "hours month per_s", "/s", "hours read per_s", ">= 0.80"),
    Row("the same to who has it (304)", "hours held per_s", "/s", "hours read per_s"),
    Row("a month of a team of 100, each, p50", "hours team p50_ms", "ms", "", "<= 20"),
    *[row for who in ("service", "PostgreSQL backends") for row in (
        Row(f"CPU of {who} for hours"),
        Row("a read of a schedule", f"hours read {who} cpu_us", "us"),
        Row("a schedule's month", f"hours month {who} cpu_us", "us"),
        Row("the same to who has it (304)", f"hours held {who} cpu_us", "us"),
        Row("a month of a team of 100, each", f"hours team {who} cpu_us", "us"))],
    Row("Webhooks"),
    Row("events that wait, to one receiver", "webhooks 1 per_s", "/s"),
    Row("events that wait, to each of 100", "webhooks 100 per_s", "/s"),
    Row("  of these, memory of the sender", "webhooks 100 peak_mib", "MiB"),
    *[Row(f"from commit to receiver at 100/s, {name}", f"webhooks pace {point}_ms", "ms", "", target)
      for point, name, target in (("p50", "p50", ""), ("p99", "p99", "<= 60"), ("p999", "p99.9", ""))],
    Row("100,000 endpoints, memory once read", "webhooks crowd mib", "MiB", "", "<= 128"),
    Row("  and the most until then", "webhooks crowd peak_mib", "MiB", "", "<= 128"),
    Row("  from start until all are known", "webhooks crowd known_s", "s"),
    Row("  the slowest answer meanwhile", "webhooks crowd slowest_ms", "ms"),
    Row("  of a core, when nothing happens", "webhooks crowd rest_percent", "%"),
    *[row for case, label in (("1", "a delivery to one receiver"), ("100", "a delivery to one of 100"), ("pace", "a delivery at 100/s")) for row in (
        Row(f"CPU for {label}"),
        Row("sender", f"webhooks {case} service cpu_us", "us"),
        *[Row(who, f"webhooks {case} {who} cpu_us", "us") for who in PARTS[1:]],
        Row("receivers", f"webhooks {case} receivers cpu_us", "us"))],
    Row("Ten million schedules in the table"),
    Row("to durable rows", "growth rows_per_s", "/s", "drain rows_per_s", ">= 0.85"),
    Row("to readable events", "growth events_per_s", "/s", "drain events_per_s", ">= 0.85"),
    Row("creates, 64 connections", "growth create@64 per_s", "/s", "web create@64 per_s", ">= 0.85"),
    Row("reads, 64 connections", "growth read@64 per_s", "/s", "web read@64 per_s", ">= 0.85"),
    Row("250 of an organization of 100,000, p50", "growth list p50_ms", "ms"),
    Row("CPU for a waiting command"),
    Row("service", "drain service cpu_us", "us", "", "<= 8"),
    Row("  of that user", "drain service user_us", "us"),
    Row("  of that system", "drain service system_us", "us"),
    *[Row(who, f"drain {who} cpu_us", "us") for who in PARTS[1:]],
    *[row for pace, label in (("1000/s", "1,000/s"), ("5000/s", "5,000/s"), ("50%", "50 % of the drain")) for row in (
        Row(f"CPU for a command at {label}"),
        *[Row(who, f"steady {pace} {who} cpu_us", "us") for who in PARTS],
        Row("of both cores idle meanwhile", f"steady {pace} idle_percent", "%"))],
    Row("CPU for a create at 64 connections"),
    *[Row(who, f"web create@64 {who} cpu_us", "us") for who in PARTS],
    Row("Cost"),
    Row("instructions of the pure part per command", "cost instructions", ""),
    Row("resident memory under full load", "drain peak_mib", "MiB", "", "<= 48"),
    Row("resident memory at rest", "cost idle_mib", "MiB", "", "<= 16"),
    Row("from start to ready", "cost ready_ms", "ms", "", "<= 500"),
    Row("from start to the first waiting row", "cost first_row_ms", "ms", "", "<= 150"),
]


def show(figures: Figures, commands: int, rounds: int, batch: int) -> None:
    """Prints the table, and writes every figure and the picture into build/bench."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    about = {"commands": commands, "rounds": rounds, "limit_batch": batch, "cores": os.cpu_count()}
    (DIRECTORY / "results.json").write_text(json.dumps(about | {"figures": figures}, indent=1) + "\n")
    print(f"{commands:,} commands, {rounds} rounds, {os.cpu_count()} cores\n")
    print(f"{'':44}{'median':>10}{'':6}{'(least .. most)':>23}  {'ratio':>5}  {'target':19}  {'beside':>10}  ratio".rstrip())
    for line in lines(figures):
        print(line.rstrip())
    if "drain rows_per_s" in figures or "web create@1 per_s" in figures:
        picture.draw(figures, DIRECTORY / "results.png")


def lines(figures: Figures) -> list[str]:
    """A heading stands only over lines that there are figures for."""
    printed: list[str] = []
    heading = ""
    for row in ROWS:
        if not row.figure:
            heading = row.label
        elif row.figure in figures:
            printed += [heading] if heading else []
            printed.append(line(row, figures))
            heading = ""
    return printed


def line(row: Row, figures: Figures) -> str:
    values = figures[row.figure]
    spread = f"({number(min(values))} .. {number(max(values))})"
    compared = row.of in figures
    checked = ratio_of(values, figures[row.of]) if compared else median(values)
    ratio = f"{checked:.2f}" if compared else ""
    target = f"{row.target:11}{verdict(checked, row.target)}" if row.target and (compared or not row.of) else ""
    others = figures.get(BESIDE + row.figure)
    beside = f"{number(median(others)):>10}  {ratio_of(values, others):5.2f}" if others else ""
    return f"  {row.label:42}{number(median(values)):>10} {row.unit:5}{spread:>23}  {ratio:>5}  {target:19}  {beside}"


def ratio_of(values: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios."""
    return median(a / b if b else 1.0 for a, b in zip(values, others))


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdict(value: float, target: str) -> str:
    relation, bound = target.split()
    limit = float(bound.replace(",", ""))
    return "met" if (value >= limit if relation == ">=" else value <= limit) else "missed"
