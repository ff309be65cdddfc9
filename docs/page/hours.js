// Asks the service for a week of hours and draws it. Ranges are drawn where the service says that they are; where days begin and what clocks read
// between is the browser's reading, and a note says so where the two disagree. Nobody else is asked for anything, and nothing is kept.

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR, WEEK_DAYS = 7;
const LEFT = 165, WIDTH = 1120, LANE = 20, GAP = 3, ABOVE = 26, NOTE = 15;

const form = document.querySelector("#question");
const field = (name) => form.elements[name].value.trim();
const part = (id) => document.querySelector(`#${id}`);

// ---- what clocks read

function offsetReader(zone) {
    const format = new Intl.DateTimeFormat("en-US", {timeZone: zone, hourCycle: "h23", era: "short", year: "numeric", month: "numeric", day: "numeric",
        hour: "numeric", minute: "numeric", second: "numeric"});
    return (instant) => {
        const read = Object.fromEntries(format.formatToParts(instant).map(({type, value}) => [type, Number(value)]));
        return Date.UTC(read.year, read.month - 1, read.day, read.hour, read.minute, read.second) - Math.floor(instant / 1000) * 1000;
    };
}

// The stretches of one offset from one instant to another.
function periodsOf(zone, from, to) {
    const offsetAt = offsetReader(zone), step = 15 * MINUTE;
    const periods = [{start: from, offset: offsetAt(from)}];
    for (let instant = from + step; instant <= to; instant += step) {
        const last = periods.at(-1);
        if (offsetAt(instant) === last.offset) continue;
        let [low, high] = [instant - step, instant];
        while (high - low > 1000) {
            const middle = Math.floor((low + high) / 2000) * 1000;
            if (offsetAt(middle) === last.offset) low = middle;
            else high = middle;
        }
        last.end = high;
        periods.push({start: high, offset: offsetAt(high)});
    }
    periods.at(-1).end = to;
    return periods;
}

// The first instant at which a clock reads the date, given as its midnight in UTC, or a later one.
function dayStart(periods, midnight) {
    const period = periods.find(({offset, end}) => midnight - offset < end);
    return Math.max(period.start, midnight - period.offset);
}

const two = (number) => String(number).padStart(2, "0");
const clock = (local) => new Date(local).toISOString().slice(11, 16);
const dateText = (midnight) => new Date(midnight).toISOString().slice(0, 10);
const dayName = (midnight) =>
    new Date(midnight).toLocaleDateString("en-GB", {timeZone: "UTC", weekday: "short", day: "numeric", month: "short"});

