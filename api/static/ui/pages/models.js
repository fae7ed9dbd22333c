// Models that trainings left, and uploaded ones.
import { html } from "../core/view.js";
import { get } from "../core/api.js";
import { ago, bytes, moment } from "../core/format.js";
import { go, link, place, refine } from "../core/router.js";
import { curl, Empty, Loading, Pages, Panel, Problem, Table, useLoad } from "../components/index.js";
import { Tags } from "../components/about.js";
import { DropZone } from "../components/dropzone.js";
import { t } from "./models.text.js";

const LIMIT = 50;
const modelLink = (id) => link(`/model/${encodeURIComponent(id)}`);

export default function Models() {
  const { data, problem, reload } = useLoad((abort) => get("/api/v1/models", {}, { signal: abort }), []);
  const { q = "" } = place.value.query;
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const wanted = q.toLowerCase();
  const found = (data?.models ?? []).filter((model) => [model.name, model.model_id, ...model.tags].join("\n").toLowerCase().includes(wanted));
  const search = data?.models.length > 5 && html`<input class="search" type="search" aria-label=${t("search")} placeholder=${t("search")} value=${q} onInput=${(event) => refine({ q: event.currentTarget.value, offset: "" })} />`;
  return html`<div class="title"><h1>${t("title")}</h1></div>
    ${problem && html`<${Problem} problem=${problem} retry=${reload} />`}
    ${data ? html`<${Panel} title=${t("found")} count=${found.length} tools=${search}>
      ${data.models.length === 0 ? html`<${Empty} title=${t("none")} curl=${curl("/api/v1/models/upload", "-F file=@my_model.zip ")} />`
        : found.length === 0 ? html`<${Empty} title=${t("no_match")} />`
        : html`<${Table} label=${t("found")} columns=${COLUMNS()} rows=${found.slice(offset, offset + LIMIT)} rowKey=${(model) => model.model_id} />`}
      <${Pages} offset=${offset} limit=${LIMIT} total=${found.length} turn=${(next) => refine({ offset: next || "" })} /><//>` : !problem && html`<${Loading} />`}
    <${Panel} title=${t("add")}><div class="body"><${DropZone} path="/api/v1/models/upload" accept=".zip,application/zip" label=${t("upload")} hint=${t("upload_hint")}
      done=${(made) => go(`/model/${encodeURIComponent(made.model_id)}`)} /></div><//>`;
}

const COLUMNS = () => [
  { key: "name", label: t("name"), class: "wide", cell: (model) => html`<a href=${modelLink(model.model_id)}>${model.name}</a><small class="mono">${model.model_id}</small><${Tags} tags=${model.tags} />` },
  { key: "classes", label: t("classes"), class: "break phone-hidden", cell: (model) => `${model.classes.slice(0, 6).join(", ")}${model.classes.length > 6 ? ` … (${model.classes.length})` : ""}` },
  { key: "source", label: t("source"), class: "nowrap", cell: (model) => (["trained", "uploaded"].includes(model.source) ? t(model.source) : model.source) },
  { key: "base", label: t("base"), class: "mono phone-hidden break", cell: (model) => model.base_model ?? "–" },
  { key: "size", label: t("size"), class: "right nowrap phone-hidden", cell: (model) => bytes(model.file_size) },
  { key: "created", label: t("created"), class: "nowrap phone-hidden", cell: (model) => html`<span title=${moment(model.created_at)}>${ago(model.created_at)}</span>` },
];
