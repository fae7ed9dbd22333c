// Everything at a glance, live: GPUs, what runs, what waits and why, what ended.
import { html } from "../core/view.js";
import { ago, bytes, clock, duration, integer, megabytes, NONE, number, percent } from "../core/format.js";
import { ended, gpus, overview, queue, running, trails } from "../core/live.js";
import { jobLink, link } from "../core/router.js";
import { Bar, curl, Empty, engineWord, failureWord, Icon, Loading, Meter, Panel, Reason, shownStatus, Spark, Status, translated } from "../components/index.js";
import { t } from "./home.text.js";

export default function Home() {
  if (overview.value === null) return html`<${Loading} />`;
  return html`<h1 class="sr">${t("title")}</h1>
    <${Machine} />
    <${Gpus} />
    <div class="split"><${Running} /><${Queue} /></div>
    <${Ended} />`;
}

function Machine() {
  const { system, tasks, gpus: cards, uptime } = overview.value;
  const share = (used, total) => (total ? (100 * used) / total : null);
  const load = [
    [t("cpu"), system.cpu_usage, `${percent(system.cpu_usage)}`, t("cores", { count: system.cpu_count })],
    [t("memory"), share(system.memory_used, system.memory_total), bytes(system.memory_used), t("of", { total: bytes(system.memory_total) })],
    [t("disk"), share(system.disk_used, system.disk_total), bytes(system.disk_free), t("free")],
  ];
  const counts = [
    [t("gpus_free"), cards.total ? `${cards.available}/${cards.total}` : NONE, null],
    [t("running"), integer(tasks.running), "running"],
    [t("queued"), integer(tasks.queued), "queued"],
    [t("failed"), integer(tasks.failed), "failed"],
    [t("completed"), integer(tasks.completed), "completed"],
  ];
  return html`<section class="strip" aria-label=${t("machine")} title=${t("up", { time: duration(uptime) })}>
    ${load.map(([label, value, text, more]) => html`<div class="load" key=${label}><div><span>${label}</span><b>${text}</b><small>${more}</small></div><${Meter} value=${value} label=${label} text=${`${text} ${more}`} /></div>`)}
    <dl>${counts.map(([label, value, status]) => html`<div key=${label}><dt>${label}</dt><dd>${status ? html`<a href=${link("/jobs", { status })}>${value}</a>` : value}</dd></div>`)}</dl>
  </section>`;
}

function Gpus() {
  const found = gpus.value;
  if (found.length === 0) {
    return html`<${Panel} title=${t("gpus")}><${Empty} title=${t("no_gpus")} curl="python run.py doctor">${t("no_gpus_more")}<//><//>`;
  }
  return html`<${Panel} title=${t("gpus")} count=${found.length}><div class="gpus">${found.map((gpu) => html`<${Gpu} key=${gpu.gpu_id} gpu=${gpu} />`)}</div><//>`;
}

function Gpu({ gpu }) {
  const trail = trails.value[gpu.gpu_id] ?? [];
  const name = `GPU ${gpu.gpu_id}`;
  const memory = `${megabytes(gpu.memory_used)} / ${megabytes(gpu.memory_total)}`;
  const heat = gpu.temperature >= 85 ? "hot" : gpu.temperature >= 75 ? "warm" : "";
  return html`<article class="gpu" aria-label=${name}>
    <header><b>${name}</b><small title=${gpu.name}>${gpu.name ?? NONE}</small><${Status} status=${gpu.drained ? "drained" : gpu.status} /></header>
    <div class="load"><div><span>${t("utilization")}</span><b>${percent(gpu.utilization_gpu)}</b></div>
      <${Spark} values=${trail} floor=${0} ceiling=${100} height=${26} label=${t("trail", { name })} /></div>
    <div class="load"><div><span>${t("memory")}</span><b>${memory}</b></div><${Meter} value=${gpu.memory_utilization} label=${`${name} ${t("memory")}`} text=${memory} /></div>
    <footer><span class=${heat} title=${t("temperature")}>${gpu.temperature === null ? NONE : `${gpu.temperature} °C`}</span>
      <span title=${t("power")}>${gpu.power_usage === null ? NONE : `${Math.round(gpu.power_usage)} W`}</span><${Holder} gpu=${gpu} /></footer>
  </article>`;
}

