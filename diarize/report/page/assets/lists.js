// Turns and errors as tables of text, made when they are opened, a page of rows at a time.

const ROWS_PER_PAGE = 100;

class ListTable {
  constructor(details, head, rows, open) {
    this.head = head;
    this.rows = rows;
    this.open = open;
    this.first = 0;
    this.body = element("tbody");
    this.place = element("span", { role: "status" });
    details.addEventListener("toggle", () => {
      if (details.open && !this.built) this.build(details);
    });
  }

  build(details) {
    this.built = true;
    const head = element("tr", {}, ...this.head.map((text) => element("th", { scope: "col", text })));
    const name = details.querySelector("summary").textContent;
    const table = element("table", { "aria-label": name }, element("thead", {}, head), this.body);
    const step = (text, by) =>
      element("button", {
        type: "button", text, onclick: () => this.turn(this.first + by * ROWS_PER_PAGE),
      });
    const bar = element("p", { class: "pages" });
    if (this.rows.length > ROWS_PER_PAGE) {
      bar.append(step("Previous rows", -1), step("Next rows", 1));
    }
    bar.append(this.place);
    details.append(bar, element("div", { class: "scroll" }, table));
    this.turn(0);
  }

  turn(first) {
    if (first < 0 || (first && first >= this.rows.length)) return;
    this.first = first;
    const part = this.rows.slice(first, first + ROWS_PER_PAGE);
    this.body.replaceChildren(
      ...part.map((row) => {
        const jump = element("button", {
          type: "button", class: "time", text: clock(row.start, 2),
          "aria-label": `Play from ${clock(row.start, 2)}`, onclick: () => this.open(row.start),
        });
        const cells = row.cells.map((text) => {
          const number = /^[\d.:–]+$/.test(text);
          return element("td", number ? { class: "number" } : {}, element("bdi", { text }));
        });
        return element("tr", {}, element("td", { class: "number" }, jump), ...cells);
      }),
    );
    const last = Math.min(first + ROWS_PER_PAGE, this.rows.length);
    const range = this.rows.length ? `${first + 1}–${last} of ` : "";
    this.place.textContent = `Rows ${range}${this.rows.length}`;
  }
}

function turnRows(rows) {
  const out = [];
  for (const row of rows) {
    for (let i = 0; i < row.spans.length; i++) {
      const start = row.spans.start[i];
      const end = row.spans.end[i];
      const confidence = row.confidence && row.confidence[i];
      const shown = typeof confidence === "number" ? confidence.toFixed(2) : "–";
      const cells = [clock(end, 2), (end - start).toFixed(2), row.side, row.label, shown];
      out.push({ start, cells });
    }
  }
  return out.sort((a, b) => a.start - b.start);
}

function errorRows(errors) {
  const out = [];
  for (const { kind, spans, count } of errors) {
    for (let i = 0; i < spans.length; i++) {
      const [start, end] = [spans.start[i], spans.end[i]];
      const cells = [clock(end, 2), (end - start).toFixed(2), kind, String(count[i])];
      out.push({ start, cells });
    }
  }
  return out.sort((a, b) => a.start - b.start);
}
