// Running statements: what became of each, and the rows of those that give some, also while they come.

import { signal } from "@preact/signals";
import { ApiError, execute, lines, post, remember, rows, session } from "../api.js";

const ROWS_MAX = 100_000; // kept in the page of one query; older ones make room

let numbers = 0;

export class Outcome {
  constructor(sql, kind, start) {
    this.id = ++numbers;
    this.sql = sql;
    this.kind = kind;
    this.start = start; // of the statement in the editor's text
    this.columns = null;
    this.types = null;
    this.result = null; // of a statement without rows
    this.error = null;
    this.note = "";
    this.state = "running"; // done, failed, stopped
    this.dropped = 0;
    this.paused = signal(false);
    this.version = signal(0); // rises when there is something new to show, once a frame
    this.beganMs = performance.now();
    this.tookMs = null;
    this.firstMs = null;
    this.stopper = new AbortController();
    this.rows = [];
    this.waiting = null;
    this.frame = 0;
  }

  get live() {
    return this.kind === "push" || this.kind === "print";
  }

  get count() {
    return this.rows.length;
  }

  row = (i) => this.rows[i];

  add(found) {
    for (const { row, tombstone } of found) this.rows.push({ cells: row, muted: tombstone });
    if (this.rows.length > ROWS_MAX * 1.1) {
      const gone = this.rows.length - ROWS_MAX;
      this.rows.splice(0, gone);
      this.dropped += gone;
    }
    this.changed();
  }

  changed() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.version.value++;
    });
  }

  end(state, error = null) {
    if (this.state !== "running") return;
    this.state = state;
    this.error = error;
    this.tookMs = performance.now() - this.beganMs;
    this.changed();
  }

  pause(wanted) {
    this.paused.value = wanted;
    if (!wanted) this.waiting?.();
  }

  stop() {
    this.stopper.abort();
    this.pause(false);
    this.end("stopped");
  }

  gate = () => (this.paused.value ? new Promise((go) => (this.waiting = go)) : undefined);
}

// The statements of a text, or those that a selection touches; at a cursor the one it is in or behind.
export async function chosen(text, selection, all) {
  const found = await post("/v1/check", { text, ...session() });
  let statements = found.statements;
  if (!all) {
    const { from, to } = selection;
    if (from !== to) statements = statements.filter((s) => s.start < to && s.end > from);
    else {
      const before = statements.filter((s) => s.start <= from);
      statements = before.length ? [before.at(-1)] : statements.slice(0, 1);
    }
  }
  return { statements, problems: found.problems };
}

// Run statements one after the other until one is wrong; push queries go on beside those after them.
// `begin(outcome)` is told of each.
export async function run(text, statements, problems, begin) {
  for (const statement of statements) {
    const sql = text.slice(statement.start, statement.end);
    const outcome = new Outcome(sql, statement.kind, statement.start);
    begin(outcome);
    if (statement.kind === "wrong") {
      const found = problems.find((p) => p.start >= statement.start && p.start <= statement.end);
      const error = new ApiError(400, { message: found?.message ?? "this is no statement" });
      error.suggestion = found?.suggestion ?? null;
      error.place = found ? [found.start, found.end] : [statement.start, statement.end];
      outcome.end("failed", error);
      return;
    }
    const done = one(outcome, statement);
    if (outcome.live) continue;
    await done;
    if (outcome.state !== "done") return;
  }
}

async function one(outcome, statement) {
  const options = { signal: outcome.stopper.signal, gate: outcome.gate };
  try {
    if (statement.kind === "print") {
      outcome.columns = ["RECORD"];
      outcome.types = ["STRING"];
      for await (const found of lines(outcome.sql, options)) outcome.add(found.map((line) => ({ row: [line] })));
    } else if (statement.kind === "pull" || statement.kind === "push") {
      for await (const piece of rows(outcome.sql, options)) {
        if (piece.header) {
          outcome.columns = piece.header.columns;
          outcome.types = piece.header.types;
          outcome.changed();
        }
        if (piece.rows?.length) {
          outcome.firstMs ??= performance.now() - outcome.beganMs;
          outcome.add(piece.rows);
        }
        if (piece.end) outcome.note = piece.end;
      }
    } else {
      [outcome.result] = await execute(outcome.sql, options);
      remember(statement);
    }
    outcome.end("done");
  } catch (error) {
    if (outcome.stopper.signal.aborted) return outcome.end("stopped");
    if (error.span) error.place = [outcome.start + error.span[0], outcome.start + error.span[1]];
    outcome.end("failed", error);
  }
}