function Holder({ gpu }) {
  if (gpu.current_task) {
    const job = running.value?.find((one) => one.task_id === gpu.current_task);
    const rest = gpu.estimated_remaining_time === null ? "" : ` · ${duration(gpu.estimated_remaining_time)}`;
    return html`<a class="holder" href=${jobLink(gpu.current_task)} title=${gpu.current_task}>${job?.name ?? gpu.current_task}${rest}</a>`;
  }
  const others = gpu.processes.filter((process) => process.run_id === null);
  if (gpu.drained) return html`<span class="holder" title=${gpu.drained}>${gpu.drained}</span>`;
  if (others.length) return html`<span class="holder" title=${others.map((one) => `${one.name ?? "?"} (${one.pid})`).join(", ")}>${t("foreign", { name: others[0].name ?? others[0].pid })}</span>`;
  return html`<span class="holder none">${t("nobody")}</span>`;
}

function Running() {
  const found = running.value;
  return html`<${Panel} title=${t("running")} count=${found.length}>
    ${found.length === 0
      ? html`<${Empty} title=${t("nothing_runs")} curl=${curl("/api/v1/training/start", "-H 'Content-Type: application/json' -d @examples/training_request.json ")}>${t("nothing_runs_more")}<//>`
      : html`<ul class="rows">${found.map((job) => html`<${RunningJob} key=${job.task_id} job=${job} />`)}</ul>`}
  <//>`;
}

function RunningJob({ job }) {
  const { progress, metrics } = job;
  const told = [
    progress.current_step !== null && t("step", { step: integer(progress.current_step), total: progress.total_steps === null ? "?" : integer(progress.total_steps) }),
    progress.current_epoch !== null && t("epoch", { epoch: integer(progress.current_epoch), total: progress.total_epochs === null ? "?" : integer(progress.total_epochs) }),
    job.gpu_id !== null && `GPU ${job.gpu_id}`,
  ].filter(Boolean);
  const eta = progress.eta_seconds;
  const ran = job.started_at ? (clock.value - Date.parse(job.started_at)) / 1000 : null;
  return html`<li class="run"><a href=${jobLink(job.task_id)}>
    <div class="what"><b title=${job.name}>${job.name}</b><${Status} status=${shownStatus(job)} /></div>
    <div class="line"><span class="mono">${number(metrics.current_loss)}</span><${Spark} values=${job.losses.map(([, loss]) => loss)} at=${job.losses.map(([step]) => step)} label=${t("loss_of", { name: job.name })} /></div>
    <div class="how"><${Bar} value=${progress.overall_progress} label=${t("progress_of", { name: job.name })} />
      <small><span>${told.join(" · ")}</span><span>${eta === null ? t("ran", { time: duration(ran) }) : t("eta", { time: duration(eta) })}</span></small></div>
    <span class="percent">${progress.overall_progress === null ? NONE : percent(progress.overall_progress)}</span>
  </a></li>`;
}

function Queue() {
  const { jobs, waiting } = queue.value;
  return html`<${Panel} title=${t("queue")} count=${waiting}>
    ${jobs.length === 0
      ? html`<${Empty} title=${waiting ? t("others_wait", { count: waiting }) : t("nothing_waits")} />`
      : html`<ol class="rows queue">${jobs.map((place) => html`<li key=${place.task_id}>
          <span class="position" title=${t("position")}>${place.held ? html`<${Icon} name="pause" size=${13} />` : place.position}</span>
          <a href=${jobLink(place.task_id)} title=${place.task_id}>${place.name}</a>
          <small class="wants">${[place.gpus > 0 && t("wants_gpus", { count: place.gpus }), place.priority > 0 && t("priority", { priority: place.priority })].filter(Boolean).join(" · ")}</small>
          <small class="why" title=${translated(place.reason)}><${Reason} text=${place.reason} /></small>
        </li>`)}</ol>
        ${waiting > jobs.length && html`<p class="more"><a href=${link("/jobs", { status: "queued" })}>${t("all_waiting", { count: integer(waiting) })}</a></p>`}`}
  <//>`;
}

function Ended() {
  const found = ended.value;
  if (found.length === 0) return null;
  return html`<${Panel} title=${t("ended")} tools=${html`<a href=${link("/jobs")}>${t("all")}</a>`}>
    <ul class="rows ended">${found.map((job) => html`<li key=${job.task_id}><a href=${jobLink(job.task_id)}>
      <${Status} status=${job.status} /><b title=${job.name}>${job.name}</b><span class="engine">${job.failure ? failureWord(job.failure.kind) : engineWord(job.engine)}</span>
      <span class="mono loss">${job.metrics.current_loss === null ? "" : number(job.metrics.current_loss)}</span>
      <span class="time">${duration(job.progress.training_time)}</span><small>${ago(job.completed_at)}</small><${Icon} name="right" size=${14} /></a></li>`)}</ul>
  <//>`;
}
