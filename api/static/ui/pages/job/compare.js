// Another job, chosen by name, to lay over this one's charts.
import { html, useState } from "../../core/view.js";
import { get } from "../../core/api.js";
import { ago } from "../../core/format.js";
import { Dialog, Loading, Problem, shownStatus, Status, useLoad } from "../../components/index.js";
import { t } from "../job.text.js";

export function Chooser({ job, taken, choose, close }) {
  const [q, setQ] = useState("");
  const { data, problem } = useLoad((abort) => get("/api/v1/training/list", { engine: job.engine, q, limit: 12 }, { signal: abort }), [q, job.engine]);
  const found = data?.tasks.filter((one) => !taken.includes(one.task_id)) ?? [];
  return html`<${Dialog} title=${t("compare_title")} close=${close}>
    <input type="search" autofocus aria-label=${t("compare_search")} placeholder=${t("compare_search")} value=${q} onInput=${(event) => setQ(event.currentTarget.value.slice(0, 200))} />
    ${problem ? html`<${Problem} problem=${problem} />` : !data ? html`<${Loading} />` : html`<ul class="rows pick">${found.map((one) => html`<li key=${one.task_id}>
      <button type="button" onClick=${() => choose(one.task_id)}><b>${one.name}</b><${Status} status=${shownStatus(one)} /><small>${ago(one.created_at)}</small></button></li>`)}
      ${found.length === 0 && html`<li class="hint">${t("compare_none")}</li>`}</ul>`}
    <footer><button type="button" class="button" onClick=${close}>${t("close")}</button></footer>
  <//>`;
}
