// Webhooks: who is told of what, whether it arrives, and a call to try.
import { html, useState } from "../core/view.js";
import { get, me, part, patch, post } from "../core/api.js";
import { link } from "../core/router.js";
import { Button, Code, curl, Empty, Loading, Panel, Problem, say, Table, useLoad } from "../components/index.js";
import { FormDialog, Once } from "../components/form-dialog.js";
import { newSchema, State, test } from "./webhooks/common.js";
import { t } from "./webhooks.text.js";

export default function Webhooks() {
  const { data, problem, reload } = useLoad((abort) => get("/api/v1/webhooks", { limit: 200 }, { signal: abort }), []);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState(null);
  const admin = me.value.scopes.includes("admin");
  const add = async (value) => {
    setMade(await post("/api/v1/webhooks", value));
    await reload();
  };
  const toggle = async (hook) => {
    await patch(`/api/v1/webhooks/${part(hook.id)}`, { enabled: !hook.enabled });
    await reload();
  };
  const columns = [
    { key: "url", label: t("url"), class: "wide", cell: (hook) => html`<a href=${link(`/webhook/${hook.id}`)}>${hook.url}</a><small>${hook.description || t(`scope_${hook.scope}`)}</small>` },
    { key: "events", label: t("events"), class: "phone-hidden", cell: (hook) => hook.events.map((event) => html`<span class="tag" key=${event}>${event}</span>`) },
    { key: "state", label: t("state"), class: "nowrap", cell: (hook) => html`<${State} hook=${hook} />` },
    {
      key: "do", label: t("actions"), class: "nowrap phone-hidden",
      cell: (hook) => html`<div class="actions"><${Button} kind="small" run=${async () => (await test(hook), await reload())}>${t("test")}<//><${Button} kind="small" run=${() => toggle(hook)}>${hook.enabled ? t("switch_off") : t("switch_on")}<//></div>`,
    },
  ];
  return html`<div class="title"><h1>${t("title")}</h1><div class="actions"><${Button} kind="primary" run=${async () => setAdding(true)}>${t("add")}<//></div></div>
    ${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : !data ? html`<${Loading} />` : html`<${Panel} title=${t("title")} count=${data.pagination.total}>
      ${data.webhooks.length === 0
        ? html`<${Empty} title=${t("none")} curl=${curl("/api/v1/webhooks", `-H 'Content-Type: application/json' -d '{"url": "ADDRESS"}' `)}>${t("none_more")}<//>`
        : html`<${Table} label=${t("title")} columns=${columns} rows=${data.webhooks} rowKey=${(hook) => hook.id} />`}<//>`}
    ${adding && html`<${FormDialog} title=${t("add")} action=${t("add")} schema=${newSchema(admin)} first=${["url", "events", "description"]} send=${add} close=${() => setAdding(false)} />`}
    ${made && html`<${Once} title=${t("made")} text=${t("secret_once")} secret=${html`<${Code} text=${made.secret} label=${t("secret")} />`} close=${() => (setMade(null), say(t("added")))} />`}`;
}
