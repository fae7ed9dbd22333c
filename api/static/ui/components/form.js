// A form made from a JSON Schema: what it asks, its limits and its defaults are the API's own words.
import { html, useState } from "../core/view.js";
import { t } from "./words.js";

/** The first type that is not null. */
const typeOf = (schema) => {
  const types = [schema.type ?? schema.anyOf?.map((one) => one.type).flat()].flat().filter((type) => type && type !== "null");
  return types[0] ?? (schema.enum ? "string" : schema.properties ? "object" : "any");
};

/**
 * `schema`: of an object. `value` and `change(value)`: its fields; an empty one is left out, so that the API's default
 * holds. `errors`: [{field, message}] of a 422. Optional fields beyond `first` names are folded.
 */
export function SchemaForm({ schema, value, change, errors = [], first = [], prefix = "" }) {
  const required = schema.required ?? [];
  const names = Object.keys(schema.properties ?? {});
  const plain = names.filter((name) => required.includes(name) || first.includes(name));
  const folded = names.filter((name) => !plain.includes(name));
  const field = (name) => html`<${Field} key=${name} name=${name} path=${prefix + name} schema=${schema.properties[name]} required=${required.includes(name)}
    value=${value?.[name]} errors=${errors} change=${(next) => change(without({ ...value, [name]: next }, name, next))} />`;
  return html`<div class="fields">
    ${plain.map(field)}
    ${folded.length > 0 && (plain.length === 0 ? folded.map(field) : html`<details><summary>${t("advanced", { count: folded.length })}</summary><div class="fields">${folded.map(field)}</div></details>`)}
  </div>`;
}

function without(fields, name, value) {
  if (value === undefined) delete fields[name];
  return fields;
}

function Field({ name, path, schema, required, value, change, errors }) {
  const id = `field-${path}`;
  const mine = errors.filter((error) => error.field === path || error.field === name);
  const hint = [schema.description, schema.default !== undefined && `= ${JSON.stringify(schema.default)}`].filter(Boolean).join(" ");
  const type = typeOf(schema);
  if (type === "object" && schema.properties) {
    return html`<fieldset><legend>${name}${!required && html`<small> ${t("optional")}</small>`}</legend>${hint && html`<p class="hint">${hint}</p>`}
      <${SchemaForm} schema=${schema} value=${value} errors=${errors} prefix=${`${path}.`} change=${(next) => change(Object.keys(next).length ? next : undefined)} /></fieldset>`;
  }
  const told = { id, "aria-describedby": hint ? `${id}-hint` : undefined, "aria-invalid": mine.length > 0 };
  return html`<div class="field">
    <label for=${id}>${name}${required && html`<b aria-hidden="true"> *</b>`}</label>
    <${Input} told=${told} type=${type} schema=${schema} required=${required} value=${value} change=${change} />
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${mine.map((error) => html`<p class="error" role="alert" key=${error.message}>${error.message}</p>`)}
  </div>`;
}

function Input({ told, type, schema, required, value, change }) {
  const choices = schema.enum?.filter((one) => one !== null) ?? (type === "boolean" ? [true, false] : null);
  if (choices) {
    const pick = (event) => change(event.currentTarget.value === "" ? undefined : choices[Number(event.currentTarget.value)]);
    return html`<select ...${told} required=${required} onChange=${pick} value=${value === undefined ? "" : String(choices.indexOf(value))}>
      <option value="">${t("unset")}</option>${choices.map((one, index) => html`<option key=${index} value=${index}>${String(one)}</option>`)}</select>`;
  }
  if (type === "integer" || type === "number") {
    const set = (event) => change(event.currentTarget.value === "" ? undefined : event.currentTarget.valueAsNumber);
    return html`<input ...${told} type="number" step=${type === "integer" ? 1 : "any"} min=${schema.minimum} max=${schema.maximum} required=${required}
      value=${value ?? ""} onInput=${set} />`;
  }
  if (type === "string") {
    const set = (event) => change(event.currentTarget.value === "" ? undefined : event.currentTarget.value);
    return html`<input ...${told} type="text" maxlength=${schema.maxLength} required=${required} value=${value ?? ""} onInput=${set} />`;
  }
  return html`<${JsonInput} told=${told} value=${value} change=${change} />`;
}

/** For what has no field of its own: lists, maps, values of several types. */
function JsonInput({ told, value, change }) {
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value, null, 1));
  const [wrong, setWrong] = useState(false);
  const set = (event) => {
    const next = event.currentTarget.value;
    setText(next);
    try {
      change(next.trim() === "" ? undefined : JSON.parse(next));
      setWrong(false);
    } catch {
      setWrong(true);
    }
  };
  return html`<textarea ...${told} class="mono" rows="3" spellcheck="false" value=${text} onInput=${set} placeholder="JSON"></textarea>
    ${wrong && html`<p class="error" role="alert">${t("invalid_json")}</p>`}`;
}
