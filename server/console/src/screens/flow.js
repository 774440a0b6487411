// The flow graph: what flows from topics through streams and queries into tables, how fast, and how far queries are behind.
// The server says where everything stands (`penstock graph` draws the same places).

import { useMemo, useRef, useState } from "preact/hooks";
import { get } from "../api.js";
import { plural, rate, short } from "../format.js";
import { html } from "../html.js";
import { Rates, usePoll } from "../poll.js";
import { Failure, Loading } from "../parts/bits.js";
import { link } from "../route.js";

const EVERY_MS = 1000;
const ZOOMS = [0.35, 0.5, 0.65, 0.8, 1, 1.25, 1.6];

const counts = (graph) => {
  const found = {};
  for (const node of graph.nodes) if (node.kind === "topic") found[node.id] = node.records;
  for (const edge of graph.edges) {
    if ("read" in edge) found[`${edge.from} ${edge.to}`] = Number(edge.read);
    if ("written" in edge) found[`${edge.from} ${edge.to}`] = Number(edge.written);
  }
  return found;
};

export function FlowScreen() {
  const rates = useMemo(() => new Rates(), []);
  const [zoom, setZoom] = useState(null); // null: as wide as the page, if that can be read
  const box = useRef(null);
  const { data: graph, error } = usePoll(async (signal) => {
    const found = await get("/v1/graph", { signal });
    rates.add(counts(found));
    return found;
  }, EVERY_MS);
  if (!graph) return error ? html`<h1>Flow</h1><${Failure} error=${error} />` : html`<h1>Flow</h1><${Loading} />`;
  const fit = box.current ? Math.min(1.15, Math.max(0.7, (box.current.clientWidth - 4) / graph.width)) : 1;
  const scale = zoom ?? fit;
  const turn = (by) => {
    const at = ZOOMS.findIndex((z) => z >= scale - 0.01);
    setZoom(ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, (at < 0 ? ZOOMS.length - 1 : at) + by))]);
  };
  const queries = graph.nodes.filter((n) => n.kind === "query");
  const lag = queries.reduce((sum, q) => sum + Number(q.lag), 0);
  return html`
    <div class="flow-screen">
      <div class="bar wrap">
        <h1>Flow</h1>
        <span class="note" role="status">${plural(queries.length, "query", "queries")}, ${lag ? `${short(lag)} records behind` : "nothing behind"}</span>
        <span class="spring"></span>
        <div class="choice" role="group" aria-label="Size">
          <button onClick=${() => turn(-1)} aria-label="Smaller">−</button>
          <button onClick=${() => setZoom(null)} aria-pressed=${zoom === null}>Fit</button>
          <button onClick=${() => turn(1)} aria-label="Larger">+</button>
        </div>
      </div>
      <${Failure} error=${error} what="This may be out of date" />
      ${graph.nodes.length === 0 && html`<p class="empty">Nothing flows yet. CREATE a stream in the <a href=${link("editor")}>editor</a>.</p>`}
      <div class="flow-box" ref=${box} tabindex="0" role="region" aria-label="Flow graph">
        <svg
          width=${graph.width * scale}
          height=${graph.height * scale}
          viewBox=${`0 0 ${graph.width} ${graph.height}`}
          role="group"
          aria-label="Topics, streams, tables and queries"
        >
          <defs>
            <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 0 L8 4 L0 8 z" class="arrow" />
            </marker>
          </defs>
          ${graph.edges.map((edge) => html`<${Edge} key=${`${edge.from} ${edge.to}`} edge=${edge} rates=${rates} meets=${several(graph, "to", edge)} parts=${several(graph, "from", edge)} />`)}
          ${graph.nodes.map((node) => html`<${Node} key=${node.id} node=${node} rates=${rates} />`)}
        </svg>
      </div>
      <p class="legend">
        ${["topic", "stream", "query", "table"].map((kind) => html`<span><i class=${`swatch ${kind}`}></i>${kind}</span>`)}
        <span>on the lines: records a second, and how many wait to be read</span>
      </p>
    </div>
  `;
}

// A smooth way through the points: level where it leaves and arrives.
function way(points) {
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1];
    const [x1, y1] = points[i];
    const bend = (x1 - x0) / 2;
    path += Math.abs(y1 - y0) < 0.5 ? `L${x1} ${y1}` : `C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
  }
  return path;
}

const several = (graph, end, edge) => graph.edges.filter((e) => e[end] === edge[end]).length > 1;

function Edge({ edge, rates, meets, parts }) {
  if (edge.points.length < 2) return null;
  const counted = "lag" in edge || "written" in edge;
  const perSecond = counted ? rates.of(`${edge.from} ${edge.to}`) : rates.of(edge.from);
  const behind = Number(edge.lag ?? 0);
  // the label stands where the edge is alone: before the arrow, or at the start where several edges meet at the arrow
  // (between both where several part at the start, too)
  const first = edge.points[0];
  const last = edge.points.at(-1);
  const middle = [(first[0] + last[0]) / 2 + 12, (first[1] + last[1]) / 2];
  const [x, y] = !meets ? [last[0] - 9, last[1]] : parts ? middle : [first[0] + 6, first[1]];
  const anchor = meets ? "start" : "end";
  return html`
    <g class=${`edge ${perSecond ? "flowing" : ""} ${behind ? "behind" : ""}`}>
      <path d=${way(edge.points)} marker-end="url(#arrow)" />
      ${counted && perSecond !== null && perSecond > 0 && html`<text x=${x} y=${y - 6} text-anchor=${anchor} class="edge-rate">${rate(perSecond)}</text>`}
      ${behind > 0 && html`<text x=${x} y=${y + 15} text-anchor=${anchor} class="edge-lag">${short(behind)} wait</text>`}
    </g>
  `;
}

const TARGETS = {
  topic: (n) => link("topics", n.name),
  query: (n) => link("queries", n.name),
  stream: (n) => link("topics", n.topic),
  table: (n) => link("topics", n.topic),
};

function Node({ node, rates }) {
  const perSecond = node.kind === "topic" ? rates.of(node.id) : null;
  const under =
    node.kind === "query"
      ? `${node.state.toLowerCase()}${Number(node.lag) ? `, ${short(node.lag)} behind` : ""}${Number(node.bad) ? `, ${short(node.bad)} bad` : ""}`
      : node.kind === "topic"
        ? perSecond
          ? `${short(node.records)} records, ${rate(perSecond)}`
          : `${short(node.records)} records`
        : node.kind;
  const alarm = node.state === "ERROR" || Number(node.bad ?? 0) > 0;
  const said = `${node.kind} ${node.name}: ${under}`;
  return html`
    <a href=${TARGETS[node.kind](node)} class=${`node ${node.kind} ${alarm ? "alarm" : ""} ${node.state === "PAUSED" ? "halted" : ""}`} aria-label=${said}>
      <title>${said}</title>
      <rect x=${node.x} y=${node.y} width=${node.width} height=${node.height} rx=${node.kind === "query" ? node.height / 2 : 6} />
      <text x=${node.x + node.width / 2} y=${node.y + 20} class="node-name">${node.label}</text>
      <text x=${node.x + node.width / 2} y=${node.y + 36} class="node-under">${under}</text>
    </a>
  `;
}
