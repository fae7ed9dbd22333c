// Stop, resume, restart, delete; what would be lost is said first.
import { html } from "../../core/view.js";
import { part, patch, post, remove } from "../../core/api.js";
import { bytes, integer } from "../../core/format.js";
import { go, link } from "../../core/router.js";
import { Button, confirm, say } from "../../components/index.js";
import { t } from "../job.text.js";

const states = (job) => job.checkpoints.filter((one) => one.kind === "state");

/** What ends with the job's processes, as far as it is known. */
function unsaved(job) {
  if (job.engine === "preprocessing") return t("lost_dataset");
  const step = job.progress.current_step;
  const last = states(job).at(-1);
  if (step === null || (last && last.step === null)) return t("force_lost");
  if (!last) return t("lost_all_steps", { steps: integer(step) });
  return t("lost_steps", { steps: integer(Math.max(0, step - last.step)), name: last.name });
}

export function Actions({ job, changed }) {
  const path = (verb) => `/api/v1/training/${verb}/${part(job.task_id)}`;
  const done = async (word) => {
    say(t(word));
    await changed();
  };

  const stop = async () => {
    const lost = job.engine === "preprocessing" && job.status === "running" ? [t("lost_dataset")] : [];
    const answer = await confirm({ title: t("stop_title"), text: t(job.status === "queued" ? "stop_queued" : "stop_text"), lost, action: t("stop"), danger: true });
    if (answer === null) return;
    await post(path("stop"), { force: false });
    await done("stop_asked");
  };
  const force = async () => {
    const answer = await confirm({ title: t("force_title"), lost: [unsaved(job)], action: t("force"), danger: true });
    if (answer === null) return;
    await post(path("stop"), { force: true });
    await done("stop_asked");
  };
  const resume = async () => {
    const saved = states(job).reverse();
    const options = saved.map((one, index) => ({ value: one.name, label: index === 0 ? t("newest", { name: one.name }) : one.name }));
    const answer = await confirm({ title: t("resume_title"), text: t("resume_text"), action: t("resume"), choices: [{ name: "checkpoint", label: t("from"), options }] });
    if (answer === null) return;
    await post(path("resume"), answer.checkpoint ? { checkpoint: answer.checkpoint } : {});
    await done("resumed");
  };
  const restart = async () => {
    const answer = await confirm({ title: t("restart_title"), text: t("restart_text"), action: t("restart") });
    if (answer === null) return;
    await post(path("restart"));
    await done("restarted");
  };
  const erase = async () => {
    const size = job.checkpoints.reduce((sum, one) => sum + one.size_bytes, 0);
    const files = job.checkpoints.length ? t("delete_checkpoints", { count: job.checkpoints.length, size: bytes(size), place: job.output_dir }) : job.output_dir;
    const answer = await confirm({
      title: t("delete_title", { name: job.name }), lost: [t("delete_lost")], action: t("delete"), danger: true,
      choices: [{ name: "files", label: t("delete_files"), hint: files }],
    });
    if (answer === null) return;
    go("/jobs"); // before it is gone, so that nothing of this page asks for it again
    await remove(`/api/v1/training/${part(job.task_id)}`, { files: answer.files ? "true" : "" });
    say(t("deleted"));
  };
  const hold = async () => {
    await post(path(job.held ? "release" : "hold"));
    await changed();
  };
  const prefer = async (event) => {
    try {
      await patch(`/api/v1/training/${part(job.task_id)}`, { priority: Number(event.currentTarget.value) });
      await changed();
    } catch (problem) {
      say(problem.message, "error");
    }
  };

  const queued = job.status === "queued";
  const running = job.status === "running";
  const over = !queued && !running;
  const resumable = over && job.status !== "completed" && states(job).length > 0;
  const turn = (running || queued) && !job.stop_requested_at ? html`<${Button} run=${stop}>${t("stop")}<//>`
    : running ? html`<${Button} kind="danger" run=${force}>${t("force")}<//>`
    : resumable && html`<${Button} kind="primary" run=${resume}>${t("resume")}<//>`; // one place, so that who has pressed it keeps the focus
  return html`<div class="actions">
    ${queued && html`<select aria-label=${t("priority")} title=${t("priority")} value=${job.priority} onChange=${prefer}>
      ${[...Array(11).keys()].map((one) => html`<option key=${one} value=${one}>${t("priority")} ${one}</option>`)}</select>
      <${Button} run=${hold}>${job.held ? t("release") : t("hold")}<//>`}
    ${turn}
    ${over && html`<${Button} run=${restart}>${t("restart")}<//>`}
    <a class="button" href=${link("/new", { from: job.task_id })}>${t("again")}</a>
    ${!running && html`<${Button} kind="danger" run=${erase}>${t("delete")}<//>`}
  </div>`;
}
