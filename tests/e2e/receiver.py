"""A receiver of webhooks on 127.0.0.1 that answers as a test tells it, and keeps what it got."""

from __future__ import annotations

import json
import socket
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


# What to answer to a request, by its number (from 0) at its path: a status, (status, headers), or "hang", "reset", "drip".
Script = Callable[[int, Got], Any]


class Receiver:
    """Ends with `close`."""

    def __init__(self, script: Script = lambda number, got: 200) -> None:
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
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

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
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.connection.close()
            handler.close_connection = True
        elif status == "drip":
            self._drip(handler)
        else:
            self._answer(handler, status, headers)

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
