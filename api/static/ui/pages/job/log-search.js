// Finds lines of the whole log, on the server; a found one is shown where it stands.
import { html, useEffect, useRef, useState } from "../../core/view.js";
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
  const turn = useRef(0); // of the search that is shown; a newer one, or none, ends it
  const search = async (event) => {
    event?.preventDefault();
    const mine = (turn.current += 1);
    setProblem(null);
    setFound(null);
    if (!keyword) return;
    let whole = { total_matches: 0, results: [], complete: false, next_line: 1 };
    try {
      while (!whole.complete && mine === turn.current) { // each answer takes some seconds at most; a long log takes several
        const from = whole.next_line;
        const more = await get(`/api/v1/training/${part(id)}/logs/search`, { keyword, regex: regex || "", level, limit: MOST, from_line: from });
        whole = { ...more, total_matches: whole.total_matches + more.total_matches, results: [...whole.results, ...more.results].slice(0, MOST) };
        if (mine === turn.current) setFound(whole);
        if (more.next_line === from) return; // nothing could be looked at in that time
      }
    } catch (failure) {
      if (mine === turn.current) setProblem(failure);
    }
  };
  useEffect(() => () => (turn.current += 1), []);
  const end = () => ((turn.current += 1), setFound(null));
  const close = () => (end(), setKeyword(""));
  return html`<form class="log-search" role="search" onSubmit=${search}>
      <input type="search" aria-label=${t("search_log")} placeholder=${t("search_log")} value=${keyword} onInput=${(event) => (setKeyword(event.currentTarget.value), event.currentTarget.value === "" && end())} />
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
