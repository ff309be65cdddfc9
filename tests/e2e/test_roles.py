"""The roles of the database: with what each has the service and its commands work, and no more."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extras import LogicalReplicationConnection

import ledger
from conftest import running
from ledger import query
from hooks import Hooks
from line import BINARY, MINIMAL, Line, Servers, until
from wire import JSON_HEADERS
from servers import Postgres, ServerError, admin, run

GROUPS = ("schedule_service", "schedule_relay", "schedule_webhooks", "schedule_admin")


@dataclass(frozen=True)
class Logins:
    """Logins of these roles; `nobody` is in none."""

    service: str
    relay: str
    webhooks: str
    admin: str
    nobody: str


@pytest.fixture(scope="module")
def logins(servers: Servers) -> Iterator[Logins]:
    """Made as docs/operations.md says."""
    suffix = uuid.uuid4().hex[:8]
    names = Logins(*(f"{name}_{suffix}" for name in ("service", "relay", "webhooks", "admin", "nobody")))
    psql = servers.postgres.psql
    psql(f"CREATE ROLE {names.service} LOGIN IN ROLE schedule_service")
    psql(f"CREATE ROLE {names.relay} LOGIN REPLICATION IN ROLE schedule_relay")
    psql(f"CREATE ROLE {names.webhooks} LOGIN IN ROLE schedule_webhooks")
    psql(f"CREATE ROLE {names.admin} LOGIN IN ROLE schedule_admin")
    psql(f"CREATE ROLE {names.nobody} LOGIN")
    yield names
    psql(f"DROP ROLE {names.service}, {names.relay}, {names.webhooks}, {names.admin}, {names.nobody}")


def url_of(line: Line, login: str) -> str:
    return line.database_url.replace("postgres@", f"{login}@")


@pytest.fixture(scope="module")
def line(servers: Servers, logins: Logins) -> Iterator[Line]:
    """A line whose service has no more than its roles, and whose commands are those of schedule_admin."""
    one = Line(servers)
    one.env |= {"DATABASE_URL": url_of(one, logins.service), "RELAY_DATABASE_URL": url_of(one, logins.relay)}
    with running(one, audited=False):
        one.env["DATABASE_URL"] = url_of(one, logins.admin)
        yield one


# ---- what they can

def tell(line: Line, entry: dict[str, object]) -> None:
    """Produces an entry to the directory's topic."""
    producer = ledger.producer(line.servers.kafka.bootstrap)
    headers = [(name, text.encode()) for name, text in JSON_HEADERS.items()]
    producer.send(line.env["DIRECTORY_TOPIC"], key=f"user/{entry['id']}".encode(), value=json.dumps(entry).encode(),
                  headers=headers).get(30)
    producer.close(timeout=5)


def test_commands_requests_and_directory_entries_are_served(line: Line) -> None:
    sent = line.command(isDefault=True)
    line.send(sent)
    line.send(b"\xff", expect="dead")
    line.send(line.command(timeZone="Nowhere"), expect="rejected")
    line.event_of(sent["commandId"])
    made = line.post(MINIMAL, headers={"Idempotency-Key": "roles"})
    assert made.status_code == 201
    again = line.request("POST", line.schedules_path(), line.people.admin_key, json=MINIMAL,
                         headers={"Idempotency-Key": "roles"})
    assert (again.status_code, again.json()["data"]["id"]) == (201, made.json()["data"]["id"])
    path = f"{line.schedules_path()}/{made.json()['data']['id']}"
    for method, body in (("GET", None), ("PATCH", {"name": "Changed"}), ("DELETE", None)):
        assert line.request(method, path, line.people.admin_key, json=body).status_code == 200
    for path in (f"/v2/organizations/{line.people.org}/schedules", "/v2/schedules", "/v2/schedules/default"):
        assert line.request("GET", path, line.people.admin_key).status_code == 200
    user = line.sql("SELECT max(id) + 1000 FROM users")[0][0]
    tell(line, {"type": "user", "id": user, "name": "Told", "timeZone": "UTC"})
    until(lambda: line.sql("SELECT 1 FROM schedules WHERE owner_id = %s", user) == [(1,)], "the user has a schedule")
    told = line.sql("SELECT id FROM schedules WHERE owner_id = %s", user)[0][0]
    assert line.event_of_schedule(told).headers["ce_type"] == b"schedules.v1.ScheduleCreated"


