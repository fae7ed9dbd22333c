// Questions in the browser's own dialog: it keeps the focus inside, and Escape closes it. Who opened it has the focus afterwards.
import { html, signal, useEffect, useRef, useState } from "../core/view.js";
import { t } from "./words.js";

const asked = signal(null);

/**
 * Resolves to the choices (`{}` without any) or to null.
 * `lost`: lines that say what cannot be had back. `choices`: [{name, label, hint}] as check boxes.
 */
export function confirm({ title, text, lost = [], choices = [], action, danger = false }) {
  return new Promise((resolve) => {
    asked.value = { title, text, lost, choices, action, danger, resolve };
  });
}

export function Dialog({ title, close, children }) {
  const element = useRef(null);
  useEffect(() => {
    const dialog = element.current;
    const opener = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      opener?.focus(); // the browser does not, where the dialog is taken away with its page
    };
  }, []);
  const outside = (event) => event.target === element.current && close();
  return html`<dialog ref=${element} aria-label=${title} onCancel=${(event) => (event.preventDefault(), close())} onClick=${outside}>
    <div class="sheet"><h2>${title}</h2>${children}</div>
  </dialog>`;
}

export function Questions() {
  const question = asked.value;
  return question && html`<${Question} key=${question.title} ...${question} />`;
}

function Question({ title, text, lost, choices, action, danger, resolve }) {
  const [picked, setPicked] = useState({});
  const answer = (value) => {
    asked.value = null;
    resolve(value);
  };
  return html`<${Dialog} title=${title} close=${() => answer(null)}>
    ${text && html`<p>${text}</p>`}
    ${lost.length > 0 && html`<ul class="lost">${lost.map((line) => html`<li key=${line}>${line}</li>`)}</ul>`}
    ${choices.map((one) => one.options ? html`<label class="field" key=${one.name}><span>${one.label}</span>
      <select value=${picked[one.name] ?? one.options[0].value} onChange=${(event) => setPicked({ ...picked, [one.name]: event.currentTarget.value })}>
        ${one.options.map((option) => html`<option key=${option.value} value=${option.value}>${option.label}</option>`)}</select></label>` : html`<label class="check" key=${one.name}>
      <input type="checkbox" onChange=${(event) => setPicked({ ...picked, [one.name]: event.currentTarget.checked })} />
      <span>${one.label}${one.hint && html`<small>${one.hint}</small>`}</span></label>`)}
    <footer>
      <button type="button" class="button" onClick=${() => answer(null)}>${t("cancel")}</button>
      <button type="button" class=${`button ${danger ? "danger" : "primary"}`} onClick=${() => answer(picked)}>${action}</button>
    </footer>
  <//>`;
}
