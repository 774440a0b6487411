// One topic: its partitions, its newest records as they come, and search by key, offset or time.

import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api.js";
import { plural, size, time, whole } from "../format.js";
import { html } from "../html.js";
import { usePoll } from "../poll.js";
import { Failure, Loading, Table } from "../parts/bits.js";
import { Grid } from "../parts/grid.js";
import { asked, link } from "../route.js";

const TAIL_MS = 700;
const KEPT_MAX = 20_000; // records in the page
const SEARCHES_MAX = 200; // requests of one search for a key: four million records

export function TopicScreen({ name }) {
  const { data, error } = usePoll((signal) => get(`/v1/topics/${encodeURIComponent(name)}`, { signal }), 3000, [name]);
  return html`
    <p class="crumbs"><a href=${link("topics")}>Topics</a></p>
    <h1>${name}</h1>
    <${Failure} error=${error} />
    ${!data && !error && html`<${Loading} />`}
    ${data &&
    html`
      <p class="reads">
        ${data.sources.length ? html`under ${data.sources.map((s, i) => html`${i ? ", " : ""}<strong>${s}</strong>`)}` : "no stream or table stands on it"}${data.queries.length
          ? html`, read by ${data.queries.map((q, i) => html`${i ? ", " : ""}<a href=${link("queries", q)}>${q}</a>`)}`
          : ""}
      </p>
      <h2>Records</h2>
      <${Records} key=${JSON.stringify([name, asked.value])} name=${name} partitions=${data.partitions.length} />
      <h2>Partitions</h2>
      <${Table}
        label="Partitions"
        columns=${["Partition", "Start", "End", "Size", "Segments", "First record", "Last record"]}
        right=${[0, 1, 2, 3, 4]}
        rows=${data.partitions.map((p) => [p.partition, whole(p.start), whole(p.end), size(p.bytes), p.segments, time(p.firstTimestamp), time(p.lastTimestamp)])}
      />
      <details class="config">
        <summary>Config</summary>
        <${Table} label="Config" columns=${["Name", "Value"]} rows=${Object.entries(data.config)} />
      </details>
    `}
  `;
}

const PLACE = [
  { name: "Partition", align: "right" },
  { name: "Offset", align: "right" },
];
const CONTENT = [{ name: "Key" }, { name: "Value" }];
const COLUMNS = [{ name: "Time" }, ...PLACE, ...CONTENT];
const NARROW = [{ name: "Time" }, ...CONTENT, ...PLACE]; // on a phone the content is seen first

