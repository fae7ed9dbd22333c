// Lets a model propose boxes, as a job, and waits for it.
import { html, useEffect, useRef, useState } from "../../core/view.js";
import { get, part, post } from "../../core/api.js";
import { onJobs } from "../../core/live.js";
import { jobLink, link } from "../../core/router.js";
import { Button, Dialog, Loading, Problem, say, useLoad } from "../../components/index.js";
import { t } from "../annotate.text.js";

const OVER = ["completed", "failed", "stopped"];

export function Prelabel({ path, close, arrived }) {
  const { data, problem } = useLoad((abort) => get("/api/v1/models", {}, { signal: abort }), []);
  const [model, setModel] = useState(null);
  const [conf, setConf] = useState(0.25);
  const [job, setJob] = useState(null);
  useEnd(job, async (status) => {
    say(t(status === "completed" ? "prelabel_done" : "prelabel_failed"), status === "completed" ? "" : "error");
    close();
    if (status === "completed") await arrived();
  });
  const models = data?.models ?? [];
  const start = async () => setJob((await post(`${path}/prelabel`, { model_id: model ?? models[0].model_id, conf })).job_id);
  return html`<${Dialog} title=${t("prelabel")} close=${close}><p>${t("prelabel_text")}</p>
    ${problem && html`<${Problem} problem=${problem} />`}
    ${!data ? !problem && html`<${Loading} />` : models.length === 0 ? html`<p>${t("no_models")} <a href=${link("/models")}>→</a></p>`
      : job ? html`<p role="status">${t("prelabel_started")} <a href=${jobLink(job)}>${t("job")}</a></p>`
      : html`<div class="field"><label for="prelabel-model">${t("model")}</label><select id="prelabel-model" value=${model ?? models[0].model_id} onChange=${(event) => setModel(event.currentTarget.value)}>
          ${models.map((one) => html`<option key=${one.model_id} value=${one.model_id}>${one.name}</option>`)}</select></div>
        <div class="field"><label for="prelabel-conf">${t("conf")}</label><div class="inline"><input id="prelabel-conf" type="range" min="0.05" max="0.95" step="0.05" value=${conf} onInput=${(event) => setConf(event.currentTarget.valueAsNumber)} /><output>${conf.toFixed(2)}</output></div></div>`}
    <footer><button type="button" class="button" onClick=${close}>${t("cancel")}</button>${models.length > 0 && !job && html`<${Button} kind="primary" run=${start}>${t("start")}<//>`}</footer><//>`;
}

/** Calls `ended(status)` once, when the job is over. */
function useEnd(job, ended) {
  const hear = useRef(ended);
  hear.current = ended;
  useEffect(() => {
    if (!job) return undefined;
    let over = false;
    const look = async () => {
      const { status } = await get(`/api/v1/training/${part(job)}`);
      if (over || !OVER.includes(status)) return;
      over = true;
      hear.current(status);
    };
    const stop = onJobs((changed) => (changed === null || (changed.task_id === job && OVER.includes(changed.status))) && look().catch((problem) => say(problem.message, "error")));
    look().catch((problem) => say(problem.message, "error"));
    return () => {
      over = true;
      stop();
    };
  }, [job]);
}
