"""A network namespace of its own for a run of tests, with loopback only: whatever a test, or a fault of the service, sends anywhere
reaches nobody. What is not loopback's is given to it by `add_address`, so that a test sees who connects there."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

from servers import wait_until

WAYS = (("unshare", "--net"), ("unshare", "--map-current-user", "--keep-caps", "--net"))  # of root, and of anybody where that is allowed
NEEDED = ("there is more than loopback here, and no namespace could be made: run it as root (a container: with CAP_SYS_ADMIN), "
          "or set sysctl kernel.unprivileged_userns_clone=1")
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
IFF_UP = 1
ANOTHER = "198.51.100.1"  # of a documentation network: who has 127.0.0.1 alone is taken for one without IPv4 (AI_ADDRCONFIG)
LOOPBACK = socket.if_nametoindex("lo")


def _flags(interface: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return int(struct.unpack("16xh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh", interface.encode(), 0))[:18])[0])


def is_isolated() -> bool:
    """Whether no interface but loopback is up."""
    return not any(_flags(name) & IFF_UP for _, name in socket.if_nameindex() if name != "lo")


def isolating() -> tuple[str, ...]:
    """The words before a command that is to run in a namespace of its own, without any interface that is up; none where that is not allowed."""
    return next((way for way in WAYS if subprocess.run([*way, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0), ())


def enter() -> None:
    """Begins this program again in a namespace, unless it is in one. Where none can be made it goes on as it is."""
    if not is_isolated():
        way = isolating()
        if way:
            os.execvp(way[0], [*way, sys.executable, *sys.orig_argv[1:]])
    elif not _flags("lo") & IFF_UP:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", _flags("lo") | IFF_UP))
        add_address(ANOTHER)


def _sockaddr(address: ipaddress.IPv4Address) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, address.packed)


def _can_bind(address: str) -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.bind((address, 0))
        except OSError:
            return False
        return True


def add_address(text: str) -> None:
    """One more of loopback's. Adding it again changes nothing."""
    assert is_isolated(), NEEDED
    address = ipaddress.ip_address(text)
    if address.is_loopback:
        return
    if isinstance(address, ipaddress.IPv6Address):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
            with contextlib.suppress(FileExistsError):
                fcntl.ioctl(any_socket, SIOCSIFADDR, struct.pack("=16sIi", address.packed, 128, LOOPBACK))
        assert wait_until(lambda: _can_bind(text), 10), text  # the kernel takes a moment
        return
    alias = f"lo:{int(address):x}".encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFADDR, struct.pack("16s16s8x", alias, _sockaddr(address)))
        fcntl.ioctl(any_socket, SIOCSIFNETMASK, struct.pack("16s16s8x", alias, _sockaddr(ipaddress.IPv4Address("255.255.255.255"))))


def resolvers() -> list[str]:
    """Whom programs of this machine ask for names."""
    text = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""
    return re.findall(r"^nameserver\s+([0-9.]+)$", text, re.MULTILINE) or ["127.0.0.1"]
