// Actions of a row: requests to the kernel, details below the row, and confirmations.

const Actions = {
  clicked(event) {
    const entry = event.target.closest(".cw-entry");
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (entry && act) {
      this.act(entry, act, event);
    }
  },

  act(entry, id, event) {
    const { data } = entry.row;
    if (id === "menu") {
      this.menuOf === entry ? this.closeMenu() : this.openMenu(entry);
    } else if (id === "open") {
      if (!event) {
        entry.row.buttons.get("open")?.click();
      } else {
        this.showTrustNotice(entry);
      }
    } else if (id === "details" || id === "why") {
      this.toggleDetails(entry);
    } else if (id === "fold") {
      this.fold(entry);
    } else if (id === "dismiss") {
      entry.row.node.focus({ preventScroll: true });
      this.send({ type: "dismiss", key: data.key });
    } else if (id === "delete") {
      this.askDelete(entry);
    } else {
      this.request(entry, id);
    }
  },

  /** Send an action to the kernel, and show it on the row at once. */
  request(entry, id, sure = false) {
    const hadFocus = entry.contains(this.active());
    entry.row.ask(id);
    if (hadFocus && !entry.contains(this.active())) {
      entry.row.node.focus({ preventScroll: true });
    }
    entry.row.patience = setTimeout(() => {
      const note =
        "The kernel has not responded yet. It may be busy with a cell; the action runs after it.";
      entry.row.draw({ ...entry.row.data, note });
      this.say(note);
    }, KERNEL_LIMIT);
    this.send({
      type: "action",
      key: entry.row.data.key,
      id,
      ...(sure && { sure }),
    });
  },

  toggleDetails(entry) {
    if (entry.details) {
      this.fold(entry);
      return;
    }
    entry.details = new Details(entry.row.data, this);
    this.unfold(entry, entry.details.node);
    this.send({ type: "details", key: entry.row.data.key, open: true });
  },

  askDelete(entry) {
    this.ask(entry, "delete");
    entry.question.focus();
    this.send({ type: "ask", key: entry.row.data.key });
  },

  /** Show the confirmation of an action below its row. */
  ask(entry, action) {
    this.fold(entry, false);
    entry.question = new Question(entry.row.data, action, (yes) => {
      this.fold(entry);
      if (yes) {
        this.request(entry, action, action !== "delete");
      }
    });
    this.unfold(entry, entry.question.node);
  },

  /** The kernel reports what an action loses: explain the open question, or ask one. */
  asked(entry, { action = "delete", text }) {
    if (action !== "delete" && entry.question?.action !== action) {
      const hadFocus = entry.contains(this.active());
      clearTimeout(entry.row.patience);
      entry.row.ask(null);
      this.ask(entry, action);
      if (hadFocus) {
        entry.question.focus();
      }
      this.say(`${entry.question.title} ${text}`);
    }
    if (entry.question?.action === action) {
      entry.question.explain(text);
    }
  },

  unfold(entry, node) {
    entry.unfolded = make(
      "div",
      "cw-unfolded",
      { role: "row", "aria-level": 2 },
      make("div", "", { role: "gridcell", "aria-colspan": 7 }, node),
    );
    entry.append(entry.unfolded);
    entry.classList.add("cw-open");
    entry.row.node.setAttribute("aria-expanded", "true");
    this.scroller.classList.toggle(
      "cw-tall",
      Boolean(this.body.querySelector(".cw-details")),
    );
    entry.scrollIntoView({ block: "nearest" });
  },

  fold(entry, focus = true) {
    if (!entry.unfolded) {
      return;
    }
    const hadFocus = entry.unfolded.contains(this.active());
    entry.unfolded.remove();
    entry.classList.remove("cw-open");
    entry.row.node.setAttribute("aria-expanded", "false");
    if (entry.details) {
      this.send({ type: "details", key: entry.row.data.key, open: false });
    }
    entry.unfolded = entry.details = entry.question = entry.trust = null;
    this.scroller.classList.toggle(
      "cw-tall",
      Boolean(this.body.querySelector(".cw-details")),
    );
    if (focus && hadFocus) {
      entry.row.node.focus({ preventScroll: true });
    }
  },
};
