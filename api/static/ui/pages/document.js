// One document: whether it can be trained on, and its pages.
import { html } from "../core/view.js";
import { get, part, remove } from "../core/api.js";
import { ago, integer, moment, percent } from "../core/format.js";
import { go, link, place, refine } from "../core/router.js";
import { Bar, Button, confirm, Empty, Loading, Pages, Panel, Problem, say, useLoad } from "../components/index.js";
import { Import } from "./document/import.js";
import { Leaf } from "./document/leaf.js";
import { t } from "./document.text.js";

const LIMIT = 24;
const CHECKS = ["transcriptions", "baselines", "polygons", "images"];

export default function Document({ id }) {
  const path = `/api/v1/ocr/documents/${part(id)}`;
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const document = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  const quality = useLoad((abort) => get(`/api/documents/${part(id)}/data-quality/`, {}, { signal: abort }), [id]);
  const parts = useLoad((abort) => get(`${path}/parts`, { limit: LIMIT, offset }, { signal: abort }), [path, offset]);
  const fresh = () => Promise.all([document.reload(), quality.reload(), parts.reload()]);
  const problem = document.problem ?? quality.problem ?? parts.problem;
  if (problem && !document.data) return html`<${Problem} problem=${problem} retry=${fresh} />`;
  if (!document.data || !quality.data || !parts.data) return html`<${Loading} />`;
  const open = parts.data.parts.find((one) => String(one.part_id) === place.value.query.part);
  return html`<${Head} document=${document.data} path=${path} />
    ${problem && html`<${Problem} problem=${problem} retry=${fresh} />`}
    <div class="split"><${Quality} quality=${quality.data} /><${Import} path=${path} done=${fresh} /></div>
    ${open && html`<${Leaf} key=${open.part_id} path=${path} leaf=${open} direction=${document.data.read_direction} changed=${fresh} close=${() => refine({ part: "" })} />`}
    <${Panel} title=${t("parts")} count=${parts.data.pagination.total}>
      ${parts.data.pagination.total === 0 ? html`<${Empty} title=${t("no_parts")} />` : html`<ul class="thumbs leaves">${parts.data.parts.map((one) => html`<li key=${one.part_id}>
        <button type="button" aria-pressed=${open === one} onClick=${() => refine({ part: one.part_id })}>
          ${one.image_available ? html`<img loading="lazy" src=${`${path}/parts/${one.part_id}/image`} alt="" />` : html`<span class="missing">${t("no_image")}</span>`}
          <span>${one.name}</span><small>${t("page_lines", { count: one.lines_count })}</small></button></li>`)}</ul>`}
      <${Pages} offset=${offset} limit=${LIMIT} total=${parts.data.pagination.total} turn=${(next) => refine({ offset: next || "", part: "" })} /><//>`;
}

function Head({ document, path }) {
  const erase = async () => {
    const lost = [t("lost", { pages: integer(document.parts_count) })];
    if ((await confirm({ title: t("delete_title", { name: document.name }), lost, action: t("delete"), danger: true })) === null) return;
    await remove(path);
    say(t("deleted"));
    go("/documents");
  };
  return html`<div class="title"><div><a class="back" href=${link("/documents")}>${t("documents")}</a><h1>${document.name}</h1>
      <div class="sub"><span>${t("pages", { count: integer(document.parts_count) })}</span><span>${t("lines", { count: integer(document.lines_count) })}</span>
        ${[document.script, document.language, t(document.read_direction)].filter(Boolean).map((one) => html`<span key=${one}>${one}</span>`)}<span title=${moment(document.updated_at)}>${ago(document.updated_at)}</span></div></div>
    <div class="actions"><details class="menu"><summary class="button">${t("export")}</summary><div>
        <a href=${`${path}/export?format=page`} download>${t("format", { format: "PAGE" })}</a><a href=${`${path}/export?format=alto`} download>${t("format", { format: "ALTO" })}</a></div></details>
      <${Button} kind="danger" run=${erase}>${t("delete")}<//></div></div>`;
}

function Quality({ quality }) {
  const checks = quality.quality_checks;
  const { ready_for_segmentation: segmentation, ready_for_recognition: recognition, warnings, recommendations } = quality.readiness;
  const had = (check) => check.with_transcription ?? check.with_baseline ?? check.with_polygon ?? check.available;
  const verdict = (ready, yes, no) => html`<span class=${`status ${ready ? "completed" : "stopped"}`}><i aria-hidden="true"></i>${t(ready ? yes : no)}</span>`;
  const list = (key, texts) => texts.length > 0 && html`<div><h3>${t(key)}</h3><ul class="bullets">${texts.map((text) => html`<li key=${text}>${text}</li>`)}</ul></div>`;
  return html`<${Panel} title=${t("quality")}><div class="body stack">
    <div class="verdicts">${verdict(segmentation, "ready_segmentation", "not_segmentation")}${verdict(recognition, "ready_recognition", "not_recognition")}</div>
    <ul class="tally checks">${CHECKS.map((name) => {
      const value = checks[name].total ? (had(checks[name]) / checks[name].total) * 100 : 0;
      return html`<li key=${name}><span class="name">${t(name)}</span><${Bar} value=${value} tone=${value === 100 ? "completed" : "stopped"} label=${t(name)} />
        <b>${checks[name].total ? percent(value) : "–"}</b><small>${t("of", { part: integer(had(checks[name])), total: integer(checks[name].total) })}</small></li>`;
    })}</ul>
    ${list("warnings", warnings)}${list("recommendations", recommendations)}
    ${quality.estimated_training_time?.estimated_human && html`<p>${t("takes")} <b>${quality.estimated_training_time.estimated_human}</b> <small>${quality.estimated_training_time.note}</small></p>`}
  </div><//>`;
}
