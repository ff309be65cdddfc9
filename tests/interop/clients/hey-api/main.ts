import { createSchedule, deleteSchedule, getSchedule, listSchedules, updateSchedule } from "./client/index.js";
import { client } from "./client/client.gen.js";

const env = (name: string): string => process.env[name] ?? "";
client.setConfig({ baseUrl: env("HTTP_URL"), auth: (scheme) => (scheme.scheme === "bearer" ? env("API_KEY") : undefined) });
const made = await createSchedule({ body: { name: "Made", timeZone: "Europe/Rome", isDefault: false } });
if (!made.data) throw new Error("it is not made");
const path = { scheduleId: made.data.data.id };
const listed = await listSchedules();
if (!listed.data?.data.some((schedule) => schedule.id === path.scheduleId)) throw new Error("it is not listed");
const read = await getSchedule({ path });
if (read.data?.data.availability[0]?.days[0] !== "Monday") throw new Error("it has other hours");
const changed = await updateSchedule({ path, body: { name: "Changed" } });
if (changed.data?.data.name !== "Changed") throw new Error("it has not changed");
const gone = await deleteSchedule({ path });
if (gone.data?.status !== "success") throw new Error("it is not deleted");
const missing = await getSchedule({ path });
if (missing.response?.status !== 404 || missing.error?.error.code !== "NotFoundException") throw new Error("no typed 404");
