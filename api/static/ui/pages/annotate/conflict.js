// Two people changed one image: both are shown, and one decides.
import { html } from "../../core/view.js";
import { Button, Dialog } from "../../components/index.js";
import { Picture, pictureUrl } from "../../components/boxes.js";
import { t } from "../annotate.text.js";

export function Conflict({ sheet, classes }) {
  const theirs = sheet.theirs.value.image;
  const later = () => (sheet.theirs.value = null);
  const side = (title, boxes) => html`<figure><figcaption><b>${title}</b> <small>${t("count", { count: boxes.length })}</small></figcaption>
    <${Picture} src=${pictureUrl(theirs.image_path)} width=${theirs.width} height=${theirs.height} boxes=${boxes} names=${classes} label=${title} /></figure>`;
  return html`<${Dialog} title=${t("conflict_title")} close=${later}><p>${t("conflict_text")}</p>
    <div class="two">${side(t("mine"), sheet.boxes.value)}${side(t("theirs"), theirs.boxes)}</div>
    <footer><button type="button" class="button quiet" onClick=${later}>${t("later_decide")}</button>
      <${Button} run=${() => sheet.settle("theirs")}>${t("take_theirs")}<//><${Button} run=${() => sheet.settle("both")}>${t("both")}<//>
      <${Button} kind="primary" run=${() => sheet.settle("mine")}>${t("keep_mine")}<//></footer><//>`;
}
