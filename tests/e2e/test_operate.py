"""What an operator sees of a process: its log, its signals, how it stops, what it says of a database that is not set up."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from certificates import Authority
from conftest import MakeLine
from line import BINARY, MINIMAL, PARTITIONS, Line, receive_all, receive_until, server_settings, until
from servers import ROOT, Service, Webhooks, free_port, run


def lines_with(text: str, level: str) -> list[str]:
    return [entry for entry in text.splitlines() if f"level={level} " in entry]


# ---- the log

def test_the_log_level_changes_at_run_time(make_line: MakeLine) -> None:
    line = make_line(LOG_LEVEL="warn")
    line.start()
    assert "level=debug" not in line.log() and "level=info" not in line.log()
    os.kill(line.service.pid, signal.SIGUSR1)
    line.wait_log('msg="log level" level=debug')
    line.request("GET", "/v2/schedules", line.people.admin_key)
    line.wait_log('msg="http request"')
    os.kill(line.service.pid, signal.SIGUSR2)
    line.wait_log('msg="log level" level=warn')
    before = line.log()
    line.request("GET", "/v2/schedules", line.people.admin_key)
    assert "http request" not in line.log()[len(before):]


def test_so_does_that_of_the_sender_of_webhooks(make_line: MakeLine) -> None:
    line = make_line()
    sender = Webhooks(BINARY, line.env, line.directory / "webhooks.log")
    with sender:
        for number, level in ((signal.SIGUSR1, "debug"), (signal.SIGUSR2, "info")):
            os.kill(sender.pid, number)
            until(lambda: f'msg="log level" level={level}' in sender.log_tail(100), "it says so")
        assert sender.stop() == 0


def test_polls_of_readiness_are_no_warnings_and_an_open_intake_is_reported(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    with server_settings(line.servers.postgres, default_transaction_read_only="on"):
        line.wait_readiness((503, "the database is read-only"))
        for _ in range(5):
            assert line.readiness()[0] == 503
        assert line.post(MINIMAL).status_code == 503
    line.wait_readiness((200, None))
    line.wait_log('msg="intake open again" after="the database is read-only"')
    requests = [entry for entry in lines_with(line.log(), "warn") if 'msg="http request"' in entry]
    assert len(requests) == 1 and "POST" in requests[0], requests


# ---- a database that is not set up

@pytest.mark.parametrize("roles", ["http,consumer,relay", "relay"])
def test_a_database_without_a_schema_is_reported_in_one_line(make_line: MakeLine, roles: str) -> None:
    line = make_line(ROLES=roles)
    url = line.servers.postgres.create_database(f"bare_{os.getpid()}_{len(roles)}")
    replica = line.start(wait=False, DATABASE_URL=url)
    until(lambda: "started" in replica.log_tail(), "it listens")
    line.wait_readiness((503, "the schema is older than this build; run schedule-service migrate"))
    line.wait_log("run schedule-service migrate")
    time.sleep(2)  # what else it would say by now: each of ten connections failed many times
    said = lines_with(line.log(), "error") + lines_with(line.log(), "warn")
    assert len(said) == 1 and "run schedule-service migrate" in said[0], said
    run(str(BINARY), "migrate", env=line.env | {"DATABASE_URL": url, "REPLICATION_SLOT": f"bare_{os.getpid()}_{len(roles)}"})
    until(lambda: "older than" not in str(line.readiness()), "it goes on")
    line.stop()
    line.sql(f"SELECT pg_drop_replication_slot('bare_{os.getpid()}_{len(roles)}')")


def test_a_slot_of_another_name_is_not_called_lost(make_line: MakeLine) -> None:
    line = make_line()
    replica = line.start(wait=False, REPLICATION_SLOT="mistaken")
    what = "the database has no replication slot of this name and never had; is REPLICATION_SLOT right?"
    until(lambda: "started" in replica.log_tail(), "it listens")
    line.wait_readiness((503, what))
    line.wait_log(what)
    assert "LOST" not in line.log() and "rebuild" not in line.log()
    assert line.metric("schedule_relay_slot_lost") == 0
    line.stop()


# ---- stopping

def test_http_goes_on_for_a_while_at_a_stop_and_says_that_it_ends(make_line: MakeLine) -> None:
    """Load balancers see /readyz 503 first; the partitions are the other replica's meanwhile."""
    line = make_line()
    first = line.start(DRAIN_SECONDS="5")
    second = line.start()
    assigned = 'schedule_consumer_partitions{state="assigned"}'

    def partitions(replica: Service) -> float:
        text = line.http.get(f"{replica.url}/metrics", timeout=10).text
        found = re.search(rf"^{re.escape(assigned)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    until(lambda: partitions(first) + partitions(second) == PARTITIONS and partitions(second) > 0, "they share the partitions", 60)
    path = line.schedules_path()
    ask = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {line.people.admin_key}\r\n\r\n".encode()
    with line.connect(first) as kept:
        kept.sendall(ask)
        assert b"Connection: close" not in receive_until(kept, lambda data: b"\r\n\r\n" in data)
        line.load(4000)  # of which some are fetched and not taken when it leaves
        os.kill(first.pid, signal.SIGTERM)
        began = time.monotonic()
        until(lambda: line.readiness(first) == (503, "stopping"), "it says so", 4)
        created = line.post(MINIMAL)
        assert (created.status_code, created.headers["Connection"]) == (201, "close")
        until(lambda: partitions(second) == PARTITIONS, "its partitions are the other's", 4.5)
        assert time.monotonic() - began < 5 and first.is_running()
        kept.sendall(ask)
        answer = receive_until(kept, lambda data: b"HTTP/1.1 200" in data and b"\r\n\r\n" in data.partition(b"HTTP/1.1 200")[2])
        assert b"Connection: close" in answer
    assert first._process is not None and first._process.wait(30) == 0
    assert 4.9 < time.monotonic() - began < 25
    line.replicas = [second]
    line.event_of_schedule(created.json()["data"]["id"])
    line.balance()


def test_over_tls_it_goes_on_for_a_while_too(make_line: MakeLine, tmp_path: Path) -> None:
    """A kept connection and a new one are served, with the word that they end; the health check tells ready from alive."""
    authority = Authority(tmp_path, "here")
    certificate = authority.issue("service", "DNS:localhost", "IP:127.0.0.1")
    tls = {"HTTP_TLS_CERTIFICATE": str(certificate.certificate), "HTTP_TLS_KEY": str(certificate.key)}
    line = make_line(**tls)
    line.http.trust_env, line.http.verify = False, str(authority.root)
    replica = line.start(DRAIN_SECONDS="5")
    ask = f"GET {line.schedules_path()} HTTP/1.1\r\nHost: x\r\nAuthorization: {line.people.admin_key}\r\n\r\n".encode()
    context = ssl.create_default_context(cafile=str(authority.root))
    with context.wrap_socket(line.connect(), server_hostname="localhost") as kept:
        kept.sendall(ask)
        assert b"Connection: close" not in receive_until(kept, lambda data: b"\r\n\r\n" in data)
        os.kill(replica.pid, signal.SIGTERM)
        began = time.monotonic()
        until(lambda: line.readiness() == (503, "stopping"), "it says so", 4)
        listen = {"HTTP_LISTEN": replica.env["HTTP_LISTEN"], **tls}
        assert not is_healthy("/readyz", **listen) and is_healthy("/healthz", **listen)
        created = line.post(MINIMAL)
        assert (created.status_code, created.headers["Connection"]) == (201, "close")
        kept.sendall(ask)
        assert b"Connection: close" in receive_all(kept)  # which raises when the end is a cut
    assert replica._process is not None and replica._process.wait(30) == 0
    assert 4.9 < time.monotonic() - began < 25


def test_without_http_nothing_waits_at_a_stop(make_line: MakeLine) -> None:
    line = make_line()
    relay = line.start(ROLES="relay", DRAIN_SECONDS="20")
    began = time.monotonic()
    line.stop(relay)
    assert time.monotonic() - began < 10


# ---- health

HEALTHCHECK = ROOT / "deploy/healthcheck.sh"


def is_healthy(*arguments: str, **env: str) -> bool:
    return subprocess.run([str(HEALTHCHECK), *arguments], env={"PATH": os.environ["PATH"], **env}, check=False, timeout=30,
                          stderr=subprocess.DEVNULL).returncode == 0


def start_listening(line: Line, listen: str) -> None:
    replica = line.start(wait=False, HTTP_LISTEN=listen)
    until(lambda: "started" in replica.log_tail(), "it listens")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost", "", "[::1]", "[::]"])
def test_the_health_check_asks_where_the_service_listens(make_line: MakeLine, tmp_path: Path, host: str) -> None:
    line = make_line()
    listen = f"{host}:{free_port()}"
    start_listening(line, listen)
    assert is_healthy(HTTP_LISTEN=listen)
    twin = tmp_path / "listen"
    twin.write_text(listen + "\n")
    assert is_healthy(HTTP_LISTEN_FILE=str(twin))
    assert not is_healthy(HTTP_LISTEN=f"127.0.0.3:{listen.rpartition(':')[2]}") or host in ("0.0.0.0", "", "[::]")
    assert not is_healthy(HTTP_LISTEN=f"{host}:{free_port()}")
    line.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "", "[::1]", "[::]"])
