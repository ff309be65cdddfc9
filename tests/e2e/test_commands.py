"""The Kafka consumer: what is sent to the commands topic is completed as an event, a rejection or a dead letter."""

import json
import uuid
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.structs import TopicPartition

from line import EXAMPLE, Line, until
from wire import REJECTED, WEEKDAYS, as_protobuf, decode_event, framed, messages

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


# ---- accepted

FORMS = {
    "protobuf": lambda command: (as_protobuf(command), {}),
    "protobuf_with_content_type": lambda command: (as_protobuf(command), {"content-type": b"application/protobuf"}),
    "json": lambda command: (json.dumps(command).encode(), {"content-type": b"application/json"}),
    "json_with_charset": lambda command: (json.dumps(command).encode(),
                                          {"content-type": b"Application/JSON; charset=utf-8"}),
    "framed": lambda command: (framed(as_protobuf(command)), {}),
    "framed_with_a_long_path": lambda command: (framed(as_protobuf(command), b"\x02\0"), {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_command_is_taken_in_each_form(line: Line, form: str) -> None:
    command = line.command(**EXAMPLE)
    value, headers = FORMS[form](command)
    line.send(value, key=b"478", headers=headers)
    event = line.event_of(command["commandId"])
    content = decode_event(event.value, event.headers)
    assert content == line.row_of(command["commandId"]) | {"command_id": command["commandId"], "is_default": True}
    assert (content["name"], content["overrides"]) == (EXAMPLE["name"], EXAMPLE["overrides"])


def test_a_users_own_schedule_needs_no_organization(line: Line) -> None:
    command = line.command(orgId=0)
    line.send(command)
    line.event_of(command["commandId"])
    assert line.row_of(command["commandId"])["org_id"] is None


def test_unknown_fields_are_ignored(line: Line) -> None:
    as_json, as_proto = line.command(), line.command()
    line.send(as_json | {"colour": "red", "availability": None}, as_json=True)
    line.send(as_protobuf(as_proto) + b"\xfa\x07\x03abc", key=b"478")
    for command in (as_json, as_proto):
        line.event_of(command["commandId"])


def test_text_is_kept_as_it_was_sent(line: Line) -> None:
    names = ["", "  \u00e9\U0001f600\u200d ", "x" * 255, "\U0001f600" * 255, "quote\" back\\slash \n \x01 </script>"]
    for name in names:
        command = line.command(name=name)
        line.send(command, as_json=True)
        line.event_of(command["commandId"])
        assert line.row_of(command["commandId"])["name"] == name


def test_a_time_zone_is_stored_in_its_iana_spelling(line: Line) -> None:
    for sent, stored in [("europe/rome", "Europe/Rome"), ("ASIA/CALCUTTA", "Asia/Calcutta"), ("utc", "UTC")]:
        schedule_id = line.post(EXAMPLE | {"timeZone": sent}).json()["data"]["id"]
        event = line.event_of_schedule(schedule_id)
        assert decode_event(event.value, event.headers)["time_zone"] == stored


def test_an_owner_may_have_the_largest_lists(line: Line) -> None:
    windows = [{"days": WEEKDAYS, "startTime": "00:00", "endTime": "23:59"}] * 100
    overrides = [{"date": "2024-02-29", "startTime": "00:00", "endTime": "00:00"}] * 1000
    command = line.command(availability=windows, overrides=overrides)
    line.send(command)
    event = line.event_of(command["commandId"])
    content = decode_event(event.value, event.headers)
    assert (content["availability"], content["overrides"]) == (windows, overrides)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_day_that_is_named_again_is_stored_once(line: Line, as_json: bool) -> None:
    window = {"days": ["Sunday", "Monday"] * 2000, "startTime": "09:00", "endTime": "10:00"}
    command = line.command(availability=[window])
    line.send(command, as_json=as_json)
    event = line.event_of(command["commandId"])
    assert decode_event(event.value, event.headers)["availability"] == [window | {"days": ["Sunday", "Monday"]}]


# ---- the same command again

def test_the_same_command_again_makes_nothing_new(line: Line) -> None:
    command = line.command(**EXAMPLE)
    for as_json in (False, True, False):
        line.send(command, as_json=as_json)
    barrier = line.command()
    line.send(barrier)
    line.event_of(barrier["commandId"])
    before = line.metric('schedule_commands_total{result="duplicate"}')
    line.send(command)
    until(lambda: line.metric('schedule_commands_total{result="duplicate"}') == before + 1, "the duplicate is counted")
    assert line.row_of(command["commandId"])["name"] == EXAMPLE["name"]


def test_the_same_id_with_other_content_is_rejected(line: Line) -> None:
    command = line.command()
    line.send(command)
    line.event_of(command["commandId"])
    sent = line.send(command | {"name": "Other"}, expect="rejected")
    assert line.violations_of(sent) == [("commandId", "isUnique", "commandId was used before with other content")]
    assert line.row_of(command["commandId"])["name"] == command["name"]


# ---- rejected

def test_a_rejection_names_the_command_and_every_violation_in_order(line: Line) -> None:
    body = {"commandId": "no-uuid", "orgId": -1, "userId": 0, "name": 5, "timeZone": "Mars/Base",
            "availability": [{"days": ["Mon"], "startTime": "9:00", "endTime": 7}, "x"], "isDefault": "yes",
            "overrides": [{"date": "2023-02-29", "startTime": "10:00", "endTime": "09:00"}]}
    sent = line.send(json.dumps(body).encode(), expect="rejected", headers={"content-type": b"application/json"}, key=b"9")
    days = "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"
    assert line.violations_of(sent) == [
        ("commandId", "isUuid", "commandId must be a UUID"),
        ("orgId", "min", "orgId must be a positive integer, or 0 for none"),
        ("userId", "isPositive", "userId must be a positive integer"),
        ("name", "isString", "name must be a string"),
        ("timeZone", "isTimeZone", "timeZone must be a valid IANA time-zone"),
        ("availability.0.days", "isIn", f"each value in days must be one of the following values: {days}"),
        ("availability.0.startTime", "matches", "startTime must be a valid time format HH:MM"),
        ("availability.0.endTime", "matches", "endTime must be a valid time format HH:MM"),
        ("availability.0.endTime", "isString", "endTime must be a string"),
        ("availability.1", "nestedValidation",
         "each value in nested property availability must be either object or array"),
        ("isDefault", "isBoolean", "isDefault must be a boolean value"),
        ("overrides.0.date", "isIso8601", "date must be a valid ISO 8601 date string"),
        ("overrides.0.endTime", "isAfter", "endTime must be after startTime"),
    ]
    event = line.rejection_of(sent)
    rejected = messages().ScheduleCommandRejected.FromString(event.value)
    assert (rejected.command_id, rejected.org_id, rejected.user_id) == ("no-uuid", 0, 0)
    assert event.headers["ce_type"] == REJECTED.encode()
    assert event.key == b"0"


INVALID: list[tuple[str, dict[str, Any], tuple[str, str, str]]] = [
    ("name too long", {"name": "x" * 256}, ("name", "maxLength", "name must be shorter than or equal to 255 characters")),
    ("name with NUL", {"name": "a\0b"}, ("name", "matches", "name must not contain the character NUL")),
    ("zone empty", {"timeZone": ""}, ("timeZone", "isTimeZone", "timeZone must be a valid IANA time-zone")),
    ("zone offset", {"timeZone": "+01:00"}, ("timeZone", "isTimeZone", "timeZone must be a valid IANA time-zone")),
    ("no days", {"availability": [{"days": [], "startTime": "09:00", "endTime": "10:00"}]},
     ("availability.0.days", "arrayMinSize", "days must contain at least 1 elements")),
    ("equal window", {"availability": [{"days": ["Monday"], "startTime": "09:00", "endTime": "09:00"}]},
     ("availability.0.endTime", "isAfter", "endTime must be after startTime")),
    ("24:00", {"overrides": [{"date": "2024-01-01", "startTime": "09:00", "endTime": "24:00"}]},
     ("overrides.0.endTime", "matches", "endTime must be a valid time format HH:MM")),
    ("date-time", {"overrides": [{"date": "2024-01-01T00:00:00Z", "startTime": "09:00", "endTime": "10:00"}]},
     ("overrides.0.date", "isIso8601", "date must be a valid ISO 8601 date string")),
    ("101 windows", {"availability": [{"days": ["Monday"], "startTime": "09:00", "endTime": "10:00"}] * 101},
     ("availability", "arrayMaxSize", "availability must contain no more than 100 elements")),
    ("1001 overrides", {"overrides": [{"date": "2024-01-01", "startTime": "09:00", "endTime": "10:00"}] * 1001},
     ("overrides", "arrayMaxSize", "overrides must contain no more than 1000 elements")),
    ("user nought", {"userId": 0}, ("userId", "isPositive", "userId must be a positive integer")),
    ("org negative", {"orgId": -5}, ("orgId", "min", "orgId must be a positive integer, or 0 for none")),
    ("id not a UUID", {"commandId": "x"}, ("commandId", "isUuid", "commandId must be a UUID")),
]


@pytest.mark.parametrize(("fields", "violation"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID])
def test_an_invalid_command_is_rejected_in_protobuf_and_json(line: Line, fields: dict[str, Any],
                                                             violation: tuple[str, str, str]) -> None:
    for as_json in (False, True):
        sent = line.send(line.command(**fields), expect="rejected", as_json=as_json)
        assert line.violations_of(sent) == [violation]


def test_a_day_that_no_weekday_has_is_rejected(line: Line) -> None:
    message = messages().CreateSchedule.FromString(as_protobuf(line.command(**EXAMPLE)))
    message.availability.windows[1].days.append(8)
    sent = line.send(message.SerializeToString(), expect="rejected", key=b"478")
    assert [one[:2] for one in line.violations_of(sent)] == [("availability.1.days", "isIn")]


def test_who_is_no_member_is_rejected(line: Line) -> None:
    people = line.people
    sent = line.send(line.command(userId=people.stranger), expect="rejected")
    assert line.violations_of(sent) == [("userId", "isUserInOrg", f"user with id={people.stranger} is not part of the "
                                                                  f"organization with id={people.org}.")]
    sent = line.send(line.command(orgId=people.other_org), expect="rejected")
    assert line.violations_of(sent)[0][1] == "isUserInOrg"
    sent = line.send(line.command(orgId=0, userId=1 << 62), expect="rejected")
    assert line.violations_of(sent) == [("userId", "isUser", f"user with id={1 << 62} does not exist.")]


def test_json_without_ids_is_rejected_not_a_dead_letter(line: Line) -> None:
    sent = line.send(b"{}", expect="rejected", headers={"content-type": b"application/json"})
    assert [one[0] for one in line.violations_of(sent)] == ["commandId", "userId", "name", "timeZone", "isDefault"]


# ---- dead letters

UNDECODABLE: dict[str, tuple[bytes | None, dict[str, bytes], bytes]] = {
    "empty": (b"", {}, b"the value is empty"),
    "null": (None, {}, b"the value is empty"),
    "no protobuf": (b"\xff\xff\xff\xff", {}, b"the value is not a schedules.v1.CreateSchedule"),
    "truncated": (as_protobuf({"commandId": str(uuid.uuid4()), "userId": 1, **EXAMPLE})[:-3], {},
                  b"the value is not a schedules.v1.CreateSchedule"),
    "invalid UTF-8": (b"\x22\x02\xc3\x28", {}, b"a text is not valid UTF-8"),
    "frame without path": (b"\0\0\0\0\x07", {}, b"the value begins as Confluent's wire format and is none"),
    "frame of another message": (b"\0\0\0\0\x07\x02\x02", {}, b"the value begins as Confluent's wire format and is none"),
    "no JSON": (b'{"a":', {"content-type": b"application/json"}, b"the value is not JSON"),
    "JSON array": (b"[]", {"content-type": b"application/json"}, b"the value is not a JSON object"),
    "JSON with invalid UTF-8": (b'{"name":"\xc3\x28"}', {"content-type": b"application/json"}, b"the value is not JSON"),
    "JSON too deep": (b"[" * 100_000, {"content-type": b"application/json"}, b"the JSON has more than 32 levels"),
    "JSON of too many values": (b"[" + b"0," * 100_000 + b"0]", {"content-type": b"application/json"},
                                b"the JSON has more than 8000 values"),
    "protobuf said to be JSON": (as_protobuf({"commandId": str(uuid.uuid4()), "userId": 1, **EXAMPLE}),
                                 {"content-type": b"application/json"}, b"the value is not JSON"),
}


@pytest.mark.parametrize("case", UNDECODABLE)
def test_what_cannot_be_read_becomes_a_dead_letter(line: Line, case: str) -> None:
    value, headers, reason = UNDECODABLE[case]
    sent = line.send(value, expect="dead", key=b"some key", headers=headers | {"mine": b"\x00\xff", "empty": b""})
    letter = line.dead_letter_of(sent)
    assert (letter.key, letter.value or b"") == (b"some key", value or b"")
    assert letter.header_list == (*sent.header_list, ("dead-letter-reason", reason),
                                  ("dead-letter-topic", line.place.commands.encode()),
                                  ("dead-letter-partition", str(sent.partition).encode()),
                                  ("dead-letter-offset", str(sent.offset).encode()))


def test_a_huge_value_becomes_a_dead_letter_whole(line: Line) -> None:
    value = b"\x22" + bytes(1_040_000)  # what a topic takes by default, and close to 1 MiB
    sent = line.send(value, expect="dead", partition=1)
    assert line.dead_letter_of(sent).value == value


def test_a_dead_letter_without_key_has_none(line: Line) -> None:
    sent = line.send(b"\xff", expect="dead")
    assert line.dead_letter_of(sent).key is None


def test_bad_ones_leave_their_neighbours_alone(line: Line) -> None:
    good = [line.command() for _ in range(20)]
    for number, command in enumerate(good):
        line.send(command, partition=2)
        if number % 3 == 0:
            line.send(b"\xff", expect="dead", partition=2)
        if number % 4 == 0:
            line.send(line.command(timeZone="x"), expect="rejected", partition=2)
    for command in good:
        line.event_of(command["commandId"])


# ---- around

def test_traceparent_is_carried_to_every_outcome(line: Line) -> None:
    headers = {"traceparent": TRACE.encode()}
    command = line.command()
    line.send(command, headers=headers)
    rejected = line.send(line.command(timeZone="x"), expect="rejected", headers=headers)
    dead = line.send(b"\xff", expect="dead", headers=headers)
    for event in (line.event_of(command["commandId"]), line.rejection_of(rejected), line.dead_letter_of(dead)):
        assert event.headers["traceparent"] == TRACE.encode()
    schedule_id = line.post(EXAMPLE, headers={"traceparent": TRACE}).json()["data"]["id"]
    assert line.event_of_schedule(schedule_id).headers["traceparent"] == TRACE.encode()
    schedule_id = line.post(EXAMPLE, headers={"traceparent": "nonsense"}).json()["data"]["id"]
    assert "traceparent" not in line.event_of_schedule(schedule_id).headers


def test_the_group_shows_its_offsets_to_lag_tools(line: Line) -> None:
    sent = line.send(line.command())
    admin = KafkaAdminClient(bootstrap_servers=line.servers.kafka.bootstrap)

    def committed() -> int:
        group = line.env["CONSUMER_GROUP"]
        offsets = admin.list_group_offsets(group)[group]
        return max((at.offset for partition, at in offsets.items()
                    if partition == TopicPartition(line.place.commands, sent.partition)), default=-1)

    try:
        until(lambda: committed() == sent.offset + 1, "the group's offset is committed", 15)
    finally:
        admin.close()


def test_events_are_read_by_kafkas_own_console_consumer(line: Line) -> None:
    command = line.command(**EXAMPLE)
    line.send(command)
    ours = line.event_of(command["commandId"])
    records = line.servers.kafka.consume(line.place.events, len(line.topic(line.place.events).records), 5)
    found = [record for record in records if record.headers["ce_id"] == ours.headers["ce_id"].decode()]
    assert [(record.key.encode(), record.value) for record in found] == [(ours.key, ours.value)]


def test_metrics_count_what_became_of_commands(line: Line) -> None:
    names = ["created", "rejected", "dead_letter"]
    before = [line.metric(f'schedule_commands_total{{result="{name}"}}') for name in names]
    command = line.command()
    line.send(command)
    line.event_of(command["commandId"])
    line.rejection_of(line.send(line.command(name="x" * 256), expect="rejected"))
    line.dead_letter_of(line.send(b"\xff", expect="dead"))
    after = [line.metric(f'schedule_commands_total{{result="{name}"}}') for name in names]
    assert after == [count + 1 for count in before]
