// The editor: one image at a time, saved as one goes on.
import { html, useEffect, useMemo, useRef, useState } from "../core/view.js";
import { get, part } from "../core/api.js";
import { link, place, refine } from "../core/router.js";
import { Button, Icon, Loading, Problem, say, useLoad } from "../components/index.js";
import { Conflict } from "./annotate/conflict.js";
import { useKeys } from "./annotate/keys.js";
import { Prelabel } from "./annotate/prelabel.js";
import { Sheet } from "./annotate/sheet.js";
import { Side } from "./annotate/side.js";
import { moved, Stage } from "./annotate/stage.js";
import { Strip } from "./annotate/strip.js";
import { t } from "./annotate.text.js";

const LIMIT = 60; // images of a strip

export default function Annotate({ id }) {
  const path = `/api/v1/annotations/tasks/${part(id)}`;
  const task = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  const set = useLoad(async (abort) => task.data && (await get(`/api/v1/datasets/${part(task.data.dataset_id)}`, {}, { signal: abort })).filename, [task.data?.dataset_id]);
  const strip = useStrip(path);
  if (task.problem && !task.data) return html`<${Problem} problem=${task.problem} retry=${task.reload} />`;
  if (strip.problem) return html`<${Problem} problem=${strip.problem} retry=${strip.reload} />`;
  if (!task.data || !strip.data) return html`<${Loading} />`;
  return html`<${Editor} path=${path} task=${task.data} name=${set.data || task.data.dataset_id} strip=${strip} counted=${task.reload} />`;
}

/** Some of the task's images, in their order, from `offset` on; what has been annotated since stays among them. */
function useStrip(path) {
  const only = place.value.query.only === "open" ? "open" : "";
  const offset = Math.max(0, Math.floor(Number(place.value.query.offset)) || 0);
  return useLoad(async (abort) => {
    const annotated = only ? "false" : "";
    return { ...(await get(`${path}/items`, { limit: LIMIT, offset, annotated }, { signal: abort })), only };
  }, [path, offset, only]);
}

function Editor({ path, task, name, strip, counted }) {
  const { items, total, offset, only } = strip.data;
  const [done, setDone] = useState({}); // image -> how many boxes it has since it was saved here
  const [current, setCurrent] = useState(0);
  const [hand, setHand] = useState(false);
  const [asking, setAsking] = useState(false);
  const control = useRef({});
  const index = useIndex(strip.data);
  const item = items[index];
  const saved = (sheet) => {
    setDone((before) => ({ ...before, [sheet.id]: sheet.boxes.value.length }));
    counted();
  };
  const sheet = useSheet(path, item?.image_id, saved);
  const annotated = (one) => one.image_id in done || one.has_annotation;

  const show = async (image, from = offset, end = "") => {
    if (sheet && !(await sheet.leave())) return say(words(sheet), "error");
    refine({ image, offset: from || "", end });
  };
  const turn = async (by) => {
    const next = items[index + by];
    if (next) return show(next.image_id);
    if (by > 0 && offset + items.length < total) return show("", only ? offset + items.filter((one) => !annotated(one)).length : offset + LIMIT);
    if (by < 0 && offset > 0) return show("", Math.max(0, offset - LIMIT), "1");
    return say(t("no_next"));
  };
  const open = async () => {
    const next = items.slice(index + 1).find((one) => !annotated(one));
    if (next) return show(next.image_id);
    if (offset + items.length < total) return turn(items.length - index);
    return say(t("no_open"));
  };
  const filter = async (value) => {
    if (sheet && !(await sheet.leave())) return say(words(sheet), "error");
    setDone({});
    refine({ only: value, image: "", offset: "", end: "" });
    if (value === only) strip.reload();
  };
  const acts = useActs({ sheet, task, setCurrent, current, control, setHand, turn, open });
  useKeys(acts);
  useEffect(() => {
    const leaving = (event) => sheet?.dirty && event.preventDefault();
    addEventListener("beforeunload", leaving);
    return () => removeEventListener("beforeunload", leaving);
  }, [sheet]);

  const count = Math.max(task.annotated_count, 0);
  return html`<div class="annotator">
    <header class="annotator-head">
      <div><a class="back" href=${link("/annotate")}>${t("tasks")}</a><h1>${name} · ${task.version}</h1></div>
      <${Saved} sheet=${sheet} />
      <div class="actions"><small>${t("done", { done: count, total: task.total_items })}</small>
        <div class="segments" role="group"><button type="button" aria-pressed=${only === ""} onClick=${() => filter("")}>${t("all")}</button>
          <button type="button" aria-pressed=${only === "open"} onClick=${() => filter("open")}>${t("open")}</button></div></div>
    </header>
    ${!item ? html`<div class="empty panel"><p class="lead">${t(only ? "none_open" : "none")}</p>${only && html`<${Button} run=${() => filter("")}>${t("show_all")}<//>`}</div>` : html`
      <div class="work">
        <div class="easel"><${Tools} acts=${acts} sheet=${sheet} hand=${hand} place=${`${offset + index + 1} / ${total}`} />
          ${sheet && html`<${Stage} sheet=${sheet} classes=${task.classes} current=${current} hand=${hand} control=${control} />`}</div>
        ${sheet && html`<${Side} sheet=${sheet} classes=${task.classes} current=${current} acts=${acts} prelabel=${() => setAsking(true)} />`}
      </div>
      <${Strip} items=${items} current=${item.image_id} annotated=${annotated} show=${show} earlier=${offset > 0 && (() => turn(-index - 1))} later=${offset + items.length < total && (() => turn(items.length - index))} />`}
    ${sheet?.theirs.value && html`<${Conflict} sheet=${sheet} classes=${task.classes} />`}
    ${asking && html`<${Prelabel} path=${path} close=${() => setAsking(false)} arrived=${() => {
      strip.reload();
      if (sheet && !sheet.dirty && sheet.past.value.length === 0) sheet.load();
    }} />`}
  </div>`;
}

