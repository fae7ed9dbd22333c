// A captioned set that preprocessing made: its items, and their captions to correct.
import { html, useEffect, useState } from "../core/view.js";
import { get, part, post, put, remove } from "../core/api.js";
import { ago, duration, integer, moment } from "../core/format.js";
import { go, link, place, refine } from "../core/router.js";
import { Button, confirm, Empty, Loading, Pages, Panel, Problem, say, useLoad } from "../components/index.js";
import { t } from "./captioned.text.js";

const LIMIT = 24;

export default function Captioned({ name }) {
  const path = `/api/v1/preprocessing/datasets/${part(name)}`;
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const set = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  const items = useLoad((abort) => get(`${path}/items`, { limit: LIMIT, offset }, { signal: abort }), [path, offset]);
  const problem = set.problem ?? items.problem;
  if (problem) return html`<${Problem} problem=${problem} retry=${() => Promise.all([set.reload(), items.reload()])} />`;
  if (!set.data || !items.data) return html`<${Loading} />`;
  const found = set.data;
  const erase = async () => {
    if ((await confirm({ title: t("delete_title", { name }), lost: [t("lost", { path: found.directory })], action: t("delete"), danger: true })) === null) return;
    await remove(path);
    say(t("deleted"));
    go("/datasets");
  };
  return html`<div class="title"><div><a class="back" href=${link("/datasets")}>${t("datasets")}</a><h1>${name}</h1>
      <div class="sub"><span>${t("items", { count: integer(items.data.total) })}</span><span>${t("captions", { count: integer(found.caption_count) })}</span>
        <span>${t("length", { time: duration(found.total_seconds) })}</span><span title=${moment(found.created_at)}>${ago(found.created_at)}</span><span class="mono">${found.directory}</span></div></div>
      <div class="actions"><a class="button primary" href=${link("/new", { engine: "diffusion_pipe", dataset: found.directory })}>${t("train")}</a><${Button} kind="danger" run=${erase}>${t("delete")}<//></div></div>
    <${Panel} title=${t("content")} count=${items.data.total} tools=${html`<${Replace} path=${path} reload=${items.reload} />`}>
      ${items.data.total === 0 ? html`<${Empty} title=${t("none")} />` : html`<ul class="captions">${items.data.items.map((item) => html`<${Item} key=${`${item.number} ${item.caption}`} path=${path} item=${item} />`)}</ul>`}
      <${Pages} offset=${offset} limit=${LIMIT} total=${items.data.total} turn=${(next) => refine({ offset: next || "" })} /><//>`;
}

function Item({ path, item }) {
  const [text, setText] = useState(item.caption);
  const [saved, setSaved] = useState(item.caption);
  useEffect(() => setText(item.caption), [item.caption]);
  const save = async () => {
    const answer = await put(`${path}/items/${item.number}/caption`, { caption: text });
    setText(answer.caption);
    setSaved(answer.caption);
    say(t("saved"));
  };
  return html`<li><a href=${`${path}/items/${item.number}/media`} target="_blank" rel="noopener" aria-label=${t("open", { file: item.file })}><img loading="lazy" src=${`${path}/items/${item.number}/thumbnail`} alt="" /></a>
    <div><small class="mono">${item.file} · ${item.width} × ${item.height}${item.seconds ? ` · ${duration(item.seconds)}` : ""}</small>
      <textarea rows="3" aria-label=${t("caption", { file: item.file })} value=${text} onInput=${(event) => setText(event.currentTarget.value)}></textarea>
      ${text !== saved && html`<${Button} kind="small" run=${save}>${t("save")}<//>`}</div></li>`;
}

function Replace({ path, reload }) {
  const [find, setFind] = useState("");
  const [by, setBy] = useState("");
  const run = async () => {
    const answer = await post(`${path}/captions`, { find, replace: by });
    say(t("changed", answer));
    await reload();
  };
  return html`<span class="inline"><input aria-label=${t("find")} placeholder=${t("find")} value=${find} onInput=${(event) => setFind(event.currentTarget.value)} />
    <input aria-label=${t("by")} placeholder=${t("by")} value=${by} onInput=${(event) => setBy(event.currentTarget.value)} /><${Button} kind="small" run=${run} disabled=${!find}>${t("replace_do")}<//></span>`;
}
