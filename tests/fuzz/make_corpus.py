"""Writes the seeds of tests/fuzz/corpus/<target>/. Run it again after a format changed; what fuzzing found is kept beside."""

import gzip
import struct
import zlib
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
HOOK = b'{"active":true,"subscriberUrl":"https://example.com/hook?a=1","triggers":["SCHEDULE_CREATED","DELEGATION_CREDENTIAL_ERROR"]}'
CHANGE = field(1, UUID) + field(2, 7) + field(3, 478) + field(4, 254) + field(5, 3)
UPDATE = CHANGE + field(6, "New") + field(7, "utc") + field(8, 0) + field(9, field(1, WINDOW)) + field(10, field(1, OVERRIDE))
CHANGE_IDS = IDS[:-1] + b',"scheduleId":254,"expectedVersion":3}'
STATE = (b'{"type":"ScheduleUpdated","schedule":{"id":254,"ownerId":478,"orgId":null,"version":2,' + BODY[1:] + b'},"commandId":"'
         + UUID.encode() + b'","occurredUs":1700000000000000,"traceparent":null}')
RECORD = b"\x01\x01\x02" + text(b"key") + text(b"value") + text(b"a") + text(b"1") + text(b"b") + text(None)
USER = field(1, 5) + field(2, "Ada") + field(3, "europe/rome")
MEMBERSHIP = field(1, 1) + field(2, 5) + field(3, 2)
WAL = b"w" + struct.pack(">QQQ", 0x1000, 0x2000, 42)
BEGIN = WAL + b"B" + struct.pack(">QQI", 16, 1000000, 777)
COMMIT = WAL + b"C" + struct.pack(">BQQQ", 0, 16, 64, 1000000)


def tzif(footer: bytes, changes: tuple[tuple[int, int], ...] = (), offsets: tuple[int, ...] = (-17762, -14400, -18000)) -> bytes:
    def block(counts: tuple[int, ...], body: bytes) -> bytes:
        return b"TZif2" + bytes(15) + struct.pack(">6I", *counts) + body
    body = b"".join(struct.pack(">q", at) for at, _ in changes) + bytes(kind for _, kind in changes)
    body += b"".join(struct.pack(">iBB", offset, 0, 0) for offset in offsets) + b"LMT\0"
    return (block((0, 0, 0, 0, 1, 4), bytes(10)) + block((0, 0, 0, len(changes), len(offsets), 4), body)
            + b"\n" + footer + b"\n")


def directory(key: bytes, value: bytes, is_json: bool = False) -> bytes:
    return bytes([is_json, len(key)]) + key + value


def message(prefix: bytes, content: bytes) -> bytes:
    return WAL + b"M" + struct.pack(">BQ", 1, 99) + prefix + b"\0" + struct.pack(">I", len(content)) + content


