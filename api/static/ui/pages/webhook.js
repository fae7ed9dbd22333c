// One webhook: what it tells, what was sent, and what came of it.
import { html, useEffect, useState } from "../core/view.js";
import { get, part, patch, post, remove } from "../core/api.js";
import { ago, moment, NONE, number } from "../core/format.js";
import { onJobs } from "../core/live.js";
import { go, link, place, refine } from "../core/router.js";
import { Button, Code, confirm, Dialog, Empty, Loading, Pages, Panel, Problem, say, Table, useLoad } from "../components/index.js";
import { FormDialog, Once } from "../components/form-dialog.js";
import { EVENTS, State, test } from "./webhooks/common.js";
import { t } from "./webhooks.text.js";

const LIMIT = 25;
const TONE = { pending: "queued", delivered: "completed", failed: "failed" };

export default function WebhookPage({ id }) {
  const path = `/api/v1/webhooks/${part(id)}`;
  const { data: hook, problem, reload } = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  const [changing, setChanging] = useState(false);
  const [secret, setSecret] = useState(null);
  const [tried, setTried] = useState(0);
  if (problem) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!hook) return html`<${Loading} />`;
  const again = async () => {
    setTried(tried + 1);
    await reload();
  };
  const rotate = async () => {
    const answer = await confirm({ title: t("rotate_title"), text: t("rotate_text"), action: t("rotate") });
    if (answer !== null) setSecret((await post(`${path}/rotate-secret`)).secret);
  };
  const erase = async () => {
    const answer = await confirm({ title: t("delete_title"), lost: [t("delete_lost")], action: t("delete"), danger: true });
    if (answer === null) return;
    await remove(path);
    say(t("deleted"));
    go("/webhooks");
  };
  const facts = [[t("events"), hook.events.join(", ")], [t("scope"), t(`scope_${hook.scope}`)], [t("description"), hook.description], [t("made_at"), moment(hook.created_at)], [t("paused"), hook.paused_until && moment(hook.paused_until)]].filter(([, value]) => value);
  const schema = {
    properties: {
      url: { type: "string", title: t("url") }, events: { type: "array", items: { enum: EVENTS }, title: t("events") }, description: { type: "string", title: t("description"), maxLength: 200 },
    },
  };
  return html`<div class="title"><div><h1 class="mono">${hook.url}</h1><div class="sub"><${State} hook=${hook} /><a href=${link("/webhooks")}>${t("title")}</a></div></div>
      <div class="actions"><${Button} kind="primary" run=${async () => (await test(hook), await again())}>${t("test")}<//>
        <${Button} run=${async () => setChanging(true)}>${t("change")}<//><${Button} run=${rotate}>${t("rotate")}<//>
        <${Button} run=${async () => (await patch(path, { enabled: !hook.enabled }), await reload())}>${hook.enabled ? t("switch_off") : t("switch_on")}<//>
        <${Button} kind="danger" run=${erase}>${t("delete")}<//></div></div>
    <${Deliveries} path=${path} tried=${tried} />
    <${Panel} title=${t("facts")}><dl class="facts">${facts.map(([label, value]) => html`<dt key=${label}>${label}</dt><dd>${value}</dd>`)}</dl><//>
    ${changing && html`<${FormDialog} title=${t("change")} action=${t("save")} schema=${schema} initial=${{ url: hook.url, events: hook.events, description: hook.description }} close=${() => setChanging(false)}
      send=${async (value) => (await patch(path, { description: "", ...value }), await reload())} />`}
    ${secret && html`<${Once} title=${t("rotated")} text=${t("secret_once")} secret=${html`<${Code} text=${secret} label=${t("secret")} />`} close=${() => setSecret(null)} />`}`;
}

function Deliveries({ path, tried }) {
  const { state = "" } = place.value.query;
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  const { data, problem, reload } = useLoad((abort) => get(`${path}/deliveries`, { state, offset: offset || "", limit: LIMIT }, { signal: abort }), [path, state, offset, tried]);
  const [open, setOpen] = useState(null);
  useEffect(() => onJobs(() => setTimeout(reload, 1000)), [reload]); // what has just changed is being sent
  const redeliver = async (one) => {
    await post(`${path}/deliveries/${part(one.id)}/redeliver`);
    say(t("redelivered"));
    await reload();
  };
  const columns = [
    { key: "state", label: t("state"), class: "nowrap", cell: (one) => html`<span class=${`status ${TONE[one.state]}`}><i aria-hidden="true"></i>${t(one.state)}</span>` },
    { key: "event", label: t("event"), class: "wide", cell: (one) => html`<b>${one.event}</b><small class="mono phone-hidden">${one.message_id}</small>` },
    { key: "code", label: "HTTP", class: "right", cell: (one) => one.status_code ?? NONE },
    { key: "tries", label: t("tries"), class: "right phone-hidden", cell: (one) => one.attempts },
    { key: "time", label: t("took"), class: "right nowrap phone-hidden", cell: (one) => (one.duration === null ? NONE : `${number(one.duration, 3)} s`) },
    { key: "when", label: t("when"), class: "nowrap phone-hidden", cell: (one) => html`<span title=${moment(one.created_at)}>${ago(one.created_at)}</span>` },
    { key: "do", label: t("actions"), class: "nowrap", cell: (one) => html`<div class="actions"><${Button} kind="small" run=${async () => setOpen(await get(`${path}/deliveries/${part(one.id)}`))}>${t("look")}<//>
      ${one.state !== "pending" && html`<${Button} kind="small" run=${() => redeliver(one)}>${t("redeliver")}<//>`}</div>` },
  ];
  const tools = html`<select aria-label=${t("state")} value=${state} onChange=${(event) => refine({ state: event.currentTarget.value, offset: "" })}><option value="">${t("every_state")}</option>
    ${Object.keys(TONE).map((one) => html`<option key=${one} value=${one}>${t(one)}</option>`)}</select>`;
  return html`<${Panel} title=${t("deliveries")} count=${data?.pagination.total ?? null} tools=${tools}>
    ${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : !data ? html`<${Loading} />`
      : data.deliveries.length === 0 ? html`<${Empty} title=${t("nothing_sent")}>${t("nothing_sent_more")}<//>`
      : html`<${Table} label=${t("deliveries")} columns=${columns} rows=${data.deliveries} rowKey=${(one) => one.id} />`}
    ${data && html`<${Pages} offset=${offset} limit=${LIMIT} total=${data.pagination.total} turn=${(next) => refine({ offset: next || "" })} />`}<//>
    ${open && html`<${Delivery} one=${open} close=${() => setOpen(null)} />`}`;
}

function Delivery({ one, close }) {
  return html`<${Dialog} title=${`${one.event} · ${t(one.state)}`} close=${close}>
    ${one.error && html`<p class="error">${one.error}</p>`}
    <h3>${t("payload")}</h3><${Code} text=${pretty(one.payload)} label=${t("payload")} />
    ${one.response && html`<h3>${t("response")}</h3><${Code} text=${one.response} label=${t("response")} />`}
    <h3>${t("tries")}</h3><ul class="tries">${one.tries.map((each) => html`<li key=${each.at}><b>${each.status_code ?? NONE}</b> <span>${moment(each.at)}</span> <small>${number(each.duration, 3)} s ${each.error ?? ""}</small></li>`)}</ul>
    <footer><button type="button" class="button" onClick=${close}>${t("close")}</button></footer><//>`;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
