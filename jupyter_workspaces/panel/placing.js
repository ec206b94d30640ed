// Where rows stand: new ones where they belong, gone ones taken out, and nothing that moves under the pointer.

const Placing = {
  /** New rows go where they belong; below all others while the pointer is on the table, so that nothing moves under it. */
  place(fresh) {
    if (!fresh.length) {
      return;
    }
    if (this.over && !this.settling) {
      this.body.append(...fresh);
      this.unordered = true;
      return;
    }
    fresh.sort((one, other) => this.order(one, other));
    let next = this.body.firstElementChild;
    for (const entry of fresh) {
      while (next && this.order(next, entry) < 0) {
        next = next.nextElementSibling;
      }
      this.body.insertBefore(entry, next);
    }
  },

  remove(key) {
    const entry = this.entries.get(key);
    if (!entry) {
      return;
    }
    this.entries.delete(key);
    this.observer.unobserve(entry);
    this.seen.delete(entry);
    this.say(`${entry.row.data.title} is gone`);
    if (
      this.over && this.over !== entry
        ? this.order(entry, this.over) < 0
        : this.over === entry
    ) {
      entry.classList.add("cw-gone");
      entry.inert = true;
      this.unordered = true;
    } else {
      this.takeOut(entry);
    }
  },

  takeOut(entry) {
    const hadFocus = entry.contains(this.active());
    const next = this.neighbour(entry, 1) ?? this.neighbour(entry, -1);
    if (this.current === entry) {
      this.current = null;
      this.stand(next);
    }
    entry.remove();
    if (hadFocus) {
      (next?.row.node ?? this.filter).focus({ preventScroll: true });
    }
  },

  /** The pointer has left: what was held back may move now. */
  release() {
    this.over = null;
    if (this.unsettled) {
      this.unsettled = false;
      this.entries.forEach((entry) => entry.row.settle());
    }
    if (this.unordered) {
      this.unordered = false;
      [...this.body.querySelectorAll(".cw-gone")].forEach((entry) =>
        this.takeOut(entry),
      );
      this.arrange();
    }
  },

  /** Put all rows in their order; what has the focus keeps it. */
  arrange() {
    const wanted = [...this.body.children].sort((one, other) =>
      this.order(one, other),
    );
    let next = this.body.firstElementChild;
    for (const entry of wanted) {
      if (entry === next) {
        next = next.nextElementSibling;
      } else if (next?.nextElementSibling === entry) {
        next = entry.nextElementSibling; // the one before it belongs further down: only that one moves, later
      } else {
        const focus = entry.contains(this.active()) ? this.active() : null;
        this.body.insertBefore(entry, next);
        focus?.focus({ preventScroll: true });
      }
    }
  },
};
