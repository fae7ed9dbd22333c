// One dataset: what was found in it, its versions, its images.
import { html, useState } from "../core/view.js";
import { get, part, post, put, remove } from "../core/api.js";
import { ago, bytes, integer, moment } from "../core/format.js";
import { go, link, place, refine } from "../core/router.js";
import { Button, confirm, Loading, Panel, Problem, say, useLoad } from "../components/index.js";
import { EditAbout, Tags } from "../components/about.js";
import { Images } from "./dataset/images.js";
import { PrepareForm } from "./dataset/prepare.js";
import { Report } from "./dataset/report.js";
import { t } from "./dataset.text.js";

export default function Dataset({ id }) {
  const path = `/api/v1/datasets/${part(id)}`;
  const { data: set, problem, reload } = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  if (problem && !set) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!set) return html`<${Loading} />`;
  const newest = set.versions[set.versions.length - 1];
  const version = set.versions.includes(place.value.query.version) ? place.value.query.version : newest;
  const made = async (name) => {
    refine({ version: name });
    await reload();
  };
  return html`<${Head} set=${set} path=${path} version=${version} reload=${reload} />
    ${set.description && html`<p class="prose">${set.description}</p>`}
    ${version ? html`<${Report} path=${path} versions=${set.versions} version=${version} choose=${(one) => refine({ version: one })} />
      <${Images} set=${set} version=${version} />
      <details class="panel folded"><summary>${t("prepare_again")}</summary><${PrepareForm} path=${path} made=${made} /></details>`
    : html`<${Panel} title=${t("prepare")}><p class="body lead">${t("prepare_lead")}</p><${PrepareForm} path=${path} made=${made} /><//>`}`;
}

function Head({ set, path, version, reload }) {
  const annotate = async () => {
    const { tasks } = await get("/api/v1/annotations/tasks", { dataset_id: set.dataset_id });
    const task = tasks.find((one) => one.version === version) ?? (await post("/api/v1/annotations/tasks", { dataset_id: set.dataset_id, version: version ?? "v1" }));
    go(`/annotate/${part(task.task_id)}`);
  };
  const erase = async () => {
    const lost = set.path ? [t("lost_not")] : [t("lost_files", { size: bytes(set.size) }), t("lost_boxes")];
    if ((await confirm({ title: t("delete_title", { name: set.filename }), lost, action: t("delete"), danger: true })) === null) return;
    await remove(path);
    say(t("deleted"));
    go("/datasets");
  };
  return html`<div class="title"><div>
      <a class="back" href=${link("/datasets")}>${t("datasets")}</a><h1>${set.filename}</h1>
      <div class="sub"><span class=${`status ${set.status === "prepared" ? "completed" : "queued"}`}><i aria-hidden="true"></i>${t(set.status)}</span>
        <span class="mono">${set.dataset_id}</span><span>${t("images", { count: integer(set.image_count) })}</span><span>${bytes(set.size)}</span>
        <span title=${moment(set.created_at)}>${t("added", { when: ago(set.created_at) })}</span>
        ${set.path && html`<span class="mono">${t("registered", { path: set.path })}</span>`}<span><${Tags} tags=${set.tags} /></span></div></div>
    <div class="actions">
      ${version && html`<a class="button primary" href=${link("/new", { engine: "ultralytics", dataset_id: set.dataset_id, version })}>${t("train")}</a>`}
      <${Button} run=${annotate}>${t("annotate")}<//>
      ${version && html`<details class="menu"><summary class="button">${t("export")}</summary><div>
        <a href=${`${path}/export/annotated?version=${part(version)}`} download>${t("with_labels")}</a>
        <a href=${`${path}/export/original?version=${part(version)}`} download>${t("images_only")}</a></div></details>`}
      <${EditAbout} thing=${set} save=${async (said) => {
        await put(path, said);
        await reload();
      }} />
      <${Button} kind="danger" run=${erase}>${t("delete")}<//></div></div>`;
}
