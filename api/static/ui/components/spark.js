// A line without axes, for a glance.
import { html } from "../core/view.js";

/**
 * `values`: numbers; a null is a gap, nulls before the first a line that has only begun. `at`: where each stands, growing;
 * else they are evenly spaced. `floor`/`ceiling`: fixed bounds, else the line's own.
 */
export function Spark({ values, at = null, label, width = 120, height = 28, floor = null, ceiling = null, fill = true }) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  if (known.length < 2) return html`<svg class="spark" viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${label}></svg>`;
  const low = floor ?? Math.min(...known);
  const high = Math.max(ceiling ?? Math.max(...known), low + 1e-12);
  const span = at ? at[at.length - 1] - at[0] || 1 : values.length - 1;
  const x = (index) => ((at ? at[index] - at[0] : index) / span) * width;
  const y = (value) => height - 2 - ((value - low) / (high - low)) * (height - 4);
  let line = "";
  let pen = false;
  values.forEach((value, index) => {
    const there = value !== null && Number.isFinite(value);
    if (there) line += `${pen ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = there;
  });
  const first = values.findIndex((value) => value !== null);
  const whole = fill && !values.slice(first).some((value) => value === null || !Number.isFinite(value));
  return html`<svg class="spark" viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label=${label}>
    ${whole && html`<path class="area" d=${`${line}L${width} ${height}L${x(first).toFixed(1)} ${height}Z`} />`}<path class="line" d=${line} /></svg>`;
}
