// Column headings that sort the table, and the widths of its columns.

// Sort order of states: problems first, then starting, then running.
const STATES = [
  "Error",
  "Pending",
  "Running",
  "Stopping",
  "Paused",
  "Terminating",
  "Unknown",
];
const byText = new Intl.Collator(undefined, { numeric: true }).compare;
const COLUMNS = [
  [
    "state",
    "State",
    (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state),
  ],
  [
    "name",
    "Name",
    (a, b) => byText(a.title, b.title) || byText(a.namespace, b.namespace),
  ],
  [
    "what",
    "Kind, image and size",
    (a, b) =>
      byText(a.kind, b.kind) ||
      byText(a.image, b.image) ||
      byText(a.size, b.size),
  ],
  ["age", "Age", (a, b) => b.created - a.created],
  ["activity", "Last used", (a, b) => lastUse(b) - lastUse(a)],
];
const MEASURED_TEXTS = 5000;
// Widths in pixels: narrow rows have two lines and one button, middle ones two lines.
const NARROW = 560;
const MIDDLE = 820;
const OTHER_COLUMNS = 400; // age, last use, buttons and the gaps
const ROOM_FOR_WHAT = 180;

function lastUse({ state, since, activity }) {
  return state === "Paused" ? since : activity;
}

const Columns = {
  buildColumns() {
    this.sorting = { compare: null, down: false };
    this.sorters = new Map();
    const heads = COLUMNS.map(([id, title, compare]) => {
      const button = make(
        "button",
        "cw-sort",
        {
          type: "button",
          tabindex: id === "state" ? 0 : -1,
          title: `Sort by ${title.toLowerCase()}`,
        },
        title,
        make("span", "cw-direction", { "aria-hidden": "true" }),
      );
      button.addEventListener("click", () => this.sortBy(id, compare));
      const head = make(
        "div",
        `cw-head-${id}`,
        { role: "columnheader", "aria-sort": "none" },
        button,
      );
      this.sorters.set(id, head);
      return head;
    });
    const rest = ["Actions", "Message"].map((title) =>
      make("div", "cw-hidden", { role: "columnheader" }, title),
    );
    const row = make("div", "cw-columns", { role: "row" }, ...heads, ...rest);
    row.addEventListener("keydown", (event) => this.headKeyed(event));
    return make("div", "cw-headings", { role: "rowgroup" }, row);
  },

  /** Sort ascending, then descending, then in the default order. */
  sortBy(id, compare) {
    const { sorting } = this;
    if (sorting.compare !== compare) {
      Object.assign(sorting, { compare, down: false });
    } else if (!sorting.down) {
      sorting.down = true;
    } else {
      Object.assign(sorting, { compare: null, down: false });
    }
    for (const [known, head] of this.sorters) {
      const here = known === id && sorting.compare;
      head.setAttribute(
        "aria-sort",
        !here ? "none" : sorting.down ? "descending" : "ascending",
      );
    }
    this.arrange();
    const [, title] = COLUMNS.find(([known]) => known === id);
    this.say(
      sorting.compare
        ? `Sorted by ${title.toLowerCase()}, ${sorting.down ? "descending" : "ascending"}`
        : "Default order: problems first, then the newest",
    );
  },

  /** Arrow keys move between headings; only one of them is a tab stop. */
  headKeyed(event) {
    const buttons = [...this.sorters.values()].map(
      (head) => head.firstElementChild,
    );
    const at = buttons.indexOf(event.target);
    const moves = {
      ArrowRight: () => buttons[Math.min(at + 1, buttons.length - 1)],
      ArrowLeft: () => buttons[Math.max(at - 1, 0)],
      Home: () => buttons[0],
      End: () => buttons.at(-1),
      ArrowDown: () => this.current?.row.node,
    };
    const target =
      at < 0 || event.ctrlKey || event.metaKey || event.altKey
        ? null
        : moves[event.key]?.();
    if (!target) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (buttons.includes(target)) {
      buttons.forEach(
        (button) => (button.tabIndex = button === target ? 0 : -1),
      );
    }
    target.focus();
  },

  /** Compare two entries in the current sort order. */
  order(one, other) {
    const [a, b] = [one.row.data, other.row.data];
    const { compare, down } = this.sorting;
    return (
      (compare ? (down ? -1 : 1) * compare(a, b) : 0) ||
      (b.state === "Error") - (a.state === "Error") ||
      b.created - a.created ||
      (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
    );
  },

  /** Before the next paint, fit the columns of state and name to their texts. */
  measureSoon() {
    this.measuring ||= requestAnimationFrame(() => {
      this.measuring = 0;
      this.measure();
    });
  },

  measure() {
    const { fontFamily, fontSize } = getComputedStyle(this.root);
    this.pen ??= document.createElement("canvas").getContext("2d");
    const font = `${fontSize} ${fontFamily}`;
    if (this.font !== font || this.widths.size > MEASURED_TEXTS) {
      this.font = font;
      this.widths = new Map();
    }
    let state = 0;
    let name = 0;
    for (const { row } of this.entries.values()) {
      state = Math.max(state, this.width(row.word.textContent, ""));
      name = Math.max(name, this.width(row.data.title, "600 "));
    }
    for (const [property, width, extra] of [
      ["--cw-state", state, 22], // the sign and the gap after it
      ["--cw-name", name, 4],
    ]) {
      const wanted = `${Math.ceil(width) + extra}px`;
      if (this.root.style.getPropertyValue(property) !== wanted) {
        this.root.style.setProperty(property, wanted);
      }
    }
    this.lay(this.root.clientWidth, state + 22 + name + 4);
  },

  /** Choose the layout: if names leave no room for the rest, rows get a second line. */
  lay(width, texts) {
    if (width) {
      const crowded = width - texts - OTHER_COLUMNS < ROOM_FOR_WHAT;
      const layout =
        width < NARROW
          ? "narrow"
          : width < MIDDLE || crowded
            ? "middle"
            : "wide";
      this.root.dataset.layout = layout;
    }
  },

  width(text, weight) {
    const key = weight + text;
    let known = this.widths.get(key);
    if (known === undefined) {
      this.pen.font = weight + this.font;
      known = this.pen.measureText(text).width;
      this.widths.set(key, known);
    }
    return known;
  },
};
