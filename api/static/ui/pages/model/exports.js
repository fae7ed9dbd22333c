// The model in other formats.
import { html, useState } from "../../core/view.js";
import { part, post } from "../../core/api.js";
import { bytes, NONE } from "../../core/format.js";
import { Button, Empty, Panel, Problem, say, Table } from "../../components/index.js";
import { jobColumn, statusColumn, useMade, whenColumn } from "./jobs.js";
import { t } from "../model.text.js";

const FORMATS = ["onnx", "torchscript", "openvino", "engine", "coreml", "litert", "saved_model", "mnn", "ncnn", "paddle"];

export function Exports({ model, path }) {
  const { data, problem, reload } = useMade(`${path}/exports`, "exports");
  const [format, setFormat] = useState("onnx");
  const [imgsz, setImgsz] = useState("");
  const [flags, setFlags] = useState({});
  const run = async () => {
    const chosen = Object.fromEntries(Object.entries(flags).filter(([, on]) => on));
    await post(`${path}/export`, { format, ...(imgsz ? { imgsz: Number(imgsz) } : {}), ...chosen });
    say(t("started"));
    await reload();
  };
  const flag = (name) => html`<label class="check"><input type="checkbox" checked=${Boolean(flags[name])} onChange=${(event) => setFlags({ ...flags, [name]: event.currentTarget.checked })} /><span>${t(name)}</span></label>`;
  return html`<${Panel} title=${t("exports")} count=${data?.length ?? null} tools=${html`<select aria-label=${t("format")} value=${format} onChange=${(event) => setFormat(event.currentTarget.value)}>
      ${FORMATS.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>
      <input type="number" class="narrow" min="32" max="8192" step="32" aria-label=${t("image_size")} placeholder=${model.imgsz ?? t("as_trained")} value=${imgsz} onInput=${(event) => setImgsz(event.currentTarget.value)} />
      ${flag("half")}${flag("dynamic")}<${Button} run=${run}>${t("export")}<//>`}>
    ${problem && html`<${Problem} problem=${problem} retry=${reload} />`}
    ${data && (data.length === 0 ? html`<${Empty} title=${t("exports_none")} />` : html`<${Table} label=${t("exports")} rows=${data} rowKey=${(made) => made.job_id} columns=${[
      { key: "format", label: t("format"), class: "nowrap", cell: (made) => html`${made.format}<br /><small>${Object.entries(made.arguments).map(([name, value]) => `${name} ${value}`).join(", ")}</small>` },
      statusColumn(),
      { key: "file", label: t("file"), class: "break", cell: (made) => (made.file ? html`<a href=${`${path}/exports/${part(made.job_id)}/file`} download>${made.file.name}</a> <small>${bytes(made.file.size_bytes)}</small>` : NONE) },
      jobColumn(), whenColumn(),
    ]} />`)}<//>`;
}
