// A file from the disk to the API, with its progress.
import { html, useEffect, useRef, useState } from "../core/view.js";
import { upload } from "../core/api.js";
import { bytes } from "../core/format.js";
import { Bar } from "./basic.js";
import { t } from "./dropzone.text.js";

/** `path`: where the file goes, as `field` of a form; `fields`: the others. `done(answer)`. */
export function DropZone({ path, field = "file", fields = {}, accept, label, hint, done }) {
  const [sending, setSending] = useState(null);
  const [problem, setProblem] = useState(null);
  const [over, setOver] = useState(false);
  const abort = useRef(null);
  useEffect(() => () => abort.current?.abort(), []);

  const take = async (file) => {
    if (!file || sending) return;
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append(field, file);
    abort.current = new AbortController();
    setProblem(null);
    setSending({ name: file.name, sent: 0, total: file.size });
    try {
      const progress = (sent, total) => setSending({ name: file.name, sent, total });
      const answer = await upload(path, form, { progress, signal: abort.current.signal });
      setSending(null);
      await done(answer);
    } catch (failure) {
      setSending(null);
      if (failure.name !== "AbortError") setProblem(failure);
    }
  };
  const dropped = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files[0]);
  };
  const dragged = (event) => {
    event.preventDefault();
    setOver(true);
  };
  return html`<div class=${`dropzone ${over ? "over" : ""}`} onDragOver=${dragged} onDragLeave=${() => setOver(false)} onDrop=${dropped}>
    ${sending ? html`<${Sending} ...${sending} stop=${() => abort.current.abort()} />`
      : html`<label><b>${label}</b><span>${t("drop")} <u>${t("choose")}</u></span>
          <input type="file" class="sr" accept=${accept} onChange=${(event) => take(event.currentTarget.files[0])} /></label>`}
    ${hint && html`<p class="hint">${hint}</p>`}
    ${problem && html`<p class="error" role="alert">${problem.message}</p>`}
  </div>`;
}

function Sending({ name, sent, total, stop }) {
  const words = sent >= total ? t("checking", { name }) : t("sending", { name, sent: bytes(sent), total: bytes(total) });
  return html`<div class="sending"><span role="status">${words}</span>
    <${Bar} value=${sent >= total ? null : (sent / total) * 100} label=${t("progress", { name })} />
    <button type="button" class="button small" onClick=${stop}>${t("give_up")}</button></div>`;
}
