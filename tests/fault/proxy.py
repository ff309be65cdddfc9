"""A TCP proxy on loopback, and the weather it can be made to have: slow, in drops, silent, or cut at one exact byte."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Protocol

CHUNK = 65536


class Cut(Exception):
    """Ends the connection on both sides, with a reset."""


class Link:
    """A connection through the proxy. A weather may keep what it knows of it in `notes`."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.notes: dict[object, object] = {}

    def close(self) -> None:
        for end in (self.client, self.server):
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other direction was quicker


class Weather(Protocol):
    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        """What becomes of a chunk: yields what is passed on and may take its time. Raises Cut."""


def calm(link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
    yield data


class Proxy:
    """Listens on `port` and forwards to `target`. `weather` may be changed at any time; connections stay."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self.weather: Weather = calm
        self.links: set[Link] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_all(self) -> None:
        for link in list(self.links):
            link.close()

    def close(self) -> None:
        self._listener.close()
        self.cut_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            self._link(client, server)

    def _link(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server)
        self.links.add(link)
        for is_request, source, sink in ((True, client, server), (False, server, client)):
            threading.Thread(target=self._relay_loop, args=(link, is_request, source, sink), daemon=True).start()

    def _relay_loop(self, link: Link, is_request: bool, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(CHUNK):
                for piece in self.weather(link, is_request, data):
                    sink.sendall(piece)
        except (OSError, Cut):
            pass
        link.close()
        self.links.discard(link)


# ---- weathers of any protocol

class Delay:
    """Each chunk comes late."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        time.sleep(self.seconds)
        yield data


class Narrow:
    """So many bytes a second go to the server on each connection."""

    def __init__(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        if is_request:
            time.sleep(len(data) / self.bytes_per_s)
        yield data


class Drip:
    """A few bytes at a time."""

    def __init__(self, size: int, seconds: float) -> None:
        self.size, self.seconds = size, seconds

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), self.size):
            yield data[start:start + self.size]
            time.sleep(self.seconds)


class BlackHole:
    """Nothing comes through and nobody is told, until `end`: then everything comes, late."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        self.end.wait()
        yield data


# ---- PostgreSQL

SYNC = b"S\0\0\0\4"   # the client's last message of a transaction in a pipeline
READY = b"Z\0\0\0\5"  # the server's answer to it: all is over,
DONE = b"SELECT "      # and this beside it says that nothing was refused, so that it is committed


WORK_S = 0.05         # enough for the server to carry out what it is then told to commit


class CutAtCommit:
    """Once: cuts the connection of a transaction whose beginning holds all of `marks` when the server has done all of it but is not
    told to commit it, or right after it has committed."""

    def __init__(self, *marks: bytes, is_after: bool) -> None:
        self.marks, self.is_after = marks, is_after
        self.done = threading.Event()

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        if is_request and all(mark in data for mark in self.marks):
            link.notes[self] = True
        if self not in link.notes or self.done.is_set():
            yield data
        elif self.is_after and not is_request and READY in data and DONE in data:
            self._fire()
        elif not self.is_after and is_request and data.endswith(SYNC):
            yield data[:-len(SYNC)]
            time.sleep(WORK_S)
            self._fire()
        else:
            yield data

    def _fire(self) -> None:
        self.done.set()
        raise Cut


# ---- Kafka

CREATE_TOPICS, END_TXN = 19, 26  # https://kafka.apache.org/protocol.html#protocol_api_keys


class HoldEndTxn:
    """Once: the broker carries out an EndTxn request, and its answer comes `seconds` late."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.seen = threading.Event()
        self.done = threading.Event()

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        if is_request and not self.seen.is_set() and END_TXN in _api_keys(data):
            self.seen.set()
            link.notes["held"] = True
        elif not is_request and link.notes.pop("held", False):
            time.sleep(self.seconds)
            self.done.set()
        yield data


class CutAt:
    """Once: the connection is reset when such a request is on its way, of which the broker does not hear."""

    def __init__(self, api_key: int) -> None:
        self.api_key = api_key
        self.done = threading.Event()

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        if is_request and not self.done.is_set() and self.api_key in _api_keys(data):
            self.done.set()
            raise Cut
        yield data


class Swallow:
    """The broker never hears of such requests, or not of the first of them."""

    def __init__(self, api_key: int, is_once: bool = False) -> None:
        self.api_key, self.is_once = api_key, is_once
        self.done = threading.Event()

    def __call__(self, link: Link, is_request: bool, data: bytes) -> Iterator[bytes]:
        if is_request and self.api_key in _api_keys(data) and not (self.is_once and self.done.is_set()):
            self.done.set()
        else:
            yield data


def _api_keys(data: bytes) -> list[int]:
    """Of the requests that begin in a chunk which begins with a request."""
    keys = []
    while len(data) >= 6:
        length, key = struct.unpack_from(">ih", data)
        keys.append(key)
        data = data[4 + length:]
    return keys
