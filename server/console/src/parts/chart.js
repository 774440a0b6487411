// Charts of rows: numbers against a number, a time, a category, or their order.  uPlot is loaded when it is first needed.

import { useEffect, useRef, useState } from "preact/hooks";
import { numeric, shown } from "../exact.js";
import { html } from "../html.js";
import { colour, dark } from "../theme.js";

const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];
const POINTS_MAX = 20_000;
const GROUPS_MAX = 6;
const CATEGORIES_MAX = 60;
const NUMBER = /^(INT|BIGINT|DOUBLE|DECIMAL)/;
const TIME = /^(TIMESTAMP|DATE)/;
const MILLISECONDS = /^(WINDOWSTART|WINDOWEND|ROWTIME)$/i;

// `data`: as uPlot takes it; `series`: labels; `bars`: x are places of `categories`.
export function Plot({ label, data, series, time = false, categories = null, height = 260 }) {
  const box = useRef(null);
  const plot = useRef(null);
  const isDark = dark.value;
  const shape = JSON.stringify([series, time, categories !== null, isDark, height]);
  const names = useRef(categories);
  names.current = categories;

  useEffect(() => {
    let gone = false;
    let watch = null;
    Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")]).then(([{ default: UPlot }]) => {
      if (gone) return;
      const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
      const named = { ...axis, values: (_, places) => places.map((p) => (Number.isInteger(p) ? cut(names.current?.[p] ?? "") : "")), grid: { show: false } };
      const bars = categories === null ? undefined : UPlot.paths.bars({ size: [0.7, 64] });
      plot.current = new UPlot(
        {
          width: Math.max(200, box.current.clientWidth),
          height,
          scales: { x: { time, range: categories === null ? undefined : (_, low, high) => [low - 0.6, high + 0.6] }, y: { range: fromZero(UPlot) } },
          axes: [categories !== null ? named : time ? { ...axis, values: times } : axis, { ...axis, size: 64, values: (_, ticks) => ticks.map(tick) }],
          series: [
            { label: time ? "time" : "at", value: categories === null ? (_, x) => (x === null ? "" : time ? instant(x) : String(x)) : (_, p) => names.current?.[p] ?? "" },
            ...series.map((name, i) => ({
              label: name,
              stroke: colour(SERIES[i % SERIES.length]),
              fill: bars ? colour(SERIES[i % SERIES.length]) : undefined,
              width: 2,
              paths: bars,
              points: { show: bars ? false : undefined },
              spanGaps: true,
            })),
          ],
          legend: { live: true },
        },
        data,
        box.current,
      );
      watch = new ResizeObserver(([entry]) => plot.current?.setSize({ width: Math.max(200, entry.contentRect.width), height }));
      watch.observe(box.current);
    });
    return () => {
      gone = true;
      watch?.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(data), [data]);
  return html`<div class="plot" ref=${box} role="img" aria-label=${label}></div>`;
}

const instant = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 23);
// UTC, as everywhere in the console; as fine as the steps are.
const times = (_, places, axis, space, step) =>
  places.map((s) => {
    const text = new Date(s * 1000).toISOString();
    return step < 1 ? text.slice(14, 21) : step < 60 ? text.slice(11, 19) : step < 86_400 ? text.slice(11, 16) : text.slice(5, 10);
  });
const cut = (text) => (text.length > 14 ? text.slice(0, 13) + "…" : text);
const tick = (value) => (Math.abs(value) >= 10_000 ? Intl.NumberFormat("en-US", { notation: "compact" }).format(value) : String(+value.toPrecision(6)));
// Counts and rates begin at zero, unless all values lie far from it.
const fromZero = (UPlot) => (plot, low, high) => {
  if (low === null || high === null) return [0, 1];
  const [from, to] = UPlot.rangeNum(low, high === low ? high + 1 : high, 0.1, true);
  return low >= 0 && low < high * 0.6 ? [0, to] : [from, to];
};

// --- charts of results ---------------------------------------------------------------------

export function chartable(columns, types) {
  return types.some((type) => NUMBER.test(type));
}

