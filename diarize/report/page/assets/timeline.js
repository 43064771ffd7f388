// The timeline: canvas of the visible part, labels beside it, overview of the whole recording.

const RULER = 24;
const WAVE = 60;
const HEAT = 9;
const ERROR_LANE = 15;
const HEADING = 20;
const SHORTEST_VIEW = 0.5; // seconds
const STEPS = [
  0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400,
];
const ERROR_KINDS = ["missed", "false alarm", "confusion"];

class Timeline {
  constructor(content, player) {
    this.content = content;
    this.player = player;
    this.duration = content.duration;
    this.from = 0;
    this.to = content.duration;
    this.plot = byId("plot");
    this.canvas = byId("canvas");
    this.gutter = byId("gutter");
    this.cursor = byId("cursor");
    this.tip = byId("tip");
    this.overview = byId("overview");
    this.overviewCanvas = byId("overview-canvas");
    this.window = byId("window");
    this.overviewCursor = byId("overview-cursor");
    this.rows = content.rows.map((row) => ({ ...row, spans: new Spans(row.starts, row.ends) }));
    this.regions = content.regions && new Spans(content.regions[0], content.regions[1]);
    this.readErrors(content.errors);
    this.readWave(content.waveform);
    this.readHeat(content.posteriors);
    this.lanes = this.layout();
    this.label();
    this.listen();
    this.resize();
  }

  readErrors(errors) {
    this.errors = ERROR_KINDS.map((kind, k) => {
      if (!errors) return null;
      const rows = errors.start.map((_, i) => i).filter((i) => errors.count[k][i] > 0);
      const spans = new Spans(rows.map((i) => errors.start[i]), rows.map((i) => errors.end[i]));
      return { kind, spans, count: rows.map((i) => errors.count[k][i]) };
    });
    if (!errors) this.errors = [];
  }

  readWave(wave) {
    this.wave = null;
    if (!wave) return;
    const bytes = bytesOf(wave.peaks);
    this.wave = { peaks: new Int8Array(bytes.buffer), step: wave.step, size: bytes.length / 2 };
  }

  readHeat(posteriors) {
    this.heat = posteriors && { ...posteriors, values: bytesOf(posteriors.values) };
    this.strip = document.createElement("canvas");
  }

  // ---- where everything lies

  layout() {
    const lanes = [];
    let y = RULER;
    const add = (lane) => {
      lanes.push({ ...lane, y });
      y += lane.height;
    };
    if (this.wave) add({ type: "wave", height: WAVE });
    const thickness = this.rows.length > 16 ? 14 : 20;
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
    const others = this.heat ? this.heat.queries.filter((query) => query.label === null) : [];
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
    if (!this.heat || label === null) return [];
    return this.heat.queries.filter((query) => query.label === label);
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
    this.from = clamp(from, 0, this.duration - length);
    this.to = this.from + length;
    this.refresh();
  }

  // Scale the view by a factor; the time ``at`` keeps its place.
  zoom(factor, at) {
    const length = this.to - this.from;
    const time = at === undefined ? this.anchor() : at;
    const share = (time - this.from) / length;
    const wanted = clamp(length * factor, Math.min(SHORTEST_VIEW, this.duration), this.duration);
    this.setView(time - share * wanted, time - share * wanted + wanted);
  }

  anchor() {
    const time = this.player.time;
    return time >= this.from && time <= this.to ? time : (this.from + this.to) / 2;
  }

  // Move the view so that the time is visible.
  show(time, margin = 0.1) {
    const length = this.to - this.from;
    if (time >= this.from && time <= this.to - 0.02 * length) return;
    this.setView(time - margin * length, time - margin * length + length);
  }

  xOf(time) {
    return ((time - this.from) / (this.to - this.from)) * this.width;
  }

  timeAt(clientX) {
    const box = this.plot.getBoundingClientRect();
    const share = clamp((clientX - box.left) / box.width, 0, 1);
    return this.from + share * (this.to - this.from);
  }

  // ---- pointer

