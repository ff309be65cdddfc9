"""The SQL of docs/operations.md, run as it stands there on a PostgreSQL of its own: POSTGRES_BIN names the tools of another version."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import psycopg2
import pytest

from ledger import query
from line import BINARY, MINIMAL, Line, Servers
from servers import ROOT, Postgres, prepare, scratch_dir

PAGE = (ROOT / "docs/operations.md").read_text()
SQL = re.compile(r"(CREATE|REVOKE|GRANT|ALTER|DROP|DO|SELECT|INSERT|UPDATE|DELETE)\b")
DATABASE, OWNER = "schedules", "schedules_owner"


def blocks() -> list[str]:
    """The indented blocks of the page that are SQL."""
    indented = re.findall(r"\n\n((?:    .*\n)+)", PAGE)
    return [block for block in (re.sub(r"^    ", "", text, flags=re.MULTILINE) for text in indented) if SQL.match(block)]


def url_of(server: Postgres, login: str) -> str:
    return server.dsn(DATABASE).replace("postgres@", f"{login}@")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A cluster whose database has an owner who is no superuser, who migrated it; then a superuser has run the page's SQL."""
    directory = scratch_dir()
    with Postgres(directory / "postgres") as server:
        server.psql(f"CREATE ROLE {OWNER} LOGIN REPLICATION CREATEROLE")
        server.create_database(DATABASE, f"OWNER {OWNER}")
        server.people = prepare(BINARY, {"DATABASE_URL": url_of(server, OWNER)}, topics=False)
        for block in blocks():
            server.psql(block, DATABASE)
        server.psql("CREATE ROLE passer_by LOGIN")
        yield server
    shutil.rmtree(directory, ignore_errors=True)


def test_the_page_has_sql() -> None:
    text = "".join(blocks())
    for words in ("IN ROLE schedule_service", "LOGIN REPLICATION", "REVOKE CONNECT ON DATABASE", "pg_logical_emit_message"):
        assert words in text


def test_the_logins_of_the_page_serve(servers: Servers, postgres: Postgres) -> None:
    line = Line(servers)
    line.env |= {"DATABASE_URL": url_of(postgres, "schedules_app"), "RELAY_DATABASE_URL": url_of(postgres, "schedules_wal"),
                 "REPLICATION_SLOT": "schedule_service"}
    try:
        line.start()
        people = postgres.people
        path = line.schedules_path(people["MEMBER_USER_ID"], people["ORG_ID"])
        answer = line.request("POST", path, people["ADMIN_API_KEY"], json=MINIMAL)
        assert answer.status_code == 201, answer.text
        line.event_of_schedule(answer.json()["data"]["id"])
        line.env["DATABASE_URL"] = url_of(postgres, "schedules_ops")
        assert line.admin("apikey", "create", "--user", people["MEMBER_USER_ID"])["key"]
    except BaseException:
        line.abandon()
        raise
    line.close()


@pytest.mark.parametrize("kind", ["text", "bytea"])
def test_nobody_but_the_owner_emits_messages(postgres: Postgres, kind: str) -> None:
    emit = f"SELECT 1 FROM pg_logical_emit_message(true, 'x', 'y'::{kind})"
    for login in ("schedules_app", "schedules_ops"):
        with pytest.raises(psycopg2.Error, match="permission denied for function pg_logical_emit_message"):
            query(url_of(postgres, login), emit)
    assert query(url_of(postgres, OWNER), emit) == [(1,)]


def test_who_is_in_no_role_does_not_connect(postgres: Postgres) -> None:
    with pytest.raises(psycopg2.Error, match="permission denied for database"):
        query(url_of(postgres, "passer_by"), "SELECT 1")
