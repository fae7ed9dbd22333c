// One job: how far it is, its charts, its log as it comes, and what can be done with it.
import { html, useEffect, useState } from "../core/view.js";
import { get, part } from "../core/api.js";
import { bytes, duration, integer, moment, NONE, number, percent } from "../core/format.js";
import { onJobs } from "../core/live.js";
import { titled } from "../core/router.js";
import { Bar, Copy, dialectWord, engineWord, failureAdvice, failureWord, Loading, Panel, phaseWord, Problem, Reason, reasonWord, shownStatus, Status, Table, useLoad } from "../components/index.js";
import { Actions } from "./job/actions.js";
import { Curves } from "./job/curves.js";
import { Artifacts, Checkpoints, Samples, useArtifacts } from "./job/files.js";
import { Log } from "./job/log.js";
import { Notes } from "./job/notes.js";
import { t } from "./job.text.js";

const TAIL = 20; // lines of a failed job's log
const WHOLE = 5000; // ms between two readings of what the live stream does not tell: phase, speed, checkpoints

export default function JobPage({ id }) {
  const path = `/api/v1/training/${part(id)}`;
  const { data: loaded, problem, reload } = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  const [fresh, setFresh] = useState(null);
  useEffect(() => onJobs((changed) => (changed === null ? reload() : changed.task_id === id && setFresh(changed))), [id, reload]);
  useEffect(() => {
    if (loaded?.status !== "running") return undefined;
    const timer = setInterval(reload, WHOLE);
    return () => clearInterval(timer);
  }, [loaded?.status, reload]);
  const job = newer(loaded, fresh);
  useEffect(() => {
    if (job) document.title = titled([job.status === "running" && percent(job.progress.overall_progress, 0, ""), job.name].filter(Boolean).join(" · "));
  }, [job]);
  if (problem && (!job || problem.status === 404)) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!job) return html`<${Loading} />`;
  return html`
    <div class="title"><div>
      <h1>${job.name}</h1>
      <div class="sub"><${Status} status=${shownStatus(job)} /><span class="mono">${job.task_id}</span><${Copy} text=${job.task_id} label=${t("copy_id")} />
        <span>${engineWord(job.engine)}</span><span>${dialectWord(job.dialect)}</span>${job.gpu_id !== null && html`<span>GPU ${job.gpu_id}</span>`}
        ${job.tags.map((tag) => html`<span class="tag" key=${tag}>${tag}</span>`)}</div>
    </div><${Actions} job=${job} changed=${reload} /></div>
    ${job.failure && html`<${Failure} job=${job} />`}
    ${job.queue_reason && html`<div class="failure waiting"><b>${job.held ? t("held") : t("waits", { position: job.queue_position ?? NONE })}</b><p><${Reason} text=${job.queue_reason} /></p></div>`}
    <${Progress} job=${job} />
    <${Curves} job=${job} />
    <${Log} key=${job.attempts.length} id=${id} status=${job.status} />
    <${Left} job=${job} />`;
}

/** What it left behind, and what else is known of it. */
function Left({ job }) {
  const { data, problem } = useArtifacts(job);
  const artifacts = data?.artifacts ?? [];
  return html`<${Samples} job=${job} artifacts=${artifacts} />
    <div class="split"><div class="stack"><${Checkpoints} job=${job} artifacts=${artifacts} directory=${data?.directory} /><${Attempts} job=${job} /><${Artifacts} job=${job} found=${data} problem=${problem} /></div>
      <div class="stack"><${Notes} job=${job} /><${Facts} job=${job} /></div></div>`;
}

function Failure({ job }) {
  const { failure } = job;
  const advice = failureAdvice(failure.kind, "");
  const { data } = useLoad((abort) => get(`/api/v1/training/${part(job.task_id)}/logs`, { tail: TAIL }, { signal: abort }), [job.task_id, job.attempts.length]);
  return html`<div class="failure" role="alert"><b>${t("failed", { kind: failureWord(failure.kind) })}</b>${advice && html`<p>${advice}</p>`}${failure.hint && html`<p lang="en">${failure.hint}</p>`}
    ${(failure.line || job.error_message) && html`<pre>${failure.line ?? job.error_message}</pre>`}
    ${data?.logs.length > 0 && html`<details><summary>${t("tail", { count: data.logs.length })}</summary><pre class="tail" tabindex="0">${data.logs.map((line) => line.message).join("\n")}</pre></details>`}</div>`;
}

