// The images around the one that is worked on.
import { html, useEffect, useRef } from "../../core/view.js";
import { Icon } from "../../components/index.js";
import { pictureUrl } from "../../components/boxes.js";
import { t } from "../annotate.text.js";

export function Strip({ items, current, annotated, show, earlier, later }) {
  const list = useRef(null);
  useEffect(() => {
    const here = list.current?.querySelector("[aria-current]");
    if (here) list.current.scrollLeft = here.offsetLeft - list.current.clientWidth / 2 + here.clientWidth / 2;
  }, [current, items]);
  return html`<nav class="strip-images" aria-label=${t("images")}>
    ${earlier && html`<button type="button" class="button quiet" aria-label=${t("earlier")} onClick=${earlier}><${Icon} name="left" /></button>`}
    <ul ref=${list}>${items.map((item) => html`<li key=${item.image_id}><button type="button" aria-current=${item.image_id === current ? "true" : undefined} onClick=${() => show(item.image_id)}
      aria-label=${`${item.image_path.split("/").pop()}, ${t(annotated(item) ? "annotated" : "not_annotated")}`} title=${item.image_path.split("/").pop()}>
      <img loading="lazy" src=${pictureUrl(item.thumbnail_path)} alt="" />${annotated(item) && html`<i aria-hidden="true">✓</i>`}</button></li>`)}</ul>
    ${later && html`<button type="button" class="button quiet" aria-label=${t("later")} onClick=${later}><${Icon} name="right" /></button>`}
  </nav>`;
}
