// All topics.

import { get } from "../api.js";
import { size, whole } from "../format.js";
import { html } from "../html.js";
import { usePoll } from "../poll.js";
import { Failure, Loading, Table } from "../parts/bits.js";
import { link } from "../route.js";

export function TopicsScreen() {
  const { data, error } = usePoll((signal) => get("/v1/topics", { signal }), 3000);
  return html`
    <h1>Topics</h1>
    <${Failure} error=${error} />
    ${!data && !error && html`<${Loading} />`}
    ${data?.length === 0 && html`<p class="empty">There is none.</p>`}
    ${data?.length > 0 &&
    html`<${Table}
      label="Topics"
      columns=${["Topic", "Partitions", "Records", "Size", "Streams and tables"]}
      right=${[1, 2, 3]}
      rows=${data.map((t) => [html`<a href=${link("topics", t.name)}>${t.name}</a>`, t.partitions, whole(t.records), size(t.bytes), t.sources.join(", ")])}
    />`}
  `;
}
