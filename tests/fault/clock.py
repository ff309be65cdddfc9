"""A wall clock that is put forward and back, for processes that are started with its `env`. What does it is clock.c."""

from __future__ import annotations

import struct
import time
from pathlib import Path


class Clock:
    def __init__(self, directory: Path, binary: Path) -> None:
        self.file, self.offset_s = directory / "clock", 0
        self.file.write_bytes(struct.pack("=q", 0))
        self.env = {"LD_PRELOAD": str(binary.parent / "tests/fault/clock.so"), "CLOCK_FILE": str(self.file)}

    def put(self, offset_s: int) -> None:
        """So far from the true time."""
        self.offset_s = offset_s
        with self.file.open("r+b") as file:
            file.write(struct.pack("=q", offset_s))

    def now(self) -> float:
        return time.time() + self.offset_s
