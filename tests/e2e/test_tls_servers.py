"""Kafka and PostgreSQL over TLS: whom the service believes, and what it says when it does not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import UserScramCredentialUpsertion

from certificates import Authority, Certificate
from conftest import fill_directory
from line import BINARY, Line, Servers, until
from servers import Kafka, Postgres, free_port, run, scratch_dir

PASSWORD = "the-right-secret"
HERE = ("DNS:localhost",)
LIBRDKAFKA = re.search(r"librdkafka (\d+)\.(\d+)\.(\d+)", run(str(BINARY), "version"))
assert LIBRDKAFKA
KNOWS_SCRAM = tuple(map(int, LIBRDKAFKA.groups())) >= (2, 6, 1)
NEEDS_SCRAM = pytest.mark.skipif(not KNOWS_SCRAM, reason="Kafka 4 refuses the SCRAM of a librdkafka older than 2.6.1")


@dataclass(frozen=True)
class Listener:
    """One of the broker's: what it speaks, and the certificate it shows."""

    protocol: str
    mechanism: str  # of SASL, or none
    certificate: Certificate
    port: int

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


@dataclass(frozen=True)
class Secured:
    """Servers with TLS, whose other clients come without it."""

    servers: Servers
    ours: Authority
    stranger: Authority
    listeners: dict[str, Listener]
    certificate: Certificate  # PostgreSQL's; what is in its files counts from the next reload


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    directory = scratch_dir()
    ours, stranger = Authority(directory, "ours"), Authority(directory, "stranger")
    good, elsewhere = ours.issue("here", *HERE), ours.issue("elsewhere", "DNS:elsewhere.example")
    expired = ours.issue("expired", *HERE, days=-1)
    listeners = {name: Listener(*listener, free_port()) for name, *listener in (
        ("good", "SSL", "", good), ("plain", "SASL_SSL", "PLAIN", good), ("scram", "SASL_SSL", "SCRAM-SHA-512", good),
        ("elsewhere", "SSL", "", elsewhere), ("expired", "SSL", "", expired))}
    own = ours.issue("postgres", *HERE)
    try:
        with secured_kafka(directory / "kafka", listeners) as kafka, secured_postgres(directory / "postgres", own) as postgres:
            set_kafka_password(kafka, PASSWORD)
            people = fill_directory(postgres.create_database("template_line"))
            postgres.psql("SELECT pg_drop_replication_slot('schedule_service')")
            postgres.psql(f"CREATE ROLE app LOGIN REPLICATION PASSWORD '{PASSWORD}' IN ROLE schedule_service, schedule_relay")
            yield Secured(Servers(postgres, kafka, "template_line", people, directory), ours, stranger, listeners, own)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def secured_kafka(directory: Path, listeners: dict[str, Listener]) -> Kafka:
    kafka = Kafka(directory)
    directory.mkdir()
    properties = kafka.properties
    for name, listener in listeners.items():
        prefix = f"listener.name.{name}"
        store = directory / f"{name}.pem"
        store.write_text(listener.certificate.key.read_text() + listener.certificate.certificate.read_text())
        for key in ("listeners", "advertised.listeners"):
            properties[key] += f",{name.upper()}://{listener.address}"
        properties["listener.security.protocol.map"] += f",{name.upper()}:{listener.protocol}"
        properties |= {f"{prefix}.ssl.keystore.type": "PEM", f"{prefix}.ssl.keystore.location": str(store)}
        if listener.mechanism:
            properties[f"{prefix}.sasl.enabled.mechanisms"] = listener.mechanism
    modules = "org.apache.kafka.common.security"
    properties |= {
        "listener.name.plain.plain.sasl.jaas.config": f'{modules}.plain.PlainLoginModule required user_app="{PASSWORD}";',
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;"}
    return kafka


def set_kafka_password(kafka: Kafka, password: str) -> None:
    """Of `app`, at the listener with SCRAM: the others' is in the configuration."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    errors = admin.alter_user_scram_credentials([UserScramCredentialUpsertion("app", "SCRAM-SHA-512", password)])
    admin.close()
    assert errors == {"app": None}


def secured_postgres(directory: Path, certificate: Certificate) -> Postgres:
    """With TLS and a password for all but its superuser."""
    access = directory.with_name("pg_hba.conf")
    access.write_text("host all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    postgres = Postgres(directory, settings={
        "ssl": "on", "ssl_cert_file": str(certificate.certificate), "ssl_key_file": str(certificate.key), "hba_file": str(access)})
    let_read(postgres, access, certificate.certificate, certificate.key)
    return postgres


def let_read(postgres: Postgres, *paths: Path) -> None:
    """PostgreSQL wants a key to be its own user's."""
    for path in paths:
        path.chmod(0o600)
        if postgres.identity:
            shutil.chown(path, "postgres", "postgres")


@pytest.fixture
def line(secured: Secured, request: pytest.FixtureRequest) -> Iterator[Line]:
    one = Line(secured.servers)
    request.node.lines = [one]
    yield one
    one.close()


def kafka_env(secured: Secured, listener: str, root: Path | None = None, password: str = PASSWORD) -> dict[str, str]:
    at = secured.listeners[listener]
    env = {"KAFKA_BROKERS": at.address, "RDKAFKA_SECURITY_PROTOCOL": at.protocol.lower(), "RDKAFKA_BROKER_ADDRESS_FAMILY": "v4",
           "RDKAFKA_SSL_CA_LOCATION": str(root or secured.ours.root)}
    if at.mechanism:
        env |= {"RDKAFKA_SASL_MECHANISMS": at.mechanism, "RDKAFKA_SASL_USERNAME": "app", "RDKAFKA_SASL_PASSWORD": password}
    return env


def database_url(secured: Secured, line: Line, host: str = "localhost", root: Path | None = None, password: str = PASSWORD) -> str:
    name = line.database_url.rpartition("/")[2]
    return (f"postgresql://app:{password}@{host}:{secured.servers.postgres.port}/{name}"
            f"?sslmode=verify-full&sslrootcert={root or secured.ours.root}")


def serve_one_of_each(line: Line) -> None:
    """A command and a request go through, and a relay publishes both."""
    command = line.command()
    line.send(command)
    line.event_of(command["commandId"])
    answer = line.post({"name": "Asked", "timeZone": "UTC", "isDefault": False})
    assert answer.status_code == 201
    line.event_of_schedule(answer.json()["data"]["id"])
    line.balance()


def end(line: Line) -> None:
    """At once: with a server away it would drain until its deadline."""
    for replica in line.replicas:
        replica.kill9()


def start_unready(line: Line, **env: str) -> None:
    """Starts a service that no relay lets write."""
    line.start(wait=False, **env)
    line.wait_log("started")


def assert_told(line: Line, *texts: str) -> None:
    """The log tells each, and no password."""
    for text in texts:
        line.wait_log(text, 30)
    assert "secret" not in line.log()


# ---- Kafka

@pytest.mark.parametrize("listener", ["good", "plain", pytest.param("scram", marks=NEEDS_SCRAM)])
def test_kafka_over_tls(secured: Secured, line: Line, listener: str) -> None:
    line.start(**kafka_env(secured, listener))
    serve_one_of_each(line)


@pytest.mark.parametrize(("listener", "wrong", "fault"), [
    ("good", {"root": True}, "certificate verify failed"),
    ("elsewhere", {}, "certificate verify failed"),
    ("expired", {}, "certificate verify failed"),
    ("plain", {"password": "not-the-secret"}, "Authentication failed"),
    ("scram", {"password": "not-the-secret"}, "Authentication failed"),
])
def test_a_broker_that_is_not_right_is_not_served(
        secured: Secured, line: Line, listener: str, wrong: dict[str, object], fault: str) -> None:
    root = secured.stranger.root if wrong.get("root") else None
    start_unready(line, **kafka_env(secured, listener, root, str(wrong.get("password", PASSWORD))))
    command = line.command()
    line.send(command)
    assert_told(line, fault)
    assert line.metric('schedule_consumer_partitions{state="assigned"}') == 0  # no relay has accepted the database: nothing is consumed
    assert line.metric("schedule_relay_active") == 0
    assert line.sql("SELECT count(*) FROM schedules") == [(0,)]
    end(line)


@pytest.mark.skipif(KNOWS_SCRAM, reason="this librdkafka does SCRAM as Kafka 4 wants it")
def test_an_old_librdkafka_says_that_the_password_is_not_to_blame(secured: Secured, line: Line) -> None:
    start_unready(line, **kafka_env(secured, "scram"))
    assert_told(line, "Kafka 4 refuses SCRAM from a librdkafka older than 2.6.1", "Authentication failed")
    end(line)


@NEEDS_SCRAM
def test_a_password_that_is_put_right_is_taken(secured: Secured, line: Line) -> None:
    """At the broker, while the service goes on asking: it serves without a restart."""
    start_unready(line, **kafka_env(secured, "scram", password="the-next-secret"))
    assert_told(line, "Authentication failed")
    set_kafka_password(secured.servers.kafka, "the-next-secret")
    try:
        serve_one_of_each(line)
    finally:
        set_kafka_password(secured.servers.kafka, PASSWORD)
    assert "secret" not in line.log()


# ---- PostgreSQL

def test_postgres_over_tls_with_replication(secured: Secured, line: Line) -> None:
    line.start(DATABASE_URL=database_url(secured, line))
    serve_one_of_each(line)
    sessions = line.sql("SELECT backend_type, ssl, version FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'app'")
    assert {kind for kind, _, _ in sessions} == {"client backend", "walsender"}
    assert {(encrypted, version) for _, encrypted, version in sessions} == {(True, "TLSv1.3")}


@pytest.fixture
def expired(secured: Secured) -> Iterator[None]:
    """PostgreSQL shows a certificate that has expired."""
    postgres, files = secured.servers.postgres, secured.certificate
    kept = {path: path.read_text() for path in (files.certificate, files.key)}
    other = secured.ours.issue("expired-postgres", *HERE, days=-1)

    def show(contents: dict[Path, str]) -> None:
        for path, text in contents.items():
            path.write_text(text)
        postgres.psql("SELECT pg_reload_conf()")
        until(lambda: shown(postgres) == serial(files.certificate), "the certificate is shown")

    show({files.certificate: other.certificate.read_text(), files.key: other.key.read_text()})
    yield
    show(kept)


def serial(certificate: Path) -> str:
    return run("openssl", "x509", "-noout", "-serial", "-in", str(certificate))


def shown(postgres: Postgres) -> str:
    """The serial of the certificate that new connections get."""
    show = f"openssl s_client -starttls postgres -connect 127.0.0.1:{postgres.port} </dev/null 2>/dev/null"
    return run("bash", "-c", f"{show} | openssl x509 -noout -serial")


def assert_no_database(line: Line, url: str, fault: str) -> None:
    """Neither the intake nor the relay of a service with this URL come up."""
    replica = line.start(wait=False, DATABASE_URL=url)
    assert_told(line, "postgres connection lost", "cannot connect to PostgreSQL", fault)
    assert line.readiness(replica) == (503, "the database is away")
    end(line)


@pytest.mark.parametrize(("wrong", "fault"), [
    ({"root": True}, "certificate verify failed"),
    ({"host": "127.0.0.1"}, 'does not match host name \\"127.0.0.1\\"'),
    ({"password": "not-the-secret"}, "password authentication failed"),
])
def test_a_database_that_is_not_right_is_not_used(
        secured: Secured, line: Line, wrong: dict[str, object], fault: str) -> None:
    url = database_url(secured, line, str(wrong.get("host", "localhost")), secured.stranger.root if wrong.get("root") else None,
                       str(wrong.get("password", PASSWORD)))
    assert_no_database(line, url, fault)


def test_a_relay_whose_database_is_not_right_stays_away(secured: Secured, line: Line) -> None:
    wrong = database_url(secured, line, root=secured.stranger.root)
    start_unready(line, DATABASE_URL=database_url(secured, line), RELAY_DATABASE_URL=wrong)
    assert_told(line, "cannot connect to PostgreSQL", "certificate verify failed")
    assert line.metric("schedule_relay_active") == 0
    end(line)


def test_a_database_whose_certificate_has_expired_is_not_used(secured: Secured, line: Line, expired: None) -> None:
    assert_no_database(line, database_url(secured, line), "certificate verify failed")
