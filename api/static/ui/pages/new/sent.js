// What the form would send: as JSON, as a command, and, where the API can tell, as the trainer's configuration.
import { html, useEffect, useState } from "../../core/view.js";
import { post } from "../../core/api.js";
import { Button, Code, Empty, Panel } from "../../components/index.js";
import { quoted } from "./kinds.js";
import { t } from "../new.text.js";

export function Sent({ kind, request, refuse }) {
  const [shown, setShown] = useState("json");
  const [preview, setPreview] = useState(null);
  const body = JSON.stringify(request.body, null, 2);
  useEffect(() => setPreview(null), [body]);
  const check = async () => {
    try {
      setPreview(await post(kind.preview, request.body));
      setShown("toml");
    } catch (problem) {
      setPreview(null);
      refuse(problem);
    }
  };
  const tabs = [["json", "JSON"], ["curl", "curl"], ...(kind.preview ? [["toml", "TOML"]] : [])];
  const tools = html`<div class="segments" role="group" aria-label=${t("sent")}>${tabs.map(([name, label]) => html`<button key=${name} type="button" aria-pressed=${shown === name} onClick=${() => setShown(name)}>${label}</button>`)}</div>`;
  const command = `curl -X POST ${location.origin}${request.path} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(request.body))}`;
  return html`<aside><${Panel} title=${t("sent")} tools=${tools}><div class="body sent">
    ${kind.preview && html`<div class="actions"><${Button} run=${check}>${t("check")}<//></div>`}
    ${shown === "json" && html`<p class="hint mono">POST ${request.path}</p><${Code} text=${body} label="JSON" />`}
    ${shown === "curl" && html`<p class="hint">${t("curl_more")}</p><${Code} text=${command} />`}
    ${shown === "toml" && (preview ? html`<p class="hint">${t("checked")}</p>${preview.warnings.length > 0 && html`<ul class="lost">${preview.warnings.map((line) => html`<li key=${line}>${line}</li>`)}</ul>`}${preview.files.map((file) => html`<h3 key=${file.name} class="mono">${file.name}</h3><${Code} text=${file.text} label=${file.name} />`)}`
      : html`<${Empty} title=${t("not_checked")}>${t("check_more")}<//>`)}
  </div><//></aside>`;
}
