"""The hours of a schedule found by reading a clock at every moment. It shares nothing with the service: clocks are Python's zoneinfo, and
a moment is open when what the clock reads there lies in a window or override of the date that it reads."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY_MINUTES = 1440
EPOCH = date(1970, 1, 1).toordinal()
Span = tuple[int, int]


def offset_at(zone: ZoneInfo, instant: int) -> int:
    return int((datetime.fromtimestamp(instant, UTC).astimezone(zone).utcoffset() or timedelta()).total_seconds())


def instant_of(year: int) -> int:
    return (date(year, 1, 1).toordinal() - EPOCH) * 86400


def transitions(zone: ZoneInfo, first_year: int, last_year: int) -> list[int]:
    """Every change of the offset in the years, found by asking for each day's offset and halving the days in which it changes."""
    found: list[int] = []
    end = instant_of(last_year + 1)
    before, instant = offset_at(zone, instant_of(first_year)), instant_of(first_year)
    while instant < end:
        after = offset_at(zone, instant + 86400)
        if after != before:
            low, high = instant, instant + 86400
            while high - low > 1:
                middle = (low + high) // 2
                if offset_at(zone, middle) == before:
                    low = middle
                else:
                    high = middle
            found.append(high)
        before, instant = after, instant + 86400
    return found


@dataclass
class Schedule:
    """Times are minutes of the day, as they are stored: 1439 as an end is midnight."""
    windows: list[tuple[int, int, int]] = field(default_factory=list)  # weekdays as bits, Monday 1; start; end
    overrides: list[tuple[date, int, int]] = field(default_factory=list)

    def line(self, zone_file: str, span: Span) -> str:
        windows = ",".join(f"{days}:{start}-{end}" for days, start, end in self.windows) or "-"
        overrides = ",".join(f"{day}:{start}-{end}" for day, start, end in self.overrides) or "-"
        return f"{zone_file} {span[0]} {span[1]} {windows} {overrides}\n"


class Site:
    """A stretch of time in a zone, of which the clock was read at every step: a minute, or less where the clock is set otherwise."""

    def __init__(self, zone: ZoneInfo, span: Span) -> None:
        self.span = span
        offsets = {offset_at(zone, instant) for instant in range(span[0], span[1], 900)}
        changes = [high for high in self._changes(zone)]
        self.step = math.gcd(60, span[0], span[1], *offsets, *changes)
        self.dates: dict[int, list[int]] = {}  # by ordinal: in each minute of that date, the moments at which a clock reads it, as bits
        reading: dict[tuple[int, int], int] = {}
        for index, instant in enumerate(range(span[0], span[1], self.step)):
            clock = datetime.fromtimestamp(instant, UTC).astimezone(zone)
            key = (clock.date().toordinal(), clock.hour * 60 + clock.minute)
            reading[key] = reading.get(key, 0) | 1 << index
        for (day, minute), bits in reading.items():
            self.dates.setdefault(day, [0] * DAY_MINUTES)[minute] = bits
        # The moments before each minute of a date, so that those of a window are a difference.
        for day, minutes in self.dates.items():
            before = [0]
            for bits in minutes:
                before.append(before[-1] | bits)
            self.dates[day] = before

    def _changes(self, zone: ZoneInfo) -> Iterator[int]:
        before = offset_at(zone, self.span[0])
        for instant in range(self.span[0], self.span[1], 900):
            after = offset_at(zone, min(instant + 900, self.span[1] - 1))
            if after != before:
                low, high = instant, instant + 900
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if offset_at(zone, middle) == before else (low, middle)
                yield high
            before = after

    def open_at(self, schedule: Schedule) -> int:
        """The moments that are open, as bits."""
        moments = 0
        for ordinal, before in self.dates.items():
            day = date.fromordinal(ordinal)
            items = [(start, end) for override, start, end in schedule.overrides if override == day]
            if not any(override == day for override, _, _ in schedule.overrides):
                items = [(start, end) for days, start, end in schedule.windows if days >> day.weekday() & 1]
            for start, end in items:
                if start < end:
                    moments |= before[DAY_MINUTES if end == DAY_MINUTES - 1 else end] & ~before[start]
        return moments

    def ranges(self, schedule: Schedule) -> str:
        """As tests/tools/hours prints them."""
        moments = self.open_at(schedule)
        text = ""
        while moments:
            first = (moments & -moments).bit_length() - 1
            run = moments >> first
            length = (~run & (run + 1)).bit_length() - 1
            start, end = (self.span[0] + self.step * n for n in (first, first + length))
            text += f"{start}-{end} "
            moments = run >> length << (first + length)
        return text


def around(instant: int) -> Span:
    """The days before and behind, so that both dates of a change are whole."""
    middle = instant - instant % 3600
    return middle - 30 * 3600, middle + 30 * 3600


def grid(zone: ZoneInfo, instant: int) -> Iterator[Schedule]:
    """Every window of every day whose ends are quarter hours near what the clock reads before and after a change, and the whole day."""
    every_day = 127
    near = set()
    for offset in (offset_at(zone, instant - 1), offset_at(zone, instant)):
        quarter = (instant + offset) % 86400 // 900
        near |= {(quarter + n) % 96 * 15 for n in range(-5, 7)}
    ends = sorted(near | {DAY_MINUTES - 1})
    yield Schedule([(every_day, 0, DAY_MINUTES - 1)])
    for start in ends:
        for end in ends:
            if start < end:
                yield Schedule([(every_day, start, end)])


def random_schedule(generator: random.Random, dates: list[date]) -> Schedule:
    def times() -> tuple[int, int]:
        step = generator.choice((1, 5, 15, 30))
        start, end = sorted(generator.randrange(0, DAY_MINUTES, step) for _ in range(2))
        if generator.random() < 0.2:
            end = DAY_MINUTES - 1
        if generator.random() < 0.2:
            start = 0
        return (start, end) if start < end else (0, DAY_MINUTES - 1)

    schedule = Schedule()
    for _ in range(generator.randrange(0, 6)):
        schedule.windows.append((generator.randrange(1, 128), *times()))
    for _ in range(generator.choice((0, 0, 1, 2, 4))):
        start, end = times()
        schedule.overrides.append((generator.choice(dates), start, start if generator.random() < 0.3 else end))
    return schedule
