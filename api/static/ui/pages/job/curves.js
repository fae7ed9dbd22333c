// A metric of the job, as it grows.
import { html, useEffect, useState } from "../../core/view.js";
import { get, part } from "../../core/api.js";
import { onJobs } from "../../core/live.js";
import { Empty, Panel, useLoad } from "../../components/index.js";
import { Chart } from "../../components/chart.js";
import { t } from "../job.text.js";

const POINTS = 1000;
const EVERY = 2000; // ms between two readings of a running job's metrics

export function Curves({ job }) {
  const path = `/api/v1/training/${part(job.task_id)}/metrics`;
  const [chosen, setChosen] = useState(null);
  const { data: names, reload: reloadNames } = useLoad((abort) => get(`${path}/names`, {}, { signal: abort }), [path]);
  const metrics = names?.metrics ?? [];
  const keys = metrics.map((one) => `${one.type} ${one.name}`);
  const key = keys.includes(chosen) ? chosen : keys.includes("step loss") ? "step loss" : keys[0];
  const [type, ...rest] = (key ?? "").split(" ");
  const metric = rest.join(" ");
  const { data, reload } = useLoad((abort) => (metric ? get(path, { metric, type, limit: POINTS }, { signal: abort }) : Promise.resolve(null)), [path, key, job.attempts.length]);
  useEffect(() => {
    let timer = null;
    const stop = onJobs((changed) => {
      if (changed !== null && changed.task_id !== job.task_id) return;
      timer ??= setTimeout(() => {
        timer = null;
        reload();
        if (metrics.length === 0) reloadNames();
      }, EVERY);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [job.task_id, reload, reloadNames, metrics.length]);
  const points = (data?.data ?? []).map((point) => [type === "epoch" ? point.epoch : point.step, point.value]);
  const pick = keys.length > 1 && html`<select aria-label=${t("metric")} value=${key} onChange=${(event) => setChosen(event.currentTarget.value)}>
    ${metrics.map((one) => html`<option key=${`${one.type} ${one.name}`} value=${`${one.type} ${one.name}`}>${one.name} · ${t(one.type === "epoch" ? "by_epoch" : "by_step")}</option>`)}</select>`;
  return html`<${Panel} title=${t("metrics")} tools=${pick}>
    ${names && metrics.length === 0 ? html`<${Empty} title=${t("no_metrics")} />` : data && html`<${Chart} name=${metric} lines=${[{ name: metric, points }]} />`}
  <//>`;
}
