"""A look at the files of a broker's logs, which it is not writing to meanwhile."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

# https://kafka.apache.org/documentation/#recordbatch
_HEADER = struct.Struct(">qiibIhiqqqhii")
_CONTROL = 1 << 5
_LENGTH_FROM = 12  # what batchLength counts begins there
_KEY_AT = _HEADER.size + 5  # of a control batch's only record, behind its length, attributes, two deltas and the key's length
_COMMIT = b"\x00\x00\x00\x01"


@dataclass(frozen=True)
class Batch:
    position: int  # in the file
    producer: int
    timestamp_ms: int
    is_commit: bool  # the end that a transaction has in this partition


def batches(log: Path) -> list[Batch]:
    found, position, data = [], 0, log.read_bytes()
    while position + _HEADER.size <= len(data):
        _, length, _, _, _, attributes, _, _, timestamp_ms, producer, _, _, _ = _HEADER.unpack_from(data, position)
        key = data[position + _KEY_AT:position + _KEY_AT + len(_COMMIT)]
        found.append(Batch(position, producer, timestamp_ms, bool(attributes & _CONTROL) and key == _COMMIT))
        position += _LENGTH_FROM + length
    return found


def last_transaction_ends(first: Path, others: list[Path]) -> dict[Path, int]:
    """Where in each log the last transaction's end is, if that is committed and nothing came behind it; only such logs. The first one has a part
    in every transaction. Empty when one is under way there."""
    behind = batches(first)[-2:]
    if len(behind) < 2 or not behind[1].is_commit:
        return {}
    ends = {log: found[-1] for log in others if (found := batches(log))}
    return {first: behind[1].position} | {log: end.position for log, end in ends.items()
                                          if end.is_commit and end.producer == behind[1].producer and
                                          end.timestamp_ms >= behind[0].timestamp_ms}
