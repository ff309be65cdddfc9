"""HTTP: creates and reads under wrk beside evhttp alone, and creates at half of their peak in an open loop."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from limits import parse
from rig import FIRST_OWNER, OWNERS, ROOT, TOOLS, World, cpu_us, servers

CONNECTIONS = (1, 16, 64, 256)
SECONDS = 4
CREATE = "/v2/organizations/{org}/users/{owner}/schedules"
READ = CREATE + "/{id}"
BODY = {"name": "Working hours", "timeZone": "Europe/Rome", "isDefault": False,
        "availability": [{"days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"], "startTime": "09:00",
                          "endTime": "17:00"}]}
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class Evhttp(servers.Server):
    """evhttp alone, answering with a body of so many bytes."""

    name = "evhttp"

    def __init__(self, directory: Path, body_len: int) -> None:
        super().__init__(directory / "evhttp.log")
        self.port, self.body_len = servers.free_port(), body_len
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [str(TOOLS / "http_limit"), str(self.port), str(self.body_len)]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=2) as answer:
                return bool(answer.status == 201)
        except OSError:
            return False


@dataclass(frozen=True)
class Requests:
    """Requests of one kind, of all owners by turns. The schedules that are read are those of World.fill."""

    method: str
    path: str
    key: str
    body: str = ""
    if_none_match: str = ""

    def wrk(self, url: str, connections: int, seconds: int = SECONDS) -> dict[str, float]:
        """Requests per second and the latencies' median and 99th percentile in ms, closed loop."""
        printed = servers.run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s",
                              str(ROOT / "tests/bench/requests.lua"), url, "--", self.method, self.path, self.key, str(FIRST_OWNER),
                              str(OWNERS), self.body, self.if_none_match)
        if "Non-2xx" in printed or "Socket errors" in printed:
            raise servers.ServerError(f"{self.method} {self.path}:\n{printed}")
        rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
        assert rate, printed
        return {"per_s": float(rate[1]), "p50_ms": _latency(printed, 50), "p99_ms": _latency(printed, 99)}

    def pace(self, url: str, connections: int, rate: int, seconds: int) -> dict[str, float]:
        """The latencies in microseconds of an open loop."""
        command = [str(TOOLS / "http_pace"), url.rpartition(":")[2], str(connections), str(rate), str(seconds)]
        done = subprocess.run(command, input="".join(self._raw(i) + "\0" for i in range(OWNERS)), capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise servers.ServerError(f"http_pace: {done.stderr}")
        return parse(done.stdout)

    def _raw(self, i: int) -> str:
        path = self.path.replace("{owner}", str(FIRST_OWNER + i)).replace("{id}", str(i + 1))
        return (f"{self.method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n{self.body}")


def _latency(printed: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", printed, re.MULTILINE)
    assert found, printed
    return float(found[1]) * UNITS[found[2]]


def creates(world: World) -> Requests:
    return Requests("POST", CREATE.replace("{org}", world.org), world.demo["ADMIN_API_KEY"], json.dumps(BODY))


def reads(world: World) -> Requests:
    return Requests("GET", READ.replace("{org}", world.org), world.demo["ADMIN_API_KEY"])


def answer_len(world: World, url: str) -> int:
    """The length of the body with which a create is answered."""
    request = urllib.request.Request(url + CREATE.format(org=world.org, owner=FIRST_OWNER), json.dumps(BODY).encode(),
                                     {"Authorization": f"Bearer {world.demo['ADMIN_API_KEY']}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return len(answer.read())


def web(world: World) -> dict[str, float]:
    """evhttp, creates and reads by turns at each number of connections, and what they cost; then creates at half of their peak."""
    results: dict[str, float] = {}
    with world.service() as service:
        create, read = creates(world), reads(world)
        create.wrk(service.url, 16, 1)
        with Evhttp(world.rig.directory, answer_len(world, service.url)) as alone:
            for connections in CONNECTIONS:
                for what, requests, url in (("evhttp", create, alone.url), ("create", create, service.url),
                                            ("read", read, service.url)):
                    before = world.rig.cpu(service)
                    measured = requests.wrk(url, connections)
                    if url == service.url:
                        measured |= cpu_us(before, world.rig.cpu(service), measured["per_s"] * SECONDS)
                    results |= {f"{what}@{connections} {name}": value for name, value in measured.items()}
        half = max(results[f"create@{connections} per_s"] for connections in CONNECTIONS) / 2
        paced = create.pace(service.url, 64, int(half), SECONDS)
        results["half per_s"] = half
        results |= {f"half {point}_ms": paced[point] / 1000 for point in ("p50", "p99", "p999")}
    return results
