// Write statements, run them, see what comes of them.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api.js";
import { chosen, run } from "../editor/runner.js";
import { plural, whole } from "../format.js";
import { html } from "../html.js";
import { ResultChart, chartable } from "../parts/chart.js";
import { Failure, Table } from "../parts/bits.js";
import { Grid, numberColumns } from "../parts/grid.js";
import { asked, link } from "../route.js";

const KEPT = "penstock.text";
const FIRST = "SHOW STREAMS;\nSHOW TABLES;\n";

// What was written and what ran stays while one looks at other screens.
const outcomes = signal([]);
const open = signal(null); // the outcome that is shown
const text = signal(sessionStorage.getItem(KEPT) ?? FIRST);
const busy = signal(false);

const keep = (next) => {
  text.value = next;
  sessionStorage.setItem(KEPT, next);
};

export function EditorScreen() {
  const host = useRef(null);
  const editor = useRef(null);
  const [problems, setProblems] = useState([]);
  const [failure, setFailure] = useState(null);
  const [catalog, setCatalog] = useState(null);

  const look = () => get("/v1/catalog").then(setCatalog, () => {});

  const start = async (all) => {
    if (busy.value || !editor.current) return;
    busy.value = true;
    setFailure(null);
    for (const outcome of outcomes.value) if (outcome.state === "running") outcome.stop();
    outcomes.value = [];
    open.value = null;
    try {
      const shown = editor.current.text;
      const found = await chosen(shown, editor.current.selection, all);
      await run(shown, found.statements, found.problems, (outcome) => {
        outcomes.value = [...outcomes.value, outcome];
        open.value = outcome;
      });
      const failed = outcomes.value.find((o) => o.error?.place);
      if (failed) editor.current?.fault(...failed.error.place, failed.error.message + (failed.error.suggestion ? `\n${failed.error.suggestion}` : ""));
    } catch (error) {
      setFailure(error);
    } finally {
      busy.value = false;
      look();
    }
  };
  const stop = () => outcomes.value.forEach((o) => o.stop());

  const starter = useRef(start);
  starter.current = start;
  useEffect(() => {
    let gone = false;
    if (asked.value.sql) keep(asked.value.sql); // a link may bring a text; it is never run by itself
    import("../editor/editor.js").then(({ makeEditor }) => {
      if (gone) return;
      editor.current = makeEditor(host.current, {
        text: text.value,
        onRun: (all) => starter.current(all),
        onStop: stop,
        onChange: keep,
        onProblems: setProblems,
      });
      editor.current.focus();
    });
    look();
    return () => {
      gone = true;
      editor.current?.destroy();
      editor.current = null;
    };
  }, []);

  const running = outcomes.value.some((o) => o.state === "running");
  const line = (at) => text.value.slice(0, at).split("\n").length;
  return html`
    <div class="editor-screen">
      <div class="editor-main">
        <h1 class="hidden">SQL editor</h1>
        <div class="editor-host" ref=${host} data-testid="editor"></div>
        <div class="bar wrap">
          <button class="primary" onClick=${() => start(false)} disabled=${busy.value} title="Ctrl+Enter">Run</button>
          <button onClick=${() => start(true)} disabled=${busy.value} title="Ctrl+Shift+Enter">Run all</button>
          <button onClick=${stop} disabled=${!running} title="Ctrl+.">Stop</button>
          <span class="spring"></span>
          ${problems.length
            ? html`<button class="quiet problem" onClick=${() => editor.current?.goTo(problems[0].start, problems[0].end)}>
                Line ${line(problems[0].start)}: ${problems[0].message}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ""}
              </button>`
            : html`<span class="note keyboard">Ctrl+Enter runs the statement at the cursor</span>`}
        </div>
        <${Failure} error=${failure} what="The statements were not run" />
        <${Results} />
      </div>
      <${Sources}
        catalog=${catalog}
        onPick=${(sql) => {
          editor.current?.replace(sql);
          editor.current?.focus();
        }}
      />
    </div>
  `;
}

