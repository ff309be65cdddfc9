"""Every query of the dashboard is asked of Debian's Prometheus, which scrapes two replicas and a sender of webhooks under load, and gives series.
Grafana itself is not among Debian's packages: that it draws them is not tested."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from pathlib import Path

import yaml

import ledger
from alerts import RULES
from conftest import MakeLine
from dashboard import DASHBOARD, Prometheus, Query, legend, panels, queries
from hooks import Hooks
from line import MINIMAL, Line, until
from receiver import Got
from servers import ROOT
from wire import JSON_HEADERS

LOAD_S = 40


def put_under_load(line: Line, seconds: float) -> None:
    """Commands that are stored, rejected and dead letters, directory updates, and HTTP of every outcome."""
    load = line.load(200, owners=20)
    headers = [(name, text.encode()) for name, text in JSON_HEADERS.items()]
    sender = ledger.producer(line.place.bootstrap)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        line.produce(load, 150)
        entry = {"type": "user", "id": line.people.member, "name": f"Member {end}"}
        sender.send(line.env["DIRECTORY_TOPIC"], key=f"user/{line.people.member}".encode(), value=json.dumps(entry).encode(), headers=headers)
        made = line.post(MINIMAL).json()["data"]["id"]
        path = f"{line.schedules_path()}/{made}"
        line.patch(path, {"name": "Changed"})
        line.request("GET", path, line.people.admin_key)
        line.request("GET", path)
        line.request("GET", "/v2/nowhere", line.people.admin_key)
        line.delete(path)
    sender.close()


def answer(number: int, got: Got) -> int | str:
    """Of an endpoint that takes all, of one that is gone, and of one that does not answer."""
    return {"/gone": 410, "/slow": "hang"}.get(got.path, 200)


def test_every_query_of_the_dashboard_gives_series_under_load(make_line: MakeLine, tmp_path: Path) -> None:
    line = make_line()
    line.start()
    line.start()
    hooks = Hooks(line)
    hooks.wait_assigned(hooks.send())
    receiver = hooks.receive(answer)
    with closing(receiver), Prometheus(tmp_path / "prometheus", [replica.env["HTTP_LISTEN"] for replica in line.replicas]) as prometheus:
        start_s = time.time()
        until(lambda: prometheus.series("schedule_webhook_disabled_total", start_s, time.time()), "the counter is known before it counts")
        for path in ("/taken", "/gone", "/slow"):
            hooks.endpoint(receiver.url(path))
        put_under_load(line, LOAD_S)
        end_s = time.time()
        drawn = {query: prometheus.series(query.expression, start_s, end_s) for query in queries()}
        assert [query for query, series in drawn.items() if not series] == []
        assert sum(len(series) for series in drawn.values()) > 40
        for title in ("Commands per second", "Directory updates per second", "Events per second", "Requests per second", "Rows of a transaction",
                      "Requests to webhooks per second", "Use of the pool of requests", "Webhooks disabled within an hour"):
            assert max(value for query, series in drawn.items() if query.panel == title for _, points in series for _, value in points) > 0
        until(lambda: len(prometheus.ask("rules")["groups"][0]["rules"]) == len(RULES), "it has the alerts")
        until(lambda: all(rule["health"] == "ok" for rule in prometheus.ask("rules")["groups"][0]["rules"]), "it evaluates them", 30)
        if "DASHBOARD_PICTURE" in os.environ:
            draw(drawn, Path(os.environ["DASHBOARD_PICTURE"]))


def draw(drawn: dict[Query, list], path: Path) -> None:
    """The panels as matplotlib draws them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    titles = [panel["title"] for panel in panels()]
    columns = 4
    figure, axes = pyplot.subplots(-(-len(titles) // columns), columns, figsize=(20, 3.1 * -(-len(titles) // columns)), layout="constrained")
    for ax in axes.flat[len(titles):]:
        ax.axis("off")
    begin = min(points[0][0] for series in drawn.values() for _, points in series)
    for ax, title in zip(axes.flat, titles):
        ax.set_title(title, fontsize=10)
        for query, series in drawn.items():
            for labels, points in series if query.panel == title else []:
                ax.plot([at - begin for at, _ in points], [value for _, value in points], label=legend(query, labels).replace("127.0.0.1:", ""))
        ax.set_ylim(bottom=0)
        if 0 < len(ax.lines) <= 6:
            ax.legend(fontsize=7)
    figure.savefig(path, dpi=60)


def test_the_monitoring_profile_provisions_what_is_there() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        for volume in services[name]["volumes"]:
            assert (ROOT / volume.split(":")[0]).is_file(), volume
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    [job] = scraped["scrape_configs"]
    assert job["job_name"] == "schedule-service"
    assert [(found["names"], found["port"]) for found in job["dns_sd_configs"]] == [(["schedule-service"], 8080), (["webhooks"], 8081)]
    assert services["webhooks"]["environment"]["WEBHOOK_LISTEN"] == "0.0.0.0:8081"
    assert any(volume.startswith(f"./{DASHBOARD.relative_to(ROOT)}:") for volume in services["grafana"]["volumes"])
