// All jobs of every dialect: filters live in the address, so that a view can be kept and shared.
import { html, useEffect, useRef } from "../core/view.js";
import { get } from "../core/api.js";
import { ago, duration, moment, NONE, number, percent } from "../core/format.js";
import { onJobs, overview } from "../core/live.js";
import { jobLink, link, place, refine } from "../core/router.js";
import { Bar, curl, dialectWord, Empty, engineWord, Loading, Pages, Panel, Problem, shownStatus, Status, statusWord, Table, useLoad } from "../components/index.js";
import { t } from "./jobs.text.js";

const LIMIT = 50;
const STATUSES = ["running", "queued", "completed", "failed", "stopped"];
const DIALECTS = ["training_v1", "jobs", "yolo_platform", "ocr_status", "yolo_train_server"];

export default function Jobs() {
  const { status = "", engine = "", dialect = "", q = "", tag = "" } = place.value.query;
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const wanted = { status, engine, dialect, q, tag, offset: offset || "", limit: LIMIT };
  const key = JSON.stringify(wanted);
  const { data, problem, reload } = useLoad((abort) => get("/api/v1/training/list", wanted, { signal: abort }), [key]);
  const { data: known } = useLoad((abort) => get("/api/v1/engines", {}, { signal: abort }), []);
  const engines = known ? known.engines.map((one) => one.name) : engine ? [engine] : [];
  useFresh(reload);
  const set = (changes) => refine({ offset: "", ...changes });
  const filtered = Boolean(status || engine || dialect || q || tag);
  return html`<div class="title"><h1>${t("title")}</h1><div class="actions"><a class="button primary" href=${link("/new")}>${t("new")}</a></div></div>
    <div class="filters">
      <div class="segments" role="group" aria-label=${t("status")}>
        <button type="button" aria-pressed=${status === ""} onClick=${() => set({ status: "" })}>${t("any")}</button>
        ${STATUSES.map((one) => html`<button key=${one} type="button" aria-pressed=${status === one} onClick=${() => set({ status: one })}>${statusWord(one)}
          ${overview.value ? html`<span class="count phone-hidden">${overview.value.tasks[one]}</span>` : null}</button>`)}
      </div>
      <${Search} value=${q} change=${(next) => set({ q: next })} />
      <select aria-label=${t("engine")} value=${engine} onChange=${(event) => set({ engine: event.currentTarget.value })}>
        <option value="">${t("any_engine")}</option>${engines.map((one) => html`<option key=${one} value=${one}>${engineWord(one)}</option>`)}</select>
      <select aria-label=${t("dialect")} value=${dialect} onChange=${(event) => set({ dialect: event.currentTarget.value })}>
        <option value="">${t("any_dialect")}</option>${DIALECTS.map((one) => html`<option key=${one} value=${one}>${dialectWord(one)}</option>`)}</select>
      ${tag && html`<button type="button" class="button small" onClick=${() => set({ tag: "" })}>${t("tag", { tag })} ×</button>`}
    </div>
    ${problem && html`<${Problem} problem=${problem} retry=${reload} />`}
    ${data ? html`<${Panel} title=${t("found")} count=${data.pagination.total}>
      ${data.tasks.length === 0
        ? filtered ? html`<${Empty} title=${t("no_match")} />` : html`<${Empty} title=${t("none")} curl=${curl("/api/v1/training/start", "-H 'Content-Type: application/json' -d @examples/training_request.json ")} />`
        : html`<${Table} label=${t("title")} columns=${columns(set)} rows=${data.tasks} rowKey=${(job) => job.task_id} />`}
      <${Pages} offset=${offset} limit=${LIMIT} total=${data.pagination.total} turn=${(next) => refine({ offset: next || "" })} /><//>`
      : !problem && html`<${Loading} />`}`;
}

/** The list again when jobs change, at most every two seconds. */
function useFresh(reload) {
  const waiting = useRef(null);
  useEffect(() => {
    const stop = onJobs(() => {
      waiting.current ??= setTimeout(() => {
        waiting.current = null;
        reload();
      }, 2000);
    });
    return () => {
      stop();
      clearTimeout(waiting.current);
      waiting.current = null;
    };
  }, [reload]);
}

function Search({ value, change }) {
  const timer = useRef(null);
  const typed = (event) => {
    const next = event.currentTarget.value.slice(0, 200);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change(next), 250);
  };
  return html`<input class="search" type="search" aria-label=${t("search")} placeholder=${t("search")} value=${value} onInput=${typed} />`;
}

const columns = (set) => [
  {
    key: "name", label: t("job"), class: "wide",
    cell: (job) => html`<a href=${jobLink(job.task_id)} title=${job.name}>${job.name}</a><small class="mono">${job.task_id}</small>
      ${job.tags.map((tag) => html`<button type="button" class="tag" key=${tag} onClick=${() => set({ tag })}>${tag}</button>`)}`,
  },
  { key: "status", label: t("status"), class: "nowrap", cell: (job) => html`<${Status} status=${shownStatus(job)} />` },
  {
    key: "progress", label: t("progress"), class: "phone-hidden",
    cell: (job) => job.status !== "running" && job.progress.overall_progress === null ? NONE : html`<${Bar} value=${job.progress.overall_progress} tone=${job.status} label=${t("progress_of", { name: job.name })} />`,
  },
  { key: "percent", label: "%", class: "right", cell: (job) => percent(job.progress.overall_progress) },
  { key: "loss", label: t("loss"), class: "right mono phone-hidden", cell: (job) => number(job.metrics.current_loss) },
  { key: "engine", label: t("engine"), class: "nowrap phone-hidden", cell: (job) => html`${engineWord(job.engine)}<br /><small>${dialectWord(job.dialect)}</small>` },
  { key: "gpu", label: "GPU", class: "right phone-hidden", cell: (job) => job.gpu_id ?? NONE },
  { key: "time", label: t("time"), class: "right nowrap phone-hidden", cell: (job) => duration(job.progress.training_time) },
  { key: "created", label: t("created"), class: "nowrap phone-hidden", cell: (job) => html`<span title=${moment(job.created_at)}>${ago(job.created_at)}</span>` },
];
