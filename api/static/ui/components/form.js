// A form made from a JSON Schema: what it asks, its limits and its defaults are the API's own words.
import { html, useState } from "../core/view.js";
import { bytes } from "../core/format.js";
import { fieldWord, hintWord } from "./field-words.js";
import { ListInput, PairsInput } from "./form-lists.js";
import { t } from "./words.js";

/** The first type that is not null; "any" where there are several. */
export function typeOf(schema) {
  if (schema.properties) return "object";
  const types = [...new Set([schema.type ?? schema.anyOf?.map((one) => one.type)].flat(2).filter((type) => type && type !== "null"))];
  if (types.length === 1) return types[0];
  return types.length === 0 && schema.enum ? "string" : "any";
}

/**
 * `schema`: of an object. `value` and `change(value)`: its fields; an empty one is left out, so that the API's default
 * holds. `errors`: [{field, message}] of a 422. `first`: dotted paths shown at once, besides what is required; the
 * others are folded. `suggest`: dotted path -> [{value, label}]. `prefix`: where this object stands.
 */
export function SchemaForm({ schema, value, change, errors = [], first = [], suggest = {}, prefix = "" }) {
  const required = schema.required ?? [];
  const names = Object.keys(schema.properties ?? {});
  const wanted = (name) => first.some((path) => path === prefix + name || path.startsWith(`${prefix}${name}.`));
  const order = (name) => first.findIndex((path) => path === prefix + name || path.startsWith(`${prefix}${name}.`)); // what is only required comes first
  const plain = names.filter((name) => required.includes(name) || wanted(name)).sort((a, b) => order(a) - order(b));
  const folded = names.filter((name) => !plain.includes(name));
  const wrong = folded.some((name) => errors.some((error) => under(error.field, prefix + name)));
  const field = (name) => html`<${Field} key=${name} name=${name} path=${prefix + name} schema=${schema.properties[name]} required=${required.includes(name)}
    value=${value?.[name]} errors=${errors} first=${first} suggest=${suggest} change=${(next) => change(without({ ...value, [name]: next }, name, next))} />`;
  return html`<div class="fields">
    ${plain.map(field)}
    ${folded.length > 0 && (plain.length === 0 ? folded.map(field) : html`<details open=${wrong || undefined}><summary>${t("advanced", { count: folded.length })}</summary><div class="fields">${folded.map(field)}</div></details>`)}
  </div>`;
}

const under = (field, path) => field === path || field.startsWith(`${path}.`);

const plainDefault = (value) => !["", undefined, null].includes(value) && (typeof value !== "object" || (Array.isArray(value) && value.length > 0));
const LONG = /path|description|url|directory|prompt/; // texts that want the whole line

function without(fields, name, value) {
  if (value === undefined) delete fields[name];
  return fields;
}

/** A field's title, or its name: in another language with its name beside it, which is what the request says. */
function called(schema, name) {
  const word = schema.title ? undefined : fieldWord(name);
  return word ? html`${word} <small class="mono">${name}</small>` : schema.title ?? name;
}

/** The API marks what is written as it stands with `these`. */
const coded = (text) => text.split("`").map((piece, index) => (index % 2 ? html`<code key=${index}>${piece}</code>` : piece));