def test_a_sender_of_webhooks_does_all_that_it_has_to(line: Line, logins: Logins) -> None:
    hooks = Hooks(line)
    receiver = hooks.receive(lambda number, got: 410 if got.path == "/gone" else 500 if got.path == "/again" and number == 0 else 200)
    sender = hooks.send(DATABASE_URL=url_of(line, logins.webhooks))
    fine, gone = hooks.endpoint(receiver.url("/fine"), org=line.people.org), hooks.endpoint(receiver.url("/gone"))
    user = line.make_owners(1)[0]
    removed = hooks.endpoint(receiver.url("/again"), user=user)
    personal = line.post(MINIMAL, key=line.people.member_key, path="/v2/schedules").json()["data"]["id"]
    made = line.post(MINIMAL, user=user).json()["data"]["id"]
    receiver.wait_for({f"{personal}.1", f"{made}.1"}, "/fine")
    receiver.wait_for({f"{made}.1"}, "/again")  # after 5 s
    until(lambda: line.sql("SELECT disabled_reason FROM webhooks WHERE id = %s", gone) == [("gone",)], "it is disabled")
    hooks.wait_job(hooks.job(fine, "ping"), "done")
    assert hooks.wait_job(hooks.job(fine, "replay", from_event=f"{personal}.1"), "done")[1:] == (0, None)
    line.admin("user", "remove", "--id", str(user))
    until(lambda: not line.sql("SELECT 1 FROM webhooks WHERE id = %s", removed), "it is deleted", 60)
    line.stop(sender)
    assert "a statement failed" not in sender.log_path.read_text()
    line.sql("DELETE FROM webhooks RETURNING 1")
    hooks.close()


def test_every_command_of_the_directory_works(line: Line) -> None:
    org = line.admin("org", "add", "--name", "Roles")["id"]
    user = line.admin("user", "add", "--name", "Ada", "--time-zone", "Europe/Rome")["id"]
    line.admin("member", "add", "--org", org, "--user", user, "--role", "owner")
    team = line.admin("team", "add", "--org", org, "--name", "Sales")["id"]
    line.admin("team-member", "add", "--team", team, "--user", user, "--role", "admin")
    key = line.admin("apikey", "create", "--user", user)
    line.admin("apikey", "limit", "--id", key["id"], "--name", "a", "--requests", "9", "--window", "1", "--block", "1")
    client = line.admin("oauth-client", "create", "--org", org, "--permissions", "read,write")
    line.cli("system-admin", "add", "--user", user)

    def as_client() -> int:
        headers = {"x-cal-client-id": client["id"], "x-cal-secret-key": client["secret"]}
        return line.request("GET", f"/v2/organizations/{org}/teams/{team}/schedules", headers=headers).status_code

    assert (as_client(), line.request("GET", "/v2/schedules", key["key"]).status_code) == (200, 200)
    for listing in (("org", "list"), ("user", "list"), ("member", "list", "--org", org), ("team", "list", "--org", org),
                    ("team-member", "list", "--team", team), ("apikey", "list"), ("apikey", "limits", "--id", key["id"]),
                    ("oauth-client", "list"), ("system-admin", "list"), ("offsets", "show")):
        assert line.cli(*listing), listing
    line.cli("system-admin", "remove", "--user", user)
    line.cli("oauth-client", "delete", "--id", client["id"])
    line.cli("apikey", "unlimit", "--id", key["id"], "--name", "a")
    line.cli("apikey", "revoke", "--id", key["id"])
    line.cli("team-member", "remove", "--team", team, "--user", user)
    line.cli("team", "remove", "--id", team)
    line.cli("member", "remove", "--org", org, "--user", user)
    run(str(BINARY), "import", env=line.env, stdin=json.dumps({"type": "user", "id": int(user), "remove": True}))
    line.cli("org", "remove", "--id", org)
    line.cli("offsets", "reset", "--topic", line.env["DIRECTORY_TOPIC"], "--partition", "0", "--to", "earliest")
    assert as_client() == 401


