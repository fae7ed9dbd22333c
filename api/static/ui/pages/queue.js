// The queue, to be put in order; and the GPUs, which an admin may take out of service.
import { html, useEffect, useRef, useState } from "../core/view.js";
import { get, me, part, patch, post, put, remove } from "../core/api.js";
import { bytes, integer, NONE } from "../core/format.js";
import { gpus, onJobs, queue, running } from "../core/live.js";
import { jobLink } from "../core/router.js";
import { Button, confirm, Empty, Loading, Panel, Problem, Reason, say, Status, Table, useLoad } from "../components/index.js";
import { FormDialog } from "../components/form-dialog.js";
import { t } from "./queue.text.js";

export default function QueuePage() {
  const { data, problem, reload } = useLoad((abort) => get("/api/v1/queue", {}, { signal: abort }), []);
  const timer = useRef(null);
  const soon = () => (timer.current ??= setTimeout(() => ((timer.current = null), reload()), 1000));
  useEffect(() => onJobs(soon), [reload]);
  useEffect(() => {
    soon();
  }, [queue.value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<div class="title"><h1>${t("title")}</h1></div>
    ${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : !data ? html`<${Loading} />` : html`<${Waiting} data=${data} reload=${reload} />`}
    <${Gpus} />`;
}

function Waiting({ data, reload }) {
  const path = (verb, place) => `/api/v1/training/${verb}/${part(place.task_id)}`;
  const prefer = async (place, priority) => {
    try {
      await patch(`/api/v1/training/${part(place.task_id)}`, { priority });
    } catch (problem) {
      say(problem.message, "error");
    }
    await reload();
  };
  const hold = async (place) => {
    await post(path(place.held ? "release" : "hold", place));
    await reload();
  };
  const stop = async (place) => {
    const answer = await confirm({ title: t("stop_title", { name: place.name }), text: t("stop_text"), action: t("stop"), danger: true });
    if (answer === null) return;
    await post(path("stop", place), { force: false });
    await reload();
  };
  const wants = (place) => [place.gpus > 0 && t("gpus", { count: place.gpus }), place.cpus !== null && t("cores", { count: place.cpus }), place.memory !== null && bytes(place.memory)].filter(Boolean).join(" · ");
  const columns = [
    { key: "position", label: "#", class: "right", cell: (place) => (place.held ? html`<${Status} status="held" />` : place.position) },
    { key: "name", label: t("job"), class: "wide", cell: (place) => html`<a href=${jobLink(place.task_id)}>${place.name}</a><small class="why"><${Reason} text=${place.reason} /></small>` },
    { key: "wants", label: t("wants"), class: "nowrap phone-hidden", cell: (place) => wants(place) || NONE },
    { key: "priority", label: t("priority"), cell: (place) => html`<select aria-label=${t("priority_of", { name: place.name })} value=${place.priority} onChange=${(event) => prefer(place, Number(event.currentTarget.value))}>
      ${[...Array(11).keys()].map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>` },
    { key: "do", label: t("actions"), class: "nowrap", cell: (place) => html`<div class="actions"><${Button} kind="small" run=${() => hold(place)}>${place.held ? t("release") : t("hold")}<//><${Button} kind="small danger" run=${() => stop(place)}>${t("stop")}<//></div>` },
  ];
  return html`<${Panel} title=${t("waiting")} count=${integer(data.waiting)}>
    ${data.jobs.length === 0 ? html`<${Empty} title=${data.waiting ? t("others", { count: data.waiting }) : t("none")}>${t("none_more")}<//>`
      : html`<${Table} flows label=${t("waiting")} columns=${columns} rows=${data.jobs} rowKey=${(place) => place.task_id} />`}<//>`;
}

const foreign = (gpu) => gpu.processes.filter((one) => one.run_id === null).map((one) => `${one.name ?? "?"} (${one.pid})`).join(", ");

function holder(gpu) {
  if (gpu.current_task) return html`<a href=${jobLink(gpu.current_task)}>${running.value?.find((one) => one.task_id === gpu.current_task)?.name ?? gpu.current_task}</a>`;
  return gpu.drained ?? (foreign(gpu) || NONE);
}

function Gpus() {
  const [draining, setDraining] = useState(null);
  const admin = me.value.scopes.includes("admin");
  const found = gpus.value ?? [];
  if (found.length === 0) return null;
  const path = (gpu) => `/api/v1/gpu/${gpu.gpu_id}/drain`;
  const back = async (gpu) => {
    await remove(path(gpu));
    say(t("undrained", { gpu: gpu.gpu_id }));
  };
  const columns = [
    { key: "gpu", label: "GPU", class: "wide", cell: (gpu) => html`<b>GPU ${gpu.gpu_id}</b><small>${gpu.name ?? NONE}</small>` },
    { key: "status", label: t("status"), class: "nowrap", cell: (gpu) => html`<${Status} status=${gpu.drained ? "drained" : gpu.status} />` },
    { key: "why", label: t("holder"), class: "wide phone-hidden", cell: holder },
    ...(admin ? [{ key: "do", label: t("actions"), class: "nowrap", cell: (gpu) => (gpu.drained ? html`<${Button} kind="small" run=${() => back(gpu)}>${t("undrain")}<//>` : html`<${Button} kind="small" run=${async () => setDraining(gpu)}>${t("drain")}<//>`) }] : []),
  ];
  return html`<${Panel} title=${t("gpus_title")} count=${found.length}><${Table} flows label=${t("gpus_title")} columns=${columns} rows=${found} rowKey=${(gpu) => gpu.gpu_id} />
    ${draining && html`<${FormDialog} title=${t("drain_title", { gpu: draining.gpu_id })} text=${t("drain_text")} action=${t("drain")} close=${() => setDraining(null)}
      schema=${{ required: ["reason"], properties: { reason: { type: "string", title: t("reason"), description: t("reason_hint"), maxLength: 200 } } }}
      send=${async (value) => (await put(path(draining), value), say(t("drained", { gpu: draining.gpu_id })))} />`}<//>`;
}
