// Tokens of one's own; for an admin also users and their tokens, and the workspaces.
import { html, useState } from "../core/view.js";
import { get, me, part, patch, post, remove } from "../core/api.js";
import { moment } from "../core/format.js";
import { Button, confirm, Loading, Panel, Problem, say, Table, useLoad } from "../components/index.js";
import { FormDialog } from "../components/form-dialog.js";
import { Tokens } from "./people/tokens.js";
import { Workspaces } from "./people/workspaces.js";
import { t } from "./people.text.js";

const ROLES = ["member", "admin"];

export default function People() {
  const admin = me.value.scopes.includes("admin");
  const mine = me.value.user;
  const { data, problem, reload } = useLoad((abort) => (admin ? get("/api/v1/auth/users", {}, { signal: abort }) : Promise.resolve({ users: [] })), [admin]);
  const builtin = data?.users.some((user) => user.id === mine.id && user.builtin); // who has no password
  return html`<div class="title"><h1>${t("title")}</h1></div>
    <${Tokens} user=${mine} own />
    ${admin && html`<${Users} data=${data} problem=${problem} reload=${reload} />`}
    <${Workspaces} admin=${admin} />
    ${data && !builtin && html`<${Password} />`}`;
}

function Users({ data, problem, reload }) {
  const [adding, setAdding] = useState(false);
  const [changing, setChanging] = useState(null);
  const [shown, setShown] = useState(null);
  const path = (user) => `/api/v1/auth/users/${part(user.id)}`;
  const setRole = async (user, role) => {
    try {
      await patch(path(user), { role });
      say(t("role_set", { name: user.name, role }));
    } catch (refusal) {
      say(refusal.message, "error");
    }
    await reload();
  };
  const drop = async (user) => {
    const answer = await confirm({ title: t("remove_user", { name: user.name }), lost: [t("remove_user_lost")], text: t("remove_user_text"), action: t("remove"), danger: true });
    if (answer === null) return;
    await remove(path(user));
    if (shown?.id === user.id) setShown(null);
    await reload();
  };
  const role = (user) => (user.builtin ? user.role : html`<select aria-label=${t("role_of", { name: user.name })} value=${user.role} onChange=${(event) => setRole(user, event.currentTarget.value)}>
    ${ROLES.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`);
  const columns = [
    { key: "name", label: t("name"), class: "wide", cell: (user) => html`<b>${user.name}</b>${user.builtin && html`<small>${t("builtin")}</small>`}` },
    { key: "role", label: t("role"), cell: role },
    { key: "since", label: t("since"), class: "nowrap phone-hidden", cell: (user) => moment(user.created_at) },
    {
      key: "do", label: t("actions"), class: "nowrap",
      cell: (user) => html`<div class="actions"><${Button} kind="small" run=${async () => setShown(user)}>${t("tokens")}<//>
        ${!user.builtin && html`<${Button} kind="small" run=${async () => setChanging(user)}>${t("set_password")}<//><${Button} kind="small danger" run=${() => drop(user)}>${t("remove")}<//>`}</div>`,
    },
  ];
  const secret = { type: "string", format: "password" };
  return html`<${Panel} title=${t("users")} count=${data?.users.length ?? null} tools=${html`<${Button} kind="small" run=${async () => setAdding(true)}>${t("add_user")}<//>`}>
      ${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : !data ? html`<${Loading} />` : html`<${Table} flows label=${t("users")} columns=${columns} rows=${data.users} rowKey=${(user) => user.id} />`}
    <//>
    ${shown && shown.id !== me.value.user.id && html`<${Tokens} key=${shown.id} user=${shown} close=${() => setShown(null)} />`}
    ${adding && html`<${FormDialog} title=${t("add_user")} action=${t("add_user")} close=${() => setAdding(false)} initial=${{ role: "member" }}
      schema=${{ required: ["name"], properties: { name: { type: "string", title: t("name") }, password: { ...secret, title: t("password"), description: t("password_hint") }, role: { type: "string", enum: ROLES, title: t("role") } } }}
      send=${async (value) => (await post("/api/v1/auth/users", value), await reload())} />`}
    ${changing && html`<${FormDialog} title=${t("password_of", { name: changing.name })} action=${t("set_password")} close=${() => setChanging(null)}
      schema=${{ required: ["password"], properties: { password: { ...secret, title: t("new_password") } } }}
      send=${async (value) => (await patch(path(changing), value), say(t("password_set")))} />`}`;
}

function Password() {
  const [open, setOpen] = useState(false);
  const secret = (title) => ({ type: "string", format: "password", title });
  return html`<${Panel} title=${t("password")}><div class="body"><${Button} run=${async () => setOpen(true)}>${t("change_password")}<//> <small>${t("change_password_text")}</small></div>
    ${open && html`<${FormDialog} title=${t("change_password")} text=${t("change_password_text")} action=${t("change_password")} close=${() => setOpen(false)}
      schema=${{ required: ["password", "new_password"], properties: { password: secret(t("old_password")), new_password: secret(t("new_password")) } }}
      send=${async (value) => (await post("/api/v1/auth/password", value), (me.value = null))} />`}<//>`;
}
