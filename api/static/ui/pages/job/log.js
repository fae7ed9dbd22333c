// The log as it comes. A line that comes again (a progress bar) replaces the one of the same number.
import { html, useEffect, useRef, useState } from "../../core/view.js";
import { part } from "../../core/api.js";
import { timeOfDay } from "../../core/format.js";
import { Panel } from "../../components/index.js";
import { t } from "../job.text.js";

const KEPT = 1000; // lines
const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];

export function Log({ id }) {
  const [level, setLevel] = useState("");
  const [follow, setFollow] = useState(true);
  const lines = useLines(id, level);
  const box = useRef(null);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);
  const scrolled = (event) => {
    const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
    setFollow(scrollHeight - scrollTop - clientHeight < 24);
  };
  const tools = html`<select aria-label=${t("level")} value=${level} onChange=${(event) => setLevel(event.currentTarget.value)}>
      <option value="">${t("every_level")}</option>${LEVELS.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>
    <label class="check"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.currentTarget.checked)} /><span>${t("follow")}</span></label>`;
  return html`<${Panel} title=${t("log")} tools=${tools}>
    <div class="log" ref=${box} tabindex="0" role="log" aria-label=${t("log")} aria-live="off" onScroll=${scrolled}>
      ${lines.length === 0 && html`<div><time></time><span>${t("no_log")}</span></div>`}
      ${lines.map((line) => html`<div key=${line.line_number} class=${line.level}><time datetime=${line.timestamp}>${timeOfDay(line.timestamp)}</time><span>${line.message}</span></div>`)}
    </div><//>`;
}

/** The newest lines; the stream goes on by itself after a lost connection (Last-Event-ID), until the job has ended. */
function useLines(id, level) {
  const [lines, setLines] = useState([]);
  useEffect(() => {
    const kept = new Map();
    let drawing = null;
    let source = null;
    let timer = null;
    const draw = () => {
      drawing = null;
      setLines([...kept.values()]);
    };
    setLines([]);
    const open = () => {
      source = new EventSource(`/api/v1/training/${part(id)}/logs/stream${level ? `?level=${level}` : ""}`);
      source.onmessage = (event) => {
        const line = JSON.parse(event.data);
        kept.set(line.line_number, line);
        if (kept.size > KEPT) kept.delete(kept.keys().next().value);
        drawing ??= requestAnimationFrame(draw);
      };
      source.addEventListener("end", () => source.close());
      source.onerror = () => {
        if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
        timer = setTimeout(open, 3000);
      };
    };
    open();
    return () => {
      source?.close();
      clearTimeout(timer);
      cancelAnimationFrame(drawing);
    };
  }, [id, level]);
  return lines;
}
