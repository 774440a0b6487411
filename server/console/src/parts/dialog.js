// A question before something is done, and other things that stand before the page.

import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { html } from "../html.js";

const question = signal(null);

// Whether the person says yes.
export const confirm = (title, text, yes) =>
  new Promise((answer) => {
    question.value = { title, text, yes, answer };
  });

export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.showModal();
  }, []);
  return html`
    <dialog ref=${element} aria-label=${title} onClose=${onClose} onCancel=${onClose}>
      <h2>${title}</h2>
      ${children}
    </dialog>
  `;
}

export function Questions() {
  const asked = question.value;
  if (!asked) return null;
  const end = (said) => {
    if (question.value !== asked) return;
    question.value = null;
    asked.answer(said);
  };
  return html`
    <${Dialog} key=${asked.title} title=${asked.title} onClose=${() => end(false)}>
      <p>${asked.text}</p>
      <div class="bar end">
        <button autofocus onClick=${() => end(false)}>Cancel</button>
        <button class="danger" onClick=${() => end(true)}>${asked.yes}</button>
      </div>
    <//>
  `;
}
