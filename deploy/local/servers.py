"""The servers of a local stack: PostgreSQL, Kafka, librdkafka's mock broker and the service itself.

Every server is one child process in a session of its own, listens on loopback only, writes its output to one log
file and is ended by its process id. Unless `outlives` is set the kernel ends it when the thread that started it
ends, so that a crashed test run leaves nothing behind: start servers from a thread that stays.

    python3 servers.py kafka|python|viewer|asyncapi    prints where the Kafka of setup.sh, the Python with its packages,
                                                       Swagger UI or AsyncAPI's schema belongs
    python3 servers.py unpacked                        prints where packages are unpacked that are not installed
    python3 servers.py prometheus|promtool|pgbouncer   prints where that program is
    python3 servers.py warm                            keeps the broker's loaded classes, so that later brokers start faster
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import platform
import random
import re
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "schedule-service"


class ServerError(RuntimeError):
    """A server ended, missed a deadline or refused a command; the text holds the end of its log."""


def kafka_home() -> Path:
    """Where setup.sh puts the broker of deploy/kafka/pom.xml; its jars are in `lib`."""
    pom = (ROOT / "deploy/kafka/pom.xml").read_text()
    version = re.search(r"<kafka.version>(.+)</kafka.version>", pom)
    assert version
    return CACHE / f"kafka-{version[1]}"


def python() -> Path:
    """The interpreter that sees Debian's packages and those of requirements.txt."""
    version = Path("/usr/bin/python3").resolve().name
    pins = (ROOT / "deploy/local/requirements.txt").read_bytes()
    return CACHE / f"venv-{hashlib.sha256(version.encode() + pins).hexdigest()[:12]}" / "bin/python"


def viewer() -> Path:
    """Where setup.sh puts the Swagger UI of viewer.txt, for the build to put into the binary."""
    version = re.search(r"^flask-swagger-ui==(\S+)", (ROOT / "deploy/viewer.txt").read_text(), re.MULTILINE)
    assert version
    return CACHE / f"swagger-ui-{version[1]}"


def asyncapi() -> Path:
    """Where setup.sh puts AsyncAPI's JSON schema, which `make lint` holds docs/asyncapi.json against."""
    name = re.search(r"asyncapi-specs-[\d.]+\d", (ROOT / "deploy/local/asyncapi.sha256").read_text())
    assert name
    return CACHE / name[0]


def unpacked() -> Path:
    """Where setup.sh unpacks Debian's packages whose installation would start a server: those of one release do not run on another, which a
    chroot may share the cache with."""
    return CACHE / "unpacked" / platform.freedesktop_os_release()["VERSION_CODENAME"]


def program(name: str) -> Path:
    """A program of a Debian package: the installed one, or the unpacked one."""
    installed = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return Path(installed) if installed else next(unpacked().glob(f"*/usr/*bin/{name}"), unpacked() / name)


def free_port(preferred: int = 0) -> int:
    """A loopback port nobody listens on: `preferred` if that is free. It lies below the range from which the kernel
    serves outgoing connections, so it is still free when its server comes back after a restart."""
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in (preferred, *random.sample(range(10_000, max(lowest_outgoing, 20_000)), 100)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port:
                return port
    raise ServerError("no free port on 127.0.0.1")


def scratch_dir() -> Path:
    """A new directory that every user may pass through, for the caller to delete."""
    path = Path(tempfile.mkdtemp(prefix="schedule-service-"))
    path.chmod(0o711)
    return path


def wait_until(is_true: Callable[[], bool], deadline_s: float) -> bool:
    """Asks every 20 ms; False at the deadline."""
    end = time.monotonic() + deadline_s
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _process_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5) counts it as 3); empty when there is no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def process_start(pid: int) -> int | None:
    """When the process started, in clock ticks since boot: with the pid this names one process only.
    None when it is gone or a zombie."""
    stat = _process_stat(pid)
    return int(stat[19]) if stat and stat[0] != "Z" else None


