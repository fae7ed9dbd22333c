// What the check of a version found.
import { html } from "../../core/view.js";
import { get } from "../../core/api.js";
import { integer } from "../../core/format.js";
import { Loading, Panel, Problem, Table, useLoad } from "../../components/index.js";
import { colour } from "../../components/boxes.js";
import { t } from "../dataset.text.js";

const MOST_ISSUES = 20;
const MOST_CLASSES = 40;
const KINDS = ["image", "label", "label_without_image", "missing_image", "annotation", "yaml"];

export function Report({ path, versions, version, choose }) {
  const { data, problem, reload } = useLoad((abort) => get(`${path}/prepare`, { version }, { signal: abort }), [path, version]);
  const pick = versions.length > 1 && html`<select aria-label=${t("version")} value=${version} onChange=${(event) => choose(event.currentTarget.value)}>
    ${versions.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`;
  return html`<${Panel} title=${t("report")} tools=${pick}>
    ${problem && html`<${Problem} problem=${problem} retry=${reload} />`}
    ${data ? html`<${Found} found=${data} />` : !problem && html`<${Loading} />`}<//>`;
}

function Found({ found }) {
  const report = found.report;
  const figures = [
    ["training", found.train_count], ["validation", found.val_count], ["test", found.test_count], ["boxes", report.box_count],
    ["empty", report.empty_count], ["duplicates", report.duplicate_count], ["leaks", report.leak_count],
  ];
  return html`<div class="body stack report">
    <dl class="figures">${figures.map(([key, value]) => html`<div key=${key}><dt>${t(key)}</dt><dd class=${key === "leaks" && value ? "hot" : ""}>${integer(value)}</dd></div>`)}
      <div><dt>${t("split")}</dt><dd><small>${report.split === "made" ? t("made", { seed: report.seed }) : t("kept")}</small></dd></div></dl>
    <div class="split"><${Classes} classes=${found.classes} counts=${report.class_counts} /><${Issues} issues=${found.issues} counts=${report.issue_counts} /></div>
  </div>`;
}

function Classes({ classes, counts }) {
  const most = Math.max(1, ...Object.values(counts));
  return html`<section aria-label=${t("by_class")}><h3>${t("by_class")}</h3>
    <ul class="tally">${classes.slice(0, MOST_CLASSES).map((name, number) => html`<li key=${number}><span class="swatch" style=${{ background: colour(number) }} aria-hidden="true"></span><span class="name" title=${name}>${name}</span>
      <span class="tally-bar" aria-hidden="true"><i style=${{ width: `${((counts[name] ?? 0) / most) * 100}%`, background: colour(number) }}></i></span><b>${integer(counts[name] ?? 0)}</b></li>`)}</ul>
    ${classes.length > MOST_CLASSES && html`<small>… ${integer(classes.length - MOST_CLASSES)}</small>`}
    ${Object.values(counts).every((count) => count === 0) && html`<p class="hint">${t("no_boxes")}</p>`}</section>`;
}

function Issues({ issues, counts }) {
  const kinds = Object.entries(counts).filter(([, count]) => count > 0);
  if (kinds.length === 0 && issues.length === 0) return html`<section class="clean"><p>✓ ${t("clean")}</p></section>`;
  return html`<section aria-label=${t("left_out")}><h3>${t("left_out")}</h3>
    <ul class="counted">${kinds.map(([kind, count]) => html`<li key=${kind}><b class="hot">${integer(count)}</b> ${KINDS.includes(kind) ? t(`kind_${kind}`) : kind}</li>`)}</ul>
    <h3>${t("first")}</h3>
    <${Table} label=${t("first")} rows=${issues.slice(0, MOST_ISSUES).map((issue, index) => ({ ...issue, index }))} rowKey=${(issue) => issue.index}
      columns=${[{ key: "file", label: t("file"), class: "mono break", cell: (issue) => issue.file }, { key: "problem", label: t("problem"), class: "break", cell: (issue) => issue.problem }]} /></section>`;
}
