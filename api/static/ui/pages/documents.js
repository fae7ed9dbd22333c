// Documents for OCR, and the models that are trained on them.
import { html, useState } from "../core/view.js";
import { get, post } from "../core/api.js";
import { ago, integer, megabytes, moment, NONE, percent } from "../core/format.js";
import { go, link, place, refine } from "../core/router.js";
import { Bar, Button, curl, Empty, Loading, Pages, Panel, Problem, Table, useLoad } from "../components/index.js";
import { t } from "./documents.text.js";

const LIMIT = 50;
const OCR = "/api/v1/ocr";

export default function Documents() {
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const from = Math.max(0, Math.floor(Number(place.value.query.models)) || 0);
  const documents = useLoad((abort) => get(`${OCR}/documents`, { limit: LIMIT, offset }, { signal: abort }), [offset]);
  const models = useLoad((abort) => get(`${OCR}/models`, { limit: LIMIT, offset: from }, { signal: abort }), [from]);
  const problem = documents.problem ?? models.problem;
  return html`<div class="title"><h1>${t("title")}</h1></div>
    ${problem && html`<${Problem} problem=${problem} retry=${() => Promise.all([documents.reload(), models.reload()])} />`}
    <${NewDocument} />
    ${documents.data ? html`<${Panel} title=${t("documents")} count=${documents.data.pagination.total}>
      ${documents.data.pagination.total === 0 ? html`<${Empty} title=${t("none")} curl=${curl(`${OCR}/documents`, `-H "Authorization: Token $TOKEN" -H 'Content-Type: application/json' -d '{"name": "Letters"}' `)} />`
        : html`<${Table} label=${t("documents")} columns=${DOCUMENTS()} rows=${documents.data.documents} rowKey=${(one) => one.document_id} />`}
      <${Pages} offset=${offset} limit=${LIMIT} total=${documents.data.pagination.total} turn=${(next) => refine({ offset: next || "" })} /><//>` : !problem && html`<${Loading} />`}
    ${models.data && html`<${Panel} title=${t("models")} count=${models.data.pagination.total} tools=${html`<${NewModel} models=${models.data.models} />`}>
      ${models.data.pagination.total === 0 ? html`<${Empty} title=${t("models_none")} />` : html`<${Table} label=${t("models")} columns=${MODELS()} rows=${models.data.models} rowKey=${(one) => one.model_id} />`}
      <${Pages} offset=${from} limit=${LIMIT} total=${models.data.pagination.total} turn=${(next) => refine({ models: next || "" })} /><//>`}`;
}

function NewDocument() {
  const [said, setSaid] = useState({ name: "", script: "", language: "", read_direction: "ltr" });
  const set = (name) => (event) => setSaid({ ...said, [name]: event.currentTarget.value });
  const make = async () => {
    const given = Object.fromEntries(Object.entries(said).filter(([, value]) => value.trim() !== ""));
    go(`/document/${(await post(`${OCR}/documents`, given)).document_id}`);
  };
  const field = (name) => html`<div class="field"><label for=${`doc-${name}`}>${t(name)}</label><input id=${`doc-${name}`} maxlength=${name === "name" ? 200 : 100} value=${said[name]} onInput=${set(name)} /></div>`;
  return html`<${Panel} title=${t("make")}><form class="body fields" onSubmit=${(event) => event.preventDefault()}>${field("name")}${field("script")}${field("language")}
    <div class="field"><label for="doc-direction">${t("direction")}</label><div class="inline"><select id="doc-direction" value=${said.read_direction} onChange=${set("read_direction")}><option value="ltr">${t("ltr")}</option><option value="rtl">${t("rtl")}</option></select>
      <${Button} kind="primary" run=${make} disabled=${!said.name.trim()}>${t("add")}<//></div></div></form><//>`;
}

function NewModel({ models }) {
  const [name, setName] = useState("");
  const [job, setJob] = useState("recognize");
  const [base, setBase] = useState("");
  const bases = models.filter((one) => one.job === job && one.file_available);
  const make = async () => go(`/ocr-model/${(await post(`${OCR}/models`, { name, job, ...(base ? { base_model_id: Number(base) } : {}) })).model_id}`);
  return html`<input aria-label=${t("name")} placeholder=${t("name")} maxlength="200" value=${name} onInput=${(event) => setName(event.currentTarget.value)} />
    <select aria-label=${t("job")} value=${job} onChange=${(event) => (setJob(event.currentTarget.value), setBase(""))}><option value="recognize">${t("recognize")}</option><option value="segment">${t("segment")}</option></select>
    ${bases.length > 0 && html`<select aria-label=${t("base")} value=${base} onChange=${(event) => setBase(event.currentTarget.value)}><option value="">${t("base")}: ${t("base_none")}</option>${bases.map((one) => html`<option key=${one.model_id} value=${one.model_id}>${t("base")}: ${one.name}</option>`)}</select>`}
    <${Button} run=${make} disabled=${!name.trim()}>${t("make_model")}<//>`;
}

const share = (done, all) => (all ? (done / all) * 100 : 0);
const DOCUMENTS = () => [
  { key: "name", label: t("name"), class: "wide", cell: (one) => html`<a href=${link(`/document/${one.document_id}`)}>${one.name}</a><small>${[one.script, one.language, t(one.read_direction)].filter(Boolean).join(" · ")}</small>` },
  { key: "pages", label: t("pages"), class: "right", cell: (one) => integer(one.parts_count) },
  { key: "lines", label: t("lines"), class: "right", cell: (one) => integer(one.lines_count) },
  { key: "transcribed", label: t("transcribed"), class: "phone-hidden", cell: (one) => html`<${Bar} value=${share(one.with_transcription, one.lines_count)} tone="completed" label=${`${t("transcribed")}: ${one.name}`} />` },
  { key: "percent", label: "%", class: "right phone-hidden", cell: (one) => (one.lines_count ? percent(share(one.with_transcription, one.lines_count)) : NONE) },
  { key: "changed", label: t("changed"), class: "nowrap phone-hidden", cell: (one) => html`<span title=${moment(one.updated_at)}>${ago(one.updated_at)}</span>` },
];
const MODELS = () => [
  { key: "name", label: t("name"), class: "wide", cell: (one) => html`<a href=${link(`/ocr-model/${one.model_id}`)}>${one.name}</a><small class="mono">${one.model_id}</small>` },
  { key: "job", label: t("job"), class: "nowrap", cell: (one) => t(one.job) },
  { key: "trained", label: t("trained"), class: "nowrap phone-hidden", cell: (one) => html`<span class=${`status ${one.file_available ? "completed" : "queued"}`}><i aria-hidden="true"></i>${t(one.file_available ? "trained" : "not_trained")}</span>` },
  { key: "accuracy", label: t("accuracy"), class: "right", cell: (one) => (one.accuracy === null ? NONE : percent(one.accuracy * 100, 1)) },
  { key: "size", label: t("size"), class: "right nowrap phone-hidden", cell: (one) => megabytes(one.file_size_mb) },
  { key: "changed", label: t("changed"), class: "nowrap phone-hidden", cell: (one) => html`<span title=${moment(one.updated_at)}>${ago(one.updated_at)}</span>` },
];
