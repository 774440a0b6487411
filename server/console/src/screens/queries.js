// All persistent queries at a glance.

import { useMemo } from "preact/hooks";
import { get } from "../api.js";
import { rate, whole } from "../format.js";
import { html } from "../html.js";
import { Rates, usePoll } from "../poll.js";
import { Failure, Loading, State, Table } from "../parts/bits.js";
import { link } from "../route.js";

export function QueriesScreen() {
  const rates = useMemo(() => new Rates(), []);
  const { data, error } = usePoll(async (signal) => {
    const { nodes } = await get("/v1/graph", { signal });
    const queries = nodes.filter((n) => n.kind === "query");
    rates.add(Object.fromEntries(queries.map((q) => [q.id, Number(q.read)])));
    return queries;
  }, 1500);
  return html`
    <h1>Queries</h1>
    <${Failure} error=${error} />
    ${!data && !error && html`<${Loading} />`}
    ${data?.length === 0 && html`<p class="empty">No query runs. CREATE TABLE … AS SELECT … starts one.</p>`}
    ${data?.length > 0 &&
    html`<${Table}
      label="Queries"
      columns=${["Query", "State", "Behind", "Reads", "Read", "Written", "Late", "Bad"]}
      right=${[2, 3, 4, 5, 6, 7]}
      rows=${data.map((q) => [
        html`<a href=${link("queries", q.name)}>${q.name}</a>`,
        html`<${State} state=${q.state} />`,
        whole(q.lag),
        rate(rates.of(q.id)),
        whole(q.read),
        whole(q.written),
        whole(q.late),
        html`<span class=${Number(q.bad) ? "bad-count" : ""}>${whole(q.bad)}</span>`,
      ])}
    />`}
  `;
}
