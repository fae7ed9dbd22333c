// Tokens of one user. A new one is shown once.
import { html, useState } from "../../core/view.js";
import { get, me, part, post, remove } from "../../core/api.js";
import { ago, clock, moment } from "../../core/format.js";
import { Button, Code, confirm, Empty, Loading, Panel, Problem, say, Table, useLoad } from "../../components/index.js";
import { FormDialog, Once } from "../../components/form-dialog.js";
import { t } from "../people.text.js";

const over = (token) => Boolean(token.revoked_at) || (token.expires_at && Date.parse(token.expires_at) < clock.value);

export function Tokens({ user, own = false, close }) {
  const whose = own ? {} : { user_id: user.id };
  const { data, problem, reload } = useLoad((abort) => get("/api/v1/auth/tokens", whose, { signal: abort }), [user.id]);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState(null);
  const [old, setOld] = useState(false);
  const revoke = async (token) => {
    const answer = await confirm({ title: t("revoke_title", { label: token.label || token.id }), lost: [t("revoke_lost")], action: t("revoke"), danger: true });
    if (answer === null) return;
    await remove(`/api/v1/auth/tokens/${part(token.id)}`);
    say(t("revoked"));
    await reload();
  };
  const make = async (value) => {
    setMade(await post("/api/v1/auth/tokens", { ...value, ...whose }));
    await reload();
  };
  const state = (token) => (token.revoked_at ? t("revoked_at", { time: ago(token.revoked_at) }) : over(token) ? t("expired") : token.expires_at ? moment(token.expires_at) : t("no_end"));
  const columns = [
    { key: "label", label: t("label"), class: "wide", cell: (token) => html`<b>${token.label || html`<i>${t("no_label")}</i>`}</b><small>${token.scopes.join(", ")}</small>` },
    { key: "made", label: t("made"), class: "nowrap phone-hidden", cell: (token) => moment(token.created_at) },
    { key: "used", label: t("used"), class: "nowrap phone-hidden", cell: (token) => (token.last_used_at ? ago(token.last_used_at) : t("never")) },
    { key: "end", label: t("ends"), class: "nowrap", cell: state },
    { key: "do", label: t("actions"), cell: (token) => !over(token) && html`<${Button} kind="small danger" run=${() => revoke(token)} aria-label=${t("revoke_one", { label: token.label || token.id })}>${t("revoke")}<//>` },
  ];
  const found = data?.tokens ?? [];
  const shown = found.filter((token) => old || !over(token));
  const tools = html`${found.some(over) && html`<label class="check"><input type="checkbox" checked=${old} onChange=${(event) => setOld(event.currentTarget.checked)} /><span>${t("with_old")}</span></label>`}
    <${Button} kind="small" run=${async () => setMaking(true)}>${t("new_token")}<//>${close && html`<${Button} kind="small quiet" run=${async () => close()}>${t("close")}<//>`}`;
  const scopes = me.value.scopes;
  const schema = {
    properties: {
      label: { type: "string", title: t("label"), description: t("label_hint"), maxLength: 200 },
      scopes: { type: "array", items: { enum: own ? scopes : ["read", "run", "admin"] }, title: t("scopes"), description: t("scopes_hint") },
      expires_days: { type: "integer", minimum: 1, title: t("expires_days"), description: t("expires_hint") },
    },
  };
  return html`<${Panel} title=${own ? t("your_tokens") : t("tokens_of", { name: user.name })} count=${data ? shown.length : null} tools=${tools}>
      ${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : !data ? html`<${Loading} />`
        : shown.length === 0 ? html`<${Empty} title=${t("no_tokens")} curl="python run.py token create NAME --label laptop">${t("no_tokens_more")}<//>`
        : html`<${Table} label=${t("tokens")} columns=${columns} rows=${shown} rowKey=${(token) => token.id} />`}
    <//>
    ${making && html`<${FormDialog} title=${t("new_token")} schema=${schema} action=${t("make")} send=${make} close=${() => setMaking(false)} />`}
    ${made && html`<${Once} title=${t("token_made")} text=${t("once")} close=${() => setMade(null)}
      secret=${html`<${Code} text=${made.token} label=${t("token")} /><${Code} text=${`curl -H 'Authorization: Token ${made.token}' ${location.origin}/api/v1/auth/me`} />`} />`}`;
}
