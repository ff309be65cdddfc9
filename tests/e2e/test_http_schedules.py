"""What the HTTP API takes, answers and refuses, by the contract."""

import json
import re
from typing import Any

import pytest

from line import EXAMPLE, MINIMAL, Line
from replies import assert_envelope, assert_error, assert_invalid, parse_answers

DAYS = ("each value in days must be one of the following values: "
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MISSING = [
    {"property": "name", "children": [], "constraints": {"isString": "name must be a string"}},
    {"property": "timeZone", "children": [], "constraints": {"isTimeZone": "timeZone must be a valid IANA time-zone"}},
    {"property": "isDefault", "children": [], "constraints": {"isBoolean": "isDefault must be a boolean value"}},
]


def error(prop: str, constraints: dict[str, str], **value: Any) -> dict[str, Any]:
    shown = {name: sent for name, sent in value.items() if not isinstance(sent, (list, dict)) and len(str(sent)) <= 200}
    return shown | {"property": prop, "children": [], "constraints": constraints}


def window(**fields: Any) -> dict[str, Any]:
    return {"days": ["Monday"], "startTime": "09:00", "endTime": "17:00"} | fields


def override(**fields: Any) -> dict[str, Any]:
    return {"date": "2024-05-20", "startTime": "09:00", "endTime": "17:00"} | fields


def nested(field: str, items: list[Any], *faults: tuple[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """The error of a list, with the errors of its items by their index."""
    children = [{"property": str(index), "children": errors} for index, errors in faults]
    return {"property": field, "children": children}


# ---- validation

TOP_LEVEL: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "name_number": ({"name": 5}, [error("name", {"isString": "name must be a string"}, value=5)]),
    "name_null": ({"name": None}, [error("name", {"isString": "name must be a string"}, value=None)]),
    "name_too_long": ({"name": "x" * 256}, [error("name", {
        "maxLength": "name must be shorter than or equal to 255 characters"}, value="x" * 256)]),
    "name_with_nul": ({"name": "a\0"}, [error("name", {"matches": "name must not contain the character NUL"}, value="a\0")]),
    "zone_unknown": ({"timeZone": "Mars/Base"}, [error("timeZone", {
        "isTimeZone": "timeZone must be a valid IANA time-zone"}, value="Mars/Base")]),
    "zone_offset": ({"timeZone": "GMT+1"}, [error("timeZone", {
        "isTimeZone": "timeZone must be a valid IANA time-zone"}, value="GMT+1")]),
    "zone_list": ({"timeZone": ["UTC"]}, [error("timeZone", {
        "isTimeZone": "timeZone must be a valid IANA time-zone"}, value=["UTC"])]),
    "default_text": ({"isDefault": "true"}, [error("isDefault", {
        "isBoolean": "isDefault must be a boolean value"}, value="true")]),
    "default_null": ({"isDefault": None}, [error("isDefault", {
        "isBoolean": "isDefault must be a boolean value"}, value=None)]),
    "availability_text": ({"availability": "x"}, [error("availability", {
        "isArray": "availability must be an array",
        "nestedValidation": "each value in nested property availability must be either object or array"}, value="x")]),
    "overrides_number": ({"overrides": 1}, [error("overrides", {
        "isArray": "overrides must be an array",
        "nestedValidation": "each value in nested property overrides must be either object or array"}, value=1)]),
    "101_windows": ({"availability": [window()] * 101}, [error("availability", {
        "arrayMaxSize": "availability must contain no more than 100 elements"}, value=[window()] * 101)]),
    "1001_overrides": ({"overrides": [override()] * 1001}, [error("overrides", {
        "arrayMaxSize": "overrides must contain no more than 1000 elements"}, value=[override()] * 1001)]),
    "several_in_the_order_of_fields": ({"overrides": 1, "isDefault": 0, "availability": [], "timeZone": "", "name": []}, [
        error("name", {"isString": "name must be a string"}, value=[]),
        error("timeZone", {"isTimeZone": "timeZone must be a valid IANA time-zone"}, value=""),
        error("isDefault", {"isBoolean": "isDefault must be a boolean value"}, value=0),
        error("overrides", {"isArray": "overrides must be an array",
                            "nestedValidation": "each value in nested property overrides must be either object or array"},
              value=1)]),
}


@pytest.mark.parametrize("case", TOP_LEVEL)
def test_a_wrong_field_is_named(line: Line, case: str) -> None:
    fields, errors = TOP_LEVEL[case]
    assert_invalid(line.post(MINIMAL | fields), errors)


START = {"matches": "startTime must be a valid time format HH:MM"}
END = {"matches": "endTime must be a valid time format HH:MM"}
WINDOWS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "one_digit_hour": ({"startTime": "9:00"}, [error("startTime", START, value="9:00")]),
    "hour_24": ({"endTime": "24:00"}, [error("endTime", END, value="24:00")]),
    "minute_60": ({"endTime": "10:60"}, [error("endTime", END, value="10:60")]),
    "seconds": ({"startTime": "09:00:00"}, [error("startTime", START, value="09:00:00")]),
    "space": ({"startTime": " 09:00"}, [error("startTime", START, value=" 09:00")]),
    "newline": ({"startTime": "09:00\n"}, [error("startTime", START, value="09:00\n")]),
    "no_text": ({"startTime": 900}, [error("startTime", START | {"isString": "startTime must be a string"}, value=900)]),
    "end_is_start": ({"endTime": "09:00"}, [
        error("endTime", {"isAfter": "endTime must be after startTime"}, value="09:00")]),
    "end_before_start": ({"endTime": "08:59"}, [
        error("endTime", {"isAfter": "endTime must be after startTime"}, value="08:59")]),
    "no_days": ({"days": []}, [error("days", {"arrayMinSize": "days must contain at least 1 elements"}, value=[])]),
    "lower_case_day": ({"days": ["monday"]}, [error("days", {"isIn": DAYS}, value=["monday"])]),
    "days_as_text": ({"days": "Monday"}, [
        error("days", {"isArray": "days must be an array"}, value="Monday")]),
    "no_day_as_text": ({"days": "Mon"}, [
        error("days", {"isIn": DAYS, "isArray": "days must be an array"}, value="Mon")]),
    "day_number": ({"days": [1]}, [error("days", {"isIn": DAYS}, value=[1])]),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_a_wrong_window_is_named_by_its_place(line: Line, case: str) -> None:
    fields, errors = WINDOWS[case]
    items = [window(), window(**fields)]
    assert_invalid(line.post(MINIMAL | {"availability": items}), [nested("availability", items, (1, errors))])


OVERRIDES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    name: ({"date": date}, [error("date", {"isIso8601": "date must be a valid ISO 8601 date string"}, value=date)])
    for name, date in {"no_leap_year": "2023-02-29", "day_30_of_february": "2024-02-30", "month_13": "2024-13-01",
                       "short": "2024-5-2", "american": "05/20/2024", "space": " 2024-05-20", "month": "2024-05",
                       "date_time": "2024-05-20T10:00:00Z", "week": "2024-W21-1", "number": 20240520}.items()
} | {
    "end_before_start": ({"endTime": "08:00"}, [
        error("endTime", {"isAfter": "endTime must be after startTime"}, value="08:00")]),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_a_wrong_override_is_named_by_its_place(line: Line, case: str) -> None:
    fields, errors = OVERRIDES[case]
    items = [override(**fields), override()]
    assert_invalid(line.post(MINIMAL | {"overrides": items}), [nested("overrides", items, (0, errors))])


def test_missing_fields_have_no_value(line: Line) -> None:
    assert_invalid(line.post({}), MISSING)
    items = [{}]
    start = error("startTime", START | {"isString": "startTime must be a string"})
    end = error("endTime", END | {"isString": "endTime must be a string"})
    days = error("days", {"isIn": DAYS, "isArray": "days must be an array"})
    date = error("date", {"isIso8601": "date must be a valid ISO 8601 date string"})
    assert_invalid(line.post(MINIMAL | {"availability": items, "overrides": items}), [
        nested("availability", items, (0, [days, start, end])), nested("overrides", items, (0, [date, start, end]))])


def test_items_that_are_no_objects_are_named(line: Line) -> None:
    items = ["x", window(), None, 7]
    message = "each value in nested property availability must be either object or array"
    children = [error(str(index), {"nestedValidation": message}, value=items[index]) for index in (0, 2, 3)]
    assert_invalid(line.post(MINIMAL | {"availability": items}),
                   [{"property": "availability", "children": children}])


def test_one_object_in_place_of_a_list_is_looked_into(line: Line) -> None:
    item = window(startTime="9")
    assert_invalid(line.post(MINIMAL | {"availability": item}), [
        {"property": "availability", "children": [error("startTime", START, value="9")],
         "constraints": {"isArray": "availability must be an array"}}])


def test_keys_and_constraints_stand_in_the_contracts_order(line: Line) -> None:
    text = line.post(MINIMAL | {"availability": [window(startTime=5)]}).text
    start = text.index('"property":"startTime"')
    assert text[:start].endswith('{"value":5,')
    assert text[start:].startswith('"property":"startTime","children":[],"constraints":{"matches":"startTime must be a '
                                   'valid time format HH:MM","isString":"startTime must be a string"}')


def test_nothing_of_a_refused_body_is_stored(line: Line) -> None:
    before = line.sql("SELECT count(*) FROM schedules")
    assert line.post(EXAMPLE | {"overrides": [override(date="x")]}).status_code == 400
    assert line.sql("SELECT count(*) FROM schedules") == before


# ---- bodies

def test_unknown_fields_are_dropped_and_null_lists_are_absent(line: Line) -> None:
    body = MINIMAL | {"colour": "red", "availability": None, "overrides": None}
    schedule = line.post(body).json()["data"]
    assert "colour" not in schedule
    assert (len(schedule["availability"]), schedule["overrides"]) == (1, [])
    schedule = line.post(MINIMAL | {"availability": [window(colour="red")]}).json()["data"]
    assert schedule["availability"] == [window()]


def post_text(line: Line, text: bytes | str, content_type: str | None = "application/json", **headers: str) -> Any:
    data = text.encode() if isinstance(text, str) else text
    all_headers = headers | ({"Content-Type": content_type} if content_type else {})
    answer = line.request("POST", line.schedules_path(), line.people.admin_key, data=data, headers=all_headers)
    if answer.status_code == 201:
        line.answers.created.append(answer.json()["data"])
    return answer


@pytest.mark.parametrize("text", ['{"name":', "nonsense", "{'name': 1}", b'{"name":"\xc3\x28"}', b"\xef\xbb\xbf"])
def test_malformed_json_is_told(line: Line, text: bytes | str) -> None:
    answer = post_text(line, text)
    assert answer.status_code == 400
    error_part = answer.json()["error"]
    assert error_part["message"]
    assert error_part["details"] == {"message": error_part["message"], "error": "Bad Request", "statusCode": 400}


@pytest.mark.parametrize("text", ["5", '"x"', "true", "null"])
def test_a_top_level_scalar_is_refused(line: Line, text: str) -> None:
    assert post_text(line, text).status_code == 400


@pytest.mark.parametrize(("text", "content_type"), [
    ("[]", "application/json"), ("[1]", "application/json"), ("", "application/json"), (json.dumps(MINIMAL), "text/plain"),
    (json.dumps(MINIMAL), None)])
def test_an_array_an_empty_body_and_other_content_types_are_an_empty_object(line: Line, text: str,
                                                                            content_type: str | None) -> None:
    assert_invalid(post_text(line, text, content_type), MISSING)


def test_json_may_name_its_charset_and_repeat_a_key(line: Line) -> None:
    text = '{"name":"first","timeZone":"UTC","isDefault":false,"name":"last"}'
    answer = post_text(line, text, "application/JSON; charset=utf-8")
    assert (answer.status_code, answer.json()["data"]["name"]) == (201, "last")


def test_text_comes_back_as_it_was_sent(line: Line) -> None:
    for name in ["", " \u00e9\U0001f600 ", "\"\\/\b\f\n\r\t\u0001\u007f\u2028", "\U0001f600" * 255]:
        answer = line.post(MINIMAL | {"name": name})
        schedule = answer.json()["data"]
        assert schedule["name"] == name
        one = line.request("GET", f"{line.schedules_path()}/{schedule['id']}", line.people.admin_key).json()["data"]
        assert one == schedule


def test_a_body_of_just_the_limit_is_taken(line: Line) -> None:
    text = json.dumps(MINIMAL | {"colour": ""})
    body = text.replace('"colour": ""', '"colour": "' + "x" * (100 * 1024 - len(text)) + '"')
    assert len(body) == 100 * 1024
    assert post_text(line, body).status_code == 201


# ---- reading

def test_one_and_list_give_what_post_answered(line: Line) -> None:
    user = line.make_owners(1)[0]
    made = [line.post(EXAMPLE | {"name": f"{number}", "isDefault": False}, user=user).json()["data"] for number in range(5)]
    made.sort(key=lambda schedule: schedule["id"])
    path = line.schedules_path(user)
    listed = line.request("GET", path, line.people.admin_key)
    assert listed.status_code == 200
    assert listed.json() == {"status": "success", "data": made}
    for one in made:
        answer = line.request("GET", f"{path}/{one['id']}", line.people.admin_key)
        assert answer.text == json.dumps({"status": "success", "data": one}, separators=(",", ":"), ensure_ascii=False)


def test_a_user_without_schedules_has_an_empty_list(line: Line) -> None:
    user = line.make_owners(1)[0]
    answer = line.request("GET", line.schedules_path(user), line.people.admin_key)
    assert answer.text == '{"status":"success","data":[]}'


def test_the_list_is_in_ascending_order_of_ids_from_both_interfaces(line: Line) -> None:
    user = line.make_owners(1)[0]
    for number in range(10):
        line.post(MINIMAL, user=user)
        command = line.command(userId=user, name=f"{number}")
        line.send(command)
        line.event_of(command["commandId"])
    ids = [one["id"] for one in line.request("GET", line.schedules_path(user), line.people.admin_key).json()["data"]]
    assert (len(ids), ids) == (20, sorted(ids))


def test_the_default_moves_to_the_last_that_asks_for_it(line: Line) -> None:
    user = line.make_owners(1)[0]

    def default() -> list[int]:
        listed = line.request("GET", line.schedules_path(user), line.people.admin_key).json()["data"]
        return [one["id"] for one in listed if one["isDefault"]]

    expected: list[int] = []
    for is_default in (False, True, False, True):
        made = line.post(MINIMAL | {"isDefault": is_default}, user=user).json()["data"]
        assert made["isDefault"] == is_default
        expected = [made["id"]] if is_default else expected
        assert default() == expected
    command = line.command(userId=user, isDefault=True)
    line.send(command)
    line.event_of(command["commandId"])
    assert default() == [line.row_of(command["commandId"])["id"]]


@pytest.mark.parametrize("schedule", [0, -5, 999_999_999, 1 << 62])
def test_a_schedule_that_is_not_there_is_404(line: Line, schedule: int) -> None:
    answer = line.request("GET", f"{line.schedules_path()}/{schedule}", line.people.admin_key)
    assert_error(answer, 404, f"Schedule with ID={schedule} does not exist.")


# ---- paths

@pytest.mark.parametrize("text", ["abc", "5a", "1.5", "%FF", "9223372036854775808", "-", "+", "%20", "-0x5", "0x", "1%00",
                                  "9007199254740994.0", "1e400", "NaN", "Infinity",
                                  "default"])
def test_a_schedule_id_that_is_no_integer_is_400(line: Line, text: str) -> None:
    url = f"{line.schedules_path()}/{text}"
    answer = line.request("GET", url, line.people.admin_key)
    assert_error(answer, 400, "Validation failed (numeric string is expected)", path=url)


@pytest.mark.parametrize("form", ["0{}", "000{}", "+{}", "%20{}", "{}%20", "%2B{}", "{}.0", "{}.", "{}e0", "{}0e-1", "0x{:x}", "0o{:o}",
                                  "{:e}"])
def test_an_integer_may_be_written_oddly(line: Line, form: str) -> None:
    schedule = line.post(MINIMAL).json()["data"]
    path = line.schedules_path(form.format(line.people.member), form.format(line.people.org))
    answer = line.request("GET", f"{path}/{form.format(schedule['id'])}", line.people.admin_key)
    assert answer.json()["data"] == schedule


@pytest.mark.parametrize("prefix", ["/api/v2", "/v2/ee", "/api/v2/ee"])
def test_other_prefixes_are_rewritten(line: Line, prefix: str) -> None:
    path = line.schedules_path()
    other = prefix + path.removeprefix("/v2")
    assert line.request("GET", other, line.people.admin_key).json() == line.request(
        "GET", path, line.people.admin_key).json()
    assert_error(line.request("GET", f"{other}/abc?x=1", line.people.admin_key), 400,
                 "Validation failed (numeric string is expected)", path=f"{path}/abc?x=1")


def test_a_trailing_slash_is_accepted(line: Line) -> None:
    schedule = line.post(MINIMAL, path=line.schedules_path() + "/").json()["data"]
    answer = line.request("GET", f"{line.schedules_path()}/{schedule['id']}/?x=1", line.people.admin_key)
    assert answer.json()["data"] == schedule


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/nothing", "/v2/organizations",
                                  "/v2/organizations/1/users/2/schedules/3/4",
                                  "/API/v2/organizations/1/users/2/schedules", "/v2/nothing?take=5", "/healthz/x"])
