// Signing in; nothing here needs a token.
import { html, useEffect, useState } from "../core/view.js";
import { begin, signIn, whoAmI } from "../core/api.js";
import { table } from "../core/i18n.js";
import { Button, Code } from "../components/index.js";

const t = table({
  en: {
    title: "Sign in to Trainyard", name: "Name", password: "Password", enter: "Sign in", operator: "Continue as the local operator",
    none: "No account yet? On the machine itself:",
  },
  zh: {
    title: "登录 Trainyard", name: "用户名", password: "密码", enter: "登录", operator: "以本机操作员身份继续",
    none: "还没有账户？请在服务所在的机器上运行：",
  },
});

export function SignIn({ tools }) {
  const [problem, setProblem] = useState(null);
  const [operator, setOperator] = useState(null);
  useEffect(() => {
    // the page itself takes an ended session's cookie away, after which the local operator is known again
    fetch("/ui/", { cache: "no-store" }).then(whoAmI).then(setOperator, () => setOperator(null));
  }, []);
  const come = async () => {
    sessionStorage.removeItem("trainyard.signed-out");
    await begin(await whoAmI());
  };
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    const form = new FormData(event.currentTarget);
    try {
      await signIn(form.get("username"), form.get("password"));
      sessionStorage.removeItem("trainyard.signed-out");
    } catch (failure) {
      setProblem(failure.message);
    }
  };
  return html`<main class="lone signin"><form onSubmit=${submit}>
    <img src=${new URL("../icon.svg", import.meta.url).href} alt="" width="36" height="36" />
    <h1>${t("title")}</h1>
    <label for="username">${t("name")}</label><input id="username" name="username" autocomplete="username" required autofocus />
    <label for="password">${t("password")}</label><input id="password" name="password" type="password" autocomplete="current-password" required />
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    <button class="button primary" type="submit">${t("enter")}</button>
    ${operator ? html`<${Button} run=${come}>${t("operator")}<//>` : html`<p class="hint">${t("none")}</p><${Code} text="python run.py user add NAME" />`}
    <div class="choices">${tools}</div>
  </form></main>`;
}
