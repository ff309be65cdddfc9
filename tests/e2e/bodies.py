"""Bodies of every kind, the same for the same seed: valid ones, and valid ones that were broken. A body is a text, because some
of what senders send is not what any JSON library would write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wire import WEEKDAYS

ZONES = ["UTC", "europe/rome", "Asia/Calcutta", "AMERICA/Argentina/Buenos_Aires", "Etc/GMT+5", "EST", "Pacific/Auckland"]
NO_ZONES = ["", "Mars/Base", "+01:00", "GMT+1", "Europe/Rome ", "Europe/Rom", "Europe", "Europe/R\u00f6me", "utc\0", "../UTC",
            "UT\u0421"]
NAMES = ["", " ", "work", "x" * 255, "\U0001f600" * 255, "e\u0301\u200d\u202e", "quote\" back\\slash / \n\t\x01\x7f",
         "</script>", "%s%n", "null", "'; DROP TABLE schedules; --", "\ufeff\uffff\U0010ffff"]
NO_NAMES = ["x" * 256, "\U0001f600" * 256, "\0", "a\0b", "\u00e9" * 255 + "\0"]
TIMES = ["00:00", "00:01", "09:00", "12:30", "19:59", "20:00", "23:58", "23:59"]
NO_TIMES = ["24:00", "23:60", "9:00", "09:0", "09:00:00", "900", "", "09:00 ", " 9:00", "-1:00", "09.00", "\u0661\u0662:00",
            "09:00\n", "0900\0"]
DATES = ["2024-05-20", "2024-02-29", "2000-02-29", "1999-12-31", "9999-12-31", "2023-01-31"]
NO_DATES = ["2023-02-29", "1900-02-29", "2024-04-31", "2024-13-01", "2024-00-10", "2024-01-00", "2024-5-2", "05/20/2024",
            " 2024-05-20", "2024", "2024-05", "20240520", "2024-W21-1", "2024-141", "2024-05-20T10:00:00Z", "2024-05-20\n",
            "\uff12024-05-20", ""]
NO_DAYS = ["monday", "MONDAY", "Mon", "", "Sunday ", "Monday\0", 1, None, [], {}]
OTHERS: list[Any] = [None, True, False, 0, -1, 1.5, "", "true", "Monday", [], {}, [[]], [None], {"": None}, {"length": 1},
                     [1, "x", {}]]
HTTP_BODY_MAX = 100 << 10


@dataclass(frozen=True)
class Raw:
    """JSON as it stands, or what only looks like it."""

    text: str


@dataclass(frozen=True)
class Repeated:
    """An object of these members, in which a key may come more than once."""

    members: list[tuple[str, Any]]


HUGE = [Raw(text) for text in (
    "9223372036854775808", "-99999999999999999999", "1e400", "-1.5E+999", "1.5e308", "-9.9e307", "0e999", "1e-400", "9" * 400, "0.1e1", "-0")]
DEEP = Raw("[" * 20 + '{"a":' * 8 + "0" + "}" * 8 + "]" * 20)
UNREADABLE = [Raw(text) for text in (
    '"\\ud800"', '"\\udc00\\ud800"', '"a\\ud83dz"', '{"\\u0000":1}', "[" * 3000 + "]" * 3000, "[" * 32 + "]" * 32,
    f"[{'0,' * 8000}0]", "NaN", "-Infinity", "undefined",
    "01", "+1", ".5", "1.", "1e", "0x10", "1e400-1", "'x'", '"\t"', '"\\x41"', '"open', "[1,]", "{,}", '{"a"}', "{a:1}", "[", "}",
    "/* */1", "", "1 2", "\u00a01")]


def text_of(value: Any, escaped: bool) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, list):
        return f"[{','.join(text_of(item, escaped) for item in value)}]"
    if isinstance(value, (dict, Repeated)):
        members = value.members if isinstance(value, Repeated) else value.items()
        return f"{{{', '.join(f'{json.dumps(key, ensure_ascii=escaped)}: {text_of(item, escaped)}' for key, item in members)}}}"
    return json.dumps(value, ensure_ascii=escaped)


class Bodies:
    """`new` makes one for a creation and `change` one for an update, both often broken; `valid` one that serves for either."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)

    def valid(self) -> str:
        return text_of(self._valid(), self.pick.random() < 0.5)

    def new(self) -> str:
        return self._text(self._valid())

    def change(self) -> str:
        """Some of the fields."""
        body = self._valid()
        return self._text({key: body[key] for key in self.pick.sample(list(body), self.pick.randint(0, len(body)))})

    def _text(self, body: dict[str, Any]) -> str:
        """The body as it is, or broken once or more often; not longer than HTTP takes."""
        broken: Any = body
        for _ in range(self.pick.choice([0, 0, 1, 1, 1, 2, 5])):
            broken = self.pick.choice(self._mutations())(broken)
        text = text_of(broken, self.pick.random() < 0.5)
        return text if len(text.encode()) <= HTTP_BODY_MAX else self._text(body)

    # ---- valid

    def _valid(self) -> dict[str, Any]:
        body = {"name": self.pick.choice(NAMES), "timeZone": self.pick.choice(ZONES), "isDefault": self.pick.random() < 0.2}
        if self.pick.random() < 0.6:
            body["availability"] = self.pick.choice([None, [], self._windows(1), self._windows(2), self._windows(5)])
        if self.pick.random() < 0.6:
            body["overrides"] = self.pick.choice([None, [], self._overrides(1), self._overrides(3)])
        return body

    def _windows(self, count: int) -> list[dict[str, Any]]:
        return [{"days": self.pick.choices(WEEKDAYS, k=self.pick.choice([*range(1, 9), 40])), **self._times(1)} for _ in range(count)]

    def _overrides(self, count: int) -> list[dict[str, Any]]:
        return [{"date": self.pick.choice(DATES), **self._times(0)} for _ in range(count)]

    def _times(self, shortest: int) -> dict[str, Any]:
        start = self.pick.randrange(len(TIMES) - shortest)
        return {"startTime": TIMES[start], "endTime": TIMES[self.pick.randrange(start + shortest, len(TIMES))]}

    # ---- broken: each takes a body and returns another

    def _mutations(self) -> list[Callable[[Any], Any]]:
        often = [self._swap_a_field, self._swap_in_an_item, self._spoil_a_text]
        return often * 4 + [self._drop, self._add, self._repeat, self._turn_times, self._to_the_limit, self._swap_an_item,
        self._unreadable]

    def _anything(self) -> Any:
        return self.pick.choice([*OTHERS, *OTHERS, *HUGE, DEEP])

    def _put(self, body: Any, key: str, value: Any) -> Any:
        if isinstance(body, Repeated):
            return Repeated([*body.members, (key, value)])
        return body | {key: value}

    def _field(self) -> str:
        return self.pick.choice(["name", "timeZone", "isDefault", "availability", "overrides"])

    def _swap_a_field(self, body: Any) -> Any:
        return self._put(body, self._field(), self._anything())

    def _swap_an_item(self, body: Any) -> Any:
        items: list[Any] = self._windows(2)
        items[self.pick.randrange(2)] = self._anything()
        return self._put(body, self.pick.choice(["availability", "overrides"]), items)

    def _item(self) -> tuple[str, dict[str, Any]]:
        """A list's name and an item for it."""
        return self.pick.choice([("availability", self._windows(1)[0]), ("overrides", self._overrides(1)[0])])

    def _put_item(self, body: Any, field: str, item: Any) -> Any:
        """The item in a list of its own, or in the list's place."""
        return self._put(body, field, item if self.pick.random() < 0.1 else [item])

    def _swap_in_an_item(self, body: Any) -> Any:
        field, item = self._item()
        return self._put_item(body, field, item | {self.pick.choice(list(item)): self._anything()})

    def _spoil_a_text(self, body: Any) -> Any:
        field, item = self._item()
        kind = self.pick.choice(["name", "timeZone", "time", "date", "days"])
        if kind in ("name", "timeZone"):
            return self._put(body, kind, self.pick.choice(NO_NAMES if kind == "name" else NO_ZONES))
        if kind == "time":
            return self._put_item(body, field, item | {self.pick.choice(["startTime", "endTime"]): self.pick.choice(NO_TIMES)})
        if kind == "date":
            return self._put(body, "overrides", [self._overrides(1)[0] | {"date": self.pick.choice(NO_DATES)}])
        return self._put(body, "availability", [self._windows(1)[0] | {"days": ["Monday", self.pick.choice(NO_DAYS)]}])

    def _drop(self, body: Any) -> Any:
        """A field, or a member of an item."""
        if isinstance(body, dict) and body and self.pick.random() < 0.5:
            return {key: value for key, value in body.items() if key != self.pick.choice(list(body))}
        field, item = self._item()
        item.pop(self.pick.choice(list(item)))
        return self._put(body, field, [item])

    def _add(self, body: Any) -> Any:
        """Members that nobody reads."""
        field, item = self._item()
        unread = self.pick.choice(["id", "ownerId", "Name", "name ", "", "__proto__", "toString", "\u00e9\U0001f600", "version"])
        if self.pick.random() < 0.5:
            return self._put_item(body, field, item | {unread: self._anything()})
        return self._put(body, unread, self._anything())

    def _repeat(self, body: Any) -> Any:
        members = body.members if isinstance(body, Repeated) else list(body.items())
        again = [(key, self.pick.choice([value, self._anything()])) for key, value in members]
        return Repeated([*again, *members] if self.pick.random() < 0.5 else [*members, *again])

    def _turn_times(self, body: Any) -> Any:
        """An end that is not behind its start."""
        field, item = self._item()
        return self._put_item(body, field, item | {"startTime": item["endTime"], "endTime": item["startTime"]})

    def _to_the_limit(self, body: Any) -> Any:
        """As long as a list may be, or longer by one."""
        field, most, item = self.pick.choice([("availability", 100, self._windows(1)), ("overrides", 1000, self._overrides(1))])
        return self._put(body, field, item * (most + self.pick.randrange(2)))

    def _unreadable(self, body: Any) -> Any:
        return self._put(body, self.pick.choice([self._field(), "unread"]), self.pick.choice(UNREADABLE))
