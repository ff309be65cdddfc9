"""Writes a line for each event of a schedule that was created; see ../README.md."""

import os

from kafka import KafkaConsumer
from schedules.v1.schedule_created_pb2 import ScheduleCreated

consumer = KafkaConsumer("schedules.events.v1", bootstrap_servers=os.environ["KAFKA_BROKERS"], group_id="example-python",
                         isolation_level="read_committed", auto_offset_reset="earliest")
for record in consumer:
    headers = dict(record.headers)
    if headers["ce_type"] == b"schedules.v1.ScheduleCreated":
        event = ScheduleCreated.FromString(record.value)
        print(headers["ce_id"].decode(), event.schedule.owner_id, event.schedule.name, event.schedule.time_zone, flush=True)
