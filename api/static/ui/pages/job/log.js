// The log as it comes. A window of it is held: what stands above and below is read by line number when it is scrolled to.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../core/view.js";
import { get, part } from "../../core/api.js";
import { integer, timeOfDay } from "../../core/format.js";
import { Icon, Panel, Problem } from "../../components/index.js";
import { LogWindow } from "./log-window.js";
import { Search } from "./log-search.js";
import { t } from "../job.text.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
const NEAR = 240; // pixels from an edge at which more is read

/** `status`: of the job; while it does not run, this is no higher than what there is. */
export function Log({ id, status }) {
  const [level, setLevel] = useState("");
  const [mark, setMark] = useState(null); // a line that a search found
  const view = useWindow(id, level);
  const box = useRef(null);
  const { lines, following, missed, problem } = view.state;

  useLayoutEffect(() => {
    const element = box.current;
    if (following) element.scrollTop = element.scrollHeight;
    else if (view.anchor) {
      const row = element.querySelector(`[data-line="${view.anchor.line}"]`);
      if (row) element.scrollTop = row.offsetTop - view.anchor.top;
      view.anchor = null;
    }
  }, [lines, following]);

  const scrolled = (event) => {
    const element = event.currentTarget;
    const below = element.scrollHeight - element.scrollTop - element.clientHeight;
    const first = [...element.children].find((row) => row.dataset.line && row.offsetTop + row.offsetHeight > element.scrollTop);
    const anchor = first && { line: first.dataset.line, top: first.offsetTop - element.scrollTop };
    if (below < 24 && !missed) view.follow(true);
    else if (below >= 24 && following) view.follow(false);
    if (element.scrollTop < NEAR) view.earlier(anchor);
    else if (below < NEAR) view.later(anchor);
  };
  const found = async (number) => {
    setMark(number);
    await view.around(number, box.current.clientHeight / 3);
    box.current?.scrollIntoView({ block: "nearest" });
  };
  const tools = html`<select aria-label=${t("level")} value=${level} onChange=${(event) => setLevel(event.currentTarget.value)}>
      <option value="">${t("every_level")}</option>${LEVELS.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>
    <label class="check"><input type="checkbox" checked=${following} onChange=${(event) => (event.currentTarget.checked ? view.end() : view.follow(false))} /><span>${t("follow")}</span></label>`;
  return html`<${Panel} title=${t("log")} tools=${tools}>
    <${Search} id=${id} level=${level} show=${found} />
    ${problem && html`<${Problem} problem=${problem} />`}
    <div class="log-frame"><div class=${status === "running" ? "log" : "log still"} ref=${box} tabindex="0" role="log" aria-label=${t("log")} aria-live="off" onScroll=${scrolled}>
      ${lines.length === 0 && html`<div><time></time><span>${t(["queued", "running"].includes(status) ? "no_log" : "never_printed")}</span></div>`}
      ${lines.map((line) => html`<div key=${line.line_number} data-line=${line.line_number} class=${`${line.level} ${line.line_number === mark ? "marked" : ""}`}>
        <time datetime=${line.timestamp} title=${integer(line.line_number)}>${timeOfDay(line.timestamp)}</time><span>${line.message}</span></div>`)}
    </div>${!following && html`<button type="button" class="button small to-end" onClick=${() => view.end()}><${Icon} name="down" size=${12} />${t("to_end")}</button>`}</div><//>`;
}

function useWindow(id, level) {
  const [, draw] = useState(0);
  const held = useRef(null);
  const key = `${id} ${level}`;
  if (held.current?.key !== key) {
    held.current?.close();
    held.current = new LogWindow(key, `/api/v1/training/${part(id)}/logs`, level, get, () => draw((count) => count + 1));
  }
  useEffect(() => {
    const mine = held.current;
    mine.open();
    return () => mine.close();
  }, [key]);
  return held.current;
}