def child_pids(pid: int) -> list[int]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [child for child in pids if (stat := _process_stat(child)) and int(stat[1]) == pid]


class Startable:
    """`with` starts it, and closes it in every case."""

    def start(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server(Startable):
    """One server process. `with server:` starts it and closes it."""

    name = "server"
    ready_s = 180.0
    stop_signal = signal.SIGTERM
    orphan_signal = "KILL"
    work_dir = Path("/")

    def __init__(self, log_path: Path, outlives: bool = False) -> None:
        self.log_path = Path(log_path)
        self.outlives = outlives
        self.data: Path | None = None
        self.identity: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process, f"{self.name} was not started"
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether it answers now."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """The command line; whatever must exist before the process does is made here."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self, wait: bool = True) -> None:
        """Starts it and waits until it answers. With `wait=False` call wait_ready() later."""
        assert not self.is_running(), f"{self.name} is running"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        command = self.command()
        bound = [] if self.outlives else ["setpriv", "--pdeathsig", self.orphan_signal]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.identity, *bound, *command], env=self.environment(), cwd=self.work_dir,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, deadline_s: float | None = None) -> None:
        """Returns when it answers. Raises ServerError when it ended or the deadline passed; then it is dead."""
        answered = wait_until(lambda: not self.is_running() or self.is_ready(), deadline_s or self.ready_s)
        if self._process and not self.is_running():
            raise self.error(f"ended with status {self._process.returncode}")
        if not answered:
            self.kill9()
            raise self.error("did not become ready in time")

    def stop(self, deadline_s: float = 40) -> int:
        """Asks it to end and waits; returns its exit status. At the deadline kills it and raises ServerError."""
        assert self._process, f"{self.name} was not started"
        self._process.send_signal(self.stop_signal)
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise self.error(f"did not stop within {deadline_s} s") from None

    def kill9(self) -> None:
        """Ends it the hard way and waits until it is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """On the same port, with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends it at once and deletes its data; the log stays."""
        self.kill9()
        if self.data:
            shutil.rmtree(self.data, ignore_errors=True)

    def log_tail(self, lines: int = 20) -> str:
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def error(self, what: str) -> ServerError:
        return ServerError(f"{self.name} {what}. The end of {self.log_path}:\n{self.log_tail()}")


class Postgres(Server):
    """PostgreSQL with logical decoding and real durability; superuser `postgres`, no password. `settings` are added
    to its configuration. Of the newest version that is installed, or of the tools in the directory POSTGRES_BIN. It refuses to be root, so root starts it as the user `postgres`; the data then moves to
    the temporary directory if that user cannot reach `directory`."""

    name = "postgres"
    stop_signal = signal.SIGINT
    orphan_signal = "QUIT"

    def __init__(self, directory: Path, outlives: bool = False, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(Path(directory) / "postgres.log", outlives)
        self.bin = Path(os.environ["POSTGRES_BIN"]) if "POSTGRES_BIN" in os.environ else self._newest()
        self.port = free_port()
        self.settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "",
            "wal_level": "logical", "max_replication_slots": "10", "max_wal_senders": "10",
            "fsync": "on", "synchronous_commit": "on",
        } | dict(settings or {})
        self.data = Path(directory).resolve() / "data"
        if os.geteuid() == 0:
            self.identity = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            if not all(path.stat().st_mode & 0o001 for path in self.data.parents if path.exists()):
                self.data = scratch_dir()

    @staticmethod
    def _newest() -> Path:
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
        if not versions:
            raise ServerError("PostgreSQL is not installed: run `make setup`")
        return versions[-1].parent

    def command(self) -> list[str]:
        assert self.data
        if not self.data.exists() or not any(self.data.iterdir()):
            self.data.mkdir(exist_ok=True)
            if self.identity:
                shutil.chown(self.data, "postgres", "postgres")
            initdb = self._tool("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                                "--no-locale", "--no-sync")
            run(*self.identity, *initdb, cwd="/")
        return self._tool("postgres", "-D", str(self.data), *_options("-c", self.settings))

    def is_ready(self) -> bool:
        probe = self._tool("pg_isready", "-q", "-t", "1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        return subprocess.run(probe, check=False).returncode == 0

    def kill9(self) -> None:
        """The postmaster and all its children, as a power cut would: nobody says goodbye or cleans up. The postmaster goes last: without it
        the children would end by themselves, and while it stands still each of them can be signalled, dead or not."""
        if not self.is_running():
            return
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: _process_stat(self.pid)[0] == "T", 5)
        children = child_pids(self.pid)
        for pid in (*children, self.pid):
            os.kill(pid, signal.SIGKILL)
        super().kill9()
        wait_until(lambda: not any(process_start(pid) for pid in children), 10)

    def close(self) -> None:
        """Ends it at once, without leaving shared memory behind, and deletes its data."""
        if self.is_running():
            os.kill(self.pid, signal.SIGQUIT)
            wait_until(lambda: not self.is_running(), 10)
        super().close()

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    # ---- replication

    def follow(self, primary: "Postgres") -> None:
        """Starts it as a streaming standby of the primary, which runs; its own data is replaced."""
        assert self.data
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.parent.mkdir(mode=0o711, exist_ok=True)
        self.data.mkdir(mode=0o700)
        if self.identity:
            shutil.chown(self.data, "postgres", "postgres")
        backup = self._tool("pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres",
                            "-D", str(self.data), "-R", "-X", "stream", "-c", "fast")
        run(*self.identity, *backup, cwd="/")
        self.start()

    def copy_slot(self, primary: "Postgres", slot: str) -> None:
        """Gives a standby the primary's slot as it is now, as tools that keep slots on standbys do where PostgreSQL cannot yet. The
        standby must have the WAL that the slot begins with: those are the base backup's and later."""
        assert self.data and primary.data
        primary.psql("checkpoint")
        position = primary.psql("SELECT pg_current_wal_flush_lsn()").strip()
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        assert wait_until(lambda: self.psql(replayed).strip() == "t", 30), "the standby does not follow"
        self.stop()
        shutil.rmtree(self.data / "pg_replslot" / slot, ignore_errors=True)
        subprocess.run(["cp", "-a", str(primary.data / "pg_replslot" / slot), str(self.data / "pg_replslot")], check=True)
        self.start()

    def promote(self) -> None:
        """Makes a standby a primary, and waits until it is."""
        self.psql("SELECT pg_promote()")

    def create_database(self, name: str, options: str = "") -> str:
        """Returns its DSN."""
        self.psql(f'create database "{name}" {options}')
        return self.dsn(name)

    def psql(self, sql: str, database: str = "postgres", *options: str) -> str:
        """What psql prints: rows as lines of `a|b` unless `options` say otherwise. Raises ServerError."""
        style = options or ("-At",)
        return run(*self._tool("psql", "-Xq", "-v", "ON_ERROR_STOP=1", *style, "-c", sql, self.dsn(database)))

    def read_slot(self, slot: str, database: str, end: str) -> None:
        """Decodes what a slot of the service has up to a position, and throws it away."""
        options = {"proto_version": "1", "publication_names": "schedule_service", "messages": "true"}
        run(*self._tool("pg_recvlogical", "-d", self.dsn(database), "--slot", slot, "--start", "--endpos", end, "-f", os.devnull,
                        "--no-loop", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))))

    def _tool(self, name: str, *arguments: str) -> list[str]:
        return [str(self.bin / name), *arguments]


