// Finds lines of the whole log, on the server; a found one is shown where it stands.
import { html, useState } from "../../core/view.js";
import { get, part } from "../../core/api.js";
import { integer } from "../../core/format.js";
import { Button, Problem } from "../../components/index.js";
import { t } from "../job.text.js";

const MOST = 200; // lines that are listed

export function Search({ id, level, show }) {
  const [keyword, setKeyword] = useState("");
  const [regex, setRegex] = useState(false);
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const search = async (event) => {
    event?.preventDefault();
    setProblem(null);
    setFound(null);
    if (!keyword) return;
    try {
      setFound(await get(`/api/v1/training/${part(id)}/logs/search`, { keyword, regex: regex || "", level, limit: MOST }));
    } catch (failure) {
      setProblem(failure);
    }
  };
  const close = () => (setFound(null), setKeyword(""));
  return html`<form class="log-search" role="search" onSubmit=${search}>
      <input type="search" aria-label=${t("search_log")} placeholder=${t("search_log")} value=${keyword} onInput=${(event) => (setKeyword(event.currentTarget.value), event.currentTarget.value === "" && setFound(null))} />
      <label class="check"><input type="checkbox" checked=${regex} onChange=${(event) => setRegex(event.currentTarget.checked)} /><span>${t("regex")}</span></label>
      <${Button} run=${search} kind="small">${t("find")}<//>
      ${found && html`<small>${t(found.complete ? "matches" : "matches_so_far", { count: integer(found.total_matches) })}</small><button type="button" class="button quiet small" onClick=${close}>${t("close")}</button>`}
    </form>
    ${problem && html`<${Problem} problem=${problem} />`}
    ${found?.results.length > 0 && html`<ol class="found" tabindex="0" aria-label=${t("search_log")}>${found.results.map((line) => html`<li key=${line.line_number}><button type="button" class=${line.level} onClick=${() => show(line.line_number)}>
      <small>${integer(line.line_number)}</small><span>${marked(line)}</span></button></li>`)}</ol>`}`;
}

function marked({ message, matched_text: hit }) {
  const at = hit ? message.indexOf(hit) : -1;
  return at < 0 ? message : html`${message.slice(0, at)}<mark>${hit}</mark>${message.slice(at + hit.length)}`;
}
