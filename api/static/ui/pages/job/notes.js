// What the job's engine tells of it besides: classes, best epoch, accuracy, the files of a preprocessing.
import { html } from "../../core/view.js";
import { number } from "../../core/format.js";
import { Panel } from "../../components/index.js";
import { t } from "../job.text.js";

const LONGEST = 300; // characters of a value

export function Notes({ job }) {
  const rows = flat(job.notes).filter(([, value]) => value !== null && value !== "");
  if (rows.length === 0) return null;
  return html`<${Panel} title=${t("notes")}><dl class="facts">${rows.map(([name, value]) => html`<dt key=${name}>${name.replaceAll("_", " ")}</dt><dd>${shown(value)}</dd>`)}</dl><//>`;
}

const isTable = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const flat = (table, prefix = "") => Object.entries(table).flatMap(([name, value]) => (isTable(value) ? flat(value, `${prefix}${name} · `) : [[prefix + name, value]]));

function shown(value) {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : number(value);
  const text = Array.isArray(value) ? value.map((one) => (typeof one === "object" ? JSON.stringify(one) : String(one))).join(", ") : String(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
