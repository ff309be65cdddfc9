"""Names of tests, in a network namespace of loopback only: there the addresses of the machine's resolvers are loopback's."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterable

from namespace import add_address, resolvers

A, AAAA = 1, 28


class Names:
    """A server of names. Each has what it resolves to, once after the other; the last stays. What is asked for IPv4 counts. Ends with
    `close`."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers
        self.asked: dict[str, int] = defaultdict(int)
        self.ending = threading.Event()
        self.threads = []
        for address in resolvers():
            add_address(address)
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((address, 53))
            one.settimeout(0.1)
            self.threads.append(threading.Thread(target=self._serve, args=(one,), daemon=True))
            self.threads[-1].start()

    def close(self) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _serve(self, one: socket.socket) -> None:
        with one:
            while not self.ending.is_set():
                with contextlib.suppress(TimeoutError):
                    query, asker = one.recvfrom(4096)
                    one.sendto(self._answer(query), asker)

    def _answer(self, query: bytes) -> bytes:
        """RFC 1035, section 4."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack_from(">H", query, at + 1)[0]
        found = self._addresses(".".join(labels).lower(), kind)
        if found is None:
            return query[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0) + query[12:at + 5]  # NXDOMAIN
        records = b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(one)) + one for one in found)
        return query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:at + 5] + records

    def _addresses(self, name: str, kind: int) -> list[bytes] | None:
        if name not in self.answers:
            return None
        turns = self.answers[name]
        turn = turns[min(self.asked[name], len(turns) - 1)]
        if kind == A:
            self.asked[name] += 1
        return [address.packed for address in map(ipaddress.ip_address, turn) if {4: A, 6: AAAA}[address.version] == kind]


class Trap:
    """Listens at addresses where nobody may connect to. `add_address` makes them loopback's."""

    def __init__(self, addresses: Iterable[str], port: int) -> None:
        self.connected: list[str] = []
        self.sockets = []
        for address in addresses:
            add_address(address)
            one = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
            self.sockets.append(one)
            threading.Thread(target=self._serve, args=(one, address), daemon=True).start()

    def close(self) -> None:
        for one in self.sockets:
            one.shutdown(socket.SHUT_RDWR)  # ends its accept
            one.close()

    def _serve(self, one: socket.socket, address: str) -> None:
        while True:
            try:
                one.accept()[0].close()
            except OSError:
                return
            self.connected.append(address)