function Field({ name, path, schema, required, value, change, errors, first, suggest }) {
  const id = `field-${path}`;
  const mine = errors.filter((error) => error.field === path);
  const size = /^bytes\b/.test(schema.description ?? "") && value > 0 && `= ${bytes(value)}`;
  const hint = [schema.description && hintWord(schema.description), plainDefault(schema.default) && t("default", { value: JSON.stringify(schema.default) }), size].filter(Boolean).join(" · ");
  const told = coded(hint);
  const type = typeOf(schema);
  const wrong = mine.map((error) => html`<p class="error" role="alert" key=${error.message}>${error.message}</p>`);
  const legend = html`<legend>${called(schema, name)}${required ? html`<b aria-hidden="true"> *</b>` : html`<small> ${t("optional")}</small>`}</legend>`;
  if (type === "object" && schema.properties) {
    return html`<fieldset>${legend}${hint && html`<p class="hint">${told}</p>`}${wrong}
      <${SchemaForm} schema=${schema} value=${value} errors=${errors} first=${first} suggest=${suggest} prefix=${`${path}.`} change=${(next) => change(Object.keys(next).length ? next : undefined)} /></fieldset>`;
  }
  if (type === "array" && schema.items?.properties) {
    const item = (index, one, set) => html`<${SchemaForm} schema=${schema.items} value=${one} errors=${errors} first=${first.map((each) => each.replace(`${path}.0.`, `${path}.${index}.`))}
      suggest=${suggest} prefix=${`${path}.${index}.`} change=${set} />`;
    return html`<fieldset>${legend}${hint && html`<p class="hint">${told}</p>`}${wrong}<${ListInput} name=${schema.title ?? name} value=${value} change=${change} item=${item} /></fieldset>`;
  }
  const marks = { id, "aria-describedby": hint ? `${id}-hint` : undefined, "aria-invalid": mine.length > 0 };
  const several = type === "array" || (type === "object" && !schema.properties);
  return html`<div class=${`field ${several || (type === "string" && !schema.enum && LONG.test(name)) ? "several" : ""}`}>
    <label for=${id}>${called(schema, name)}${required && html`<b aria-hidden="true"> *</b>`}</label>
    <${Input} told=${marks} type=${type} schema=${schema} required=${required} value=${value} change=${change} suggest=${suggest[path]} />
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${told}</p>`}${wrong}
  </div>`;
}

function Input({ told, type, schema, required, value, change, suggest }) {
  const choices = schema.enum?.filter((one) => one !== null) ?? (type === "boolean" ? [true, false] : null);
  const entered = (event, read) => change(event.currentTarget.value === "" ? undefined : read(event.currentTarget));
  if (choices) {
    const pick = (event) => entered(event, (input) => choices[Number(input.value)]);
    return html`<select ...${told} required=${required} onChange=${pick} value=${value === undefined ? "" : String(choices.indexOf(value))}>
      <option value="">${t("unset")}</option>${choices.map((one, index) => html`<option key=${index} value=${index}>${String(one)}</option>`)}</select>`;
  }
  if (type === "integer" || type === "number") {
    return html`<input ...${told} type="number" step=${type === "integer" ? 1 : "any"} min=${schema.minimum} max=${schema.maximum} required=${required}
      value=${value ?? ""} onInput=${(event) => entered(event, (input) => input.valueAsNumber)} />`;
  }
  if (type === "string") {
    const secret = schema.format === "password";
    const known = suggest?.length ? `${told.id}-known` : undefined;
    return html`<input ...${told} type=${secret ? "password" : "text"} autocomplete=${secret ? "new-password" : "off"} list=${known} maxlength=${schema.maxLength} required=${required}
      value=${value ?? ""} onInput=${(event) => entered(event, (input) => input.value)} />
      ${known && html`<datalist id=${known}>${suggest.map((one) => html`<option key=${one.value} value=${one.value}>${one.label}</option>`)}</datalist>`}`;
  }
  const words = schema.additionalProperties;
  if (type === "object" && words?.type && typeOf(words) === "string") return html`<${PairsInput} told=${told} value=${value} change=${change} />`;
  if (schema.items?.enum) return html`<${ChecksInput} told=${told} choices=${schema.items.enum} value=${value} change=${change} />`;
  const items = type === "array" && schema.items ? typeOf(schema.items) : null;
  if (items === "string") return html`<${LinesInput} told=${told} value=${value} change=${change} />`;
  return type === "array" || type === "object" ? html`<${JsonInput} told=${told} value=${value} change=${change} />` : html`<${AnyInput} told=${told} value=${value} change=${change} />`;
}

/** Some of a few words. */
function ChecksInput({ told, choices, value = [], change }) {
  const set = (one, on) => {
    const next = choices.filter((each) => (each === one ? on : value.includes(each)));
    change(next.length ? next : undefined);
  };
  return html`<div class="checks" role="group" ...${told}>${choices.map((one) => html`<label class="check" key=${one}>
    <input type="checkbox" checked=${value.includes(one)} onChange=${(event) => set(one, event.currentTarget.checked)} /><span>${one}</span></label>`)}</div>`;
}

/** A list of strings, one a line. */
function LinesInput({ told, value, change }) {
  const set = (event) => change(event.currentTarget.value === "" ? undefined : event.currentTarget.value.split("\n"));
  return html`<textarea ...${told} class="mono" rows=${Math.min(8, Math.max(2, value?.length ?? 0))} spellcheck=${false} value=${(value ?? []).join("\n")} onInput=${set} placeholder=${t("one_a_line")}></textarea>`;
}

/** A value of any type: what reads as JSON is that, all else is text. */
function AnyInput({ told, value, change }) {
  const [text, setText] = useState(typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
  const set = (event) => {
    setText(event.currentTarget.value);
    change(read(event.currentTarget.value));
  };
  return html`<input ...${told} type="text" autocomplete="off" value=${text} onInput=${set} />`;
}

function read(text) {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** For what has no field of its own: nested lists, maps. Numbers may also stand with commas. */
function JsonInput({ told, value, change }) {
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value));
  const [wrong, setWrong] = useState(false);
  const set = (event) => {
    const next = event.currentTarget.value;
    setText(next);
    try {
      const bare = /^[\d.,\s-]+$/.test(next) && !next.includes("[");
      change(next.trim() === "" ? undefined : JSON.parse(bare ? `[${next}]` : next));
      setWrong(false);
    } catch {
      setWrong(true);
    }
  };
  return html`<textarea ...${told} class="mono" rows=${text.length > 60 ? 3 : 1} spellcheck=${false} value=${text} onInput=${set} placeholder="JSON"></textarea>
    ${wrong && html`<p class="error" role="alert">${t("invalid_json")}</p>`}`;
}
