// One page: its image with the lines on it, and their texts to correct.
import { html, useState } from "../../core/view.js";
import { get, patch } from "../../core/api.js";
import { Button, Loading, Pages, Panel, Problem, say, useLoad } from "../../components/index.js";
import { t } from "../document.text.js";

const LIMIT = 100;
const drawn = (points) => points.map(([x, y]) => `${x},${y}`).join(" ");

export function Leaf({ path, leaf, direction, changed, close }) {
  const [offset, setOffset] = useState(0);
  const [chosen, setChosen] = useState(null);
  const base = `${path}/parts/${leaf.part_id}`;
  const { data, problem, reload } = useLoad((abort) => get(`${base}/lines`, { limit: LIMIT, offset }, { signal: abort }), [base, offset]);
  const save = async (line, text) => {
    await patch(`${path}/lines/${line.line_id}`, { text });
    say(t("saved"));
    await Promise.all([reload(), changed()]);
  };
  const lines = data?.lines ?? [];
  const sized = leaf.image_available && leaf.width;
  return html`<${Panel} title=${t("part", { name: leaf.name })} count=${leaf.lines_count} tools=${html`<button type="button" class="button small" onClick=${close}>${t("close")}</button>`}>
    ${problem && html`<${Problem} problem=${problem} retry=${reload} />`}
    ${!data ? !problem && html`<${Loading} />` : html`<div class="leaf">
      ${sized ? html`<svg class="picture" viewBox=${`0 0 ${leaf.width} ${leaf.height}`} role="img" aria-label=${t("part", { name: leaf.name })}><image href=${`${base}/image`} width=${leaf.width} height=${leaf.height} />
        ${lines.map((line) => html`<g key=${line.line_id} class=${`text-line ${chosen === line.line_id ? "chosen" : ""}`} onClick=${() => setChosen(line.line_id)}>
          ${line.boundary?.length > 2 && html`<polygon points=${drawn(line.boundary)} />`}${line.baseline?.length > 1 && html`<polyline points=${drawn(line.baseline)} />`}</g>`)}</svg>`
        : html`<p class="hint">${t("image_missing")}</p>`}
      <ol class="texts">${lines.length === 0 && html`<li class="hint">${t("no_lines")}</li>`}
        ${lines.map((line) => html`<${Text} key=${`${line.line_id} ${line.text}`} line=${line} direction=${direction} chosen=${chosen === line.line_id} choose=${() => setChosen(line.line_id)} save=${save} />`)}</ol></div>
      <${Pages} offset=${offset} limit=${LIMIT} total=${data.pagination.total} turn=${setOffset} />`}<//>`;
}

function Text({ line, direction, chosen, choose, save }) {
  const [text, setText] = useState(line.text ?? "");
  return html`<li class=${chosen ? "chosen" : ""}><span>${line.position}</span><input dir=${direction} aria-label=${t("line", { number: line.position })} value=${text} onFocus=${choose} onInput=${(event) => setText(event.currentTarget.value)} />
    ${text !== (line.text ?? "") && html`<${Button} kind="small" run=${() => save(line, text)}>${t("save")}<//>`}</li>`;
}
