#!/usr/bin/python3
"""The service with its PostgreSQL and Kafka on this machine.

    stack.py up      starts all in the background, state in .run/, addresses and demo keys in .run/env
    stack.py down    stops what `up` started
    stack.py run     starts all on throwaway state, sends the example through HTTP and Kafka, waits for Ctrl-C
    stack.py demo    as `run`, and ends; status 0 only if rows and events are as they should be

All listen on free ports of 127.0.0.1 and touch no server that is there already. Without Kafka in the cache `run` and
`demo` use librdkafka's mock broker.
"""

from __future__ import annotations

import argparse
import fcntl
import hmac
import importlib
import json
import os
import secrets
import shutil
import signal
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

from servers import (CACHE, ROOT, Kafka, MockBroker, Postgres, Record, Server, ServerError, Service, Startable, Webhooks, free_port,
                     prepare, process_start, run, scratch_dir, wait_until)

RUN_DIR = ROOT / ".run"
PROCESSES = RUN_DIR / "processes.json"
COMMANDS_TOPIC = "schedules.commands.v1"
EVENTS_TOPIC = "schedules.events.v1"
EXAMPLE: dict[str, Any] = {
    "name": "Catch up hours",
    "timeZone": "Europe/Rome",
    "availability": [
        {"days": ["Monday", "Tuesday"], "startTime": "17:00", "endTime": "19:00"},
        {"days": ["Wednesday", "Thursday"], "startTime": "16:00", "endTime": "20:00"},
    ],
    "isDefault": True,
    "overrides": [{"date": "2024-05-20", "startTime": "18:00", "endTime": "21:00"}],
}
MOCK_WARNING = """\
WARNING: Kafka could not be had from Maven Central, so this runs on librdkafka's mock broker. It has no transactions: it
         shows commands coming in and events going out, but proves neither exactly-once nor what happens when the broker
         fails. `make setup` tries to get Kafka again.
"""


