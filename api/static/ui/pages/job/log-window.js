// The part of a log that is held: at most MOST lines, however long the log is. Its end grows by the stream, which goes on
// by itself after a lost connection (Last-Event-ID); its edges move by line numbers.

const MOST = 600; // lines
const STEP = 200; // lines that one reading adds

export class LogWindow {
  /** `get(path, query, options)` asks the API; `changed()` is called when `state` is another. */
  constructor(key, path, level, get, changed) {
    Object.assign(this, { key, path, level, get, changed, anchor: null });
    this.state = { lines: [], following: true, missed: false, problem: null };
    this.kept = new Map(); // line number -> line, in order; all that there is between the first and the last
    this.atStart = false;
    this.reading = null;
  }

  open() {
    this.closed = false;
    this.abort = new AbortController();
    this.listen();
  }

  close() {
    this.closed = true;
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    cancelAnimationFrame(this.drawing);
    this.drawing = null;
    this.abort?.abort();
    this.reading = null;
  }

  set(changes) {
    if (this.closed) return;
    this.state = { ...this.state, ...changes, lines: [...this.kept.values()] };
    this.changed();
  }

  // ---- the end, as it comes

  listen() {
    this.source?.close();
    this.joining = true;
    const source = new EventSource(`${this.path}/stream${this.level ? `?level=${this.level}` : ""}`);
    this.source = source;
    source.onmessage = (event) => this.take(JSON.parse(event.data));
    source.addEventListener("end", () => source.close());
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this.end(), 3000); // else the browser tries again by itself
    };
  }

  take(line) {
    if (this.state.missed) return;
    const joined = this.joining && !this.level && this.kept.size > 0;
    this.joining = false;
    if (joined && line.line_number > [...this.kept.keys()].pop() + 1) {
      this.set({ missed: true }); // more has come than the stream begins with
      return;
    }
    if (!this.state.following && !this.kept.has(line.line_number) && this.kept.size >= MOST) {
      this.set({ missed: true }); // somebody reads further up: what comes is read when it is scrolled to
      return;
    }
    this.kept.set(line.line_number, line);
    if (this.state.following) this.trim("start");
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = null;
      this.set({});
      if (this.kept.size < STEP && !this.atStart) this.earlier(null);
    });
  }

  follow(following) {
    if (this.state.following !== following) this.set({ following });
  }

  /** To the newest line, whatever was shown. */
  end() {
    if (this.closed) return;
    if (!this.state.missed && this.source && this.source.readyState !== EventSource.CLOSED) {
      this.set({ following: true });
      return;
    }
    this.abort.abort();
    this.abort = new AbortController();
    this.reading = null;
    this.kept.clear();
    this.atStart = false;
    this.state = { ...this.state, missed: false, following: true, problem: null };
    this.listen();
  }

  // ---- the edges

  /** `anchor`: {line, top} of what must stay where it is on the screen. */
  earlier(anchor) {
    const first = this.kept.keys().next().value;
    if (this.atStart || first === undefined) return;
    this.read(async () => {
      const { logs } = await this.page({ before_line: first, limit: STEP });
      if (logs.length < STEP) this.atStart = true;
      this.kept = new Map([...logs.map((line) => [line.line_number, line]), ...this.kept]);
      if (!this.state.following) this.trim("end");
      this.anchor = anchor;
    });
  }

  later(anchor) {
    if (!this.state.missed) return;
    const last = [...this.kept.keys()].pop();
    this.read(async () => {
      const { logs } = await this.page({ from_line: last + 1, limit: STEP });
      logs.forEach((line) => this.kept.set(line.line_number, line));
      this.trim("start");
      this.anchor = anchor;
      if (logs.length < STEP) {
        this.state = { ...this.state, missed: false };
        this.listen(); // what has come meanwhile is among the stream's first lines
      }
    });
  }

  /** The lines beside one that a search found. */
  around(number, top) {
    return this.read(async () => {
      const [before, after] = await Promise.all([this.page({ before_line: number, limit: STEP }), this.page({ from_line: number, limit: STEP })]);
      this.kept = new Map([...before.logs, ...after.logs].map((line) => [line.line_number, line]));
      this.atStart = before.logs.length < STEP;
      this.state = { ...this.state, following: false, missed: true };
      this.anchor = { line: number, top };
    }, true);
  }

  page(place) {
    return this.get(this.path, { ...place, level: this.level }, { signal: this.abort.signal });
  }

  /** One reading at a time; `now` waits for its turn, others come again when there is more scrolling. */
  async read(work, now = false) {
    if (this.reading && !now) return;
    while (this.reading) await this.reading;
    const mine = work().then(() => this.set({ problem: null }), (problem) => problem.name !== "AbortError" && this.set({ problem }));
    this.reading = mine;
    await mine;
    if (this.reading === mine) this.reading = null;
  }

  trim(side) {
    while (this.kept.size > MOST) {
      if (side === "start") {
        this.kept.delete(this.kept.keys().next().value);
        this.atStart = false;
      } else {
        this.kept.delete([...this.kept.keys()].pop());
        this.state = { ...this.state, missed: true };
      }
    }
  }
}
