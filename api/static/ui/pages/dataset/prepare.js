// Asks for a version: classes, and how images are split where they come without a split.
import { html, useEffect, useRef, useState } from "../../core/view.js";
import { ApiError, post } from "../../core/api.js";
import { percent } from "../../core/format.js";
import { Button, say } from "../../components/index.js";
import { t } from "../dataset.text.js";

const PAUSE = 2000; // ms between two questions after a long preparation

export function PrepareForm({ path, made }) {
  const [classes, setClasses] = useState("");
  const [val, setVal] = useState(20);
  const [seed, setSeed] = useState("0");
  const [errors, setErrors] = useState([]);
  const left = useRef(false);
  useEffect(() => () => (left.current = true), []);
  const run = async () => {
    const names = classes.split("\n").map((one) => one.trim()).filter(Boolean);
    const wanted = { split_ratio: { train: (100 - val) / 100, val: val / 100 }, seed: Number(seed), ...(names.length ? { classes: names } : {}) };
    setErrors([]);
    try {
      const answer = await prepared(path, wanted, left);
      say(t("ready", { version: answer.version }));
      await made(answer.version);
    } catch (problem) {
      setErrors(problem instanceof ApiError ? [problem.message, ...problem.fields.map((one) => `${one.field}: ${one.message}`)] : []);
      throw problem;
    }
  };
  return html`<form class="body fields" onSubmit=${(event) => event.preventDefault()}>
    <div class="field"><label for="classes">${t("classes")}</label><textarea id="classes" rows="3" aria-describedby="classes-hint" value=${classes} onInput=${(event) => setClasses(event.currentTarget.value)}></textarea><p class="hint" id="classes-hint">${t("classes_hint")}</p></div>
    <div class="field"><label for="share">${t("share")}</label><div class="inline"><input id="share" type="range" min="5" max="50" step="5" value=${val} aria-describedby="share-hint" onInput=${(event) => setVal(event.currentTarget.valueAsNumber)} /><output>${percent(val)}</output></div><p class="hint" id="share-hint">${t("share_hint")}</p></div>
    <div class="field"><label for="seed">${t("seed")}</label><input id="seed" type="number" min="0" max="2147483647" step="1" value=${seed} onInput=${(event) => setSeed(event.currentTarget.value)} /></div>
    <div class="wide-field">${[...new Set(errors)].map((one) => html`<p class="error" role="alert" key=${one}>${one}</p>`)}<${Button} kind="primary" run=${run}>${t("go")}<//></div>
  </form>`;
}

/** A large dataset takes longer than a request waits (503): the same question later has the answer. */
async function prepared(path, wanted, left) {
  for (;;) {
    try {
      return await post(`${path}/prepare`, wanted);
    } catch (problem) {
      if (problem.status !== 503 || left.current) throw problem;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}
