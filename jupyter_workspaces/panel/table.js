// The table of the panel: shows rows that the kernel sends, and handles input.

const ROWS_A_FRAME = 60;
const KERNEL_LIMIT = 8000; // ms after which the kernel counts as busy

class Table {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.id = Math.random().toString(36).slice(2);
    this.entries = new Map();
    this.waiting = new Map();
    this.terms = [];
    this.said = [];
    this.shift = 0;
    this.where = { page: false, url: "" };
    this.many = false;
    this.state = {};
    this.current = null;
    this.over = null;
    this.frame = 0;
    this.measuring = 0;
    this.widths = new Map();
    this.build();
    this.stopping = new AbortController();
    this.startTicking(this.stopping.signal);
    const first = model.get("first") ?? {};
    this.take({ type: "snapshot", ...first });
    this.listen();
    this.send({ type: "mount", view: this.id });
  }

  build() {
    this.namespace = make("select", "", { "aria-label": "Namespace" });
    this.cluster = make("span", "cw-cluster");
    this.count = make("span", "cw-count cw-muted");
    this.filter = make("input", "cw-filter", {
      type: "search",
      placeholder: "filter…",
      "aria-label": "Filter the workspaces",
      spellcheck: "false",
    });
    this.liveSign = make("span", "cw-sign");
    this.liveWord = make("span");
    this.live = make("span", "cw-live", {}, this.liveSign, this.liveWord);
    this.heading = make("h3", "cw-title", {}, "Cluster Workspaces");
    const head = make(
      "header",
      "cw-head",
      {},
      this.heading,
      this.cluster,
      this.namespace,
      this.count,
      this.filter,
      this.live,
    );
    this.noticeText = make("p", "");
    this.noticeHint = make("p", "cw-muted");
    this.retry = make(
      "button",
      "cw-button cw-strong",
      { type: "button" },
      "Retry",
    );
    this.notice = make(
      "div",
      "cw-notice",
      { hidden: true },
      make("div", "", {}, this.noticeText, this.noticeHint),
      this.retry,
    );
    this.body = make("div", "cw-rows", { role: "rowgroup" });
    this.scroller = make(
      "div",
      "cw-body",
      { role: "none" },
      this.buildColumns(),
      this.body,
    );
    this.grid = make(
      "div",
      "cw-grid",
      { role: "treegrid", "aria-label": "Workspaces" },
      this.scroller,
    );
    this.empty = make("p", "cw-empty cw-muted");
    this.status = make("div", "cw-hidden", {
      role: "status",
      "aria-live": "polite",
    });
    this.menu = make("div", "cw-menu", { role: "menu", popover: "manual" });
    this.root = make("section", "jp-ClusterWorkspaces", {
      "aria-label": "Cluster Workspaces",
    });
    this.root.append(
      head,
      this.notice,
      this.grid,
      this.empty,
      this.status,
      this.menu,
    );
    this.el.replaceChildren(this.root);
    this.hidePlain();
  }

  /**
   * Hide the static table in the next output while this widget exists.
   * With a CSS rule, because that output is rendered later, and pages detach outputs on scrolling.
   */
  hidePlain() {
    const mark = this.model.get("fallback");
    if (!mark) {
      return;
    }
    const output = ":is(.jp-OutputArea-child, .output_area, .cell-output)";
    this.hiding = make("style", "");
    const own = `:has(.${this.root.className.split(" ")[0]})`;
    const selector = `.${mark}, ${output}:has(.${mark}):not(${own})`;
    this.hiding.textContent = `${selector} { display: none !important; }`;
    document.head.append(this.hiding);
  }

  listen() {
    const { signal } = this.stopping;
    const on = (node, type, handler, options = {}) =>
      node.addEventListener(type, handler, { signal, ...options });
    this.onMessage = (message) => this.take(message);
    this.onComm = () => this.commChanged();
    this.model.on("msg:custom", this.onMessage);
    this.model.on("comm_live_update", this.onComm);
    on(this.namespace, "change", () =>
      this.send({ type: "namespace", name: this.namespace.value }),
    );
    on(this.filter, "input", () => this.applyFilter());
    on(
      this.filter,
      "keydown",
      (event) => event.key === "Escape" && this.clearFilter(event),
    );
    on(this.retry, "click", () => this.send({ type: "retry" }));
    on(this.body, "click", (event) => this.clicked(event));
    on(this.body, "keydown", (event) => this.keyed(event));
    on(this.body, "focusin", (event) => this.focused(event));
    on(this.body, "contextmenu", (event) => this.contextMenu(event));
    on(this.body, "pointerover", (event) => this.pointed(event));
    on(this.body, "pointerleave", () => this.release());
    on(this.menu, "keydown", (event) => this.menuKeyed(event));
    on(this.menu, "click", (event) => this.menuClicked(event));
    on(
      document,
      "pointerdown",
      (event) => this.menu.contains(event.target) || this.closeMenu(false),
      { capture: true },
    );
    on(document, "scroll", () => this.menuMoved() && this.closeMenu(false), {
      capture: true,
      passive: true,
    });
    // JupyterLab handles keys on the document in the capture phase; the window precedes it.
    on(window, "keydown", (event) => this.shareKeys(event), { capture: true });
  }

  dispose() {
    this.send({ type: "unmount", view: this.id });
    this.stopping.abort();
    this.stopTicking();
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.measuring);
    cancelAnimationFrame(this.speaking);
    this.hiding?.remove();
    this.model.off("msg:custom", this.onMessage);
    this.model.off("comm_live_update", this.onComm);
    this.el.replaceChildren();
  }

  // --- for rows and details

  now() {
    return Date.now() + this.shift;
  }

  base() {
    return this.where;
  }

  manyNamespaces() {
    return this.many;
  }

  /** Announce a text to screen readers, once a frame; many changes only as a number. */
  say(text) {
    this.said.push(text);
    this.speaking ||= requestAnimationFrame(() => {
      this.speaking = 0;
      const said = this.said.splice(0);
      this.status.textContent =
        said.length > 3 ? `${said.length} changes` : said.join(". ");
    });
  }

  send(message) {
    this.model.send(message);
  }

  // --- messages from the kernel

  take(message) {
    if (message.now) {
      this.shift = message.now - Date.now();
    }
    const known = message.key && this.entries.get(message.key);
    switch (message.type) {
      case "snapshot":
        this.takeSnapshot(message);
        break;
      case "delta":
        message.upsert.forEach((row) => this.waiting.set(row.key, row));
        message.remove.forEach((key) => this.waiting.set(key, null));
        this.schedule();
        break;
      case "live":
        this.showLive(message);
        break;
      case "details":
        known?.details?.show(message);
        break;
      case "log":
        known?.details?.showLog(message);
        break;
      case "ask":
        if (known) {
          this.asked(known, message);
        }
        break;
      case "say":
        this.say(message.text);
        break;
    }
  }

  takeSnapshot(message) {
    const { rows = [], cluster, namespaces, namespace, base, live } = message;
    this.where = base ?? this.where;
    this.separate = message.separate ?? this.separate;
    const many = namespace === "*";
    const redraw = many !== this.many;
    this.many = many;
    this.showPlace(cluster, namespaces ?? [], namespace);
    const keys = new Set(rows.map((row) => row.key));
    for (const key of this.entries.keys()) {
      if (!keys.has(key)) {
        this.waiting.set(key, null);
      }
    }
    this.settling = !this.entries.size; // the first rows do not fade in
    for (const row of rows) {
      const known = this.entries.get(row.key);
      if (
        redraw ||
        !known ||
        JSON.stringify(known.row.data) !== JSON.stringify(row)
      ) {
        this.waiting.set(row.key, row);
      }
    }
    if (live) {
      this.showLive(live);
    }
    this.work();
  }

  showPlace(cluster, namespaces, namespace) {
    if (cluster !== undefined) {
      setText(this.cluster, cluster);
    }
    if (!namespace) {
      return;
    }
    const names = [...new Set([...namespaces, namespace])]
      .filter((name) => name !== "*")
      .sort();
    const options = names.map((name) =>
      make("option", "", { value: name }, name),
    );
    if (names.length > 1 || namespace === "*") {
      options.push(make("option", "", { value: "*" }, "all namespaces"));
    }
    this.namespace.replaceChildren(...options);
    this.namespace.value = namespace;
    this.namespace.disabled = options.length < 2;
  }

  // --- rows

  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.work();
    });
  }

  /** Draw waiting changes, as many as fit in one frame. */
  work() {
    let left = ROWS_A_FRAME;
    const fresh = [];
    for (const [key, row] of this.waiting) {
      if (!left--) {
        this.schedule();
        break;
      }
      this.waiting.delete(key);
      if (row === null) {
        this.remove(key);
      } else if (this.entries.has(key)) {
        this.redraw(this.entries.get(key), row);
      } else {
        fresh.push(this.add(row));
      }
    }
    this.place(fresh);
    this.measureSoon();
    if (!this.waiting.size) {
      this.settling = false;
    }
    this.drawCount();
    if (this.misplaced && !this.waiting.size) {
      this.misplaced = false;
      this.over ? (this.unordered = true) : this.arrange();
    }
    if (!this.current) {
      this.stand(this.body.firstElementChild);
    }
  }

  /** The pointer is on a row: keep it in place, and show its exact times. */
  pointed(event) {
    this.over = event.target.closest(".cw-entry");
    this.over?.row.drawTitles();
  }

  add(data) {
    const row = new WorkspaceRow(data, this);
    const { entry } = row;
    entry.dataset.key = data.key;
    entry.classList.toggle("cw-new", !this.settling);
    entry.hidden = !this.matches(row);
    this.entries.set(data.key, entry);
    this.observer.observe(entry);
    return entry;
  }

  redraw(entry, data) {
    const { row } = entry;
    const before = row.data;
    clearTimeout(row.patience);
    row.asked = null;
    const hadFocus = entry.contains(this.active());
    const still =
      Boolean(this.over) &&
      entry !== this.over &&
      this.order(entry, this.over) < 0;
    row.draw(data, still);
    const [above, below] = [
      entry.previousElementSibling,
      entry.nextElementSibling,
    ];
    this.misplaced ||=
      (above && this.order(above, entry) > 0) ||
      (below && this.order(entry, below) > 0);
    this.unsettled ||= still;
    row.reachable(entry === this.current);
    entry.hidden = !this.matches(row);
    if (hadFocus && !entry.contains(this.active())) {
      row.node.focus({ preventScroll: true });
    }
    if (before.word !== data.word || before.note !== data.note) {
      const reason = !data.note && data.message ? `, ${data.message}` : "";
      this.say(`${data.title}: ${data.note || data.word}${reason}`);
    }
  }

  matches(row) {
    return this.terms.every((term) => row.text.includes(term));
  }

  applyFilter() {
    this.terms = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.entries.forEach((entry) => (entry.hidden = !this.matches(entry.row)));
    this.drawCount();
    this.say(this.count.textContent);
    if (!this.current || this.current.hidden) {
      this.stand(
        [...this.body.children].find((entry) => !entry.hidden) ?? null,
      );
    }
  }

  clearFilter(event) {
    event.preventDefault();
    this.filter.value = "";
    this.applyFilter();
  }

  drawCount() {
    const all = this.entries.size;
    const shown = this.terms.length
      ? [...this.entries.values()].filter((entry) => !entry.hidden).length
      : all;
    setText(
      this.count,
      !all
        ? ""
        : shown === all
          ? all === 1
            ? "1 workspace"
            : `${all} workspaces`
          : `${shown} of ${all}`,
    );
    this.grid.hidden = !shown;
    const nothing = {
      live: "No workspaces yet. Select a kind below to create one.",
      connecting:
        "Connecting to the workspaces server. If there is none, one is started on this machine.",
    }[this.state.state];
    setText(
      this.empty,
      shown ? "" : all ? "No workspace matches the filter." : (nothing ?? ""),
    );
    this.empty.hidden = !this.empty.textContent;
  }
}