/** The job as it was loaded, with what the live stream has told since. */
function newer(loaded, fresh) {
  if (!loaded || !fresh || fresh.status !== loaded.status || fresh.updated_at <= loaded.updated_at) return loaded;
  return { ...loaded, progress: fresh.progress, metrics: { ...loaded.metrics, ...fresh.metrics }, stop_requested_at: fresh.stop_requested_at };
}

function Progress({ job }) {
  const { progress, metrics, speed } = job;
  const running = job.status === "running";
  const known = progress.overall_progress !== null;
  const of = (value, total) => (value === null ? NONE : html`${integer(value)}${total !== null && html`<small> / ${integer(total)}</small>`}`);
  const figures = [
    ...(running ? [[t("phase"), phaseWord(job.phase)]] : []),
    [t("step"), of(progress.current_step, progress.total_steps)],
    [t("epoch"), of(progress.current_epoch, progress.total_epochs)],
    [t("loss"), number(metrics.current_loss)],
    [t("best"), number(metrics.best_loss)],
    [t("rate"), number(metrics.learning_rate)],
    [t("speed"), speed.time_per_step === null ? NONE : t("per_step", { time: number(speed.time_per_step, 3) })],
    [t("ran"), duration(progress.training_time)],
    ...(running ? [[t("left"), duration(progress.eta_seconds)], ["CPU", percent(job.system_stats.cpu_percent)], [t("memory"), bytes(job.system_stats.rss_bytes)]] : []),
  ].filter(([, value]) => value !== NONE);
  if (!running && !known && figures.length === 0) return null;
  return html`<${Panel} title=${t("progress")} tools=${known && html`<b>${percent(progress.overall_progress, 1)}</b>`}><div class="progress">
    ${(running || known) && html`<${Bar} value=${progress.overall_progress} tone=${job.status} label=${t("progress")} />`}
    <dl class="figures">${figures.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>
  </div><//>`;
}

function Attempts({ job }) {
  const columns = [
    { key: "number", label: "#", class: "right", cell: (one) => one.number },
    { key: "began", label: t("began"), class: "nowrap", cell: (one) => moment(one.started_at) },
    { key: "ended", label: t("ended"), class: "nowrap phone-hidden", cell: (one) => moment(one.ended_at) },
    { key: "reason", label: t("reason"), cell: (one) => (one.reason ? reasonWord(one.reason) : NONE) },
    { key: "code", label: t("exit_code"), class: "right", cell: (one) => one.exit_code ?? NONE },
    { key: "from", label: t("from"), class: "mono phone-hidden", cell: (one) => one.resume_from?.split("/").pop() ?? NONE },
  ];
  const told = columns.filter((one) => one.key === "number" || job.attempts.some((attempt) => one.cell(attempt) !== NONE));
  if (told.length === 1) return null;
  return html`<${Panel} title=${t("attempts")} count=${job.attempts.length}><${Table} label=${t("attempts")} columns=${told} rows=${job.attempts} rowKey=${(one) => one.number} /><//>`;
}

function Facts({ job }) {
  const facts = [
    [t("description"), job.description === job.name ? null : job.description], [t("submitted"), moment(job.created_at)], [t("began"), moment(job.started_at)], [t("ended"), moment(job.completed_at)],
    [t("reason"), job.reason && reasonWord(job.reason)], [t("model_type"), job.model_type], [t("priority"), job.priority], [t("output"), job.output_dir, "mono"],
    [t("log_file"), job.logs_path, "mono"], [t("command"), job.command.join(" "), "mono"],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== NONE);
  return html`<${Panel} title=${t("facts")}>
    ${job.warnings.length > 0 && html`<ul class="lost body">${job.warnings.map((line) => html`<li key=${line}>${line}</li>`)}</ul>`}
    <dl class="facts">${facts.map(([label, value, kind]) => html`<dt key=${label}>${label}</dt><dd class=${kind}>${value}</dd>`)}</dl><//>`;
}
