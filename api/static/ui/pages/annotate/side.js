// Beside the image: classes, boxes, proposals, keys.
import { html } from "../../core/view.js";
import { percent } from "../../core/format.js";
import { Icon } from "../../components/index.js";
import { colour } from "../../components/boxes.js";
import { t } from "../annotate.text.js";

const KEYS = ["key_class", "key_image", "key_new", "key_move", "key_delete", "key_accept", "key_zoom", "key_over"];

export function Side({ sheet, classes, current, acts, prelabel }) {
  const boxes = sheet.boxes.value;
  const counts = classes.map((_, number) => boxes.filter((box) => box.class_id === number).length);
  return html`<aside class="side-panel">
    <section aria-label=${t("classes")}><h2>${t("classes")}</h2><ul class="classes">
      ${classes.map((name, number) => html`<li key=${number}><button type="button" aria-pressed=${number === current} onClick=${() => acts.class(number)}>
        <span class="swatch" style=${{ background: colour(number) }} aria-hidden="true"></span><span class="name">${name}</span>${counts[number] > 0 && html`<b>${counts[number]}</b>`}${number < 10 && html`<kbd>${(number + 1) % 10}</kbd>`}</button></li>`)}</ul></section>
    <section aria-label=${t("boxes")}><h2>${t("boxes")}<span class="count">${boxes.length}</span></h2>
      ${boxes.length === 0 ? html`<p class="hint">${t("no_boxes")}</p>` : html`<ul class="boxes">${boxes.map((box, index) => html`<${Row} key=${index} sheet=${sheet} box=${box} index=${index} name=${classes[box.class_id]} />`)}</ul>`}</section>
    <${Proposals} sheet=${sheet} classes=${classes} acts=${acts} />
    <button type="button" class="button" onClick=${prelabel}>${t("prelabel")}</button>
    <details class="keys"><summary>${t("keys")}</summary><ul>${KEYS.map((key) => html`<li key=${key}>${t(key)}</li>`)}</ul></details>
  </aside>`;
}

function Row({ sheet, box, index, name }) {
  const erase = () => sheet.change(sheet.boxes.value.filter((_, other) => other !== index));
  return html`<li class=${sheet.chosen.value === index ? "chosen" : ""}>
    <button type="button" aria-pressed=${sheet.chosen.value === index} onClick=${() => (sheet.chosen.value = index)}>
      <span class="sr">${t("box", { number: index + 1 })}</span> <span class="swatch" style=${{ background: colour(box.class_id) }} aria-hidden="true"></span><span class="name">${name ?? box.class_id}</span>
      <small class="mono">${Math.round(box.x2 - box.x1)}×${Math.round(box.y2 - box.y1)}</small></button>
    <button type="button" class="button quiet small" aria-label=${t("remove", { number: index + 1 })} onClick=${erase}><${Icon} name="close" size=${13} /></button></li>`;
}

function Proposals({ sheet, classes, acts }) {
  const proposed = sheet.proposals.value;
  if (proposed.length === 0) return null;
  const without = (index) => proposed.filter((_, other) => other !== index);
  const accept = ({ class_id, x1, y1, x2, y2 }, index) => {
    sheet.change([...sheet.boxes.value, { class_id, x1, y1, x2, y2 }]);
    sheet.proposals.value = without(index);
  };
  return html`<section aria-label=${t("proposals")}><h2>${t("proposals")}<span class="count">${proposed.length}</span></h2>
    <ul class="boxes">${proposed.map((box, index) => html`<li key=${index}><button type="button" onClick=${() => accept(box, index)}>
      <span class="sr">${t("accept")}:</span> <span class="swatch hollow" style=${{ borderColor: colour(box.class_id) }} aria-hidden="true"></span><span class="name">${classes[box.class_id]}</span><small>${percent(box.conf * 100)}</small></button>
      <button type="button" class="button quiet small" aria-label=${`${t("refuse")}: ${classes[box.class_id]}`} onClick=${() => (sheet.proposals.value = without(index))}><${Icon} name="close" size=${13} /></button></li>`)}</ul>
    <button type="button" class="button primary small" onClick=${acts.accept}>${t("accept_all")}</button></section>`;
}
