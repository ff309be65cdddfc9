"""HTTP over TLS: who is refused by whom, and what half-done and astray connections cost."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from certificates import Authority, Certificate
from conftest import MakeLine, running
from line import BINARY, MINIMAL, Line, Servers, receive_all, receive_until, until
from replies import assert_envelope, parse_answers
from servers import free_port

HERE = ("DNS:localhost", "IP:127.0.0.1")
NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "ours")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.issue("service", *HERE)


def tls_env(certificate: Certificate) -> dict[str, str]:
    return {"HTTP_TLS_CERTIFICATE": str(certificate.certificate), "HTTP_TLS_KEY": str(certificate.key)}


@pytest.fixture(scope="module")
def line(servers: Servers, authority: Authority, certificate: Certificate) -> Iterator[Line]:
    """A line whose replicas speak TLS, and whose own client knows their authority."""
    one = Line(servers, **tls_env(certificate))
    trust(one, authority)
    with running(one):
        yield one


def trust(line: Line, authority: Authority) -> None:
    """Its own client believes this authority and, whatever the environment says, no other."""
    line.http.trust_env = False
    line.http.verify = str(authority.root)


def connect(line: Line) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(line.http.verify))
    return context.wrap_socket(line.connect(), server_hostname="localhost")


def get(line: Line, path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {line.people.admin_key}", *headers, "", ""]
    return "\r\n".join(lines).encode()


# ---- requests

def test_requests_are_served_and_the_certificate_holds(line: Line) -> None:
    made = line.post(MINIMAL)
    assert made.status_code == 201
    listed = line.request("GET", line.schedules_path(), line.people.admin_key)
    assert made.json()["data"] in listed.json()["data"]
    assert line.request("GET", "/openapi.json").json()["openapi"].startswith("3.1")


def test_an_answer_ends_with_a_goodbye(line: Line) -> None:
    with connect(line) as connection:  # which raises when the end is a cut
        connection.sendall(get(line, "/healthz", "Connection: close"))
        [(status, _, _)] = parse_answers(receive_all(connection))
    assert status == 200


def test_what_the_server_itself_refuses_is_enveloped(line: Line) -> None:
    for head, status, message in (
            (b"POST /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 102401\r\n\r\n", 413, "request entity too large"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 400, None)):
        with connect(line) as connection:
            connection.sendall(get(line, "/healthz"))
            receive_until(connection, lambda data: b'"ok"' in data)
            connection.sendall(head)
            [(answered, _, body)] = parse_answers(receive_all(connection))
        assert answered == status
        if message:
            details = {"message": message, "error": "Payload Too Large", "statusCode": status}
            assert_envelope(body.decode(), status, message, json.loads(body)["path"], details)
        assert json.loads(body)["status"] == "error"


def pipeline(line: Line, count: int) -> bytes:
    """What comes back, until the connection ends, for many requests that are sent at once, the last of which asks for that end."""
    ask = [get(line, line.schedules_path())] * (count - 1) + [get(line, line.schedules_path(), "Connection: close")]
    with connect(line) as connection:
        return exchange(connection, b"".join(ask))


def exchange(connection: ssl.SSLSocket, data: bytes, deadline_s: float = 60) -> bytes:
    """Sends and receives by turns, until the other side ends the connection. From one thread, as OpenSSL wants it: a read
    beside a write of the same connection may report an end that never was."""
    unsent, received = memoryview(data), b""
    connection.setblocking(False)
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        select.select([connection], [connection] if unsent else [], [], 1)
        try:
            unsent = unsent[connection.send(unsent[:16384]):] if unsent else unsent
        except NOT_NOW:
            pass
        except OSError:
            unsent = unsent[:0]  # the server has had enough; what it said before may still be read
        try:
            while more := connection.recv(65536):
                received += more
            return received
        except NOT_NOW:
            pass
        except OSError:
            return received
    raise TimeoutError(f"the connection has not ended within {deadline_s} s")


def test_pipelined_requests_are_answered_in_order(line: Line) -> None:
    assert [answer[0] for answer in parse_answers(pipeline(line, 20))] == [200] * 20


def test_far_more_pipelined_requests_than_are_read_ahead_end_the_connection_at_most(line: Line) -> None:
    """How much the client sees before the reset that ends what it still sends is TCP's; others are served."""
    received = pipeline(line, 3000)
    assert received[:12] in (b"", b"HTTP/1.1 200")
    assert received.count(b"HTTP/1.1 ") == received.count(b"HTTP/1.1 200")
    test_pipelined_requests_are_answered_in_order(line)


