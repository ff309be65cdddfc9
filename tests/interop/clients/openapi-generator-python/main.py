import os

from openapi_client import ApiClient, Configuration, CreateSchedule, OnesOwnSchedulesApi, UpdateSchedule
from openapi_client.exceptions import NotFoundException
from openapi_client.models.error_answer import ErrorAnswer

configuration = Configuration(host=os.environ["HTTP_URL"], access_token=os.environ["API_KEY"])
with ApiClient(configuration) as client:
    api = OnesOwnSchedulesApi(client)
    made = api.create_schedule(CreateSchedule(name="Made", time_zone="Europe/Rome", is_default=False))
    assert made.data.id in [schedule.id for schedule in api.list_schedules().data]
    assert api.get_schedule(made.data.id).data.availability[0].days[0] == "Monday"
    assert api.update_schedule(made.data.id, UpdateSchedule(name="Changed")).data.name == "Changed"
    assert api.delete_schedule(made.data.id).status == "success"
    try:
        api.get_schedule(made.data.id)
        raise AssertionError("no 404")
    except NotFoundException as error:
        assert isinstance(error.data, ErrorAnswer) and error.data.error.code == "NotFoundException"