@dataclass(frozen=True)
class Record:
    """A Kafka message as Kafka's own console consumer shows it."""

    key: str
    headers: dict[str, str]
    value: bytes


class Kafka(Server):
    """A real broker: one node in KRaft mode. `properties` are added to its configuration."""

    name = "kafka"
    SMALL_HEAP = ("-Xmx512m", "-XX:+UseSerialGC")
    # As Kafka's own kafka-server-start.sh has it. The broker stands still for less long, and its JVM compiles for longer until it is warm.
    USUAL_HEAP = ("-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
                  "-XX:+ExplicitGCInvokesConcurrent")
    TOOL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    def __init__(self, directory: Path, outlives: bool = False, properties: Mapping[str, str] | None = None,
                 heap: tuple[str, ...] = SMALL_HEAP, jvm: tuple[str, ...] = ()) -> None:
        super().__init__(Path(directory) / "kafka.log", outlives)
        if not self.is_installed():
            raise ServerError("Kafka is not in the cache: run `make setup` where Maven Central can be reached")
        self.data = Path(directory).resolve() / "data"
        self.scratch = self.data.with_name("tmp")  # for the libraries that the JVM unpacks; a killed one leaves them behind
        self.jvm = [f"-Djava.io.tmpdir={self.scratch}", *heap, "-Dorg.apache.logging.log4j.level=INFO", *jvm]
        # The tool that formats the storage would take a leading "-" for an option: no first byte above 127, no such beginning.
        identity = bytes([uuid.uuid4().bytes[0] & 0x7F]) + uuid.uuid4().bytes[1:]
        self.cluster = base64.urlsafe_b64encode(identity).decode()[:22]
        self.port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.properties = {
            "process.roles": "broker,controller", "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}", "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data), "auto.create.topics.enable": "false",
            # One node holds the only copy of everything, and few partitions of it.
            "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1", "share.coordinator.state.topic.min.isr": "1",
            "log.cleaner.dedupe.buffer.size": "8388608",
            # A killed broker is let in again soon.
            "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500",
            # Groups form at once, and tests may ask for short sessions.
            "group.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "1000",
        } | dict(properties or {})

    @staticmethod
    def is_installed() -> bool:
        return (kafka_home() / "lib").is_dir()

    def command(self) -> list[str]:
        assert self.data
        config = self.log_path.with_name("kafka.properties")
        self.scratch.mkdir(exist_ok=True)
        if not (self.data / "meta.properties").exists():
            config.write_text("".join(f"{name}={value}\n" for name, value in self.properties.items()))
            self.tool("kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", str(config))
        return [*_java(*self.jvm), "kafka.Kafka", str(config)]

    def is_ready(self) -> bool:
        """It answers an ApiVersions request: KIP-35, version 0, no client id."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as broker:
                broker.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
                return len(broker.recv(8)) == 8
        except OSError:
            return False

    def tool(self, main_class: str, *arguments: str) -> str:
        """What one of Kafka's own Java tools prints, e.g. org.apache.kafka.tools.GetOffsetShell. Raises ServerError."""
        return run(*_java(*self.TOOL_JVM), main_class, *arguments)

    def consume(self, topic: str, count: int, timeout_s: float = 20) -> list[Record]:
        """The first `count` committed records of a topic, or as many as came before `timeout_s` without one, read by
        Kafka's own console consumer."""
        field, header, line = "\x1f", "\x1e", uuid.uuid4().bytes.hex()
        look = {"print.key": "true", "print.headers": "true", "key.separator": field, "headers.separator": header,
                "line.separator": line}
        printed = run(
            *_java(*self.TOOL_JVM), "org.apache.kafka.tools.consumer.ConsoleConsumer",
            "--bootstrap-server", self.bootstrap, "--topic", topic, "--from-beginning",
            "--isolation-level", "read_committed", "--max-messages", str(count),
            "--timeout-ms", str(int(timeout_s * 1000)),
            *_options("--formatter-property", look), encoding="latin-1",
        )
        return [_record(text, field, header) for text in printed.split(line)[:-1]]