def test_a_connection_of_one_client_is_no_trouble_to_another(line: Line) -> None:
    """Many at once, each with requests of its own."""
    def ask() -> None:
        with connect(line) as connection:
            for _ in range(5):
                connection.sendall(get(line, "/healthz"))
                answers.append(receive_until(connection, lambda data: b'"ok"' in data))

    answers: list[bytes] = []
    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 100
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


# ---- what clients refuse

@pytest.mark.parametrize(("name", "names", "days", "fault"), [
    ("other-host", ("DNS:elsewhere.example",), 2, "doesn't match|mismatch"),
    ("expired", HERE, -1, "expired"),
])
def test_a_client_refuses_a_certificate_that_does_not_hold(
        make_line: MakeLine, authority: Authority, name: str, names: tuple[str, ...], days: int, fault: str) -> None:
    line = make_line(**tls_env(authority.issue(name, *names, days=days)))
    line.start()
    trust(line, authority)
    with pytest.raises(requests.exceptions.SSLError, match=fault):
        line.request("GET", "/healthz")
    line.http.verify = False


def test_a_client_refuses_an_authority_it_does_not_know(line: Line, authority: Authority) -> None:
    stranger = Authority(authority.directory, "stranger")
    with pytest.raises(requests.exceptions.SSLError, match="unable to get local issuer|self.signed"):
        requests.get(f"{line.service.url}/healthz", verify=str(stranger.root), timeout=10)


# ---- what the server refuses

def s_client(line: Line, *options: str, typed: str = "") -> str:
    command = ["openssl", "s_client", "-connect", line.service.env["HTTP_LISTEN"], *options]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("options", "answer"), [
    (("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), "alert protocol version"),
    (("-tls1_2", "-cipher", "AES128-SHA"), "alert handshake failure"),
    (("-tls1_2", "-cipher", "AES128-GCM-SHA256"), "alert handshake failure"),
])
def test_old_versions_and_weak_ciphers_are_refused(line: Line, options: tuple[str, ...], answer: str) -> None:
    assert answer in s_client(line, *options)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_no_compression_and_no_ticket(line: Line, version: str) -> None:
    said = s_client(line, version, typed="GET /healthz HTTP/1.0\n\n")
    assert "Compression: NONE" in said
    assert "TLS session ticket" not in said
    assert "Session-ID: \n" in said or "New, TLSv1.3" in said


def test_a_renegotiation_is_refused(line: Line) -> None:
    assert "no renegotiation" in s_client(line, "-tls1_2", typed="R\n")


def test_plain_http_on_the_port_of_tls_ends_quickly(line: Line) -> None:
    begin = time.monotonic()
    try:
        assert b"HTTP/" not in line.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    except ConnectionResetError:
        pass
    assert time.monotonic() - begin < 3
    assert line.request("GET", "/healthz").status_code == 200


def test_a_hello_of_tls_on_a_plain_port_ends_quickly(make_line: MakeLine) -> None:
    line = make_line()
    line.start()
    begin = time.monotonic()
    with pytest.raises(OSError):
        ssl.create_default_context().wrap_socket(line.connect(), server_hostname="localhost")
    assert time.monotonic() - begin < 3
    assert line.request("GET", "/healthz").status_code == 200


# ---- what slow ones cost

HELLO_START = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def test_a_handshake_that_does_not_end_is_cut_off(line: Line) -> None:
    ended: dict[str, float] = {}

    def wait(name: str, data: bytes) -> None:
        """Sends a byte of `data` every 200 ms, and waits for the end."""
        begin = time.monotonic()
        with line.connect() as connection:
            connection.settimeout(20)
            try:
                for byte in data:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.2)
                receive_all(connection)
            except OSError:
                pass
        ended[name] = time.monotonic() - begin

    hellos = {"silent": b"", "half": HELLO_START[:5], "dripping": HELLO_START + bytes(500)}
    threads = [threading.Thread(target=wait, args=item) for item in hellos.items()]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        begin = time.monotonic()
        assert line.request("GET", "/healthz").status_code == 200
        assert time.monotonic() - begin < 2
        time.sleep(0.25)
    assert all(8 < seconds < 14 for seconds in ended.values()), ended


