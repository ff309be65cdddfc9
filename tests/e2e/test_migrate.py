"""The schema: what `migrate` applies, refuses and upgrades, and what `serve` waits for."""

import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import MakeLine
from ledger import query
from line import BINARY, EXAMPLE, Servers
from test_cli import cli

MakeDatabase = Callable[[], str]

# The checksums of the functions of each build, this one's at the end.
FUNCTIONS = (Path(__file__).parents[2] / "migrations/functions/history").read_text().split()


@pytest.fixture
def make_database(servers: Servers) -> Iterator[MakeDatabase]:
    """Makes empty databases; returns their DSN."""
    made: list[str] = []

    def make() -> str:
        made.append(f"empty-{uuid.uuid4().hex[:8]}")
        return servers.postgres.create_database(made[-1])

    yield make
    for name in made:
        servers.postgres.psql(
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{name}'")
        servers.postgres.psql(f'DROP DATABASE "{name}" WITH (FORCE)')


def migrate_env(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "REPLICATION_SLOT": "slot_" + database_url.rpartition("-")[2]}


def tool(servers: Servers, name: str, *arguments: str) -> str:
    return subprocess.run([str(servers.postgres.bin / name), *arguments], capture_output=True, text=True, timeout=60, check=True).stdout


def load(servers: Servers, database_url: str, file: Path) -> None:
    tool(servers, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(file), database_url)


def dump(servers: Servers, database_url: str) -> str:
    """The schema, without what differs from one run of pg_dump to the next."""
    lines = tool(servers, "pg_dump", "--schema-only", database_url).splitlines(True)
    return "".join(line for line in lines if not re.match(r"--|\\(un)?restrict", line))


# ---- migrate

def test_migrate_twice_changes_nothing(make_database: MakeDatabase) -> None:
    env = migrate_env(make_database())
    first, second = cli("migrate", **env), cli("migrate", **env)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "applied 0001" in first.stdout
    assert "made replication slot" in first.stdout
    assert second.stdout == first.stdout.splitlines()[-1] + "\n"
    assert query(env["DATABASE_URL"], "SELECT plugin FROM pg_replication_slots WHERE slot_name = %s",
                 env["REPLICATION_SLOT"]) == [("pgoutput",)]


def test_migrate_from_three_processes_at_once(make_database: MakeDatabase) -> None:
    env = migrate_env(make_database())
    processes = [subprocess.Popen([str(BINARY), "migrate"], env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum("applied 0001" in text for text in printed) == 1
    assert sum("made replication slot" in text for text in printed) == 1


def test_a_changed_migration_is_refused(make_database: MakeDatabase) -> None:
    env = migrate_env(make_database())
    assert cli("migrate", **env).returncode == 0
    query(env["DATABASE_URL"], "UPDATE schema_migrations SET checksum = repeat('0', 64) WHERE version = 1")
    refused = cli("migrate", **env)
    assert refused.returncode == 1
    assert "was applied with another content" in refused.stderr


def test_the_service_waits_for_its_schema(make_line: MakeLine, make_database: MakeDatabase) -> None:
    database_url = make_database()
    line = make_line()
    env = {"DATABASE_URL": database_url}
    line.start(wait=False, **env)
    line.wait_log("started")
    line.wait_readiness((503, "the schema is older than this build; run schedule-service migrate"))
    # The slot's name is taken by the line's own database.
    line.sql("SELECT pg_drop_replication_slot(%s)", line.place.slot)
    line.env |= env
    line.cli("migrate")
    line.wait_readiness((200, None))
    line.stop()  # before its database goes


def test_functions_of_an_older_build_are_replaced(servers: Servers, make_database: MakeDatabase) -> None:
    """Also those that somebody changed by hand; what they may do stays."""
    env = migrate_env(make_database())
    assert cli("migrate", **env).returncode == 0
    assert query(env["DATABASE_URL"], "SELECT checksum FROM schema_functions") == [(FUNCTIONS[-1],)]
    before = dump(servers, env["DATABASE_URL"])
    query(env["DATABASE_URL"], "CREATE OR REPLACE FUNCTION command_memory() RETURNS interval LANGUAGE sql IMMUTABLE"
                               " AS $$ SELECT interval '1 s' $$")
    assert dump(servers, env["DATABASE_URL"]) != before
    query(env["DATABASE_URL"], "DELETE FROM schema_functions")
    applied = cli("migrate", **env)
    assert (applied.returncode, "applied the functions" in applied.stdout) == (0, True)
    assert dump(servers, env["DATABASE_URL"]) == before


@pytest.mark.parametrize(("statement", "reason"), [
    ("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', '')",
     "the schema is at version 9999, which is a newer build's"),
    ("UPDATE schema_functions SET checksum = repeat('0', 64)", "the functions are a newer build's")])
def test_what_a_newer_build_migrated_is_refused_and_stays(servers: Servers, make_database: MakeDatabase, statement: str,
                                                              reason: str) -> None:
    env = migrate_env(make_database())
    assert cli("migrate", **env).returncode == 0
    query(env["DATABASE_URL"], statement)
    before = dump(servers, env["DATABASE_URL"])
    refused = cli("migrate", **env)
    assert (refused.returncode, reason in refused.stderr) == (1, True), refused.stderr
    assert dump(servers, env["DATABASE_URL"]) == before


def test_the_service_takes_newer_functions_and_waits_for_its_own(make_line: MakeLine) -> None:
    line = make_line()
    line.sql("UPDATE schema_functions SET checksum = repeat('0', 64)")
    line.start()
    line.wait_readiness((200, None))
    line.sql("DELETE FROM schema_functions")
    line.wait_readiness((503, "the schema is older than this build; run schedule-service migrate"))
    line.cli("migrate")
    line.wait_readiness((200, None))


def test_repeated_days_of_an_earlier_build_go_and_the_schedule_is_the_same(make_line: MakeLine) -> None:
    """They were stored as they were sent, a million and more. Readers saw each once."""
    line = make_line()
    line.start()
    made = line.post(EXAMPLE).json()["data"]
    line.stop()
    line.sql("""UPDATE schedules SET availability = format('[{"days":["Friday",%%s"Monday"],"startTime":"09:00","endTime":"17:00"},%%s]',
                                                           repeat('"Monday","Friday",', 500000), availability ->> 0)::json
                 WHERE id = %s""", made["id"])
    line.sql("DELETE FROM schema_migrations WHERE name LIKE '%%each_day_once%%'")
    line.cli("migrate")
    line.service.start()
    path = f"{line.schedules_path()}/{made['id']}"
    hours = [{"days": ["Friday", "Monday"], "startTime": "09:00", "endTime": "17:00"}, made["availability"][0]]
    assert line.request("GET", path, line.people.admin_key).json()["data"] == made | {"availability": hours}
    assert line.patch(path, {"name": "Mornings"}).json()["data"] == made | {"availability": hours, "name": "Mornings"}
    assert line.sql("SELECT version FROM schedules WHERE id = %s", made["id"]) == [(2,)]
    line.balance()


# ---- databases of the files that the present ones replaced

FORMER = sorted((Path(__file__).parent / "former").glob("*.sql"))
KEPT = {
    "schedules": "SELECT id, name, version, owner_id, org_id, availability::text FROM schedules ORDER BY id",
    "default_schedules": "SELECT * FROM default_schedules ORDER BY 1",
    "memberships": "SELECT org_id, user_id, role::text FROM memberships ORDER BY 1, 2",
    "api_key_limits": "SELECT * FROM api_key_limits",
    "processed_commands": "SELECT id, schedule_id FROM processed_commands",
    "command_offsets": "SELECT * FROM command_offsets",
}


@pytest.mark.parametrize("former", FORMER, ids=lambda path: path.stem)
def test_a_former_database_becomes_as_a_new_one_and_keeps_its_rows(servers: Servers, make_database: MakeDatabase, former: Path) -> None:
    fresh, env = migrate_env(make_database()), migrate_env(make_database())
    load(servers, env["DATABASE_URL"], former)
    query(env["DATABASE_URL"], "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", env["REPLICATION_SLOT"])
    former_names = {table: sql.replace("processed_commands", "settled_commands") for table, sql in KEPT.items()}
    before = {table: query(env["DATABASE_URL"], sql) for table, sql in former_names.items()}
    assert all(before.values())
    assert cli("migrate", **fresh).returncode == 0
    upgraded = cli("migrate", **env)
    assert upgraded.returncode == 0, upgraded.stderr
    assert {table: query(env["DATABASE_URL"], sql) for table, sql in KEPT.items()} == before
    assert dump(servers, env["DATABASE_URL"]) == dump(servers, fresh["DATABASE_URL"])
    rows = "SELECT version, name, checksum FROM schema_migrations"
    assert query(env["DATABASE_URL"], rows) == query(fresh["DATABASE_URL"], rows)
    # A schedule whose user was removed beside its create; automatic ids behind one that was very large.
    assert query(env["DATABASE_URL"], "SELECT type, id FROM removals") == [("user", 77)]
    assert query(env["DATABASE_URL"], "SELECT nextval('users_id_seq')") == [(3,)]
    again = cli("migrate", **env)
    assert (again.returncode, again.stdout.count("\n")) == (0, 1)


@pytest.mark.parametrize(("statement", "fixture"), [
    ("DELETE FROM schema_migrations WHERE version > 9", "from_0010"),
    ("UPDATE schema_migrations SET checksum = '' WHERE version = 3", "from_last")])
def test_a_former_database_that_is_too_old_or_changed_is_refused(servers: Servers, make_database: MakeDatabase, statement: str,
                                                                fixture: str) -> None:
    env = migrate_env(make_database())
    load(servers, env["DATABASE_URL"], FORMER[0].with_stem(fixture))
    query(env["DATABASE_URL"], statement)
    refused = cli("migrate", **env)
    assert (refused.returncode, "older than what this build can upgrade, or its former files were changed" in refused.stderr) == (1, True)
    assert query(env["DATABASE_URL"], "SELECT count(*) > 5 FROM schema_migrations") == [(True,)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_migrate_refuses_a_database_that_is_not_utf8(servers: Servers, encoding: str) -> None:
    name = f"encoding-{uuid.uuid4().hex[:8]}"
    url = servers.postgres.create_database(name, f"encoding '{encoding}' locale 'C' template template0")
    refused = cli("migrate", **migrate_env(url))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"the encoding of database {name} is {encoding} and has to be UTF8" in refused.stderr
    assert query(url, "SELECT to_regclass('schema_migrations')") == [(None,)]
