// The pointer on a timeline: click, drag, wheel, and the tip below it.

class Pointer {
  constructor(timeline, player) {
    this.timeline = timeline;
    this.player = player;
    this.plot = byId("plot");
    this.tip = byId("tip");
    this.overview = byId("overview");
    this.listen();
    this.listenOverview();
  }

  listen() {
    const { plot, timeline } = this;
    let drag = null;
    plot.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      drag = { x: event.clientX, view: timeline.view, moved: false };
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointermove", (event) => {
      if (!drag) {
        this.hover(event);
        return;
      }
      const shift = event.clientX - drag.x;
      if (Math.abs(shift) > 4) drag.moved = true;
      if (!drag.moved) return;
      this.tip.hidden = true;
      const seconds = shift * drag.view.secondsPerPixel;
      timeline.setView(drag.view.from - seconds, drag.view.to - seconds);
    });
    plot.addEventListener("pointerup", (event) => {
      const click = drag && !drag.moved;
      drag = null;
      if (!click) return;
      this.player.seek(this.timeAt(event));
      this.player.play();
    });
    plot.addEventListener("pointercancel", () => (drag = null));
    plot.addEventListener("pointerleave", () => (this.tip.hidden = true));
    plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  timeAt(event) {
    const { view } = this.timeline;
    const box = this.plot.getBoundingClientRect();
    return view.from + clamp((event.clientX - box.left) / box.width, 0, 1) * view.length;
  }

  // The wheel scrolls the page as usual; with Ctrl or Cmd it zooms, sideways it moves the view.
  wheel(event) {
    const { timeline } = this;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      timeline.zoom(Math.exp(clamp(event.deltaY, -100, 100) / 200), this.timeAt(event));
      return;
    }
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const { from, to, secondsPerPixel } = timeline.view;
    timeline.setView(from + sideways * secondsPerPixel, to + sideways * secondsPerPixel);
  }

  listenOverview() {
    const { overview, timeline } = this;
    let held = false;
    const move = (event) => {
      const box = overview.getBoundingClientRect();
      const time = clamp((event.clientX - box.left) / box.width, 0, 1) * timeline.duration;
      const half = timeline.view.length / 2;
      timeline.setView(time - half, time + half);
    };
    overview.addEventListener("pointerdown", (event) => {
      held = true;
      overview.setPointerCapture(event.pointerId);
      move(event);
    });
    overview.addEventListener("pointermove", (event) => held && move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      overview.addEventListener(name, () => (held = false));
    }
  }

  hover(event) {
    const box = this.plot.getBoundingClientRect();
    const y = event.clientY - box.top;
    const time = this.timeAt(event);
    const lane = this.timeline.lanes.find((one) => y >= one.y && y < one.y + one.height);
    const lines = lane ? this.describe(lane, time) : [];
    this.tip.hidden = !lines.length;
    if (!lines.length) return;
    this.tip.replaceChildren(...lines.map((text) => element("div", { dir: "auto", text })));
    const left = clamp(event.clientX - box.left + 14, 0, box.width - this.tip.offsetWidth - 4);
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${lane.y + lane.height + 6}px`;
  }

  // The lines of text about a lane at a time.
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
        count[i] > 1 ? `${kind}, ${count[i]} ${this.timeline.noun}s` : kind, span(spans, i),
      ]);
    }
    if (lane.type === "heat") {
      const value = lane.query.means.at(time);
      return value === null ? [] : [lane.query.name, `posterior ${(value / 255).toFixed(2)}`];
    }
    return [];
  }
}
