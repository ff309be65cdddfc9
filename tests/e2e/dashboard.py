"""The queries of the dashboard, asked of Debian's Prometheus."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from servers import ROOT, Server, free_port, program

DASHBOARD = ROOT / "deploy/grafana/schedule-service.json"
STEP_S = 2


@dataclass(frozen=True)
class Query:
    """One of a panel's, with the variables that Grafana would fill in."""

    panel: str
    unit: str
    legend: str
    expression: str


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", "schedule-service").replace("$__rate_interval", "20s")
            assert "$" not in expression, expression
            yield Query(panel["title"], panel["fieldConfig"]["defaults"]["unit"], target["legendFormat"], expression)


class Prometheus(Server):
    """Debian's, which scrapes these addresses every second as the job of deploy/prometheus/prometheus.yml."""

    name = "prometheus"
    stop_signal = 15

    def __init__(self, directory: Path, targets: Iterable[str]) -> None:
        super().__init__(directory / "prometheus.log")
        self.directory, self.targets = directory, list(targets)
        self.url = f"http://127.0.0.1:{free_port()}"

    def command(self) -> list[str]:
        self.directory.mkdir(exist_ok=True)
        config = self.directory / "prometheus.yml"
        scrape = {"job_name": "schedule-service", "static_configs": [{"targets": self.targets}]}
        alerts = str(ROOT / "deploy/alerts.yml")
        config.write_text(json.dumps({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [alerts],
                                      "scrape_configs": [scrape]}))  # which YAML contains
        return [str(program("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={self.directory / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=warn"]

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def series(self, expression: str, start_s: float, end_s: float) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Of each series its labels and its points that are numbers."""
        found = self.ask("query_range", query=expression, start=str(start_s), end=str(end_s), step=str(STEP_S))["result"]
        points = [(each["metric"], [(float(at), float(value)) for at, value in each["values"] if math.isfinite(float(value))])
                  for each in found]
        return [(labels, values) for labels, values in points if values]


def legend(query: Query, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), query.legend)