class Stack(Startable):
    """PostgreSQL, a broker, one service and one sender of webhooks on a demo directory. `with stack:` starts and closes it; closing deletes
    the data."""

    def __init__(self, directory: Path, binary: Path, outlives: bool = False) -> None:
        if not binary.exists():
            raise ServerError(f"{binary} is not there: run `make build`")
        self.directory, self.binary, self.outlives = directory, binary, outlives
        self.postgres = Postgres(directory / "postgres", outlives)
        self.broker: Kafka | MockBroker = (
            Kafka(directory / "kafka", outlives) if outlives or Kafka.is_installed() else MockBroker(directory))
        self.service: Service | None = None
        self.webhooks: Webhooks | None = None
        self.values: dict[str, str] = {}

    def servers(self) -> list[Server]:
        """In the order of their start."""
        servers = (self.broker, self.postgres, self.service, self.webhooks)
        return [server for server in servers if server is not None]

    def start(self) -> None:
        """Starts all and waits until the service is ready; `values` then holds the contents of .run/env."""
        self.broker.start(wait=False)
        self.postgres.start()
        database_url = self.postgres.create_database("schedules")
        self.broker.wait_ready()
        env = {"DATABASE_URL": database_url, "KAFKA_BROKERS": self.broker.bootstrap}
        people = prepare(self.binary, env, topics=isinstance(self.broker, Kafka))
        hooks = {"WEBHOOK_SECRET_KEY": secrets.token_hex(32), "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
        env |= hooks
        env["HTTP_LISTEN"] = f"127.0.0.1:{free_port(8080)}"
        self.service = Service(self.binary, env, self.directory / "service.log", self.outlives)
        self.service.start()
        self.webhooks = Webhooks(self.binary, env, self.directory / "webhooks.log", self.outlives)
        self.webhooks.start()
        self.values = {
            "DATABASE_URL": database_url, "KAFKA_BROKERS": self.broker.bootstrap, "HTTP_URL": self.service.url,
            **people, **hooks, "SERVICE_PID": str(self.service.pid), "WEBHOOKS_PID": str(self.webhooks.pid),
        }

    def close(self) -> None:
        for server in reversed(self.servers()):
            server.close()


# ---- up and down

def up(binary: Path) -> None:
    if any(is_alive(process) for process in started_processes()):
        dead = [process["name"] for process in started_processes() if not is_alive(process)]
        if dead:
            raise ServerError(f"{', '.join(dead)} ended since `up`: look into {RUN_DIR}, then run `make down`")
        print("Already up.")
    else:
        down()
        say("Starting PostgreSQL, Kafka and the service ...")
        stack = Stack(RUN_DIR, binary, outlives=True)
        try:
            stack.start()
            PROCESSES.write_text(json.dumps([
                {"name": server.name, "pid": server.pid, "started": process_start(server.pid),
                 "signal": server.stop_signal, "data": str(server.data or "")} for server in stack.servers()
            ]))
            (RUN_DIR / "env").write_text("".join(f"{name}={value}\n" for name, value in stack.values.items()))
        except BaseException:
            stack.close()
            shutil.rmtree(RUN_DIR, ignore_errors=True)
            raise
    print((RUN_DIR / "env").read_text(), end="")
    print(f"""
These lines are in {RUN_DIR.name}/env, the logs beside it. This reads them into a shell, for the pages' commands and for the binary:

   set -a; . {RUN_DIR.name}/env; set +a

`make down` stops it all.""")


def down() -> None:
    processes = started_processes()
    for process in reversed(processes):
        if is_alive(process):
            say(f"Stopping {process['name']} ...")
            os.kill(process["pid"], process["signal"])
            if not wait_until(lambda: not is_alive(process), 40):
                say(f"{process['name']} did not stop in time and is killed.")
                os.kill(process["pid"], signal.SIGKILL)
                wait_until(lambda: not is_alive(process), 10)
        if process["data"]:
            shutil.rmtree(process["data"], ignore_errors=True)
    shutil.rmtree(RUN_DIR, ignore_errors=True)


def started_processes() -> list[dict[str, Any]]:
    """What `up` started, in that order; empty when nothing is up."""
    processes: list[dict[str, Any]] = json.loads(PROCESSES.read_text()) if PROCESSES.exists() else []
    return processes


def is_alive(process: Mapping[str, Any]) -> bool:
    """Whether this very process runs, not another one that got its number."""
    return bool(process_start(process["pid"]) == process["started"])


# ---- run and demo

def show(binary: Path, stay: bool, began: float) -> None:
    directory = scratch_dir()
    try:
        if not Kafka.is_installed():
            say(MOCK_WARNING)
        say("Starting PostgreSQL, Kafka and the service ...")
        begin = time.monotonic()
        with Stack(directory, binary) as stack:
            assert stack.service
            say(f"Ready after {time.monotonic() - begin:.1f} s.\n")
            command = show_example(stack)
            if stay:
                print(f"To try next, in another terminal:\n\n   {command}")
                stay_until_interrupted(stack)
            status = stack.service.stop()
            if status:
                raise stack.service.error(f"stopped with status {status}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if not stay:
        tell_what_next(began)


def tell_what_next(began: float) -> None:
    places = {str(CACHE): CACHE, "build": ROOT / "build"}
    disk = ", ".join(f"{megabytes(path):.0f} MB in {name}" for name, path in places.items())
    print(f"Everything was as expected. It took {time.time() - began:.0f} s; all servers are stopped. On disk: {disk}, and Debian's packages.")
    if not Kafka.is_installed():
        print("`make up` needs Kafka, which `make setup` tries to fetch again.")
        return
    print("""To start it again, in the background:

   make up && set -a && . .run/env && set +a
   curl -s -H "Authorization: Bearer $ADMIN_API_KEY" "$HTTP_URL/v2/organizations/$ORG_ID/users/$MEMBER_USER_ID/schedules"

docs/quickstart.md continues from there.""")


def megabytes(directory: Path) -> float:
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*")) / 1e6


def stay_until_interrupted(stack: Stack) -> None:
    """Returns at SIGINT or SIGTERM. Raises ServerError when a server ends before that."""
    print(f"\nRunning until Ctrl-C. Logs: {stack.directory}", flush=True)
    try:
        while all(server.is_running() for server in stack.servers()):
            time.sleep(0.2)
    except KeyboardInterrupt:
        say("\nStopping ...")
        return
    ended = next(server for server in stack.servers() if not server.is_running())
    raise ended.error("ended by itself")


def show_example(stack: Stack) -> str:
    """Sends the example through HTTP and Kafka and prints what became of it. Returns a command that reads it. Raises ServerError where that is not one row
    and one event each, all equal, and one more event: the first is the owner's default no more."""
    values = stack.values
    org, user = values["ORG_ID"], values["MEMBER_USER_ID"]
    reader = "Kafka's console consumer, read_committed" if isinstance(stack.broker, Kafka) else "kcat"

    receiver = HookReceiver()
    hook = {"active": True, "subscriberUrl": receiver.url, "triggers": ["SCHEDULE_CREATED", "SCHEDULE_UPDATED"], "secret": "a secret of the demo"}
    status, answer = post(f"{values['HTTP_URL']}/v2/webhooks", values["MEMBER_API_KEY"], hook)
    expect(status == 201, f"the webhook was answered {status}: {answer}")

    command = {"commandId": str(uuid.uuid4()), "orgId": int(org), "userId": int(user), **EXAMPLE}
    print(f"1. A command to Kafka topic {COMMANDS_TOPIC}, key {user}\n\n{indent_json(command)}")
    run("kcat", "-P", "-b", stack.broker.bootstrap, "-t", COMMANDS_TOPIC, "-k", user,
        "-H", "content-type=application/json", "-X", "partitioner=murmur2_random", stdin=json.dumps(command))
    expect(wait_until(lambda: len(stored_rows(stack)) == 1, 20), "the command's row was not stored within 20 s")

    url = f"{values['HTTP_URL']}/v2/organizations/{org}/users/{user}/schedules"
    status, answer = post(url, values["ADMIN_API_KEY"], EXAMPLE)
    print(f"2. The same over HTTP: POST {url}\n\n   {status}\n{indent_json(answer)}")
    expect(status == 201 and {**EXAMPLE, "ownerId": int(user), "id": answer["data"]["id"]} == answer["data"],
           "the HTTP answer is not 201 with the schedule")

    rows = stored_rows(stack)
    print("3. The rows in PostgreSQL\n")
    print(indent_lines(stack.postgres.psql(
        "SELECT id, owner_id, org_id, name, time_zone, replace(availability::text, ',', ', ') AS availability,"
        " replace(overrides::text, ',', ', ') AS overrides, version FROM schedules ORDER BY id",
        "schedules", "--no-align", "--expanded", "--field-separator", ": ")))

    events = stack.broker.consume(EVENTS_TOPIC, 3)
    decoded_events = decode_events(events, stack.directory)
    print(f"4. The events in {EVENTS_TOPIC}, as read by {reader}")
    for event, decoded in zip(events, decoded_events):
        lines = [f"key: {event.key}", *(f"{name}: {value}" for name, value in event.headers.items())]
        print("\n" + indent("\n".join(lines)) + indent_json(decoded), end="")

    expect(wait_until(lambda: len(receiver.got) >= 3, 20), "the webhook did not get three requests within 20 s")
    receiver.close()
    for headers, content in receiver.got:
        expect(headers["X-Cal-Signature-256"] == hmac.new(hook["secret"].encode(), content, "sha256").hexdigest(),
               "a request's signature is not that of its body")
    expect(sorted(headers["webhook-id"] for headers, _ in receiver.got) == sorted(event.headers["ce_id"] for event in events),
           "the requests are not those of the events")
    [(headers, content)] = [got for got in receiver.got if got[0]["webhook-id"] == events[-1].headers["ce_id"]]
    print(f"\n5. The last of them as a request to the member's webhook: POST {receiver.url}")
    print("\n" + indent("\n".join(f"{name}: {value}" for name, value in headers.items())) + indent_json(json.loads(content)), end="")

    owner = {"ownerId": user, "orgId": org}
    body = {name: value for name, value in EXAMPLE.items() if name != "isDefault"}
    expect([row["schedule"] for row in rows] == [body | owner] * 2, "the rows are not the example, twice")
    expect(rows[1]["id"] == str(answer["data"]["id"]), "the second row is not the schedule of the HTTP answer")
    expect(rows[0]["commandId"] == command["commandId"], "the first row is not that of the command")
    expect([event.key for event in events] == [user] * 3, "the events' keys are not the owner's id")
    first, replaced, second = decoded_events
    created = [first, second]
    expect([as_schedule(event["schedule"]) for event in created] == [EXAMPLE | owner] * 2,
           "the events are not the example, twice")
    expect([(event["schedule"]["id"], event["commandId"]) for event in created]
           == [(row["id"], row["commandId"]) for row in rows], "the events are not those of the rows")
    no_default = {name: value for name, value in first["schedule"].items() if name != "isDefault"} | {"version": "2"}
    expect(replaced["schedule"] == no_default and replaced["commandId"] == second["commandId"],
           "the second schedule did not replace the first as default")
    print("\nTwo rows, two equal events, one of the former default between them, and a signed request for each.", flush=True)
    return f"curl -s -H 'Authorization: Bearer {values['ADMIN_API_KEY']}' {url}"


class HookReceiver:
    """Acknowledges webhooks on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nowhere."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def stored_rows(stack: Stack) -> list[dict[str, Any]]:
    """All schedules by id, with the names of the HTTP body."""
    sql = """SELECT json_build_object('id', id::text, 'commandId', command_id, 'schedule', json_build_object(
                 'ownerId', owner_id::text, 'orgId', org_id::text, 'name', name, 'timeZone', time_zone,
                 'availability', availability, 'overrides', overrides)) FROM schedules ORDER BY id"""
    return [json.loads(line) for line in stack.postgres.psql(sql, "schedules").splitlines()]


def post(url: str, api_key: str, body: Mapping[str, Any]) -> tuple[int, Any]:
    """Status and JSON of the answer, whatever the status."""
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def decode_events(events: list[Record], directory: Path) -> list[dict[str, Any]]:
    """Each event in protobuf's JSON, by Google's own decoder on our .proto files."""
    from google.protobuf import json_format  # Debian's python3-protobuf; only this function needs it

    types = [event.headers.get("ce_type", "").removeprefix("schedules.v1.") for event in events]
    expect(types == ["ScheduleCreated", "ScheduleUpdated", "ScheduleCreated"],
           f"{EVENTS_TOPIC} does not hold the two schedules and the former default: {events}")
    files = (str(path) for path in sorted(ROOT.glob("proto/schedules/v1/*.proto")))
    run("protoc", "-I", str(ROOT / "proto"), f"--python_out={directory}", *files)
    sys.path.insert(0, str(directory))
    modules = {"ScheduleCreated": "schedule_created_pb2", "ScheduleUpdated": "schedule_updated_pb2"}
    messages = [getattr(importlib.import_module(f"schedules.v1.{modules[name]}"), name) for name in types]
    return [json_format.MessageToDict(message.FromString(event.value)) for message, event in zip(messages, events)]


def as_schedule(event: Mapping[str, Any]) -> dict[str, Any]:
    """The Schedule of an event with the weekdays as HTTP has them, without id and version."""
    schedule = {name: value for name, value in event.items() if name not in ("id", "version")}
    schedule["availability"] = [
        window | {"days": [day.removeprefix("WEEKDAY_").capitalize() for day in window["days"]]}
        for window in event.get("availability", [])
    ]
    return schedule


def expect(is_true: bool, otherwise: str) -> None:
    if not is_true:
        raise ServerError(f"FAILED: {otherwise}")


def indent(text: str) -> str:
    return textwrap.indent(text.rstrip() + "\n", "   ")


def indent_lines(text: str) -> str:
    """Each line wrapped by itself."""
    return indent("\n".join(textwrap.fill(line, 110, break_on_hyphens=False, break_long_words=False) for line in text.splitlines()))


def indent_json(value: object) -> str:
    return indent_lines(json.dumps(value))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("up", "down", "run", "demo"))
    parser.add_argument("--binary", type=Path, default=ROOT / "build/release/schedule-service")
    parser.add_argument("--began", type=float, default=time.time(), help="when the demo's user began to wait")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for interruption in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interruption, interrupt)
    try:
        if arguments.action in ("up", "down"):
            with open(ROOT / "deploy/local/stack.py", encoding="utf-8") as lock:  # one at a time
                fcntl.flock(lock, fcntl.LOCK_EX)
                up(arguments.binary.resolve()) if arguments.action == "up" else down()
        else:
            show(arguments.binary.resolve(), arguments.action == "run", arguments.began)
    except ServerError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
