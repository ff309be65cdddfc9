import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const env = (name: string): string => process.env[name] ?? "";
const client = createClient<paths>({ baseUrl: env("HTTP_URL"), headers: { Authorization: `Bearer ${env("API_KEY")}` } });
const made = await client.POST("/v2/schedules", { body: { name: "Made", timeZone: "Europe/Rome", isDefault: false } });
if (made.error) throw new Error(made.error.error.message);
const path = { scheduleId: made.data.data.id };
const listed = await client.GET("/v2/schedules");
if (!listed.data?.data.some((schedule) => schedule.id === path.scheduleId)) throw new Error("it is not listed");
const read = await client.GET("/v2/schedules/{scheduleId}", { params: { path } });
if (read.data?.data.availability[0]?.days[0] !== "Monday") throw new Error("it has other hours");
const changed = await client.PATCH("/v2/schedules/{scheduleId}", { params: { path }, body: { name: "Changed" } });
if (changed.data?.data.name !== "Changed") throw new Error("it has not changed");
const gone = await client.DELETE("/v2/schedules/{scheduleId}", { params: { path } });
if (gone.data?.status !== "success") throw new Error("it is not deleted");
const missing = await client.GET("/v2/schedules/{scheduleId}", { params: { path } });
if (missing.response.status !== 404 || missing.error?.error.code !== "NotFoundException") throw new Error("no typed 404");
