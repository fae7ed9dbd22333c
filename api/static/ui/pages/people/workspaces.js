// Workspaces and who is in them: members may read each other's jobs there.
import { html, useState } from "../../core/view.js";
import { get, part, post, remove } from "../../core/api.js";
import { Button, confirm, Empty, Icon, Loading, Panel, Problem, useLoad } from "../../components/index.js";
import { FormDialog } from "../../components/form-dialog.js";
import { t } from "../people.text.js";

const BASE = "/api/v1/auth/workspaces";
const named = (title) => ({ required: ["name"], properties: { name: { type: "string", title, maxLength: 200 } } });

export function Workspaces({ admin }) {
  const { data, problem, reload } = useLoad(async (abort) => {
    const { workspaces } = await get(BASE, {}, { signal: abort });
    return Promise.all(workspaces.map(async (one) => ({ ...one, members: (await get(`${BASE}/${part(one.id)}/members`, {}, { signal: abort })).members })));
  }, []);
  const [adding, setAdding] = useState(false);
  const [joining, setJoining] = useState(null);
  const leave = async (workspace, user) => {
    const answer = await confirm({ title: t("leave_title", { name: user.name, workspace: workspace.name }), text: t("leave_text"), action: t("take_out"), danger: true });
    if (answer === null) return;
    await remove(`${BASE}/${part(workspace.id)}/members/${part(user.id)}`);
    await reload();
  };
  const tools = admin && html`<${Button} kind="small" run=${async () => setAdding(true)}>${t("add_workspace")}<//>`;
  return html`<${Panel} title=${t("workspaces")} count=${data?.length ?? null} tools=${tools}>
      ${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : !data ? html`<${Loading} />`
        : data.length === 0 ? html`<${Empty} title=${t("no_workspaces")} curl=${admin && "python run.py workspace add NAME"}>${t("no_workspaces_more")}<//>`
        : html`<ul class="rows workspaces">${data.map((one) => html`<li key=${one.id}><div><b>${one.name}</b> <small>${t("number", { id: one.id })}</small></div>
            <div class="chips">${one.members.map((user) => html`<span class="chip" key=${user.id}><span>${user.name}</span>${admin && html`<button type="button" class="button quiet small" aria-label=${t("leave_one", { name: user.name, workspace: one.name })} onClick=${() => leave(one, user)}><${Icon} name="close" size=${12} /></button>`}</span>`)}
              ${admin && html`<${Button} kind="small" run=${async () => setJoining(one)}>${t("add_member")}<//>`}</div></li>`)}</ul>`}
    <//>
    ${adding && html`<${FormDialog} title=${t("add_workspace")} schema=${named(t("name"))} action=${t("add_workspace")} close=${() => setAdding(false)} send=${async (value) => (await post(BASE, value), await reload())} />`}
    ${joining && html`<${FormDialog} title=${t("join_title", { workspace: joining.name })} schema=${named(t("user_name"))} action=${t("add_member")} close=${() => setJoining(null)}
      send=${async (value) => (await post(`${BASE}/${part(joining.id)}/members`, value), await reload())} />`}`;
}
