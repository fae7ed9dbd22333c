// Small pieces: status, progress, buttons, panels, empty states.
import { html, useState } from "../core/view.js";
import { percent } from "../core/format.js";
import { statusWord, t } from "./words.js";
import { say } from "./toast.js";

const PATHS = {
  home: "M3 11.5 12 4l9 7.5M5.5 10v10h13V10M10 20v-6h4v6",
  jobs: "M4 6h16M4 12h16M4 18h10",
  add: "M12 5v14M5 12h14",
  data: "M4 6c0-4 16-4 16 0v12c0 4-16 4-16 0zM4 6c0 4 16 4 16 0M4 12c0 4 16 4 16 0",
  models: "M12 3 20 7.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  documents: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.5-4 3-6 6.5-6s6 2 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6M17.5 14.5c2.5.7 3.7 2.5 4 5.5",
  draw: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  out: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  undo: "M9 7 4 12l5 5M4 12h10a6 6 0 0 1 6 6v1",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 0 0-6 6v1",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  hand: "M12 3v18M3 12h18M12 3 9.5 5.5M12 3l2.5 2.5M12 21l-2.5-2.5M12 21l2.5-2.5M3 12l2.5-2.5M3 12l2.5 2.5M21 12l-2.5-2.5M21 12l-2.5 2.5",
  book: "M4 5c3-1 6-1 8 1 2-2 5-2 8-1v14c-3-1-6-1-8 1-2-2-5-2-8-1zM12 6v14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  close: "M6 6l12 12M18 6 6 18",
  pause: "M9 5v14M15 5v14",
  check: "M5 12.5l4.5 4.5L19 7.5",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 21 21",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  down: "M12 4v12M6 11l6 6 6-6M5 20h14",
  queue: "M4 7h10M4 12h10M4 17h10M18 6v12M15.5 15.5 18 18l2.5-2.5",
  hook: "M8 5a4 4 0 1 1 5.5 5L10 16M7.5 12A4 4 0 1 0 11 18h6M17 18a3 3 0 1 0-2-5l-3.5-6",
  about: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 7.5v.5",
};

export function Icon({ name, size = 16 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor"
    stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

/** `kind`: primary, danger, quiet. While `run` is under way it cannot be pressed again, but keeps the focus; a failure is said. */
export function Button({ run, kind = "", children, disabled = false, ...more }) {
  const [busy, setBusy] = useState(false);
  const press = async (event) => {
    if (busy) return;
    setBusy(true);
    try {
      await run(event);
    } catch (problem) {
      say(problem.message, "error");
    } finally {
      setBusy(false);
    }
  };
  return html`<button type="button" class=${`button ${kind}`} disabled=${disabled} aria-disabled=${busy || undefined} aria-busy=${busy} onClick=${press} ...${more}>${children}</button>`;
}

export const shownStatus = (job) =>
  job.status === "running" && job.stop_requested_at ? "stopping" : job.status === "queued" && job.held ? "held" : job.status;

export function Status({ status }) {
  return html`<span class=${`status ${status}`}><i aria-hidden="true"></i>${statusWord(status)}</span>`;
}

/** `value`: percent, or null where it is not known. */
export function Bar({ value, label, tone = "" }) {
  const known = value !== null && value !== undefined;
  const text = known ? t("done", { percent: percent(value, 1) }) : t("unknown_done");
  return html`<div class=${`bar ${tone} ${known ? "" : "unknown"}`} role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
    aria-valuenow=${known ? Math.round(value) : undefined} aria-valuetext=${text}><i style=${{ width: `${known ? value : 100}%` }}></i></div>`;
}

/** A bar that tells how full something is. */
export function Meter({ value, label, text }) {
  const known = value !== null && value !== undefined;
  const tone = value >= 95 ? "hot" : value >= 80 ? "warm" : "";
  return html`<div class=${`bar meter ${tone}`} role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
    aria-valuenow=${known ? Math.round(value) : 0} aria-valuetext=${text}><i style=${{ width: `${known ? value : 0}%` }}></i></div>`;
}

export function Panel({ title, count = null, tools, children }) {
  return html`<section class="panel" aria-label=${title}>
    <header><h2>${title}${count !== null && html`<span class="count">${count}</span>`}</h2><div class="tools">${tools}</div></header>
    ${children}
  </section>`;
}

export function Copy({ text, label }) {
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    say(t("copied"));
  };
  return html`<${Button} kind="quiet small" run=${copy} aria-label=${label ?? t("copy")} title=${t("copy")}><${Icon} name="copy" size=${14} /><//>`;
}

export function Code({ text, label }) {
  return html`<div class="code"><pre tabindex="0" aria-label=${label ?? "curl"}>${text}</pre>${navigator.clipboard && html`<${Copy} text=${text} />`}</div>`;
}

/** What to do where there is nothing yet, and the same as a command. */
export function Empty({ title, children, curl }) {
  return html`<div class="empty"><p class="lead">${title}</p>${children && html`<p>${children}</p>`}${curl && html`<${Code} text=${curl} />`}</div>`;
}

export function Loading() {
  return html`<div class="loading" role="status">${t("loading")}</div>`;
}

export function Problem({ problem, retry }) {
  return html`<div class="problem" role="alert"><p>${problem.message}</p>${retry && html`<${Button} run=${retry}>${t("retry")}<//>`}</div>`;
}

export const curl = (path, more = "") => `curl ${more}${location.origin}${path}`;
