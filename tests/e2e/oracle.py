"""The verdict on a body, from the contract alone: what is stored, every violation in its order, or that it is no JSON. Nothing here
was taken from the service."""

from __future__ import annotations

import json
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from wire import WEEKDAYS, WORKING_HOURS

Violation = tuple[str, str, str]
TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TZDATA = Path("/usr/share/zoneinfo/tzdata.zi")


def zone_names() -> set[str]:
    """Those of files, and those that are links to them by the database's own text: a system may have no files for former names."""
    files = zoneinfo.available_timezones()
    links = {line.split()[2]: line.split()[1] for line in TZDATA.read_text().splitlines() if line.startswith("L ")}
    return files | {name for name, target in links.items() if target in files or links.get(target) in files}


ZONES = {name.lower(): name for name in zone_names()}
FIELDS = ("name", "timeZone", "availability", "isDefault", "overrides")
NOT_NULL = ("name", "timeZone")  # null is a value of a wrong type there, and as good as absent in the others
MOST_VIOLATIONS = 100
MOST_VALUES, MOST_LEVELS = 8000, 32  # of a JSON text


@dataclass
class Verdict:
    """Exactly one of: content (the fields that are set), violations, or neither, for what cannot be read."""

    content: dict[str, Any] | None = None
    violations: list[Violation] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "invalid" if self.violations else "unreadable" if self.content is None else "valid"


def check(text: str, is_new: bool) -> Verdict:
    body = read(text)
    if body is None:
        return Verdict()
    given = {key: body[key] for key in FIELDS if key in body and (body[key] is not None or key in NOT_NULL)}
    fields = [key for key in FIELDS if is_new or key in given]
    violations = [violation for key in fields for violation in CHECKS[key](given.get(key, ABSENT))]
    if violations:
        return Verdict(None, violations[:MOST_VIOLATIONS])
    return Verdict({key: STORED[key](given.get(key, ABSENT)) for key in fields})


# ---- JSON

def _no_number(text: str) -> None:
    raise ValueError(text)


class Members(list[tuple[str, Any]]):
    """An object as it stands, keys that come again included."""


def read(text: str) -> dict[str, Any] | None:
    """The object; None when it is no JSON, or holds what the limits in docs/concepts.md exclude."""
    try:
        value = json.loads(text, parse_constant=_no_number, object_pairs_hook=Members)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no UTF-8
    except (ValueError, RecursionError):
        return None
    return merged(value) if isinstance(value, Members) and is_taken(value) else None


def is_taken(body: Members) -> bool:
    """Whether it keeps the limits, and no key holds NUL."""
    count, level = 0, [body]
    for _ in range(MOST_LEVELS + 1):
        count += len(level)
        containers = [value for value in level if isinstance(value, list)]
        if any("\0" in key for value in containers if isinstance(value, Members) for key, _ in value):
            return False
        level = [item[1] if isinstance(value, Members) else item for value in containers for item in value]
        if not containers:
            return count <= MOST_VALUES
    return False


def merged(value: Any) -> Any:
    if isinstance(value, Members):
        return {key: merged(item) for key, item in value}
    return [merged(item) for item in value] if isinstance(value, list) else value


# ---- rules

ABSENT = object()


def check_name(value: Any) -> list[Violation]:
    if not isinstance(value, str):
        return [("name", "isString", "name must be a string")]
    nul = [("name", "matches", "name must not contain the character NUL")] if "\0" in value else []
    return nul + ([("name", "maxLength", "name must be shorter than or equal to 255 characters")] if len(value) > 255 else [])


def zone_of(value: Any) -> str | None:
    return ZONES.get(value.lower()) if isinstance(value, str) and value.isascii() else None


def check_zone(value: Any) -> list[Violation]:
    return [] if zone_of(value) else [("timeZone", "isTimeZone", "timeZone must be a valid IANA time-zone")]


