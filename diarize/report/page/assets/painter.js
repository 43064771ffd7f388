// Drawing of the lanes of a timeline, or of its overview, on a canvas.

const STEPS = [
  0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400,
];

class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.sheet = document.createElement("canvas");
    this.sheetContext = this.sheet.getContext("2d");
  }

  // Set the size in CSS pixels; ``strips`` is the largest number of strips of a drawing.
  resize(width, height, strips) {
    const { canvas, sheet } = this;
    this.width = width;
    this.height = height;
    this.scale = devicePixelRatio || 1;
    this.colours = {};
    this.patterns = {};
    canvas.width = Math.round(width * this.scale);
    canvas.height = Math.round(height * this.scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    sheet.width = Math.max(1, Math.round(width));
    sheet.height = Math.max(1, strips);
    this.image = new ImageData(sheet.width, sheet.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.share = new Float32Array(sheet.width);
  }

  colour(name) {
    if (!this.colours[name]) {
      this.colours[name] = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
    }
    return this.colours[name];
  }

  // Begin an empty drawing of a view; ``end`` completes it.
  begin(view) {
    this.view = view;
    this.strips = [];
    this.context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
  }

  // Strips are transferred to the canvas together: a transfer of each is slow.
  end() {
    const { context, sheet, strips } = this;
    if (!strips.length) return;
    this.sheetContext.putImageData(this.image, 0, 0, 0, 0, sheet.width, strips.length);
    context.imageSmoothingEnabled = false;
    strips.forEach(({ y, height }, row) => {
      context.drawImage(sheet, 0, row, sheet.width, 1, 0, y, this.width, height);
    });
  }

  ruler(top) {
    const { context, view } = this;
    const step = STEPS.find((s) => s / view.secondsPerPixel >= 76) || view.length;
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    context.fillStyle = this.colour("quiet");
    context.strokeStyle = this.colour("grid");
    context.lineWidth = 1;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.beginPath();
    for (let k = Math.ceil(view.from / step - 1e-9); k * step <= view.to + 1e-9; k++) {
      const x = Math.round(view.xOf(k * step)) + 0.5;
      context.moveTo(x, top - 6);
      context.lineTo(x, this.height);
      const text = clock(k * step, digits);
      const half = context.measureText(text).width / 2;
      context.fillText(text, clamp(x - half, 3, Math.max(0, this.width - 2 * half)), top / 2 - 2);
    }
    context.stroke();
  }

  // Shade the time outside of the regions.
  unscored(regions, top) {
    const { context, view } = this;
    const fill = (from, to) => {
      const a = Math.max(0, view.xOf(Math.max(from, view.from)));
      const b = Math.min(this.width, view.xOf(Math.min(to, view.to)));
      if (b > a) context.fillRect(a, top, b - a, this.height - top);
    };
    context.fillStyle = this.colour("unscored");
    const [first, last] = regions.range(view.from, view.to);
    let at = view.from;
    for (let i = first; i < last; i++) {
      if (regions.start[i] > at) fill(at, regions.start[i]);
      at = Math.max(at, regions.end[i]);
    }
    if (at < view.to) fill(at, view.to);
  }

  rule(y) {
    this.context.fillStyle = this.colour("line");
    this.context.fillRect(0, y + 3, this.width, 1);
  }

  wave(peaks, y, height) {
    const middle = y + height / 2;
    const unit = (height / 2 - 3) / 127;
    this.context.fillStyle = this.colour("wave");
    peaks.each(this.view, (x, low, high) => {
      this.context.fillRect(x, middle - high * unit, 1, Math.max(1, (high - low) * unit));
    });
  }

  turns(spans, colour, y, height) {
    if (this.isDense(spans)) {
      this.density(spans, colour, y, height);
      return;
    }
    const { context } = this;
    context.fillStyle = this.colour(colour);
    context.beginPath();
    this.eachSpan(spans, (a, b) => {
      // Neighbouring turns are told apart by a gap as soon as there is space for it.
      const width = b - a > 5 ? b - a - 1 : b - a;
      if (width > 6) context.roundRect(a, y, width, height, 2.5);
      else context.rect(a, y, width, height);
    });
    context.fill();
  }

  errors(spans, kind, y, height) {
    const name = errorColour(kind);
    if (this.isDense(spans)) {
      this.density(spans, name, y, height);
      return;
    }
    const plain = this.colour(name);
    const pattern = this.pattern(kind, plain);
    this.eachSpan(spans, (a, b) => {
      this.context.fillStyle = b - a > 6 ? pattern : plain;
      this.context.fillRect(a, y, b - a, height);
    });
  }

  // Call ``paint(left, right)`` for each visible span; spans of one pixel are drawn once.
  eachSpan(spans, paint) {
    const { view } = this;
    const [first, last] = spans.range(view.from, view.to);
    let done = -Infinity;
    for (let i = first; i < last; i++) {
      if (spans.end[i] <= view.from) continue;
      const a = Math.max(-4, view.xOf(spans.start[i]));
      const b = Math.max(a + 1, Math.min(this.width + 4, view.xOf(spans.end[i])));
      if (b <= done + 0.25) continue;
      paint(a, b);
      done = b;
    }
  }

  // Whether there are too many spans for bars of at least a pixel.
  isDense(spans) {
    const [first, last] = spans.range(this.view.from, this.view.to);
    return last - first > this.width / 6;
  }

  // Many spans: each pixel is as opaque as the share of its time that they cover.
  density(spans, colour, y, height) {
    const { view, share } = this;
    const perPixel = view.length / share.length;
    share.fill(0);
    const [first, last] = spans.range(view.from, view.to);
    for (let i = first; i < last; i++) {
      const a = Math.max(0, (spans.start[i] - view.from) / perPixel);
      const b = Math.min(share.length, (spans.end[i] - view.from) / perPixel);
      for (let x = Math.floor(a); x < b; x++) share[x] += Math.min(b, x + 1) - Math.max(a, x);
    }
    // Even little is visible.
    const alpha = (value) => (value > 0 ? 60 + 195 * Math.min(1, value) : 0);
    this.strip((x) => alpha(share[x]), colour, y, height);
  }

  // The posterior of a query: its colour, opaque where it is 1.
  heat(means, colour, y, height) {
    const { view } = this;
    const perPixel = view.length / this.sheet.width;
    this.context.fillStyle = this.colour("faint");
    this.context.fillRect(0, y, this.width, height);
    const mean = (x) => means.mean(view.from + x * perPixel, view.from + (x + 1) * perPixel);
    this.strip(mean, colour, y, height);
  }

  // Pixels of one colour, each with the opacity ``alpha(x)`` from 0 to 255.
  strip(alpha, colour, y, height) {
    const width = this.sheet.width;
    const offset = width * this.strips.length;
    const paint = littleEndian(this.colour(colour));
    for (let x = 0; x < width; x++) this.pixels[offset + x] = paint | (alpha(x) << 24);
    this.strips.push({ y, height });
  }

  // Errors differ by texture, too: plain, slanted lines, dots.
  pattern(kind, colour) {
    if (kind === "missed") return colour;
    if (!this.patterns[kind]) this.patterns[kind] = this.makePattern(kind, colour);
    return this.patterns[kind];
  }

  makePattern(kind, colour) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6 * Math.ceil(this.scale);
    const brush = tile.getContext("2d");
    const size = tile.width;
    brush.fillStyle = colour;
    brush.fillRect(0, 0, size, size);
    brush.strokeStyle = brush.fillStyle = this.colour("ground");
    brush.beginPath();
    if (kind === "false alarm") {
      brush.lineWidth = size / 5;
      for (const shift of [-size, 0, size]) {
        brush.moveTo(shift - 1, size + 1);
        brush.lineTo(shift + size + 1, -1);
      }
      brush.stroke();
    } else {
      brush.arc(size / 2, size / 2, size / 5, 0, 7);
      brush.fill();
    }
    const out = this.context.createPattern(tile, "repeat");
    out.setTransform(new DOMMatrix().scale(1 / Math.ceil(this.scale)));
    return out;
  }
}

// "#rrggbb" as a transparent pixel of an image: red in the lowest byte.
function littleEndian(text) {
  const value = parseInt(text.trim().slice(1), 16);
  return (value >> 16) | (value & 0xff00) | ((value & 255) << 16);
}