/** Which of the strip's images the address means; while another strip is on its way, the one that was shown. */
function useIndex({ items, offset, only }) {
  const { image, end, offset: from = "0", only: wanted = "" } = place.value.query;
  const last = useRef(0);
  const arrived = offset === (Math.floor(Number(from)) || 0) && only === wanted;
  const found = items.findIndex((item) => item.image_id === image);
  if (arrived) last.current = found >= 0 ? found : end ? items.length - 1 : 0;
  return Math.max(0, Math.min(last.current, items.length - 1));
}

function useSheet(path, imageId, saved) {
  const told = useRef(saved);
  told.current = saved;
  const sheet = useMemo(() => (imageId ? new Sheet(path, imageId, (one) => told.current(one)) : null), [path, imageId]);
  useEffect(() => {
    sheet?.load();
    return () => {
      if (sheet?.state.value === "unsaved") sheet.save(); // the page is left by its navigation
      sheet?.close();
    };
  }, [sheet]);
  return sheet;
}

function useActs({ sheet, task, setCurrent, current, control, setHand, turn, open }) {
  const chosen = () => (sheet && sheet.chosen.value !== null ? sheet.boxes.value[sheet.chosen.value] : null);
  const replace = (box) => sheet.change(sheet.boxes.value.map((one, index) => (index === sheet.chosen.value ? box : one)), sheet.chosen.value);
  const step = () => Math.max(1, Math.round(Math.max(sheet.image.value.width, sheet.image.value.height) / 200));
  return {
    image: turn,
    open,
    class: (number) => {
      if (number >= task.classes.length) return;
      setCurrent(number);
      if (chosen()) replace({ ...chosen(), class_id: number });
    },
    fresh: () => {
      const center = sheet?.image.value && control.current.center();
      if (!center) return;
      const { width, height } = sheet.image.value;
      const half = Math.max(1, Math.min(width, height, center.width) / 8);
      const x = Math.min(width - half, Math.max(half, center.x));
      const y = Math.min(height - half, Math.max(half, center.y));
      sheet.change([...sheet.boxes.value, { class_id: current, x1: x - half, y1: y - half, x2: x + half, y2: y + half }], sheet.boxes.value.length);
    },
    choose: (by) => {
      const count = sheet?.boxes.value.length;
      if (count) sheet.chosen.value = sheet.chosen.value === null ? (by > 0 ? 0 : count - 1) : (sheet.chosen.value + by + count) % count;
    },
    move: (dx, dy) => chosen() && replace(moved(chosen(), dx * step(), dy * step(), sheet.image.value)),
    size: (dx, dy) => {
      const box = chosen();
      if (box) replace({ ...box, x2: Math.max(box.x1 + 1, box.x2 + dx * step()), y2: Math.max(box.y1 + 1, box.y2 + dy * step()) });
    },
    erase: () => chosen() && sheet.change(sheet.boxes.value.filter((_, index) => index !== sheet.chosen.value)),
    undo: () => sheet?.undo(),
    redo: () => sheet?.redo(),
    save: () => sheet?.save(),
    zoom: (factor) => control.current.zoom?.(factor),
    fit: () => control.current.fit?.(),
    hand: () => setHand((before) => !before),
    escape: () => {
      control.current.letGo?.();
      if (sheet) sheet.chosen.value = null;
      setHand(false);
    },
    accept: () => {
      if (!sheet || sheet.proposals.value.length === 0) return;
      sheet.change([...sheet.boxes.value, ...sheet.proposals.value.map(({ class_id, x1, y1, x2, y2 }) => ({ class_id, x1, y1, x2, y2 }))]);
      sheet.proposals.value = [];
    },
    nothing: async () => {
      if (!sheet || sheet.boxes.value.length > 0) return;
      sheet.proposals.value = [];
      await sheet.save();
      if (sheet.state.value === "saved") say(t("nothing_said"));
    },
  };
}

