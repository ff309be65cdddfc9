"""What the service costs before it has done anything: its start, its memory at rest, and the instructions of its pure part."""

from __future__ import annotations

import http.client
import re
import subprocess
import time
from pathlib import Path

from rig import World, memory_mib, servers, wait_for

IDLE_S = 3
WAITING = 1000  # commands
FEW, MANY = 1000, 3000


def cost(world: World) -> dict[str, float]:
    service = world.service()
    try:
        begin = time.monotonic()
        service.start(wait=False)
        wait_for(lambda: is_ready(service), 0.002)
        ready_s = time.monotonic() - begin
        time.sleep(IDLE_S)
        idle_mib = memory_mib(service.pid, "VmRSS")
        service.stop()  # it leaves its group, which else waits for its session to end
    finally:
        service.close()
    return {"ready_ms": ready_s * 1000, "first_row_ms": first_row_ms(world), "idle_mib": idle_mib,
            "instructions": instructions(world.binary.parent / "tests/pure")}


def first_row_ms(world: World) -> float:
    """From start to the first row of commands that wait."""
    world.produce(WAITING)
    service = world.service()
    with world.database() as database:
        def is_stored() -> bool:
            database.execute("SELECT EXISTS (SELECT FROM schedules)")
            return bool(database.fetchone()[0])

        try:
            begin = time.monotonic()
            service.start(wait=False)
            wait_for(is_stored, 0.002)
            return (time.monotonic() - begin) * 1000
        finally:
            service.close()


def is_ready(service: servers.Service) -> bool:
    connection = http.client.HTTPConnection(service.env["HTTP_LISTEN"], timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def instructions(pure: Path) -> float:
    return (count(pure, MANY) - count(pure, FEW)) / (MANY - FEW)


def count(pure: Path, commands: int) -> int:
    """Instructions of the whole program that does the pure part of so many commands."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(pure), str(commands)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    assert collected, done.stderr
    return int(collected[1])