def _record(text: str, field: str, header: str, equals: str = ":") -> Record:
    headers, key, value = text.split(field, 2)
    pairs = (pair.split(equals, 1) for pair in headers.split(header) if equals in pair)
    return Record(key, dict(pairs), value.encode("latin-1"))


def _java(*options: str) -> list[str]:
    classes = _class_archive()
    sharing = ["-Xlog:disable", f"-XX:SharedArchiveFile={classes}"] if classes.exists() else []
    return ["java", "-cp", f"{kafka_home()}/lib/*", *sharing, *options]


def _class_archive() -> Path:
    """The broker's loaded classes (JEP 350), which are good for one build of Java only."""
    java = Path(shutil.which("java") or "/usr/bin/java").resolve().parents[1]
    return kafka_home() / f"classes-{int((java / 'lib/modules').stat().st_mtime)}.jsa"


def warm() -> None:
    """Makes the class archive, if it is not there, by running a broker once."""
    if _class_archive().exists():
        return
    directory = scratch_dir()
    made = directory / "classes.jsa"
    with Kafka(directory, jvm=(f"-XX:ArchiveClassesAtExit={made}",)) as kafka:
        kafka.stop(deadline_s=300)  # it writes the archive as it ends, which a busy machine takes its time for
    shutil.move(made, _class_archive().with_suffix(".new"))
    _class_archive().with_suffix(".new").rename(_class_archive())
    shutil.rmtree(directory)