function lengthText(length) {
    const minutes = Math.round(length / MINUTE);
    return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

function changeText({instant, before, after}) {
    const [from, to] = before < after ? [instant + before, instant + after] : [instant + after, instant + before];
    const text = to - from < DAY ? clock : (local) => `${dateText(local)} ${clock(local)}`;
    return `${text(from)}–${text(to)} ${before < after ? "is skipped" : "comes twice"}`;
}

// The dates of the week: where each begins and ends, and how clocks change on it. A change at midnight belongs to the first date that it touches.
function daysOf(periods, monday) {
    const days = Array.from({length: WEEK_DAYS}, (_, n) => {
        const midnight = monday + n * DAY, start = dayStart(periods, midnight), end = dayStart(periods, midnight + DAY);
        return {date: dateText(midnight), name: dayName(midnight), start, end, changes: [], marked: end - start !== DAY,
            periods: periods.filter((period) => period.start < end && start < period.end)};
    });
    for (const [index, period] of periods.entries()) {
        const day = days.find(({start, end}) => start <= period.start && period.start < Math.max(end, start + 1));
        if (index === 0 || !day) continue;
        day.changes.push({instant: period.start, before: periods[index - 1].offset, after: period.offset});
        day.marked = true;
    }
    return days;
}

// ---- the question

class Refusal extends Error {}

async function ask(method, path, body) {
    const headers = {Authorization: `Bearer ${field("key")}`, ...(body && {"Content-Type": "application/json"})};
    const answer = await fetch(path, {method, headers, body: body && JSON.stringify(body)}).catch(() => {
        throw new Refusal("The service does not answer.");
    });
    const content = await answer.json().catch(() => ({}));
    if (answer.ok) return {data: content.data, more: answer.headers.has("Link")};
    const faults = content.error?.details?.errors?.flatMap(({constraints}) => Object.values(constraints)) ?? [];
    throw new Refusal([`${answer.status}: ${content.error?.message ?? answer.statusText}`, ...faults].join("\n"));
}

// What was answered, with the hours of one or several people.
async function askWeek(monday) {
    const span = {from: dateText(monday), to: dateText(monday + WEEK_DAYS * DAY), ...(field("zone") && {timeZone: field("zone")})};
    if (field("whose") === "team") return askTeam(span);
    const query = new URLSearchParams(span);
    if (field("whose") === "user" && field("schedule")) query.set("scheduleId", field("schedule"));
    const path = field("whose") === "user" ? `/v2/organizations/${field("org")}/users/${field("user")}`
        : `/v2/schedules/${field("schedule") || "default"}`;
    const {data, more} = await ask("GET", `${path}/availability?${query}`);
    return {...data, more, people: [{name: `schedule ${data.schedules[0].id}`, ranges: data.ranges}], errors: []};
}

async function askTeam(span) {
    const body = {...span, teamId: Number(field("team")), combine: "each"};
    const {data, more} = await ask("POST", `/v2/organizations/${field("org")}/availability/query`, body);
    const people = data.schedules.map(({userId}) => ({name: `user ${userId}`, ranges: data.ranges.filter((range) => range.userId === userId)}));
    return {...data, more, people, errors: data.errors.map(({userId, message}) => ({name: `user ${userId}`, message}))};
}

// ---- the picture

function draw(name, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
}

function make(name, attributes, ...children) {
    const node = Object.assign(document.createElement(name), attributes);
    node.append(...children);
    return node;
}

// The instants at which the clock reads a full hour, with what it reads.
function hoursOf(day) {
    return day.periods.flatMap(({start, end, offset}) => {
        const found = [];
        const first = Math.ceil((Math.max(start, day.start) + offset) / HOUR) * HOUR - offset;
        for (let instant = first; instant < Math.min(end, day.end); instant += HOUR) found.push({instant, words: two(new Date(instant + offset).getUTCHours())});
        return found;
    });
}

const inDay = (day) => (range) => Math.max(range.start, day.start) < Math.min(range.end, day.end);

function drawDay(day, people, top, x) {
    const box = draw("g", {"data-date": day.date, "data-length": day.end - day.start});
    const ticksTop = top + ABOVE + NOTE * day.changes.length, lanesTop = ticksTop + 8, bottom = lanesTop + people.length * (LANE + GAP) - GAP;
    const rect = (kind, start, end, y, height) => draw("rect", {class: kind, x: x(day, start), y, width: Math.max(x(day, end) - x(day, start), 0), height});
    const text = (kind, at, y, anchor, words) => draw("text", {class: kind, x: at, y, "text-anchor": anchor}, words);
    box.append(text("name", 0, ticksTop, "start", day.name), text(day.marked ? "note" : "soft", LEFT - 18, ticksTop, "end", lengthText(day.end - day.start)));
    people.forEach((person, index) => {
        const y = lanesTop + index * (LANE + GAP);
        if (people.length > 1) box.append(text("soft", LEFT - 8, y + 14, "end", person.name));
        box.append(rect(day.marked ? "day marked" : "day", day.start, day.end, y, LANE));
        for (const range of person.ranges.filter(inDay(day))) {
            const bar = rect("range", Math.max(range.start, day.start), Math.min(range.end, day.end), y + 1, LANE - 2);
            bar.append(draw("title", {}, `${person.name}: ${range.localStart} to ${range.localEnd}`));
            box.append(bar);
        }
    });
    for (const {instant, words} of hoursOf(day)) {
        const at = x(day, instant);
        box.append(draw("line", {class: "tick", x1: at, x2: at, y1: lanesTop - 4, y2: lanesTop}), text("soft hour", at, ticksTop, "middle", words));
    }
    day.changes.forEach((change, index) => {
        const {instant, before, after} = change, at = x(day, instant), y = top + ABOVE + NOTE * index;
        for (const start of after < before ? [instant - (before - after), instant] : []) {
            box.append(rect("again", Math.max(start, day.start), Math.min(start + before - after, day.end), lanesTop, bottom - lanesTop));
        }
        box.append(draw("line", {class: "change", x1: at, x2: at, y1: lanesTop - 4, y2: bottom + 4}),
            text("note", at, y, at > WIDTH / 2 ? "end" : "start", changeText(change)));
    });
    if (day.end === day.start) box.append(text("note", LEFT + 8, lanesTop + 14, "start", "no clock reads this date"));
    return {box, height: bottom - top};
}

function drawWeek(days, people) {
    const longest = Math.max(DAY, ...days.map((day) => day.end - day.start));
    const x = (day, instant) => LEFT + (instant - day.start) / longest * (WIDTH - LEFT - 10);
    const svg = draw("svg", {role: "img", "aria-labelledby": "about", "aria-describedby": "text"},
        draw("defs", {}, draw("pattern", {id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
            draw("line", {class: "hatch", x1: 0, x2: 0, y1: 0, y2: 6}))));
    let top = 0;
    for (const day of days) {
        const {box, height} = drawDay(day, people, top, x);
        svg.append(box);
        top += height;
    }
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${top + GAP}`);
    return svg;
}

// ---- the same as text

// What a clock reads, without the date where that is the row's and without seconds where there are none.
const short = (local, date) => local.replace(`${date}T`, "").replace("T", " ").replace(/(:\d\d):00(?=[+-])/, "$1");

function rangeText({start, localStart, localEnd}, day) {
    return `${start < day.start ? "goes on" : short(localStart, day.date)} to ${short(localEnd, day.date)}`;
}

function tableOf(days, people) {
    const rows = days.map((day) => {
        const items = people.map((person) => {
            const ranges = person.ranges.filter(inDay(day)).map((range) => rangeText(range, day));
            return make("div", {}, `${people.length > 1 ? `${person.name}: ` : ""}${ranges.join("; ") || "no hours"}`);
        });
        const about = [lengthText(day.end - day.start), ...day.changes.map(changeText)].join(", ");
        const row = make("tr", {className: day.marked ? "marked" : ""}, make("th", {scope: "row"}, day.date), make("td", {}, about), make("td", {}, ...items));
        row.dataset.date = day.date;
        return row;
    });
    const head = make("tr", {}, ...["Date", "Length", "Hours"].map((text) => make("th", {scope: "col"}, text)));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

// ---- the page

function differs(answer, days) {
    const offsetAt = offsetReader(answer.timeZone);
    const read = (instant) => dateText(instant + offsetAt(instant)) + "T" + new Date(instant + offsetAt(instant)).toISOString().slice(11, 19);
    return Date.parse(answer.from) !== days[0].start || Date.parse(answer.to) !== days.at(-1).end
        || answer.people.some(({ranges}) => ranges.some(({start, localStart}) => read(start) !== localStart.slice(0, 19)));
}

function tell(id, text) {
    part(id).textContent = text;
    part(id).hidden = !text;
}

function notesOf(answer, days) {
    const notes = answer.errors.map(({name, message}) => `${name}: ${message}`);
    if (answer.more) notes.push("There are more hours than one answer holds: these are the first.");
    if (differs(answer, days)) notes.push(`This browser reads clocks in ${answer.timeZone} otherwise than the service's zone data ${answer.zoneData}: marks of days and hours may be wrong, the hours are right.`);
    return notes.join("\n");
}

function show(answer, monday) {
    for (const {ranges} of answer.people) for (const range of ranges) Object.assign(range, {start: Date.parse(range.start), end: Date.parse(range.end)});
    const days = daysOf(periodsOf(answer.timeZone, monday - 2 * DAY, monday + (WEEK_DAYS + 2) * DAY), monday);
    part("about").textContent = `${days[0].name} to ${days.at(-1).name} ${days.at(-1).date.slice(0, 4)}, ${answer.timeZone}, zone data ${answer.zoneData}: ${answer.people.length > 1 ? `${answer.people.length} people` : answer.people[0]?.name ?? "nobody"}`;
    part("picture").replaceChildren(drawWeek(days, answer.people));
    part("text").replaceChildren(tableOf(days, answer.people));
    tell("note", notesOf(answer, days));
    part("answer").hidden = false;
}

let asked = 0;

async function run() {
    const turn = ++asked, day = Date.parse(field("day")), monday = day - (new Date(day).getUTCDay() + 6) % 7 * DAY;
    tell("failure", "");
    tell("note", "");
    try {
        const answer = await askWeek(monday);
        if (turn === asked) show(answer, monday);
    } catch (error) {
        if (turn !== asked) return;
        part("answer").hidden = true;
        tell("failure", error instanceof Refusal ? error.message : `This page failed: ${error}`);
    }
}

function fit() {
    for (const label of form.querySelectorAll("[data-for]")) {
        label.hidden = !label.dataset.for.split(" ").includes(field("whose"));
        const input = label.querySelector("input");
        input.disabled = label.hidden;
        input.required = input.name !== "schedule";
    }
}

function move(days) {
    form.elements.day.value = dateText(Date.parse(field("day")) + days * DAY);
    if (form.reportValidity()) run();
}

form.elements.day.value = dateText(Date.now());
part("zones").append(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((value) => make("option", {value})));
form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
});
form.elements.whose.addEventListener("change", fit);
form.elements.before.addEventListener("click", () => move(-WEEK_DAYS));
form.elements.after.addEventListener("click", () => move(WEEK_DAYS));
fit();
