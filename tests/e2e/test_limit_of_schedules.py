"""A user has at most so many schedules as the configuration says, whichever way they come."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import requests

from conftest import MakeLine
from line import EXAMPLE, MINIMAL, until
from replies import assert_error

MAX = 12  # beyond what beyond_limit() takes for few


def test_one_more_is_refused_by_both_interfaces_and_nothing_else_is(make_line: MakeLine) -> None:
    line = make_line(MAX_SCHEDULES_PER_USER=str(MAX))
    line.start()
    user, other = line.make_owners(2)
    made = [line.post(EXAMPLE | {"isDefault": False}, user=user).json()["data"] for _ in range(MAX)]
    assert_error(line.post(EXAMPLE, user=user), 409, f"A user has at most {MAX} schedules.")
    sent = line.send(line.command(userId=user), expect="rejected")
    assert line.violations_of(sent) == [("userId", "maxSchedules", f"user with id={user} has at most {MAX} schedules.")]
    assert line.post(EXAMPLE, user=other).status_code == 201
    path = f"{line.schedules_path(user)}/{made[0]['id']}"
    assert line.patch(path, {"name": "Mornings", "isDefault": True}).status_code == 200
    assert line.delete(path).status_code == 200
    assert line.post(EXAMPLE, user=user).status_code == 201
    line.balance()


def test_no_two_consumers_or_replicas_go_beyond_it_together(make_line: MakeLine) -> None:
    line = make_line(MAX_SCHEDULES_PER_USER=str(MAX))
    replicas = [line.start(), line.start()]
    user = line.make_owners(1)[0]

    def post(number: int) -> int:
        return requests.post(replicas[number % 2].url + line.schedules_path(user), json=MINIMAL | {"isDefault": number % 5 == 0},
                             headers={"Authorization": line.people.admin_key}, timeout=20).status_code

    with ThreadPoolExecutor(16) as pool:
        sent = [line.send(line.command(userId=user, name=f"{number}"), expect="any") for number in range(10)]
        codes = Counter(pool.map(post, range(60)))
    until(lambda: line.sql("SELECT next_offset > %s FROM command_offsets WHERE topic = %s AND partition = %s", sent[-1].offset,
                           line.place.commands, sent[-1].partition) == [(True,)], "the commands are completed")
    assert set(codes) <= {201, 409} and codes[409] > 0
    assert line.sql("SELECT count(*) FROM schedules WHERE owner_id = %s", user) == [(MAX,)]


def test_who_is_beyond_it_keeps_what_they_have(make_line: MakeLine) -> None:
    line = make_line()
    line.start(MAX_SCHEDULES_PER_USER="0")
    user = line.make_owners(1)[0]
    made = [line.post(MINIMAL, user=user).json()["data"] for _ in range(MAX)]
    unlimited = line.service
    line.stop(unlimited)
    line.replicas = [line.start(MAX_SCHEDULES_PER_USER="2"), unlimited]
    assert_error(line.post(MINIMAL, user=user), 409, "A user has at most 2 schedules.")
    paths = [f"{line.schedules_path(user)}/{one['id']}" for one in made]
    assert line.patch(paths[0], {"name": "Mornings"}).status_code == 200
    assert len(line.request("GET", line.schedules_path(user), line.people.admin_key).json()["data"]) == MAX
    for path in paths[:MAX - 1]:
        assert line.delete(path).status_code == 200
    assert line.post(MINIMAL, user=user).status_code == 201
    line.balance()


def test_what_was_made_without_a_limit_counts(make_line: MakeLine) -> None:
    line = make_line(MAX_SCHEDULES_PER_USER=str(MAX))
    line.start()
    unlimited = line.start(MAX_SCHEDULES_PER_USER="0")
    user = line.make_owners(1)[0]
    for _ in range(MAX - 2):
        assert line.post(MINIMAL, user=user).status_code == 201
    for _ in range(2):
        assert requests.post(unlimited.url + line.schedules_path(user), json=MINIMAL, timeout=20,
                             headers={"Authorization": line.people.admin_key}).status_code == 201
    assert_error(line.post(MINIMAL, user=user), 409, f"A user has at most {MAX} schedules.")
