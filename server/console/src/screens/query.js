// One query: how it is doing, what it does, what it could not process; pause, resume, terminate.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { execute, get, literal, quoted, select } from "../api.js";
import { duration, plural, rate, short, size, time, whole } from "../format.js";
import { html } from "../html.js";
import { Rates, usePoll } from "../poll.js";
import { Failure, Loading, State, Table, Tile } from "../parts/bits.js";
import { Plot } from "../parts/chart.js";
import { confirm } from "../parts/dialog.js";
import { go, link } from "../route.js";

const EVERY_MS = 1000;
const SEEN_MAX = 300; // points of the charts: five minutes

export function QueryScreen({ id }) {
  const rates = useMemo(() => new Rates(3000), [id]);
  const seen = useRef([[], [], [], []]); // time, read/s, written/s, lag
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const { data, error, again } = usePoll(async (signal) => {
    const found = await get(`/v1/queries/${encodeURIComponent(id)}`, { signal });
    const { account, lag } = found.progress;
    rates.add({ read: Number(account.read), written: Number(account.written) });
    const point = [Date.now() / 1000, rates.of("read"), rates.of("written"), Number(lag)];
    seen.current = seen.current.map((values, i) => [...values, point[i]].slice(-SEEN_MAX));
    return found;
  }, EVERY_MS, [id]);
  useEffect(() => {
    seen.current = [[], [], [], []];
  }, [id]);
  const speeds = useMemo(() => seen.current.slice(0, 3), [data]);
  const lags = useMemo(() => [seen.current[0], seen.current[3]], [data]);

  if (!data) return html`<h1>${id}</h1>${error ? html`<${Failure} error=${error} />` : html`<${Loading} />`}`;
  const { progress } = data;
  const { account } = progress;
  const control = async (word) => {
    if (word === "TERMINATE") {
      const yes = await confirm(`Terminate ${id}?`, `It stops for good and its state is forgotten. What it wrote to ${data.topic} stays.`, "Terminate");
      if (!yes) return;
    }
    if (word === "PAUSE") {
      const yes = await confirm(`Pause ${id}?`, `It reads nothing until it is resumed; ${data.sink} stands still meanwhile.`, "Pause");
      if (!yes) return;
    }
    setBusy(true);
    setFailure(null);
    try {
      await execute(`${word} ${quoted(id)};`);
      if (word === "TERMINATE") go("queries");
      else again();
    } catch (caught) {
      setFailure(caught);
    } finally {
      setBusy(false);
    }
  };
  const halted = progress.state !== "RUNNING";
  const share = (n) => (Number(account.read) ? `${((100 * Number(n)) / Number(account.read)).toFixed(2)} % of those read` : "");
  return html`
    <p class="crumbs"><a href=${link("queries")}>Queries</a></p>
    <div class="bar wrap">
      <h1>${id}</h1>
      <${State} state=${progress.state} />
      <span class="spring"></span>
      ${halted
        ? html`<button disabled=${busy} onClick=${() => control("RESUME")}>Resume</button>`
        : html`<button disabled=${busy} onClick=${() => control("PAUSE")}>Pause</button>`}
      <button class="danger" disabled=${busy} onClick=${() => control("TERMINATE")}>Terminate</button>
    </div>
    <${Failure} error=${error} what="This may be out of date" />
    <${Failure} error=${failure} />
    ${progress.error && html`<p class="failure" role="alert"><strong>It stopped:</strong> ${progress.error}</p>`}
    <p class="reads">
      reads ${data.sources.map((s, i) => html`${i ? ", " : ""}<strong>${s}</strong>`)}, writes <strong>${data.sink}</strong> to the topic${" "}
      <a href=${link("topics", data.topic)}>${data.topic}</a>
    </p>
    <div class="tiles">
      <${Tile} label="Behind" value=${short(progress.lag)} note="records not read yet" alarm=${Number(progress.lag) > 100_000} />
      <${Tile} label="Reads" value=${rate(rates.of("read"))} note=${`${whole(account.read)} so far`} />
      <${Tile} label="Writes" value=${rate(rates.of("written"))} note=${`${whole(account.written)} so far`} />
      <${Tile} label="Late" value=${short(account.late)} note=${share(account.late) || "after their window's grace"} />
      <${Tile} label="Bad" value=${short(account.bad)} note=${share(account.bad) || "could not be processed"} alarm=${Number(account.bad) > 0} />
      <${Tile} label="State" value=${size(progress.state_bytes)} note=${`${whole(progress.state_rows)} keys`} />
    </div>
    <${Why} id=${id} />
    <div class="plots">
      <section aria-label="Speed"><h2>Records a second</h2><${Plot} label="Records read and written a second" data=${speeds} series=${["read/s", "written/s"]} time=${true} height=${180} /></section>
      <section aria-label="Lag"><h2>Records behind</h2><${Plot} label="Records not read yet" data=${lags} series=${["behind"]} time=${true} height=${180} /></section>
    </div>
    ${progress.lateness.length > 0 && html`<${Lateness} progress=${progress} bounds=${data.lateness_bounds_ms} />`}
    <h2>Statement</h2>
    <pre tabindex="0">${data.statement}</pre>
    <h2>Plan</h2>
    <${Plan} id=${id} plan=${data.plan} />
    <h2>Positions</h2>
    <${Table}
      label="Positions"
      columns=${["Topic", "Partition", "Position", "End", "Behind"]}
      right=${[1, 2, 3, 4]}
      rows=${data.positions.map((p) => [html`<a href=${link("topics", p.topic)}>${p.topic}</a>`, p.partition, whole(p.position), whole(p.end), whole(p.end - p.position)])}
    />
    <h2>Bad records</h2>
    <${Bad} id=${id} bad=${Number(account.bad)} />
  `;
}

