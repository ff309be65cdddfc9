"""Writes the seeds of tests/fuzz/corpus/<target>/. Run it again after a format changed; what fuzzing found is kept beside."""

import struct
from pathlib import Path

HERE = Path(__file__).parent / "corpus"


def field(number: int, value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def text(data: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if data is None else struct.pack("<I", len(data)) + data


UUID = "01890a5d-ac96-774b-bcce-b302099a8057"
WINDOW = field(1, b"\x01\x02") + field(2, "17:00") + field(3, "19:00")
OVERRIDE = field(1, "2024-05-20") + field(2, "18:00") + field(3, "21:00")
COMMAND = (field(1, UUID) + field(2, 7) + field(3, 478) + field(4, "Catch up hours") + field(5, "europe/rome") + field(6, 1)
           + field(7, field(1, WINDOW)) + field(8, OVERRIDE))
BODY = (b'{"name":"Catch up hours","timeZone":"Europe/Rome","availability":[{"days":["Monday","Tuesday"],"startTime":"17:00",'
        b'"endTime":"19:00"}],"isDefault":true,"overrides":[{"date":"2024-05-20","startTime":"18:00","endTime":"21:00"}]')
IDS = b',"commandId":"' + UUID.encode() + b'","orgId":7,"userId":478}'
BAD_BODY = (b'{"name":5,"timeZone":null,"availability":[{"days":["Noday"],"startTime":"24:00","endTime":[]},7,{}],"isDefault":"x",'
            b'"overrides":{"date":"2023-02-29","startTime":"10:00","endTime":"09:00"}}')
CHANGE = field(1, UUID) + field(2, 7) + field(3, 478) + field(4, 254) + field(5, 3)
UPDATE = CHANGE + field(6, "New") + field(7, "utc") + field(8, 0) + field(9, field(1, WINDOW)) + field(10, field(1, OVERRIDE))
CHANGE_IDS = IDS[:-1] + b',"scheduleId":254,"expectedVersion":3}'
STATE = (b'{"type":"ScheduleUpdated","schedule":{"id":254,"ownerId":478,"orgId":null,"version":2,' + BODY[1:] + b'},"commandId":"'
         + UUID.encode() + b'","occurredUs":1700000000000000,"traceparent":null}')
RECORD = b"\x01\x01\x02" + text(b"key") + text(b"value") + text(b"a") + text(b"1") + text(b"b") + text(None)
USER = field(1, 5) + field(2, "Ada") + field(3, "europe/rome")
MEMBERSHIP = field(1, 1) + field(2, 5) + field(3, 2)
WAL = b"w" + struct.pack(">QQQ", 0x1000, 0x2000, 42)


def directory(key: bytes, value: bytes, is_json: bool = False) -> bytes:
    return bytes([is_json, len(key)]) + key + value


SEEDS = {
    "command": {
        "protobuf": b"\0" + COMMAND, "confluent": b"\0\0\0\0\0\x07\0" + COMMAND, "confluent_path": b"\0\0\0\0\0\x07\x02\0" + COMMAND,
        "json": b"\1" + BODY + IDS, "json_bad": b"\1" + BAD_BODY, "empty": b"\0", "defaults": b"\0" + field(3, 5),
        "no_windows": b"\0" + field(7, b""), "unknown": b"\0" + COMMAND + field(15, 1) + field(14, "x"), "not_utf8": b"\0" + field(4, b"\xff"),
        "update": b"\2" + UPDATE, "update_nothing": b"\2" + CHANGE, "update_clear": b"\2" + CHANGE + field(9, b"") + field(10, b""),
        "update_json": b"\3" + BODY + CHANGE_IDS, "update_null": b"\3" + b'{"name":null,"overrides":null' + CHANGE_IDS,
        "delete": b"\4" + CHANGE, "delete_framed": b"\4\0\0\0\0\x07\0" + CHANGE, "delete_json": b"\5{" + CHANGE_IDS[1:],
        "nul": b"\0" + field(4, b"a\0b"), "cut": b"\0" + COMMAND[:-3], "days": b"\0" + field(7, field(1, field(1, varint(-1) + b"\x63"))),
    },
    "directory": {
        "user": directory(b"user/5", field(2, USER)), "framed": directory(b"user/5", b"\0\0\0\0\x07\0" + field(2, USER)),
        "membership": directory(b"membership/1/5", field(3, MEMBERSHIP)), "tombstone": directory(b"team-membership/3/5", b""),
        "organization": directory(b"organization/1", field(1, field(1, 1))), "other_key": directory(b"team/4", field(4, field(1, 3))),
        "json": directory(b"user/5", b'{"type":"user","id":5,"name":"Ada","timeZone":"utc"}', True), "none": directory(b"", field(9, 1)),
        "json_bad": directory(b"team/0", b'{"type":"team","id":-1,"orgId":1.5,"name":[],"role":{},"remove":1}', True),
        "json_remove": directory(b"team/3", b'{"type":"team","id":3,"remove":true}', True),
    },
    "schedule_state": {"updated": STATE, "deleted": STATE.replace(b"Updated", b"Deleted"), "cut": STATE[:-9], "empty": b"{}",
                       "no_schedule": b'{"type":"ScheduleCreated"}', "bad": STATE.replace(b"17:00", b"25:00")},
    "http_body": {"good": BODY + b"}", "bad": BAD_BODY, "empty": b"{}", "list": b"[]", "nul": b'{"name":"a\\u0000b"}', "number": b"1e5",
                  "deep": b"[" * 60 + b"]" * 60, "null": b'{"availability":null,"overrides":null}',
                  "huge": b'{"name":99999999999999999999,"ignored":[1e400,-1e400,"1e400\\""]}'},
    "record": {"event": RECORD, "none": b"\x01\x02\x00" + text(None) + text(None), "cut": RECORD[:-1], "long": b"\x01\x01\xff"},
    "pgoutput": {
        "keepalive": b"k" + struct.pack(">QQB", 1, 2, 1), "begin": WAL + b"B" + struct.pack(">QQI", 16, 1000000, 777),
        "commit": WAL + b"C" + struct.pack(">BQQQ", 0, 16, 64, 1000000),
        "message": WAL + b"M" + struct.pack(">BQ", 1, 99) + b"schedule-service\0" + struct.pack(">I", len(RECORD)) + RECORD,
        "relation": WAL + b"R" + b"\0" * 8, "unterminated": WAL + b"M" + struct.pack(">BQ", 1, 99) + b"prefix",
    },
    "time_zone": {
        "zones": b"# version 2024a\nR d 1916 o - Jun 14 23s 1 S\nZ Europe/Rome 0:49:56 - LMT 1866 D 12\n1 d CE%sT\nL Asia/Kolkata Asia/Calcutta\n"
                 b"\0EUROPE/rome",
        "factory": b"Z Factory 0 - -00\n\0Factory", "words": b"Z\nL\nL A\nZ  \n L A B\n\0", "link": b"L A B\0b", "empty": b"",
    },
}

for target, seeds in SEEDS.items():
    directory = HERE / target
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (directory / name).write_bytes(data)