def test_webhooks_are_listed_switched_and_replayed(line: Line) -> None:
    made = Hooks(line).endpoint("https://example.com/roles", org=line.people.org)
    assert f"id={made} " in line.cli("webhook", "list")
    assert "active=yes" in line.cli("webhook", "show", "--id", made)
    assert line.cli("webhook", "disable", "--id", made) == f"id={made} active=no\n"
    assert line.cli("webhook", "enable", "--id", made, "--from-now") == f"id={made} active=yes\n"
    assert " verdict=stored" in line.cli("webhook", "replay", "--id", made, "--from", "17.3")
    line.sql("DELETE FROM webhooks WHERE id = %s RETURNING 1", made)


def test_what_was_lost_is_rebuilt_with_the_services_own_logins(line: Line, logins: Logins) -> None:
    """As docs/operations.md says: with the environment of `serve`."""
    env = line.env | {"DATABASE_URL": url_of(line, logins.service)}
    assert run(str(BINARY), "webhook", "reseal", env=env | {"WEBHOOK_SECRET_KEY": "0f" * 32}) == "resealed=0 failed=0\n"
    query(env["DATABASE_URL"], "SELECT reseal_webhooks('{}', '{}', '{}', '{}')")
    made = line.post(MINIMAL).json()["data"]["id"]
    removed = line.post(MINIMAL).json()["data"]["id"]
    assert line.delete(f"{line.schedules_path()}/{removed}").status_code == 200
    line.event_of_schedule(made)
    assert run(str(BINARY), "rebuild", "--schedule", str(made), env=env) == f"schedule={made}\n"
    assert run(str(BINARY), "rebuild", "--schedule", str(removed), env=env) == f"schedule={removed}\n"

    def drop_slot() -> bool:
        line.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", line.place.slot)
        try:
            line.sql("SELECT pg_drop_replication_slot(%s)", line.place.slot)
        except psycopg2.errors.ObjectInUse:
            return False
        return True

    until(drop_slot, "the slot is dropped")
    line.wait_readiness((503, "the replication slot is missing or lost; run schedule-service rebuild"))
    printed = run(str(BINARY), "rebuild", env=env)
    assert f"made replication slot {line.place.slot}" in printed and "deletions=" in printed
    line.wait_readiness((200, None))
    with pytest.raises(ServerError, match="permission denied"):
        line.cli("rebuild")  # those of schedule_admin may not


def test_what_needs_no_database_and_what_the_owner_does_is_done_by_no_other(line: Line) -> None:
    assert line.cli("topics").count("found topic") == 5
    assert "DATABASE_URL=***" in line.cli("check-config")
    with pytest.raises(ServerError, match="permission denied"):
        line.cli("migrate")
    for command in (("offsets", "show"), ("offsets", "reset", "--partition", "0", "--to", "latest")):
        line.cli(*command)
    with pytest.raises(ServerError) as skipped:
        line.cli("offsets", "skip", "--partition", "0")
    assert "permission denied" not in str(skipped.value)


def test_no_command_is_left_out() -> None:
    """But for `serve`, which all here use, and those without a database."""
    tried = Path(__file__).read_text()
    named = [row[2:23].split() for row in run(str(BINARY), "--help").split("Commands:\n")[1].splitlines()]
    left = [" ".join(words) for words in named if ", ".join(f'"{word}"' for word in words) not in tried]
    assert sorted(left) == "hours serve version".split()


# ---- what they cannot

WRITE = "SELECT write_batch('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}'," \
        "now(),'1 s')"
APPLY = """SELECT apply_directory('{"type":"organization","id":1,"name":"Mine"}', now())"""
CREATE = ["CREATE TABLE mine ()", "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
          "ALTER FUNCTION apply_directory SECURITY INVOKER", "DROP TABLE schedules", "TRUNCATE schedules",
          "INSERT INTO schema_migrations VALUES (99, 'mine', '')", "UPDATE schema_migrations SET checksum = ''",
          "CREATE OR REPLACE VIEW role_grants AS SELECT 1", "UPDATE schema_functions SET checksum = ''", "SELECT grant_roles()",
          "CREATE PUBLICATION mine FOR TABLE schedules", "DROP PUBLICATION schedule_service"]
TABLES = ["organizations", "users", "memberships", "teams", "team_memberships", "api_keys", "api_key_limits", "oauth_clients",
          "schedules", "default_schedules", "command_offsets", "processed_commands", "schema_migrations", "schema_functions", "role_grants",
          "schedule_hours"]
WEBHOOKS = ["webhooks", "webhook_changes", "webhook_deletions", "webhook_offsets", "webhook_cursors", "webhook_states", "webhook_deliveries",
            "webhook_jobs", "webhook_job_positions"]
