"""The servers of a run and the lines of its tests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy/local"), str(ROOT / "tests")]
sys.path.append(str(ROOT / "tests/fault"))

import namespace  # noqa: E402
from hooks import KEY, Hooks  # noqa: E402
from ledger import query  # noqa: E402
from line import BINARY, Line, People, Servers  # noqa: E402
from servers import Kafka, Postgres, admin, prepare, scratch_dir  # noqa: E402

MakeLine = Callable[..., Line]


def pytest_configure(config: pytest.Config) -> None:
    """All tests run with loopback only."""
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        namespace.enter()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One PostgreSQL and one Kafka for all tests."""
    assert BINARY.exists(), f"{BINARY} is not there: run `make build PROFILE=asan`, or set SERVICE_BINARY"
    directory = scratch_dir()
    kafka = Kafka(directory / "kafka", properties={"log.retention.check.interval.ms": "1000"})
    postgres = Postgres(directory / "postgres", settings={"max_replication_slots": "30", "max_wal_senders": "30"})
    try:
        with kafka, postgres:
            template = "template_line"
            people = fill_directory(postgres.create_database(template))
            postgres.psql("SELECT pg_drop_replication_slot('schedule_service')")
            yield Servers(postgres, kafka, template, people, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def fill_directory(database_url: str) -> People:
    """Migrates the database and makes the people, with the service's own commands."""
    env = {"DATABASE_URL": database_url}

    def run(*arguments: str) -> dict[str, str]:
        return admin(BINARY, env, *arguments)

    def key(user: str, *options: str) -> dict[str, str]:
        return run("apikey", "create", "--user", user, *options)

    demo = prepare(BINARY, env, topics=False)
    owner = run("user", "add", "--name", "Owner")["id"]
    run("member", "add", "--org", demo["ORG_ID"], "--user", owner, "--role", "owner")
    stranger = run("user", "add", "--name", "Stranger")["id"]
    expired, revoked = key(demo["ADMIN_USER_ID"]), key(demo["ADMIN_USER_ID"])
    run("apikey", "revoke", "--id", revoked["id"])
    expire(database_url, expired["id"])
    return People(
        org=int(demo["ORG_ID"]), admin=int(demo["ADMIN_USER_ID"]), admin_key=demo["ADMIN_API_KEY"],
        member=int(demo["MEMBER_USER_ID"]), member_key=demo["MEMBER_API_KEY"], owner_key=key(owner)["key"],
        other_org=int(demo["OTHER_ORG_ID"]), other_admin_key=demo["OTHER_ADMIN_API_KEY"],
        other_member=int(demo["OTHER_USER_ID"]), stranger=int(stranger), stranger_key=key(stranger)["key"],
        expired_key=expired["key"], revoked_key=revoked["key"])


def expire(database_url: str, key_id: str) -> None:
    query(database_url, "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = %s", int(key_id))


@contextmanager
def running(one: Line, audited: bool = True) -> Iterator[Line]:
    """With one running replica; at the end the line's ledger must be exact, unless it is not audited."""
    try:
        one.start()
        yield one
        if audited:
            one.balance()
    except BaseException:
        one.abandon()
        raise
    one.close()


@pytest.fixture(scope="module")
def line(servers: Servers) -> Iterator[Line]:
    """A line for all tests of a file."""
    with running(Line(servers)) as one:
        yield one


@pytest.fixture
def make_line(servers: Servers, request: pytest.FixtureRequest) -> Iterator[MakeLine]:
    """Makes lines for one test; at its end they are stopped and closed."""
    made: list[Line] = []
    request.node.lines = made
    with ExitStack() as closing:

        def make(**env: str) -> Line:
            made.append(Line(servers, **env))
            closing.callback(made[-1].close)
            return made[-1]

        yield make


@pytest.fixture
def hooks(make_line: MakeLine) -> Iterator[Hooks]:
    """With a running service; senders are a test's to start."""
    made = Hooks(make_line(WEBHOOK_SECRET_KEY=KEY, WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8"))
    made.line.start()
    yield made
    made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """Shows the end of the service's log with a failure."""
    outcome: Any = yield
    report = outcome.get_result()
    lines = getattr(item, "lines", []) + [item.funcargs[name] for name in ("line",) if name in getattr(item, "funcargs", {})]
    if report.failed:
        for one in lines:
            report.sections.append(("service log", "\n".join(one.log().splitlines()[-40:])))
