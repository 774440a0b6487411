// The editor: CodeMirror with our dialect, completion and faults by the engine.
//
// It lives in a shadow tree, where its styles are style sheets that scripts made: the page's policy lets no element bring styles
// of its own, and the rest of the page's style does not reach in here.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching } from "@codemirror/language";
import { linter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { post, session } from "../api.js";
import { penstock } from "./dialect.js";

async function complete(context) {
  const before = context.state.doc.sliceString(Math.max(0, context.pos - 1), context.pos);
  if (!context.explicit && !/[\w`.@]/.test(before)) return null;
  const stop = new AbortController();
  context.addEventListener("abort", () => stop.abort());
  let found;
  try {
    found = await post("/v1/complete", { text: context.state.doc.toString(), cursor: context.pos }, { signal: stop.signal });
  } catch {
    return null; // an editor without suggestions still edits
  }
  const options = found.suggestions.map((s, i) => ({ label: s.text, detail: s.kind, boost: -i, length: s.length }));
  if (!options.length) return null;
  return { from: context.pos - options[0].length, options, filter: false };
}

function problems(found, length) {
  return found.map((p) => ({
    from: Math.min(p.start, length),
    to: Math.min(Math.max(p.end, p.start), length),
    severity: "error",
    message: p.message + (p.suggestion ? `\n${p.suggestion}` : ""),
  }));
}

const look = EditorView.theme({
  "&": { height: "100%", fontSize: "14px", color: "var(--text)", backgroundColor: "var(--field)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", overflow: "auto" },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--muted)", border: "none" },
  ".cm-activeLineGutter, .cm-activeLine": { backgroundColor: "var(--hover)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selection)" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-placeholder": { color: "var(--muted)" },
  ".cm-tooltip": { backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--line-strong)", borderRadius: "6px", overflow: "hidden" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { fontStyle: "normal", color: "var(--muted)", marginLeft: "1em" },
  "li[aria-selected] .cm-completionDetail": { color: "inherit" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--bad)", whiteSpace: "pre-wrap", padding: "6px 10px" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad) 1.5px", textUnderlineOffset: "4px", textDecorationSkipInk: "none" },
  ".cm-matchingBracket": { backgroundColor: "var(--selection) !important", outline: "none" },
});

// Typing over a selection.  Left to the browser, it would keep the look of what was selected as a style attribute, which the page's
// policy forbids.
function typeOver(event, view) {
  const { ranges, main } = view.state.selection;
  const text = event.data;
  if (event.isComposing || event.inputType !== "insertText" || !text || main.empty || ranges.length > 1) return false;
  event.preventDefault();
  const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
  const handled = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, main.from, main.to, text, insert));
  if (!handled) view.dispatch(insert());
  return true;
}

// `onRun(all)`, `onStop()`, `onChange(text)`, `onProblems(list)`.
export function makeEditor(host, { text, onRun, onStop, onChange, onProblems }) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  root.replaceChildren();
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":host { display: block; overflow: hidden }");
  let fault = { doc: null, found: [] }; // what running the text found, until it is changed
  const check = async (view) => {
    const shown = view.state.doc;
    if (!shown.toString().trim()) {
      onProblems([]);
      return [];
    }
    try {
      const found = await post("/v1/check", { text: shown.toString(), ...session() });
      if (view.state.doc !== shown) return [];
      onProblems(found.problems);
      const known = fault.doc === shown ? fault.found : [];
      return problems([...found.problems, ...known.filter((k) => !found.problems.some((p) => p.start === k.start))], shown.length);
    } catch {
      return [];
    }
  };
  const own = Prec.highest(
    keymap.of([
      { key: "Mod-Enter", run: () => (onRun(false), true), preventDefault: true },
      { key: "Mod-Shift-Enter", run: () => (onRun(true), true), preventDefault: true },
      { key: "Mod-.", run: () => (onStop(), true), preventDefault: true },
    ]),
  );
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        own,
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        penstock(),
        autocompletion({ override: [complete], maxRenderedOptions: 60, icons: false }),
        linter(check, { delay: 350 }),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
        placeholder("SELECT * FROM …"),
        EditorView.domEventHandlers({ beforeinput: typeOver }),
        EditorView.contentAttributes.of({ "aria-label": "SQL statements" }),
        EditorView.updateListener.of((update) => update.docChanged && onChange(update.state.doc.toString())),
        look,
      ],
    }),
  });
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  return {
    get text() {
      return view.state.doc.toString();
    },
    get selection() {
      const { from, to } = view.state.selection.main;
      return { from, to };
    },
    replace(next) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
    },
    // underline what an execution found, and go there
    fault(start, end, message) {
      const length = view.state.doc.length;
      fault = { doc: view.state.doc, found: [{ start, end, message }] };
      view.dispatch(setDiagnostics(view.state, problems(fault.found, length)));
      view.dispatch({ effects: EditorView.scrollIntoView(Math.min(start, length), { y: "center" }) });
    },
    goTo(start, end) {
      view.dispatch({ selection: { anchor: start, head: end }, scrollIntoView: true });
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
