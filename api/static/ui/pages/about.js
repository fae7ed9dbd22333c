// What runs here: the service, its machine, and which trainers it can use; where not, why.
import { html } from "../core/view.js";
import { get, me } from "../core/api.js";
import { bytes, duration, integer } from "../core/format.js";
import { overview } from "../core/live.js";
import { link } from "../core/router.js";
import { Empty, engineWord, Loading, Panel, Problem, useLoad } from "../components/index.js";
import { t } from "./about.text.js";

export default function About() {
  const { data, problem, reload } = useLoad((abort) => get("/api/v1/engines", {}, { signal: abort }), []);
  const now = overview.value;
  const facts = now && [
    [t("version"), now.version], [t("up"), duration(now.uptime)], [t("executor"), now.executor], [t("cores"), integer(now.system.cpu_count)],
    [t("memory"), bytes(now.system.memory_total)], [t("disk"), t("free_of", { free: bytes(now.system.disk_free), total: bytes(now.system.disk_total) })],
    ["GPU", integer(now.gpus.total)], [t("you"), `${me.value.user.name} (${me.value.user.role}; ${me.value.scopes.join(", ")})`],
  ];
  return html`<div class="title"><h1>${t("title")}</h1></div>
    <${Panel} title=${t("engines")}>${problem ? html`<${Problem} problem=${problem} retry=${reload} />` : !data ? html`<${Loading} />` : html`<ul class="rows engines">${data.engines.map((engine) => html`<li key=${engine.name}>
      <span class=${`status ${engine.available ? "completed" : "stopped"}`}><i aria-hidden="true"></i>${engine.available ? t("available") : t("missing")}</span>
      <b>${engineWord(engine.name)}</b><small class="mono">${engine.version ?? ""}</small><span class="why">${engine.reason ?? html`<a href=${link("/jobs", { engine: engine.name })}>${t("its_jobs")}</a>`}</span></li>`)}</ul>`}<//>
    <${Panel} title=${t("service")}>${facts ? html`<dl class="facts">${facts.map(([label, value]) => html`<dt key=${label}>${label}</dt><dd>${value}</dd>`)}</dl>` : html`<${Loading} />`}<//>
    <${Panel} title=${t("more")}><${Empty} title=${t("doctor")} curl="python run.py doctor">${t("doctor_more")}<//><//>`;
}
