// Datasets of images with boxes (YOLO), and the captioned sets that preprocessing makes.
import { html, useState } from "../core/view.js";
import { get, post } from "../core/api.js";
import { ago, bytes, duration, integer, moment } from "../core/format.js";
import { go, link, place, refine } from "../core/router.js";
import { Button, curl, Empty, Loading, Pages, Panel, Problem, Table, useLoad } from "../components/index.js";
import { DropZone } from "../components/dropzone.js";
import { t } from "./datasets.text.js";

const LIMIT = 50;
const datasetLink = (id) => link(`/dataset/${encodeURIComponent(id)}`);

export default function Datasets() {
  const sets = useLoad((abort) => get("/api/v1/datasets", {}, { signal: abort }), []);
  const offset = Math.max(0, Math.floor(Number(place.value.query.captioned)) || 0);
  const captioned = useLoad((abort) => get("/api/v1/preprocessing/datasets", { limit: LIMIT, offset }, { signal: abort }), [offset]);
  const open = (made) => go(`/dataset/${encodeURIComponent(made.dataset_id)}`);
  return html`<div class="title"><h1>${t("title")}</h1></div>
    <${Add} open=${open} />
    ${sets.problem && html`<${Problem} problem=${sets.problem} retry=${sets.reload} />`}
    ${sets.data ? html`<${Sets} sets=${sets.data.datasets} />` : !sets.problem && html`<${Loading} />`}
    ${captioned.problem && html`<${Problem} problem=${captioned.problem} retry=${captioned.reload} />`}
    ${captioned.data && html`<${Panel} title=${t("captioned")} count=${captioned.data.total}>
      ${captioned.data.total === 0 ? html`<${Empty} title=${t("captioned_none")} curl=${curl("/api/v1/preprocessing/start", `-H 'Content-Type: application/json' -d '{"dataset_name": "cats", "video_directory": "/data/cats"}' `)} />`
        : html`<${Table} label=${t("captioned")} columns=${CAPTIONED()} rows=${captioned.data.datasets} rowKey=${(set) => set.dataset_name} />`}
      <${Pages} offset=${offset} limit=${LIMIT} total=${captioned.data.total} turn=${(next) => refine({ captioned: next || "" })} /><//>`}`;
}

function Add({ open }) {
  const [path, setPath] = useState("");
  const register = async () => open(await post("/api/v1/datasets/register", { path }));
  return html`<${Panel} title=${t("add")}><div class="body adding">
    <${DropZone} path="/api/v1/datasets/upload" accept=".zip,application/zip" label=${t("upload")} hint=${t("upload_hint")} done=${open} />
    <form class="field" onSubmit=${(event) => event.preventDefault()}><label for="register-path">${t("register")}</label>
      <div class="inline"><input id="register-path" class="mono" placeholder="/data/shapes" value=${path} onInput=${(event) => setPath(event.currentTarget.value)} />
      <${Button} run=${register} disabled=${!path.trim()}>${t("register_do")}<//></div><p class="hint">${t("register_hint")}</p></form>
  </div><//>`;
}

function Sets({ sets }) {
  const { q = "" } = place.value.query;
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const wanted = q.toLowerCase();
  const found = sets.filter((set) => `${set.filename} ${set.dataset_id}`.toLowerCase().includes(wanted));
  const search = sets.length > 5 && html`<input class="search" type="search" aria-label=${t("search")} placeholder=${t("search")} value=${q}
    onInput=${(event) => refine({ q: event.currentTarget.value, offset: "" })} />`;
  return html`<${Panel} title=${t("images_boxes")} count=${found.length} tools=${search}>
    ${sets.length === 0 ? html`<${Empty} title=${t("none")} curl=${curl("/api/v1/datasets/upload", "-F file=@shapes.zip ")}>${t("none_more")}<//>`
      : found.length === 0 ? html`<${Empty} title=${t("no_match")} />`
      : html`<${Table} label=${t("images_boxes")} columns=${COLUMNS()} rows=${found.slice(offset, offset + LIMIT)} rowKey=${(set) => set.dataset_id} />`}
    <${Pages} offset=${offset} limit=${LIMIT} total=${found.length} turn=${(next) => refine({ offset: next || "" })} /><//>`;
}

const COLUMNS = () => [
  { key: "name", label: t("name"), class: "wide", cell: (set) => html`<a href=${datasetLink(set.dataset_id)}>${set.filename}</a><small class="mono">${set.dataset_id}</small>` },
  { key: "status", label: t("status"), class: "nowrap", cell: (set) => html`<span class=${`status ${set.status === "prepared" ? "completed" : "queued"}`}><i aria-hidden="true"></i>${t(set.status)}</span>` },
  { key: "images", label: t("images"), class: "right", cell: (set) => integer(set.image_count) },
  { key: "labels", label: t("labels"), class: "right phone-hidden", cell: (set) => integer(set.label_count) },
  { key: "versions", label: t("versions"), class: "nowrap phone-hidden", cell: (set) => set.versions.join(", ") || "–" },
  { key: "size", label: t("size"), class: "right nowrap phone-hidden", cell: (set) => bytes(set.size) },
  { key: "created", label: t("created"), class: "nowrap phone-hidden", cell: (set) => html`<span title=${moment(set.created_at)}>${ago(set.created_at)}</span>` },
];

const CAPTIONED = () => [
  { key: "name", label: t("name"), class: "wide", cell: (set) => html`<a href=${link(`/captioned/${encodeURIComponent(set.dataset_name)}`)}>${set.dataset_name}</a><small class="mono">${set.directory}</small>` },
  { key: "items", label: t("items"), class: "right", cell: (set) => integer(set.video_count + set.image_count) },
  { key: "captions", label: t("captions"), class: "right phone-hidden", cell: (set) => integer(set.caption_count) },
  { key: "seconds", label: t("seconds"), class: "right nowrap phone-hidden", cell: (set) => duration(set.total_seconds) },
  { key: "created", label: t("created"), class: "nowrap phone-hidden", cell: (set) => html`<span title=${moment(set.created_at)}>${ago(set.created_at)}</span>` },
];
