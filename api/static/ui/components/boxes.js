// Boxes on a picture. Each class keeps its colour wherever it is shown.
import { html } from "../core/view.js";
import { percent } from "../core/format.js";

/** Neighbouring classes get distant hues. */
export const colour = (number) => `hsl(${Math.round((number * 137.508 + 12) % 360)} 85% 52%)`;

/** Where the API has a picture that it calls `path`. */
export const pictureUrl = (path) => `/static/${path.split("/").map(encodeURIComponent).join("/")}`;
/** Its thumbnail, where `path` is an image of a prepared dataset. */
export const thumbnailUrl = (path) => pictureUrl(path.replace(/^(datasets\/[^/]+\/[^/]+\/)images\//, "$1thumbs/").replace(/\.[^./]+$/, ".jpg"));

/** `boxes`: [{class_id, x1, y1, x2, y2, conf?}] in pixels of the picture; `names`: of the classes. */
export function Picture({ src, width, height, boxes, names, label }) {
  const unit = Math.max(width, height) / 100;
  return html`<svg class="picture" viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${label}>
    <image href=${src} width=${width} height=${height} />
    ${boxes.map((box, index) => html`<g key=${index} class="boxed"><rect x=${box.x1} y=${box.y1} width=${box.x2 - box.x1} height=${box.y2 - box.y1} stroke=${colour(box.class_id)} fill=${colour(box.class_id)} />
      <${Name} box=${box} name=${names[box.class_id] ?? String(box.class_id)} unit=${unit} ground=${width} /></g>`)}
  </svg>`;
}

function Name({ box, name, unit, ground }) {
  const size = Math.max(unit * 2.4, 1);
  const text = `${name.length > 24 ? `${name.slice(0, 23)}…` : name}${box.conf === undefined ? "" : ` ${percent(box.conf * 100)}`}`;
  const width = (text.length * 0.64 + 0.8) * size;
  const top = box.y1 >= size * 1.5 ? box.y1 - size * 1.5 : box.y1;
  const left = Math.max(0, Math.min(box.x1, ground - width));
  return html`<rect class="plate" x=${left} y=${top} width=${width} height=${size * 1.5} fill=${colour(box.class_id)} />
    <text x=${left + size * 0.4} y=${top + size * 1.1} font-size=${size}>${text}</text>`;
}
