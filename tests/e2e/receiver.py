"""A receiver of webhooks on 127.0.0.1 that answers as a test tells it, and keeps what it got."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from servers import wait_until


@dataclass(frozen=True)
class Got:
    """One request, and what was answered. status 0: nothing was."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    status: int
    at: float

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


# What to answer to a request, by its number (from 0) at its path: a status, (status, headers), or "hang", "reset", "drip", "babble" (what is no
# HTTP), "tear" (a reset within the answer's body). A header "bytes" says how long the body is.
Script = Callable[[int, Got], Any]


class Receiver:
    """Over TLS where it has a context. Ends with `close`."""

    def __init__(self, script: Script = lambda number, got: 200, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.got: list[Got] = []
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}
        self.ending = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_POST(self) -> None:
                receiver._receive(self)

            def log_message(self, *arguments: Any) -> None:
                """Nowhere."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, request: Any, address: Any) -> None:
                """A sender may go at any time."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.is_tls = tls is not None
        if tls is not None:  # the handshake is a handler's, at its first read
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self.is_tls else ''}://{host}:{self.port}{path}"

    def close(self) -> None:
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()

    def _receive(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        got = Got(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body, 0, time.monotonic())
        with self.lock:
            number = self.counts.get(handler.path, 0)
            self.counts[handler.path] = number + 1
        answer = self.script(number, got)
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        with self.lock:
            self.got.append(Got(got.path, got.headers, got.body, status if isinstance(status, int) else 0, got.at))
        if status == "hang":
            self.ending.wait(60)
            handler.close_connection = True
        elif status == "reset":
            self._reset(handler)
        elif status == "tear":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
            self._reset(handler)
        elif status == "drip":
            self._drip(handler)
        elif status == "babble":
            handler.wfile.write(b"200 OK\r\n")
            handler.close_connection = True
        else:
            self._answer(handler, status, headers)

    @staticmethod
    def _reset(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        handler.connection.close()
        handler.close_connection = True

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        content = b"x" * int(headers.pop("bytes", 0))
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not self.ending.wait(0.5):
            handler.wfile.write(b"x")
        handler.close_connection = True

    # ---- what it got

    def at(self, path: str = "/hook") -> list[Got]:
        with self.lock:
            return [got for got in self.got if got.path == path]

    def acknowledged(self, path: str = "/hook") -> list[str]:
        """The events that it has acknowledged, each at its first time."""
        return list(dict.fromkeys(got.event_id for got in self.at(path) if 200 <= got.status < 300))

    def wait_for(self, events: set[str] | list[str], path: str = "/hook", deadline_s: float = 20) -> None:
        """Until all of these are acknowledged."""
        wanted = set(events)
        assert wait_until(lambda: wanted <= set(self.acknowledged(path)), deadline_s), wanted - set(self.acknowledged(path))

    def assert_in_order(self, path: str = "/hook") -> None:
        """The versions of each schedule were acknowledged for the first time in their order."""
        last: dict[str, int] = {}
        for event in self.acknowledged(path):
            schedule, version = event.split(".")
            assert int(version) > last.get(schedule, 0), (event, self.acknowledged(path))
            last[schedule] = int(version)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, ACK, END_HEADERS = 1, 1, 4
STATUS_200 = b"\x88"  # RFC 7541, appendix A


class Http2Receiver:
    """Speaks nothing but HTTP/2, acknowledges everything, and keeps the bodies. It does not read the headers. Ends with `close`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        tls.set_alpn_protocols(["h2"])
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.bodies: list[bytes] = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, host: str) -> str:
        return f"https://{host}:{self.listener.getsockname()[1]}/hook"

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # ends its accept
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self.tls.wrap_socket(connection, server_side=True) as wrapped, wrapped.makefile("rwb") as stream:
                if wrapped.selected_alpn_protocol() == "h2" and stream.read(len(PREFACE)) == PREFACE:
                    self.connections += 1
                    self._write(stream, SETTINGS, 0, 0, b"")
                    self._answer_all(stream)
        except (OSError, struct.error):
            return  # a sender may go at any time

    def _answer_all(self, stream: Any) -> None:
        """RFC 9113, section 4.1."""
        bodies: dict[int, bytes] = {}
        while True:
            high, low, kind, flags, number = struct.unpack(">BHBBI", stream.read(9))
            payload = stream.read(high << 16 | low)
            if kind == SETTINGS and not flags & ACK:
                self._write(stream, SETTINGS, ACK, 0, b"")
            if kind == DATA:
                bodies[number] = bodies.get(number, b"") + payload
            if kind == DATA and flags & END_STREAM:
                self.bodies.append(bodies.pop(number))
                self._write(stream, HEADERS, END_STREAM | END_HEADERS, number, STATUS_200)

    @staticmethod
    def _write(stream: Any, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream.write(struct.pack(">BHBBI", 0, len(payload), kind, flags, number) + payload)
        stream.flush()