def test_an_unknown_path_is_an_enveloped_404(line: Line, path: str) -> None:
    answer = line.request("GET", path)
    assert_error(answer, 404, f"Cannot GET {path}", path=path)


def test_a_path_that_begins_with_two_slashes_is_unknown(line: Line) -> None:
    path = "//v2/organizations/1/users/2/schedules"
    # Not by requests, which from 2.32 on sends one slash.
    [(status, _, body)] = parse_answers(line.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()))
    message = f"Cannot GET {path}"
    assert status == 404
    assert_envelope(body.decode(), 404, message, path, {"message": message, "error": "Not Found", "statusCode": 404})


@pytest.mark.parametrize(("method", "suffix"), [("PUT", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/5"), ("PUT", "/5")])
def test_an_unsupported_method_is_an_enveloped_404(line: Line, method: str, suffix: str) -> None:
    path = line.schedules_path() + suffix
    assert_error(line.request(method, path, line.people.admin_key), 404, f"Cannot {method} {path}")


def test_head_is_get_without_a_body(line: Line) -> None:
    get, head = (line.request(method, line.schedules_path(), line.people.admin_key) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert line.request("HEAD", "/v2/nothing").status_code == 404


def test_a_preflight_needs_no_key(line: Line) -> None:
    for path in (line.schedules_path(), "/v2/nothing"):
        asked = {"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}
        answer = line.request("OPTIONS", path, headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        headers = {name: answer.headers[f"Access-Control-{name}"] for name in
                   ("Allow-Origin", "Allow-Methods", "Allow-Headers", "Max-Age")}
        assert headers == {
            "Allow-Origin": "*", "Allow-Methods": "GET,PATCH,DELETE,HEAD,POST,PUT,OPTIONS", "Max-Age": "86400",
            "Allow-Headers": "x-cal-client-id,x-cal-secret-key,x-cal-platform-embed,cal-api-version,Accept,Authorization,"
                             "Content-Type,Origin,If-Match,Idempotency-Key"}


def test_every_answer_may_be_read_by_any_origin(line: Line) -> None:
    answers = [line.post(MINIMAL), line.post({}), line.request("GET", line.schedules_path()), line.request("GET", "/v2/x")]
    assert [answer.headers["Access-Control-Allow-Origin"] for answer in answers] == ["*"] * 4
    for answer in answers:
        exposed = set(answer.headers["Access-Control-Expose-Headers"].replace(" ", "").split(","))
        assert {"ETag", "Link", "Retry-After", "X-Request-Id"} <= exposed


def test_a_path_is_of_any_case_where_its_words_are(line: Line) -> None:
    schedule = line.post(MINIMAL).json()["data"]
    path = f"{line.schedules_path()}/{schedule['id']}"
    for form in (path.replace("/v2", "/V2"), path.upper()):
        assert line.request("GET", form, line.people.admin_key).json()["data"] == schedule
    assert_error(line.request("GET", "/V2/Nothing"), 404, "Cannot GET /V2/Nothing")


def test_a_request_id_is_the_senders_or_a_new_one(line: Line) -> None:
    for given in ("abc-1_2.3", "x" * 64):
        assert line.request("GET", "/v2/x", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given
        assert line.post(MINIMAL, headers={"X-Request-Id": given}).headers["X-Request-Id"] == given
    made = [line.request("GET", "/v2/x", headers=headers).headers["X-Request-Id"]
            for headers in ({}, {"X-Request-Id": "x" * 65}, {"X-Request-Id": "a b"}, {"X-Request-Id": "a\"b"})]
    assert len(set(made)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in made)


@pytest.mark.parametrize("version", ["2024-04-15", "2024-06-11", "2024-09-04", "nonsense"])
def test_the_version_header_changes_nothing(line: Line, version: str) -> None:
    answer = line.post(EXAMPLE, headers={"cal-api-version": version})
    assert (answer.status_code, answer.json()["data"]["overrides"]) == (201, EXAMPLE["overrides"])
