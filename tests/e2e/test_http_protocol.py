"""Connections: kept, pipelined, slow, broken and too many."""

import json
import socket
import struct
import threading
import time

import pytest

from conftest import MakeLine
from line import BINARY, MINIMAL, Line, receive_all, receive_until, until
from replies import assert_envelope, parse_answers


def request(line: Line, method: str, path: str, body: bytes = b"", *headers: str, close: bool = False) -> bytes:
    """The bytes of a request with the admin's key."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {line.people.admin_key}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def post_request(line: Line, name: str, close: bool = False) -> bytes:
    return request(line, "POST", line.schedules_path(), json.dumps(MINIMAL | {"name": name}).encode(), close=close)


def note_created(line: Line, body: bytes) -> str:
    """Tells the ledger of a 201; the schedule's name."""
    schedule = json.loads(body)["data"]
    line.answers.created.append(schedule)
    return str(schedule["name"])


def test_a_connection_serves_one_request_after_the_other(line: Line) -> None:
    with line.connect() as connection:
        for number in range(5):
            connection.sendall(post_request(line, f"kept {number}"))
            received = receive_until(connection, lambda data: b"}}" in data)
            assert note_created(line, received.partition(b"\r\n\r\n")[2]) == f"kept {number}"


def test_pipelined_requests_are_answered_in_their_order(line: Line) -> None:
    names = [f"pipelined {number}" for number in range(8)]
    requests = [post_request(line, name, close=name == names[-1]) for name in names]
    between = request(line, "GET", "/v2/nothing")
    answers = parse_answers(line.raw(b"".join([requests[0], between, *requests[1:]])))
    assert [answer[0] for answer in answers] == [201, 404, *[201] * 7]
    assert [note_created(line, body) for status, _, body in answers if status == 201] == names


def test_a_head_of_too_many_lines_is_refused_however_it_comes(line: Line) -> None:
    """Few bytes, and much to parse: alone, behind another request, and without an end."""
    before = request(line, "GET", "/v2/nothing")
    few, many = (request(line, "GET", "/v2/nothing", b"", *["a:"] * lines, close=True) for lines in (200, 300))
    for text, expected in ((few, [404]), (many, [400]), (before + many, [404, 400]), (many[:-2], [400])):
        assert [answer[0] for answer in parse_answers(line.raw(text))] == expected


def test_http_1_0_and_close_end_the_connection(line: Line) -> None:
    path = line.schedules_path()
    for text in (request(line, "GET", path, close=True), request(line, "GET", path).replace(b"HTTP/1.1", b"HTTP/1.0")):
        answers = parse_answers(line.raw(text))
        assert [answer[0] for answer in answers] == [200]


