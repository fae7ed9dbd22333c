// Parts of a form that grow: lists of objects, and names with values.
import { html, useState } from "../core/view.js";
import { t } from "./words.js";

/** `item(index, value, set)` shows one. A list always has a first one to fill in. */
export function ListInput({ name, value, change, item }) {
  const items = value?.length ? value : [{}];
  const set = (index, next) => change(items.map((one, at) => (at === index ? next : one)));
  const drop = (index) => change(items.length > 1 ? items.filter((_, at) => at !== index) : undefined);
  return html`<ol class="items">
    ${items.map((one, index) => html`<li key=${index}>${item(index, one, (next) => set(index, next))}
      ${items.length > 1 && html`<button type="button" class="button small" onClick=${() => drop(index)}>${t("take_out", { name: `${name} ${index + 1}` })}</button>`}</li>`)}
    </ol><button type="button" class="button small" onClick=${() => change([...items, {}])}>${t("one_more", { name })}</button>`;
}

/** {name: text}, such as environment variables. */
export function PairsInput({ told, value, change }) {
  const [rows, setRows] = useState(() => [...Object.entries(value ?? {}), ["", ""]]);
  const put = (index, at, text) => {
    const next = rows.map((row, place) => (place === index ? (at === 0 ? [text, row[1]] : [row[0], text]) : row));
    if (next[next.length - 1][0] !== "") next.push(["", ""]);
    setRows(next);
    const given = Object.fromEntries(next.filter(([name]) => name !== ""));
    change(Object.keys(given).length ? given : undefined);
  };
  return html`<div class="pairs">${rows.map(([name, text], index) => html`<div key=${index}>
    <input ...${index === 0 ? told : { "aria-label": t("pair_name") }} type="text" autocomplete="off" spellcheck=${false} placeholder=${t("pair_name")} value=${name} onInput=${(event) => put(index, 0, event.currentTarget.value)} />
    <input aria-label=${t("pair_value")} type="text" autocomplete="off" spellcheck=${false} placeholder=${t("pair_value")} value=${text} onInput=${(event) => put(index, 1, event.currentTarget.value)} /></div>`)}</div>`;
}