ENDPOINTS = ["SELECT create_webhook(NULL, 0, NULL, NULL, 'x', '{}', true, NULL, 'cal', 9)", "SELECT delete_webhook(NULL, NULL)",
             "SELECT delete_client_webhooks('x')", "SELECT reseal_webhooks('{}', '{}', '{}', '{}')", "UPDATE webhooks SET active = true", "DELETE FROM webhooks",
             "INSERT INTO webhooks SELECT * FROM webhooks"]
SENDERS = ["SELECT disable_webhook(NULL, 'gone', '')", "SELECT delete_removed_webhook(NULL)", "SELECT mark_removed_webhooks()"]
POSITION = ["SELECT accept_position('x', 1, 1)", "SELECT refuse_position('x', 'y')"]
REBUILD = ["SELECT emit_schedules(0, 0, 1)", "SELECT emit_deletions(NULL, 1)", "SELECT emit_last_event(1)", "SELECT move_schedule_ids(1)"]
SLOT = "SELECT begin_slot_generation('x')"
REFUSED = {
    "service": [*CREATE, APPLY, SLOT, "SELECT name FROM users", "SELECT note FROM api_keys", "SELECT name FROM oauth_clients",
                "SELECT FROM processed_commands", "SELECT checksum FROM schema_migrations", "SELECT FROM role_grants",
                "SELECT setval('schedule_id_blocks', 1)", "UPDATE schedules SET name = 'x'", "DELETE FROM schedules",
                "INSERT INTO schedules SELECT * FROM schedules", "UPDATE command_offsets SET next_offset = 0",
                "UPDATE users SET is_system_admin = true", "INSERT INTO api_keys (user_id, key_hash) VALUES (1, '')",
                "UPDATE oauth_clients SET permissions = 48", "INSERT INTO memberships VALUES (1, 1, 'OWNER')",
                "UPDATE api_key_limits SET requests = 1", "DELETE FROM default_schedules", "SELECT FROM relay_positions", *POSITION,
                *ENDPOINTS[4:], *SENDERS, "SELECT event FROM webhook_deliveries", "DELETE FROM webhook_deliveries",
                "UPDATE webhook_offsets SET next_offset = 0", "UPDATE webhook_jobs SET state = 'done'"],
    "relay": [*CREATE, APPLY, WRITE, *REBUILD, *(f"SELECT FROM {table}" for table in TABLES + WEBHOOKS), "UPDATE relay_positions SET refusal = NULL",
              *ENDPOINTS, *SENDERS],
    "webhooks": [*CREATE, APPLY, WRITE, *(f"SELECT FROM {table}" for table in TABLES if not table.startswith("schema_")),
                 "SELECT FROM relay_positions", *POSITION, *ENDPOINTS, "DELETE FROM webhook_jobs",
                 "SELECT update_webhook(NULL, NULL, NULL, NULL, true, false, NULL, NULL, false)"],
    "admin": [*CREATE, WRITE, SLOT, *REBUILD, "SELECT key_hash FROM api_keys", "SELECT secret_hash FROM oauth_clients", "SELECT FROM schedules",
              "SELECT FROM default_schedules", "SELECT FROM processed_commands", "UPDATE users SET name = 'x'",
              "UPDATE api_keys SET expires_at = NULL", "INSERT INTO memberships VALUES (1, 1, 'OWNER')",
              "DELETE FROM users", "DELETE FROM api_keys", "DELETE FROM command_offsets", "SELECT FROM relay_positions", *POSITION,
              "SELECT secret FROM webhooks", "SELECT event FROM webhook_deliveries", *ENDPOINTS, *SENDERS],
    "nobody": [*CREATE, APPLY, WRITE, SLOT, *REBUILD, *(f"SELECT FROM {table}" for table in TABLES + WEBHOOKS), "SELECT FROM relay_positions", *POSITION,
               *ENDPOINTS, *SENDERS, "SELECT position_state('x')"],
}


@pytest.mark.parametrize("role", REFUSED)
def test_what_a_role_does_not_need_is_refused(line: Line, logins: Logins, role: str) -> None:
    for statement in REFUSED[role]:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(url_of(line, getattr(logins, role)), statement)


