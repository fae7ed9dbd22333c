// What the job left: images by step, checkpoints and files to download.
import { html, useState } from "../../core/view.js";
import { get, part } from "../../core/api.js";
import { ago, bytes, integer, moment, NONE, number } from "../../core/format.js";
import { Dialog, Icon, Panel, Problem, Table, useLoad } from "../../components/index.js";
import { t } from "../job.text.js";

const IMAGE = /\.(png|jpe?g|webp|gif)$/i;
const FEW = 24; // images shown before one asks for more
const ROWS = 50; // files likewise

const address = (job, path, query = "") => `/api/v1/training/${part(job.task_id)}/artifacts/${path.split("/").map(part).join("/")}${query}`;

/** Read again when the job has another status, and when it has saved. */
export function useArtifacts(job) {
  const mark = `${job.status} ${job.attempts.length} ${job.checkpoints.length} ${job.progress.current_epoch ?? ""}`;
  return useLoad((abort) => get(`/api/v1/training/${part(job.task_id)}/artifacts`, {}, { signal: abort }), [job.task_id, mark]);
}

/** {kind: "step" | "epoch", at} that a file's name tells; null: neither. */
export function placeOf(path) {
  const found = [...path.matchAll(/(step|iter|epoch)s?[_\-=]?0*(\d{1,9})/gi)].at(-1);
  return found ? { kind: found[1].toLowerCase() === "epoch" ? "epoch" : "step", at: Number(found[2]) } : null;
}

export function Samples({ job, artifacts }) {
  const [all, setAll] = useState(false);
  const [open, setOpen] = useState(null);
  const images = artifacts.filter((one) => IMAGE.test(one.path)).map((one) => ({ ...one, place: placeOf(one.path) }));
  if (images.length === 0) return null;
  images.sort((a, b) => (b.place?.at ?? -1) - (a.place?.at ?? -1) || a.path.localeCompare(b.path));
  const shown = all ? images : images.slice(0, FEW);
  const label = (one) => (one.place ? t(one.place.kind === "epoch" ? "at_epoch" : "at_step", { at: integer(one.place.at) }) : one.path.split("/").pop());
  const source = (one) => address(job, one.path, "?show=true");
  return html`<${Panel} title=${t("samples")} count=${images.length}><div class="samples">
      ${shown.map((one) => html`<figure key=${one.path}><button type="button" onClick=${() => setOpen(one)} aria-label=${one.path}><img src=${source(one)} alt=${one.path} loading="lazy" /></button><figcaption title=${one.path}>${label(one)}</figcaption></figure>`)}
    </div>${images.length > shown.length && html`<p class="more"><button type="button" class="button small" onClick=${() => setAll(true)}>${t("show_all", { count: images.length })}</button></p>`}
    ${open && html`<${Dialog} title=${label(open)} close=${() => setOpen(null)}><img class="large" src=${source(open)} alt=${open.path} /><small class="mono">${open.path}</small>
      <footer><a class="button" href=${address(job, open.path)} download>${t("download")}</a><button type="button" class="button" onClick=${() => setOpen(null)}>${t("close")}</button></footer><//>`}<//>`;
}

export function Checkpoints({ job, artifacts, directory }) {
  if (job.checkpoints.length === 0) return null;
  const within = (one) => artifacts.filter(({ path }) => `${directory}/${path}` === one.path || `${directory}/${path}`.startsWith(`${one.path}/`));
  const files = (one) => {
    const found = within(one);
    if (found.length === 0) return NONE;
    if (found.length === 1) return html`<${Download} job=${job} file=${found[0]} alone />`;
    return html`<details><summary>${t("files_of", { count: found.length })}</summary><ul class="downloads">${found.map((file) => html`<li key=${file.path}><${Download} job=${job} file=${file} /></li>`)}</ul></details>`;
  };
  const columns = [
    { key: "name", label: t("name"), class: "wide", cell: (one) => html`<b>${one.name}</b><small>${t(one.kind)}</small>` },
    { key: "step", label: t("step"), class: "right", cell: (one) => integer(one.step) },
    { key: "loss", label: t("loss"), class: "right phone-hidden", cell: (one) => number(one.loss) },
    { key: "size", label: t("size"), class: "right nowrap phone-hidden", cell: (one) => bytes(one.size_bytes) },
    { key: "when", label: t("saved"), class: "nowrap phone-hidden", cell: (one) => html`<span title=${moment(one.timestamp)}>${ago(one.timestamp)}</span>` },
    { key: "get", label: t("download"), cell: files },
  ];
  return html`<${Panel} title=${t("checkpoints")} count=${job.checkpoints.length}><${Table} label=${t("checkpoints")} columns=${columns} rows=${[...job.checkpoints].reverse()} rowKey=${(one) => one.path} /><//>`;
}

function Download({ job, file, alone = false }) {
  const name = file.path.split("/").pop();
  return html`<a class="download" href=${address(job, file.path)} download=${name} title=${file.path}><${Icon} name="down" size=${13} />${alone ? t("download") : html`${name} <small>${bytes(file.size_bytes)}</small>`}</a>`;
}

export function Artifacts({ job, found, problem }) {
  const [q, setQ] = useState("");
  const [all, setAll] = useState(false);
  if (problem) return html`<${Panel} title=${t("artifacts")}><div class="body"><${Problem} problem=${problem} /></div><//>`;
  if (!found || found.artifacts.length === 0) return null;
  const matching = found.artifacts.filter((one) => one.path.toLowerCase().includes(q.toLowerCase()));
  const shown = all ? matching : matching.slice(0, ROWS);
  const tools = found.artifacts.length > 10 && html`<input type="search" aria-label=${t("search_files")} placeholder=${t("search_files")} value=${q} onInput=${(event) => setQ(event.currentTarget.value)} />`;
  return html`<${Panel} title=${t("artifacts")} count=${`${integer(found.artifacts.length)}${found.truncated ? "+" : ""}`} tools=${tools}>
    <ul class="artifacts">${shown.map((one) => html`<li key=${one.path}><a href=${address(job, one.path)} download=${one.path.split("/").pop()}>${one.path}</a><small>${bytes(one.size_bytes)}</small></li>`)}</ul>
    ${matching.length > shown.length && html`<p class="more"><button type="button" class="button small" onClick=${() => setAll(true)}>${t("show_all", { count: integer(matching.length) })}</button></p>`}<//>`;
}
