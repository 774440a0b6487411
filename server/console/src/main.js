// The console: a shell around its screens.

import { useEffect, useState } from "preact/hooks";
import { render } from "preact";
import "@preact/signals";
import "./style.css";
import { account, logout, offline, whoAmI } from "./api.js";
import { html } from "./html.js";
import { Failure, Loading } from "./parts/bits.js";
import { Dialog, Questions } from "./parts/dialog.js";
import { go, link, route } from "./route.js";
import { EditorScreen } from "./screens/editor.js";
import { FlowScreen } from "./screens/flow.js";
import { LoginScreen } from "./screens/login.js";
import { QueriesScreen } from "./screens/queries.js";
import { QueryScreen } from "./screens/query.js";
import { TopicScreen } from "./screens/topic.js";
import { TopicsScreen } from "./screens/topics.js";
import { theme } from "./theme.js";

const PLACES = [
  ["editor", "Editor", "M4 6l5 5-5 5M11 17h8"],
  ["flow", "Flow", "M3 6h5v5H3zM3 15h5v5H3zM16 10h5v5h-5zM8 8.500c5 0 3 4 8 4M8 17.500c5 0 3-4 8-4"],
  ["queries", "Queries", "M4 6h16M4 12h16M4 18h9M17 15l5 3-5 3z"],
  ["topics", "Topics", "M4 5h16v4H4zM4 10.500h16v4H4zM4 16h16v4H4z"],
];
const THEMES = { system: "as the system", light: "light", dark: "dark" };

const KEYS = [
  ["Alt+1 … Alt+4", "editor, flow, queries, topics"],
  ["Ctrl+Enter", "run the statement at the cursor, or those selected"],
  ["Ctrl+Shift+Enter", "run all statements"],
  ["Ctrl+.", "stop"],
  ["Ctrl+Space", "suggest"],
  ["F8", "the next fault"],
  ["Esc, Tab", "leave the editor"],
  ["↑ ↓ Page Home End", "in a table: choose a row"],
  ["Enter, Esc", "in a table: show the row in full, close it"],
  ["?", "this list"],
];

function screen([place, name]) {
  if (place === "flow") return html`<${FlowScreen} />`;
  if (place === "queries") return name ? html`<${QueryScreen} key=${name} id=${name} />` : html`<${QueriesScreen} />`;
  if (place === "topics") return name ? html`<${TopicScreen} key=${name} name=${name} />` : html`<${TopicsScreen} />`;
  return html`<${EditorScreen} />`;
}

function Console() {
  const [failure, setFailure] = useState(null);
  const [help, setHelp] = useState(false);
  const [place = "editor", name] = route.value;
  const title = PLACES.find(([p]) => p === place)?.[1] ?? "Editor";

  useEffect(() => {
    whoAmI().catch(setFailure);
  }, []);
  useEffect(() => {
    document.title = `${name ?? title} – Penstock`;
  }, [title, name]);
  useEffect(() => {
    const pressed = (event) => {
      const typing = event.target.closest?.("input, select, textarea, .editor-host, [contenteditable]");
      if (event.altKey && !event.ctrlKey && event.key >= "1" && event.key <= "4") {
        event.preventDefault();
        go(PLACES[Number(event.key) - 1][0]);
      } else if (event.key === "?" && !typing) setHelp(true);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  if (account.value === null) return html`<${LoginScreen} />`;
  if (account.value === undefined)
    return html`<main id="content">${failure ? html`<h1>Penstock</h1><${Failure} error=${failure} what="The server does not answer" />` : html`<${Loading} />`}</main>`;
  const next = { system: "light", light: "dark", dark: "system" }[theme.value];
  return html`
    <a class="skip" href="#content" onClick=${(e) => (e.preventDefault(), document.getElementById("content").focus())}>Skip to the content</a>
    <header>
      <a class="brand" href=${link("editor")}><img src="./icon.svg" alt="" width="26" height="26" /> Penstock</a>
      <nav aria-label="Screens">
        ${PLACES.map(
          ([to, label, path], i) => html`
            <a href=${link(to)} aria-current=${to === place ? "page" : undefined} title=${`Alt+${i + 1}`}>
              <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true"><path d=${path} /></svg>
              <span>${label}</span>
            </a>
          `,
        )}
      </nav>
      <span class="spring"></span>
      ${account.value.authenticated &&
      html`<span class="who">${account.value.name}</span><button class="quiet" onClick=${logout}>Log out</button>`}
      <button class="quiet" onClick=${() => (theme.value = next)} aria-label=${`Colours: ${THEMES[theme.value]}`} title=${`Colours: ${THEMES[theme.value]}`}>
        <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true"><circle cx="12" cy="12" r="8" /><path d="M12 4a8 8 0 0 1 0 16z" class="filled" /></svg>
      </button>
      <button class="quiet" onClick=${() => setHelp(true)} aria-label="Keys" title="Keys (?)">?</button>
    </header>
    ${offline.value && html`<p class="offline" role="alert">The server does not answer.</p>`}
    <main id="content" tabindex="-1" class=${place}>${screen([place, name])}</main>
    <${Questions} />
    ${help &&
    html`
      <${Dialog} title="Keys" onClose=${() => setHelp(false)}>
        <dl class="keys">${KEYS.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl>
        <div class="bar end"><button autofocus onClick=${() => setHelp(false)}>Close</button></div>
      <//>
    `}
  `;
}

render(html`<${Console} />`, document.getElementById("console"));
