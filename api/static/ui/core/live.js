// One stream (/api/v1/system/live) for all that changes by itself. It begins with the whole state, so that what is
// shown is true again after any gap: a lost connection, a restart of the service, a computer that slept.
import { signal, batch } from "./view.js";
import { me, whoAmI } from "./api.js";

const SILENT = 25000; // ms; the service says something every 10 s
const HIDDEN = 60000; // ms after which a page that nobody sees gives its connection back
const MOST_POINTS = 240; // of a loss line, before every second one is dropped
const TRAIL = 30; // readings of a GPU that are kept, two seconds apart

/** "connecting" | "live" | "lost" */
export const connection = signal("connecting");
export const overview = signal(null);
export const gpus = signal(null);
export const queue = signal(null);
export const running = signal(null);
export const ended = signal(null);
/** GPU number -> its utilization in the last minute, oldest first */
export const trails = signal({});

const listeners = new Set();
let source = null;
let retry = 0;
let timer = null;
let watchdog = null;
let hiding = null;

/** `hear(job)` for each job that has changed, `hear(null)` when anything may have. Returns how to stop. */
export function onJobs(hear) {
  listeners.add(hear);
  return () => listeners.delete(hear);
}

const tell = (job) => [...listeners].forEach((hear) => hear(job));

export function open() {
  close();
  const mine = new EventSource("/api/v1/system/live");
  source = mine;
  const on = (kind, take) =>
    mine.addEventListener(kind, (event) => {
      if (source !== mine) return;
      heard();
      batch(() => take(JSON.parse(event.data)));
    });
  on("state", takeState);
  on("machine", takeMachine);
  on("job", takeJob);
  mine.onerror = () => source === mine && lost();
  guard();
}

export function close() {
  source?.close();
  source = null;
  clearTimeout(timer);
  clearTimeout(watchdog);
}

function heard() {
  retry = 0;
  connection.value = "live";
  guard();
}

function guard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(lost, SILENT);
}

async function lost() {
  close();
  connection.value = "lost";
  timer = setTimeout(again, Math.min(10000, 500 * 2 ** retry) * (0.75 + Math.random() / 2));
  retry += 1;
}

/** A stream does not say why it failed; the session may have ended. */
async function again() {
  try {
    const found = await whoAmI();
    if (found === null) me.value = null;
    else open();
  } catch {
    lost();
  }
}

function takeState(state) {
  takeMachine(state);
  running.value = state.running;
  trails.value = Object.fromEntries(Object.entries(state.trails).map(([gpu, values]) => [gpu, padded(values)]));
  ended.value = state.ended;
  tell(null);
}

function takeMachine(now) {
  overview.value = now.overview;
  gpus.value = now.gpus;
  queue.value = now.queue;
  trails.value = Object.fromEntries(now.gpus.map((gpu) => [gpu.gpu_id, padded([...(trails.value[gpu.gpu_id] ?? []), gpu.utilization_gpu])]));
}

const padded = (values) => [...new Array(TRAIL).fill(null), ...values].slice(-TRAIL);

function takeJob(job) {
  const found = running.value?.findIndex((one) => one.task_id === job.task_id) ?? -1;
  if (found >= 0) {
    const list = [...running.value];
    list[found] = { ...job, losses: grown(list[found].losses, job) };
    running.value = list;
  }
  tell(job);
}

function grown(line, job) {
  const step = job.progress.current_step ?? job.progress.current_epoch;
  const loss = job.metrics.current_loss;
  if (step === null || loss === null || (line.length && line[line.length - 1][0] >= step)) return line;
  const next = [...line, [step, loss]];
  return next.length <= MOST_POINTS ? next : next.filter((_, index) => index % 2 === 0 || index === next.length - 1);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(close, HIDDEN);
  else if (source === null && me.value) open();
});
addEventListener("online", () => me.value && open());
