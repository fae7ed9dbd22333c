// What the list and the page of a webhook share.
import { html } from "../../core/view.js";
import { part, post } from "../../core/api.js";
import { ago } from "../../core/format.js";
import { say, Status } from "../../components/index.js";
import { t } from "../webhooks.text.js";

export const EVENTS = ["job.started", "job.completed", "job.failed", "job.stopped"];

export const newSchema = (admin) => ({
  required: ["url"],
  properties: {
    url: { type: "string", title: t("url"), description: t("url_hint") },
    events: { type: "array", items: { enum: EVENTS }, title: t("events"), description: t("events_hint") },
    description: { type: "string", title: t("description"), maxLength: 200 },
    scope: { type: "string", enum: admin ? ["own", "workspace", "all"] : ["own", "workspace"], title: t("scope"), description: t("scope_hint") },
    workspace_id: { type: "integer", minimum: 1, title: t("workspace_id") },
  },
});

export function State({ hook }) {
  if (!hook.enabled) return html`<span title=${hook.disabled_reason ?? ""}><${Status} status="stopped" /> ${hook.disabled_reason && html`<small>${hook.disabled_reason}</small>`}</span>`;
  if (hook.failing_since) return html`<span class="status failed"><i aria-hidden="true"></i>${t("failing", { since: ago(hook.failing_since) })}</span>`;
  return html`<span class="status completed"><i aria-hidden="true"></i>${t("enabled")}</span>`;
}

/** Sends one message now and says what came of it. */
export async function test(hook) {
  const told = await post(`/api/v1/webhooks/${part(hook.id)}/test`);
  if (told.state === "delivered") say(t("test_arrived", { status: told.status_code }));
  else say(t("test_failed", { error: told.error ?? told.status_code }), "error");
}
