// Lists of what jobs make of a model: read again as those jobs go on.
import { html, useEffect } from "../../core/view.js";
import { get } from "../../core/api.js";
import { ago, moment } from "../../core/format.js";
import { onJobs } from "../../core/live.js";
import { jobLink } from "../../core/router.js";
import { Status, useLoad } from "../../components/index.js";
import { t } from "../model.text.js";

export function useMade(path, name) {
  const loaded = useLoad(async (abort) => (await get(path, {}, { signal: abort }))[name], [path]);
  const ids = (loaded.data ?? []).filter((one) => one.status === "running").map((one) => one.job_id).join(" ");
  useEffect(() => {
    if (!ids) return undefined;
    return onJobs((job) => (job === null || (ids.includes(job.task_id) && job.status !== "running")) && loaded.reload());
  }, [ids, loaded.reload]);
  return loaded;
}

export const statusColumn = () => ({
  key: "status", label: t("status"), class: "break",
  cell: (made) => html`<${Status} status=${made.status} />${made.error && html`<p class="error">${made.error}</p>`}${made.warnings.map((warning) => html`<p class="hint" key=${warning}>${warning}</p>`)}`,
});
export const jobColumn = () => ({ key: "job", label: t("job"), class: "mono phone-hidden", cell: (made) => html`<a href=${jobLink(made.job_id)}>${made.job_id}</a>` });
export const whenColumn = () => ({ key: "when", label: t("when"), class: "nowrap phone-hidden", cell: (made) => html`<span title=${moment(made.created_at)}>${ago(made.created_at)}</span>` });
