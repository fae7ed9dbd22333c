// Pages into a document: one file at once, an archive or a directory as a job.
import { html, useEffect, useState } from "../../core/view.js";
import { get, post } from "../../core/api.js";
import { integer } from "../../core/format.js";
import { Bar, Button, Panel, say } from "../../components/index.js";
import { DropZone } from "../../components/dropzone.js";
import { t } from "../document.text.js";

const EVERY = 700; // ms between two looks at an import
const OVER = ["completed", "failed", "stopped"];

export function Import({ path, done }) {
  const [where, setWhere] = useState("");
  const [task, setTask] = useState(null);
  const [problem, setProblem] = useState(null);
  const taken = async (answer) => {
    setTask(answer.task);
    if (answer.part) {
      say(t("taken", { name: answer.part.name }));
      await done();
    }
  };
  useEffect(() => {
    if (!task || OVER.includes(task.status)) return undefined;
    const timer = setTimeout(async () => {
      try {
        const now = await get(`/api/v1/ocr/imports/${task.task_id}`);
        setTask(now);
        setProblem(null);
        if (OVER.includes(now.status)) await done();
      } catch (failure) {
        setProblem(failure);
        setTask({ ...task });
      }
    }, EVERY);
    return () => clearTimeout(timer);
  }, [task]);
  return html`<${Panel} title=${t("import")}><div class="body stack">
    <${DropZone} path=${`${path}/import`} accept=".zip,.xml,image/*" label=${t("drop")} hint=${t("drop_hint")} done=${taken} />
    <form class="field" onSubmit=${(event) => event.preventDefault()}><label for="import-path">${t("path")}</label><div class="inline"><input id="import-path" class="mono" placeholder="/data/scans" value=${where} onInput=${(event) => setWhere(event.currentTarget.value)} />
      <${Button} run=${async () => taken(await post(`${path}/import`, { path: where }))} disabled=${!where.trim()}>${t("import_do")}<//></div></form>
    ${task && html`<${State} task=${task} />`}${problem && html`<p class="error" role="alert">${problem.message}</p>`}</div><//>`;
}

function State({ task }) {
  const known = task.files_total !== null;
  const over = OVER.includes(task.status);
  return html`<div class="sending"><span role="status">${task.status === "completed" ? t("import_done", { pages: integer(task.pages), lines: integer(task.lines), images: integer(task.images) })
      : over ? t("import_failed", { why: task.error_message ?? task.status }) : known ? t("import_state", { done: task.files_done, total: task.files_total }) : t("import_queued")}</span>
    ${!over && html`<${Bar} value=${known && task.files_total ? (task.files_done / task.files_total) * 100 : null} label=${t("importing")} />`}
    ${task.problems.length > 0 && html`<div><h3>${t("problems")}</h3><ul class="bullets">${task.problems.map((one) => html`<li key=${one}>${one}</li>`)}</ul></div>`}</div>`;
}
