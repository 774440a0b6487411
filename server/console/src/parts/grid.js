// A table of any number of rows, of which only those that can be seen are in the page.
// Arrow keys move the chosen row, Enter (or a click) shows it in full.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { cellText, Exact, isBound, shown } from "../exact.js";
import { html } from "../html.js";

const ROW = 30; // px, as in the style sheet
const BEYOND = 8; // rows above and below what is seen
const MEASURED = 200; // rows that columns get their width from
const WIDTH_MAX = 46; // characters
const HEIGHT_MAX = 8_000_000; // px: browsers lose track of taller elements; 260,000 rows

let numbers = 0;

// `columns`: [{ name, align }]; `count` rows, `row(i)` gives { cells, muted }; `follow`: keep the end in sight.
export function Grid({ label, columns, count, row, follow = false, version = 0, link }) {
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(300);
  const [chosen, setChosen] = useState(-1);
  const [open, setOpen] = useState(-1);
  const id = useMemo(() => `grid${++numbers}`, []);
  const atEnd = useRef(true);

  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => setHeight(box.current?.clientHeight ?? 300));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);

  useLayoutEffect(() => {
    if (follow && atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follow, count, version, height]);

  // widths grow with what has been seen, so that columns do not jump to and fro
  const widths = useRef([]);
  const names = columns.map((c) => c.name).join("\u0000");
  useEffect(() => {
    widths.current = [];
    setChosen(-1);
    setOpen(-1);
  }, [names]);
  const most = columns.map((c, i) => Math.max(widths.current[i] ?? 0, c.name.length + 2, 4));
  for (let i = Math.max(0, count - MEASURED); i < count; i++) {
    const { cells } = row(i);
    for (let c = 0; c < columns.length; c++) most[c] = Math.max(most[c], Math.min(WIDTH_MAX, cellText(columns[c], cells[c]).length + 1));
  }
  widths.current = most;
  const wide = most.map((w) => `calc(${w}ch + 16px)`);
  const template = wide.map((w, i) => (i === wide.length - 1 && columns[i].align !== "right" ? `minmax(${w}, 1fr)` : w)).join(" ");

  const all = Math.min(count * ROW, HEIGHT_MAX);
  const scale = count * ROW > HEIGHT_MAX ? (count * ROW - height) / (HEIGHT_MAX - height) : 1;
  const at = top * scale; // px into the rows
  const first = Math.max(0, Math.min(count - 1, Math.floor(at / ROW) - BEYOND));
  const last = Math.min(count, Math.ceil((at + height) / ROW) + BEYOND);
  const shift = scale === 1 ? first * ROW : top - (at - first * ROW);

  const scrolled = () => {
    const element = box.current;
    if (!element) return;
    atEnd.current = element.scrollTop + element.clientHeight >= element.scrollHeight - ROW;
    setTop(element.scrollTop);
  };
  const choose = (i) => {
    const wanted = Math.max(0, Math.min(count - 1, i));
    setChosen(wanted);
    const element = box.current;
    if (!element) return;
    const y = wanted * ROW;
    if (y < element.scrollTop * scale) element.scrollTop = y / scale;
    else if (y + 2 * ROW > element.scrollTop * scale + element.clientHeight) element.scrollTop = (y + 2 * ROW - element.clientHeight) / scale;
  };
  const pressed = (event) => {
    const page = Math.max(1, Math.floor(height / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (event.key in steps) choose(chosen + steps[event.key]);
    else if (event.key === "Home") choose(0);
    else if (event.key === "End") choose(count - 1);
    else if (event.key === "Enter" && chosen >= 0) setOpen(chosen);
    else if (event.key === "Escape" && open >= 0) setOpen(-1);
    else return;
    event.preventDefault();
  };

  const visible = [];
  for (let i = first; i < last; i++) {
    const { cells, muted } = row(i);
    visible.push(html`
      <div
        key=${i}
        id=${`${id}-${i}`}
        role="row"
        aria-rowindex=${i + 2}
        aria-selected=${i === chosen}
        class=${`grid-row ${i === chosen ? "chosen" : ""} ${muted ? "muted" : ""} ${i % 2 ? "odd" : ""}`}
        style=${{ gridTemplateColumns: template }}
        onClick=${() => (setChosen(i), setOpen(i))}
      >
        ${columns.map((c, k) => {
          const text = cellText(c, cells[k]);
          const null_ = cells[k] === null || cells[k] === undefined;
          return html`<div role="gridcell" title=${text} class=${`${c.align ?? ""} ${null_ ? "null" : ""}`}>${text}</div>`;
        })}
      </div>
    `);
  }
  const opened = open >= 0 && open < count ? row(open).cells : null;
  return html`
    <div class="grid-box">
      <div
        ref=${box}
        class="grid"
        role="grid"
        aria-label=${label}
        aria-rowcount=${count + 1}
        aria-activedescendant=${chosen >= first && chosen < last ? `${id}-${chosen}` : undefined}
        tabindex="0"
        onScroll=${scrolled}
        onKeyDown=${pressed}
      >
        <div class="grid-head" role="row" aria-rowindex="1" style=${{ gridTemplateColumns: template }}>
          ${columns.map((c) => html`<div role="columnheader" class=${c.align ?? ""} title=${c.type ?? c.name}>${c.name}</div>`)}
        </div>
        <div class="grid-body" role="rowgroup" style=${{ height: `${all}px` }}>
          <div role="presentation" style=${{ transform: `translateY(${shift}px)` }}>${visible}</div>
        </div>
      </div>
      ${opened &&
      html`
        <section class="grid-detail" aria-label="The chosen row">
          <div class="bar">
            <strong>Row ${open + 1}</strong>
            ${link?.(open)}
            <span class="spring"></span>
            <button class="quiet" onClick=${() => setOpen(-1)}>Close</button>
          </div>
          <dl tabindex="0">
            ${columns.map((c, k) => html`<dt>${c.name}</dt><dd>${c.bound ? cellText(c, opened[k]) : pretty(opened[k])}</dd>`)}
          </dl>
        </section>
      `}
    </div>
  `;
}

// Text that is JSON, and structures, on several lines.
function pretty(value) {
  if (typeof value === "string" && /^\s*[[{]/.test(value)) {
    try {
      return JSON.stringify(JSON.parse(value), null, 2);
    } catch {
      return value;
    }
  }
  return value !== null && typeof value === "object" && !(value instanceof Exact) ? JSON.stringify(value, null, 2) : shown(value);
}

// What is a number stands to the right.
export const numberColumns = (names, types) =>
  names.map((name, i) => {
    const type = types?.[i];
    const bound = isBound(name, type);
    return { name, type, bound, align: !bound && /^(INT|BIGINT|DOUBLE|DECIMAL)/.test(type ?? "") ? "right" : "" };
  });
