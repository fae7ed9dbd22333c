// One model: what it is, where it comes from, how it learned, and what it sees.
import { html } from "../core/view.js";
import { get, part, put, remove } from "../core/api.js";
import { ago, bytes, integer, moment, number } from "../core/format.js";
import { go, jobLink, link } from "../core/router.js";
import { Button, confirm, Loading, Panel, Problem, say, useLoad } from "../components/index.js";
import { EditAbout, Tags } from "../components/about.js";
import { Chart } from "../components/chart.js";
import { colour } from "../components/boxes.js";
import { Exports } from "./model/exports.js";
import { Try } from "./model/try.js";
import { Validations } from "./model/validations.js";
import { t } from "./model.text.js";

const NAMED = ["train_box_loss", "train_cls_loss", "train_dfl_loss", "val_box_loss", "val_cls_loss", "val_dfl_loss"];
const METRICS = ["metrics_mAP50", "metrics_mAP50_95", "metrics_precision", "metrics_recall"];

export default function Model({ id }) {
  const path = `/api/v1/models/${part(id)}`;
  const { data: model, problem, reload } = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  if (problem && !model) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!model) return html`<${Loading} />`;
  return html`<${Head} model=${model} path=${path} reload=${reload} />
    ${model.description && html`<p class="prose">${model.description}</p>`}
    <div class="split"><${Try} model=${model} /><div class="stack"><${Measured} metrics=${model.training_metrics} /><${About} model=${model} /></div></div>
    <div class="pair"><${Curves} history=${model.training_metrics.training_history} /></div>
    <${Validations} model=${model} path=${path} /><${Exports} model=${model} path=${path} />`;
}

function Head({ model, path, reload }) {
  const erase = async () => {
    if ((await confirm({ title: t("delete_title", { name: model.name }), lost: [t("lost")], action: t("delete"), danger: true })) === null) return;
    await remove(path);
    say(t("deleted"));
    go("/models");
  };
  return html`<div class="title"><div><a class="back" href=${link("/models")}>${t("models")}</a><h1>${model.name}</h1>
      <div class="sub"><span>${t(model.source === "uploaded" ? "uploaded" : "trained")}</span><span class="mono">${model.model_id}</span><span>${bytes(model.file_size)}</span>
        <span title=${moment(model.created_at)}>${t("made", { when: ago(model.created_at) })}</span><span><${Tags} tags=${model.tags} /></span></div></div>
    <div class="actions"><a class="button primary" href=${`${path}/export`} download>${t("download")}</a>
      <a class="button" href=${link("/new", { engine: "ultralytics", base_model_id: model.model_id, dataset_id: model.dataset_id, version: model.dataset_version })}>${t("further")}</a>
      <${EditAbout} thing=${model} named=${true} save=${async (said) => {
        await put(path, said);
        await reload();
      }} /><${Button} kind="danger" run=${erase}>${t("delete")}<//></div></div>`;
}

function Measured({ metrics }) {
  const figures = [["mAP50", metrics.mAP50], ["mAP50-95", metrics["mAP50-95"]], [t("precision"), metrics.precision], [t("recall"), metrics.recall]];
  const none = figures.every(([, value]) => value === null);
  return html`<${Panel} title=${t("measured")}>${none ? html`<p class="empty">${t("no_metrics")}</p>`
    : html`<dl class="figures body">${figures.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${number(value, 3)}</dd></div>`)}</dl>`}<//>`;
}

function About({ model }) {
  const info = model.model_info;
  const row = (name, value) => value !== null && value !== undefined && value !== "" && html`<dt>${t(name)}</dt><dd>${value}</dd>`;
  return html`<${Panel} title=${t("about")}><dl class="facts">
    ${row("from_job", model.job_id && html`<a class="mono" href=${jobLink(model.job_id)}>${model.job_id}</a>`)}
    ${row("from_set", model.dataset_id && html`<a class="mono" href=${link(`/dataset/${part(model.dataset_id)}`, { version: model.dataset_version })}>${model.dataset_id}</a> ${model.dataset_version}`)}
    ${row("base", model.base_model?.startsWith("model_") ? html`<a class="mono" href=${link(`/model/${part(model.base_model)}`)}>${model.base_model}</a>` : model.base_model)}
    ${row("task", model.task)}${row("type", info?.model_type)}${row("params", info && integer(info.total_params))}${row("imgsz", model.imgsz)}${row("epochs", model.epochs)}
    ${row("classes", html`<span class="class-list">${model.classes.slice(0, 60).map((name, index) => html`<span key=${index}><i class="swatch" style=${{ background: colour(index) }} aria-hidden="true"></i>${name}</span>`)}${model.classes.length > 60 ? ` … ${model.classes.length}` : ""}</span>`)}
    ${row("origin", model.origin && JSON.stringify(model.origin))}</dl><//>`;
}

function Curves({ history }) {
  if (!history?.epochs?.length) return null;
  const losses = Object.keys(history).filter((name) => name.endsWith("_loss")).sort(); // some models have others than those named
  const word = (name) => (NAMED.includes(name) || METRICS.includes(name) ? t(name) : name);
  const lines = (names) => names.filter((name) => history[name]?.some((value) => value !== null)).map((name) => ({ name: word(name), points: history.epochs.map((epoch, index) => [epoch, history[name][index] ?? null]) }));
  return [["losses", losses], ["metrics", METRICS]].map(([title, names]) => {
    const drawn = lines(names);
    return drawn.length > 0 && html`<${Panel} key=${title} title=${t(title)}><${Chart} name=${t(title)} by="epoch" lines=${drawn} /><//>`;
  });
}
