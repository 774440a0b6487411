// JSON whose numbers keep what a double would lose: BIGINT beyond 2^53, the digits of a DECIMAL.

export class Exact {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
  valueOf() {
    return Number(this.text);
  }
  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.text) : Number(this.text);
  }
}

const revive = (_, value, context) =>
  typeof value === "number" && context?.source !== undefined && context.source !== String(value) && !/e/i.test(context.source)
    ? new Exact(context.source)
    : value;

export const parseExact = (text) => JSON.parse(text, revive);

// A cell as a person reads it.
export function shown(value) {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "object" && !(value instanceof Exact)) return JSON.stringify(value);
  return String(value);
}

// A cell as a number for a chart; null for what is none.
export function numeric(value) {
  if (typeof value === "number") return value;
  return value instanceof Exact ? Number(value) : null;
}

// The bounds of windows are BIGINT for programs, and times for people, as at the prompt.
const BOUND = /^(WINDOWSTART|WINDOWEND)$/i;
export const isBound = (name, type) => BOUND.test(name) && /^BIGINT/.test(type ?? "");

// A cell as its column shows it: a bound like a TIMESTAMP of the server.
export function cellText(column, value) {
  const ms = column.bound ? numeric(value) : null;
  const date = ms === null ? null : new Date(ms);
  return date === null || Number.isNaN(date.getTime()) ? shown(value) : date.toISOString().slice(0, -1);
}
