"""Requests of every kind to every endpoint of rules.py, the same for the same seed: what a client, a scanner or a cat on a
keyboard may send within one well-formed HTTP request."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from bodies import Bodies
from rules import ENDPOINTS, OPEN

METHODS = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"]
IDS = ["0", "-1", "+1", "1.5", "1e3", "0x1", "abc", "default", "5a", "%201", "1%20", "%31", "%00", "1%00", "%", "%2", "%zz", "%2f",
       "..", ".", "%2e%2e", "%e2%82%ac", "%ff", "%F0%9F%98%80", "\u0661", "9223372036854775807", "9223372036854775808",
       "-9223372036854775808", "9" * 300, "null", "undefined", "NaN", "1;2", "1,2", "'", "%27%20OR%201=1--", "{orgId}", "*", "~",
       "$1", "%s%n"]
QUERIES = ["", "?", "?take=5", "?take=0", "?take=251", "?take=-1", "?take=1e3", "?take=5.9", "?take=&skip=", "?take=abc&skip=x",
           "?skip=-1", "?skip=9223372036854775807", "?skip=99999999999999999999", "?take=1&take=2", "?take[]=1", "?take[$gt]=1",
           "?%74ake=3", "?take=%35", "?take=%", "?take=%00", "?&&==&", "?eventTypeId=", "?eventTypeId=abc", "?a=" + "b" * 3000,
           "?\u00e9=\u00e9", "#take=1", "??", "?take=5#x"]
HOURS = "?from=2024-05-20&to=2024-05-27"
HOURS_QUERIES = [HOURS, HOURS, HOURS + "&duration=30&step=7&align=clock", HOURS + "&explain=true&limit=1", HOURS + "&duration=0",
                 HOURS + "&cursor=%zz", "?from=2024-05-20T00:00:00%2B02:00&to=2024-05-21T00:00Z", "?from=%00&to=2024-05-20",
                 "?from=0001-01-01&to=9999-12-31", HOURS + "&timeZone=" + "x" * 2000, HOURS + "&scheduleId=-1", "?from[]=1&to"]
PREFIXES = [""] * 20 + ["/api", "/v2/ee", "/", "/v1", "/..", "/api/api"]
SUFFIXES = [""] * 20 + ["/", "//", "/x", "%2f", ";v=1", "/."]
TYPES = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/jsonx", "text/plain", "",
         "multipart/form-data", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "\xff", "x" * 500]
TEXTS = ["", " ", "*", '"1"', 'W/"1"', '"1", "2"', '"', "1", '"99999999999999999999"', '""', "x" * 255, "x" * 256, "a b", "\xe9",
         "%00", "key-1", "key-2", "{}"]
VERSIONS = ["2024-04-15", "2024-06-11", "2024-06-14", "2024-08-13", "2024-09-04", "", "tomorrow"]
BYTES = [b"", b"{}", b"[]", b"null", b"5", b'"x"', b"{", b"\0", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b"[" * 5000,
         b"name=x&timeZone=UTC", b"\x1f\x8b\x08\0", b"x" * 102400]
HEADERS = {
    "If-Match": TEXTS, "If-None-Match": TEXTS, "Idempotency-Key": TEXTS, "X-Request-Id": TEXTS, "X-Forwarded-For": TEXTS,
    "x-cal-client-id": TEXTS, "x-cal-secret-key": TEXTS, "cal-api-version": VERSIONS, "Origin": ["null", "https://example.org"],
    "Content-Encoding": ["identity", "gzip", "", "br, gzip"], "Accept": ["*/*", "", "text/html"], "Expect": ["nonsense"],
    "Range": ["bytes=0-0", "x"], "X-HTTP-Method-Override": ["DELETE"],
    "traceparent": ["", "00-x", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]}

QUESTION_MEMBERS: dict[str, list[Any]] = {
    "from": [None, "2024", "2024-05-20T00:00:00+14:00"], "users": [[], [{}], [{"userId": 2 ** 63 - 1, "scheduleId": 1}]], "teamId": [1, -1, "1", None],
    "combine": ["all", "any", "atLeast", "groups", "x"], "k": [1, 0], "groups": [[{"users": [1], "atLeast": 1}], {}, []],
    "duration": [30, 0], "step": [1, 1.5], "align": ["clock", 5], "explain": [True, "true"], "limit": [1, 10_001]}

WEBHOOK_MEMBERS: dict[str, list[Any]] = {
    "active": [None, "true"], "subscriberUrl": ["", None, "http://127.0.0.1/", "https://[::1]", "https://u:p@x", "https://" + "x" * 3000, 5],
    "triggers": [[], ["X"], "SCHEDULE_UPDATED", None, ["SCHEDULE_UPDATED"] * 65], "secret": ["s", "", None, "whsec_*", "x" * 256, "\0"],
    "format": ["standard", "x"], "version": ["2021-10-20", 1], "payloadTemplate": [None, "{}"], "to": ["2024-05-21T00:00:00Z", 5]}


@dataclass(frozen=True)
class OddRequest:
    endpoint: str  # the one that it was made from
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def __bytes__(self) -> bytes:
        headers = {"Host": "x"} | self.headers | {"Content-Length": str(len(self.body))}
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + self.body


class OddRequests:
    """`ids` are those that exist, by the names of the paths' parameters; `credentials` the headers of each kind of caller."""

    def __init__(self, seed: int, ids: dict[str, list[Any]], credentials: list[dict[str, str]]) -> None:
        self.pick = random.Random(seed)
        self.bodies = Bodies(seed)
        self.ids, self.credentials = ids, credentials
        self.endpoints = sorted([*ENDPOINTS, *(endpoint for endpoint in ENDPOINTS if "/webhooks" not in endpoint), *OPEN])

    def next(self) -> OddRequest:
        endpoint = self.pick.choice(self.endpoints)
        method, pattern = endpoint.split(" ")
        if self._rarely():
            method = self.pick.choice(METHODS)
        body = self._body() if self._rarely() else self._body_for(pattern)
        return OddRequest(endpoint, method, self._target(pattern), self._headers(), body)

    def _rarely(self) -> bool:
        return self.pick.random() < 0.15

    def _target(self, pattern: str) -> str:
        path = "/".join(self._segment(segment) for segment in pattern.split("/"))
        path = self.pick.choice(PREFIXES) + path + self.pick.choice(SUFFIXES)
        if pattern.endswith("/availability") and not self._rarely():
            return path + self.pick.choice(HOURS_QUERIES)
        return path + (self.pick.choice(QUERIES) if self.pick.random() < 0.4 else "")

    def _segment(self, segment: str) -> str:
        if not segment.startswith("{"):
            return segment.upper() if self.pick.random() < 0.02 else segment
        known = self.ids.get(segment[1:-1], [])
        return str(self.pick.choice(known)) if known and not self._rarely() else self.pick.choice(IDS)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": self.pick.choice(TYPES) if self._rarely() else "application/json"}
        for name, values in HEADERS.items():
            if self.pick.random() < 0.05:
                headers[name] = self.pick.choice(values)
        return headers | self.pick.choice(self.credentials)

    def _body_for(self, pattern: str) -> bytes:
        if pattern.endswith("/query"):
            return self._question()
        return self._webhook() if "/webhooks" in pattern else self._body()

    def _webhook(self) -> bytes:
        """Of a create or a change; most are in order, and for a replay too."""
        webhook: dict[str, Any] = {"active": True, "subscriberUrl": f"https://example.com/{self.pick.random()}", "triggers": ["SCHEDULE_UPDATED"],
                                   "from": "2024-05-20T00:00:00Z"}
        for name, values in WEBHOOK_MEMBERS.items():
            if self.pick.random() < 0.05:
                webhook[name] = self.pick.choice(values)
        return json.dumps(webhook).encode()

    def _question(self) -> bytes:
        """About the hours of several people; most are in order."""
        users = self.pick.sample(sorted({*self.ids["userId"]}), self.pick.randrange(1, 3))
        question: dict[str, Any] = {"from": "2024-05-20", "to": "2024-05-27", "users": [{"userId": user} for user in users]}
        for name, values in QUESTION_MEMBERS.items():
            if self.pick.random() < 0.1:
                question[name] = self.pick.choice(values)
        return json.dumps(question).encode()

    def _body(self) -> bytes:
        kind = self.pick.random()
        if kind < 0.7:
            return (self.bodies.valid() if kind < 0.4 else self.bodies.new() if kind < 0.6 else self.bodies.change()).encode()
        return self.pick.choice(BYTES) if kind < 0.9 else self.pick.randbytes(self.pick.randrange(300))
