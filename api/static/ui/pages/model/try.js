// What the model sees on an image or a video that one has at hand.
import { html, useEffect, useRef, useState } from "../../core/view.js";
import { part, upload } from "../../core/api.js";
import { integer, percent } from "../../core/format.js";
import { Bar, Panel, Table } from "../../components/index.js";
import { colour, Picture, pictureUrl } from "../../components/boxes.js";
import { t as zone } from "../../components/dropzone.text.js";
import { t } from "../model.text.js";

const LEAST = 0.05; // asked for once; the slider then hides what is less sure

export function Try({ model }) {
  const [conf, setConf] = useState(0.25);
  const [busy, setBusy] = useState(null);
  const [problem, setProblem] = useState(null);
  const [seen, setSeen] = useState(null);
  const abort = useRef(null);
  useEffect(() => () => abort.current?.abort(), []);

  const look = async (file) => {
    if (!file) return;
    const video = file.type.startsWith("video/");
    if (!video && !file.type.startsWith("image/")) return setProblem(new Error(t("too")));
    abort.current?.abort();
    abort.current = new AbortController();
    const form = new FormData();
    form.append("file", file);
    form.append("conf", video ? conf : LEAST);
    setProblem(null);
    setSeen(null);
    setBusy({ name: file.name, done: 0 });
    try {
      const progress = (sent, total) => setBusy({ name: file.name, done: sent / total });
      const answer = await upload(video ? `/api/v1/infer/video/${part(model.model_id)}?video_data=false` : `/api/v1/infer/${part(model.model_id)}`, form, { progress, signal: abort.current.signal });
      setSeen({ video, name: file.name, session_id: answer.session_id, stats: answer.summary, frames: answer.stats?.total_frames, image: video ? null : answer });
    } catch (failure) {
      if (failure.name === "AbortError") return;
      setProblem(failure);
    }
    setBusy(null);
  };
  const dropped = (event) => {
    event.preventDefault();
    look(event.dataTransfer.files[0]);
  };
  const slider = html`<label class="slider">${t("conf")}<input type="range" min=${LEAST} max="0.95" step="0.05" value=${conf} onInput=${(event) => setConf(event.currentTarget.valueAsNumber)} /><output>${percent(conf * 100)}</output></label>`;
  return html`<${Panel} title=${t("try")} tools=${slider}><div class="body stack">
    <div class="dropzone slim" onDragOver=${(event) => event.preventDefault()} onDrop=${dropped}>
      ${busy ? html`<div class="sending"><span role="status">${busy.done < 1 ? t("sending", { name: busy.name, percent: percent(busy.done * 100) }) : t("looking", { name: busy.name })}</span><${Bar} value=${busy.done < 1 ? busy.done * 100 : null} label=${t("try")} /></div>`
        : html`<label><b>${t("try_drop")}</b><span>${zone("drop")} <u>${zone("choose")}</u></span><small>${t("try_hint")}</small><input type="file" class="sr" accept="image/*,video/*" onChange=${(event) => look(event.currentTarget.files[0])} /></label>`}</div>
    ${problem && html`<p class="error" role="alert">${problem.message}</p>`}
    ${seen && (seen.video ? html`<${Video} seen=${seen} />` : html`<${Image} seen=${seen} conf=${conf} model=${model} />`)}
  </div><//>`;
}

function Image({ seen, conf, model }) {
  const { image_path, image_width, image_height, detections } = seen.image;
  const found = detections.filter((one) => one.conf >= conf);
  const names = Object.fromEntries([...model.classes.entries(), ...detections.map((one) => [one.class_id, one.class_name])]);
  return html`<${Picture} src=${pictureUrl(image_path)} width=${image_width} height=${image_height} boxes=${found} names=${names} label=${t("result", { name: seen.name })} />
    <p role="status">${found.length === 0 ? t("found_none") : t("found", { count: found.length })}</p>
    ${found.length > 0 && html`<${Table} label=${t("object")} rows=${found.map((one, index) => ({ ...one, index }))} rowKey=${(one) => one.index} columns=${[
      { key: "object", label: t("object"), cell: (one) => html`<span class="swatch" style=${{ background: colour(one.class_id) }} aria-hidden="true"></span> ${one.class_name}` },
      { key: "conf", label: t("confidence"), class: "right", cell: (one) => percent(one.conf * 100, 1) },
      { key: "place", label: t("place"), class: "mono right phone-hidden", cell: (one) => [one.x1, one.y1, one.x2, one.y2].map((value) => integer(value)).join(", ") },
    ]} />`}`;
}

function Video({ seen }) {
  return html`<video class="picture" controls src=${`/api/v1/infer/results/${part(seen.session_id)}/video`} aria-label=${t("result", { name: seen.name })}></video>
    <p role="status">${t("video_stats", { frames: integer(seen.frames), found: integer(seen.stats.total_detections), with: integer(seen.stats.frames_with_detections) })}</p>`;
}