class MockBroker(Server):
    """librdkafka's mock cluster: produce, fetch and groups without a real broker. It ignores transactions."""

    name = "mock broker"

    def __init__(self, directory: Path, binary: Path = ROOT / "build/release/tests/mock_broker",
                 outlives: bool = False) -> None:
        super().__init__(Path(directory) / "mock_broker.log", outlives)
        self.binary = binary

    def command(self) -> list[str]:
        self.log_path.unlink(missing_ok=True)
        return [str(self.binary)]

    def is_ready(self) -> bool:
        return bool(self._addresses())

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, which it prints when it starts; they change with a restart."""
        return self._addresses()[-1]

    def consume(self, topic: str, count: int, timeout_s: float = 20) -> list[Record]:
        """As Kafka.consume, but with kcat. The mock shows aborted records too: those of a relay's take-over are left out."""
        field, line = "\x1f", uuid.uuid4().bytes.hex()
        command = ["kcat", "-C", "-q", "-e", "-b", self.bootstrap, "-t", topic, "-o", "beginning",
                   "-f", f"%h{field}%k{field}%s{line}"]
        records: list[Record] = []

        def enough() -> bool:
            texts = run(*command, encoding="latin-1").split(line)[:-1]
            read = [_record(text, field, header=",", equals="=") for text in texts]
            records[:] = [record for record in read if record.key != "takeover"]
            return len(records) >= count

        wait_until(enough, timeout_s)
        return records[:count]

    def _addresses(self) -> list[str]:
        return re.findall(r"^[\w.:,]+:\d+$", self.log_path.read_text(), re.MULTILINE)