// How far rows of a query with windows are behind stream time: what a grace period would have to be.
function Lateness({ progress, bounds }) {
  const counts = progress.lateness.map(Number);
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (!total) return html`<h2>How late rows come</h2><p class="empty">No row has come behind stream time since the query started.</p>`;
  const shown = counts.slice(0, counts.findLastIndex((n) => n > 0) + 1);
  const largest = Math.max(...shown);
  let below = 0;
  const rows = shown.map((n, i) => {
    below += n;
    return [
      i < bounds.length ? `up to ${duration(bounds[i])}` : `more than ${duration(bounds.at(-1))}`,
      n > 0 && html`<div class="share" aria-hidden="true" style=${{ width: `${(100 * n) / largest}%` }}></div>`,
      whole(n),
      i < bounds.length ? `${((100 * below) / total).toFixed(2)} %` : "",
    ];
  });
  return html`
    <h2>How late rows come</h2>
    <p class="note">
      ${plural(total, "row")} came behind stream time since the query started here, ${duration(Number(progress.lateness_ms) / total)} on average.
      ${" "}With a GRACE PERIOD as long as a line says, no row up to that line is lost.
    </p>
    <${Table} label="Lateness" columns=${["Behind stream time", "", "Rows", "Within this"]} right=${[2, 3]} rows=${rows} />
  `;
}

// What holds a query's rows back: looked into when somebody asks.
function Why({ id }) {
  const [found, setFound] = useState(null);
  const [failure, setFailure] = useState(null);
  const ask = async () => {
    setFailure(null);
    try {
      const [{ rows }] = await execute(`WHY NO ROWS FROM ${quoted(id)};`);
      setFound(rows);
    } catch (error) {
      setFailure(error);
    }
  };
  return html`
    <div class="bar"><button onClick=${ask}>${found ? "Look again" : "Why no rows?"}</button><span class="note">what holds rows back: filters, joins without matches, event time that is missing</span></div>
    <${Failure} error=${failure} />
    ${found &&
    html`<${Table}
      label="What holds rows back"
      columns=${["Finding", "Count", "Detail", "Would mend it"]}
      right=${[1]}
      rows=${found.map(([finding, count, detail, statement]) => [
        finding,
        count === null ? "" : whole(count),
        detail,
        statement ? html`<a href=${`${link("editor")}?${new URLSearchParams({ sql: statement })}`} title=${statement}>statement, in the editor</a>` : "",
      ])}
    />`}
  `;
}

// The plan with what each operator took in and put out, if the engine counts it.
function Plan({ id, plan }) {
  const { data, error } = usePoll(async (signal) => {
    const [found] = await execute(`EXPLAIN ANALYZE ${quoted(id)};`, { signal });
    return found.sections.find(([title]) => title === "Operators")?.[1];
  }, 2000, [id]);
  if (!data) return html`<pre tabindex="0">${plan}</pre>${error && html`<p class="note">${error.message}</p>`}`;
  const cells = data.rows.map(([operator, ...numbers]) => {
    const depth = operator.length - operator.trimStart().length;
    return [html`<code class="operator" style=${{ paddingLeft: `${depth * 0.6}em` }}>${operator.trim()}</code>`, ...numbers.map((n) => (n === null ? "" : whole(Math.round(Number(n)))))];
  });
  return html`<${Table} label="Operators" columns=${data.columns} rows=${cells} right=${[1, 2, 3, 4, 5]} />`;
}

const BAD_MAX = 50;

// The newest records that the processing log says could not be processed.
function Bad({ id, bad }) {
  const { data, error } = usePoll(
    async () => {
      if (!bad) return [];
      const prefix = literal(`processing.${id}.`.replace(/[%_]/g, "\\$&") + "%");
      const { rows } = await select(`SELECT time, logger, message FROM KSQL_PROCESSING_LOG WHERE logger LIKE ${prefix} ESCAPE '\\' ORDER BY time DESC LIMIT ${BAD_MAX};`);
      return rows.map(([at, logger, message]) => {
        const found = message.deserializationError ?? message.recordProcessingError ?? message.serializationError ?? {};
        return { at, operator: logger.split(".").slice(2).join("."), ...found };
      });
    },
    0,
    [id, bad],
  );
  if (error) return html`<${Failure} error=${error} what="The processing log could not be read" />`;
  if (!data) return html`<${Loading} />`;
  if (!data.length) return html`<p class="empty">None${bad ? " in the processing log" : ""}.</p>`;
  return html`<${Table}
    label="Bad records"
    columns=${["When", "Where", "Why", "Record"]}
    rows=${data.map((b) => [
      time(b.at),
      b.operator,
      b.errorMessage,
      b.topic ? html`<a href=${`${link("topics", b.topic)}?from=offset:${b.offset}&partition=${b.partition}`}>${b.topic}, partition ${b.partition}, offset ${whole(b.offset)}</a>` : "",
    ])}
  />`;
}
