"""An outside client at each interface: commands over Kafka at a steady rate, and requests over HTTP one after the other. Both go on
whatever fails, and what they were told is given to the ledger."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import requests

from ledger import HttpAnswers, producer
from load import Load, produce

ENDLESS = 1 << 40
BURSTS_A_SECOND = 10
PATIENCE_S = 300  # longer than any fault lasts
NAME = "Over HTTP"  # with which the names of schedules begin that are written over HTTP
# In order whatever is sent again: an earlier message never comes behind a later one.
RETRYING = {"acks": "all", "max_in_flight_requests_per_connection": 1, "retries": ENDLESS, "max_block_ms": PATIENCE_S * 1000,
            "delivery_timeout_ms": PATIENCE_S * 1000}


class Client(threading.Thread):
    """A client in the background, until it is told to stop. What ends it before is in `error`."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:  # it is the main thread that has to know
            self.error = error

    def work(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Raises what ended it."""
        self.stopping.set()
        self.join(2 * PATIENCE_S)
        if self.error or self.is_alive():
            raise self.error or TimeoutError("a client does not stop")


class KafkaClient(Client):
    """Produces a load, `rate` messages a second."""

    def __init__(self, bootstrap: str, topic: str, load: Load, rate: int) -> None:
        super().__init__()
        self.bootstrap, self.topic, self.load, self.rate = bootstrap, topic, load, rate
        self.sent = 0

    def work(self) -> None:
        client = producer(self.bootstrap, **RETRYING)
        for burst in self._bursts():
            self.sent += produce(client, self.topic, burst)
        client.close()

    def _bursts(self) -> Iterator[list[Any]]:
        messages = self.load.messages(ENDLESS)
        while not self.stopping.wait(1 / BURSTS_A_SECOND):
            yield list(islice(messages, max(1, self.rate // BURSTS_A_SECOND)))


class HttpClient(Client):
    """Creates schedules of one owner, changes and deletes them, each time at one of `urls`. A create that is not answered is
    repeated with its Idempotency-Key; of a change that is not answered nobody knows what became."""

    def __init__(self, urls: Callable[[], list[str]], path: str, api_key: str, seed: int) -> None:
        super().__init__()
        self.urls, self.path, self.api_key = urls, path, api_key
        self.random = random.Random(seed)
        self.session = requests.Session()
        self.answers = HttpAnswers()
        self.ids: list[int] = []

    def work(self) -> None:
        while not self.stopping.wait(0.02):
            point = self.random.random()
            if len(self.ids) < 3 or point < 0.4:
                self._create()
            elif point < 0.8:
                self._change()
            else:
                self._delete()

    @property
    def written(self) -> int:
        """How many writes were answered."""
        return len(self.answers.created) + len(self.answers.updated) + len(self.answers.deleted)

    def _create(self) -> None:
        key = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        body = self._fields() | {"timeZone": "Europe/Rome", "isDefault": self.random.random() < 0.2}
        deadline = time.monotonic() + PATIENCE_S
        while (answer := self._ask("POST", "", json=body, headers={"Idempotency-Key": key})) is None:
            if time.monotonic() > deadline:
                self.answers.unknown += 1
                return
            time.sleep(0.1)
        self.answers.created.append(answer.json()["data"])
        self.ids.append(answer.json()["data"]["id"])

    def _change(self) -> None:
        schedule = self.random.choice(self.ids)
        answer = self._ask_of(schedule, "PATCH", json=self._fields())
        if answer is not None:
            self.answers.updated.append((answer.json()["data"], int(answer.headers["ETag"].strip('"'))))
        else:
            self.answers.unknown += 1

    def _delete(self) -> None:
        schedule = self.ids.pop(self.random.randrange(len(self.ids)))
        if self._ask_of(schedule, "DELETE") is not None:
            self.answers.deleted.append(schedule)
        else:
            self.answers.unknown += 1

    def _fields(self) -> dict[str, Any]:
        return {"name": f"{NAME} {self.random.randrange(10**6)}"}

    def _ask_of(self, schedule: int, method: str, **options: Any) -> requests.Response | None:
        """Of a schedule that was answered 201, so that a 404 is a fault."""
        answer = self._ask(method, f"/{schedule}", **options)
        if answer is None or answer.status_code != 404:
            return answer
        self.answers.missing.add(schedule)
        return None

    def _ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> requests.Response | None:
        """None when there is no answer, or one that leaves open what became of it: 5xx, or 409, still under way."""
        url = self.random.choice(self.urls()) + self.path + path
        try:
            answer = self.session.request(method, url, headers={"Authorization": self.api_key} | (headers or {}), timeout=20,
                                          **options)
        except requests.RequestException:
            return None
        if answer.status_code >= 500 or answer.status_code == 409:
            return None
        if answer.status_code != 404:
            answer.raise_for_status()
        return answer