def test_a_chunked_body_is_taken(line: Line) -> None:
    body = json.dumps(MINIMAL | {"name": "chunked"}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    head = request(line, "POST", line.schedules_path(), b"", "Content-Type: application/json", "Transfer-Encoding: chunked",
                   close=True)
    [(status, _, answer)] = parse_answers(line.raw(head + chunks))
    assert (status, note_created(line, answer)) == (201, "chunked")


def chunked_request(line: Line, name: str, size: bytes = b"%x", trailers: int = 0, headers: int = 0) -> bytes:
    body = json.dumps(MINIMAL | {"name": name}).encode()
    parts = [body[:7], b"\n\n" * 300, body[7:]]  # lines of a body are no matter
    head = request(line, "POST", line.schedules_path(), b"", "Content-Type: application/json", *["a:"] * headers,
                   "transfer-Encoding: chunked", close=True)
    return head + b"".join(size % len(part) + b"\r\n" + part + b"\r\n" for part in parts) + b"0\r\n" + b"a:\r\n" * trailers + b"\r\n"


@pytest.mark.parametrize("step", [1, 1000, 1_000_000])
@pytest.mark.parametrize(("headers", "trailers", "expected"), [(0, 0, 201), (0, 200, 201), (0, 300, 400), (200, 200, 400)])
def test_too_many_lines_behind_the_last_chunk_are_refused(line: Line, step: int, headers: int, trailers: int,
                                                          expected: int) -> None:
    """With those of the head, however they come: evhttp parses them as it does a head."""
    text = chunked_request(line, "trailers", trailers=trailers, headers=headers)
    before = request(line, "GET", "/v2/nothing")
    for first, statuses in ((b"", [expected]), (before, [404, expected])):
        with line.connect() as connection:
            try:
                for at in range(0, len(first + text), step):
                    connection.sendall((first + text)[at:at + step])
            except ConnectionError:
                assert expected == 400, "it is closed before all is sent"
                continue
            answers = parse_answers(receive_all(connection))
        assert [answer[0] for answer in answers] == statuses
        for _, _, body in answers[-1:] if expected == 201 else []:
            note_created(line, body)


@pytest.mark.parametrize(("size", "expected"), [
    (b"%X", 201), (b"000%x ", 201), (b"+%x", 400), (b"0x%x", 400), (b" %x", 400), (b"%x\0", 400), (b"%x;a=b", 400),
    (b"fffffff%x", 413), (b"fffffffffffffffffff%x", 413)])
def test_the_size_of_a_chunk_is_read_as_a_proxy_would_read_it(line: Line, size: bytes, expected: int) -> None:
    [(status, _, body)] = parse_answers(line.raw(chunked_request(line, "sized", size)))
    assert status == expected
    if status == 201:
        note_created(line, body)


def test_a_client_that_expects_100_continue_gets_it(line: Line) -> None:
    body = json.dumps(MINIMAL | {"name": "expected"}).encode()
    text = request(line, "POST", line.schedules_path(), body, "Expect: 100-continue", close=True)
    with line.connect() as connection:
        connection.sendall(text[:-len(body)])
        assert receive_until(connection, lambda data: data.endswith(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        [(status, _, answer)] = parse_answers(receive_all(connection))
    assert (status, note_created(line, answer)) == (201, "expected")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_an_enveloped_413(line: Line, chunked: bool) -> None:
    body = b"x" * (100 * 1024 + 1)
    if chunked:
        text = request(line, "POST", line.schedules_path(), b"", "Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + body
    else:
        text = request(line, "POST", line.schedules_path(), body)
    received = line.raw(text)
    [(status, headers, answer)] = parse_answers(received)
    assert status == 413, received
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert received.startswith(b"HTTP/1.1 413 Payload Too Large\r\n")
    details = {"message": "request entity too large", "error": "Payload Too Large", "statusCode": 413}
    assert_envelope(answer.decode(), 413, "request entity too large", line.schedules_path(), details)


def test_a_body_over_the_limit_is_enveloped_behind_other_requests_too(line: Line) -> None:
    with line.connect() as connection:
        connection.sendall(request(line, "GET", "/healthz"))
        receive_until(connection, lambda data: b'"ok"' in data)
        connection.sendall(request(line, "POST", line.schedules_path(), b"x" * (100 * 1024 + 1)))
        [(status, headers, answer)] = parse_answers(receive_all(connection))
    assert (status, headers["content-type"]) == (413, "application/json; charset=utf-8")
    assert (json.loads(answer)["error"]["code"], json.loads(answer)["path"]) == ("PayloadTooLargeException",
                                                                                line.schedules_path())


@pytest.mark.parametrize(("target", "shown"), [
    ("/v2/schedules?a=1", "/v2/schedules?a=1"), ("/api/v2/ee/schedules", "/v2/schedules"), ("http://x.example/v2/a", "/v2/a"),
    ("/v2/" + "y" * 12_000, "/v2/" + "y" * 12_000), ("/v2/\"<\xff>", "/v2/%22%3C%FF%3E")])
@pytest.mark.parametrize("step", [7, 100_000])
def test_a_refusal_names_the_path(line: Line, target: str, shown: str, step: int) -> None:
    """However the request comes, and behind another one."""
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n".encode("latin-1")
    with line.connect() as connection:
        text = request(line, "GET", "/v2/nothing") + head
        for at in range(0, len(text), step):
            connection.sendall(text[at:at + step])
        answers = parse_answers(receive_all(connection))
    assert [(answer[0], json.loads(answer[2])["path"]) for answer in answers] == [(404, "/v2/nothing"), (413, shown)]


@pytest.mark.parametrize("length", [b"102401", b"9223372036854775807", b"99999999999999999999"])
def test_a_body_announced_over_the_limit_is_refused_without_waiting_for_it(line: Line, length: bytes) -> None:
    begin = time.monotonic()
    [(status, _, _)] = parse_answers(line.raw(b"POST /v2 HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n"))
    assert status == 413
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("text", [
    b"nonsense\r\n\r\n", b"GET /healthz HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"\0\0\0\0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"])
def test_what_is_no_request_is_refused_and_the_connection_closed(line: Line, text: bytes) -> None:
    received = line.raw(text)
    if received:
        status, _, body = parse_answers(received)[0]
        assert 400 <= status < 600
        assert json.loads(body)["status"] == "error"
    assert line.request("GET", "/healthz").status_code == 200


def test_clients_that_leave_in_the_middle_disturb_nobody(line: Line) -> None:
    whole = post_request(line, "left")
    for length in (1, 30, len(whole) - 1):
        with line.connect() as connection:
            connection.sendall(whole[:length])
    for _ in range(10):  # sent whole, and the answer is not waited for
        with line.connect() as connection:
            connection.sendall(whole)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.answers.unknown += 1
    assert line.post(MINIMAL).status_code == 201
    until(lambda: line.metric("schedule_http_in_flight") <= 1, "nothing is in flight but the question itself")


def test_a_client_that_drips_is_cut_off_and_others_are_served(line: Line) -> None:
    whole = post_request(line, "dripped")
    ended: dict[int, float] = {}

    def drip(start: int) -> None:
        """Sends all before `start` at once and then a byte every 200 ms, until the service has had enough."""
        begin = time.monotonic()
        with line.connect() as connection:
            try:
                connection.sendall(whole[:start])
                for byte in whole[start:-1]:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.2)
            except OSError:
                ended[start] = time.monotonic() - begin

    threads = [threading.Thread(target=drip, args=(start,)) for start in (0, whole.index(b"\r\n\r\n") + 4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        begin = time.monotonic()
        assert line.post(MINIMAL).status_code == 201
        assert time.monotonic() - begin < 2
        time.sleep(0.25)
    assert len(ended) == 2
    assert all(8 < seconds < 14 for seconds in ended.values()), ended


def test_connections_beyond_the_limit_are_answered_503(make_line: MakeLine) -> None:
    line = make_line(HTTP_MAX_CONNECTIONS="10")
    line.start()
    line.http.close()
    held = [line.connect() for _ in range(10)]
    try:
        for connection in held:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert receive_until(connection, lambda data: b"ok" in data).startswith(b"HTTP/1.1 200")
        with line.connect() as connection:
            received = receive_all(connection)
        if received:
            [(status, headers, body)] = parse_answers(received)
            assert (status, json.loads(body)["error"]["code"]) == (503, "ServiceUnavailableException")
            assert headers["retry-after"]
    finally:
        for connection in held:
            connection.close()
    until(lambda: line.request("GET", "/healthz").status_code == 200, "there is room again")
    assert line.metric("schedule_http_connections_refused_total") >= 1


def test_who_holds_all_connections_makes_room_for_another_address(make_line: MakeLine) -> None:
    line = make_line(HTTP_MAX_CONNECTIONS="10")
    line.start()
    until(lambda: line.metric("schedule_http_connections") == 1, "ours is the only one")
    host, port = line.service.env["HTTP_LISTEN"].split(":")
    held = [socket.create_connection((host, int(port)), 15, ("127.0.0.2", 0)) for _ in range(9)]
    try:
        until(lambda: line.metric("schedule_http_connections") == 10, "all others are theirs")
        for oldest in held[:3]:
            with line.connect() as another:
                another.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert receive_until(another, lambda data: b"ok" in data).startswith(b"HTTP/1.1 200")
                assert oldest.recv(1) == b""
            until(lambda: line.metric("schedule_http_connections") == 9, "there is room again")
            held.append(socket.create_connection((host, int(port)), 15, ("127.0.0.2", 0)))
            until(lambda: line.metric("schedule_http_connections") == 10, "it is taken")
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize("head", [
    b"GET /healthz\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    b"GET /healthz HTTP/1.1\nHost: x\nA\0: b\n\n",
    b"POST /v2/schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 0\0\r\n\r\n",
    b"POST /v2/schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\0: x\r\n\r\n{}",
])
@pytest.mark.parametrize("is_second", [False, True])
def test_nul_in_a_head_is_refused(line: Line, head: bytes, is_second: bool) -> None:
    before = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\0\n\0" if is_second else b""
    answers = parse_answers(line.raw(before + head))
    assert [answer[0] for answer in answers] == [404] * is_second + [400]
    assert json.loads(answers[-1][2])["error"]["code"] == "BadRequestException"


def test_nul_in_a_body_is_no_matter_of_the_head(line: Line) -> None:
    post = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n\0\r\n\r\n\0\0\0"
    for pause_s in (0, 0.1):
        with line.connect() as connection:
            for text in (post[:-4], post[-4:], post, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
                connection.sendall(text)
                time.sleep(pause_s)
            assert [answer[0] for answer in parse_answers(receive_all(connection))] == [404, 404, 200]


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
@pytest.mark.parametrize("sent", [0, 10, 50_000])
def test_a_refused_method_ends_the_connection(line: Line, method: str, sent: int) -> None:
    behind = b"POST /v2/schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000)
    head = f"{method} x:1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    [(status, headers, body)] = parse_answers(line.raw(head + behind[:sent], deadline_s=5))
    assert (status, headers["connection"], json.loads(body)["path"]) == (501, "close", "x:1")


def test_what_one_address_has_under_way_has_a_maximum(line: Line) -> None:
    host, port = line.service.env["HTTP_LISTEN"].split(":")
    head = b"POST /v2/schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"

    def hold(address: str) -> socket.socket:
        connection = socket.create_connection((host, int(port)), 15, (address, 0))
        connection.sendall(head + bytes(90_000))
        return connection

    others = [hold("127.0.0.3") for _ in range(30)]
    theirs = [hold("127.0.0.2") for _ in range(80)]  # 7 MB, of which an address may have 4
    try:
        until(lambda: line.metric('schedule_http_requests_total{route="none",status="503"}') >= 30, "some of theirs are refused")
        for connection in others:
            connection.sendall(bytes(10_000))
            assert receive_until(connection, lambda data: b"}" in data).startswith(b"HTTP/1.1 401")
        assert line.metric('schedule_http_requests_total{route="none",status="503"}') < 60
    finally:
        for connection in [*others, *theirs]:
            connection.close()


def test_a_service_with_few_descriptors_keeps_some_for_its_servers(make_line: MakeLine) -> None:
    line = make_line()
    replica = line.start(wait=False)
    limited = line.directory / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -S -n 64\nulimit -H -n 600\nexec "{BINARY}" "$@"\n')
    limited.chmod(0o755)
    replica.kill9()
    replica.binary = limited
    replica.start()
    line.wait_log("fewer HTTP connections than HTTP_MAX_CONNECTIONS")
    assert "connections=344 wanted=4096 descriptors=600" in line.log()
    host, port = replica.env["HTTP_LISTEN"].split(":")
    held = [socket.create_connection((host, int(port)), 15, ("127.0.0.2", 0)) for _ in range(500)]
    try:
        line.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        until(lambda: line.post(MINIMAL).status_code == 201, "the database is reached again")
    finally:
        for connection in held:
            connection.close()
