#!/usr/bin/env python3
"""Holds each rule of deploy/alerts.yml against Prometheus' own promtool: it fires for what it is for, with its annotations, and is quiet for what is
in order and for what other jobs report. Each rule keeps to its job, and its link leads to a row of docs/operations.md.

    check_alerts.py PROMTOOL"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ALERTS = Path("deploy/alerts.yml").resolve()
PAGE = Path("docs/operations.md")
SECONDS = "schedule_{}_seconds_bucket{{le=\"{}\"}}"

# Series of the job, as promtool writes them (one sample a minute), for which the rule fires after half an hour, and those for which it does
# not. What is one text for both differs in the samples.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "NobodyAnswers": ({'up{instance="a"}': "0x60", 'up{instance="b"}': "0x60"}, {'up{instance="a"}': "0x60", 'up{instance="b"}': "1x60"}),
    "ReplicaDown": ({'up{instance="a"}': "0x60", 'up{instance="b"}': "1x60"}, {'up{instance="a"}': "1x60"}),
    "SlotLost": ({"schedule_relay_slot_lost": "1x60"}, {"schedule_relay_slot_lost": "0x60"}),
    "PositionNotAccepted": ({"schedule_position_accepted": "0x60"}, {"schedule_position_accepted": "1x60"}),
    "NobodyPublishes": ({}, {'schedule_relay_active{instance="a"}': "0x60", 'schedule_relay_active{instance="b"}': "1x60"}),
    "DatabaseAway": ({"schedule_database_connections_ready": "0x60"}, {"schedule_database_connections_ready": "2x60"}),
    "PartitionStopped": ({'schedule_consumer_partitions{state="stopped"}': "1x60"}, {'schedule_consumer_partitions{state="assigned"}': "8x60"}),
    "DirectoryPartitionStopped": ({'schedule_directory_partitions{state="stopped"}': "1x60"},
                                  {'schedule_directory_partitions{state="assigned"}': "8x60"}),
    "ConnectionStalled": ({"schedule_connection_oldest_write_seconds": "31x60"}, {"schedule_connection_oldest_write_seconds": "29x60"}),
    "PartitionWaits": ({"schedule_partitions_waiting": "1x60"}, {"schedule_partitions_waiting": "0x60"}),
    "PartitionStalled": ({"schedule_partition_oldest_write_seconds": "31x60"}, {"schedule_partition_oldest_write_seconds": "29x60"}),
    "EventsUnpublishable": ({'schedule_relay_refused_records_total{kind="event"}': "0+1x60"},
                            {'schedule_relay_refused_records_total{kind="dead_letter"}': "0+1x60"}),
    "EventsWithoutChange": ({"schedule_relay_events_without_change_total": "1x60"}, {"schedule_relay_events_without_change_total": "0x60"}),
    "EventsLate": ({"schedule_relay_lag_seconds": "11x60"}, {"schedule_relay_lag_seconds": "9x60"}),
    "SlotBehind": ({"schedule_slot_behind_bytes": "268435457x60"}, {"schedule_slot_behind_bytes": "268435456x60"}),
    "SlotNearLoss": ({"schedule_slot_safe_ratio": "0.29x60"}, {"schedule_slot_safe_ratio": "1x60"}),
    "SlotKeepsWal": ({"schedule_slot_kept_bytes": "536870913x60"}, {"schedule_slot_kept_bytes": "1x60"}),
    "CommandsLate": ({"schedule_consumer_lag": "10001x60"}, {"schedule_consumer_lag": "9999x60"}),
    "DirectoryLate": ({"schedule_directory_lag": "1001x60"}, {"schedule_directory_lag": "999x60"}),
    "RemovalLasts": ({"schedule_removals_oldest_seconds": "3601x60"}, {"schedule_removals_oldest_seconds": "3599x60"}),
    "KafkaCommitsSlowly": ({SECONDS.format("relay_commit", bound): f"0+{count}x60" for bound, count in (("1", 0), ("2.5", 1), ("+Inf", 1))},
                           {SECONDS.format("relay_commit", bound): f"0+{count}x60" for bound, count in (("1", 1), ("2.5", 1), ("+Inf", 1))}),
    "DatabaseCommitsSlowly": ({SECONDS.format("commit", bound): f"0+{count}x60" for bound, count in (("0.5", 0), ("1", 1), ("+Inf", 1))},
                              {SECONDS.format("commit", bound): f"0+{count}x60" for bound, count in (("0.5", 1), ("1", 1), ("+Inf", 1))}),
    "RelayRestarts": ({"schedule_relay_restarts_total": "0+1x60"}, {"schedule_relay_restarts_total": "5x60"}),
    "TransactionsRepeated": ({"schedule_batch_retries_total": "0+3x60"}, {"schedule_batch_retries_total": "0+1x60"}),
    "RequestsFail": ({'schedule_http_requests_total{route="GET /x",status="503"}': "0+3x60"},
                     {'schedule_http_requests_total{route="GET /readyz",status="503"}': "0+9x60",
                      'schedule_http_requests_total{route="GET /x",status="404"}': "0+9x60"}),
    "MemoryHigh": ({"process_resident_memory_bytes": "134217729x60"}, {"process_resident_memory_bytes": "67108864x60"}),
    "WebhooksLate": ({"schedule_webhook_lag_seconds": "31x60"}, {"schedule_webhook_lag_seconds": "29x60"}),
    "WebhookEventsLost": ({"schedule_webhook_offsets_lost_total": "1x60"}, {"schedule_webhook_offsets_lost_total": "0x60"}),
    "CertificateEnds": ({"schedule_http_certificate_expiry_timestamp_seconds": "604800x60"},
                        {"schedule_http_certificate_expiry_timestamp_seconds": "608400x60"}),
    "DeadLetters": ({'schedule_commands_total{result="dead_letter"}': "0+1x60"}, {'schedule_commands_total{result="created"}': "0+1x60"}),
    "DirectoryDeadLetters": ({'schedule_directory_entries_total{result="dead_letter"}': "0+1x60"},
                             {'schedule_directory_entries_total{result="applied"}': "0+1x60"}),
    "ManyRejections": ({'schedule_commands_total{result="rejected"}': "0+10x60"}, {'schedule_commands_total{result="rejected"}': "0+5x60"}),
    "KeysGuessed": ({'schedule_http_rate_limited_total{by="address"}': "0+10x60"}, {'schedule_http_rate_limited_total{by="api_key"}': "0+10x60"}),
    "CallersLimited": ({'schedule_http_rate_limited_total{by="api_key"}': "0+10x60"}, {'schedule_http_rate_limited_total{by="address"}': "0+10x60"}),
}
ALWAYS = {'up{instance="a"}': "1x60"}  # so that absence is that of a series


def series(samples: dict[str, str], job: str) -> list[dict[str, str]]:
    """With the job among the labels."""
    written = []
    for name, values in samples.items():
        labels = f'{name[:-1]},job="{job}"}}' if name.endswith("}") else f'{name}{{job="{job}"}}'
        written.append({"series": labels, "values": values})
    return written


def test_of(rule: dict, samples: list[dict[str, str]], fires: bool, what: str) -> dict:
    told = {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
    return {"name": f"{rule['alert']}: {what}", "interval": "1m", "input_series": samples,
            "alert_rule_test": [{"eval_time": "30m", "alertname": rule["alert"], "exp_alerts": [told] if fires else []}]}


def tests_of(rule: dict) -> list[dict]:
    ill, well = CASES[rule["alert"]]
    ours, alive = "schedule-service", series(ALWAYS, "schedule-service")
    others = series(ill, "another")
    tests = [test_of(rule, series(ill, ours) or alive, True, "fires"), test_of(rule, series(well, ours), False, "is quiet"),
             test_of(rule, series(well, ours) + others, False, "is quiet for other jobs")]
    if rule["alert"] in ("NobodyAnswers", "NobodyPublishes"):
        tests.append(test_of(rule, series(ALWAYS, "another"), True, "fires when there is nothing at all"))
    return tests


def faults_of(rule: dict) -> list[str]:
    """What promtool cannot see."""
    name, faults = rule["alert"], []
    selectors = re.findall(r"\b(?:up|(?:schedule|process)_\w+)(\{[^}]*\})?", rule["expr"])
    if not selectors or any('job="schedule-service"' not in selector for selector in selectors):
        faults.append(f"{name} has a selector without its job")
    if not rule.get("annotations", {}).get("summary"):
        faults.append(f"{name} has no summary")
    page, _, anchor = rule.get("annotations", {}).get("runbook_url", "").partition("#")
    if page != str(PAGE) or f'<a id="{anchor}"></a>`{name}`' not in PAGE.read_text():
        faults.append(f"{name} has no link to its row of {PAGE}")
    return faults + ([] if name in CASES else [f"{name} has no case in {Path(__file__).name}"])


def main() -> int:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    faults = [fault for rule in rules for fault in faults_of(rule)]
    faults += [f"{name} is no rule" for name in CASES.keys() - {rule["alert"] for rule in rules}]
    if faults:
        print("\n".join(faults))
        return 1
    tests = [test for rule in rules for test in tests_of(rule)]
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory) / "tests.yml"
        written.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
        done = subprocess.run([sys.argv[1], "test", "rules", str(written)], capture_output=True, text=True, check=False)
    print(f"{len(rules)} alerts fire as they should" if done.returncode == 0 else done.stdout + done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