def test_handshakes_count_as_connections(make_line: MakeLine, authority: Authority, certificate: Certificate) -> None:
    line = make_line(HTTP_MAX_CONNECTIONS="10", **tls_env(certificate))
    trust(line, authority)
    line.start()
    held = [line.connect() for _ in range(15)]
    try:
        until(lambda: sum(is_closed(connection) for connection in held) >= 5, "five are turned away", 5)
    finally:
        for connection in held:
            connection.close()
    until(lambda: is_healthy(line), "there is room again")
    assert line.metric("schedule_http_connections_refused_total") >= 5


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except BlockingIOError:
        return False


def is_healthy(line: Line) -> bool:
    try:
        return line.request("GET", "/healthz").status_code == 200
    except requests.ConnectionError:
        return False


def test_broken_handshakes_leave_nothing_behind(line: Line) -> None:
    line.request("GET", "/healthz")
    before = line.metric("process_open_fds")
    for number in range(200):
        with line.connect() as connection:
            connection.sendall((b"nonsense", HELLO_START, b"", b"\x15\x03\x03\x00\x02\x02\x28")[number % 4])
    until(lambda: line.metric("process_open_fds") <= before, "every socket is closed again")
    assert line.metric("schedule_http_connections") == 1


def test_draining_does_not_wait_for_who_asks_nothing(make_line: MakeLine, authority: Authority,
                                                     certificate: Certificate) -> None:
    line = make_line(**tls_env(certificate))
    trust(line, authority)
    line.start()
    with connect(line) as idle, line.connect():
        idle.sendall(get(line, "/healthz"))
        receive_until(idle, lambda data: b'"ok"' in data)
        begin = time.monotonic()
        line.stop()
        assert time.monotonic() - begin < 8


# ---- configuration

def test_a_renewed_certificate_counts_from_the_signal_on(
        make_line: MakeLine, authority: Authority, certificate: Certificate, tmp_path: Path) -> None:
    own = Certificate(tmp_path / "own.pem", tmp_path / "own.key")
    line = make_line(**tls_env(own))
    trust(line, authority)

    def install(other: Certificate) -> None:
        own.certificate.write_bytes(other.certificate.read_bytes())
        own.key.write_bytes(other.key.read_bytes())

    def serial() -> str:
        with connect(line) as connection:
            return str(connection.getpeercert()["serialNumber"])

    install(certificate)
    line.start()
    first = serial()
    with connect(line) as kept:
        own.key.write_text("nonsense")
        os.kill(line.service.pid, signal.SIGHUP)
        line.wait_log("cannot be used")
        assert serial() == first
        install(authority.issue("renewed", *HERE))
        os.kill(line.service.pid, signal.SIGHUP)
        until(lambda: serial() != first, "the renewed one is shown")
        kept.sendall(get(line, "/healthz", "Connection: close"))
        assert receive_all(kept).startswith(b"HTTP/1.1 200")


def test_files_that_cannot_be_used_are_told(authority: Authority, certificate: Certificate) -> None:
    other = authority.issue("other", *HERE)
    locked = authority.directory / "locked.key"
    subprocess.run(["openssl", "pkey", "-in", str(other.key), "-aes256", "-passout", "pass:secret", "-out", str(locked)],
                   check=True)
    nowhere = Path("/nowhere")
    for wrong, culprit in ((Certificate(nowhere, certificate.key), nowhere), (Certificate(certificate.certificate, nowhere), nowhere),
                           (Certificate(certificate.key, certificate.key), certificate.key),
                           (Certificate(certificate.certificate, other.key), other.key),
                           (Certificate(other.certificate, locked), locked)):
        env = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "HTTP_LISTEN": f"127.0.0.1:{free_port()}"} | tls_env(wrong)
        for command, code in (("check-config", 2), ("serve", 1)):
            told = subprocess.run([str(BINARY), command], env=env, capture_output=True, text=True, timeout=30, check=False)
            assert told.returncode == code, told.stderr
            assert str(culprit) in told.stderr
            assert "cannot be used" in told.stderr


@pytest.mark.parametrize("name", ["HTTP_TLS_CERTIFICATE", "HTTP_TLS_KEY"])
def test_a_certificate_goes_with_its_key(certificate: Certificate, name: str) -> None:
    env = {"DATABASE_URL": "postgresql://h/d", name: tls_env(certificate)[name]}
    told = subprocess.run([str(BINARY), "check-config"], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode == 2
    assert "set both or none" in told.stderr
