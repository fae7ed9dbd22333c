// A job's request as a form: made of the API's own description, shown as it will be sent, checked before it is.
import { html, useEffect, useState } from "../core/view.js";
import { get, part, post } from "../core/api.js";
import { go, jobLink, place, refine } from "../core/router.js";
import { Button, Loading, Panel, Problem, say, useLoad } from "../components/index.js";
import { SchemaForm } from "../components/form.js";
import { BUNDLED, describe, firstFields, formSchema, kindOf, KINDS, requestOf, suggestions } from "./new/kinds.js";
import { Sent } from "./new/sent.js";
import { t } from "./new.text.js";

export default function NewJob() {
  const { engine = "diffusion_pipe", from = "" } = place.value.query;
  const { data, problem, reload } = useLoad(async (abort) => {
    const known = await describe();
    const again = from ? await get(`/api/v1/training/${part(from)}/request`, {}, { signal: abort }) : null;
    return { known, again };
  }, [from]);
  if (problem) return html`<${Problem} problem=${problem} retry=${reload} />`;
  if (!data || (from && data.again?.task_id !== from)) return html`<${Loading} />`;
  const { known, again } = data;
  const kind = (again?.path && kindOf(again.path)) || KINDS.find((one) => one.name === engine) || KINDS[0];
  const given = again?.body ?? kind.given?.(place.value.query) ?? {};
  const offered = KINDS.filter((one) => known.schemas[one.path] && known.engines[one.engine]);
  return html`<div class="title"><div><h1>${t("title")}</h1>
      ${again && html`<p class="sub">${t(again.path ? "from" : "not_again")} <a href=${jobLink(from)} class="mono">${from}</a></p>`}</div></div>
    ${!from && html`<div class="kinds" role="group" aria-label=${t("kind")}>${offered.map((one) => html`<${Kind} key=${one.name} kind=${one} engine=${known.engines[one.engine]} chosen=${one === kind} />`)}</div>`}
    ${again?.left_out.length > 0 && html`<div class="failure waiting"><b>${t("left_out")}</b><p class="mono">${again.left_out.join(", ")}</p></div>`}
    <${Form} key=${`${kind.name} ${JSON.stringify(given)}`} kind=${kind} known=${known} given=${given} />`;
}

function Kind({ kind, engine, chosen }) {
  return html`<button type="button" class="kind" aria-pressed=${chosen} title=${engine.reason ?? ""} onClick=${() => refine({ engine: kind.name })}>
    <b>${t(kind.name)}</b><small>${engine.available ? t(`${kind.name}_more`) : t("unavailable", { reason: engine.reason ?? "" })}</small></button>`;
}

function Form({ kind, known, given }) {
  const [value, setValue] = useState(given);
  const [anew, setAnew] = useState(0);
  const [refused, setRefused] = useState(null);
  const { data: suggest } = useLoad((abort) => suggestions(kind, abort), [kind]);
  const schema = formSchema(kind, known, value);
  const engine = known.engines[kind.engine];
  useEffect(() => setRefused(null), [kind]);
  if (!schema) return html`<${Problem} problem=${{ message: t("no_request") }} />`;
  const request = requestOf(kind, value);
  const errors = refused?.fields ?? [];
  const fill = (whole) => {
    setValue(whole);
    setAnew(anew + 1);
  };
  const send = async () => {
    setRefused(null);
    try {
      const made = await post(request.path, request.body);
      say(t("started"));
      go(`/job/${part(kind.id(made))}`);
    } catch (problem) {
      refuse(problem);
    }
  };
  const refuse = (problem) => {
    setRefused(problem);
    requestAnimationFrame(() => {
      const wrong = document.querySelector('[aria-invalid="true"]') ?? document.querySelector(".new .problem");
      for (let around = wrong?.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
      wrong?.scrollIntoView({ block: "center" });
      wrong?.focus?.();
    });
  };
  const empty = Object.keys(value).length === 0;
  return html`<div class="new">
    <form onSubmit=${(event) => (event.preventDefault(), send())} noValidate>
      ${kind.name === "diffusion_pipe" && engine.version === "bundled" && empty && html`<div class="failure hint-box"><b>${t("bundled")}</b><p>${t("bundled_more")}</p>
        <div><button type="button" class="button" onClick=${() => fill(BUNDLED)}>${t("fill_bundled")}</button></div></div>`}
      ${refused && html`<${Problem} problem=${refused} />`}
      <${Panel} title=${t(kind.name)} tools=${!empty && html`<button type="button" class="button quiet small" onClick=${() => fill({})}>${t("clear")}</button>`}>
        <div class="body"><${SchemaForm} key=${anew} schema=${schema} value=${value} change=${setValue} errors=${errors} first=${firstFields(kind, schema)} suggest=${suggest ?? {}} /></div><//>
      <div class="actions last"><${Button} kind="primary" run=${send}>${t("start")}<//><small>${t("start_more")}</small></div>
    </form>
    <${Sent} kind=${kind} request=${request} refuse=${refuse} />
  </div>`;
}