def check_default(value: Any) -> list[Violation]:
    return [] if isinstance(value, bool) else [("isDefault", "isBoolean", "isDefault must be a boolean value")]


def check_list(name: str, most: int, check_item: Callable[[dict[str, Any]], list[Violation]]) -> Callable[[Any], list[Violation]]:
    no_item = f"each value in nested property {name} must be either object or array"

    def check(value: Any) -> list[Violation]:
        if value is ABSENT:
            return []
        if isinstance(value, dict):
            return [(name, "isArray", f"{name} must be an array"), *below(name, check_item(value))]
        if not isinstance(value, list):
            return [(name, "isArray", f"{name} must be an array"), (name, "nestedValidation", no_item)]
        if len(value) > most:
            return [(name, "arrayMaxSize", f"{name} must contain no more than {most} elements")]
        return [violation for index, item in enumerate(value)
                for violation in (below(f"{name}.{index}", check_item(item)) if isinstance(item, dict)
                                  else [(f"{name}.{index}", "nestedValidation", no_item)])]

    return check


def below(path: str, violations: list[Violation]) -> list[Violation]:
    return [(f"{path}.{name}", constraint, message) for name, constraint, message in violations]


def check_window(item: dict[str, Any]) -> list[Violation]:
    return check_days(item.get("days")) + check_times(item, lambda start, end: end > start)


def check_override(item: dict[str, Any]) -> list[Violation]:
    is_date = isinstance(item.get("date"), str) and DATE.fullmatch(item["date"]) and is_calendar_day(item["date"])
    wrong = [] if is_date else [("date", "isIso8601", "date must be a valid ISO 8601 date string")]
    return wrong + check_times(item, lambda start, end: end >= start)


def is_calendar_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def check_days(days: Any) -> list[Violation]:
    is_in = ("days", "isIn", f"each value in days must be one of the following values: {', '.join(WEEKDAYS)}")
    if not isinstance(days, list):
        is_day = isinstance(days, str) and days in WEEKDAYS
        return [*([] if is_day else [is_in]), ("days", "isArray", "days must be an array")]
    if not days:
        return [("days", "arrayMinSize", "days must contain at least 1 elements")]
    return [] if all(isinstance(day, str) and day in WEEKDAYS for day in days) else [is_in]


def check_times(item: dict[str, Any], is_order: Callable[[str, str], bool]) -> list[Violation]:
    violations = check_time("startTime", item.get("startTime")) + check_time("endTime", item.get("endTime"))
    if violations or is_order(item["startTime"], item["endTime"]):
        return violations
    return [("endTime", "isAfter", "endTime must be after startTime")]


def check_time(name: str, value: Any) -> list[Violation]:
    matches = (name, "matches", f"{name} must be a valid time format HH:MM")
    if not isinstance(value, str):
        return [matches, (name, "isString", f"{name} must be a string")]
    return [] if TIME.fullmatch(value) else [matches]


def stored_items(*keys: str) -> Callable[[Any], Any]:
    """Items without the members that nobody reads."""
    return lambda items: [{key: item[key] for key in keys} for item in items]


def stored_windows(windows: Any) -> Any:
    """Each day once, where it came first."""
    return [item | {"days": list(dict.fromkeys(item["days"]))} for item in stored_items("days", "startTime", "endTime")(windows)]


stored_overrides = stored_items("date", "startTime", "endTime")
CHECKS: dict[str, Callable[[Any], list[Violation]]] = {
    "name": check_name, "timeZone": check_zone, "isDefault": check_default,
    "availability": check_list("availability", 100, check_window), "overrides": check_list("overrides", 1000, check_override)}
STORED: dict[str, Callable[[Any], Any]] = {
    "name": str, "timeZone": zone_of, "isDefault": bool,
    "availability": lambda value: WORKING_HOURS if value is ABSENT else stored_windows(value),
    "overrides": lambda value: [] if value is ABSENT else stored_overrides(value)}