def test_the_health_check_speaks_tls_where_the_service_does(make_line: MakeLine, tmp_path: Path, host: str) -> None:
    certificate = Authority(tmp_path, "here").issue("service", "DNS:elsewhere.example", days=-1)  # whose and how old is not its matter
    tls = {"HTTP_TLS_CERTIFICATE": str(certificate.certificate), "HTTP_TLS_KEY": str(certificate.key)}
    line = make_line(**tls)
    listen = f"{host}:{free_port()}"
    start_listening(line, listen)
    twins = {name: tmp_path / name for name in ("HTTP_LISTEN_FILE", "HTTP_TLS_CERTIFICATE_FILE")}
    twins["HTTP_LISTEN_FILE"].write_text(listen + "\n")
    twins["HTTP_TLS_CERTIFICATE_FILE"].write_text(str(certificate.certificate) + "\n")
    assert is_healthy(HTTP_LISTEN=listen, **tls)
    assert is_healthy(**{name: str(file) for name, file in twins.items()})
    assert not is_healthy("/nowhere", HTTP_LISTEN=listen, **tls)
    assert not is_healthy(HTTP_LISTEN=listen)
    assert not is_healthy(HTTP_LISTEN=f"{host}:{free_port()}", **tls)
    line.stop()


def test_the_health_check_of_a_sender_of_webhooks(make_line: MakeLine) -> None:
    line = make_line()
    sender = Webhooks(BINARY, line.env, line.directory / "webhooks.log")
    line.replicas.append(sender)
    sender.start()
    listen = sender.env["WEBHOOK_LISTEN"]
    tls = {"HTTP_TLS_CERTIFICATE": "/etc/certificate.pem"}  # which only `serve` uses
    assert is_healthy("/readyz", "webhooks", WEBHOOK_LISTEN=listen, **tls)
    assert not is_healthy("/nowhere", "webhooks", WEBHOOK_LISTEN=listen)
    assert not is_healthy("/readyz", "webhooks", WEBHOOK_LISTEN=f"127.0.0.1:{free_port()}", HTTP_LISTEN=listen)
    assert not is_healthy("/readyz", WEBHOOK_LISTEN=listen, HTTP_LISTEN=f"127.0.0.1:{free_port()}")


# ---- metrics

def test_start_limits_and_the_end_of_the_certificate_are_metrics(make_line: MakeLine, tmp_path: Path) -> None:
    certificate = Authority(tmp_path, "here").issue("service", "DNS:localhost", "IP:127.0.0.1")
    line = make_line(HTTP_TLS_CERTIFICATE=str(certificate.certificate), HTTP_TLS_KEY=str(certificate.key))
    line.http.trust_env = line.http.verify = False
    before = time.time()
    line.start()
    assert before - 1 <= line.metric("process_start_time_seconds") <= time.time()
    assert line.metric("process_max_fds") > line.metric("process_open_fds") > 0
    ends = run("openssl", "x509", "-in", str(certificate.certificate), "-noout", "-enddate", "-dateopt", "iso_8601").strip()
    told = time.strftime("notAfter=%Y-%m-%d %H:%M:%SZ", time.gmtime(line.metric("schedule_http_certificate_expiry_timestamp_seconds")))
    assert told == ends
    other = make_line()
    other.start()
    assert not re.search(r"^schedule_http_certificate", other.request("GET", "/metrics").text, re.MULTILINE)