  listen() {
    let drag = null;
    this.plot.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      drag = { x: event.clientX, from: this.from, to: this.to, moved: false };
      this.plot.setPointerCapture(event.pointerId);
    });
    this.plot.addEventListener("pointermove", (event) => {
      if (!drag) {
        this.hover(event);
        return;
      }
      const shift = event.clientX - drag.x;
      if (Math.abs(shift) > 4) drag.moved = true;
      if (!drag.moved) return;
      this.tip.hidden = true;
      const seconds = (shift / this.width) * (drag.to - drag.from);
      this.setView(drag.from - seconds, drag.to - seconds);
    });
    this.plot.addEventListener("pointerup", (event) => {
      const click = drag && !drag.moved;
      drag = null;
      if (!click) return;
      this.player.seek(this.timeAt(event.clientX));
      this.player.play();
    });
    this.plot.addEventListener("pointercancel", () => (drag = null));
    this.plot.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.listenOverview();
    new ResizeObserver(() => this.resize()).observe(this.plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
    // Another pixel density: the window has moved to another screen, or the page was zoomed.
    addEventListener("resize", () => this.resize());
  }

  // The wheel scrolls the page as usual; with Ctrl or Cmd it zooms, sideways it moves the view.
  wheel(event) {
    const length = this.to - this.from;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(clamp(event.deltaY, -100, 100) / 200), this.timeAt(event.clientX));
      return;
    }
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const seconds = (sideways / this.width) * length;
    this.setView(this.from + seconds, this.to + seconds);
  }

  listenOverview() {
    let held = false;
    const move = (event) => {
      const box = this.overview.getBoundingClientRect();
      const time = clamp((event.clientX - box.left) / box.width, 0, 1) * this.duration;
      const length = this.to - this.from;
      this.setView(time - length / 2, time + length / 2);
    };
    this.overview.addEventListener("pointerdown", (event) => {
      held = true;
      this.overview.setPointerCapture(event.pointerId);
      move(event);
    });
    this.overview.addEventListener("pointermove", (event) => held && move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      this.overview.addEventListener(name, () => (held = false));
    }
  }

  hover(event) {
    const box = this.plot.getBoundingClientRect();
    const y = event.clientY - box.top;
    const time = this.timeAt(event.clientX);
    const lane = this.lanes.find((one) => y >= one.y && y < one.y + one.height);
    const lines = lane ? this.describe(lane, time) : [];
    this.tip.hidden = !lines.length;
    if (!lines.length) return;
    this.tip.replaceChildren(...lines.map((text) => element("div", { dir: "auto", text })));
    const left = clamp(event.clientX - box.left + 14, 0, box.width - this.tip.offsetWidth - 4);
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${lane.y + lane.height + 6}px`;
  }

  describe(lane, time) {
    const span = (spans, i) =>
      `${clock(spans.start[i], 2)} – ${clock(spans.end[i], 2)}` +
      ` (${(spans.end[i] - spans.start[i]).toFixed(2)} s)`;
    if (lane.type === "row") {
      const lines = [];
      for (const i of lane.row.spans.at(time)) {
        lines.push(lane.row.label, span(lane.row.spans, i));
        const confidence = lane.row.confidence && lane.row.confidence[i];
        if (typeof confidence === "number") lines.push(`confidence ${confidence.toFixed(2)}`);
      }
      return lines;
    }
    if (lane.type === "errors") {
      const { spans, count, kind } = lane.errors;
      return spans.at(time).flatMap((i) => [
        count[i] > 1 ? `${kind}, ${count[i]} ${this.content.noun}s` : kind, span(spans, i),
      ]);
    }
    if (lane.type === "heat") {
      const value = this.heatAt(lane.query, time);
      return value === null ? [] : [lane.query.name, `posterior ${value.toFixed(2)}`];
    }
    return [];
  }

  heatAt(query, time) {
    const column = Math.floor(time / this.heat.step);
    if (column >= this.heat.columns) return null;
    return this.heat.values[query.row * this.heat.columns + column] / 255;
  }

  // ---- drawing

  resize() {
    // Without a layout yet, or in a hidden frame, there is nothing to draw on.
    if (!this.plot.clientWidth || !this.overview.clientWidth) return;
    this.width = this.plot.clientWidth;
    this.scale = devicePixelRatio || 1;
    this.colours = {};
    for (const [canvas, width, height] of [
      [this.canvas, this.width, this.height],
      [this.overviewCanvas, this.overview.clientWidth, this.overview.clientHeight],
    ]) {
      canvas.width = Math.round(width * this.scale);
      canvas.height = Math.round(height * this.scale);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    this.drawOverview();
    this.refresh();
  }

  colour(name) {
    if (!this.colours[name]) {
      this.colours[name] = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
    }
    return this.colours[name];
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
    if (!this.width) return;
    const context = this.canvas.getContext("2d");
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    this.drawRuler(context);
    this.drawUnscored(context);
    for (const lane of this.lanes) {
      if (lane.type === "wave") this.drawWave(context, lane.y, lane.height, this.from, this.to);
      else if (lane.type === "heading") this.drawRule(context, lane);
      else if (lane.type === "row") this.drawRow(context, lane);
      else if (lane.type === "heat") this.drawHeat(context, lane);
      else if (lane.type === "errors") this.drawErrors(context, lane);
    }
    this.plot.dataset.from = this.from.toFixed(3);
    this.plot.dataset.to = this.to.toFixed(3);
    const left = (100 * this.from) / this.duration;
    this.window.style.left = `${left}%`;
    this.window.style.width = `${(100 * (this.to - this.from)) / this.duration}%`;
  }

  drawRuler(context) {
    const length = this.to - this.from;
    const step = STEPS.find((s) => (s / length) * this.width >= 76) || length;
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    context.fillStyle = this.colour("quiet");
    context.strokeStyle = this.colour("grid");
    context.lineWidth = 1;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.beginPath();
    for (let k = Math.ceil(this.from / step - 1e-9); k * step <= this.to + 1e-9; k++) {
      const x = Math.round(this.xOf(k * step)) + 0.5;
      context.moveTo(x, RULER - 6);
      context.lineTo(x, this.height);
      const text = clock(k * step, digits);
      const half = context.measureText(text).width / 2;
      context.fillText(text, clamp(x - half, 3, Math.max(0, this.width - 2 * half)), RULER / 2 - 2);
    }
    context.stroke();
  }

  drawUnscored(context) {
    if (!this.regions) return;
    const top = RULER;
    const fill = (from, to) => {
      const a = Math.max(0, this.xOf(Math.max(from, this.from)));
      const b = Math.min(this.width, this.xOf(Math.min(to, this.to)));
      if (b > a) context.fillRect(a, top, b - a, this.height - top);
    };
    context.fillStyle = this.colour("unscored");
    const [first, last] = this.regions.range(this.from, this.to);
    let at = this.from;
    for (let i = first; i < last; i++) {
      if (this.regions.start[i] > at) fill(at, this.regions.start[i]);
      at = Math.max(at, this.regions.end[i]);
    }
    if (at < this.to) fill(at, this.to);
  }

  drawRule(context, lane) {
    context.fillStyle = this.colour("line");
    context.fillRect(0, lane.y + 3, this.width, 1);
  }

  // Smallest and largest sample of each pixel.
  drawWave(context, y, height, from, to, width = this.width) {
    const { peaks, step, size } = this.wave;
    const middle = y + height / 2;
    const unit = (height / 2 - 3) / 127;
    const perPixel = (to - from) / width;
    context.fillStyle = this.colour("wave");
    context.beginPath();
    for (let x = 0; x < width; x++) {
      const first = Math.floor((from + x * perPixel) / step);
      const last = Math.max(first + 1, Math.ceil((from + (x + 1) * perPixel) / step));
      let low = 127;
      let high = -128;
      for (let i = Math.max(0, first); i < Math.min(last, size); i++) {
        if (peaks[2 * i] < low) low = peaks[2 * i];
        if (peaks[2 * i + 1] > high) high = peaks[2 * i + 1];
      }
      if (high < low) continue;
      context.rect(x, middle - high * unit, 1, Math.max(1, (high - low) * unit));
    }
    context.fill();
  }

  // Call ``paint(left, right, index)`` for each visible span; spans of one pixel are drawn once.
  eachSpan(spans, paint) {
    const [first, last] = spans.range(this.from, this.to);
    let done = -Infinity;
    for (let i = first; i < last; i++) {
      if (spans.end[i] <= this.from) continue;
      const a = Math.max(-4, this.xOf(spans.start[i]));
      const b = Math.max(a + 1, Math.min(this.width + 4, this.xOf(spans.end[i])));
      if (b <= done + 0.25) continue;
      paint(a, b, i);
      done = b;
    }
  }

  drawRow(context, lane) {
    const { y, height, row } = lane;
    if (this.isDense(row.spans)) {
      this.drawDensity(context, row.spans, row.colour, y + 2, height - 4);
      return;
    }
    context.fillStyle = this.colour(row.colour);
    context.beginPath();
    this.eachSpan(row.spans, (a, b) => {
      // Neighbouring turns are told apart by a gap as soon as there is space for it.
      const width = b - a > 5 ? b - a - 1 : b - a;
      if (width > 6) context.roundRect(a, y + 2, width, height - 4, 2.5);
      else context.rect(a, y + 2, width, height - 4);
    });
    context.fill();
  }

  drawErrors(context, lane) {
    const { y, height, errors } = lane;
    const name = `error-${errors.kind.replace(" ", "-")}`;
    if (this.isDense(errors.spans)) {
      this.drawDensity(context, errors.spans, name, y + 2, height - 4);
      return;
    }
    const plain = this.colour(name);
    const pattern = this.pattern(context, errors.kind, plain);
    this.eachSpan(errors.spans, (a, b) => {
      context.fillStyle = b - a > 6 ? pattern : plain;
      context.fillRect(a, y + 2, b - a, height - 4);
    });
  }

  // Whether bars of at least a pixel would say more than there is.
  isDense(spans) {
    const [first, last] = spans.range(this.from, this.to);
    return last - first > this.width / 6;
  }

  // Many spans: each pixel is as opaque as the share of its time that they cover.
  drawDensity(context, spans, colour, y, height) {
    const width = Math.round(this.width);
    const perPixel = (this.to - this.from) / width;
    const share = new Float32Array(width);
    const [first, last] = spans.range(this.from, this.to);
    for (let i = first; i < last; i++) {
      const a = Math.max(0, (spans.start[i] - this.from) / perPixel);
      const b = Math.min(width, (spans.end[i] - this.from) / perPixel);
      for (let x = Math.floor(a); x < b; x++) {
        share[x] += Math.min(b, x + 1) - Math.max(a, x);
      }
    }
    // Even little is visible.
    const alpha = share.map((value) => (value > 0 ? 60 + 195 * Math.min(1, value) : 0));
    this.drawStrip(context, alpha, colour, y, height);
  }

  // Pixels of one colour with an opacity of 0 to 255 each.
  drawStrip(context, alpha, colour, y, height) {
    const image = new ImageData(alpha.length, 1);
    const paint = parseColour(this.colour(colour));
    for (let x = 0; x < alpha.length; x++) {
      image.data.set(paint, 4 * x);
      image.data[4 * x + 3] = alpha[x];
    }
    this.strip.width = alpha.length;
    this.strip.height = 1;
    this.strip.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.strip, 0, 0, alpha.length, 1, 0, y, this.width, height);
  }

  // Errors differ by texture, too: plain, slanted lines, dots.
  pattern(context, kind, colour) {
    if (kind === "missed") return colour;
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6 * Math.ceil(this.scale);
    const brush = tile.getContext("2d");
    const size = tile.width;
    brush.fillStyle = colour;
    brush.fillRect(0, 0, size, size);
    brush.strokeStyle = brush.fillStyle = this.colour("ground");
    if (kind === "false alarm") {
      brush.lineWidth = size / 5;
      brush.beginPath();
      for (const shift of [-size, 0, size]) {
        brush.moveTo(shift - 1, size + 1);
        brush.lineTo(shift + size + 1, -1);
      }
      brush.stroke();
    } else {
      brush.beginPath();
      brush.arc(size / 2, size / 2, size / 5, 0, 7);
      brush.fill();
    }
    const out = context.createPattern(tile, "repeat");
    out.setTransform(new DOMMatrix().scale(1 / Math.ceil(this.scale)));
    return out;
  }

  // The strip of a query: its colour, opaque where the posterior is 1.
  drawHeat(context, lane) {
    const { values, columns, step } = this.heat;
    const width = Math.round(this.width);
    const alpha = new Uint8Array(width);
    const perPixel = (this.to - this.from) / width;
    const offset = lane.query.row * columns;
    for (let x = 0; x < width; x++) {
      const first = Math.floor((this.from + x * perPixel) / step);
      const last = Math.max(first + 1, Math.floor((this.from + (x + 1) * perPixel) / step));
      let sum = 0;
      for (let i = first; i < Math.min(last, columns); i++) sum += values[offset + i];
      alpha[x] = sum / (last - first);
    }
    const top = lane.named ? lane.y + 3 : lane.y;
    const height = lane.height - (lane.named ? 5 : 2);
    context.fillStyle = this.colour("faint");
    context.fillRect(0, top, this.width, height);
    this.drawStrip(context, alpha, lane.query.colour, top, height);
  }

  // All speakers of the output, or of the reference without one, and the errors below.
  drawOverview() {
    const context = this.overviewCanvas.getContext("2d");
    const width = this.overview.clientWidth;
    const height = this.overview.clientHeight;
    const view = { from: this.from, to: this.to, width: this.width };
    Object.assign(this, { from: 0, to: this.duration, width });
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const output = this.rows.filter((row) => row.side === "output");
    const rows = output.length ? output : this.rows;
    if (!rows.length && this.wave) this.drawWave(context, 0, height, 0, this.duration, width);
    const foot = this.errors.length ? 12 : 5;
    const band = (height - 5 - foot) / Math.max(1, rows.length);
    rows.forEach((row, i) => {
      const thickness = Math.max(1, band - 1);
      this.drawDensity(context, row.spans, row.colour, 5 + i * band, thickness);
    });
    for (const { kind, spans } of this.errors) {
      this.drawDensity(context, spans, `error-${kind.replace(" ", "-")}`, height - 9, 4);
    }
    Object.assign(this, view);
  }

  moveCursor() {
    const time = this.player.time;
    const visible = time >= this.from - 1e-9 && time <= this.to + 1e-9;
    this.cursor.hidden = !visible;
    this.cursor.style.transform = `translateX(${this.xOf(time)}px)`;
    this.overviewCursor.style.left = `${(100 * time) / this.duration}%`;
  }
}

// "#rrggbb" as red, green, blue, 255.
function parseColour(text) {
  const value = parseInt(text.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255, 255];
}
