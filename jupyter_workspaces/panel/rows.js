// A row of the table: cells, buttons and link, created once and then only changed.

const CIRCLE =
  '<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.4"';
const SIGNS = {
  running: '<circle cx="6" cy="6" r="4.5" fill="currentColor"/>',
  starting: `${CIRCLE}/><path d="M6 2a4 4 0 0 1 0 8z" fill="currentColor"/>`,
  paused: '<path d="M3 2h2v8H3zM7 2h2v8H7z" fill="currentColor"/>',
  error: '<path d="M6 1 11.5 11H.5z" fill="currentColor"/>',
  leaving: `${CIRCLE} stroke-dasharray="2 1.6"/>`,
  unknown: `${CIRCLE}/>`,
  done: '<path d="M2 6.5 5 9l5-6" fill="none" stroke="currentColor" stroke-width="1.6"/>',
  waiting: '<circle cx="6" cy="6" r="2" fill="currentColor"/>',
};
const ASKED = {
  pause: "Pausing…",
  resume: "Starting…",
  restart: "Restarting…",
  delete: "Deleting…",
};
const SPANS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [14 * 86400, 86400, "day"],
  [60 * 86400, 7 * 86400, "week"],
  [Infinity, 30 * 86400, "month"],
];

/** Create an element. Text is never set as HTML. */
function make(tag, className, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (className) {
    node.className = className;
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children);
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Draw an icon of `SIGNS`; the label beside it has the same meaning. */
function drawSign(node, name) {
  if (node.dataset.sign !== name) {
    node.dataset.sign = name;
    const size = 'viewBox="0 0 12 12" width="12" height="12"';
    const shape = SIGNS[name] ?? SIGNS.unknown;
    node.innerHTML = `<svg ${size} aria-hidden="true" focusable="false">${shape}</svg>`;
  }
}

/** Return a duration in milliseconds as text, such as “12 min”. */
function span(milliseconds) {
  const seconds = Math.max(0, milliseconds / 1000);
  const [, unit, word] = SPANS.find(([below]) => seconds < below);
  const count = Math.floor(seconds / unit);
  return `${count} ${word}${count !== 1 && ["day", "week", "month"].includes(word) ? "s" : ""}`;
}

const TIMES = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
});

function exactTime(milliseconds) {
  return TIMES.format(milliseconds);
}