function Results() {
  const all = outcomes.value;
  if (!all.length) return html`<p class="empty">Results stand here. Streams and tables to begin with are in the list beside or below.</p>`;
  const current = open.value ?? all.at(-1);
  const step = (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const next = all[(all.indexOf(current) + move + all.length) % all.length];
    open.value = next;
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return html`
    <div class="results">
      ${all.length > 1 &&
      html`
        <div class="tabs" role="tablist" aria-label="Results" onKeyDown=${step}>
          ${all.map(
            (o, i) => html`
              <button
                key=${o.id}
                id=${`tab-${o.id}`}
                role="tab"
                aria-selected=${o === current}
                aria-controls="result"
                tabindex=${o === current ? 0 : -1}
                class=${o.error ? "bad" : ""}
                onClick=${() => (open.value = o)}
              >
                <span class="number">${i + 1}</span> ${o.sql.replace(/\s+/g, " ").slice(0, 26)}
              </button>
            `,
          )}
        </div>
      `}
      <div class="result" id="result" role=${all.length > 1 ? "tabpanel" : undefined} aria-labelledby=${all.length > 1 ? `tab-${current.id}` : undefined}>
        <${Result} key=${current.id} outcome=${current} />
      </div>
    </div>
  `;
}

function Result({ outcome }) {
  const version = outcome.version.value;
  const [view, setView] = useState("table");
  if (outcome.error && !outcome.count) return html`<${Failure} error=${outcome.error} what=${outcome.error.place ? "Wrong" : undefined} />`;
  if (outcome.result) return html`<${Said} result=${outcome.result} />`;
  if (!outcome.columns) return html`<p class="empty" role="status">${outcome.state === "stopped" ? "Stopped." : "Running …"}</p>`;
  const paused = outcome.paused.value;
  const charts = chartable(outcome.columns, outcome.types);
  const seconds = ((outcome.tookMs ?? 0) / 1000).toFixed(2);
  const status =
    outcome.state === "running" ? (paused ? "paused" : outcome.live ? "live" : "running") : outcome.state === "done" ? `done in ${seconds} s` : outcome.state;
  return html`
    <div class="bar wrap">
      <span class=${`state ${outcome.state === "running" ? (paused ? "paused" : "running") : ""}`} role="status">${status}</span>
      <span class="note">${plural(outcome.count + outcome.dropped, "row")}${outcome.dropped ? `, the last ${whole(outcome.count)} kept` : ""}</span>
      ${outcome.note && html`<span class="note">${outcome.note}</span>`}
      <span class="spring"></span>
      ${outcome.live &&
      outcome.state === "running" &&
      html`
        <button aria-pressed=${paused} onClick=${() => outcome.pause(!paused)}>${paused ? "Resume" : "Pause"}</button>
      `}
      ${charts &&
      html`
        <div class="choice" role="group" aria-label="View">
          <button aria-pressed=${view === "table"} onClick=${() => setView("table")}>Table</button>
          <button aria-pressed=${view === "chart"} onClick=${() => setView("chart")}>Chart</button>
        </div>
      `}
    </div>
    <${Failure} error=${outcome.error} />
    ${view === "chart" && charts
      ? html`<${ResultChart} columns=${outcome.columns} types=${outcome.types} count=${outcome.count} row=${outcome.row} version=${version} />`
      : html`<${Grid}
          label="Rows of the result"
          columns=${numberColumns(outcome.columns, outcome.types)}
          count=${outcome.count}
          row=${outcome.row}
          follow=${outcome.live}
          version=${version}
        />`}
  `;
}

// What a statement without rows of a query says.
function Said({ result }) {
  if (result.result === "message") return html`<p class=${`said ${result.warning ? "warning" : ""}`} role="status">${result.text}</p>`;
  if (result.result === "listing") return html`<${Listing} listing=${result} label=${result.kind} />`;
  return html`
    <div class="description">
      ${result.title && html`<h2>${result.title}</h2>`}
      ${result.sections.map(
        ([title, content]) => html`
          <h3>${title}</h3>
          ${typeof content === "string" ? html`<pre tabindex="0">${content}</pre>` : html`<${Listing} listing=${content} label=${title} />`}
        `,
      )}
    </div>
  `;
}

function Listing({ listing, label }) {
  if (!listing.rows.length) return html`<p class="empty">None.</p>`;
  const right = listing.columns.map((_, i) => i).filter((i) => listing.rows.every((r) => typeof r[i] === "number"));
  const cells = listing.rows.map((r) => r.map((v) => (v === null ? html`<span class="null">NULL</span>` : typeof v === "number" ? whole(v) : String(v))));
  return html`<${Table} label=${label} columns=${listing.columns} rows=${cells} right=${right} />`;
}

function Sources({ catalog, onPick }) {
  if (!catalog) return html`<aside class="sources" aria-label="Streams and tables"></aside>`;
  const named = (name) => (/^[A-Z_][A-Z0-9_]*$/.test(name) ? name.toLowerCase() : "`" + name.replaceAll("`", "``") + "`");
  return html`
    <aside class="sources" aria-label="Streams and tables">
      <h2>Streams and tables</h2>
      ${catalog.sources.length === 0 && html`<p class="empty">None yet.</p>`}
      <ul>
        ${catalog.sources.map(
          (s) => html`
            <li key=${s.name}>
              <details>
                <summary><span class=${`kind ${s.kind.toLowerCase()}`} aria-hidden="true">${s.kind[0]}</span> ${s.name}</summary>
                <ul class="columns">
                  ${s.fields.map((f) => html`<li><span>${f.name}</span> <span class="note">${typeText(f.schema)}${f.role === "KEY" ? " key" : ""}</span></li>`)}
                </ul>
                <div class="bar wrap">
                  <button class="small" onClick=${() => onPick(`SELECT * FROM ${named(s.name)} EMIT CHANGES;`)}>Follow</button>
                  <button class="small" onClick=${() => onPick(`SELECT * FROM ${named(s.name)} LIMIT 100;`)}>Read</button>
                  <a class="small" href=${link("topics", s.topic)}>Topic</a>
                </div>
              </details>
            </li>
          `,
        )}
      </ul>
    </aside>
  `;
}

function typeText(schema) {
  if (schema.type === "ARRAY") return `ARRAY<${typeText(schema.memberSchema)}>`;
  if (schema.type === "MAP") return `MAP<${schema.keySchema ? typeText(schema.keySchema) : "STRING"}, ${typeText(schema.memberSchema)}>`;
  if (schema.type === "STRUCT") return `STRUCT<${schema.fields.map((f) => `${f.name} ${typeText(f.schema)}`).join(", ")}>`;
  if (schema.parameters) return `DECIMAL(${schema.parameters.precision}, ${schema.parameters.scale})`;
  return schema.type;
}
