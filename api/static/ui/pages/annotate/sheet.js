// The boxes of one image: what is drawn, what is saved, and what to do when somebody else has saved meanwhile.
import { batch, signal } from "../../core/view.js";
import { get, part, post } from "../../core/api.js";

const PAUSE = 700; // ms after the last change before it is saved
const AGAIN = 4000; // ms after a failure
const MOST_STEPS = 200;

export class Sheet {
  /** `told(sheet)` after each save. */
  constructor(taskPath, imageId, told) {
    this.id = imageId;
    this.path = `${taskPath}/items/${part(imageId)}`;
    this.told = told;
    this.image = signal(null);
    this.boxes = signal([]);
    this.proposals = signal([]);
    this.chosen = signal(null); // index of a box
    /** loading, clean (never annotated), saved, unsaved, saving, failed, conflict */
    this.state = signal("loading");
    this.problem = signal(null);
    this.theirs = signal(null);
    this.past = signal([]);
    this.future = signal([]);
    this.etag = null;
    this.timer = null;
    this.flight = null;
    this.closed = false;
  }

  async load() {
    try {
      const { image, etag } = await this.read();
      if (this.closed) return;
      batch(() => {
        this.take(image, etag);
        this.image.value = image;
        this.proposals.value = image.proposals ?? [];
        this.problem.value = null;
      });
    } catch (problem) {
      this.problem.value = problem;
    }
  }

  async read() {
    let etag = null;
    const image = await get(this.path, {}, { seen: (response) => (etag = response.headers.get("ETag")) });
    return { image, etag };
  }

  take(image, etag) {
    this.etag = etag;
    this.boxes.value = image.boxes;
    this.chosen.value = null;
    this.state.value = image.has_annotation ? "saved" : "clean";
  }

  get dirty() {
    return ["unsaved", "saving", "failed", "conflict"].includes(this.state.value);
  }

  /** Boxes in place of those that are; one step that can be undone. */
  change(boxes, chosen = null) {
    if (this.image.value === null) return;
    this.past.value = [...this.past.value, this.boxes.value].slice(-MOST_STEPS);
    this.future.value = [];
    this.put(boxes, chosen);
  }

  put(boxes, chosen) {
    const { width, height } = this.image.value;
    batch(() => {
      this.boxes.value = boxes.map((box) => within(box, width, height));
      this.chosen.value = chosen;
      if (this.state.value !== "conflict") this.later(PAUSE);
    });
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    if (from.value.length === 0) return;
    const boxes = from.value[from.value.length - 1];
    from.value = from.value.slice(0, -1);
    to.value = [...to.value, this.boxes.value];
    this.put(boxes, null);
  }

  later(pause) {
    if (this.state.value !== "saving") this.state.value = "unsaved";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), pause);
  }

  /** Saves what is drawn, also where it is as it was. Resolves when nothing is left to save, or it cannot be. */
  async save() {
    clearTimeout(this.timer);
    if (this.flight) await this.flight;
    if (this.image.value === null || this.state.value === "conflict") return;
    this.flight = this.send();
    await this.flight;
    this.flight = null;
  }

  async send() {
    const boxes = this.boxes.value;
    this.state.value = "saving";
    try {
      let etag = null;
      const headers = { "If-Match": this.etag };
      await post(this.path, { boxes: boxes.map(sent) }, { headers, seen: (response) => (etag = response.headers.get("ETag")) });
      this.etag = etag;
      this.problem.value = null;
      this.state.value = "saved";
      this.told(this);
      if (this.boxes.value !== boxes) this.later(PAUSE);
    } catch (problem) {
      if (problem.status === 412) return this.collide();
      this.problem.value = problem;
      this.state.value = "failed";
      if (problem.status === 0 || problem.status >= 500) this.timer = setTimeout(() => this.save(), AGAIN);
    }
  }

  async collide() {
    this.state.value = "conflict";
    try {
      this.theirs.value = await this.read();
    } catch (problem) {
      this.problem.value = problem;
      this.state.value = "failed";
    }
  }

  /** `how`: mine, theirs or both. */
  async settle(how) {
    const { image, etag } = this.theirs.value;
    this.theirs.value = null;
    if (how === "theirs") {
      this.past.value = [...this.past.value, this.boxes.value];
      return this.take(image, etag);
    }
    this.etag = etag;
    this.state.value = "unsaved";
    if (how === "both") this.change([...image.boxes, ...this.boxes.value.filter((box) => !image.boxes.some((other) => same(box, other)))]);
    return this.save();
  }

  /** Saves what is not saved yet. → whether the image may be left. */
  async leave() {
    if (["unsaved", "failed"].includes(this.state.value)) await this.save();
    while (this.flight) await this.flight;
    if (this.state.value === "unsaved") await this.save();
    return !this.dirty;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }
}

const round = (value) => Math.round(value * 100) / 100;
const sent = ({ class_id, x1, y1, x2, y2 }) => ({ class_id, x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2) });
const same = (one, other) => JSON.stringify(sent(one)) === JSON.stringify(sent(other));

/** A box with its corners in order, inside the image, and not thinner than a pixel. */
function within({ class_id, x1, y1, x2, y2 }, width, height) {
  const [left, right] = span(x1, x2, width);
  const [top, bottom] = span(y1, y2, height);
  return { class_id, x1: left, y1: top, x2: right, y2: bottom };
}

function span(one, other, limit) {
  const low = Math.max(0, Math.min(one, other, limit - 1));
  const high = Math.min(limit, Math.max(one, other));
  return [low, Math.min(limit, Math.max(high, low + 1))];
}
