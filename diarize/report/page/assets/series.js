// The visible part, and values over time of which a pixel needs few at any zoom.

// The part [from, to) of the recording, in seconds, on ``width`` pixels.
class View {
  constructor(from, to, width) {
    this.from = from;
    this.to = to;
    this.width = width;
  }

  get length() {
    return this.to - this.from;
  }

  get secondsPerPixel() {
    return this.length / this.width;
  }

  xOf(time) {
    return ((time - this.from) / this.length) * this.width;
  }
}

// The smallest and the largest sample of each step, at several resolutions.
class Peaks {
  constructor(values, step) {
    this.levels = [{ values, step }];
    while (values.length > 8192) {
      values = Peaks.halved(values);
      step *= 2;
      this.levels.push({ values, step });
    }
  }

  static halved(values) {
    const out = new Int8Array(2 * Math.ceil(values.length / 4));
    for (let i = 0; i < out.length; i += 2) {
      const other = Math.min(2 * i + 2, values.length - 2);
      out[i] = Math.min(values[2 * i], values[other]);
      out[i + 1] = Math.max(values[2 * i + 1], values[other + 1]);
    }
    return out;
  }

  // Call ``paint(x, low, high)`` for each pixel of the view that has samples.
  each(view, paint) {
    const perPixel = view.secondsPerPixel;
    const fits = this.levels.filter((level) => level.step <= perPixel / 2);
    const { values, step } = fits.at(-1) || this.levels[0];
    const size = values.length / 2;
    for (let x = 0; x < view.width; x++) {
      const first = Math.floor((view.from + x * perPixel) / step);
      const last = Math.max(first + 1, Math.ceil((view.from + (x + 1) * perPixel) / step));
      let low = 127;
      let high = -128;
      for (let i = Math.max(0, first); i < Math.min(last, size); i++) {
        if (values[2 * i] < low) low = values[2 * i];
        if (values[2 * i + 1] > high) high = values[2 * i + 1];
      }
      if (high >= low) paint(x, low, high);
    }
  }
}

// Values of equal steps, with their sums, so that any mean is a difference.
class Means {
  constructor(values, step) {
    this.values = values;
    this.step = step;
    this.sums = new Uint32Array(values.length + 1);
    for (let i = 0; i < values.length; i++) this.sums[i + 1] = this.sums[i] + values[i];
  }

  // The value at a time, null beyond the end.
  at(time) {
    const column = Math.floor(time / this.step);
    return column < this.values.length ? this.values[column] : null;
  }

  // The mean in [from, to) seconds, in whole steps, at least one.
  mean(from, to) {
    const size = this.values.length;
    const first = Math.min(size, Math.floor(from / this.step));
    const last = Math.max(first + 1, Math.floor(to / this.step));
    return (this.sums[Math.min(last, size)] - this.sums[first]) / (last - first);
  }
}
