// Stop, resume, restart, delete; what would be lost is said first.
import { html } from "../../core/view.js";
import { part, patch, post, remove } from "../../core/api.js";
import { go } from "../../core/router.js";
import { Button, confirm, say } from "../../components/index.js";
import { t } from "../job.text.js";

export function Actions({ job, changed }) {
  const path = (verb) => `/api/v1/training/${verb}/${part(job.task_id)}`;
  const done = async (word) => {
    say(t(word));
    await changed();
  };

  const stop = async () => {
    const answer = await confirm({ title: t("stop_title"), text: t("stop_text"), action: t("stop"), danger: true });
    if (answer === null) return;
    await post(path("stop"), { force: false });
    await done("stop_asked");
  };
  const force = async () => {
    const answer = await confirm({ title: t("force_title"), lost: [t("force_lost")], action: t("force"), danger: true });
    if (answer === null) return;
    await post(path("stop"), { force: true });
    await done("stop_asked");
  };
  const resume = async () => {
    await post(path("resume"));
    await done("resumed");
  };
  const restart = async () => {
    const answer = await confirm({ title: t("restart_title"), text: t("restart_text"), action: t("restart") });
    if (answer === null) return;
    await post(path("restart"));
    await done("restarted");
  };
  const erase = async () => {
    const answer = await confirm({
      title: t("delete_title", { name: job.name }), lost: [t("delete_lost")], action: t("delete"), danger: true,
      choices: [{ name: "files", label: t("delete_files"), hint: job.output_dir }],
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
  const resumable = over && job.status !== "completed" && job.checkpoints.some((one) => one.kind === "state");
  return html`<div class="actions">
    ${queued && html`<select aria-label=${t("priority")} title=${t("priority")} value=${job.priority} onChange=${prefer}>
      ${[...Array(11).keys()].map((one) => html`<option key=${one} value=${one}>${t("priority")} ${one}</option>`)}</select>
      <${Button} run=${hold}>${job.held ? t("release") : t("hold")}<//>`}
    ${(running || queued) && !job.stop_requested_at && html`<${Button} run=${stop}>${t("stop")}<//>`}
    ${running && job.stop_requested_at && html`<${Button} kind="danger" run=${force}>${t("force")}<//>`}
    ${resumable && html`<${Button} kind="primary" run=${resume}>${t("resume")}<//>`}
    ${over && html`<${Button} run=${restart}>${t("restart")}<//>`}
    ${!running && html`<${Button} kind="danger" run=${erase}>${t("delete")}<//>`}
  </div>`;
}
