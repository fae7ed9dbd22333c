// Annotation tasks, and new ones of a dataset.
import { html, useState } from "../core/view.js";
import { get, part, post, remove } from "../core/api.js";
import { ago, moment } from "../core/format.js";
import { go, link } from "../core/router.js";
import { Bar, Button, confirm, curl, Empty, Loading, Panel, Problem, say, Table, useLoad } from "../components/index.js";
import { t } from "./tasks.text.js";

export default function Tasks() {
  const { data, problem, reload } = useLoad(async (abort) => {
    const [tasks, sets] = await Promise.all([get("/api/v1/annotations/tasks", {}, { signal: abort }), get("/api/v1/datasets", {}, { signal: abort })]);
    return { tasks: tasks.tasks, sets: sets.datasets };
  }, []);
  if (problem) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!data) return html`<${Loading} />`;
  const names = Object.fromEntries(data.sets.map((set) => [set.dataset_id, set.filename]));
  return html`<div class="title"><h1>${t("title")}</h1></div>
    ${data.sets.length === 0 ? html`<div class="panel empty"><p class="lead">${t("no_sets")}</p><a class="button primary" href=${link("/datasets")}>${t("to_sets")}</a></div>`
      : html`<${NewTask} sets=${data.sets} />`}
    <${Panel} title=${t("tasks")} count=${data.tasks.length}>
      ${data.tasks.length === 0 ? html`<${Empty} title=${t("none")} curl=${curl("/api/v1/annotations/tasks", `-H 'Content-Type: application/json' -d '{"dataset_id": "${data.sets[0]?.dataset_id ?? "ds_..."}"}' `)} />`
        : html`<${Table} label=${t("tasks")} columns=${columns(names, reload)} rows=${data.tasks} rowKey=${(task) => task.task_id} />`}<//>`;
}

function NewTask({ sets }) {
  const [chosen, setChosen] = useState(sets[0].dataset_id);
  const set = sets.find((one) => one.dataset_id === chosen) ?? sets[0];
  const versions = set.versions.length ? set.versions : ["v1"];
  const [wanted, setWanted] = useState(null);
  const version = versions.includes(wanted) ? wanted : versions[versions.length - 1];
  const [classes, setClasses] = useState("");
  const start = async () => {
    const names = classes.split("\n").map((one) => one.trim()).filter(Boolean);
    const task = await post("/api/v1/annotations/tasks", { dataset_id: set.dataset_id, version, ...(names.length ? { classes: names } : {}) });
    go(`/annotate/${part(task.task_id)}`);
  };
  return html`<${Panel} title=${t("make")}><form class="body fields" onSubmit=${(event) => event.preventDefault()}>
    <div class="field"><label for="task-set">${t("dataset")}</label><select id="task-set" value=${set.dataset_id} onChange=${(event) => setChosen(event.currentTarget.value)}>
      ${sets.map((one) => html`<option key=${one.dataset_id} value=${one.dataset_id}>${one.status === "prepared" ? one.filename : t("unprepared", { name: one.filename })}</option>`)}</select></div>
    <div class="field"><label for="task-version">${t("version")}</label><select id="task-version" value=${version} onChange=${(event) => setWanted(event.currentTarget.value)}>
      ${versions.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select></div>
    <div class="field"><label for="task-classes">${t("more")}</label><textarea id="task-classes" rows="2" value=${classes} onInput=${(event) => setClasses(event.currentTarget.value)}></textarea><p class="hint">${t("more_hint")}</p></div>
    <div class="wide-field"><${Button} kind="primary" run=${start}>${t("start")}<//></div></form><//>`;
}

const columns = (names, reload) => [
  { key: "name", label: t("dataset"), class: "wide", cell: (task) => html`<a href=${link(`/annotate/${part(task.task_id)}`)}>${names[task.dataset_id] ?? t("gone")} · ${task.version}</a><small class="mono">${task.task_id}</small>` },
  { key: "bar", label: t("progress"), class: "phone-hidden", cell: (task) => html`<${Bar} value=${task.total_items ? (task.annotated_count / task.total_items) * 100 : 0} tone="completed" label=${t("progress_of", { name: names[task.dataset_id] ?? task.task_id })} />` },
  { key: "count", label: "", class: "right nowrap", cell: (task) => t("of", { done: task.annotated_count, total: task.total_items }) },
  { key: "classes", label: t("classes"), class: "phone-hidden break", cell: (task) => `${task.classes.slice(0, 6).join(", ")}${task.classes.length > 6 ? " …" : ""}` },
  { key: "created", label: t("created"), class: "nowrap phone-hidden", cell: (task) => html`<span title=${moment(task.created_at)}>${ago(task.created_at)}</span>` },
  {
    key: "delete", label: "", class: "right",
    cell: (task) => html`<${Button} kind="quiet small" run=${async () => {
      if ((await confirm({ title: t("delete_title"), text: t("delete_text"), action: t("delete"), danger: true })) === null) return;
      await remove(`/api/v1/annotations/tasks/${part(task.task_id)}`);
      say(t("deleted"));
      await reload();
    }}>${t("delete")}<//>`,
  },
];
