// What this browser remembers; a browser that keeps nothing still works.
import { signal, effect } from "./view.js";

function read(key) {
  try {
    return localStorage.getItem(`trainyard.${key}`);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(`trainyard.${key}`);
    else localStorage.setItem(`trainyard.${key}`, value);
  } catch {
    // storage is refused: the choice holds until the page is left
  }
}

export const recall = read;

/** "light", "dark", or null: as the system has it. */
export const theme = signal(["light", "dark"].includes(read("theme")) ? read("theme") : null);
const systemDark = matchMedia("(prefers-color-scheme: dark)");
export const dark = signal(systemDark.matches);
const settle = () => {
  dark.value = theme.value === "dark" || (theme.value === null && systemDark.matches);
  document.documentElement.dataset.theme = dark.value ? "dark" : "light";
};
systemDark.addEventListener("change", settle);
effect(settle);

export function toggleTheme() {
  const next = dark.value ? "light" : "dark";
  theme.value = systemDark.matches === (next === "dark") ? null : next;
  remember("theme", theme.value);
}