def stream(*payloads: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(payload)) + payload for payload in payloads)


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
        "keepalive": stream(b"k" + struct.pack(">QQB", 1, 2, 1)), "begin": stream(BEGIN), "commit": stream(COMMIT),
        "message": stream(message(b"schedule-service", RECORD)), "state": stream(message(b"schedule-service.state", STATE)),
        "relation": stream(WAL + b"R" + b"\0" * 8), "unterminated": stream(WAL + b"M" + struct.pack(">BQ", 1, 99) + b"prefix"),
        "transaction": stream(BEGIN, message(b"schedule-service.state", STATE), message(b"schedule-service", 2 * RECORD),
                              message(b"schedule-service", b"no record"), message(b"other", b"x"), COMMIT),
        "position": stream(b"16/B374D848"), "cut": stream(COMMIT)[:-3],
    },
    "http_target": {
        "schedule": b"/api/v2/organizations/7/users/478/schedules/254/", "own": b"/v2/ee/schedules/%20-5%20", "list": b"/v2/schedules/",
        "page": b"/v2/organizations/7/schedules?take=20&skip=0", "encoded": b"/v2/schedules?t%61ke=%2B1e3&take=+5+&skip=%zz#take=1",
        "wrong": b"/v2/schedules?take=-1&skip=x", "huge": b"/v2/schedules?take=" + b"9" * 310, "bytes": b"/v2/\"<\\>\x7f\xff?take=0&skip",
        "number": b"9223372036854775807", "negative": b" -9223372036854775808\t", "over": b"9223372036854775808", "plus": b"+%35",
    },
    "http_coding": {
        "gzip": b"1" + gzip.compress(BODY, mtime=0), "deflate": b"0" + zlib.compress(BODY), "cut": b"1" + gzip.compress(BODY, mtime=0)[:-9],
        "members": b"1" + 3 * gzip.compress(b"", mtime=0), "bomb": b"1" + gzip.compress(bytes(1 << 20), mtime=0), "more": b"0" + zlib.compress(b"") + b"0",
        "empty": b"",
    },
    "http_header": {
        "key": b"Bearer cal_0123456789abcdef", "bare_key": b"cal_x", "token": b"Bearer x", "client": b"\0client-id\0secret", "id": b"\0client-id",
        "version": b'"17"', "weak": b'W/"17"', "any": b"*", "tags": b'"1", "2"', "long_tag": b'"9223372036854775807"', "zero": b'"01"',
        "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "no_trace": b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        "json": b"Application/JSON ; charset=utf-8", "request_id": b"a.b_c-1", "bytes": b"\x01\x80 ~\x7f", "long": b"k" * 256,
        "ipv4": b"198.51.100.7, 192.0.2.1:80", "ipv6": b"[2001:db8:1:2:3::4]:443", "scope": b"fe80::1%eth0", "mapped": b"::ffff:192.0.2.1",
    },
    "config": {
        "least": b"DATABASE_URL=dbname=x", "file": b"DATABASE_URL_FILE=x", "both": b"DATABASE_URL=dbname=x\nDATABASE_URL_FILE=y", "none": b"",
        "numbers": b"DATABASE_URL=dbname=x\nWAL_BUDGET=1\nHTTP_MAX_CONNECTIONS= +5\nRATE_LIMIT_API_KEY=-0\nIDEMPOTENCY_KEY_SECONDS=2678401",
        "choices": b"DATABASE_URL=dbname=x\nEVENT_FORMAT=json\nLOG_LEVEL=warn\nLOG_FORMAT=xml\nRELAY=off\nDOORS=on",
        "lists": b"DATABASE_URL=dbname=x\nEVENT_FORMAT=protobuf|json\nRELAY=on|off", "tls": b"DATABASE_URL=dbname=x\nHTTP_TLS_KEY=k", "off": b"RELAY=off\nDOORS=off",
        "properties": b"DATABASE_URL=dbname=x\nRDKAFKA_SASL_PASSWORD=y\nRDKAFKA_SASL_USERNAME_FILE=z\nRDKAFKA_", "prefix": b"DATABASE_URL=dbname=x\nRDKAFKA_FILE=y",
        "relay": b"DATABASE_URL=dbname=x\nRELAY_DATABASE_URL=postgresql://y:z%40@h:1,i/d?sslmode=require\nCONSUMER_GROUP=g\nDIRECTORY_TOPIC=", "long_name": b"DATABASE_URL=dbname=x\nRDKAFKA_" + b"X" * 300 + b"=y\nRDKAFKA_" + b"X" * 247 + b"=z",
        "no_equals": b"DATABASE_URL\nRDKAFKA_X\n=\n",
    },
    "zone": {
        "slim": tzif(b"EST5EDT,M3.2.0,M11.1.0", ((-2717650800, 2),)), "fixed": tzif(b"<+0330>-3:30", offsets=(12600,)),
        "julian": tzif(b"AAA3BBB,J60/-167,59/167"), "all_year": tzif(b"EST5EDT,0/0,J365/25", ((0, 1),)),
        "table": tzif(b"", ((1699999200, 1), (1700002800, 2), (1700089200, 1))), "bad": tzif(b"EST5EDT"), "empty": b"",
    },
    "hours_query": {
        "dates": b"/v2/schedules/default/availability?from=2024-05-20&to=2024-05-27&timeZone=europe/rome&explain=true&limit=5",
        "slots": b"/x?from=2024-05-20T00:00:00%2B02:00&to=2024-05-21T00:00:00.000Z&duration=30&step=15&align=clock&cursor=2024-05-20T01:00:00Z",
        "bad": b"/x?from=2024-05-20&to=2024-05-20T00:00Z&duration=0&align=x&limit=99999&scheduleId=%35", "empty": b"",
    },
    "people_query": {
        "users": b'/v2/x?cursor=7@2024-05-20T09:00:00Z\n{"from":"2024-05-20","to":"2024-05-21","users":[{"userId":7},{"userId":8,"scheduleId":9}],'
                 b'"timeZone":"utc","limit":5,"explain":true}',
        "team": b'/x?cursor=2024-05-20T09:00:00Z\n{"from":"2024-05-20T00:00:00Z","to":"2024-05-21T00:00:00Z","teamId":5,"combine":"atLeast","k":2,'
                b'"duration":30,"step":15,"align":"clock"}',
        "groups": b'/x\n{"from":"2024-05-20","to":"2024-06-20","users":[{"userId":1},{"userId":2}],"combine":"groups",'
                  b'"groups":[{"users":[1],"atLeast":1},{"users":[1,2],"atLeast":2}]}',
        "bad": b'/x?cursor=x\n{"from":5,"to":null,"teamId":"1","users":[],"combine":"most","k":0,"groups":[{"users":[3,3],"atLeast":9}]}', "empty": b"",
    },
    "webhook_input": {
        "create": b"\0" + HOOK, "standard": b"\0" + HOOK[:-1] + b',"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","format":"standard"}',
        "bad": b'\0{"payloadTemplate":"x","active":1,"subscriberUrl":null,"triggers":["NONE",5],"secret":"whsec_%","version":"1","format":"x"}',
        "change": b'\1{"active":null,"secret":null,"triggers":[]}', "word": b'\1{"triggers":"OOO_CREATED","secret":"a\\u0000b"}', "nothing": b"\1{}",
        "long_secret": b'\1{"secret":"' + b"s" * 256 + b'"}',
        "replay": b'\2{"from":"2026-01-31T08:00:00Z","to":"2026-02-01T08:00:00+01:00","triggers":["SCHEDULE_DELETED"]}',
        "from_event": b'\2{"from":"17.3"}', "backward": b'\2{"from":"2026-01-31T08:00:00Z","to":"2026-01-31T08:00:00Z"}', "no_from": b'\2{"from":"1..2"}',
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
