// The images of a version: all of them, page by page, where there is an annotation task; else the samples.
import { html } from "../../core/view.js";
import { get, part } from "../../core/api.js";
import { link, place, refine } from "../../core/router.js";
import { Pages, Panel, Problem, useLoad } from "../../components/index.js";
import { pictureUrl, thumbnailUrl } from "../../components/boxes.js";
import { t } from "../dataset.text.js";

const LIMIT = 24;

export function Images({ set, version }) {
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const { data, problem, reload } = useLoad(async (abort) => {
    const { tasks } = await get("/api/v1/annotations/tasks", { dataset_id: set.dataset_id }, { signal: abort });
    const task = tasks.find((one) => one.version === version);
    if (!task) return { task: null };
    const items = await get(`/api/v1/annotations/tasks/${part(task.task_id)}/items`, { limit: LIMIT, offset }, { signal: abort });
    return { task, ...items };
  }, [set.dataset_id, version, offset]);
  if (problem) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!data) return null;
  if (data.task === null) {
    const shown = version === set.versions[set.versions.length - 1] ? set.sample_images : [];
    return shown.length > 0 && html`<${Panel} title=${t("sample")} tools=${html`<small>${t("task_none")}</small>`}><ul class="thumbs">
      ${shown.map((path) => html`<li key=${path}><a href=${pictureUrl(path)} target="_blank" rel="noopener"><img loading="lazy" src=${thumbnailUrl(path)} alt=${name(path)} /><span>${name(path)}</span></a></li>`)}</ul><//>`;
  }
  return html`<${Panel} title=${t("all_images")} count=${data.total}><ul class="thumbs">
    ${data.items.map((item) => html`<li key=${item.image_id}><a href=${link(`/annotate/${part(data.task.task_id)}`, { image: item.image_id })} title=${t("open", { name: name(item.image_path) })}>
      <img loading="lazy" src=${pictureUrl(item.thumbnail_path)} alt="" /><span>${name(item.image_path)}</span><small>${item.split} · ${item.has_annotation ? t("boxes_count", { count: item.box_count }) : "–"}</small></a></li>`)}</ul>
    <${Pages} offset=${offset} limit=${LIMIT} total=${data.total} turn=${(next) => refine({ offset: next || "" })} /><//>`;
}

const name = (path) => path.split("/").pop();
