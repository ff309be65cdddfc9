"""What the service tells about itself: /healthz, /readyz, /metrics. When it is not ready: test_readiness.py."""

import re
from collections import defaultdict

from line import MINIMAL, Line, until

FAMILIES = {
    "schedule_commands_total": "counter", "schedule_batch_rows": "histogram", "schedule_commit_seconds": "histogram",
    "schedule_batch_retries_total": "counter", "schedule_writes_pending": "gauge",
    "schedule_partitions_waiting": "gauge", "schedule_consumer_lag": "gauge",
    "schedule_consumer_partitions": "gauge", "schedule_commands_in_flight": "gauge",
    "schedule_relay_lag_bytes": "gauge", "schedule_relay_lag_seconds": "gauge", "schedule_relay_active": "gauge",
    "schedule_relay_events_total": "counter", "schedule_slot_present": "gauge", "schedule_slot_active": "gauge",
    "schedule_slot_behind_bytes": "gauge", "schedule_slot_kept_bytes": "gauge", "schedule_slot_safe_ratio": "gauge",
    "schedule_slot_wal_status": "gauge", "schedule_http_requests_total": "counter",
    "schedule_http_request_duration_seconds": "histogram", "schedule_http_in_flight": "gauge",
    "schedule_http_connections": "gauge", "schedule_connection_oldest_write_seconds": "gauge",
    "schedule_partition_oldest_write_seconds": "gauge", "schedule_build_info": "gauge", "process_resident_memory_bytes": "gauge",
    "process_cpu_seconds_total": "counter", "process_open_fds": "gauge",
}
SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[\d.e+-]+|NaN|[+-]Inf)')


def parse(text: str) -> tuple[dict[str, str], dict[str, float]]:
    """Types by family and values by sample of Prometheus's text format; asserts what that format asks for."""
    types: dict[str, str] = {}
    samples: dict[str, float] = {}
    family, helped = "", ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split()[2]
        elif line.startswith("# TYPE "):
            _, _, family, kind = line.split()
            assert family == helped and family not in types, f"{family} is not all in one place"
            types[family] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name = found[1]
            suffixes = ("_bucket", "_sum", "_count") if types[family] == "histogram" else ("",)
            assert name in {family + suffix for suffix in suffixes}, line
            sample = line.rpartition(" ")[0]
            assert sample not in samples, f"{sample} comes twice"
            samples[sample] = float(found[3])
    return types, samples


def test_healthz_and_readyz_say_yes(line: Line) -> None:
    assert line.request("GET", "/healthz").json() == {"status": "ok"}
    until(lambda: line.request("GET", "/readyz").json() == {"status": "ready"}, "it is ready and nothing is amiss")
    assert line.request("GET", "/healthz").headers["Content-Type"] == "application/json; charset=utf-8"


def test_metrics_are_prometheus_text_with_every_family(line: Line) -> None:
    line.post(MINIMAL)
    command = line.command()
    line.send(command)
    line.event_of(command["commandId"])
    # The slot is looked at every two seconds.
    until(lambda: parse(line.request("GET", "/metrics").text)[1]["schedule_slot_active"] == 1, "the slot is active")
    answer = line.request("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    types, samples = parse(answer.text)
    assert {name: types.get(name) for name in FAMILIES} == FAMILIES
    assert samples["schedule_slot_present"] == samples["schedule_slot_active"] == samples["schedule_relay_active"] == 1
    assert samples["process_resident_memory_bytes"] > 1e6
    assert samples['schedule_consumer_partitions{state="assigned"}'] == 4


def test_histograms_are_cumulative(line: Line) -> None:
    line.post(MINIMAL)
    types, samples = parse(line.request("GET", "/metrics").text)
    buckets: dict[str, list[float]] = defaultdict(list)
    for sample, value in samples.items():
        if "_bucket{" in sample:
            buckets[re.sub(r',?le="[^"]*"', "", sample).replace("_bucket", "_count").replace("{}", "")].append(value)
    assert {name for name, kind in types.items() if kind == "histogram"} == {name.partition("_count")[0] for name in buckets}
    for count, values in buckets.items():
        assert values == sorted(values)
        assert values[-1] == samples[count], count


def test_requests_are_counted_by_route_and_status_not_by_path(line: Line) -> None:
    route = "/v2/organizations/{orgId}/users/{userId}/schedules"
    wanted = {("POST " + route, "201"): lambda: line.post(MINIMAL), ("POST " + route, "400"): lambda: line.post({}),
              ("GET " + route, "401"): lambda: line.request("GET", line.schedules_path()),
              ("none", "404"): lambda: line.request("GET", "/v2/nothing")}
    for (name, status), act in wanted.items():
        sample = f'schedule_http_requests_total{{route="{name}",status="{status}"}}'
        before = line.metric(sample)
        act()
        assert line.metric(sample) == before + 1
    assert str(line.people.member) not in re.sub(r" \S+$", "", line.request("GET", "/metrics").text, flags=re.MULTILINE)