function Records({ name, partitions }) {
  const given = asked.value;
  const [from, word] = (given.from ?? "tail").split(":");
  const [how, setHow] = useState(from);
  const [place, setPlace] = useState(word ?? "");
  const [partition, setPartition] = useState(given.partition ?? "");
  const [key, setKey] = useState(given.key ?? "");
  const [state, setState] = useState({ records: [], next: null, end: false, looking: false, live: false, error: null, looked: 0 });
  const [paused, setPaused] = useState(false);
  const stopper = useRef(null);
  const pausing = useRef(false);
  pausing.current = paused;

  const ask = (start, signal, limit = 200) => {
    const parameters = new URLSearchParams({ from: start, limit });
    if (partition !== "") parameters.set("partition", partition);
    if (key !== "") parameters.set("key", key);
    return get(`/v1/topics/${encodeURIComponent(name)}/records?${parameters}`, { signal });
  };

  const start = async (event) => {
    event?.preventDefault();
    stopper.current?.abort();
    const stop = (stopper.current = new AbortController());
    setPaused(false);
    const live = how === "tail";
    setState({ records: [], next: null, end: false, looking: true, live, error: null });
    try {
      const begin = how === "tail" ? (key ? "end" : "last") : how === "offset" ? `offset:${place.trim()}` : how === "time" ? `time:${milliseconds(place)}` : how;
      if (live) await tail(begin, stop.signal);
      else await search(begin, stop.signal, 200);
    } catch (error) {
      if (!stop.signal.aborted) setState((s) => ({ ...s, looking: false, live: false, error }));
    }
  };

  // Read on until there are enough records, the end, or too much was looked through.
  const search = async (begin, signal, wanted) => {
    setState((s) => ({ ...s, looking: true }));
    let added = 0;
    for (let i = 0; i < SEARCHES_MAX && added < wanted; i++) {
      const found = await ask(begin, signal);
      if (signal.aborted) return;
      begin = found.next;
      added += found.records.length;
      setState((s) => ({ ...s, records: [...s.records, ...found.records], next: found.next, end: found.end }));
      if (found.end) break;
    }
    setState((s) => ({ ...s, looking: false }));
  };

  const tail = async (begin, signal) => {
    let first = true;
    while (!signal.aborted) {
      if (!pausing.current && !document.hidden) {
        const found = await ask(begin, signal, first ? 50 : 1000);
        if (signal.aborted) return;
        begin = found.next;
        first = false;
        setState((s) => ({ ...s, looking: false, records: found.records.length ? [...s.records, ...found.records].slice(-KEPT_MAX) : s.records }));
        if (!found.end) continue;
      }
      await new Promise((go) => setTimeout(go, TAIL_MS));
    }
  };

  useEffect(() => {
    start();
    return () => stopper.current?.abort();
  }, []);

  const { records, live } = state;
  const narrow = matchMedia("(max-width: 760px)").matches;
  return html`
    <form class="bar wrap search" onSubmit=${start}>
      <label>From
        <select value=${how} onChange=${(e) => setHow(e.target.value)}>
          <option value="tail">now on (live)</option>
          <option value="beginning">the beginning</option>
          <option value="offset">offset</option>
          <option value="time">time</option>
        </select>
      </label>
      ${how === "offset" && html`<label>Offset <input inputmode="numeric" pattern="[0-9]+" required value=${place} onInput=${(e) => setPlace(e.target.value)} size="10" /></label>`}
      ${how === "time" && html`<label>Time (UTC) <input required placeholder="2026-01-31 12:00" value=${place} onInput=${(e) => setPlace(e.target.value)} size="18" /></label>`}
      <label>Partition
        <select value=${partition} onChange=${(e) => setPartition(e.target.value)}>
          <option value="">all</option>
          ${Array.from({ length: partitions }, (_, i) => html`<option value=${i}>${i}</option>`)}
        </select>
      </label>
      <label>Key <input value=${key} onInput=${(e) => setKey(e.target.value)} size="14" placeholder="any" /></label>
      <button class="primary" type="submit">${how === "tail" ? "Follow" : "Search"}</button>
      ${live && html`<button type="button" aria-pressed=${paused} onClick=${() => setPaused(!paused)}>${paused ? "Resume" : "Pause"}</button>`}
      <span class="spring"></span>
      <span class=${`state ${live ? (paused ? "paused" : "running") : ""}`} role="status">
        ${state.looking ? "looking" : live ? (paused ? "paused" : "live") : plural(records.length, "record") + (state.end ? ", to the end" : "")}
      </span>
    </form>
    <${Failure} error=${state.error} />
    <${Grid}
      label="Records"
      columns=${narrow ? NARROW : COLUMNS}
      count=${records.length}
      row=${(i) => {
        const r = records[i];
        const content = [r.keyFormat === "none" ? null : r.key, r.valueFormat === "none" ? null : r.value];
        const place = [r.partition, r.offset];
        const cells = narrow ? [time(r.timestamp).slice(11), ...content, ...place] : [time(r.timestamp), ...place, ...content];
        return { cells, muted: content[1] === null };
      }}
      follow=${live}
      version=${records.at(-1)?.offset ?? 0}
    />
    ${!live && !state.end && state.next && !state.looking && html`<div class="bar"><button onClick=${() => search(state.next, stopper.current.signal, 200).catch((error) => setState((s) => ({ ...s, looking: false, error })))}>Read on</button></div>`}
  `;
}

// A time that a person typed, UTC unless it says otherwise; or milliseconds.
function milliseconds(text) {
  const typed = text.trim();
  if (/^\d{11,}$/.test(typed)) return typed;
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(typed) ? typed : `${typed.replace(" ", "T")}${typed.includes(":") ? "Z" : "T00:00Z"}`;
  const found = Date.parse(zoned);
  if (Number.isNaN(found)) throw new Error(`${typed} is no time: write 2026-01-31 12:00, or milliseconds`);
  return found;
}