const words = (sheet) => (sheet.state.value === "failed" ? t("failed", { why: sheet.problem.value.message }) : t(sheet.state.value));

function Saved({ sheet }) {
  if (!sheet) return null;
  const state = sheet.state.value;
  const tone = { saved: "completed", failed: "failed", conflict: "failed", saving: "running", unsaved: "stopped" }[state] ?? "queued";
  return html`<div class="saved" role="status"><span class=${`status ${tone}`}><i aria-hidden="true"></i>${state === "loading" && sheet.problem.value ? sheet.problem.value.message : words(sheet)}</span>
    ${state === "failed" && html`<${Button} kind="small" run=${() => sheet.save()}>${t("retry")}<//>`}
    ${state === "loading" && sheet.problem.value && html`<${Button} kind="small" run=${() => sheet.load()}>${t("retry")}<//>`}
    ${state === "conflict" && !sheet.theirs.value && html`<${Button} kind="small" run=${() => sheet.collide()}>${t("decide")}<//>`}</div>`;
}

function Tools({ acts, sheet, hand, place: where }) {
  const tool = (name, icon, press, more = {}) => html`<button type="button" class="button quiet" aria-label=${t(name)} title=${t(name)} onClick=${press} ...${more}><${Icon} name=${icon} /></button>`;
  return html`<div class="easel-tools" role="toolbar" aria-label=${where}>
    ${tool("previous", "left", () => acts.image(-1))}<span class="where">${where}</span>${tool("next", "right", () => acts.image(1))}
    <span class="gap"></span>
    ${tool("undo", "undo", acts.undo, { disabled: !sheet?.past.value.length })}${tool("redo", "redo", acts.redo, { disabled: !sheet?.future.value.length })}
    <span class="gap"></span>
    ${tool("zoom_out", "minus", () => acts.zoom(0.8))}${tool("zoom_in", "add", () => acts.zoom(1.25))}${tool("fit", "fit", acts.fit)}${tool("hand", "hand", acts.hand, { "aria-pressed": hand })}
    <span class="gap"></span>
    <button type="button" class="button quiet" disabled=${!sheet || sheet.boxes.value.length > 0 || sheet.state.value === "loading"} onClick=${acts.nothing}>${t("nothing")}</button>
  </div>`;
}
