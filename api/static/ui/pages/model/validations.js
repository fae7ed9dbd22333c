// The model's metrics on other datasets.
import { html, useState } from "../../core/view.js";
import { get, part, post } from "../../core/api.js";
import { NONE, number } from "../../core/format.js";
import { link } from "../../core/router.js";
import { Button, Empty, Panel, Problem, say, Table, useLoad } from "../../components/index.js";
import { jobColumn, statusColumn, useMade, whenColumn } from "./jobs.js";
import { t } from "../model.text.js";

export function Validations({ model, path }) {
  const { data, problem, reload } = useMade(`${path}/validations`, "validations");
  const sets = useLoad(async (abort) => (await get("/api/v1/datasets", {}, { signal: abort })).datasets.filter((set) => set.status === "prepared"), []);
  const [chosen, setChosen] = useState(null);
  const choices = (sets.data ?? []).flatMap((set) => set.versions.map((version) => ({ set, version, key: `${set.dataset_id} ${version}` })));
  const choice = choices.find((one) => one.key === chosen) ?? choices.find((one) => one.set.dataset_id === model.dataset_id) ?? choices[0];
  const names = Object.fromEntries((sets.data ?? []).map((set) => [set.dataset_id, set.filename]));
  const run = async () => {
    await post(`${path}/validate`, { dataset_id: choice.set.dataset_id, version: choice.version });
    say(t("started"));
    await reload();
  };
  const metric = (name, label) => ({ key: name, label, class: "right", cell: (made) => number(made.metrics?.[name], 3) });
  const tools = choice ? html`<select aria-label=${t("dataset")} value=${choice.key} onChange=${(event) => setChosen(event.currentTarget.value)}>
    ${choices.map((one) => html`<option key=${one.key} value=${one.key}>${one.set.filename} · ${one.version}</option>`)}</select><${Button} run=${run}>${t("validate")}<//>` : html`<small>${t("no_sets")}</small>`;
  return html`<${Panel} title=${t("validations")} count=${data?.length ?? null} tools=${sets.data && tools}>
    ${problem && html`<${Problem} problem=${problem} retry=${reload} />`}
    ${data && (data.length === 0 ? html`<${Empty} title=${t("validations_none")} />` : html`<${Table} label=${t("validations")} rows=${data} rowKey=${(made) => made.job_id} columns=${[
      { key: "dataset", label: t("dataset"), class: "wide", cell: (made) => html`<a href=${link(`/dataset/${part(made.dataset_id)}`, { version: made.version })}>${names[made.dataset_id] ?? made.dataset_id}</a><small>${made.version}</small><${ByClass} classes=${made.classes} />` },
      statusColumn(), metric("mAP50", "mAP50"), metric("mAP50-95", "mAP50-95"), metric("precision", t("precision")), metric("recall", t("recall")), jobColumn(), whenColumn(),
    ]} />`)}<//>`;
}

function ByClass({ classes }) {
  return classes.length > 0 && html`<details><summary>${t("by_class")}</summary><ul class="counted">${classes.map((one, index) => html`<li key=${index}><b>${one["mAP50-95"] === null ? NONE : number(one["mAP50-95"], 3)}</b> ${one.class}</li>`)}</ul></details>`;
}
