// What keys do in the editor.
import { useEffect, useRef } from "../../core/view.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** `acts`: {class(n), image(±1), open(), fresh(), choose(±1), move(dx, dy), size(dx, dy), erase(), undo(), redo(), zoom(f), fit(), hand(), accept(), nothing(), escape(), save()} */
export function useKeys(acts) {
  const now = useRef(acts);
  now.current = acts;
  useEffect(() => {
    const pressed = (event) => {
      const target = event.target;
      if (event.defaultPrevented || document.querySelector("dialog[open]") || target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
      if (act(now.current, event)) event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

/** Whether the key meant something. */
function act(acts, event) {
  const { key } = event;
  const command = event.ctrlKey || event.metaKey;
  const arrow = ARROWS[key];
  if (arrow && !event.altKey) return arrowed(acts, event, arrow, command);
  if (command) return commanded(acts, key.toLowerCase(), event.shiftKey);
  if (event.altKey) return false;
  if (/^[0-9]$/.test(key)) return done(acts.class((Number(key) + 9) % 10));
  const does = {
    n: acts.fresh, f: acts.fit, u: acts.open, h: acts.hand, a: acts.accept, e: acts.nothing, Delete: acts.erase, Backspace: acts.erase, Escape: acts.escape,
    "[": () => acts.choose(-1), "]": () => acts.choose(1), "+": () => acts.zoom(1.25), "=": () => acts.zoom(1.25), "-": () => acts.zoom(0.8),
  }[key.length === 1 ? key.toLowerCase() : key];
  return does ? done(does()) : false;
}

const done = (_result) => true;

function arrowed(acts, event, [dx, dy], command) {
  if (command) return done(acts.size(dx, dy));
  if (event.shiftKey) return done(acts.move(dx, dy));
  return dx === 0 ? false : done(acts.image(dx));
}

function commanded(acts, key, shift) {
  if (key === "z") return done(shift ? acts.redo() : acts.undo());
  if (key === "y") return done(acts.redo());
  if (key === "s") return done(acts.save());
  return false;
}
