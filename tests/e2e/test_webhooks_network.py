"""Where senders of webhooks connect to, and where never; by what names, certificates and protocols. All that listens or resolves is the
test's own (tests/namespace.py)."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority, Certificate
from hooks import Hooks
from line import until
from names import Names, Trap
from receiver import Http2Receiver

REFUSED = ["10.0.0.1", "192.0.2.1", "169.254.169.254", "fd00::1", "64:ff9b::a00:1"]


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def wait_failure(hooks: Hooks, webhook: str, **wanted: Any) -> None:
    """Until its one failure has these."""
    until(lambda: [failure | wanted for failure in hooks.failures(webhook)] == hooks.failures(webhook) != [], f"{wanted}")


def test_addresses_are_tested_at_every_connect(hooks: Hooks, closing: ExitStack) -> None:
    """Also those of a name that had another one before; and nothing else leads to one: no redirect, and no proxy."""
    receiver = hooks.receive(lambda number, got: {"/redirect": (302, {"Location": f"http://10.0.0.1:{receiver.port}/"}), "/once": 500}.get(got.path, 200))
    trap = Trap(REFUSED, receiver.port)
    names = Names({"once.test": [["127.0.0.1"], ["10.0.0.1"]], "both.test": [["10.0.0.1", "127.0.0.1"]], "mapped.test": [["::ffff:10.0.0.1"]]}
                  | {f"refused-{number}.test": [[address]] for number, address in enumerate(REFUSED)})
    closing.callback(trap.close)
    closing.callback(names.close)
    proxy = f"http://10.0.0.1:{receiver.port}"
    env = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,169.254.0.0/16", "http_proxy": proxy, "https_proxy": proxy, "all_proxy": proxy}
    sender = hooks.send(**env)
    hosts = [*(f"refused-{number}.test" for number in range(len(REFUSED))), "mapped.test", "10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "[fd00::1]"]
    refused = [hooks.endpoint(f"{scheme}://{host}:{receiver.port}/") for host in hosts for scheme in ("http", "https")]
    both, redirected, once = (hooks.endpoint(receiver.url(path, host)) for path, host in
                              (("/both", "both.test"), ("/redirect", "127.0.0.1"), ("/once", "once.test")))
    event = f"{hooks.create()}.1"
    receiver.wait_for([event], "/both")
    wait_failure(hooks, redirected, error="status", status=302)
    wait_failure(hooks, once, error="status", status=500)
    for webhook in refused:
        wait_failure(hooks, webhook, error="refused", status=None)
    sender.kill9()  # it remembers names for a minute
    hooks.line.replicas.remove(sender)
    hooks.send(**env)
    until(lambda: hooks.hasten() or hooks.failures(once)[0]["error"] == "refused", "what the name resolves to now is tested", 40)
    assert names.asked["once.test"] > 1 and len(receiver.at("/once")) == 1 and hooks.failures(both) == []
    assert trap.connected == []
    for address in REFUSED:
        socket.create_connection((address, receiver.port)).close()
    until(lambda: sorted(trap.connected) == sorted(REFUSED), "who connects there is seen")


def context(certificate: Certificate) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate.certificate, certificate.key)
    return made


def test_servers_are_verified_and_speak_http_1_or_2(hooks: Hooks, closing: ExitStack, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "authority"), Authority(tmp_path, "stranger")
    names = Names({name: [["127.0.0.1"]] for name in ("good.test", "wrong.test")})
    trusted = context(authority.issue("good", "DNS:good.test"))
    good = hooks.receive(tls=trusted)
    expired = hooks.receive(tls=context(authority.issue("expired", "DNS:good.test", days=-1)))
    unknown = hooks.receive(tls=context(stranger.issue("good", "DNS:good.test")))
    second = Http2Receiver(context(authority.issue("second", "DNS:good.test")))
    closing.callback(names.close)
    closing.callback(second.close)
    hooks.send(WEBHOOK_CA_FILE=str(authority.root))
    hooks.endpoint(good.url(host="good.test"))
    hooks.endpoint(second.url("good.test"))
    bad = [hooks.endpoint(url) for url in (good.url("/wrong", "wrong.test"), good.url("/wrong"), expired.url(host="good.test"),
                                           unknown.url(host="good.test"))]
    made = [hooks.create(), hooks.create()]
    good.wait_for([f"{schedule}.1" for schedule in made])
    until(lambda: {json.loads(body)["payload"]["id"] for body in second.bodies} == set(made), "they come by HTTP/2")
    assert second.connections == 1
    for webhook in bad:
        until(lambda webhook=webhook: {(one["error"], one["status"]) for one in hooks.failures(webhook)} == {("tls", None)}, "it is not trusted")
    assert good.at("/wrong") == expired.got == unknown.got == []


def test_no_owner_takes_the_whole_pool_by_whatever_names(hooks: Hooks, closing: ExitStack) -> None:
    people, receiver = hooks.line.people, hooks.receive(lambda number, got: "hang" if got.path == "/hang" else 200)
    names = Names({f"hang-{number}.test": [["127.0.0.1"]] for number in range(24)})
    closing.callback(names.close)
    sender = hooks.send(WEBHOOK_REQUESTS="16")
    for number in range(24):
        hooks.endpoint(receiver.url("/hang", f"hang-{number}.test"), org=people.org)
    hooks.endpoint(receiver.url(), user=people.stranger)
    hooks.wait_assigned(sender)
    hooks.create()
    until(lambda: "schedule_webhook_requests 12\n" in hooks.line.http.get(f"{sender.url}/metrics", timeout=10).text, "it has its share", 10)
    made = hooks.line.post({"name": "P", "timeZone": "UTC", "isDefault": False}, key=people.stranger_key, path="/v2/schedules")
    receiver.wait_for([f"{made.json()['data']['id']}.1"], deadline_s=10)  # before the first of the others has timed out
