// What has just happened, for a few seconds.
import { html, signal } from "../core/view.js";
import { t } from "./words.js";

const shown = signal([]);
let count = 0;

/** `tone`: "" or "error"; errors stay twice as long. */
export function say(text, tone = "") {
  const id = (count += 1);
  shown.value = [...shown.value.slice(-3), { id, text, tone }];
  setTimeout(() => dismiss(id), tone === "error" ? 10000 : 4000);
}

const dismiss = (id) => (shown.value = shown.value.filter((one) => one.id !== id));

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.value.map((one) => html`<div key=${one.id} class=${`toast ${one.tone}`}><span>${one.text}</span>
      <button type="button" class="button quiet small" aria-label=${t("dismiss")} onClick=${() => dismiss(one.id)}>×</button></div>`)}
  </div>`;
}
