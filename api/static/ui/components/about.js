// What people say about a thing: its name, description and tags, in a dialog.
import { html, useState } from "../core/view.js";
import { Button } from "./basic.js";
import { Dialog } from "./dialog.js";
import { say } from "./toast.js";
import { t } from "./about.text.js";

/** A button that edits `thing`; without `named` it has no name of its own. `save({name, description, tags})`. */
export function EditAbout({ thing, named = false, save }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class="button" onClick=${() => setOpen(true)}>${t("edit")}</button>
    ${open && html`<${Form} thing=${thing} named=${named} save=${save} close=${() => setOpen(false)} />`}`;
}

function Form({ thing, named, save, close }) {
  const [name, setName] = useState(thing.name ?? "");
  const [description, setDescription] = useState(thing.description ?? "");
  const [tags, setTags] = useState(thing.tags.join(", "));
  const keep = async () => {
    const said = { description, tags: [...new Set(tags.split(/[,，]/).map((tag) => tag.trim()).filter(Boolean))] };
    await save(named ? { name, ...said } : said);
    close();
    say(t("saved"));
  };
  const typed = (set) => (event) => set(event.currentTarget.value);
  return html`<${Dialog} title=${t("edit")} close=${close}>
    ${named && html`<div class="field"><label for="about-name">${t("name")}</label><input id="about-name" maxlength="200" value=${name} onInput=${typed(setName)} /></div>`}
    <div class="field"><label for="about-description">${t("description")}</label><textarea id="about-description" rows="3" maxlength="10000" value=${description} onInput=${typed(setDescription)}></textarea></div>
    <div class="field"><label for="about-tags">${t("tags")}</label><input id="about-tags" value=${tags} onInput=${typed(setTags)} /></div>
    <footer><button type="button" class="button" onClick=${close}>${t("cancel")}</button><${Button} kind="primary" run=${keep}>${t("save")}<//></footer>
  <//>`;
}

export function Tags({ tags }) {
  return tags.map((tag) => html`<span class="tag" key=${tag}>${tag}</span>`);
}
