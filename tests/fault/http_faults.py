"""Hostile clients at the HTTP port, while a well-behaved one goes on. Each function brings crowds of one kind and returns when every
connection has ended as it should, and memory and descriptors are back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bystanders import MINIMAL, calling, warm_up
from rig import Rig
from servers import wait_until

OPENING = 200  # connections at once, of those that a crowd opens
LEFT_KIB = 24 * 1024  # of resident memory that may remain of a crowd: what the allocator keeps of the budgets
LEFT_DESCRIPTORS = 16  # what comes later to Kafka and the database
REPLY_S = 20  # that a client has to take a reply
SMUGGLED = "Smuggled"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Talk = Callable[[Reader, Writer], Awaitable[bytes]]  # what a client says; what it was answered until the service closed


@dataclass(frozen=True)
class Crowd:
    """`allowed` are the statuses that a connection may have been answered when the service closes it, 0 for none, and `deadline_s` is
    how long that may take."""

    what: str
    talk: Talk
    count: int
    allowed: set[int]
    deadline_s: float
    needed: int = 0  # the status that at least one of them must have been answered; 0: any will do
    receive_bytes: int = 0  # of the client's socket; 0: the system's default


# ---- the crowds

def _resident_kib(rig: Rig) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{rig.service.pid}/status").read_text())
    assert found
    return int(found[1])


def _descriptors(rig: Rig) -> int:
    return len(os.listdir(f"/proc/{rig.service.pid}/fd"))


def _besiege(rig: Rig, p99_ms: float, *crowds: Crowd) -> None:
    """One crowd after the other. What is compared afterwards is of a process that has opened all its connections."""
    warm_up(rig)
    resident, descriptors = _resident_kib(rig), _descriptors(rig)
    with calling(rig, p99_ms):
        for crowd in crowds:
            begin = time.monotonic()
            answers = asyncio.run(_meet(rig, crowd))
            rig.faults += crowd.count
            print(f"      {crowd.what}: {dict(Counter(answers))} in {time.monotonic() - begin:.1f} s", flush=True)
            assert set(answers) <= crowd.allowed, f"{crowd.what}: answered {set(answers) - crowd.allowed}"
            assert not crowd.needed or crowd.needed in answers, f"{crowd.what}: nobody was answered {crowd.needed}"
            assert wait_until(lambda: rig.metric("schedule_http_connections") <= 2, 10), "more than the caller's and ours are left"
    left = f"of {resident} KiB there are {_resident_kib(rig)} afterwards"
    print(f"      {left}", flush=True)
    assert rig.has_sanitizers or wait_until(lambda: _resident_kib(rig) <= resident + LEFT_KIB, 10), left
    assert wait_until(lambda: _descriptors(rig) <= descriptors + LEFT_DESCRIPTORS, 10), "descriptors are left"


async def _meet(rig: Rig, crowd: Crowd) -> list[int]:
    """The last status that each of the crowd was answered."""
    host, port = rig.service.env["HTTP_LISTEN"].split(":")
    opening = asyncio.Semaphore(OPENING)

    async def come() -> int:
        connection = socket.socket()
        connection.setblocking(False)
        if crowd.receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, crowd.receive_bytes)
        async with opening:
            await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=connection, limit=2048 if crowd.receive_bytes else 65536)
        try:
            received = await asyncio.wait_for(crowd.talk(reader, writer), crowd.deadline_s)
        except ConnectionError:
            received = bytes(reader._buffer)  # type: ignore[attr-defined]  # what came before the reset
        finally:
            writer.close()
        return int((STATUS.findall(received) or [b"0"])[-1])

    return await asyncio.gather(*(come() for _ in range(crowd.count)))


def _say(*texts: bytes, pause_s: float = 0, ends: bool = False) -> Talk:
    """One text after the other, until the service closes."""

    async def talk(reader: Reader, writer: Writer) -> bytes:
        answer = asyncio.ensure_future(reader.read())
        for text in texts:
            writer.write(text)
            try:
                await writer.drain()
            except ConnectionError:  # it was closed, and the answer came before that
                break
            if pause_s and (await asyncio.wait([answer], timeout=pause_s))[0]:
                break
        if ends:
            writer.write_eof()
        return await answer

    return talk


def _all_at_once(count: int, talk: Talk) -> Talk:
    """Nobody says a word before all have come."""
    come, everybody = 0, asyncio.Event()

    async def wait(reader: Reader, writer: Writer) -> bytes:
        nonlocal come
        come += 1
        if come == count:
            everybody.set()
        await everybody.wait()
        return await talk(reader, writer)

    return wait


def _head(rig: Rig, method: str = "POST", path: str = "", *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path or rig.schedules_path()} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def drip(rig: Rig, count: int, p99_ms: float = 0) -> None:
    """Half of them in the head, half in the body, all at once; a whole request has 10 s."""
    head = _head(rig, "POST", "", "Content-Length: 1000")
    drops = [b"x"] * 60
    talks = cycle([_say(head[:20], *drops, pause_s=0.5), _say(head, *drops, pause_s=0.5)])
    _besiege(rig, p99_ms, Crowd("drips", lambda reader, writer: next(talks)(reader, writer), count, {0}, 25))


def swell(rig: Rig, count: int, p99_ms: float = 0) -> None:
    """Large heads and bodies, of which none ends."""
    start = _head(rig)[:-2]
    _besiege(
        rig, p99_ms,
        Crowd("held bodies", _say(_head(rig, "POST", "", "Content-Length: 100000") + bytes(99_000)), count, {0, 503}, 25, needed=503),
        Crowd("held chunks", _say(_head(rig, "POST", "", "Transfer-Encoding: chunked"), *[b"3e8\r\n" + bytes(1000) + b"\r\n"] * 99),
              count, {0, 503}, 25, needed=503),
        Crowd("held headers", _say(start + (b"a: " + bytes([97] * 70) + b"\r\n") * 200), count, {0, 503}, 25, needed=503),
        Crowd("many headers", _say(start + b":\n" * 8000), count, {0, 400, 503}, 25, needed=400),
        Crowd("endless headers", _say(start, *[b"a: b\r\n" * 1000] * 50), count // 4, {0, 400, 503}, 25),
        Crowd("huge bodies", _say(_head(rig, "POST", "", "Content-Length: 1000000000"), *[bytes(65536)] * 20), count // 4, {0, 413}, 25,
              needed=413),
        Crowd("endless chunks", _say(_head(rig, "POST", "", "Transfer-Encoding: chunked"), *[b"10000\r\n" + bytes(65536) + b"\r\n"] * 20),
              count // 4, {0, 413, 503}, 25, needed=413))


def half_send(rig: Rig, count: int, p99_ms: float = 0) -> None:
    """Nobody knows who: bodies of 100 KB of which the last byte does not come; all at once."""
    whole = _head(rig, "POST", "", "Content-Length: 100000")
    _besiege(rig, p99_ms, Crowd("half-sent bodies", _all_at_once(count, _say(whole + bytes(99_999))), count, {0, 503}, 60))


def connect(rig: Rig, count: int, p99_ms: float = 0) -> None:
    """What no server but a proxy takes, with a body that does not end, and with a request behind it that does not: its connection is closed
    as any other."""
    start = _head(rig, "CONNECT", "example.org:443", "Content-Length: 100000")
    behind = _head(rig, "POST", "", "Content-Length: 100000") + bytes(90_000)
    _besiege(rig, p99_ms, Crowd("CONNECT", _say(start + bytes(50_000)), count, {0, 405, 501, 503}, 40),
             Crowd("CONNECT and more", _say(_head(rig, "CONNECT", "example.org:443"), behind, pause_s=0.5), count, {0, 405, 501, 503}, 15))


def send_ahead(rig: Rig, count: int, p99_ms: float = 0) -> None:
    """What is sent behind requests whose answers nobody takes."""
    asked = _head(rig, "GET", "/openapi.json") * 8
    _besiege(rig, p99_ms, Crowd("sent ahead", _say(asked, *[bytes(10_000)] * 9, pause_s=0.2), count, {0, 200, 400, 503}, 60,
                                receive_bytes=2048))


def read_slowly(rig: Rig, count: int, p99_ms: float = 0) -> None:
    """A list of more than a megabyte is asked for and not read; a whole answer has its time to be taken."""
    owner = rig.make_owners(1)[0]
    overrides = [{"date": f"20{year}-{month:02}-{day:02}", "startTime": "10:00", "endTime": "11:00"}
                 for year in range(30, 33) for month in range(1, 13) for day in range(1, 28)]
    for _ in range(20):
        assert rig.post(MINIMAL | {"overrides": overrides}, owner).status_code == 201
    ask = _head(rig, "GET", rig.schedules_path(owner), f"Authorization: Bearer {rig.people.admin_key}")

    last = ask[:-2] + b"Connection: close\r\n\r\n"
    before = _descriptors(rig)
    coming = asyncio.Semaphore(1)  # what a list costs the service is not what is tried here

    async def talk(reader: Reader, writer: Writer) -> bytes:
        async with coming:
            writer.write(ask * 3 + last)
            received = await reader.read(1024)
            await asyncio.sleep(0.05)
        while _descriptors(rig) > before + LEFT_DESCRIPTORS:  # what the service has closed still has all that is to be read
            await asyncio.sleep(1)
        return received

    _besiege(rig, p99_ms, Crowd("slow readers", talk, count, {0, 200, 503}, 3 * REPLY_S, receive_bytes=2048))


# ---- requests that two readers may understand differently

def _framings(rig: Rig) -> dict[str, bytes]:
    """Each is to be refused, with the request that it carries."""
    body = json.dumps(MINIMAL | {"name": SMUGGLED}).encode()
    key = f"Authorization: Bearer {rig.people.admin_key}"
    hidden = _head(rig, "POST", "", key, "Content-Type: application/json", f"Content-Length: {len(body)}") + body
    whole, chunk = f"Content-Length: {len(hidden)}", b"0\r\n\r\n" + hidden

    def carried(*headers: str) -> bytes:
        return _head(rig, "POST", "", key, "Content-Type: application/json", *headers)

    return {
        "two lengths": carried("Content-Length: 0", whole) + hidden,
        "two lengths, the other way": carried(whole, "Content-Length: 0") + hidden,
        "a list of lengths": carried("Content-Length: 0, 0") + hidden,
        "length and chunks": carried(whole, "Transfer-Encoding: chunked") + chunk,
        "chunks and length": carried("Transfer-Encoding: chunked", "Content-Length: 5") + chunk,
        "two codings": carried("Transfer-Encoding: identity", "Transfer-Encoding: chunked") + chunk,
        "unknown coding": carried("Transfer-Encoding: xchunked") + chunk,
        "coding twice": carried("Transfer-Encoding: chunked, chunked") + chunk,
        "folded coding": carried("Transfer-Encoding:", " chunked") + chunk,
        "folded length": carried("Content-Length: 0", f" {len(hidden)}") + hidden,
        "space before colon": carried(whole.replace(":", " :")) + hidden,
        "tab before colon": carried("Transfer-Encoding\t: chunked") + chunk,
        "fold of nothing": carried().replace(b"Host", b" Host") + hidden,
        "signed length": carried("Content-Length: +0") + hidden,
        "negative length": carried("Content-Length: -1") + hidden,
        "hexadecimal length": carried("Content-Length: 0x0") + hidden,
        "bad chunk": carried("Transfer-Encoding: chunked") + b"zz\r\n" + chunk,
        "negative chunk": carried("Transfer-Encoding: chunked") + b"-1\r\n" + chunk,
        "endless chunk": carried("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n" + chunk,
    }


def confuse(rig: Rig, count: int, p99_ms: float = 0) -> None:
    """Framings that are in doubt, thousands of requests on a connection, and connections that are closed on one side."""
    get, post = _head(rig, "GET", "/healthz"), _head(rig, "POST", "", "Content-Length: 1000")
    _besiege(
        rig, p99_ms,
        *(Crowd(what, _say(text), 3, {400, 413, 501}, 25) for what, text in _framings(rig).items()),
        Crowd("pipelined", _pipeline(rig, count * 4), 4, {404}, 25),
        Crowd("half-closed behind a request", _say(get, ends=True), count, {0, 200}, 25, needed=200),
        Crowd("half-closed in a head", _say(get[:20], ends=True), count, {0}, 25),
        Crowd("half-closed in a body", _say(post + b"x", ends=True), count, {0}, 25))
    assert rig.sql("SELECT count(*) FROM schedules WHERE name = %s", SMUGGLED) == [(0,)], "a request was smuggled"


def _pipeline(rig: Rig, count: int) -> Talk:
    """Each answer tells the path that was asked for."""

    async def talk(reader: Reader, writer: Writer) -> bytes:
        received = asyncio.ensure_future(reader.read())
        for number in range(count):
            headers = ["Connection: close"] if number == count - 1 else []
            writer.write(_head(rig, "GET", f"/nothing/{number}", *headers))
            await writer.drain()
        paths = [int(path) for path in re.findall(rb'"path":"/nothing/(\d+)"', await received)]
        assert paths == list(range(count)), "answers are out of step"
        return received.result()

    return talk
