// Conversions and searches that all other parts use.

const byId = (id) => document.getElementById(id);

function bytesOf(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

// 75.25 -> "1:15.3" with one digit; hours only where there are some.
function clock(seconds, digits = 1) {
  const unit = 10 ** digits;
  const ticks = Math.round(Math.max(0, seconds) * unit);
  const whole = Math.floor(ticks / unit);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  let text = String(whole % 60).padStart(2, "0");
  if (digits) text += "." + String(ticks % unit).padStart(digits, "0");
  text = `${hours ? String(minutes).padStart(2, "0") : minutes}:${text}`;
  return hours ? `${hours}:${text}` : text;
}

// The name of the colour of a kind of error.
function errorColour(kind) {
  return `error-${kind.replace(" ", "-")}`;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

// The number of leading entries for which ``test`` holds; it holds for a beginning of the list.
function countWhile(length, test) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (test(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function element(name, attributes = {}, ...children) {
  const out = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") out.className = value;
    else if (key === "text") out.textContent = value;
    else if (key.startsWith("on")) out.addEventListener(key.slice(2), value);
    else out.setAttribute(key, value);
  }
  out.append(...children);
  return out;
}

// Spans sorted by start, which may overlap.
class Spans {
  constructor(starts, ends) {
    this.start = Float64Array.from(starts);
    this.end = Float64Array.from(ends);
    // The latest end so far ascends, unlike the ends, and can be searched.
    this.reach = new Float64Array(this.end.length);
    let latest = -Infinity;
    for (let i = 0; i < this.end.length; i++) {
      latest = Math.max(latest, this.end[i]);
      this.reach[i] = latest;
    }
  }

  get length() {
    return this.start.length;
  }

  // [first, last) of the spans among which are all that touch [from, to).
  range(from, to) {
    return [
      countWhile(this.length, (i) => this.reach[i] <= from),
      countWhile(this.length, (i) => this.start[i] < to),
    ];
  }

  // The spans that contain the time.
  at(time) {
    const found = [];
    const [first, last] = this.range(time, time + 1e-9);
    for (let i = first; i < last; i++) {
      if (this.start[i] <= time && time < this.end[i]) found.push(i);
    }
    return found;
  }

  // The first span that starts after the time, or -1.
  after(time) {
    const i = countWhile(this.length, (k) => this.start[k] <= time);
    return i < this.length ? i : -1;
  }

  // The last span that starts before the time, or -1.
  before(time) {
    return countWhile(this.length, (k) => this.start[k] < time) - 1;
  }
}
