// A chart of lines over steps or epochs, on uPlot, which is loaded when the first chart is shown.
import { html, useEffect, useRef, useState } from "../core/view.js";
import { number } from "../core/format.js";
import { language } from "../core/i18n.js";
import { dark, recall, remember } from "../core/prefs.js";
import { t } from "./words.js";

let loaded = null;
function library() {
  if (loaded === null) {
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("../vendor/uplot.css", import.meta.url).href });
    document.head.append(sheet);
    loaded = import("../vendor/uplot.js").then((module) => module.default);
  }
  return loaded;
}

const COLORS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((first) => first * 10 ** power)).flat(); // between two ticks: there is no half step
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Exponential moving average, unbiased at its start, in which gaps stay gaps. `weight`: 0 to 0.99. */
export function smooth(values, weight) {
  if (!weight) return values;
  let last = 0;
  let seen = 0;
  return values.map((value) => {
    if (value === null) return null;
    seen += 1;
    last = last * weight + (1 - weight) * value;
    return last / (1 - weight ** seen);
  });
}

/** Lines [{name, points: [[x, y]]}] as uPlot takes them: one x for all, null where a line has none. */
export function aligned(lines) {
  const xs = [...new Set(lines.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
  const place = new Map(xs.map((x, index) => [x, index]));
  return [xs, ...lines.map((line) => {
    const values = new Array(xs.length).fill(undefined);
    for (const [x, y] of line.points) values[place.get(x)] = y;
    return values;
  })];
}

/** `lines`: [{name, points: [[x, y]]}], y null for a measured value that is no number. `by`: what x is, "step" or "epoch". */
export function Chart({ lines, name, by = "step", height = 260 }) {
  const [log, setLog] = useState(false);
  const [weight, setWeight] = useState(Number(recall("smoothing") ?? 0.6));
  const [zoomed, setZoomed] = useState(false);
  const box = useRef(null);
  const plot = useRef(null);
  const names = lines.map((line) => line.name).join("\n");
  const isDark = dark.value;
  const prepared = () => prepare(lines, log, weight);

  useEffect(() => {
    const element = box.current;
    let gone = false;
    let sizes = null;
    library().then((Plot) => {
      if (gone) return;
      plot.current = new Plot(options(Plot, lines, by, log, weight, element.clientWidth, height, setZoomed), prepared(), element);
      sizes = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
      sizes.observe(element);
    });
    return () => {
      gone = true;
      sizes?.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [names, by, log, weight > 0, isDark, height, language.value]);

  useEffect(() => {
    if (!plot.current) return;
    plot.current.setData(prepared(), !zoomed);
    if (zoomed) plot.current.redraw();
  }, [lines, weight]);

  const reset = () => {
    setZoomed(false);
    plot.current?.setData(prepared(), true);
  };
  const empty = lines.every((line) => line.points.length === 0);
  return html`<div class="chart">
    <div class="controls">
      <div class="segments" role="group">
        <button type="button" aria-pressed=${!log} onClick=${() => setLog(false)}>${t("linear")}</button>
        <button type="button" aria-pressed=${log} onClick=${() => setLog(true)}>${t("log")}</button>
      </div>
      <label class="slider">${t("smoothing")}<input type="range" min="0" max="0.99" step="0.01" value=${weight} onInput=${(event) => {
        setWeight(Number(event.currentTarget.value));
        remember("smoothing", event.currentTarget.value);
      }} /><output>${weight.toFixed(2)}</output></label>
      ${zoomed && html`<button type="button" class="button small" onClick=${reset}>${t("reset")}</button>`}
    </div>
    ${empty && html`<p class="nothing">${t("nothing_measured")}</p>`}
    <div class="plot" ref=${box} role="img" aria-label=${t("chart", { name })} title=${t("chart_help")} hidden=${empty}></div>
  </div>`;
}

function prepare(lines, log, weight) {
  const [xs, ...all] = aligned(lines);
  const drawn = all.flatMap((values) => {
    const fit = log ? values.map((value) => (value > 0 ? value : null)) : values;
    return weight > 0 ? [fit, smooth(fit.map((value) => value ?? null), weight)] : [fit];
  });
  return [xs, ...drawn];
}

/** Where nobody points, the legend tells the newest. */
function tellNewest(plot) {
  const last = plot.data[0].length - 1;
  if (plot.cursor.idx == null && last >= 0 && plot.legend.idx !== last) plot.setLegend({ idx: last }, false);
}

/** A line that is flat lies in a range that does not belittle it: uPlot's own would be 0 to 100 around 0. */
const range = (Plot) => (_plot, low, high) => (low === high ? [low - Math.abs(low) / 2, high + (Math.abs(high) / 2 || 1)] : Plot.rangeNum(low ?? 0, high ?? 1, 0.1, true));

/** With smoothing each line is drawn twice; the legend names it once. */
const hideRaw = (plot) => plot.root.querySelectorAll(".u-legend .u-series").forEach((row, index) => (row.hidden = index % 2 === 1));

function options(Plot, lines, by, log, weight, width, height, setZoomed) {
  const text = token("--muted");
  const grid = { stroke: token("--grid"), width: 1 };
  const font = "11px system-ui, sans-serif";
  const shown = (_plot, value) => number(value);
  const series = lines.flatMap((line, index) => {
    const color = token(COLORS[index % COLORS.length]);
    const strong = { label: line.name, stroke: color, width: 1.8, points: { show: false }, value: shown, spanGaps: true };
    if (weight === 0) return [strong];
    return [{ ...strong, label: `${line.name} (raw)`, width: 1, alpha: 0.3 }, strong];
  });
  return {
    width,
    height,
    cursor: { drag: { x: true, y: false, setScale: true }, focus: { prox: 24 } },
    legend: { live: true },
    scales: { x: { time: false }, y: log ? { distr: 3, log: 10 } : { range: range(Plot) } },
    axes: [
      { stroke: text, grid, ticks: grid, font, incrs: WHOLE },
      { stroke: text, grid, ticks: grid, font, size: 64, values: (_plot, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick, 3))) },
    ],
    series: [{ label: t(by), value: (_plot, x) => x ?? "–" }, ...series],
    hooks: { ready: [(plot) => weight > 0 && hideRaw(plot)], draw: [tellNewest], setCursor: [tellNewest], setSelect: [(plot) => plot.select.width > 0 && setZoomed(true)] },
  };
}
