// Writes a line for each event of a schedule that was created; see ../README.md.
import { fromBinary } from "@bufbuild/protobuf";
import { Kafka, logLevel } from "kafkajs";

import { ScheduleCreatedSchema } from "./schedules/v1/schedule_created_pb";

const kafka = new Kafka({ brokers: (process.env.KAFKA_BROKERS ?? "").split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: "example-typescript" }); // reads committed records alone unless told otherwise
await consumer.connect();
await consumer.subscribe({ topic: "schedules.events.v1", fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    const header = (name: string) => String(message.headers?.[name] ?? "");
    if (header("ce_type") !== "schedules.v1.ScheduleCreated" || message.value === null) return;
    const { schedule } = fromBinary(ScheduleCreatedSchema, message.value);
    console.log(header("ce_id"), String(schedule?.ownerId), schedule?.name, schedule?.timeZone);
  },
});
