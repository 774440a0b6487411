// Small things that several screens show.

import { html } from "../html.js";

export const State = ({ state }) => html`<span class=${`state ${String(state).toLowerCase()}`}>${state}</span>`;

export function Failure({ error, what }) {
  if (!error) return null;
  return html`<p class="failure" role="alert"><strong>${what ?? "That did not work"}:</strong> ${error.message}${error.suggestion ? `\n${error.suggestion}` : ""}</p>`;
}

export const Loading = () => html`<p class="empty" role="status">Loading …</p>`;

export const Tile = ({ label, value, note, alarm }) => html`
  <div class=${`tile ${alarm ? "alarm" : ""}`}>
    <div class="tile-label">${label}</div>
    <div class="tile-value">${value}</div>
    ${note && html`<div class="tile-note">${note}</div>`}
  </div>
`;

// A plain table of what a person would read at a glance: `rows` of cells, which may be elements.
export function Table({ label, columns, rows, right = [] }) {
  return html`
    <div class="table-box" role="region" aria-label=${label} tabindex="0">
      <table>
        <thead>
          <tr>${columns.map((c, i) => html`<th scope="col" class=${right.includes(i) ? "right" : ""}>${c}</th>`)}</tr>
        </thead>
        <tbody>
          ${rows.map((cells) => html`<tr>${cells.map((cell, i) => html`<td class=${right.includes(i) ? "right" : ""}>${cell}</td>`)}</tr>`)}
        </tbody>
      </table>
    </div>
  `;
}
