// One OCR model: trained on documents, measured on documents.
import { html, useState } from "../core/view.js";
import { get, part, post, remove } from "../core/api.js";
import { ago, integer, megabytes, moment, NONE, percent } from "../core/format.js";
import { go, jobLink, link } from "../core/router.js";
import { Button, confirm, Loading, Panel, Problem, say, useLoad } from "../components/index.js";
import { t } from "./ocr_model.text.js";

const OCR = "/api/v1/ocr";

export default function OcrModel({ id }) {
  const path = `${OCR}/models/${part(id)}`;
  const { data: model, problem, reload } = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  const documents = useLoad((abort) => get(`${OCR}/documents`, { limit: 200 }, { signal: abort }), []);
  if (problem && !model) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!model) return html`<${Loading} />`;
  const erase = async () => {
    if ((await confirm({ title: t("delete_title", { name: model.name }), lost: [t("lost")], action: t("delete"), danger: true })) === null) return;
    await remove(path);
    say(t("deleted"));
    go("/documents");
  };
  const row = (name, value) => html`<dt>${t(name)}</dt><dd>${value}</dd>`;
  return html`<div class="title"><div><a class="back" href=${link("/documents")}>${t("documents")}</a><h1>${model.name}</h1>
      <div class="sub"><span>${t(model.job)}</span><span class=${`status ${model.file_available ? "completed" : "queued"}`}><i aria-hidden="true"></i>${t(model.file_available ? "trained" : "not_trained")}</span><span title=${moment(model.updated_at)}>${ago(model.updated_at)}</span></div></div>
      <div class="actions">${model.file_available && html`<a class="button primary" href=${`${path}/download`} download>${t("download")}</a>`}<${Button} kind="danger" run=${erase}>${t("delete")}<//></div></div>
    ${documents.problem && html`<${Problem} problem=${documents.problem} retry=${documents.reload} />`}
    <div class="split">${documents.data ? html`<${Train} path=${path} documents=${documents.data.documents} />` : html`<div></div>`}
      <div class="stack"><${Panel} title=${t("about")}><dl class="facts">${row("accuracy", model.accuracy === null ? NONE : percent(model.accuracy * 100, 1))}${row("file", megabytes(model.file_size_mb))}
          ${row("base", model.base_model_id ? html`<a href=${link(`/ocr-model/${model.base_model_id}`)}>${model.base_model_id}</a>` : NONE)}</dl><//>
        ${model.job === "recognize" && documents.data && html`<${Evaluate} model=${model} path=${path} documents=${documents.data.documents} />`}</div></div>`;
}

function Started({ job }) {
  return job && html`<p role="status">${t("queued")} <a href=${jobLink(job)}>${t("job")}</a></p>`;
}

function Train({ path, documents }) {
  const [chosen, setChosen] = useState([]);
  const [more, setMore] = useState({});
  const [job, setJob] = useState(null);
  const pick = (id) => (event) => setChosen(event.currentTarget.checked ? [...chosen, id] : chosen.filter((one) => one !== id));
  const number = (name, key, step) => html`<div class="field"><label for=${`ocr-${key}`}>${t(name)}</label><input id=${`ocr-${key}`} type="number" min="0" step=${step} placeholder=${t("as_usual")} value=${more[key] ?? ""}
    onInput=${(event) => setMore({ ...more, [key]: event.currentTarget.value === "" ? undefined : event.currentTarget.valueAsNumber })} /></div>`;
  const start = async () => setJob((await post(`${path}/train`, { document_ids: chosen, ...more })).task_id);
  return html`<${Panel} title=${t("train")}><div class="body stack">
    ${documents.length === 0 ? html`<p>${t("no_documents")} <a href=${link("/documents")}>→</a></p>` : html`<fieldset><legend>${t("train_on")}</legend>${documents.map((one) => html`<label class="check" key=${one.document_id}>
      <input type="checkbox" checked=${chosen.includes(one.document_id)} onChange=${pick(one.document_id)} /><span>${one.name}<small>${integer(one.with_transcription)} / ${integer(one.lines_count)} · <a href=${link(`/document/${one.document_id}`)}>${t("not_ready")}</a></small></span></label>`)}</fieldset>
    <div class="fields">${number("epochs", "epochs", 1)}${number("lrate", "lrate", "any")}${number("batch", "batch_size", 1)}
      <label class="check"><input type="checkbox" checked=${Boolean(more.augment)} onChange=${(event) => setMore({ ...more, augment: event.currentTarget.checked || undefined })} /><span>${t("augment")}</span></label></div>
    <div><${Button} kind="primary" run=${start} disabled=${chosen.length === 0}>${t("start")}<//></div><${Started} job=${job} />`}</div><//>`;
}

function Evaluate({ model, path, documents }) {
  const [chosen, setChosen] = useState(null);
  const [job, setJob] = useState(null);
  const measure = async () => setJob((await post(`${path}/evaluate`, { document_id: Number(chosen ?? documents[0].document_id) })).task_id);
  return html`<${Panel} title=${t("evaluate")}><div class="body stack">
    ${!model.file_available ? html`<p class="hint">${t("untrained")}</p>` : documents.length > 0 && html`<div class="inline"><select aria-label=${t("evaluate")} value=${chosen ?? documents[0].document_id} onChange=${(event) => setChosen(event.currentTarget.value)}>
      ${documents.map((one) => html`<option key=${one.document_id} value=${one.document_id}>${one.name}</option>`)}</select><${Button} run=${measure}>${t("measure")}<//></div>`}<${Started} job=${job} /></div><//>`;
}