/** Return the URL of a workspace's path in this browser, or null if it is not HTTP. */
function address(path, base) {
  let root = base.url;
  const config = base.page && document.getElementById("jupyter-config-data");
  if (config) {
    try {
      root = new URL(JSON.parse(config.textContent).baseUrl, location.href)
        .href;
    } catch {
      // Invalid page configuration: use the kernel's URL.
    }
  }
  try {
    const url = new URL(
      path.replace(/^\/+/, ""),
      new URL(root || "/", location.href),
    );
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Draw a name so that it is cut in the middle: ends of names often differ. */
function drawName(node, text) {
  if (node.title === text) {
    return;
  }
  node.title = text;
  const cut = text.length > 16 ? text.length - 7 : text.length;
  node.replaceChildren(
    make("span", "cw-nameHead", {}, text.slice(0, cut)),
    text.slice(cut),
  );
}

class WorkspaceRow {
  /** `panel` has act(row, id, button), now(), base() and manyNamespaces(). */
  constructor(data, panel) {
    this.panel = panel;
    this.sign = make("span", "cw-sign");
    this.word = make("span", "cw-word");
    this.name = make("span", "cw-name");
    this.space = make("span", "cw-space");
    this.header = make(
      "div",
      "cw-nameCell",
      { role: "rowheader" },
      this.name,
      this.space,
    );
    this.what = make("div", "cw-what", { role: "gridcell" });
    this.age = make("div", "cw-age", { role: "gridcell" });
    this.activity = make("div", "cw-activity", { role: "gridcell" });
    this.actions = make("div", "cw-actions", { role: "gridcell" });
    this.why = make("span", "cw-message");
    this.note = make("span", "cw-note");
    this.putAway = make(
      "button",
      "cw-button cw-putAway",
      { type: "button", "data-act": "dismiss", tabindex: -1 },
      "OK",
    );
    this.line = make(
      "div",
      "cw-line",
      { role: "gridcell", hidden: true },
      this.why,
      this.note,
      this.putAway,
    );
    this.node = make(
      "div",
      "cw-row",
      { role: "row", tabindex: -1, "aria-level": 1, "aria-expanded": "false" },
      make("div", "cw-state", { role: "gridcell" }, this.sign, this.word),
      this.header,
      this.what,
      this.age,
      this.activity,
      this.actions,
      this.line,
    );
    this.entry = make("div", "cw-entry", { role: "none" }, this.node);
    this.entry.row = this;
    this.unfolded = null;
    this.asked = null;
    this.buttons = new Map();
    this.draw(data);
  }

  /** Show new data. With `still`, keep the height, because the row is above the pointer. */
  draw(data, still = false) {
    this.data = data;
    drawSign(this.sign, data.sign);
    this.entry.dataset.sign = data.sign;
    setText(
      this.word,
      data.word + (data.step ? ` · ${data.step}` : data.busy ? "…" : ""),
    );
    drawName(this.name, data.title);
    setText(this.space, this.panel.manyNamespaces() ? data.namespace : "");
    // The name is in two elements, which screen readers would read with a gap.
    this.header.setAttribute(
      "aria-label",
      [data.title, this.space.textContent].filter(Boolean).join(", "),
    );
    setText(
      this.what,
      [data.kind, data.image, data.size].filter(Boolean).join(" · "),
    );
    this.what.title =
      this.what.textContent + (data.moved ? `\n${data.moved}` : "");
    setText(this.why, data.message);
    setText(this.note, data.note);
    this.putAway.hidden = !data.note;
    this.lineWanted = Boolean(data.message || data.note);
    if (!still) {
      this.settle();
    }
    this.drawButtons();
    this.drawTimes();
    const { title, name, namespace, kind, image, size, word, message } = data;
    this.text = [title, name, namespace, kind, image, size, word, message]
      .join(" ")
      .toLowerCase();
  }

  settle() {
    if (this.line.hidden === this.lineWanted) {
      this.line.hidden = !this.lineWanted;
    }
  }

  drawTimes() {
    const now = this.panel.now();
    const { created, since, activity, state } = this.data;
    setText(this.age, created ? span(now - created) : "");
    let used = "";
    if (state === "Running" && activity) {
      used = now - activity < 360000 ? "in use" : `${span(now - activity)} ago`;
    } else if (state === "Paused" && since) {
      used =
        now - since < 60000 ? "paused just now" : `${span(now - since)} ago`;
    }
    setText(this.activity, used);
  }

  /** Show exact times as tooltip; only on demand, because formatting dates is slow. */
  drawTitles() {
    const { created, since, activity, state } = this.data;
    const lines = [];
    if (created) {
      lines.push(`Created ${exactTime(created)}`);
    }
    if (since) {
      lines.push(
        `${state === "Paused" ? "Paused" : "Running"} since ${exactTime(since)}`,
      );
    }
    if (activity) {
      lines.push(`Last used ${exactTime(activity)}`);
    }
    const title = lines.join("\n");
    if (this.age.title !== title) {
      this.age.title = this.activity.title = title;
    }
  }

  /** Update the buttons, and keep those of unchanged actions, which may have the focus. */
  drawButtons() {
    const { data } = this;
    const wanted = [];
    if (data.primary) {
      wanted.push({ ...data.primary, strong: true });
    }
    if (data.secondary) {
      wanted.push(data.secondary);
    }
    if (this.asked && ASKED[this.asked]) {
      wanted.splice(0, wanted.length, {
        id: "asked",
        label: ASKED[this.asked],
      });
    } else if (data.busy) {
      wanted.length = 0;
    }
    wanted.push({ id: "menu", label: "⋯" });
    const ids = wanted.map((action) => action.id);
    for (const [id, node] of this.buttons) {
      if (!ids.includes(id)) {
        node.remove();
        this.buttons.delete(id);
      }
    }
    wanted.forEach((action, index) => {
      const node = this.buttons.get(action.id) ?? this.makeButton(action);
      if (action.id === "open") {
        this.link(node, data.links[0]);
      }
      node.classList.toggle("cw-strong", Boolean(action.strong));
      if (this.actions.children[index] !== node) {
        this.actions.insertBefore(node, this.actions.children[index] ?? null);
      }
    });
  }

  makeButton({ id, label }) {
    const node = make(
      id === "open" ? "a" : "button",
      "cw-button",
      { tabindex: this.node.tabIndex, "data-act": id },
      label,
    );
    const title = this.data.title;
    if (id === "menu") {
      node.classList.add("cw-dots");
      node.setAttribute("aria-haspopup", "menu");
      node.setAttribute("aria-expanded", "false");
      node.setAttribute("aria-label", `More actions of ${title}`);
    } else if (id !== "asked") {
      node.setAttribute("aria-label", `${label.replace("…", "")} ${title}`);
    }
    if (id !== "open") {
      node.type = "button";
    }
    node.disabled = id === "asked";
    this.buttons.set(id, node);
    return node;
  }

  link(node, target) {
    const href = target && address(target.path, this.panel.base());
    if (!href) {
      node.removeAttribute("href");
      node.setAttribute("aria-disabled", "true");
    } else if (node.getAttribute("href") !== href) {
      node.removeAttribute("aria-disabled");
      Object.assign(node, {
        href,
        target: "_blank",
        rel: "noopener noreferrer",
      });
      node.title = target.label;
    }
  }

  /** Add the row to the tab order, or remove it. */
  reachable(yes) {
    for (const node of [this.node, this.putAway, ...this.buttons.values()]) {
      node.tabIndex = yes ? 0 : -1;
    }
  }

  /** Show a pending action before the kernel responds. */
  ask(id) {
    this.asked = id;
    this.drawButtons();
  }
}
