// The address after `#` decides what is shown: `#/jobs?status=running`. The server knows one page only.
import { signal } from "./view.js";

function parse() {
  const [path, search = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/", query: Object.fromEntries(new URLSearchParams(search)) };
}

export const place = signal(parse());
addEventListener("hashchange", () => {
  place.value = parse();
});

export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `#${path}?${new URLSearchParams(given)}` : `#${path}`;
}

export function go(path, query) {
  location.hash = link(path, query);
}

/** Changes the query of the present place without a new entry in the history. */
export function refine(changes) {
  history.replaceState(null, "", link(place.value.path, { ...place.value.query, ...changes }));
  place.value = parse();
}

/** The title of the browser's tab. */
export const titled = (text) => `${text} · Trainyard`;

export const jobLink = (id) => link(`/job/${encodeURIComponent(id)}`);

/** `/job/:id` against a path: the parameters, or null. */
export function match(pattern, path) {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return null;
  const found = {};
  for (const [index, piece] of wanted.entries()) {
    if (piece.startsWith(":")) {
      try {
        found[piece.slice(1)] = decodeURIComponent(given[index]);
      } catch {
        return null;
      }
    } else if (piece !== given[index]) return null;
  }
  return found;
}
