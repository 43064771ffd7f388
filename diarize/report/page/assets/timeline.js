// The timeline: lanes of the visible part, labels beside them, overview of the whole recording.

const RULER = 24;
const WAVE = 60;
const HEAT = 9;
const ERROR_LANE = 15;
const HEADING = 20;
const SHORTEST_VIEW = 0.5; // seconds
const ERROR_KINDS = ["missed", "false alarm", "confusion"];

class Timeline {
  constructor(content, player) {
    this.player = player;
    this.duration = content.duration;
    this.noun = content.noun;
    this.view = new View(0, content.duration, 0);
    this.plot = byId("plot");
    this.gutter = byId("gutter");
    this.cursor = byId("cursor");
    this.overview = byId("overview");
    this.window = byId("window");
    this.overviewCursor = byId("overview-cursor");
    this.painter = new Painter(byId("canvas"));
    this.overviewPainter = new Painter(byId("overview-canvas"));
    this.rows = content.rows.map((row) => ({ ...row, spans: new Spans(row.starts, row.ends) }));
    this.regions = content.regions && new Spans(content.regions[0], content.regions[1]);
    this.errors = content.errors ? ERROR_KINDS.map((kind, k) => errorsOf(content, kind, k)) : [];
    const wave = content.waveform;
    this.peaks = wave && new Peaks(new Int8Array(bytesOf(wave.peaks).buffer), wave.step);
    this.queries = content.posteriors ? queriesOf(content.posteriors) : [];
    this.lanes = this.layout();
    this.label();
    new Pointer(this, player);
    new ResizeObserver(() => this.resize()).observe(this.plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
    // Another pixel density: the window has moved to another screen, or the page was zoomed.
    addEventListener("resize", () => this.resize());
    this.resize();
  }

  // ---- lanes and labels

  layout() {
    const lanes = [];
    let y = RULER;
    const add = (lane) => {
      lanes.push({ ...lane, y });
      y += lane.height;
    };
    if (this.peaks) add({ type: "wave", height: WAVE });
    // A target for a finger has 24 pixels; of many rows, the table of turns has them.
    const thickness = this.rows.length > 16 ? 14 : 24;
    for (const side of ["reference", "output"]) {
      const rows = this.rows.filter((row) => row.side === side);
      if (rows.length || side === "output") add({ type: "heading", height: HEADING, side });
      for (const row of rows) {
        add({ type: "row", height: thickness, row });
        const queries = this.queriesOf(side === "output" ? row.label : null);
        for (const query of queries) add({ type: "heat", height: HEAT, query });
        if (queries.length) y += 3;
      }
    }
    const others = this.queries.filter((query) => query.label === null);
    if (others.length) add({ type: "heading", height: HEADING, side: "other queries" });
    for (const query of others) add({ type: "heat", height: HEAT + 4, query, named: true });
    if (this.errors.length) {
      add({ type: "heading", height: HEADING, side: "errors" });
      for (const errors of this.errors) add({ type: "errors", height: ERROR_LANE, errors });
    }
    this.height = y + 6;
    return lanes;
  }

  queriesOf(label) {
    return label === null ? [] : this.queries.filter((query) => query.label === label);
  }

  label() {
    const place = (node, lane) => {
      node.style.top = `${lane.y}px`;
      node.style.height = `${lane.height}px`;
      this.gutter.append(node);
    };
    for (const lane of this.lanes) {
      if (lane.type === "wave") {
        place(element("div", { class: "name quiet", text: "waveform" }), lane);
      } else if (lane.type === "heading") {
        place(element("div", { class: "heading", text: lane.side }), lane);
      } else if (lane.type === "row") {
        place(this.rowButton(lane.row), lane);
      } else if (lane.type === "heat" && lane.named) {
        place(element("div", { class: "name quiet", text: lane.query.name }), lane);
      } else if (lane.type === "errors") {
        const name = element("div", { class: "name" });
        const swatch = element("span", { class: `swatch ${lane.errors.kind.replace(" ", "-")}` });
        name.append(element("span", { text: lane.errors.kind }), swatch);
        place(name, lane);
      }
    }
    this.plot.style.height = `${this.height}px`;
    this.gutter.style.height = `${this.height}px`;
  }

  rowButton(row) {
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = `var(--${row.colour})`;
    // Long labels are cut in the middle: their ends often differ, their beginnings do not.
    const letters = Array.from(row.label);
    const tail = letters.length > 12 ? 7 : 0;
    const text = element(
      "bdi",
      {},
      element("span", { class: "head", text: letters.slice(0, letters.length - tail).join("") }),
      element("span", { text: letters.slice(letters.length - tail).join("") }),
    );
    const hint = `Next turn of ${row.label} (${row.side})`;
    return element(
      "button",
      {
        class: "name",
        type: "button",
        title: hint,
        "aria-label": hint,
        onclick: () => this.nextTurn(row),
      },
      text,
      swatch,
    );
  }

  nextTurn(row) {
    let i = row.spans.after(this.player.time + 0.01);
    if (i < 0) i = 0;
    if (row.spans.length) this.show(row.spans.start[i]);
    if (row.spans.length) this.player.seek(row.spans.start[i]);
  }

  // ---- the visible part

  setView(from, to) {
    const length = clamp(to - from, Math.min(SHORTEST_VIEW, this.duration), this.duration);
    const start = clamp(from, 0, this.duration - length);
    this.view = new View(start, start + length, this.view.width);
    this.refresh();
  }

  // Scale the view by a factor; the time ``at`` keeps its place.
  zoom(factor, at = this.anchor()) {
    const { from, length } = this.view;
    const share = (at - from) / length;
    const wanted = clamp(length * factor, Math.min(SHORTEST_VIEW, this.duration), this.duration);
    this.setView(at - share * wanted, at - share * wanted + wanted);
  }

  anchor() {
    const { from, to } = this.view;
    const time = this.player.time;
    return time >= from && time <= to ? time : (from + to) / 2;
  }

  // Move the view so that the time is visible.
  show(time) {
    const { from, to, length } = this.view;
    if (time >= from && time <= to - 0.02 * length) return;
    this.setView(time - 0.1 * length, time + 0.9 * length);
  }

  // ---- drawing

  resize() {
    // Without a layout yet, or in a hidden frame, there is nothing to draw on.
    const width = this.plot.clientWidth;
    const { clientWidth, clientHeight } = this.overview;
    if (!width || !clientWidth) return;
    this.view = new View(this.view.from, this.view.to, width);
    this.painter.resize(width, this.height, this.lanes.length);
    this.overviewPainter.resize(clientWidth, clientHeight, this.rows.length + this.errors.length);
    this.drawOverview();
    this.refresh();
  }

  // Draw in the next frame, once for any number of requests.
  refresh() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
      this.moveCursor();
    });
  }

  draw() {
    const { painter, view } = this;
    if (!view.width) return;
    painter.begin(view);
    painter.ruler(RULER);
    if (this.regions) painter.unscored(this.regions, RULER);
    for (const lane of this.lanes) this.drawLane(lane);
    painter.end();
    this.plot.dataset.from = view.from.toFixed(3);
    this.plot.dataset.to = view.to.toFixed(3);
    this.window.style.left = `${(100 * view.from) / this.duration}%`;
    this.window.style.width = `${(100 * view.length) / this.duration}%`;
  }

  drawLane({ type, y, height, row, errors, query, named }) {
    const { painter } = this;
    if (type === "wave") painter.wave(this.peaks, y, height);
    else if (type === "heading") painter.rule(y);
    else if (type === "row") painter.turns(row.spans, row.colour, y + 2, height - 4);
    else if (type === "errors") painter.errors(errors.spans, errors.kind, y + 2, height - 4);
    else if (named) painter.heat(query.means, query.colour, y + 3, height - 5);
    else painter.heat(query.means, query.colour, y, height - 2);
  }

  // All speakers of the output, or of the reference without one, and the errors below.
  drawOverview() {
    const painter = this.overviewPainter;
    const { width, height } = painter;
    painter.begin(new View(0, this.duration, width));
    const output = this.rows.filter((row) => row.side === "output");
    const rows = output.length ? output : this.rows;
    if (!rows.length && this.peaks) painter.wave(this.peaks, 0, height);
    const foot = this.errors.length ? 12 : 5;
    const band = (height - 5 - foot) / Math.max(1, rows.length);
    rows.forEach(({ spans, colour }, i) => {
      painter.density(spans, colour, 5 + i * band, Math.max(1, band - 1));
    });
    for (const { kind, spans } of this.errors) {
      painter.density(spans, errorColour(kind), height - 9, 4);
    }
    painter.end();
  }

  moveCursor() {
    const { view } = this;
    const time = this.player.time;
    this.cursor.hidden = time < view.from - 1e-9 || time > view.to + 1e-9;
    this.cursor.style.transform = `translateX(${view.xOf(time)}px)`;
    this.overviewCursor.style.left = `${(100 * time) / this.duration}%`;
  }
}

// The errors of a kind, with the number of speakers of each.
function errorsOf({ errors }, kind, k) {
  const rows = errors.start.map((_, i) => i).filter((i) => errors.count[k][i] > 0);
  const spans = new Spans(rows.map((i) => errors.start[i]), rows.map((i) => errors.end[i]));
  return { kind, spans, count: rows.map((i) => errors.count[k][i]) };
}

// The queries of the posteriors, each with its means over time.
function queriesOf({ queries, values, columns, step }) {
  const bytes = bytesOf(values);
  return queries.map((query) => {
    const own = bytes.subarray(query.row * columns, (query.row + 1) * columns);
    return { ...query, means: new Means(own, step) };
  });
}
