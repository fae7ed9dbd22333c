// The image with its boxes, drawn and changed with the mouse or a finger.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../core/view.js";
import { colour, pictureUrl } from "../../components/boxes.js";
import { t } from "../annotate.text.js";

const GRIP = 8; // screen pixels from a corner or an edge that take hold of it
const CLICK = 4; // screen pixels; less is no drag
const MOST_ZOOM = 40;

/** What is seen: `x`, `y` of the image at the stage's corner, and screen pixels a pixel of it. */
export function fitted(stage, image) {
  const scale = Math.min(stage.width / image.width, stage.height / image.height) * 0.98;
  return { scale, x: (image.width - stage.width / scale) / 2, y: (image.height - stage.height / scale) / 2 };
}

/** The same, nearer by `factor`, with the point at (`px`, `py`) of the screen left where it is. */
export function zoomed(view, factor, px, py, least) {
  const scale = Math.min(MOST_ZOOM, Math.max(least, view.scale * factor));
  return { scale, x: view.x + px / view.scale - px / scale, y: view.y + py / view.scale - py / scale };
}

export function Stage({ sheet, classes, current, hand, control }) {
  const svg = useRef(null);
  const [size, setSize] = useState(null);
  const [view, setView] = useState(null);
  const [draft, setDraft] = useState(null); // {index (null: a new one), box}
  const [broken, setBroken] = useState(false);
  const hold = useRef(null);
  const image = sheet.image.value;

  useLayoutEffect(() => {
    const sizes = new ResizeObserver(([entry]) => setSize({ width: entry.contentRect.width, height: entry.contentRect.height }));
    sizes.observe(svg.current);
    return () => sizes.disconnect();
  }, []);
  const fit = () => size && image && size.width > 0 && setView(fitted(size, image));
  useEffect(fit, [image?.image_id, size?.width, size?.height]);
  useEffect(() => setBroken(false), [image?.image_id]);
  const zoom = (factor, px = size.width / 2, py = size.height / 2) => view && setView(zoomed(view, factor, px, py, fitted(size, image).scale / 2));
  control.current = { fit, zoom, letGo: () => (hold.current = null, setDraft(null)), center: () => (view ? { x: view.x + size.width / view.scale / 2, y: view.y + size.height / view.scale / 2, width: size.width / view.scale } : null) };

  useEffect(() => {
    const wheel = (event) => {
      event.preventDefault();
      const box = svg.current.getBoundingClientRect();
      control.current.zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    };
    const element = svg.current;
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, []);

  const at = (event) => {
    const box = svg.current.getBoundingClientRect();
    return { x: view.x + (event.clientX - box.left) / view.scale, y: view.y + (event.clientY - box.top) / view.scale };
  };
  const down = (event) => {
    if (!view || hold.current) return;
    svg.current.setPointerCapture(event.pointerId);
    const point = at(event);
    const index = sheet.chosen.value;
    const box = index === null ? null : sheet.boxes.value[index];
    const edges = box && !event.shiftKey ? grip(box, point, GRIP / view.scale) : null;
    if (hand || event.button === 1) hold.current = { kind: "pan", view, event };
    else if (event.button !== 0) return;
    else if (edges) hold.current = { kind: edges.inside ? "move" : "size", edges, box, index, from: point, event };
    else hold.current = { kind: "draw", from: point, event };
  };
  const move = (event) => {
    const held = hold.current;
    if (!held) return;
    if (held.kind === "pan") return setView({ ...held.view, x: held.view.x - (event.clientX - held.event.clientX) / held.view.scale, y: held.view.y - (event.clientY - held.event.clientY) / held.view.scale });
    if (!draft && Math.hypot(event.clientX - held.event.clientX, event.clientY - held.event.clientY) < CLICK) return;
    const point = at(event);
    if (held.kind === "draw") setDraft({ index: null, box: { class_id: current, x1: held.from.x, y1: held.from.y, x2: point.x, y2: point.y } });
    else setDraft({ index: held.index, box: dragged(held, point.x - held.from.x, point.y - held.from.y, image) });
  };
  const up = (event) => {
    const held = hold.current;
    hold.current = null;
    if (!held || held.kind === "pan") return;
    setDraft(null);
    const boxes = sheet.boxes.value;
    if (!draft) sheet.chosen.value = under(boxes, at(event));
    else if (draft.index !== null) sheet.change(boxes.map((box, index) => (index === draft.index ? draft.box : box)), draft.index);
    else if (touches(draft.box, image)) sheet.change([...boxes, draft.box], boxes.length);
  };

  const chosen = sheet.chosen.value;
  const unit = view ? 1 / view.scale : 1;
  const shown = sheet.boxes.value.map((box, index) => (draft?.index === index ? draft.box : box));
  const name = image ? t("image", { name: image.image_path.split("/").pop(), width: image.width, height: image.height, count: shown.length }) : t("loading");
  return html`<svg ref=${svg} class=${`stage ${hand ? "hand" : ""}`} role="application" aria-label=${name} tabindex="0"
      viewBox=${view && size ? `${view.x} ${view.y} ${size.width / view.scale} ${size.height / view.scale}` : "0 0 1 1"}
      onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => control.current.letGo()} onAuxClick=${(event) => event.preventDefault()}>
    ${image && html`<image key=${image.image_id} href=${pictureUrl(image.image_path)} width=${image.width} height=${image.height} onError=${() => setBroken(true)} />`}
    ${view && sheet.proposals.value.map((box, index) => html`<${Box} key=${`p${index}`} box=${box} name=${classes[box.class_id]} unit=${unit} proposed=${true} />`)}
    ${view && shown.map((box, index) => index !== chosen && html`<${Box} key=${index} box=${box} name=${classes[box.class_id]} unit=${unit} />`)}
    ${view && shown[chosen] && html`<${Box} key="chosen" box=${shown[chosen]} name=${classes[shown[chosen].class_id]} unit=${unit} chosen=${true} />`}
    ${draft && draft.index === null && html`<${Box} box=${ordered(draft.box)} name=${classes[draft.box.class_id]} unit=${unit} chosen=${true} />`}
    ${broken && html`<text class="broken" x=${image.width / 2} y=${image.height / 2} font-size=${14 * unit} text-anchor="middle">${t("read_failed")}</text>`}
  </svg>`;
}

function Box({ box, name, unit, chosen = false, proposed = false }) {
  const { x1, y1, x2, y2 } = ordered(box);
  const ink = colour(box.class_id);
  const text = `${name ?? box.class_id}${box.conf === undefined ? "" : ` ${Math.round(box.conf * 100)}%`}`;
  const short = text.length > 28 ? `${text.slice(0, 27)}…` : text;
  const plate = 17 * unit;
  const top = y1 >= plate ? y1 - plate : y1;
  const corners = [[x1, y1], [x2, y1], [x1, y2], [x2, y2]];
  return html`<g class=${`box ${chosen ? "chosen" : ""} ${proposed ? "proposed" : ""}`}>
    <rect class="edge" x=${x1} y=${y1} width=${x2 - x1} height=${y2 - y1} stroke=${ink} fill=${ink} />
    <rect class="plate" x=${x1} y=${top} width=${(short.length * 7.5 + 10) * unit} height=${plate} fill=${ink} />
    <text x=${x1 + 5 * unit} y=${top + 12.5 * unit} font-size=${12 * unit}>${short}</text>
    ${chosen && corners.map(([x, y], index) => html`<rect key=${index} class="grip" x=${x - 4 * unit} y=${y - 4 * unit} width=${8 * unit} height=${8 * unit} stroke=${ink} />`)}
  </g>`;
}

const ordered = (box) => ({ ...box, x1: Math.min(box.x1, box.x2), x2: Math.max(box.x1, box.x2), y1: Math.min(box.y1, box.y2), y2: Math.max(box.y1, box.y2) });
const holds = (box, { x, y }) => x >= box.x1 && x <= box.x2 && y >= box.y1 && y <= box.y2;
const area = (box) => (box.x2 - box.x1) * (box.y2 - box.y1);

/** The edges of `box` that `point` takes hold of, or its inside. */
function grip(box, point, near) {
  const close = (value, edge) => Math.abs(value - edge) <= near;
  if (!holds({ x1: box.x1 - near, y1: box.y1 - near, x2: box.x2 + near, y2: box.y2 + near }, point)) return null;
  const edges = { x1: close(point.x, box.x1), y1: close(point.y, box.y1), x2: close(point.x, box.x2), y2: close(point.y, box.y2) };
  if (edges.x1 && edges.x2) edges.x1 = false;
  if (edges.y1 && edges.y2) edges.y1 = false;
  return { ...edges, inside: !Object.values(edges).some(Boolean) };
}

export function dragged({ kind, edges, box }, dx, dy, image) {
  if (kind === "move") return moved(box, dx, dy, image);
  return ordered({ ...box, x1: box.x1 + (edges.x1 ? dx : 0), y1: box.y1 + (edges.y1 ? dy : 0), x2: box.x2 + (edges.x2 ? dx : 0), y2: box.y2 + (edges.y2 ? dy : 0) });
}

/** The box elsewhere, as large as it was, inside the image. */
export function moved(box, dx, dy, image) {
  const x = Math.max(-box.x1, Math.min(image.width - box.x2, dx));
  const y = Math.max(-box.y1, Math.min(image.height - box.y2, dy));
  return { ...box, x1: box.x1 + x, x2: box.x2 + x, y1: box.y1 + y, y2: box.y2 + y };
}

/** The smallest box below the point. */
function under(boxes, point) {
  const hit = boxes.map((box, index) => ({ box, index })).filter(({ box }) => holds(box, point));
  return hit.sort((a, b) => area(a.box) - area(b.box))[0]?.index ?? null;
}

const touches = (box, image) => {
  const { x1, y1, x2, y2 } = ordered(box);
  return Math.min(x2, image.width) - Math.max(x1, 0) >= 1 && Math.min(y2, image.height) - Math.max(y1, 0) >= 1;
};
