// Numbers, sizes and times as people read them. What is not known is "–".
import { language } from "./i18n.js";
import { signal } from "./view.js";

export const NONE = "–";
const absent = (value) => value === null || value === undefined || Number.isNaN(value);
const locale = () => (language.value === "zh" ? "zh-CN" : "en");

const SKEW = 5000; // ms; less is the way of an answer, and its whole seconds
let ahead = 0; // ms that the service's clock is ahead of this browser's

/** The service's time, grown once a second while the page is seen: reading it keeps relative times true. */
export const clock = signal(Date.now());
setInterval(() => {
  if (!document.hidden) clock.value = Date.now() + ahead;
}, 1000);

/** `date`: the header of an answer that has just come. */
export function setClock(date) {
  const found = Date.parse(date) - Date.now();
  if (Number.isNaN(found) || Math.abs(found - ahead) < SKEW) return;
  ahead = Math.abs(found) < SKEW ? 0 : found;
  clock.value = Date.now() + ahead;
}

export function integer(value) {
  return absent(value) ? NONE : Math.round(value).toLocaleString(locale());
}

/** Four significant digits, as a loss or a learning rate needs. */
export function number(value, digits = 4) {
  if (absent(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(Math.max(0, digits - 2)).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

export function percent(value, digits = 0, none = NONE) {
  return absent(value) ? none : `${value.toFixed(digits)}%`;
}

export function bytes(value) {
  if (absent(value)) return NONE;
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let power = 0;
  let size = value;
  while (size >= 1024 && power < units.length - 1) {
    size /= 1024;
    power += 1;
  }
  return `${size >= 100 || power === 0 ? Math.round(size) : size.toFixed(1)} ${units[power]}`;
}

export const megabytes = (value) => (absent(value) ? NONE : bytes(value * 1024 * 1024));

const UNITS = { en: ["d", "h", "m", "s"], zh: ["天", "时", "分", "秒"] };

/** Seconds as their two greatest units: 3 h 20 m. */
export function duration(seconds) {
  if (absent(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const first = parts.findIndex((part) => part > 0);
  const units = UNITS[language.value] || UNITS.en;
  if (first < 0) return `0 ${units[3]}`;
  return parts
    .map((part, index) => [part, units[index]])
    .slice(first, first + 2)
    .filter(([part], index) => index === 0 || part > 0)
    .map(([part, unit]) => `${part} ${unit}`)
    .join(" ");
}

/** "5 minutes ago"; read again with the clock. */
export function ago(iso) {
  if (!iso) return NONE;
  const seconds = (Date.parse(iso) - clock.value) / 1000;
  const words = new Intl.RelativeTimeFormat(locale(), { numeric: "auto", style: "short" });
  const size = Math.abs(seconds);
  if (size < 60) return words.format(Math.round(Math.min(0, seconds)), "second");
  if (size < 3600) return words.format(Math.round(seconds / 60), "minute");
  if (size < 86400) return words.format(Math.round(seconds / 3600), "hour");
  return words.format(Math.round(seconds / 86400), "day");
}

export function moment(iso) {
  return iso ? new Date(iso).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" }) : NONE;
}

export function timeOfDay(iso) {
  return iso ? new Date(iso).toLocaleTimeString("en-GB") : "";
}
