"""A database of several hosts, of which some are silent, away or not what was asked for; a resolver that is slow; and what PostgreSQL says
of its own accord."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conftest import MakeLine
from line import MINIMAL, PARTITIONS, Line, until
from servers import ROOT, Postgres, free_port, scratch_dir


@contextmanager
def silence() -> Iterator[int]:
    """The port of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def with_hosts(line: Line, *hosts: str, options: str = "") -> str:
    """The line's URL with other hosts; `here` stands for its own."""
    own = f"127.0.0.1:{line.servers.postgres.port}"
    return line.database_url.replace(own, ",".join(own if host == "here" else host for host in hosts)) + options


def assert_served(line: Line) -> None:
    answer = line.post(MINIMAL)
    assert answer.status_code == 201
    line.event_of_schedule(answer.json()["data"]["id"])


@pytest.mark.parametrize("options", ["?target_session_attrs=read-write&connect_timeout=4", ""])
def test_a_silent_host_is_passed_over_by_the_intake_and_relay(make_line: MakeLine, options: str) -> None:
    with silence() as port:
        line = make_line()
        line.start(DATABASE_URL=with_hosts(line, f"127.0.0.1:{port}", "here", options=options))
        assert_served(line)


def test_a_silent_host_has_its_share_of_a_commands_time(make_line: MakeLine) -> None:
    """connect_timeout of the URL, not 10 s."""
    with silence() as port:
        line = make_line()
        line.env["DATABASE_URL"] = with_hosts(line, f"127.0.0.1:{port}", "here", options="?connect_timeout=2")
        start = time.monotonic()
        assert "id=" in line.cli("org", "list")
        assert time.monotonic() - start < 9


def test_a_host_that_refuses_and_one_that_is_read_only_are_passed_over(make_line: MakeLine) -> None:
    line = make_line()
    directory = scratch_dir()
    with Postgres(directory / "postgres", settings={"default_transaction_read_only": "on"}) as read_only:
        hosts = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{read_only.port}", "here")
        name = line.database_url.rpartition("/")[2]
        read_only.psql(f'create database "{name}"', "postgres?options=-cdefault_transaction_read_only%3Doff")
        line.start(DATABASE_URL=with_hosts(line, *hosts, options="?target_session_attrs=read-write"))
        assert_served(line)


def test_what_each_host_said_is_in_the_log(make_line: MakeLine) -> None:
    line = make_line()
    with silence() as port:
        refusing = free_port()
        url = f"postgresql://postgres@127.0.0.1:{port},127.0.0.1:{refusing},no-such-host.invalid/x?connect_timeout=2"
        line.start(wait=False, DATABASE_URL=url)
        until(lambda: "postgres connection lost" in line.log(), "it is told", 30)
    told = next(text for text in line.log().splitlines() if "postgres connection lost" in text)
    assert re.search(rf"127.0.0.1: no answer in time; connection to server .*port {refusing} failed: .*refused"
                     r".*; no-such-host.invalid: ", told), told


@pytest.fixture(scope="module")
def slow_resolver(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which a name takes the resolver half a minute."""
    library = tmp_path_factory.mktemp("resolver") / "slow_resolver.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", str(library), str(ROOT / "tests/support/slow_resolver.c"),
                    "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_RESOLVER_SECONDS": "30", "ASAN_OPTIONS": "verify_asan_link_order=0"}


def test_a_slow_resolver_does_not_stop_the_loop(make_line: MakeLine, slow_resolver: dict[str, str]) -> None:
    """Nor the end of the process."""
    line = make_line()
    url = with_hosts(line, f"localhost:{line.servers.postgres.port}")
    line.start(wait=False, DATABASE_URL=url, **slow_resolver)
    until(lambda: is_alive(line), "it answers", 15)
    start = time.monotonic()
    for _ in range(20):
        assert is_alive(line)
        time.sleep(0.1)
    assert time.monotonic() - start < 15
    line.stop()
    assert time.monotonic() - start < 25


def is_alive(line: Line) -> bool:
    try:
        return line.request("GET", "/healthz", timeout=10).status_code == 200
    except OSError:
        return False


def test_a_host_behind_one_that_the_resolver_does_not_find_is_reached(make_line: MakeLine, slow_resolver: dict[str, str]) -> None:
    line = make_line()
    line.start(DATABASE_URL=with_hosts(line, "no-such-host.invalid:1", "here", options="?connect_timeout=2"), **slow_resolver)
    assert_served(line)


def test_why_postgresql_ends_a_session_is_in_the_log(make_line: MakeLine) -> None:
    """Of connections that ask for nothing at the moment."""
    line = make_line()
    line.start()
    until(lambda: line.log().count("partition assigned") == 2 * PARTITIONS, "both consumers have all partitions")
    until(lambda: line.sql("SELECT bool_and(coalesce(state, '') = 'idle') FROM pg_stat_activity WHERE datname = current_database()"
                           " AND pid <> pg_backend_pid() AND application_name NOT LIKE '%%relay'") == [(True,)], "they ask for nothing")
    ended = line.sql("SELECT application_name, count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                     " WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1")
    names = {name for name, _ in ended if name.startswith("schedule-service")}
    assert "schedule-service reader" in names

    def told() -> set[str]:
        return {name for text in line.log().splitlines() if "57P01" in text or "terminating connection due to" in text
                for name in names if f'name="{name}"' in text or "relay" in name}

    until(lambda: told() == names, f"all of {names} tell why")
    line.wait_readiness((200, None))
    assert_served(line)
