// Two languages. Each page brings its own table: `const t = table({en: {...}, zh: {...}})`, then `t("key", {name})`.
import { signal, effect } from "./view.js";
import { recall, remember } from "./prefs.js";

export const LANGUAGES = { en: "English", zh: "中文" };
const preferred = (navigator.languages || ["en"]).map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in LANGUAGES);
export const language = signal(recall("language") in LANGUAGES ? recall("language") : preferred || "en");

effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});

export function choose(tag) {
  language.value = tag;
  remember("language", tag);
}

export const tables = [];

/** A function from a key to the words in the present language; `{name}` in them is filled from `values`; "one box|{count} boxes" is one or many. */
export function table(words) {
  tables.push(words);
  return (key, values = {}) => {
    const text = words[language.value]?.[key] ?? words.en[key];
    if (text === undefined) throw new Error(`no words for ${key}`);
    const [one, many = one] = text.split("|");
    return (String(values.count) === "1" ? one : many).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  };
}

/** Of a word that comes from the API (a status, a phase): its translation, or the word itself. */
export function wordsFor(words) {
  return (word, unknown) => words[language.value]?.[word] ?? words.en[word] ?? unknown ?? String(word ?? "").replaceAll("_", " ");
}