class Service(Server):
    """`schedule-service serve` with `env` added to our own environment; without rate limits and without a delay of its stop unless `env` sets
    them."""

    name = "service"
    work_dir = ROOT
    DEFAULTS = {f"RATE_LIMIT_{whose}": "0" for whose in ("API_KEY", "OAUTH_CLIENT", "ADDRESS")} | {"DRAIN_SECONDS": "0"}

    def __init__(self, binary: Path, env: Mapping[str, str], log_path: Path, outlives: bool = False) -> None:
        super().__init__(log_path, outlives)
        self.binary = Path(binary)
        self.env = {"HTTP_LISTEN": f"127.0.0.1:{free_port()}"} | self.DEFAULTS | dict(env)
        self.url = ("https://" if self.env.get("HTTP_TLS_CERTIFICATE") else "http://") + self.env["HTTP_LISTEN"]

    def command(self) -> list[str]:
        return [str(self.binary), "serve"]

    def environment(self) -> dict[str, str]:
        return os.environ | self.env

    def is_ready(self) -> bool:
        try:
            anybody = ssl._create_unverified_context()  # whether it answers, not who it is
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2, context=anybody) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def sigstop(self) -> None:
        """Freezes it, as a long pause of its machine would."""
        os.kill(self.pid, signal.SIGSTOP)

    def sigcont(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


class Webhooks(Service):
    """`schedule-service webhooks`, which may send to 127.0.0.0/8."""

    name = "webhooks"

    def __init__(self, binary: Path, env: Mapping[str, str], log_path: Path, outlives: bool = False) -> None:
        listen = f"127.0.0.1:{free_port()}"
        own = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "WEBHOOK_LISTEN": listen}
        super().__init__(binary, own | dict(env) | {"HTTP_LISTEN": listen}, log_path, outlives)

    def command(self) -> list[str]:
        return [str(self.binary), "webhooks"]


def _options(flag: str, values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in (flag, f"{name}={value}")]


def run(*command: str, env: Mapping[str, str] | None = None, cwd: Path | str = ROOT, encoding: str = "utf-8",
        stdin: str = "", timeout: float = 120) -> str:
    """Runs a command to its end, within so many seconds; its standard output. Raises ServerError with what it said when it failed."""
    done = subprocess.run(command, env=os.environ | dict(env or {}), cwd=cwd, encoding=encoding, check=False,
                          input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    if done.returncode:
        raise ServerError(f"`{shlex.join(command)}` ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def admin(binary: Path, env: Mapping[str, str], *arguments: str) -> dict[str, str]:
    """Runs a subcommand of the service; the `key=value` pairs of the last line it printed."""
    lines = run(str(binary), *arguments, env=env).splitlines()
    return dict(word.split("=", 1) for word in shlex.split(lines[-1]) if "=" in word) if lines else {}


def prepare(binary: Path, env: Mapping[str, str], topics: bool = True) -> dict[str, str]:
    """Migrates the database, makes the topics and fills the demo directory: two organizations, each with an admin
    and a member. Returns the ids and API keys under the names of `.run/env`."""

    def person(name: str, organization: str, role: str, *options: str) -> tuple[str, str]:
        user = admin(binary, env, "user", "add", "--name", name, *options)["id"]
        admin(binary, env, "member", "add", "--org", organization, "--user", user, "--role", role)
        return user, admin(binary, env, "apikey", "create", "--user", user, "--never-expires")["key"]

    admin(binary, env, "migrate")
    if topics:
        admin(binary, env, "topics")
    demo = admin(binary, env, "org", "add", "--name", "Demo")["id"]
    other = admin(binary, env, "org", "add", "--name", "Other")["id"]
    admin_id, admin_key = person("Demo admin", demo, "admin")
    member_id, member_key = person("Demo member", demo, "member", "--id", "478")
    _, other_admin_key = person("Other admin", other, "admin")
    other_id, _ = person("Other member", other, "member")
    return {
        "ORG_ID": demo, "ADMIN_USER_ID": admin_id, "ADMIN_API_KEY": admin_key,
        "MEMBER_USER_ID": member_id, "MEMBER_API_KEY": member_key,
        "OTHER_ORG_ID": other, "OTHER_ADMIN_API_KEY": other_admin_key, "OTHER_USER_ID": other_id,
    }


PROGRAMS = ("prometheus", "promtool", "pgbouncer")
PLACES = {name: functools.partial(program, name) for name in PROGRAMS} | {
    "kafka": kafka_home, "python": python, "viewer": viewer, "asyncapi": asyncapi, "unpacked": unpacked}

if __name__ == "__main__":
    if sys.argv[1:] == ["warm"]:
        warm()
    elif len(sys.argv) == 2 and sys.argv[1] in PLACES:
        print(PLACES[sys.argv[1]]())
    else:
        sys.exit(__doc__)
