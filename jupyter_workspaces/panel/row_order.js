// Order of rows: inserts, removes and sorts them without moving rows under the pointer.

const Placing = {
  /** Insert new rows in order; at the end while the pointer is on the table. */
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
    this.say(`${entry.row.data.title} was deleted`);
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

  /** The pointer has left the table: apply the changes that were held back. */
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

  /** Sort all rows, and keep the focus. */
  arrange() {
    const wanted = [...this.body.children].sort((one, other) =>
      this.order(one, other),
    );
    let next = this.body.firstElementChild;
    for (const entry of wanted) {
      if (entry === next) {
        next = next.nextElementSibling;
      } else if (next?.nextElementSibling === entry) {
        next = entry.nextElementSibling; // only the row before it moves, later
      } else {
        const focus = entry.contains(this.active()) ? this.active() : null;
        this.body.insertBefore(entry, next);
        focus?.focus({ preventScroll: true });
      }
    }
  },
};
