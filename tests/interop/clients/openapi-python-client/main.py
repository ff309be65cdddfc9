import os
from http import HTTPStatus

from schedule_service_client import AuthenticatedClient
from schedule_service_client.api.ones_own_schedules import create_schedule, delete_schedule, get_schedule, list_schedules, update_schedule
from schedule_service_client.models import CreateSchedule, DeletedAnswer, ErrorAnswer, ScheduleAnswer, ScheduleListAnswer, StoredAnswer, UpdateSchedule

client = AuthenticatedClient(base_url=os.environ["HTTP_URL"], token=os.environ["API_KEY"])
made = create_schedule.sync(client=client, body=CreateSchedule(name="Made", time_zone="Europe/Rome", is_default=False))
assert isinstance(made, StoredAnswer)
listed = list_schedules.sync(client=client)
assert isinstance(listed, ScheduleListAnswer) and made.data.id in [schedule.id for schedule in listed.data]
read = get_schedule.sync(made.data.id, client=client)
assert isinstance(read, ScheduleAnswer) and read.data.availability[0].days[0] == "Monday"
changed = update_schedule.sync(made.data.id, client=client, body=UpdateSchedule(name="Changed"))
assert isinstance(changed, StoredAnswer) and changed.data.name == "Changed"
gone = delete_schedule.sync(made.data.id, client=client)
assert isinstance(gone, DeletedAnswer) and gone.status == "success"
missing = get_schedule.sync_detailed(made.data.id, client=client)
assert missing.status_code == HTTPStatus.NOT_FOUND
assert isinstance(missing.parsed, ErrorAnswer) and missing.parsed.error.code == "NotFoundException"
