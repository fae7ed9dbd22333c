// The one way to the API: errors become a readable message, writes carry the session's CSRF token.
import { setClock } from "./format.js";
import { table } from "./i18n.js";
import { signal } from "./view.js";

const t = table({ en: { away: "The service cannot be reached." }, zh: { away: "无法连接到服务。" } });

/** undefined: not asked yet; null: nobody; else what /auth/me says. */
export const me = signal(undefined);
let csrf = null;

export class ApiError extends Error {
  constructor(status, message, data) {
    super(message);
    this.status = status;
    this.data = data;
    /** [{field, message}] of a 422, and of a path that may not be used. */
    this.fields = data?.errors ?? (typeof data?.field === "string" ? [{ field: data.field, message }] : []);
  }
}

/**
 * `body`: an object is sent as JSON, a FormData as it is. `query`: empty values are left out.
 * Returns what stands in the envelope, or the whole body where there is none. `quiet`: a 401 does not end the session.
 * `seen(response)`: for who needs the answer's headers.
 */
export async function call(method, path, { body, query, signal: abort, quiet = false, headers: more = {}, seen } = {}) {
  const headers = { Accept: "application/json", ...more };
  const options = { method, headers, signal: abort, credentials: "same-origin", cache: "no-store" };
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  if (body instanceof FormData) options.body = body;
  else if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(address(path, query), options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ApiError(0, t("away"), null);
  }
  setClock(response.headers.get("Date"));
  const answer = await read(response);
  if (response.ok) {
    seen?.(response);
    return opened(answer);
  }
  if (response.status === 401 && !quiet) me.value = null;
  throw new ApiError(response.status, told(answer, response), answer?.data ?? null);
}

const opened = (answer) => (answer && typeof answer === "object" && "code" in answer && "data" in answer ? answer.data : answer);

/** Sends a FormData and tells `progress(sent, total)` of it, which fetch cannot. */
export function upload(path, form, { progress, signal: abort } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("Accept", "application/json");
    if (csrf) request.setRequestHeader("X-CSRF-Token", csrf);
    request.upload.onprogress = (event) => progress?.(event.loaded, event.total);
    request.onerror = () => reject(new ApiError(0, t("away"), null));
    request.onabort = () => reject(new DOMException("given up", "AbortError"));
    request.onload = () => {
      const answer = parsed(request.responseText);
      if (request.status < 300) return resolve(opened(answer));
      if (request.status === 401) me.value = null;
      reject(new ApiError(request.status, told(answer, request), answer?.data ?? null));
    };
    abort?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

export const get = (path, query, more) => call("GET", path, { query, ...more });
export const post = (path, body = {}, more) => call("POST", path, { body, ...more });
export const put = (path, body, more) => call("PUT", path, { body, ...more });
export const patch = (path, body, more) => call("PATCH", path, { body, ...more });
export const remove = (path, query, more) => call("DELETE", path, { query, ...more });
/** One part of a path, whatever characters a client put into an id. */
export const part = encodeURIComponent;

function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function read(response) {
  if (response.status === 204) return null;
  const text = await response.text();
  return (response.headers.get("Content-Type") || "").includes("json") ? parsed(text) : text;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function told(answer, response) {
  const message = answer?.message ?? answer?.detail ?? answer?.error ?? answer?.non_field_errors?.[0];
  return typeof message === "string" && message ? message : `${response.status} ${response.statusText}`;
}

// ---- who is asking

async function identify() {
  const found = await get("/api/v1/auth/me", {}, { quiet: true });
  csrf = found.csrf_token;
  return found;
}

/** Who comes with this browser: a session, the local operator, or nobody. Throws where the service cannot be reached. */
export async function whoAmI() {
  try {
    return await identify();
  } catch (problem) {
    if (problem.status === 401) return null;
    throw problem;
  }
}

/** The local operator is given a session: some dialects ask even them for credentials. */
export async function begin(found) {
  if (found && found.via !== "session") {
    const session = await post("/api/v1/auth/session", {});
    csrf = session.csrf_token;
    found = { ...found, via: "session", csrf_token: csrf };
  }
  me.value = found;
}

export async function signIn(username, password) {
  await post("/api/v1/auth/login", { username, password }, { quiet: true });
  await begin(await identify());
}

export async function signOut() {
  await post("/api/v1/auth/logout", {}, { quiet: true });
  csrf = null;
  me.value = null;
}
