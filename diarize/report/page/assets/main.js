// The page: controls, keys, and the line of text about the position of the cursor.

class Page {
  constructor(content) {
    this.content = content;
    this.player = new Player(byId("audio"), content.duration, content.sound);
    this.timeline = new Timeline(content, this.player);
    this.errors = new Spans([], []);
    this.wire();
    this.lists();
    this.player.onchange(() => this.update());
    const start = /(?:^#|&)t=([\d.]+)/.exec(location.hash);
    if (start) this.go(Number(start[1]));
    this.update();
  }

  wire() {
    const { player, timeline } = this;
    const on = (id, action) => byId(id) && byId(id).addEventListener("click", action);
    on("play", () => player.toggle());
    on("zoom-in", () => timeline.zoom(0.5));
    on("zoom-out", () => timeline.zoom(2));
    on("fit", () => timeline.setView(0, timeline.duration));
    on("previous-error", () => this.nextError(-1));
    on("next-error", () => this.nextError(1));
    const speed = byId("speed");
    if (speed) speed.addEventListener("change", () => (player.audio.playbackRate = +speed.value));
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => {
      const start = /(?:^#|&)t=([\d.]+)/.exec(location.hash);
      if (start) this.go(Number(start[1]));
    });
  }

  lists() {
    const open = (time) => {
      this.go(time);
      this.player.play();
    };
    const { rows, errors } = this.timeline;
    const noun = this.content.noun;
    const head = ["start", "end", "seconds"];
    new ListTable(byId("turns"), [...head, "side", noun, "confidence"], turnRows(rows), open);
    if (byId("error-list")) {
      new ListTable(byId("error-list"), [...head, "error", `${noun}s`], errorRows(errors), open);
    }
  }

  go(time) {
    this.timeline.show(time);
    this.player.seek(time);
  }

  nextError(direction) {
    const wanted = byId("error-kind").value;
    const time = this.player.time;
    let best = null;
    for (const { kind, spans } of this.timeline.errors) {
      if (wanted && kind !== wanted) continue;
      const i = direction > 0 ? spans.after(time + 0.005) : spans.before(time - 0.005);
      if (i < 0 || i >= spans.length) continue;
      const start = spans.start[i];
      if (best === null || direction * (start - best) < 0) best = start;
    }
    if (best !== null) this.go(best);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target;
    const name = target.tagName;
    if (name === "SELECT" || name === "INPUT" || name === "TEXTAREA") return;
    if (event.key === " " && (name === "BUTTON" || name === "SUMMARY" || name === "A")) return;
    const { player, timeline } = this;
    const shift = event.shiftKey ? 10 : 1;
    const actions = {
      " ": () => player.toggle(),
      ArrowLeft: () => this.go(player.time - shift),
      ArrowRight: () => this.go(player.time + shift),
      "+": () => timeline.zoom(0.5),
      "=": () => timeline.zoom(0.5),
      "-": () => timeline.zoom(2),
      "0": () => timeline.setView(0, timeline.duration),
      n: () => this.timeline.errors.length && this.nextError(1),
      p: () => this.timeline.errors.length && this.nextError(-1),
    };
    // These scroll the page unless the timeline has the focus.
    const onPlot = {
      Home: () => this.go(0),
      End: () => this.go(timeline.duration),
      PageUp: () => this.go(player.time + 10),
      PageDown: () => this.go(player.time - 10),
      ArrowUp: () => this.go(player.time + 1),
      ArrowDown: () => this.go(player.time - 1),
    };
    const action = actions[event.key] || (target === timeline.plot && onPlot[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  }

  // After any change; while it plays, in each frame.
  update() {
    const { player, timeline } = this;
    const playing = player.playing;
    const button = byId("play");
    if (button) {
      button.classList.toggle("playing", playing);
      button.setAttribute("aria-label", playing ? "Pause" : "Play");
    }
    byId("now").setAttribute("aria-live", playing ? "off" : "polite");
    byId("problem").textContent = player.problem || "";
    byId("problem").hidden = !player.problem;
    if (playing && byId("follow").checked) {
      const before = player.time < timeline.view.from;
      if (before || timeline.view.to < timeline.duration) timeline.show(player.time);
    }
    timeline.moveCursor();
    this.tell(player.time);
    if (playing && !this.running) {
      this.running = true;
      requestAnimationFrame(() => {
        this.running = false;
        this.update();
      });
    }
  }

  // Who is active at the cursor; the text changes only when that does.
  tell(time) {
    byId("time").textContent = clock(time, 1);
    const { rows, errors } = this.timeline;
    const active = (side) => rows.filter((row) => row.side === side && row.spans.at(time).length);
    const wrong = errors.filter(({ spans }) => spans.at(time).length);
    const parts = [];
    const chips = (title, found) => {
      parts.push({ title, items: found.map(({ label, colour }) => ({ label, colour })) });
    };
    if (rows.some((row) => row.side === "reference")) chips("reference", active("reference"));
    chips("output", active("output"));
    if (errors.length) {
      const items = wrong.map(({ kind }) => ({ label: kind, colour: errorColour(kind) }));
      parts.push({ title: "error", items });
    }
    const key = JSON.stringify(parts);
    const plain = parts
      .map(({ title, items }) => `${title}: ${items.map((i) => i.label).join(", ") || "none"}`)
      .join("; ");
    const plot = this.timeline.plot;
    plot.setAttribute("aria-valuenow", time.toFixed(2));
    plot.setAttribute("aria-valuetext", `${clock(time, 1)}; ${plain}`);
    if (key === this.told) return;
    this.told = key;
    byId("now").replaceChildren(
      ...parts.map(({ title, items }) => {
        const out = element("span", { class: "part" }, element("b", { text: `${title} ` }));
        if (!items.length) out.append(element("span", { class: "quiet", text: "none" }));
        for (const { label, colour } of items) {
          const swatch = element("span", { class: "swatch" });
          swatch.style.background = `var(--${colour})`;
          out.append(element("span", { class: "chip" }, swatch, element("bdi", { text: label })));
        }
        return out;
      }),
    );
  }
}

new Page(JSON.parse(byId("content").textContent));
