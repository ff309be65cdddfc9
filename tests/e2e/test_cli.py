"""The subcommands, the configuration and the log."""

import hashlib
import json
import re
import shlex
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from conftest import MakeLine
from ledger import query
from line import BINARY, EXAMPLE, MINIMAL, Line, Servers
from proxy import CREATE_TOPICS, Link, Proxy, Swallow
from servers import Kafka, ServerError, free_port

NOWHERE = "postgresql://127.0.0.1:1/x"


def cli(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a subcommand with `env` as its whole environment."""
    return subprocess.run([str(BINARY), *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)


# ---- topics

def test_topics_are_made_once_and_checked(make_line: MakeLine) -> None:
    line = make_line()
    again = line.cli("topics")
    assert again.count("found topic") == 5
    del line.env["DIRECTORY_TOPIC"]
    assert "found topic schedules.directory.v1" in line.cli("topics") + line.cli("topics")
    line.env["DIRECTORY_TOPIC"] = ""
    assert line.cli("topics").count("found topic") == 4
    admin = KafkaAdminClient(bootstrap_servers=line.servers.kafka.bootstrap)
    try:
        wrong = f"{line.place.commands}.not-compacted"
        admin.create_topics([NewTopic(wrong, 1, 1)])
    finally:
        admin.close()
    right = line.env | {"DIRECTORY_TOPIC": ""}
    for name in ("PROGRESS_TOPIC", "DIRECTORY_TOPIC"):
        line.env = right | {name: wrong}
        with pytest.raises(ServerError, match="cleanup.policy=compact"):
            line.cli("topics")


def test_topics_are_made_as_asked_and_single_copies_are_warned_of(make_line: MakeLine) -> None:
    line = make_line()
    names = {name: f"{line.env[name]}.new" for name in ("COMMANDS_TOPIC", "EVENTS_TOPIC", "DEAD_LETTER_TOPIC", "PROGRESS_TOPIC",
                                                        "DIRECTORY_TOPIC")}

    def topics(*arguments: str) -> subprocess.CompletedProcess[str]:
        return cli("topics", *arguments, **line.env | names)

    refused = topics("--replication-factor", "2")
    assert refused.returncode == 1 and "replication factor" in refused.stderr.lower(), refused.stderr  # there is one broker
    made = topics("--replication-factor", "1", "--min-insync-replicas", "2", "--partitions", "3")
    assert (made.returncode, made.stdout.count("made topic")) == (0, 5), made.stderr
    assert made.stderr.splitlines() == [
        f"schedule-service: warning: topic {name} has 1 replica: its records are lost with that broker" for name in names.values()]
    admin = KafkaAdminClient(bootstrap_servers=line.servers.kafka.bootstrap)
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, names["EVENTS_TOPIC"])
        assert re.search(r"min\.insync\.replicas'[^\d]*'2'", str(admin.describe_configs([resource])))
    finally:
        admin.close()
    assert {name: len(line.topic(topic).ends()) for name, topic in names.items()} == dict.fromkeys(names, 3) | {"PROGRESS_TOPIC": 1}
    assert topics().stderr.count("has 1 replica") == 5
    assert cli("topics", "--min-insync-replicas", "0", DATABASE_URL=NOWHERE).returncode == 2


class JustBack:
    """A broker whose first answer names no controller, and which loses the first request for topics. Clients stay with the proxy."""

    def __init__(self, kafka: Kafka, proxy_port: int) -> None:
        address, self.named = b"127.0.0.1", kafka.cluster.encode() + struct.pack(">i", 1)
        self.unnamed = kafka.cluster.encode() + struct.pack(">i", -1)
        self.direct, self.proxied = (address + struct.pack(">i", port) for port in (kafka.port, proxy_port))
        self.swallow = Swallow(CREATE_TOPICS, is_once=True)
        self.is_unknown = False

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        if is_request:
            yield from self.swallow(link, is_request, data)
            return
        data = data.replace(self.direct, self.proxied)
        if not self.is_unknown and self.named in data:
            self.is_unknown = True
            data = data.replace(self.named, self.unnamed)
        yield data


def test_topics_are_asked_for_again_when_a_broker_that_is_just_back_does_not_answer(make_line: MakeLine) -> None:
    line = make_line()
    kafka = line.servers.kafka
    with closing(Proxy(free_port(), kafka.port)) as proxy:
        proxy.weather = broker = JustBack(kafka, proxy.port)
        line.env |= {"KAFKA_BROKERS": f"127.0.0.1:{proxy.port}", "EVENTS_TOPIC": f"{line.place.events}.late"}
        said = line.cli("topics")
    assert broker.is_unknown and broker.swallow.done.is_set()
    assert (said.count("made topic"), said.count("found topic")) == (1, 4)


# ---- API keys and the directory

def test_keys_are_shown_once_and_never_stored(make_line: MakeLine) -> None:
    line = make_line()
    made = line.admin("apikey", "create", "--user", str(line.people.admin), "--note", "ci job", "--days", "7")
    assert re.fullmatch(r"cal_[0-9a-f]{64}", made["key"])
    listed = line.cli("apikey", "list")
    assert "ci job" in listed
    secret = made["key"].removeprefix("cal_")
    dump = line.sql("SELECT string_agg(k::text, ' ') FROM api_keys k")[0][0]
    hashes = [row[0] for row in line.sql("SELECT encode(key_hash, 'hex') FROM api_keys")]
    assert all(text not in listed for text in [secret, *hashes])
    assert secret not in dump
    revoked = line.admin("apikey", "revoke", "--id", made["id"])
    assert revoked["id"] == made["id"]
    with pytest.raises(ServerError, match="no API key"):
        line.cli("apikey", "revoke", "--id", "999999")


@pytest.mark.parametrize("arguments", [
    ["org", "add"], ["org", "add", "--name", ""], ["user", "add", "--name", "x", "--id", "0"],
    ["user", "add", "--name", "a\nb"], ["member", "add", "--org", "1", "--user", "1", "--role", "king"],
    ["apikey", "create"], ["apikey", "create", "--user", "x"], ["apikey", "create", "--user", "999999"],
    ["member", "add", "--org", "999999", "--user", "1", "--role", "owner"], ["apikey", "steal"],
    ["user", "add", "--age", "5"], ["oauth-client", "create"], ["oauth-client", "create", "--org", "999999"],
    ["oauth-client", "create", "--org", "1", "--permissions", "all"], ["system-admin", "add", "--user", "999999"],
    ["apikey", "limit", "--id", "1", "--name", "9", "--requests", "1", "--window", "1", "--block", "1"],
    ["apikey", "limit", "--id", "1", "--name", "a", "--requests", "0", "--window", "1", "--block", "1"],
    ["apikey", "limit", "--id", "1", "--name", "a", "--requests", "1", "--window", "31536001", "--block", "1"],
    ["apikey", "limit", "--id", "999999", "--name", "a", "--requests", "1", "--window", "1", "--block", "1"]])
def test_senseless_admin_commands_are_refused(make_line: MakeLine, arguments: list[str]) -> None:
    line = make_line()
    tables = ("users", "api_keys", "memberships", "oauth_clients", "api_key_limits")
    count = f"SELECT {', '.join(f'(SELECT count(*) FROM {table})' for table in tables)}"
    before = line.sql(count)
    with pytest.raises(ServerError):
        line.cli(*arguments)
    assert line.sql(count) == before


def test_client_secrets_are_shown_once_and_never_stored(make_line: MakeLine) -> None:
    line = make_line()
    org = str(line.people.org)
    made = line.admin("oauth-client", "create", "--org", org, "--permissions", "read,write", "--name", "the web")
    assert re.fullmatch(r"[0-9a-f]{64}", made["secret"])
    line.admin("oauth-client", "create", "--org", str(line.people.other_org))
    listed = line.cli("oauth-client", "list", "--org", org)
    assert listed == f"id={made['id']} org={org} name='the web' permissions=read,write\n"
    assert line.cli("oauth-client", "list").count("\n") == 2
    hashes = line.sql("SELECT secret_hash FROM oauth_clients WHERE id = %s", made["id"])
    assert bytes(hashes[0][0]) == hashlib.sha256(made["secret"].encode()).digest()
    assert line.admin("oauth-client", "delete", "--id", made["id"])["id"] == made["id"]
    with pytest.raises(ServerError, match="no OAuth client"):
        line.cli("oauth-client", "delete", "--id", made["id"])


def test_limits_of_a_key_are_set_changed_and_removed(make_line: MakeLine) -> None:
    line = make_line()
    key = line.admin("apikey", "create", "--user", str(line.people.admin))["id"]

    def limit(name: str, requests: int) -> str:
        return line.cli("apikey", "limit", "--id", key, "--name", name, "--requests", str(requests), "--window", "60",
                        "--block", "30")

    assert limit("short", 5) == f"id={key} name=short requests=5 window=60 block=30\n"
    for name in ("day", "hour", "minute", "short"):
        limit(name, 7)
    assert line.cli("apikey", "limits", "--id", key).count("requests=7") == 4
    with pytest.raises(ServerError, match="at most 4"):
        limit("fifth", 1)
    line.cli("apikey", "unlimit", "--id", key, "--name", "day")
    with pytest.raises(ServerError, match="no limit"):
        line.cli("apikey", "unlimit", "--id", key, "--name", "day")
    assert line.cli("apikey", "limits").count("\n") == 3


def test_system_administrators_are_listed(make_line: MakeLine) -> None:
    line = make_line()
    user = str(line.people.stranger)
    line.cli("system-admin", "add", "--user", user)
    assert line.cli("system-admin", "list") == f"user={user} name=Stranger\n"
    line.cli("system-admin", "remove", "--user", user)
    assert line.cli("system-admin", "list") == ""
    with pytest.raises(ServerError, match="no system administrator"):
        line.cli("system-admin", "remove", "--user", user)


def test_ids_may_be_given_and_later_ones_come_behind(make_line: MakeLine) -> None:
    line = make_line()
    assert line.admin("user", "add", "--name", "x", "--id", "70000")["id"] == "70000"
    assert int(line.admin("user", "add", "--name", "y")["id"]) > 70000
    with pytest.raises(ServerError):
        line.cli("user", "add", "--name", "z", "--id", "70000")


# ---- configuration

def test_check_config_hides_secrets(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:from-file@h/d\n")
    password = tmp_path / "password"
    password.write_text("kafka-secret\n")
    shown = cli("check-config", DATABASE_URL_FILE=str(secret), RELAY_DATABASE_URL="postgresql://u:other-secret@h/d",
                RDKAFKA_SASL_PASSWORD_FILE=str(password), RDKAFKA_SSL_KEY_PASSWORD="third-secret", HTTP_LISTEN="127.0.0.1:1")
    assert shown.returncode == 0, shown.stderr
    for secret_word in ("from-file", "other-secret", "kafka-secret", "third-secret"):
        assert secret_word not in shown.stdout + shown.stderr
    lines = shown.stdout.splitlines()
    assert "DATABASE_URL=***" in lines and "RELAY_DATABASE_URL=***" in lines and "RDKAFKA_sasl.password=***" in lines
    assert "HTTP_LISTEN=127.0.0.1:1" in lines
    assert "WEBHOOK_SECRET_KEY=" in lines, "one that is not set is seen to be empty"


FIXED = [
    "PARTITIONER", "ISOLATION_LEVEL", "ENABLE_IDEMPOTENCE", "ACKS", "REQUEST_REQUIRED_ACKS", "ENABLE_AUTO_COMMIT",
    "AUTO_COMMIT_ENABLE", "ENABLE_AUTO_OFFSET_STORE", "AUTO_OFFSET_RESET", "TRANSACTION_TIMEOUT_MS", "MESSAGE_TIMEOUT_MS",
    "DELIVERY_TIMEOUT_MS", "MAX_IN_FLIGHT", "RETRIES", "PARTITION_ASSIGNMENT_STRATEGY", "QUEUED_MAX_MESSAGES_KBYTES",
    "MESSAGE_MAX_BYTES", "TEST_MOCK_NUM_BROKERS"]


@pytest.mark.parametrize(("name", "reason"), [
    *((name, "may not be set: ") for name in FIXED),
    ("TRANSACTIONAL_ID", "may not be set: is set by TRANSACTIONAL_ID"), ("GROUP_ID", "may not be set: is set by CONSUMER_GROUP"),
    ("BOOTSTRAP_SERVERS", "may not be set: is set by KAFKA_BROKERS")])
@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_property_that_the_guarantees_rest_on_is_refused_at_start(command: str, name: str, reason: str) -> None:
    answer = cli(command, DATABASE_URL="postgresql://h/d", **{f"RDKAFKA_{name}": "1"})
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"RDKAFKA_{name}: {reason}" in answer.stderr


def test_a_secret_from_a_file_is_used(servers: Servers, tmp_path: Path) -> None:
    twin = tmp_path / "url"
    twin.write_text(servers.postgres.dsn(servers.template) + "\n")
    listed = cli("apikey", "list", DATABASE_URL_FILE=str(twin))
    assert (listed.returncode, "user=" in listed.stdout) == (0, True), listed.stderr


def test_every_fault_of_a_wrong_configuration_is_told_at_once() -> None:
    told = cli("serve", EVENT_FORMAT="xml", RELAY="maybe", ROLES="http,api", WAL_BUDGET="-1", HTTP_MAX_CONNECTIONS="many", LOG_LEVEL="loud",
               KAFKA_BROKERS="x", KAFKA_BROKERS_FILE="/nowhere", EVENTS_TOPIC_FILE="/nowhere")
    assert (told.returncode, told.stdout) == (2, "")
    for name in ("DATABASE_URL", "EVENT_FORMAT", "RELAY", "ROLES", "WAL_BUDGET", "HTTP_MAX_CONNECTIONS", "LOG_LEVEL", "KAFKA_BROKERS",
                 "EVENTS_TOPIC_FILE"):
        assert re.search(rf"^{name}: ", told.stderr, re.MULTILINE), (name, told.stderr)


def test_choices_in_a_row_are_no_choice() -> None:
    told = cli("check-config", DATABASE_URL=NOWHERE, EVENT_FORMAT="protobuf|json", RELAY="on|off")
    assert (told.returncode, told.stdout) == (2, "")
    assert "EVENT_FORMAT: must be one of protobuf|json\nRELAY: must be on or off\n" in told.stderr


def test_a_number_out_of_bounds_is_told_its_bounds() -> None:
    told = cli("check-config", DATABASE_URL=NOWHERE, HTTP_MAX_CONNECTIONS="0")
    assert (told.returncode, "HTTP_MAX_CONNECTIONS: must be a whole number between 1 and 1000000\n" in told.stderr) == (2, True)


@pytest.mark.parametrize(("env", "roles"), [
    ({}, "http,consumer,relay"), ({"ROLES": "relay"}, "relay"), ({"ROLES": "consumer,http"}, "http,consumer"),
    ({"ROLES": "http,http"}, "http"), ({"RELAY": "off"}, "http,consumer"), ({"DOORS": "off"}, "relay"), ({"RELAY": "on"}, "http,consumer,relay"),
    ({"ROLES": "consumer,relay", "RELAY": "off"}, "consumer")])
def test_roles_are_named_or_switched_off_by_former_names(env: dict[str, str], roles: str) -> None:
    shown = cli("check-config", DATABASE_URL=NOWHERE, **env)
    assert (shown.returncode, f"ROLES={roles}" in shown.stdout.splitlines()) == (0, True), shown.stdout + shown.stderr


@pytest.mark.parametrize("roles", ["", ",", "http,", "http consumer", "HTTP", "webhooks"])
def test_unknown_roles_are_refused(roles: str) -> None:
    told = cli("check-config", DATABASE_URL=NOWHERE, ROLES=roles)
    assert (told.returncode, told.stdout) == (2, "")
    assert "ROLES: must be some of http, consumer and relay" in told.stderr


def test_a_variable_that_is_only_prefix_and_suffix_shows_no_value() -> None:
    told = cli("check-config", DATABASE_URL=NOWHERE, RDKAFKA_FILE="/run/secret")
    assert (told.returncode, told.stdout) == (2, "")
    assert "RDKAFKA_file: " in told.stderr
    assert "/run/secret" not in told.stderr


@pytest.mark.parametrize(("name", "value", "what"), [
    *(("HTTP_LISTEN", value, "must be host:port") for value in ("8080", "", "localhost", "127.0.0.1:", "h:65536", "h:http", "a b:1", "[::1:80")),
    *(("KAFKA_BROKERS", value, "must be host:port") for value in ("", ",", "a,,b", "a:0", "a:x", "a:9092,b:99999", "http://a")),
    ("DATABASE_URL", "nonsense", "cannot be read"), ("DATABASE_URL", "", "must not be empty"),
    ("DATABASE_URL", "postgresql://h:70000/d", "a port"), ("DATABASE_URL", "host=h sslmode=full", "sslmode"),
    ("DATABASE_URL", "host=h target_session_attrs=master", "target_session_attrs"), ("RELAY_DATABASE_URL", "nonsense", "cannot be read"),
    ("EVENTS_TOPIC", "a b", "must be 1 to 249"), ("EVENTS_TOPIC", "", "must be 1 to 249"), ("PROGRESS_TOPIC", ".", "must be 1 to 249"),
    ("COMMANDS_TOPIC", "x" * 250, "must be 1 to 249"), ("EVENTS_TOPIC", "schedules.commands.v1", "is the topic of COMMANDS_TOPIC too"),
    ("REPLICATION_SLOT", "Schedule-Service", "must be 1 to 63"), ("CONSUMER_GROUP", "", "must not be empty"),
    ("TRANSACTIONAL_ID", "a\nb", "control characters"), ("CLIENT_ADDRESS_HEADER", "X-Forwarded For", "the name of a header"),
    ("TZDATA", "/nope", "names no time zones"), ("TZDATA", "/dev/null", "names no time zones"), ("RDKAFKA_FOO_BAR", "1", "foo.bar"),
    ("RDKAFKA_SECURITY_PROTOCOL", "tls", "security.protocol"), ("RDKAFKA_STATISTICS_INTERVAL_MS", "often", "statistics.interval.ms"),
    ("WAL_BUDGET", "0", "between 1 and 4611686018427387904")])
def test_a_value_is_checked_without_a_server(name: str, value: str, what: str) -> None:
    told = cli("check-config", **{"DATABASE_URL": NOWHERE, name: value})
    assert (told.returncode, told.stdout) == (2, "")
    assert any(name.removeprefix("RDKAFKA_") in row and what in row for row in told.stderr.splitlines()) or what in told.stderr, told.stderr


def test_a_file_that_kafka_needs_is_looked_for() -> None:
    told = cli("check-config", DATABASE_URL=NOWHERE, RDKAFKA_SECURITY_PROTOCOL="ssl", RDKAFKA_SSL_CA_LOCATION="/nope")
    assert (told.returncode, told.stdout) == (2, "")
    assert "ssl.ca.location" in told.stderr


@pytest.mark.parametrize(("name", "value"), [
    ("HTTP_LISTEN", ":8080"), ("HTTP_LISTEN", "[::]:0"), ("HTTP_LISTEN", "localhost:65535"), ("KAFKA_BROKERS", "a:9092, b:9093,[::1]:1,c"), ("KAFKA_BROKERS", "SASL_SSL://a:9092,ssl://b"),
    ("DATABASE_URL", "host=/run/postgresql dbname='my db' password='a b'"), ("DATABASE_URL", "postgresql:///d?host=@socket"),
    ("DATABASE_URL", "postgresql://u:p%40ss@one:1,two/d?sslmode=verify-full&target_session_attrs=read-write"),
    ("DATABASE_URL", "service=schedules"), ("RELAY_DATABASE_URL", ""), ("DIRECTORY_TOPIC", ""), ("CLIENT_ADDRESS_HEADER", "")])
def test_what_is_right_is_taken(name: str, value: str) -> None:
    shown = cli("check-config", **{"DATABASE_URL": NOWHERE, name: value})
    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize("url", [
    "postgresql://u:abc@SECRET@h/db", "postgresql://u:SEC/RET@h/db", "postgresql://u:SECRET%zz@h/db", "postgresql://u:SECRET",
    "host=h password=my SECRET", "host=h password=my SECRET=1", "host=h password='SECRET", "postgresql://u:12/SECRET@h/db",
    "postgresql://u:p@h/db?SECRET=1", "postgresql://u:p@h:SECRET/db"])
@pytest.mark.parametrize("command", [["check-config"], ["serve"], ["migrate"], ["apikey", "list"]])
def test_a_database_url_that_cannot_be_read_is_not_shown(command: list[str], url: str) -> None:
    told = cli(*command, DATABASE_URL=url)
    assert (told.returncode, told.stdout) == (2, "")
    assert "DATABASE_URL: " in told.stderr
    assert "SEC" not in told.stderr and "RET" not in told.stderr


@pytest.mark.parametrize(("content", "what"), [
    (b"x" * 65536, "larger than 65535 bytes"), (b"dbname=x\0y", "NUL"), (None, "cannot be read")])
def test_a_file_that_cannot_be_a_value_is_refused(tmp_path: Path, content: bytes | None, what: str) -> None:
    twin = tmp_path / "url"
    twin.write_bytes(content) if content is not None else twin.mkdir()
    told = cli("check-config", DATABASE_URL_FILE=str(twin))
    assert (told.returncode, told.stdout) == (2, "")
    assert re.search(rf"^DATABASE_URL_FILE: the file .*{what}", told.stderr, re.MULTILINE), told.stderr


@pytest.mark.parametrize(("name", "meant"), [
    ("LOG_LEVL", "LOG_LEVEL"), ("KAFKA_BROKER", "KAFKA_BROKERS"), ("ROLE", "ROLES"), ("DATABASE_URL_FIEL", "DATABASE_URL_FILE"),
    ("http_listen", None), ("KAFKA_PORT", None), ("KAFKA_SERVICE_HOST", None), ("SCHEDULE_SERVICE_PORT", None), ("RELAY", None), ("HOME", None)])
def test_a_name_that_looks_like_ours_is_warned_of(name: str, meant: str | None) -> None:
    shown = cli("check-config", DATABASE_URL=NOWHERE, **{name: "on"})
    assert shown.returncode == 0, shown.stderr
    warning = f"schedule-service: warning: {name} is not read; did you mean {meant}?\n"
    assert shown.stderr == (warning if meant else "")


def test_a_name_that_is_missing_for_its_typo_is_told_with_it() -> None:
    told = cli("apikey", "list", DATABSE_URL=NOWHERE)
    assert told.returncode == 2
    assert "DATABASE_URL: must be set\n" in told.stderr and "did you mean DATABASE_URL?" in told.stderr


def test_nothing_to_do_is_a_fault() -> None:
    told = cli("check-config", DATABASE_URL=NOWHERE, RELAY="off", DOORS="off")
    assert (told.returncode, "nothing to do" in told.stderr) == (2, True)


UNREACHABLE = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "KAFKA_BROKERS": "127.0.0.1:1"}


@pytest.mark.parametrize(("arguments", "named"), [
    ([], "a command is missing"), (["dance"], "'dance'"), (["--dance"], "'--dance'"), (["apikey"], "a command is missing"),
    (["apikey", "steal"], "'apikey steal'"), (["topics", "--partitions", "0"], "--partitions must be a whole number above zero"),
    (["topics", "--partitions"], "'--partitions'"), (["offsets"], "a command is missing"), (["offsets", "reset"], "--partition is missing"),
    (["offsets", "reset", "--partition", "0"], "--to is missing"), (["offsets", "forget"], "'offsets forget'"),
    (["serve", "now"], "'now'"), (["serve", "--now"], "'--now'"), (["migrate", "--dry-run"], "'--dry-run'"), (["migrate", "all"], "'all'"),
    (["rebuild", "--after", "1"], "--after must be OWNER/ID"), (["rebuild", "--schedule", "0"], "--schedule must be"),
    (["import", "file"], "'file'"), (["check-config", "--tables"], "'--tables'"), (["version", "1"], "'1'"),
    (["user", "add", "--age", "5"], "'--age'"), (["user", "add"], "--name is missing")])
def test_a_wrong_call_is_named_and_runs_nothing(arguments: list[str], named: str) -> None:
    """A command that ran would fail with 1: there is no server."""
    answer = cli(*arguments, **UNREACHABLE)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert named in answer.stderr
    assert "--help" in answer.stderr


@pytest.mark.parametrize("arguments", [
    [], ["serve"], ["migrate"], ["topics"], ["offsets"], ["offsets", "skip"], ["rebuild"], ["import"], ["hours"], ["user"],
    ["user", "remove"], ["apikey", "create"], ["check-config"], ["version"]])
def test_help_and_version_run_nothing(arguments: list[str]) -> None:
    """Without a configuration that would let anything run."""
    for option, start in (("--help", "Usage: schedule-service"), ("-?", "Usage: schedule-service"), ("--version", "schedule-service ")):
        answer = cli(*arguments, option)
        assert (answer.returncode, answer.stderr) == (0, ""), (option, answer.stderr)
        assert answer.stdout.startswith(start)


def test_help_lists_every_command_on_a_line() -> None:
    rows = cli("--help").stdout.split("Commands:\n")[1].splitlines()
    assert all(row.startswith("  ") and len(row) < 80 for row in rows), rows
    words = [row[2:23].strip() for row in rows]
    assert {"serve", "migrate", "offsets skip", "user add", "oauth-client delete", "hours", "version"} <= set(words)
    for command in words:
        assert cli(*command.split(), "--help").returncode == 0


def test_version_names_the_build_and_its_libraries() -> None:
    told = cli("version")
    assert told.returncode == 0
    assert (Path(__file__).parents[2] / "VERSION").read_text().strip() in told.stdout
    for name in ("librdkafka", "libevent", "libpq", "protobuf-c", "jansson", "OpenSSL"):
        assert re.search(rf"^{name} \d", told.stdout, re.MULTILINE), told.stdout
    assert re.search(r"^tzdata 20\d\d[a-z]$", told.stdout, re.MULTILINE), told.stdout


# ---- the log

def logfmt(text: str) -> dict[str, str]:
    """The fields of a logfmt line. Raises ValueError where it is none."""
    fields = {}
    for found in re.finditer(r'([\w.]+)=("(?:[^"\\]|\\.)*"|[^\s"=]*)(?: |$)|(.)', text):
        if found[3] is not None:
            raise ValueError(f"at {found.start()}: {text}")
        fields[found[1]] = json.loads(found[2]) if found[2].startswith('"') else found[2]
    return fields


def make_noise(line: Line) -> None:
    """Everything that is logged, from senders who try to break the lines."""
    odd = 'a"b\\c\nd=e\x01\x7f \u00e9\u2028'
    line.post(EXAMPLE, headers={"traceparent": "x"})
    line.post(EXAMPLE | {"name": odd})
    line.post({}, headers={"X-Request-Id": "mine"})
    line.request("GET", "/v2/%0a%22" + "y" * 300, line.people.revoked_key)
    good = line.command(name=odd)
    line.send(good, as_json=True)
    ids = [odd, odd * 1000, "\u00e9" * 5000, '"' * 5000]
    bad = [line.send(line.command(commandId=one), expect="rejected", as_json=True) for one in ids]
    dead = line.send(b"\xff", expect="dead")
    line.event_of(good["commandId"])
    for sent in bad:
        line.rejection_of(sent)
    line.dead_letter_of(dead)


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_each_event_is_one_line_and_no_line_has_a_secret(make_line: MakeLine, form: str) -> None:
    line = make_line(LOG_FORMAT=form, LOG_LEVEL="debug", RDKAFKA_SASL_PASSWORD="kafka-secret")
    line.env["DATABASE_URL"] = line.database_url.replace("postgres@", "postgres:very-secret@")
    line.start()
    make_noise(line)
    line.stop()
    text = line.replicas[0].log_path.read_bytes().decode("utf-8")  # strictly
    parse = json.loads if form == "json" else logfmt
    entries = [parse(entry) for entry in text.split("\n")[:-1]]  # not splitlines: U+2028 is no end of a line
    assert all(list(entry)[:3] == ["time", "level", "msg"] for entry in entries)
    said = {entry["msg"] for entry in entries}
    assert {"started", "stopping", "stopped", "command rejected", "message is a dead letter", "command done"} <= said
    requests = [entry for entry in entries if entry["msg"] == "http request"]
    assert any(entry["request_id"] == "mine" for entry in requests)
    rejected = next(entry for entry in entries if entry["msg"] == "command rejected")
    assert {"command_id", "partition", "offset"} <= rejected.keys()
    assert {entry["result"] for entry in entries if entry["msg"] == "command done"} == {"created"}
    assert {entry["purpose"] for entry in entries if entry["msg"] == "write connection"} == {"commands", "http", "directory"}
    people = line.people
    for secret in ("very-secret", "kafka-secret", people.admin_key, people.admin_key.removeprefix("cal_"),
                   people.revoked_key.removeprefix("cal_")):
        assert secret not in text


def test_a_database_that_refuses_is_logged_without_its_password(make_line: MakeLine) -> None:
    line = make_line()
    url = "postgresql://postgres:very-secret@127.0.0.1:1/x?application_name=y"
    replica = line.start(wait=False, DATABASE_URL=url)
    line.wait_log("127.0.0.1")
    assert line.readiness(replica) == (503, "the database is away")
    assert "very-secret" not in line.log()
    assert shlex.quote(MINIMAL["name"]) not in line.log()
    replica.kill9()  # with its database away it would drain until its deadline
