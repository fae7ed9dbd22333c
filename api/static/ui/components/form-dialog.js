// A small form in a dialog: what the API refuses stands at the field.
import { html, useState } from "../core/view.js";
import { Button, Problem } from "./basic.js";
import { Dialog } from "./dialog.js";
import { SchemaForm } from "./form.js";
import { t } from "./words.js";

/** `send(value)` is the request; when it succeeds, the dialog closes itself by `close()`. */
export function FormDialog({ title, text, schema, initial = {}, first, suggest, action, send, close }) {
  const [value, setValue] = useState(initial);
  const [refused, setRefused] = useState(null);
  const submit = async () => {
    setRefused(null);
    try {
      await send(value);
    } catch (problem) {
      setRefused(problem);
      return;
    }
    close();
  };
  const names = first ?? Object.keys(schema.properties);
  return html`<${Dialog} title=${title} close=${close}><form class="sheet-form" noValidate onSubmit=${(event) => (event.preventDefault(), submit())}>
    ${text && html`<p class="hint">${text}</p>`}
    <${SchemaForm} schema=${schema} value=${value} change=${setValue} errors=${refused?.fields ?? []} first=${names} suggest=${suggest} />
    ${refused && refused.fields.length === 0 && html`<${Problem} problem=${refused} />`}
    <footer><button type="button" class="button" onClick=${close}>${t("cancel")}</button><${Button} kind="primary" run=${submit}>${action}<//></footer>
  </form><//>`;
}

/** What is shown only now: copied before the dialog is closed. */
export function Once({ title, text, secret, close, children }) {
  return html`<${Dialog} title=${title} close=${close}><p>${text}</p>${children}${secret}
    <footer><button type="button" class="button primary" onClick=${close}>${t("close")}</button></footer><//>`;
}
