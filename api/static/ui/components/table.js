// Tables of any list. Columns: {key, label, cell: row => what is shown, class}.
import { html } from "../core/view.js";
import { integer } from "../core/format.js";
import { Icon } from "./basic.js";
import { t } from "./words.js";

/** `flows`: on a phone each row is laid out in lines instead of columns, for rows with much text or many buttons. */
export function Table({ label, columns, rows, rowKey, rowClass, flows = false }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table class=${flows ? "flows" : undefined}>
    <thead><tr>${columns.map((column) => html`<th key=${column.key} scope="col" class=${column.class}>${column.label}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${rowKey(row)} class=${rowClass?.(row)}>
      ${columns.map((column) => html`<td key=${column.key} class=${column.class}>${column.cell(row)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** `turn(offset)` shows another page. */
export function Pages({ offset, limit, total, turn }) {
  if (total <= limit && offset === 0) return null;
  const to = Math.min(offset + limit, total);
  return html`<nav class="pages" aria-label=${t("range", { from: offset + 1, to, total })}>
    <span>${t("range", { from: integer(Math.min(offset + 1, total)), to: integer(to), total: integer(total) })}</span>
    <button type="button" class="button small" disabled=${offset === 0} onClick=${() => turn(Math.max(0, offset - limit))} aria-label=${t("previous")}><${Icon} name="left" size=${14} /></button>
    <button type="button" class="button small" disabled=${to >= total} onClick=${() => turn(offset + limit)} aria-label=${t("next")}><${Icon} name="right" size=${14} /></button>
  </nav>`;
}