export function ResultChart({ columns, types, count, row, version }) {
  const numbers = columns.map((_, i) => i).filter((i) => NUMBER.test(types[i]) && !MILLISECONDS.test(columns[i]));
  const texts = columns.map((_, i) => i).filter((i) => /^(STRING|VARCHAR|BOOLEAN)/.test(types[i]));
  const times = columns.map((_, i) => i).filter((i) => TIME.test(types[i]) || (NUMBER.test(types[i]) && MILLISECONDS.test(columns[i])));
  const [x, setX] = useState(times[0] ?? (texts.length && count <= CATEGORIES_MAX ? texts[0] : -1));
  const [ys, setYs] = useState(numbers.slice(0, 1));
  const [by, setBy] = useState(times.length && texts.length ? texts[0] : -1);
  const made = plotted({ columns, types, count, row, x, ys, by: by === x ? -1 : by });
  const toggle = (i) => setYs(ys.includes(i) ? ys.filter((y) => y !== i) : [...ys, i].sort((a, b) => a - b));
  return html`
    <div class="chart">
      <div class="bar wrap">
        <label>Across
          <select value=${x} onChange=${(e) => setX(Number(e.target.value))}>
            <option value="-1">the rows' order</option>
            ${columns.map((name, i) => html`<option value=${i}>${name}</option>`)}
          </select>
        </label>
        <fieldset class="inline">
          <legend>Up</legend>
          ${numbers.map((i) => html`<label><input type="checkbox" checked=${ys.includes(i)} onChange=${() => toggle(i)} /> ${columns[i]}</label>`)}
        </fieldset>
        ${texts.length > 0 && !made.categories &&
        html`<label>A line for each
          <select value=${by} onChange=${(e) => setBy(Number(e.target.value))}>
            <option value="-1">–</option>
            ${texts.map((i) => html`<option value=${i}>${columns[i]}</option>`)}
          </select>
        </label>`}
      </div>
      ${made.series.length
        ? html`<${Plot} label=${`Chart of ${made.series.join(", ")}`} data=${made.data} series=${made.series} time=${made.time} categories=${made.categories} height=${280} />`
        : html`<p class="empty">Choose a column of numbers.</p>`}
      ${made.note && html`<p class="note">${made.note}</p>`}
    </div>
  `;
}

// The rows as uPlot wants them: the x of all series, ascending, and a column of values for each.
function plotted({ columns, types, count, row, x, ys, by }) {
  const from = Math.max(0, count - POINTS_MAX);
  const categorical = x >= 0 && !NUMBER.test(types[x]) && !TIME.test(types[x]);
  const time = x >= 0 && (TIME.test(types[x]) || MILLISECONDS.test(columns[x]));
  const place = (cells, i) => {
    if (x < 0) return i + 1;
    if (TIME.test(types[x])) return Date.parse(cells[x]) / 1000;
    return time ? numeric(cells[x]) / 1000 : numeric(cells[x]);
  };
  let note = from > 0 ? `the last ${POINTS_MAX.toLocaleString("en-US")} rows` : "";
  if (categorical) {
    // of rows with the same name the last one stands: a table's changes end as the table
    const last = new Map();
    for (let i = from; i < count; i++) {
      const { cells, muted } = row(i);
      const name = shown(cells[x]);
      if (muted) last.delete(name);
      else last.set(name, cells);
    }
    const names = [...last.keys()].slice(0, CATEGORIES_MAX);
    if (last.size > names.length) note = `the first ${CATEGORIES_MAX} of ${last.size} values of ${columns[x]}`;
    const data = [names.map((_, i) => i), ...ys.map((y) => names.map((name) => numeric(last.get(name)[y])))];
    return { data, series: ys.map((y) => columns[y]), categories: names, time: false, note };
  }
  const series = new Map(); // its label: values by x
  const places = new Set();
  for (let i = from; i < count; i++) {
    const { cells, muted } = row(i);
    const at = place(cells, i);
    if (muted || at === null || Number.isNaN(at)) continue;
    const group = by >= 0 ? shown(cells[by]) : null;
    for (const y of ys) {
      const label = group === null ? columns[y] : ys.length > 1 ? `${group} ${columns[y]}` : group;
      if (!series.has(label)) {
        if (series.size >= GROUPS_MAX * Math.max(1, ys.length)) {
          note = `the first ${GROUPS_MAX} values of ${columns[by]}`;
          continue;
        }
        series.set(label, new Map());
      }
      places.add(at);
      series.get(label).set(at, numeric(cells[y]));
    }
  }
  const sorted = [...places].sort((a, b) => a - b);
  const data = [sorted, ...[...series.values()].map((values) => sorted.map((at) => values.get(at) ?? null))];
  return { data, series: [...series.keys()], categories: null, time, note };
}