def test_the_statements_that_are_refused_are_right(line: Line) -> None:
    """The owner may run those that read or call: what refused the others was their privileges."""
    for statement in (WRITE, *(f"SELECT FROM {table}" for table in TABLES + WEBHOOKS), *ENDPOINTS, *SENDERS, "SELECT key_hash FROM api_keys",
                      "SELECT secret_hash FROM oauth_clients", "SELECT name FROM users", "SELECT checksum FROM schema_migrations"):
        line.sql(statement)


def test_functions_with_their_owners_privileges_keep_to_their_schema(line: Line) -> None:
    sealed = line.sql("SELECT proname::text, array_to_string(proconfig, ';') FROM pg_proc WHERE prosecdef ORDER BY 1")
    assert [name for name, _ in sealed] == [
        "accept_position", "apply_directory", "apply_entries", "begin_slot_generation", "begin_webhook_offsets",
        "create_webhook", "create_webhook_job", "delete_client_webhooks", "delete_removed_webhook", "delete_webhook",
        "disable_webhook", "emit_deletions", "emit_last_event", "emit_schedules", "end_client_webhooks",
        "heal_published", "lose_webhook_events", "mark_removed_webhooks", "move_schedule_ids", "move_webhook_offsets",
        "note_published", "position_state", "refuse_position", "replace_webhook_logs", "reseal_webhooks", "run_removals", "schedules_left_to_remove", "store_webhook_cursors",
        "store_webhook_deliveries", "store_webhook_retries", "store_webhook_states", "sweep_processed_commands",
        "sweep_removed_webhooks", "sweep_webhooks", "update_webhook", "webhook_lock", "webhook_memberships", "write_batch"]
    assert all("search_path=public, pg_temp" in config for _, config in sealed)


def test_replication_does_not_come_with_a_role(line: Line, logins: Logins) -> None:
    url = url_of(line, logins.nobody)
    line.sql(f"GRANT schedule_relay TO {logins.nobody}")
    try:
        with pytest.raises(psycopg2.OperationalError, match="(?i)replication"):
            psycopg2.connect(url, connection_factory=LogicalReplicationConnection)
    finally:
        line.sql(f"REVOKE schedule_relay FROM {logins.nobody}")


# ---- who may not make roles

class Owned:
    """A database whose owner may make no roles."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres, self.name = postgres, f"owned_{uuid.uuid4().hex[:8]}"
        postgres.psql(f"CREATE ROLE {self.name} LOGIN REPLICATION")
        postgres.psql(f"CREATE DATABASE {self.name} OWNER {self.name}")
        self.env = {"DATABASE_URL": postgres.dsn(self.name).replace("postgres@", f"{self.name}@"), "REPLICATION_SLOT": self.name}

    def migrate(self) -> str:
        """What it warns of, as regards the database."""
        done = subprocess.run([str(BINARY), "migrate"], env=self.env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return "".join(line for line in done.stderr.splitlines(True) if "synchronized_standby_slots" not in line)  # that is the server's

    def close(self) -> None:
        self.postgres.psql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{self.name}'")
        self.postgres.psql(f"DROP DATABASE {self.name} WITH (FORCE)")
        self.postgres.psql(f"DROP ROLE {self.name}")


@pytest.fixture
def owned(servers: Servers) -> Iterator[Owned]:
    one = Owned(servers.postgres)
    yield one
    one.close()


def can_read(owned: Owned, role: str) -> bool:
    return owned.postgres.psql(f"SELECT has_table_privilege('{role}', 'schedules', 'SELECT')", owned.name) == "t\n"


def test_roles_of_another_database_are_used(owned: Owned) -> None:
    assert owned.migrate() == ""
    assert can_read(owned, "schedule_service")
    assert not can_read(owned, "schedule_relay")


def test_without_the_roles_and_the_right_to_make_them_it_goes_on(owned: Owned) -> None:
    psql = owned.postgres.psql
    for group in GROUPS:
        psql(f"ALTER ROLE {group} RENAME TO parked_{group}")
    try:
        warned = owned.migrate()
    finally:
        for group in GROUPS:
            psql(f"ALTER ROLE parked_{group} RENAME TO {group}")
    assert all(f"let an administrator CREATE ROLE {group}" in warned for group in GROUPS), warned
    assert admin(BINARY, owned.env, "org", "add", "--name", "Here")["id"]
    assert not can_read(owned, "schedule_service")
    assert owned.migrate() == ""
    assert can_read(owned, "schedule_service")
