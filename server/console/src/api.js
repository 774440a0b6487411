// The public API over fetch: requests, answers, errors with their places, and streams of rows.

import { signal } from "@preact/signals";
import { parseExact } from "./exact.js";

const KEPT = "penstock.authorization";

export const account = signal(undefined); // of /v1/account; null: a login is needed
export const offline = signal(false);

let authorization = sessionStorage.getItem(KEPT); // until the tab is closed, and in no other tab

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.parts?.message ?? body?.message ?? `the server answered ${status}`);
    this.status = status;
    this.span = body?.parts?.span ?? null; // [start, end, line, column] in the statement that was sent
    this.suggestion = body?.parts?.suggestion ?? null;
    this.expected = body?.parts?.expected ?? [];
  }
}

async function send(path, { method = "GET", body, accept = "application/json", signal: stop } = {}) {
  const headers = { accept, "penstock-client": "console" }; // (so that errors come with all their parts)
  if (authorization) headers.authorization = authorization;
  if (body !== undefined) headers["content-type"] = "application/json";
  const base = new URL("../", location.href); // the console stands at /console/
  let answer;
  try {
    answer = await fetch(new URL(path.replace(/^\//, ""), base), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: stop,
      credentials: "omit", // who asks is in our header; the browser shall not ask by itself
      cache: "no-store",
    });
  } catch (error) {
    if (error.name !== "AbortError") offline.value = true;
    throw error;
  }
  offline.value = false;
  if (answer.ok) return answer;
  const text = await answer.text();
  let found = null;
  try {
    found = JSON.parse(text);
  } catch {
    found = { message: text.slice(0, 300) };
  }
  if (answer.status === 401) account.value = null;
  throw new ApiError(answer.status, found);
}

export const get = async (path, options) => parseExact(await (await send(path, options)).text());
export const post = async (path, body, options) => parseExact(await (await send(path, { method: "POST", body, ...options })).text());

// --- who asks ------------------------------------------------------------------------------

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

export async function login(name, secret) {
  authorization = name ? `Basic ${base64(`${name}:${secret}`)}` : `Bearer ${secret}`;
  try {
    account.value = await get("/v1/account");
    sessionStorage.setItem(KEPT, authorization);
  } catch (error) {
    authorization = null;
    throw error;
  }
}

export function logout() {
  authorization = null;
  sessionStorage.removeItem(KEPT);
  account.value = null;
}

export async function whoAmI() {
  try {
    account.value = await get("/v1/account");
  } catch (error) {
    if (error.status !== 401) throw error;
  }
}

// --- statements ----------------------------------------------------------------------------

// What SET and DEFINE say belongs to the session, and goes with every request.
const settings = { streamsProperties: {}, sessionVariables: {} };

export const session = () => structuredClone(settings);

export function remember(statement) {
  const { kind, name, value } = statement;
  if (kind === "set") settings.streamsProperties[name] = value;
  if (kind === "unset") delete settings.streamsProperties[name];
  if (kind === "define") settings.sessionVariables[name] = value;
  if (kind === "undefine") delete settings.sessionVariables[name];
}

export const execute = (sql, options) => post("/v1/execute", { ksql: sql, ...settings }, options);

// Rows of a SELECT as they come: { columns, types } once, then arrays of { row, tombstone }.
// `gate()` is awaited before and after each read: while it waits, the server holds the query up and loses nothing.
export async function* rows(sql, { signal: stop, gate } = {}) {
  const answer = await send("/query-stream", { method: "POST", body: { sql, ...settings }, accept: "text/event-stream", signal: stop });
  for await (const events of pieces(answer.body, "\n\n", gate)) {
    const found = [];
    for (const event of events) {
      const cut = event.startsWith("event: ") ? event.indexOf("\n") : -1;
      const name = cut < 0 ? "row" : event.slice(7, cut);
      const data = parseExact(event.slice(cut + 1).replace(/^data: /, ""));
      if (name === "row" || name === "tombstone") found.push({ row: data, tombstone: name === "tombstone" });
      else if (name === "header") yield { header: { columns: data.columnNames, types: data.columnTypes } };
      else if (name === "failure") throw new ApiError(500, data);
      else if (name === "end") yield { rows: found.splice(0), end: data };
    }
    if (found.length) yield { rows: found };
  }
}

// The lines of PRINT.
export async function* lines(sql, { signal: stop, gate } = {}) {
  const accept = "application/vnd.ksqlapi.delimited.v1";
  const answer = await send("/query-stream", { method: "POST", body: { sql, ...settings }, accept, signal: stop });
  for await (const found of pieces(answer.body, "\n", gate)) yield found;
}

async function* pieces(body, separator, gate) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      await gate?.();
      const { value, done } = await reader.read();
      await gate?.(); // the piece that was on its way when the gate closed waits, too
      if (done) break;
      const parts = (rest + value).split(separator);
      rest = parts.pop();
      if (parts.length) yield parts;
    }
    if (rest.trim()) yield [rest];
  } finally {
    reader.cancel().catch(() => {});
  }
}

export async function select(sql) {
  const found = { columns: [], rows: [] };
  for await (const piece of rows(sql)) {
    if (piece.header) found.columns = piece.header.columns;
    for (const { row } of piece.rows ?? []) found.rows.push(row);
  }
  return found;
}

// --- names ---------------------------------------------------------------------------------

export const quoted = (name) => "`" + name.replaceAll("`", "``") + "`";
export const literal = (text) => "'" + text.replaceAll("'", "''") + "'";
