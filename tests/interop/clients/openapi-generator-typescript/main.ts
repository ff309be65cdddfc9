import { Configuration, ErrorAnswerFromJSON, OnesOwnSchedulesApi, ResponseError } from "./client/index.js";

const env = (name: string): string => process.env[name] ?? "";
const api = new OnesOwnSchedulesApi(new Configuration({ basePath: env("HTTP_URL"), accessToken: env("API_KEY") }));
const made = await api.createSchedule({ createSchedule: { name: "Made", timeZone: "Europe/Rome", isDefault: false } });
const scheduleId = made.data.id;
const listed = await api.listSchedules();
if (!listed.data.some((schedule) => schedule.id === scheduleId)) throw new Error("it is not listed");
const read = await api.getSchedule({ scheduleId });
if (read.data.availability[0]?.days[0] !== "Monday") throw new Error("it has other hours");
const changed = await api.updateSchedule({ scheduleId, updateSchedule: { name: "Changed" } });
if (changed.data.name !== "Changed") throw new Error("it has not changed");
const gone = await api.deleteSchedule({ scheduleId });
if (gone.status !== "success") throw new Error("it is not deleted");
try {
  await api.getSchedule({ scheduleId });
  throw new Error("no 404");
} catch (error) {
  if (!(error instanceof ResponseError) || error.response.status !== 404) throw error;
  if (ErrorAnswerFromJSON(await error.response.json()).error.code !== "NotFoundException") throw new Error("no typed 404");
}
