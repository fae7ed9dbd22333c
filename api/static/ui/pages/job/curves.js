// The job's metrics as they grow, each in a chart of its own; other jobs can be laid over them.
import { html, useEffect, useState } from "../../core/view.js";
import { get, part } from "../../core/api.js";
import { onJobs } from "../../core/live.js";
import { place, refine } from "../../core/router.js";
import { Button, Empty, Icon, Panel, Problem, useLoad } from "../../components/index.js";
import { Chart } from "../../components/chart.js";
import { Chooser } from "./compare.js";
import { t } from "../job.text.js";

const POINTS = 1000; // of a line
const EVERY = 2000; // ms between two readings
const LONGEST = 40; // characters of a name
const MOST = 6; // jobs in one chart: as many as there are colours

const listed = (text) => (text ? text.split(",").filter(Boolean) : []);
const keyOf = (one) => `${one.type} ${one.name}`;

export function Curves({ job }) {
  const [choosing, setChoosing] = useState(false);
  const path = (id) => `/api/v1/training/${part(id)}/metrics`;
  const { data: names, reload: reloadNames } = useLoad((abort) => get(`${path(job.task_id)}/names`, {}, { signal: abort }), [job.task_id, job.attempts.length]);
  const metrics = [...(names?.metrics ?? [])].sort((a, b) => rank(a) - rank(b));
  const others = listed(place.value.query.with).filter((id) => id !== job.task_id).slice(0, MOST - 1);
  const wanted = listed(place.value.query.metrics).filter((key) => metrics.some((one) => keyOf(one) === key));
  const chosen = wanted.length ? wanted : metrics.slice(0, 1).map(keyOf);
  const ids = [job.task_id, ...others];
  const { data, problem, reload } = useLoad((abort) => load(path, ids, chosen, abort), [chosen.join(), ids.join(), job.attempts.length]);
  const { data: called, problem: unknown } = useLoad((abort) => Promise.all(others.map((id) => get(`/api/v1/training/${part(id)}`, {}, { signal: abort }))), [others.join()]);
  useFresh(ids, () => (reload(), reloadNames()), [reload, reloadNames]);

  const name = (id) => (id === job.task_id ? job.name : (called?.find((one) => one.task_id === id)?.name ?? id));
  const label = (id) => { // short, and another for each job
    const twice = ids.some((one) => one !== id && name(one) === name(id));
    const short = name(id).length > LONGEST ? `${name(id).slice(0, LONGEST)}…` : name(id);
    return twice ? `${short} ${id.slice(-6)}` : short;
  };
  const toggle = (key) => {
    const next = chosen.includes(key) ? chosen.filter((one) => one !== key) : [...chosen, key];
    refine({ metrics: next.join(",") });
  };
  const tools = html`${others.map((id) => html`<span class="chip" key=${id} title=${name(id)}><span>${label(id)}</span><button type="button" class="button quiet small" aria-label=${t("not_compared", { name: name(id) })} onClick=${() => refine({ with: others.filter((one) => one !== id).join(",") })}><${Icon} name="close" size=${12} /></button></span>`)}
    ${metrics.length > 0 && others.length < MOST - 1 && html`<${Button} kind="small" run=${async () => setChoosing(true)}>${t("compare")}<//>`}`;
  return html`<${Panel} title=${t("metrics")} tools=${tools}>
    ${metrics.length > 1 && html`<div class="picks" role="group" aria-label=${t("metric")}>${metrics.map((one) => html`<button key=${keyOf(one)} type="button" aria-pressed=${chosen.includes(keyOf(one))} onClick=${() => toggle(keyOf(one))}>
      ${one.name}${one.type === "epoch" && html`<small> ${t("by_epoch")}</small>`}</button>`)}</div>`}
    ${(problem ?? unknown) && html`<${Problem} problem=${problem ?? unknown} />`}
    ${names && metrics.length === 0 ? html`<${Empty} title=${t(["queued", "running"].includes(job.status) ? "no_metrics" : "never_measured")} />`
      : data && html`<div class=${`charts ${data.length > 1 ? "many" : ""}`}>${data.map(({ key, lines }) => html`<div key=${key}>${data.length > 1 && html`<h3>${key.split(" ").slice(1).join(" ")}</h3>`}
          <${Chart} name=${key.split(" ").slice(1).join(" ")} by=${key.split(" ")[0]} lines=${lines.map((line) => ({ name: ids.length > 1 ? label(line.id) : key.split(" ").slice(1).join(" "), points: line.points }))} height=${data.length > 1 ? 200 : 260} /></div>`)}</div>`}
    ${choosing && html`<${Chooser} job=${job} taken=${ids} close=${() => setChoosing(false)} choose=${(id) => (setChoosing(false), refine({ with: [...others, id].join(",") }))} />`}
  <//>`;
}

/** What people look at first. */
function rank(metric) {
  const first = ["step loss", "epoch loss", "step val/loss", "epoch accuracy", "epoch metrics/mAP50(B)"].indexOf(keyOf(metric));
  return first < 0 ? 99 : first;
}

async function load(path, ids, keys, signal) {
  const line = async (id, key) => {
    const [type, ...rest] = key.split(" ");
    const { data } = await get(path(id), { metric: rest.join(" "), type, limit: POINTS }, { signal });
    return { id, points: data.map((point) => [type === "epoch" ? point.epoch : point.step, point.value]) };
  };
  return Promise.all(keys.map(async (key) => ({ key, lines: await Promise.all(ids.map((id) => line(id, key))) })));
}

/** `read` when one of the jobs has changed, at most every two seconds. */
function useFresh(ids, read, inputs) {
  useEffect(() => {
    let timer = null;
    const stop = onJobs((changed) => {
      if (changed !== null && !ids.includes(changed.task_id)) return;
      timer ??= setTimeout(() => {
        timer = null;
        read();
      }, EVERY);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [ids.join(), ...inputs]);
}
