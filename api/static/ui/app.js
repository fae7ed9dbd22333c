// Starts the console: finds out who is there, opens the live stream, shows the page of the address.
import { html, render, effect, signal, useEffect, useRef, useState } from "./core/view.js";
import { begin, me, signOut, whoAmI } from "./core/api.js";
import { choose, language, LANGUAGES, table } from "./core/i18n.js";
import { close, connection, open, overview } from "./core/live.js";
import { dark, toggleTheme } from "./core/prefs.js";
import { link, match, place, titled } from "./core/router.js";
import { Button, Icon, Loading, Problem, Questions, Toasts } from "./components/index.js";
import { ROUTES, t as names } from "./routes.js";
import { SignIn } from "./pages/signin.js";

const t = table({
  en: {
    menu: "Main", skip: "Skip to content", language: "Language", theme_light: "Light theme", theme_dark: "Dark theme", out: "Sign out",
    live: "Live", connecting: "Connecting …", lost: "Connection lost. What is shown may be old; trying again …", version: "Version {version}",
    broken: "This page could not be loaded. The service may have been updated.", reload: "Load the console anew",
  },
  zh: {
    menu: "主导航", skip: "跳到内容", language: "语言", theme_light: "浅色主题", theme_dark: "深色主题", out: "退出登录",
    live: "实时", connecting: "连接中…", lost: "连接已断开，显示的内容可能已过时；正在重试…", version: "版本 {version}",
    broken: "无法加载此页面，服务可能已更新。", reload: "重新加载控制台",
  },
});

const startProblem = signal(null);
async function start() {
  startProblem.value = null;
  try {
    const found = await whoAmI();
    if (sessionStorage.getItem("trainyard.signed-out") && found?.via !== "session") me.value = null;
    else await begin(found);
  } catch (problem) {
    startProblem.value = problem;
  }
}

effect(() => {
  if (me.value) open();
  else close();
});

async function leave() {
  sessionStorage.setItem("trainyard.signed-out", "1");
  await signOut();
}

const modules = signal({});

function find(path) {
  for (const route of ROUTES) {
    const params = match(route.path, path);
    if (params) return { route, params };
  }
  return null;
}

function Page() {
  const found = find(place.value.path);
  const [failed, setFailed] = useState(null);
  const name = found?.route.name;
  useEffect(() => {
    document.title = titled(name ? names(name) : "404");
    if (!found || modules.value[name]) return;
    setFailed(null);
    found.route.load().then((module) => (modules.value = { ...modules.value, [name]: module.default }), () => setFailed(name));
  }, [name, language.value]);
  const first = useRef(true);
  useEffect(() => {
    const main = document.querySelector("main");
    main?.scrollTo(0, 0);
    if (!first.current && document.activeElement === document.body) main?.focus(); // what was followed has gone with its page
    first.current = false;
  }, [place.value.path]);
  if (!found) return html`<div class="empty"><p class="lead">${names("missing")}</p><a class="button" href=${link("/")}>${names("to_home")}</a></div>`;
  if (failed === name) return html`<${Problem} problem=${{ message: t("broken") }} /><${Button} run=${() => location.reload()}>${t("reload")}<//>`;
  const View = modules.value[name];
  return View ? html`<${View} key=${place.value.path} ...${found.params} />` : html`<${Loading} />`;
}

function Connection() {
  const state = connection.value;
  return html`<div class=${`connection ${state}`} role="status"><i aria-hidden="true"></i><span>${state === "live" ? t("live") : t(state === "lost" ? "lost" : "connecting")}</span></div>`;
}

export function LanguagePicker() {
  return html`<select class="plain" aria-label=${t("language")} value=${language.value} onChange=${(event) => choose(event.currentTarget.value)}>
    ${Object.entries(LANGUAGES).map(([tag, name]) => html`<option key=${tag} value=${tag} lang=${tag}>${name}</option>`)}</select>`;
}

function ThemeSwitch() {
  const label = dark.value ? t("theme_light") : t("theme_dark");
  return html`<button type="button" class="button quiet small" aria-label=${label} title=${label} onClick=${toggleTheme}><${Icon} name=${dark.value ? "sun" : "moon"} /></button>`;
}

function Frame() {
  const found = find(place.value.path);
  const here = found && (found.route.under ?? found.route.name);
  useEffect(() => document.querySelector(".side nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [here]); // on a phone it is a strip
  const skip = (event) => {
    event.preventDefault();
    document.querySelector("main").focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <div class="frame">
      <header class="side">
        <a class="brand" href=${link("/")}><img src=${new URL("icon.svg", import.meta.url).href} alt="" width="22" height="22" />Trainyard</a>
        <nav aria-label=${t("menu")}>
          ${ROUTES.filter((route) => route.icon).map((route) => html`<a key=${route.name} href=${link(route.path)} class=${route.begins ? "begins" : undefined} aria-current=${route.name === here ? "page" : undefined}><${Icon} name=${route.icon} /><span>${names(route.name)}</span></a>`)}
          <a class="outside" href="/api/v1/docs" target="_blank" rel="noopener"><${Icon} name="book" /><span>${names("api")}</span></a>
        </nav>
        <div class="foot">
          <${Connection} />
          <div class="who"><span title=${me.value.user.role}>${me.value.user.name}</span><${Button} kind="quiet small" run=${leave} aria-label=${t("out")} title=${t("out")}><${Icon} name="out" /><//></div>
          <div class="choices"><${LanguagePicker} /><${ThemeSwitch} /></div>
          ${overview.value && html`<small>${t("version", { version: overview.value.version })}</small>`}
        </div>
      </header>
      <main id="main" tabindex="-1"><div class="page"><${Page} /></div></main>
    </div>`;
}

function App() {
  const who = me.value;
  return html`
    ${startProblem.value ? html`<main class="lone"><${Problem} problem=${startProblem.value} retry=${start} /></main>`
      : who === undefined ? html`<main class="lone"><${Loading} /></main>`
      : who === null ? html`<${SignIn} tools=${html`<${LanguagePicker} /><${ThemeSwitch} />`} />`
      : html`<${Frame} />`}
    <${Questions} /><${Toasts} />`;
}

render(html`<${App} />`, document.getElementById("app"));
start();
